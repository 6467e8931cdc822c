#include "worker/plugin/library.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "worker/data/fixtures.h"
#include "worker/plugin/fake_host.h"
#include "worker/plugin/trial.h"

namespace sluice::worker::plugin {
namespace {

using fixtures::test_plugin;
using testing::HasSubstr;
using testing::StartsWith;

std::string refusal(const std::string& path) {
  const auto opened = Library::open(path);
  return opened ? "opened" : std::string(name_of(opened.error().code)) + ": " + opened.error().what;
}

/// The odd ones abort() where anything of them is called.
TEST(Library, RefusesATableThatIsNotOfItsVersionAndSizesBeforeItCallsAnything) {
  const std::pair<const char*, const char*> all[] = {
      {"odd-MAGIC", "its plug-in table is damaged"},
      {"odd-VERSION", "it was built for version 99 of the plug-in ABI, and this sluice has version 1: build it again"},
      {"odd-SIZES", "its structs have other sizes than this sluice's, though it says the same ABI version"},
      {"odd-FUNCTION", "functions of its plug-in table are missing"},
      {"odd-NAME", "its model's name is not 1 to 64 of a-z 0-9 . _ -"},
      {"empty", "it has no 'sluice_plugin_v1': a plug-in ends with SLUICE_PLUGIN(Class, \"name\", \"version\")"},
  };
  for (const auto& [name, words] : all) EXPECT_THAT(refusal(test_plugin(name)), HasSubstr(test_plugin(name) + ": " + words));
}

TEST(Library, RefusesFilesThatAreNone) {
  const fixtures::Folder folder;
  for (const char* content : {"", "text, and no shared object: a few more words so that it is longer than an ELF header, which has 64 bytes\n"}) {
    const std::string path = folder.write("libtext.so", content);
    EXPECT_THAT(refusal(path), HasSubstr(path + ": ")) << content;
  }
  EXPECT_EQ(Library::open(folder.path() + "/libnone.so").error().code, Errc::kNotFound);
  EXPECT_EQ(file_digest(folder.path() + "/libnone.so").error().code, Errc::kNotFound);
}

TEST(Library, ADigestIsOfTheBytes) {
  const fixtures::Folder folder;
  const auto first = *file_digest(folder.write("a", "some bytes")), same = *file_digest(folder.write("b", "some bytes"));
  EXPECT_EQ(first, same);
  EXPECT_NE(first, *file_digest(folder.write("c", "some bytez")));
  EXPECT_NE(*file_digest(folder.write("d", "")), 0U);
}

TEST(Library, TellsTheModelItsDataAndParamsAndHearsWhatItIs) {
  const auto library = Library::open(test_plugin("kmeans"));
  ASSERT_TRUE(library.has_value()) << library.error().what;
  EXPECT_EQ(library->name(), "k-means");
  const auto model = library->make(R"({"k": 3})", {.rows = 100, .features = 7, .classes = 3, .epochs = 12});
  ASSERT_TRUE(model.has_value()) << model.error().what;
  const auto tables = (*model)->tables();
  ASSERT_EQ(tables.size(), 4U);
  EXPECT_EQ(tables[0].name, "centroids");
  EXPECT_EQ(tables[0].rows, 3U);
  EXPECT_EQ(tables[0].cols, 7U);
  EXPECT_EQ(tables[0].use, TableUse::kState);
  EXPECT_EQ(tables[2].rows, 13U) << "the job's epochs reach it";
  EXPECT_EQ(tables[3].use, TableUse::kStatistics);
  EXPECT_EQ((*model)->update_kind(), UpdateKind::kStatistics);
  EXPECT_EQ((*model)->phases(12), 13U);
  EXPECT_FALSE((*model)->predicts_labels());
  EXPECT_EQ((*model)->metric(), "inertia");

  const auto plain = Library::open(test_plugin("bad"))->make("{}", {.rows = 1, .features = 1, .classes = 2});
  EXPECT_TRUE((*plain)->predicts_labels());
  EXPECT_EQ((*plain)->metric(), "accuracy");
  EXPECT_EQ((*plain)->update_kind(), UpdateKind::kGradient);
  EXPECT_EQ((*plain)->phases(12), 0U);
}

TEST(Library, WrongParamsAndDataAreTheUsersAndTheRestIsTheModels) {
  const auto library = *Library::open(test_plugin("bad"));
  const auto words = [&](const std::string& params, std::uint64_t rows, std::uint32_t classes) {
    const auto made = library.make(params, {.rows = rows, .features = 2, .classes = classes});
    return made ? "made" : std::string(name_of(made.error().code)) + ": " + made.error().what;
  };
  EXPECT_EQ(words("{}", 10, 2), "made");
  EXPECT_THAT(words(R"({"whta": 1})", 10, 2), HasSubstr("unknown parameter 'whta' of model 'bad'; known: what"));
  EXPECT_THAT(words(R"({"what": 3})", 10, 2), HasSubstr("'what' under params of model 'bad' must be one of nothing, throw"));
  EXPECT_THAT(words("{}", 10, 0), HasSubstr("model 'bad' learns classes"));
  EXPECT_THAT(words("[1]", 10, 2), HasSubstr("must be an object"));
  EXPECT_EQ(library.make("{}", {.rows = 1, .features = 1, .classes = 0}).error().code, Errc::kBadConfig);
  const auto thrown = library.make(R"({"what": "make"})", {.rows = 10, .features = 2, .classes = 2});
  EXPECT_EQ(thrown.error().code, Errc::kJobFailed);
  EXPECT_EQ(thrown.error().what, "made to fail");
}

/// What it throws comes out as ModelFailure with its words, whatever it throws.
TEST(Library, NoExceptionOfAModelIsLost) {
  const auto library = *Library::open(test_plugin("bad"));
  for (const auto& [what, words] :
       {std::pair("throw", "the third batch is one too many"), std::pair("throw-int", "it threw something that is no std::exception")}) {
    MadeRows rows(false, 3, 64);
    Trial trial(*library.make(std::string(R"({"what": ")") + what + "\"}", rows.shape()));
    (void)trial.update(rows.batch(0, 8), 0);
    (void)trial.update(rows.batch(8, 8), 0);
    try {
      (void)trial.update(rows.batch(16, 8), 0);
      ADD_FAILURE() << what << " threw nothing";
    } catch (const ModelFailure& failed) {
      EXPECT_STREQ(failed.what(), words);
      EXPECT_EQ(failed.status(), SLUICE_FAILED);
    }
  }
}

TEST(Library, AnUpdateAndTheEndOfAPhaseAreTheModels) {
  const auto library = *Library::open(test_plugin("kmeans"));
  MadeRows rows(false, 2, 64);
  Trial trial(*library.make(R"({"k": 2})", rows.shape()));
  const Batch batch = rows.batch(0, 64);
  const auto got = trial.update(batch, std::nanf(""));
  EXPECT_TRUE(got.updates[0].empty()) << "state is not pushed to";
  const std::size_t width = batch.features + 2;
  EXPECT_EQ(got.updates[3].at(width - 2) + got.updates[3].at(2 * width - 2), 64.0F) << "each row is in one cluster";
  PhaseEnd end;
  const auto changed = trial.finish_phase(end, std::nanf(""));
  EXPECT_FALSE(end.done);
  EXPECT_EQ(changed.updates[1], std::vector<float>{1});
  EXPECT_EQ(trial.outputs(batch).size(), 128U);
  EXPECT_EQ(trial.evaluate(batch).examples, 64U);
}

}  // namespace
}  // namespace sluice::worker::plugin
