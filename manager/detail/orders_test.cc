/// The manager alone: what people order of it, and what follows.
#include <sys/resource.h>

#include <algorithm>
#include <csignal>

#include "manager/fake_cluster_test.h"
#include "manager/manager.h"

namespace sluice::manager::test {
namespace {

json names(std::initializer_list<const char*> jobs) { return {{"jobs", std::vector<std::string>(jobs.begin(), jobs.end())}}; }

void expect_refused(const json& answer, const std::string& code, const std::string& words) {
  EXPECT_EQ(answer.value("code", ""), code) << answer;
  EXPECT_NE(answer.value("refused", "").find(words), std::string::npos) << answer;
}

/// The newest line of that kind that names the job in `changes` or itself; its entry.
json entry(const Cluster& c, const std::string& kind, const std::string& job) {
  json out;
  for (const json& line : c.log()) {
    if (line["kind"] != kind) continue;
    if (line.value("job", "") == job) out = line;
    for (const json& change : line.value("changes", json::array()))
      if (change["job"] == job) out = change;
  }
  return out;
}

class Orders : public testing::TestWithParam<std::string> {
 protected:
  void begin(std::uint32_t slots, const std::vector<std::string>& jobs) {
    c.options.policy = GetParam();
    c.start();
    server = &c.server("s1");
    worker = &c.worker("w1", slots);
    c.run(1);
    ASSERT_FALSE(c.submit(jobs).contains("refused"));
    c.run(3);
  }
  [[nodiscard]] std::size_t granted(std::uint64_t job) const {
    return static_cast<std::size_t>(
        std::count_if(worker->grant.assignments.begin(), worker->grant.assignments.end(), [&](const auto& a) { return a.job == JobId{job}; }));
  }
  /// What the job has once it has any: a policy may give all slots to one job for a while.
  [[nodiscard]] std::size_t held(std::uint64_t job) {
    for (int i = 0; i < 100 && granted(job) == 0; ++i) c.run(0.1);
    return granted(job);
  }
  Cluster c;
  FakeServer* server = nullptr;
  FakeWorker* worker = nullptr;
};

TEST_P(Orders, ACancelledJobsSlotsGoToOthersAtOnceAndItsTablesAreFreed) {
  begin(2, {"a", "b"});
  const std::size_t before = held(1);
  ASSERT_GE(before, 1U);
  const json answer = c.call("cancel", names({"a"}));
  ASSERT_EQ(answer["jobs"].size(), 1U) << answer;
  EXPECT_EQ(answer["jobs"][0]["state"], "cancelled");
  EXPECT_EQ(answer["jobs"][0]["changed"], true);
  c.run(0.05);  // no timer is waited for
  EXPECT_EQ(granted(1), 0U);
  EXPECT_EQ(granted(2), 2U);
  EXPECT_EQ(c.job("a")["state"], "cancelled");
  EXPECT_EQ(c.job("a")["slots"], 0);
  const json change = entry(c, "round", "a"), asked = entry(c, "asked", "a");
  EXPECT_EQ(change["reason"], "cancelled");
  EXPECT_EQ(change["before"], before);
  EXPECT_EQ(change["after"], 0);
  EXPECT_EQ(change["sentence"], "as asked");
  EXPECT_EQ(asked["reason"], "cancelled");
  EXPECT_EQ(asked["sentence"], before == 1 ? "cancelled; it was running with 1 worker slot" : "cancelled; it was running with 2 worker slots");
  c.run(4);
  EXPECT_TRUE(server->ended_jobs.contains(JobId{1}));
  const json again = c.call("cancel", names({"a"}));
  EXPECT_EQ(again["jobs"][0]["changed"], false);
  EXPECT_EQ(again["jobs"][0]["sentence"], "was cancelled already");
  ASSERT_TRUE(c.run_to_end(60));
  EXPECT_EQ(c.job("b")["state"], "done");
  EXPECT_EQ(c.call("cancel", names({"b"}))["jobs"][0]["sentence"], "is done already: nothing to cancel");
  const json explained = c.call("explain", {{"job", "a"}})["jobs"][0];
  EXPECT_EQ(explained["now"]["reason"], "cancelled");
  EXPECT_EQ(explained["asked"].size(), 1U);
  const json summary = c.call("summary")["jobs"][0];
  EXPECT_EQ(summary["state"], "cancelled");
  EXPECT_TRUE(summary["code"].is_null());
}

TEST_P(Orders, APausedJobHoldsNoSlotUntilItIsResumedAndThenComesToItsEnd) {
  begin(2, {"a", "b"});
  ASSERT_GE(held(1), 1U);
  ASSERT_EQ(c.call("pause", names({"a"}))["jobs"][0]["state"], "paused");
  c.run(0.05);
  EXPECT_EQ(granted(1), 0U);
  EXPECT_EQ(granted(2), 2U);
  EXPECT_EQ(entry(c, "round", "a")["reason"], "paused");
  EXPECT_EQ(c.job("a")["reason"], "it holds no worker slots until it is resumed");
  c.run(1);
  const json before = c.job("a");
  EXPECT_EQ(before["state"], "paused");
  EXPECT_GT(before["step"], 1000);
  for (int i = 0; i < 20; ++i) {
    c.run(0.5);
    EXPECT_EQ(granted(1), 0U);
  }
  EXPECT_EQ(c.job("a")["step"], before["step"]);
  EXPECT_EQ(c.job("a")["loss"], before["loss"]);
  EXPECT_GT(c.job("a")["seconds"], before["seconds"]) << "its time goes on";
  EXPECT_EQ(c.call("pause", names({"a"}))["jobs"][0]["changed"], false);
  const json resumed = c.call("resume", names({"a", "a"}));
  EXPECT_EQ(resumed["jobs"][0]["sentence"], "resumed") << resumed;
  EXPECT_EQ(resumed["jobs"][1]["sentence"], "is not paused");
  ASSERT_TRUE(c.run_to_end(60)) << c.call("ps").dump(1);
  EXPECT_EQ(c.job("a")["state"], "done");
  EXPECT_EQ(c.job("a")["step"], 20000);
  EXPECT_EQ(entry(c, "asked", "a")["reason"], "resumed");
  expect_refused(c.call("pause", names({"a"})), "bad_config", "job 'a' is done: it can't be paused");
  expect_refused(c.call("resume", names({"a"})), "bad_config", "job 'a' is done: it can't be resumed");
}

TEST_P(Orders, WhenAllArePausedTheSlotsAreIdleAndAMinimumDoesNotCount) {
  begin(3, {"a", "b", "c"});
  ASSERT_TRUE(c.call("set", {{"job", "a"}, {"values", {{"slots.min", 2}}}}).contains("jobs"));
  c.run(0.05);
  EXPECT_GE(granted(1), 2U);
  ASSERT_TRUE(c.call("pause", names({"a", "b", "c"})).contains("jobs"));
  c.run(2);
  EXPECT_EQ(granted(1) + granted(2) + granted(3), 0U);
  ASSERT_TRUE(c.call("resume", names({"b"})).contains("jobs"));
  c.run(0.05);
  EXPECT_EQ(granted(2), 3U) << "all that the paused ones leave";
}

TEST_P(Orders, ChangedLimitsHoldFromTheNextRoundOn) {
  begin(4, {"a", "b"});
  const json answer = c.call("set", {{"job", "a"}, {"values", {{"slots.max", 1}, {"weight", 2}}}});
  ASSERT_TRUE(answer.contains("jobs")) << answer;
  EXPECT_EQ(answer["jobs"][0]["sentence"], "weight 1 → 2, slots.max 1024 → 1");
  c.run(0.05);
  EXPECT_EQ(granted(1), 1U);
  EXPECT_EQ(granted(2), 3U);
  const json shown = c.job("a"), explained = c.call("explain", {{"job", "a"}})["jobs"][0];
  for (const json& j : {shown, explained}) {
    EXPECT_EQ(j["weight"], 2);
    EXPECT_EQ(j["slots_min"], 0);
    EXPECT_EQ(j["slots_max"], 1);
  }
  EXPECT_EQ(explained["asked"][0]["reason"], "changed");
  EXPECT_EQ(c.call("set", {{"job", "a"}, {"values", {{"weight", 2}}}})["jobs"][0]["changed"], false);
  expect_refused(c.call("set", {{"job", "a"}, {"values", {{"slots.min", 2}}}}), "bad_config", "slots.min 2 would be above slots.max 1");
  expect_refused(c.call("set", {{"job", "a"}, {"values", {{"epochs", 2}, {"weight", 5}}}}), "bad_config", "'epochs' cannot be changed");
  EXPECT_EQ(c.job("a")["weight"], 2) << "all or none";
  ASSERT_TRUE(c.call("set", {{"job", "a"}, {"values", {{"slots.max", 3}, {"slots.min", 3}}}}).contains("jobs"));
  c.run(0.05);
  EXPECT_EQ(granted(1), 3U);
  ASSERT_TRUE(c.run_to_end(60));
  expect_refused(c.call("set", {{"job", "a"}, {"values", {{"weight", 3}}}}), "bad_config", "job 'a' is done");
}

TEST_P(Orders, ARestartedManagerKnowsThem) {
  begin(2, {"a", "b", "c"});
  ASSERT_TRUE(c.call("pause", names({"a"})).contains("jobs"));
  ASSERT_TRUE(c.call("cancel", names({"b"})).contains("jobs"));
  ASSERT_TRUE(c.call("set", {{"job", "c"}, {"values", {{"weight", 3}, {"slots.max", 1}}}}).contains("jobs"));
  c.executor.kill("manager");
  c.run(2);
  c.start();
  c.run(3);
  EXPECT_EQ(c.job("a")["state"], "paused");
  EXPECT_EQ(c.job("b")["state"], "cancelled");
  EXPECT_EQ(c.job("c")["weight"], 3);
  EXPECT_EQ(granted(1), 0U);
  EXPECT_EQ(granted(3), 1U);
  ASSERT_TRUE(c.call("resume", names({"a"})).contains("jobs"));
  ASSERT_TRUE(c.run_to_end(100)) << c.call("ps").dump(1);
  EXPECT_EQ(c.job("a")["state"], "done");
}

TEST_P(Orders, UnknownNamesChangeNothing) {
  begin(1, {"mlp-1", "mlp-2"});
  for (const char* verb : {"cancel", "pause", "resume"}) {
    expect_refused(c.call(verb, names({"mlp-1", "mpl-2"})), "not_found", "unknown job 'mpl-2'; did you mean 'mlp-2'?");
    expect_refused(c.call(verb), "bad_config", "\"jobs\"");
    expect_refused(c.call(verb, {{"jobs", json::array()}}), "bad_config", "\"jobs\"");
    expect_refused(c.call(verb, {{"jobs", {1}}}), "bad_config", verb);
  }
  expect_refused(c.call("set", {{"job", "x"}, {"values", {{"weight", 1}}}}), "not_found", "unknown job 'x'");
  expect_refused(c.call("set", {{"job", "mlp-1"}}), "bad_config", "\"values\"");
  expect_refused(c.call("set", {{"job", 3}, {"values", json::object()}}), "bad_config", "set");
  EXPECT_NE(c.job("mlp-1")["state"], "cancelled");
  EXPECT_NE(c.job("mlp-1")["state"], "paused");
}

TEST_P(Orders, AJobThatWaitsForServersCanBeOrderedToo) {
  c.options.policy = GetParam();
  c.start();
  ASSERT_FALSE(c.submit({"a", "b", "c"}).contains("refused"));
  ASSERT_TRUE(c.call("pause", names({"a"})).contains("jobs"));
  ASSERT_TRUE(c.call("cancel", names({"b"})).contains("jobs"));
  c.server("s1");
  c.worker("w1", 1);
  c.run(30);
  EXPECT_EQ(c.job("a")["step"], 0);
  EXPECT_EQ(c.job("b")["step"], 0);
  EXPECT_EQ(c.job("c")["state"], "done");
}

INSTANTIATE_TEST_SUITE_P(AllPolicies, Orders, testing::ValuesIn(builtin_policies().names()), [](const auto& p) {
  std::string name = p.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Manager, ARepeatedOrderIsAnsweredAsTheFirstWas) {
  Cluster c;
  c.start();
  ASSERT_FALSE(c.submit({"a"}).contains("refused"));
  auto connection = *c.runtime().transport.connect(c.options.listen);
  proto::Header h;
  h.envelope.request = 78;
  h.body = proto::Call{"cancel", names({"a"}).dump()};
  std::vector<std::string> answers;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(connection->send({{net::Frame::from(proto::encode(h))}}));
    c.run(0.1);
    const auto message = connection->receive();
    ASSERT_TRUE(message);
    const auto answer = proto::decode(message->frames[0].bytes());
    ASSERT_TRUE(answer);
    ASSERT_TRUE(std::holds_alternative<proto::CallReply>(answer->body));
    answers.push_back(std::get<proto::CallReply>(answer->body).json);
  }
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_EQ(json::parse(answers[1])["jobs"][0]["changed"], true);
}

TEST(Manager, AnOrderThatCannotBeStoredIsDoneAndSaysWhatIsWrong) {
  Cluster c;
  c.start();
  c.server("s1");
  auto& worker = c.worker("w1", 1);
  c.submit({"a"});
  c.run(2);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = 600;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const json answer = c.call("pause", names({"a"}));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  expect_refused(answer, "io", "could not be stored");
  c.run(2);
  EXPECT_EQ(worker.grant.assignments[0].job, JobId{});
  c.executor.kill("manager");
  c.start();
  c.run(1);
  EXPECT_EQ(c.job("a")["state"], "paused") << "stored as soon as there was room";
}

}  // namespace
}  // namespace sluice::manager::test
