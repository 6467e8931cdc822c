/// Jobs and servers that report what can't be or what nobody would expect: the manager lives on, other jobs lose nothing, and what is recorded is enough to
/// decide again. And jobs that ended long ago.
#include <gmock/gmock.h>

#include <cmath>

#include "base/rng.h"
#include "manager/fake_cluster_test.h"
#include "manager/replay.h"
#include "manager/store.h"

namespace sluice::manager::test {
namespace {
using ::testing::HasSubstr;

/// By name; the good one first.
const std::vector<std::string> kNasty = {"good", "huge", "constant", "rising", "negative", "jumps", "late", "backwards", "long", "short", "nonsense", "tiny"};

double loss_of(const std::string& name, double step) {
  if (name == "constant") return 2;
  if (name == "rising") return 1 + step / 1000;
  if (name == "negative") return 1 - step / 2000;  // a log-likelihood, say: it ends at -1.5
  if (name == "jumps") return step < 1500 ? 2 / (1 + step / 500) : 1e6;
  if (name == "tiny") return 1e-300 / (1 + step);
  return 2 / (1 + step / 500) + 0.1;
}

/// What a server makes of a report of that job.
void spoil(const std::string& name, proto::JobReport& r, std::map<std::string, proto::JobReport>& held, Rng& rng) {
  const bool ends = r.state != proto::HomeState::kTraining;
  if (name == "huge" && r.step > 1500) r.loss_sum = 1e300;
  if (name == "late" && !ends) {
    auto& before = held.try_emplace(name, r).first->second;
    std::swap(before, r);
  }
  if (name == "backwards" && !ends && rng.below(3) == 0)
    r.step /= 2, r.examples /= 2, r.window_steps = std::min(r.window_steps, r.step), r.window_examples = std::min(r.window_examples, r.examples);
  if (name == "long") r.examples_total *= 10;
  if (name == "short") r.examples_total /= 10;
  if (name != "nonsense" || ends) return;
  const double junk[] = {-1, 1e300, -1e300, 0, 1e-320};
  for (double* number : {&r.seconds, &r.slot_seconds, &r.staleness_mean, &r.loss_squares, &r.validation_loss, &r.metric})
    if (rng.below(4) == 0) *number = junk[rng.below(std::size(junk))];
  if (rng.below(4) == 0) r.examples_total = rng.below(2) == 0 ? 0 : UINT64_MAX;
  if (rng.below(4) == 0) r.redone_batches = UINT64_MAX;
  if (rng.below(4) == 0) r.window_examples = UINT64_MAX;
}

/// No number of an answer is outside of what it can be; null is "not known".
void expect_sane(const json& job) {
  EXPECT_TRUE(job["normalized_loss"].is_number()) << job;
  EXPECT_GE(job["normalized_loss"].get<double>(), 0) << job;
  EXPECT_LE(job["normalized_loss"].get<double>(), 1) << job;
  EXPECT_LE(job["slots"].get<double>(), 3) << job;
  for (const char* key : {"slot_seconds", "staleness", "steps_per_s", "predicted_gain_per_s"}) EXPECT_TRUE(job[key].is_number()) << key << " " << job;
}

TEST(BadInput, TheManagerLivesOnAndOtherJobsLoseNothingUnderEveryPolicy) {
  for (const std::string& policy : builtin_policies().names()) {
    SCOPED_TRACE(policy);
    Cluster c(2);
    c.options.policy = policy;
    c.start();
    auto& server = c.server("s1");
    c.worker("w1", 3);
    for (std::size_t i = 0; i < kNasty.size(); ++i) {
      c.world.jobs[JobId{i + 1}].steps_total = 5000;
      c.world.jobs[JobId{i + 1}].loss = [name = kNasty[i]](double step) { return loss_of(name, step); };
    }
    std::map<std::string, proto::JobReport> held;
    SeededRng rng{4};
    server.twist = [&](proto::JobReport& r) { spoil(kNasty[r.job.value - 1], r, held, rng); };
    c.submit(kNasty);
    bool huge_seen = false, jump_seen = false;
    for (int i = 0; i < 1000; ++i) {
      c.run(0.1);  // served one after the other, a job may be over soon
      const json ps = c.call("ps");
      bool over = true;
      for (const json& job : ps["jobs"]) {
        expect_sane(job);
        over = over && job["state"] == "done";
        if (job["job"] == "huge")  // as its reason, also when it has ended diverging
          huge_seen = huge_seen || job["reason"].get<std::string>().find("jumped to") != std::string::npos;
        if (job["job"] == "jumps" && job["phase"] == "diverging")
          jump_seen = jump_seen || job["reason"].get<std::string>().find("jumped to 1e+06") != std::string::npos;
      }
      if (over) break;
      for (std::size_t j = 0; j < kNasty.size() && i % 20 == 0; ++j) { EXPECT_EQ(c.call("explain", {{"job", kNasty[j]}})["jobs"].size(), 1U) << kNasty[j]; }
    }
    // Served one after the other with all slots, it is over with the first report that is spoiled.
    if (policy != "fifo" && policy != "srtf") { EXPECT_TRUE(huge_seen) << policy; }
    EXPECT_TRUE(jump_seen);
    const json summary = c.call("summary");
    for (const json& job : summary["jobs"]) {
      EXPECT_EQ(job["state"], "done") << job;
      if (job["job"] == "good" || job["job"] == "long" || job["job"] == "short") { EXPECT_NEAR(job["final_loss"].get<double>(), 0.29, 0.03) << job; }
      if (job["job"] == "negative") { EXPECT_LT(job["final_loss"].get<double>(), -1) << job; }
    }
    const auto again = replay(c.folder + "/decisions.jsonl", "same");
    ASSERT_TRUE(again) << again.error().what;
    EXPECT_FALSE(again->first) << again->first->line << " " << again->first->where << ": " << again->first->recorded << " / " << again->first->again;
  }
}

TEST(BadInput, AReportThatIsNoMessageCostsOnlyTheServerThatSentIt) {
  Cluster c;
  c.options.servers = 2;
  c.start();
  auto& good = c.server("s1");
  auto& bad = c.server("s2");
  c.worker("w1", 2);
  bad.twist = [](proto::JobReport& r) { r.loss_sum = std::nan(""); };
  std::vector<std::string> names;
  for (int i = 0; i < 6; ++i) names.push_back(fmt::format("j{}", i));
  for (std::uint64_t j = 1; j <= 6; ++j) c.world.jobs[JobId{j}].steps_total = 3000;
  c.submit(names);
  c.run(60);
  std::size_t done = 0, silent = 0;
  for (std::uint64_t j = 1; j <= 6; ++j) {
    const bool at_good = good.table.at(proto::home_slot(JobId{j})).primary == ServerId{good.id};
    const json job = c.job(names[j - 1]);
    ++(at_good ? done : silent);
    EXPECT_EQ(job["state"] == "done", at_good) << job;
    if (!at_good) { EXPECT_TRUE(job["loss"].is_null()) << job; }
  }
  EXPECT_GT(done, 0U);
  EXPECT_GT(silent, 0U);
}

TEST(BadInput, AMinimumAboveItsMaximumAndNamesThatAreTakenAreRefused) {
  Cluster c;
  c.start();
  c.server("s1");
  auto wrong = spec("a");
  wrong.slots_min = 3, wrong.slots_max = 2;
  const auto text = json::parse(proto::to_json(wrong));
  EXPECT_THAT(c.call("submit", {{"jobs", {text}}})["refused"].get<std::string>(), HasSubstr("slots_min must not be above slots_max"));
  ASSERT_FALSE(c.submit({"b"}).contains("refused"));
  EXPECT_THAT(c.submit({"b"})["refused"].get<std::string>(), HasSubstr("there is a job named 'b' already"));
  EXPECT_THAT(c.call("set", {{"job", "b"}, {"values", {{"slots.min", 9}, {"slots.max", 2}}}})["refused"].get<std::string>(), HasSubstr("min"));
}

TEST(BadInput, WithoutSlotsAllWaitAndWithOneEachJobHasItsTurn) {
  for (const std::string& policy : builtin_policies().names()) {
    SCOPED_TRACE(policy);
    Cluster c;
    c.options.policy = policy;
    c.start();
    c.server("s1");
    std::vector<std::string> names;
    for (int i = 0; i < 12; ++i) names.push_back(fmt::format("j{}", i));
    c.submit(names);
    c.run(2);
    for (const std::string& name : names) EXPECT_EQ(c.job(name)["state"], "waiting");
    for (std::uint64_t j = 1; j <= 12; ++j) c.world.jobs[JobId{j}].steps_total = 2000;
    c.worker("w1", 1);
    ASSERT_TRUE(c.run_to_end(200)) << c.call("ps").dump(1);
  }
}

TEST(Prior, WhatFinishedJobsTaughtOutlivesTheManager) {
  Cluster c;
  c.start();
  c.server("s1");
  c.worker("w1", 2);
  const auto known = [&] { return c.call("explain", {{"prior", true}})["prior"]["families"]; };
  const json before = known();
  const double shipped = before["softmax"]["jobs"];
  c.submit({"a", "b", "c"});
  ASSERT_TRUE(c.run_to_end(100));
  const json after = known();
  EXPECT_EQ(after["softmax"]["jobs"].get<double>(), shipped + 3);
  EXPECT_EQ(after["softmax"]["steps"].back(), 20000);
  EXPECT_EQ(after["mlp"], before["mlp"]) << "another model's is as it was";
  c.executor.kill("manager");
  c.run(2);
  c.start();
  c.run(1);
  EXPECT_EQ(known(), after);
  EXPECT_TRUE(c.call("explain", {{"prior", true}})["jobs"].empty());
  // A new job is told what they taught.
  c.submit({"d"});
  c.run(3);
  const json left = c.call("explain", {{"job", "d"}})["jobs"][0]["remaining"];
  EXPECT_EQ(left["jobs_of_model"].get<double>(), shipped + 3);
  EXPECT_LT(left["past_jobs"].get<double>(), 1);
}

TEST(Prior, WhatAnOlderBuildLearntIsLeftBehindAndJobsGoOn) {
  Cluster c;
  c.start();
  c.server("s1");
  c.worker("w1", 2);
  c.submit({"a"});
  ASSERT_TRUE(c.run_to_end(100));
  c.executor.kill("manager");
  c.run(2);
  {
    const auto store = open_sqlite_store(c.folder);
    ASSERT_TRUE(store) << store.error().what;
    const auto term = (*store)->acquire("manager", from_ms(1000));
    const auto was = (*store)->get("remaining_prior");
    ASSERT_TRUE(term && was && *was);
    json old = json::parse((*was)->value);
    old["version"] = 1;
    ASSERT_TRUE((*store)->put_if(*term, "remaining_prior", (*was)->revision, old.dump()));
  }
  c.start();
  c.run(1);
  const auto known = [&] { return c.call("explain", {{"prior", true}})["prior"]["families"]["softmax"]["jobs"].get<double>(); };
  const double shipped = RemainingPrior::shipped().to_json()["families"]["softmax"]["jobs"];
  EXPECT_EQ(known(), shipped);
  c.submit({"b"});
  ASSERT_TRUE(c.run_to_end(100));
  EXPECT_EQ(known(), shipped + 1) << "and what jobs teach now is kept";
}

/// A manager that stays does not keep what ended for ever.
class Forgotten : public testing::Test {
 protected:
  void begin(std::uint32_t keep) {
    c.options.keep_ended = keep;
    c.start();
    server = &c.server("s1");
    c.worker("w1", 2);
    c.run(1);
  }
  /// Jobs of half a second, one after the other.
  void train(const std::vector<std::string>& jobs) {
    for (const std::string& job : jobs) {
      c.world.jobs[JobId{++submitted}].steps_total = 500;
      ASSERT_FALSE(c.submit({job}).contains("refused"));
      ASSERT_TRUE(c.run_to_end(30));
    }
    c.run(3);  // for the servers to hear of it, and a second more
  }
  [[nodiscard]] static std::vector<std::string> names(const json& answer) {
    std::vector<std::string> out;
    for (const json& job : answer["jobs"]) out.push_back(job["job"]);
    return out;
  }
  Cluster c;
  FakeServer* server = nullptr;
  std::uint64_t submitted = 0;
};

TEST_F(Forgotten, TheLongestEndedAreOutOfTheTableTheStoreAndTheServers) {
  begin(2);
  train({"a", "b", "c", "d", "e"});
  for (const json& answer : {c.call("ps"), c.call("summary")}) {
    EXPECT_EQ(names(answer), (std::vector<std::string>{"d", "e"}));
    EXPECT_EQ(answer["jobs_forgotten"], 3);
  }
  EXPECT_EQ(server->ended_jobs.size(), 5U) << "they were told before";
  EXPECT_EQ(c.call("explain", {{"job", "a"}})["code"], "not_found");
  train({"a"});  // its name is free
  EXPECT_EQ(c.job("a")["id"], 6);
  EXPECT_EQ(c.call("explain", {{"job", "a"}})["jobs"][0]["decisions"].size(), 2U) << "of the new one alone";

  c.executor.kill("manager");
  c.run(1);
  {
    const auto store = open_sqlite_store(c.folder);
    ASSERT_TRUE(store) << store.error().what;
    EXPECT_EQ((*store)->list("job/")->size(), 2U);
  }
  c.start();
  c.run(3);
  EXPECT_EQ(names(c.call("ps")), (std::vector<std::string>{"e", "a"}));
  EXPECT_EQ(c.call("ps")["jobs_forgotten"], 4);
  EXPECT_EQ(c.submit({"f"})["jobs"][0]["id"], 7);
}

TEST_F(Forgotten, AnIdIsNeverGivenTwiceThoughTheHighestIsForgottenFirst) {
  begin(1);
  c.world.jobs[JobId{++submitted}].steps_total = 20'000;
  ASSERT_FALSE(c.submit({"long"}).contains("refused"));
  for (const char* name : {"x", "y"}) {
    c.world.jobs[JobId{++submitted}].steps_total = 100;
    ASSERT_FALSE(c.submit({name}).contains("refused"));
  }
  ASSERT_TRUE(c.run_to_end(200));
  c.run(3);
  EXPECT_EQ(names(c.call("ps")), std::vector<std::string>{"long"}) << "it ended last";
  c.executor.kill("manager");
  c.run(1);
  c.start();
  c.run(3);
  EXPECT_EQ(c.submit({"next"})["jobs"][0]["id"], 4);
}

TEST_F(Forgotten, NotWhoseBestStillCountsForItsGroup) {
  c.options.policy = "fair";
  begin(1);
  json jobs = json::array();
  for (const char* name : {"g-1", "g-2", "alone-1", "alone-2"}) {
    proto::JobSpec one = spec(name);
    if (name[0] == 'g') one.group = "g", one.objective = proto::Objective::kBest;
    jobs.push_back(json::parse(proto::to_json(one)));
    c.world.jobs[JobId{++submitted}].steps_total = one.name == "g-2" ? 20'000 : 500;
  }
  ASSERT_FALSE(c.call("submit", {{"jobs", jobs}}).contains("refused"));
  const auto gone = [&](const char* name) { return c.job(name).is_null(); };
  for (int i = 0; i < 80 && !(c.job("g-1")["state"] == "done" && (gone("alone-1") || gone("alone-2"))); ++i) c.run(0.1);
  EXPECT_TRUE(gone("alone-1") || gone("alone-2"));
  EXPECT_EQ(c.job("g-1")["state"], "done") << "its group lives";
  EXPECT_EQ(c.job("g-2")["state"], "running");
  ASSERT_TRUE(c.run_to_end(200));
  c.run(3);
  EXPECT_EQ(c.call("ps")["jobs"].size(), 1U);
  EXPECT_EQ(c.call("ps")["jobs_forgotten"], 3);
}

TEST_F(Forgotten, AServerThatComesBackIsToldOfAllEndsThatAreKnown) {
  begin(5000);
  constexpr std::size_t kJobs = 1500;
  json all = json::array();
  for (std::size_t i = 0; i < kJobs; ++i) all.push_back(fmt::format("job-{}", i));
  ASSERT_EQ(c.submit(all.get<std::vector<std::string>>())["jobs"].size(), kJobs);
  ASSERT_EQ(c.call("cancel", {{"jobs", all}})["jobs"].size(), kJobs);
  c.run(20);
  EXPECT_EQ(server->ended_jobs.size(), kJobs);
  c.executor.kill("s1");
  c.run(10);
  auto& again = c.server("s1");
  c.run(20);
  EXPECT_EQ(again.ended_jobs.size(), kJobs);
}

TEST_F(Forgotten, NothingWhereThereIsRoom) {
  begin(1000);
  train({"a", "b"});
  EXPECT_EQ(c.call("ps")["jobs"].size(), 2U);
  EXPECT_EQ(c.call("ps")["jobs_forgotten"], 0);
}

}  // namespace
}  // namespace sluice::manager::test
