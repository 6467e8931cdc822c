#include "worker/plugin/process_model.h"

#include <gmock/gmock.h>

#include <cmath>

#include "worker/plugin/fake_host.h"
#include "worker/plugin/library.h"
#include "worker/plugin/trial.h"

namespace sluice::worker::plugin {
namespace {

using fixtures::honest_process;
using fixtures::lying_process;
using fixtures::test_plugin;
using testing::HasSubstr;

/// A model of the test plug-in, in a process. The limit is of calls after it is made, which takes long on a busy machine.
std::unique_ptr<Model> made(const std::string& name, const std::string& params, const DataShape& shape, Interrupt interrupt = {},
                            Duration call_limit = from_ms(20'000)) {
  auto process = honest_process();
  SlotProcess& its = *process;
  const auto facts = open_plugin(its, test_plugin(name), 0);
  EXPECT_TRUE(facts.has_value()) << facts.error().what;
  auto model = make_process_model(std::move(process), facts->name, params, shape, std::move(interrupt));
  EXPECT_TRUE(model.has_value()) << model.error().what;
  its.set_limits(0, call_limit);
  return std::move(*model);
}

/// What the third update of a bad model throws, which is given up after `patience` if there is one. Processor time of a call: 0.2 s.
std::string third_update(const std::string& what, Duration patience = {}) {
  MadeRows rows(false, 3, 64);
  bool third = false;  // a machine that stands still may take as long for making it
  Interrupt interrupt;
  if (patience.ns > 0) interrupt = [&](Duration since) { return third && since > patience; };
  Trial trial(made("bad", R"({"what": ")" + what + "\"}", rows.shape(), std::move(interrupt), from_ms(200)));
  try {
    for (std::uint32_t i = 0; i < 3; ++i) {
      third = i == 2;
      (void)trial.update(rows.batch(8 * i, 8), 0);
    }
  } catch (const CallInterrupted&) { return "interrupted"; } catch (const std::exception& failed) {
    return failed.what();
  }
  return "nothing";
}

TEST(ProcessModel, IsTheModelThatTheLibraryMakes) {
  const auto library = *Library::open(test_plugin("kmeans"));
  MadeRows rows(false, 3, 64);
  DataShape shape = rows.shape();
  shape.epochs = 9;
  Trial here(*library.make("{}", shape)), there(made("kmeans", "{}", shape));
  EXPECT_EQ(there.tables().at(2).rows, 10U) << "the job's epochs reach it";
  for (std::size_t t = 0; t < here.tables().size(); ++t) {
    EXPECT_EQ(here.tables()[t].name, there.tables().at(t).name);
    EXPECT_EQ(here.tables()[t].use, there.tables().at(t).use);
  }
  EXPECT_EQ(there.model().update_kind(), UpdateKind::kStatistics);
  EXPECT_FALSE(there.model().predicts_labels());
  EXPECT_EQ(there.model().metric(), "inertia");
  EXPECT_EQ(there.model().phases(9), 10U);
  for (const std::uint32_t count : {1U, 64U, 5U}) {
    const auto a = here.update(rows.batch(0, count), 0), b = there.update(rows.batch(0, count), 0);
    EXPECT_EQ(a.updates, b.updates) << count;
    EXPECT_EQ(a.losses.loss_sum, b.losses.loss_sum) << count;
    EXPECT_EQ(here.outputs(rows.batch(0, count)), there.outputs(rows.batch(0, count)));
    EXPECT_EQ(here.evaluate(rows.batch(0, count)).metric_sum, there.evaluate(rows.batch(0, count)).metric_sum);
  }
  PhaseEnd a, b;
  EXPECT_EQ(here.finish_phase(a, 0).updates, there.finish_phase(b, 0).updates);
  EXPECT_EQ(a.done, b.done);
}

TEST(ProcessModel, ValuesInMemoryThatItReadsGiveWhatCopiedOnesGive) {
  MadeRows rows(false, 3, 64);
  const auto shared = made("bad", "{}", rows.shape()), copied = made("bad", "{}", rows.shape());
  const std::span<float> memory = shared->input_memory(3);
  ASSERT_EQ(memory.size(), 3U);
  const std::vector<float> values = {0.5F, -1, 2};
  std::copy(values.begin(), values.end(), memory.begin());
  std::vector<float> a(3), b(3);
  const TableView in_memory[] = {{memory, {}}}, elsewhere[] = {{values, {}}};
  const TableUpdate to_a[] = {{a}}, to_b[] = {{b}};
  const Losses one = shared->update(in_memory, rows.batch(0, 16), to_a), two = copied->update(elsewhere, rows.batch(0, 16), to_b);
  EXPECT_EQ(one.loss_sum, two.loss_sum);
  EXPECT_EQ(a, b);
}

/// Beside the values, as a slot's reader writes them; and another batch that is elsewhere.
TEST(ProcessModel, RowsInMemoryThatItReadsGiveWhatCopiedOnesGive) {
  MadeRows rows(false, 3, 64);
  const auto model = made("bad", "{}", rows.shape());
  const std::span<float> memory = model->input_memory(3 + 16 * 3);
  ASSERT_EQ(memory.size(), 3U + 16 * 3);
  const std::vector<float> values = {0.5F, -1, 2};
  std::copy(values.begin(), values.end(), memory.begin());
  const TableView views[] = {{memory.first(3), {}}};
  std::vector<Losses> losses;
  for (const std::uint32_t first : {0U, 16U}) {
    Batch batch = rows.batch(first, 16);
    std::vector<float> copied(3), shared(3);
    const TableUpdate to_copied[] = {{copied}}, to_shared[] = {{shared}};
    losses.push_back(model->update(views, batch, to_copied));
    std::copy(batch.dense.begin(), batch.dense.end(), memory.begin() + 3);
    batch.dense = memory.subspan(3, 16 * 3);
    EXPECT_EQ(model->update(views, batch, to_shared).loss_sum, losses.back().loss_sum);
    EXPECT_EQ(copied, shared);
  }
  EXPECT_NE(losses[0].loss_sum, losses[1].loss_sum);
}

/// The first into memory of its own, the others where they are lent from; and a guard is behind those too.
TEST(ProcessModel, UpdatesWrittenInPlaceAreThoseThatAreCopied) {
  MadeRows rows(false, 3, 64);
  const auto in_place = made("bad", "{}", rows.shape()), copied = made("bad", "{}", rows.shape());
  const net::MemoryFile file = in_place->update_memory(3 * sizeof(float));
  ASSERT_GE(file.bytes().size(), 3 * sizeof(float) + Model::kUpdateMargin);
  const std::span<float> there(reinterpret_cast<float*>(file.bytes().data()) + 1024, 3);
  const std::vector<float> values = {0.5F, -1, 2};
  const TableView views[] = {{values, {}}};
  for (std::uint32_t i = 0; i < 70; ++i) {
    std::vector<float> elsewhere(3);
    const TableUpdate to_elsewhere[] = {{elsewhere}}, to_there[] = {{there}};
    std::fill(there.begin(), there.end(), -7.0F);
    const Batch batch = rows.batch(i % 48, 16);
    EXPECT_EQ(in_place->update(views, batch, to_there).loss_sum, copied->update(views, batch, to_elsewhere).loss_sum);
    EXPECT_EQ(std::vector<float>(there.begin(), there.end()), elsewhere) << i;
  }
  EXPECT_TRUE(in_place->update_memory(3 * sizeof(float)).bytes().empty()) << "once";

  const auto bad = made("bad", R"({"what": "overrun"})", rows.shape());
  const net::MemoryFile its = bad->update_memory(3 * sizeof(float));
  const TableUpdate to_its[] = {{std::span<float>(reinterpret_cast<float*>(its.bytes().data()), 3)}};
  std::string said;
  try {
    for (std::uint32_t i = 0; i < 3; ++i) (void)bad->update(views, rows.batch(8 * i, 8), to_its);
  } catch (const std::exception& failed) { said = failed.what(); }
  EXPECT_EQ(said, "it wrote behind the end of an update's memory");
}

TEST(ProcessModel, WhatGoesWrongIsSaidInWords) {
  EXPECT_EQ(third_update("nothing"), "nothing");
  EXPECT_EQ(third_update("throw"), "the third batch is one too many");
  EXPECT_EQ(third_update("throw-int"), "it threw something that is no std::exception");
  EXPECT_EQ(third_update("exit"), "ended by itself with status 3");
  EXPECT_THAT(third_update("abort"), HasSubstr("was killed by SIGABRT"));
  EXPECT_EQ(third_update("overrun"), "it wrote behind the end of an update's memory");
}

TEST(ProcessModel, ACallIsBoundedInTimeAndCanBeGivenUp) {
  for (const char* what : {"loop", "sleep"}) {
    EXPECT_THAT(third_update(what), HasSubstr("did not answer within 0.2 s")) << what;
    EXPECT_EQ(third_update(what, from_ms(50)), "interrupted") << what;
  }
}

/// Nobody else's fault, and the process, in the middle of something, is of no more use.
TEST(ProcessModel, ACallThatWasGivenUpIsTheLast) {
  MadeRows rows(false, 3, 64);
  Trial trial(made("bad", R"({"what": "sleep"})", rows.shape(), [](Duration) { return true; }));
  (void)trial.update(rows.batch(0, 8), 0);
  (void)trial.update(rows.batch(0, 8), 0);
  EXPECT_THROW((void)trial.update(rows.batch(0, 8), 0), CallInterrupted);
  EXPECT_THROW((void)trial.update(rows.batch(0, 8), 0), std::runtime_error);
}

TEST(ProcessModel, WhatAFirstUpdateDoesNotWriteIsNoNumber) {
  MadeRows rows(false, 3, 64);
  Trial trial(made("bad", R"({"what": "unwritten"})", rows.shape()));
  const auto got = trial.update(rows.batch(0, 8), 1);
  for (const float g : got.updates.at(0)) EXPECT_TRUE(std::isnan(g));
}

TEST(ProcessModel, OpeningSaysWhatTheFileIsOrWhyNot) {
  const auto process = honest_process();
  const auto facts = open_plugin(*process, test_plugin("kmeans"), 0);
  ASSERT_TRUE(facts.has_value()) << facts.error().what;
  EXPECT_EQ(facts->name, "k-means");
  EXPECT_EQ(facts->version, "1");
  EXPECT_EQ(facts->digest, *file_digest(test_plugin("kmeans")));
  const auto kind = try_model(*process, "k-means", "{}", {.rows = 1, .features = 1, .classes = 2});
  EXPECT_EQ(kind.value_or(UpdateKind::kGradient), UpdateKind::kStatistics);
  EXPECT_EQ(try_model(*process, "k-means", "{}", {.rows = 1, .features = 1, .classes = 0}).error().code, Errc::kBadConfig);

  EXPECT_TRUE(open_plugin(*honest_process(), test_plugin("kmeans"), facts->digest).has_value());
  const auto changed = open_plugin(*honest_process(), test_plugin("kmeans"), facts->digest + 1);
  EXPECT_EQ(changed.error().code, Errc::kBadConfig);
  EXPECT_THAT(changed.error().what, HasSubstr("the plug-in has changed since its job was submitted"));
  EXPECT_EQ(open_plugin(*honest_process(), test_plugin("nowhere"), 0).error().code, Errc::kNotFound);
  EXPECT_EQ(open_plugin(*honest_process(), test_plugin("odd-VERSION"), 0).error().code, Errc::kBadConfig);
}

/// A process may say what it likes: nothing of it is believed before it was looked at.
TEST(ProcessModel, LiesOfItsProcessAreFoundAndSaid) {
  const auto about_making = [](const std::string& lie) {
    const auto model = make_process_model(lying_process(lie), "liar", "{}", {.rows = 8, .features = 11, .classes = 2});
    return model ? "made" : model.error().what;
  };
  EXPECT_EQ(about_making("none"), "made");
  EXPECT_THAT(about_making("made-bytes"), HasSubstr("declares its tables in no way that can be read"));
  EXPECT_THAT(about_making("made-tables"), HasSubstr("declares its tables in no way that can be read"));
  EXPECT_THAT(about_making("made-table"), HasSubstr("its table 0 is not valid"));
  EXPECT_THAT(about_making("made-metric"), HasSubstr("its metric's name is empty or not plain text"));
  EXPECT_THAT(about_making("room"), HasSubstr("wants to answer with 1125899906842624 bytes"));
  EXPECT_THAT(about_making("no-room"), HasSubstr("wants to answer with 1 bytes"));
  const auto named = make_process_model(lying_process("made-name"), "liar", "{}", {.rows = 8, .features = 11, .classes = 2});
  EXPECT_EQ((*named)->tables().at(0).name, std::string(63, 'n'));
  const auto kind = make_process_model(lying_process("kind"), "liar", "{}", {.rows = 8, .features = 11, .classes = 2});
  EXPECT_EQ((*kind)->update_kind(), UpdateKind::kStatistics);

  MadeRows rows(false, 2, 8);
  const auto about = [&](const std::string& lie, const std::function<void(Model&)>& ask) -> std::string {
    const auto model = make_process_model(lying_process(lie), "liar", "{}", rows.shape());
    try {
      ask(**model);
    } catch (const std::exception& said) { return said.what(); }
    return "believed";
  };
  const auto keys = [&](Model& model) {
    std::vector<std::vector<Key>> out(1);
    model.keys(rows.batch(0, 8), out);
  };
  EXPECT_THAT(about("keys-count", keys), HasSubstr("it names more keys than it wrote"));
  EXPECT_THAT(about("keys-sum", keys), HasSubstr("it names more keys than it wrote"));
  EXPECT_EQ(about("keys-table", keys), "believed") << "a table that it does not have is nobody's";
  const std::vector<float> w(2);
  const TableView view[] = {{w, {}}};
  EXPECT_THAT(about("outputs", [&](Model& model) { (void)model.outputs(view, rows.batch(0, 8)); }), HasSubstr("outputs() gave 1 numbers for 8 rows"));
  EXPECT_THAT(about("scores", [&](Model& model) { (void)model.evaluate(view, rows.batch(0, 8)); }), HasSubstr("evaluate() scored 9 of 8 rows"));
}

}  // namespace
}  // namespace sluice::worker::plugin
