/// The manager alone: jobs from submission to their end, rounds, what is recorded, what is lost.
#include "manager/manager.h"

#include <sys/resource.h>

#include <cmath>
#include <csignal>

#include "base/rng.h"
#include "manager/fake_cluster_test.h"
#include "manager/view_json.h"

namespace sluice::manager::test {
namespace {

TEST(Manager, JobsWaitForServersThenForWorkersAndSaySo) {
  Cluster c;
  c.options.servers = 2;
  c.start();
  ASSERT_FALSE(c.submit({"a"}).contains("refused"));
  EXPECT_EQ(c.job("a")["reason"], "waiting for servers 0/2");
  auto& s1 = c.server("s1");
  auto& w = c.worker("w1", 2);
  c.run(1);
  EXPECT_EQ(c.job("a")["reason"], "waiting for servers 1/2");
  EXPECT_EQ(c.job("a")["state"], "waiting");
  EXPECT_FALSE(s1.table.made());
  EXPECT_TRUE(w.grant.assignments.empty() || w.grant.assignments[0].job == JobId{});
  c.server("s2");
  c.run(1);
  EXPECT_TRUE(s1.table.made());
  EXPECT_EQ(s1.table.servers.size(), 2U);
  EXPECT_TRUE(w.table.made());
  EXPECT_EQ(c.job("a")["state"], "running");
  EXPECT_EQ(c.job("a")["slots"], 2);
  c.executor.kill("w1");
  c.run(2);
  EXPECT_EQ(c.job("a")["reason"], "waiting for workers: there are no worker slots");
}

TEST(Manager, EveryJobTrainsToItsEndUnderEveryPolicyAndEverythingIsSummedUp) {
  for (const std::string& policy : builtin_policies().names()) {
    SCOPED_TRACE(policy);
    Cluster c;
    c.options.policy = policy;
    c.start();
    auto& server = c.server("s1");
    c.worker("w1", 2);
    const json submitted = c.submit({"a", "b", "c", "d", "e"});
    ASSERT_EQ(submitted["jobs"].size(), 5U);
    ASSERT_TRUE(c.run_to_end(200)) << c.call("ps").dump(1);
    const json summary = c.call("summary");
    EXPECT_EQ(summary["version"], 1);
    EXPECT_EQ(summary["policy"], policy);
    ASSERT_EQ(summary["jobs"].size(), 5U);
    for (const json& j : summary["jobs"]) {
      EXPECT_EQ(j["state"], "done") << j;
      EXPECT_EQ(j["steps"], 20000);
      EXPECT_EQ(j["metrics"]["accuracy"], 0.9);
      EXPECT_LT(j["final_loss"].get<double>(), j["first_loss"].get<double>());
      EXPECT_GT(j["seconds_to_90"].get<double>(), 0);
      EXPECT_LT(j["seconds_to_90"].get<double>(), j["seconds"].get<double>());
      EXPECT_GE(j["moves_in"].get<int>(), 1);
    }
    // Two slots, 5 × 20 s of work: nothing is idle for long.
    EXPECT_LT(summary["wall_seconds"].get<double>(), 60);
    EXPECT_GT(summary["aggregate"]["seconds_to_90_mean"].get<double>(), 0);
    c.run(5);
    EXPECT_EQ(server.ended_jobs.size(), 5U);
    std::ifstream file(c.folder + "/summary.json");
    EXPECT_EQ(json::parse(file)["jobs"], c.call("summary")["jobs"]);
    std::ifstream losses(c.folder + "/losses.csv");
    std::string header;
    std::getline(losses, header);
    EXPECT_EQ(header, "job,seconds,step,examples,loss,slots");
    std::ifstream validations(c.folder + "/validations.csv");
    std::vector<std::string> rows;
    for (std::string row; std::getline(validations, row);) rows.push_back(row);
    ASSERT_EQ(rows.size(), 6U) << "one scoring a job";
    EXPECT_EQ(rows[0], "job,seconds,step,examples,loss,metric,score");
    for (std::size_t i = 1; i < rows.size(); ++i) {
      EXPECT_NE(rows[i].find(",20000,100,"), std::string::npos) << rows[i];
      EXPECT_TRUE(rows[i].ends_with(",accuracy,0.9")) << rows[i];
    }
  }
}

/// What each worker slot is granted as the log tells it.
std::map<std::pair<std::string, int>, std::string> replayed(const std::vector<json>& log) {
  std::map<std::pair<std::string, int>, std::string> slots;
  for (const json& line : log) {
    if (line["kind"] != "round") continue;
    std::map<std::string, int> net;
    for (const json& m : line["moves"]) {
      std::string& held = slots[{m["worker"], m["slot"]}];
      EXPECT_EQ(held, m["from"].is_null() ? "" : m["from"].get<std::string>()) << line;
      held = m["to"].is_null() ? "" : m["to"].get<std::string>();
      if (!m["from"].is_null()) --net[m["from"]];
      if (!m["to"].is_null()) ++net[m["to"]];
    }
    // Every job touched has exactly one entry, which says the same.
    EXPECT_EQ(line["changes"].size(), net.size()) << line;
    for (const json& entry : line["changes"]) {
      EXPECT_EQ(entry["after"].get<int>() - entry["before"].get<int>(), net.at(entry["job"])) << line;
      EXPECT_FALSE(entry["sentence"].get<std::string>().empty()) << line;
      EXPECT_FALSE(entry["reason"].get<std::string>().empty()) << line;
    }
  }
  return slots;
}

TEST(Manager, EveryChangeOfASlotIsRecordedBeforeItIsGranted) {
  for (const std::string& policy : builtin_policies().names()) {
    Cluster c(7);
    c.options.policy = policy;
    c.start();
    c.server("s1");
    auto& w = c.worker("w1", 2);
    std::size_t grants = 0;
    w.on_grant = [&](const proto::Header& header) {
      const auto log = c.log();
      const auto slots = replayed(log);
      for (const auto& a : std::get<proto::Grant>(header.body).assignments) {
        if (a.job == JobId{}) continue;
        ++grants;
        // What is granted was recorded, under the decision it names.
        EXPECT_TRUE(std::any_of(log.begin(), log.end(), [&](const json& line) { return line["kind"] == "round" && line["decision"] == a.decision.value; }));
        if (header.envelope.decision.value == log.back().value("decision", 0U)) {
          const std::string held = slots.at({"w1", static_cast<int>(a.slot.value)});
          EXPECT_NE(held, "");
        }
      }
    };
    c.submit({"a", "b", "c", "d"});
    ASSERT_TRUE(c.run_to_end(200));
    EXPECT_GT(grants, 4U);
    for (const auto& [slot, job] : replayed(c.log())) EXPECT_EQ(job, "");
  }
}

TEST(Manager, TheRecordIsEnoughToDecideEachRoundAgain) {
  for (const std::string& policy : builtin_policies().names()) {
    Cluster c(9);
    c.options.policy = policy;
    c.start();
    c.server("s1");
    c.worker("w1", 2);
    c.worker("w2", 1);
    c.submit({"a", "b", "c", "d", "e"});
    ASSERT_TRUE(c.run_to_end(200));
    const auto registry = builtin_policies();
    const auto decider = (**registry.find(policy))();
    const auto memo = decider->make_memo();
    json view = json::object();
    std::size_t again = 0;
    for (const json& line : c.log()) {
      if (line["kind"] != "round") continue;
      view.merge_patch(line["view"]);
      const auto seen = view_from_json(view);
      ASSERT_TRUE(seen) << seen.error().what;
      const Decision decision = decider->decide(*seen, *memo);
      for (const json& entry : line["changes"]) {
        const auto it = std::find_if(decision.jobs.begin(), decision.jobs.end(), [&](const JobDecision& d) { return d.job.value == entry["id"]; });
        if (it == decision.jobs.end()) continue;  // it had ended
        EXPECT_EQ(it->slots, entry["after"]) << line;
        EXPECT_EQ(it->index, entry["index"]) << line;
        EXPECT_EQ(it->drop_with, entry["drop_with"]) << line;
        ++again;
      }
    }
    EXPECT_GT(again, policy == "fifo" ? 4U : 10U) << policy;  // five jobs, one after the other
  }
}

TEST(Manager, ALostWorkersSlotsVanishAtOnceAndItsIncarnationsAreRefusedForEver) {
  Cluster c;
  c.start();
  auto& server = c.server("s1");
  c.worker("w1", 1);
  auto& lost = c.worker("w2", 1);
  c.submit({"a", "b"});
  c.run(3);
  const std::vector<Incarnation> clients = lost.clients;
  const std::uint32_t id = lost.id;
  ASSERT_EQ(clients.size(), 1U);
  EXPECT_FALSE(server.table.is_expired(clients[0]));
  c.executor.kill("w2");
  c.run(1.2);
  const json ps = c.call("ps");
  EXPECT_EQ(ps["slots"], 1);
  EXPECT_NE(ps["problems"].dump().find("worker w2 lost"), std::string::npos);
  EXPECT_TRUE(server.table.is_expired(clients[0]));
  bool recorded = false;
  for (const json& line : c.log())
    if (line["kind"] == "round")
      for (const json& e : line["changes"]) recorded = recorded || e["reason"] == "worker_lost";
  EXPECT_TRUE(recorded);
  // The same name comes back: the same id, other incarnations, and no problem any more.
  auto& back = c.worker("w2", 1);
  c.run(1);
  EXPECT_EQ(back.id, id);
  EXPECT_NE(back.clients, clients);
  EXPECT_FALSE(server.table.is_expired(back.clients[0]));
  EXPECT_EQ(c.call("ps")["problems"].size(), 0U);
  ASSERT_TRUE(c.run_to_end(100));
}

TEST(Manager, ALostServerFailsItsJobsInWordsAndNewJobsRunOnTheOthers) {
  Cluster c;
  c.options.servers = 2;
  c.start();
  c.server("s1");
  c.server("s2");
  c.worker("w1", 2);
  c.submit({"a", "b", "c"});
  c.run(2);
  c.executor.kill("s2");
  c.run(5);
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(c.job(name)["state"], "failed");
    EXPECT_EQ(c.job(name)["reason"], "server s2 lost");
  }
  c.submit({"d"});
  ASSERT_TRUE(c.run_to_end(60)) << c.call("ps").dump(1);
  EXPECT_EQ(c.job("d")["state"], "done");
}

TEST(Manager, AManagerThatWasHeldUpBlamesNobodyForIt) {
  Cluster c;
  c.start();
  c.server("s1");
  c.worker("w1", 1);
  c.worker("w2", 1);
  c.submit({"a", "b"});
  for (int stall = 0; stall < 10; ++stall) {
    c.run(0.5);
    c.clock.advance_to(c.clock.now() + from_ms(3000));  // nobody runs
  }
  c.run(0.5);
  const json ps = c.call("ps");
  EXPECT_EQ(ps["slots"], 2);
  EXPECT_EQ(ps["problems"].size(), 0U) << ps["problems"].dump();
  EXPECT_NE(c.job("a")["state"], "failed");
  // Who is silent without such a reason is lost as ever.
  c.executor.kill("w2");
  c.run(1.2);
  EXPECT_EQ(c.call("ps")["slots"], 1);
}

TEST(Manager, AFaultFailsItsOwnJobWithItsOwnWords) {
  Cluster c;
  c.start();
  c.server("s1");
  auto& w = c.worker("w1", 2);
  c.submit({"good", "bad"});
  c.run(1);
  w.fault(JobId{2}, "bad_data", "row 7 of train: no label");
  c.run(0.1);
  EXPECT_EQ(c.job("bad")["state"], "failed");
  EXPECT_EQ(c.job("bad")["reason"], "row 7 of train: no label");
  for (const auto& a : w.grant.assignments) EXPECT_NE(a.job, JobId{2});
  ASSERT_TRUE(c.run_to_end(60));
  EXPECT_EQ(c.job("good")["state"], "done");
  const json summary = c.call("summary");
  for (const json& j : summary["jobs"])
    if (j["job"] == "bad") { EXPECT_EQ(j["code"], "bad_data"); }
}

TEST(Manager, ALossThatJumpsParksTheJobAndItStillEnds) {
  Cluster c;
  c.start();
  c.server("s1");
  c.worker("w1", 1);
  c.world.jobs[JobId{1}].loss = [](double step) { return step < 800 ? 2 - step / 1000 : 1e9; };  // until then it is worth a slot
  c.submit({"wild", "tame"});
  c.run(12);
  EXPECT_EQ(c.job("wild")["phase"], "diverging");
  EXPECT_EQ(c.job("wild")["slots"], 0);
  EXPECT_NE(c.job("wild")["reason"].get<std::string>().find("jumped"), std::string::npos);
  ASSERT_TRUE(c.run_to_end(100));
  EXPECT_EQ(c.job("wild")["state"], "done");
}

TEST(Manager, ARestartedManagerFindsJobsAndSlotTableAndMembersKeepTheirIds) {
  Cluster c;
  c.options.servers = 2;
  c.start();
  auto& s1 = c.server("s1");
  auto& s2 = c.server("s2");
  auto& w = c.worker("w1", 2);
  c.submit({"a", "b"});
  c.run(3);
  const auto before = s1.table;
  const auto clients = w.clients;
  const std::uint32_t ids[] = {s1.id, s2.id, w.id};
  const Term term = w.term;
  c.executor.kill("manager");
  c.run(2);
  c.start();
  c.run(3);
  EXPECT_GT(w.term, term);
  EXPECT_EQ(s1.id, ids[0]);
  EXPECT_EQ(s2.id, ids[1]);
  EXPECT_EQ(w.id, ids[2]);
  EXPECT_EQ(s1.table.slots, before.slots);
  EXPECT_GT(s1.table.version, before.version);
  for (const Incarnation old : clients) EXPECT_TRUE(s1.table.is_expired(old));
  for (const Incarnation fresh : w.clients) EXPECT_FALSE(s1.table.is_expired(fresh));
  EXPECT_EQ(c.job("a")["state"], "running");
  ASSERT_TRUE(c.run_to_end(100)) << c.call("ps").dump(1);
  EXPECT_EQ(c.job("b")["step"], 20000);
  const json again = c.submit({"c"});
  EXPECT_EQ(again["jobs"][0]["id"], 3);
  std::uint64_t last = 0;  // decisions go on counting
  for (const json& line : c.log()) {
    if (line["kind"] != "round") continue;
    EXPECT_GT(line["decision"], last);
    last = line["decision"];
  }
}

TEST(Manager, AGrantIsSentAgainUntilItIsAcknowledged) {
  Cluster c;
  c.start();
  c.server("s1");
  auto& w = c.worker("w1", 1);
  w.deaf = true;
  int grants = 0;
  w.on_grant = [&](const proto::Header&) { ++grants; };
  c.submit({"a"});
  c.run(2);
  EXPECT_GE(grants, 6);
  w.deaf = false;
  c.run(0.5);
  grants = 0;
  c.run(2);
  EXPECT_EQ(grants, 0);
}

/// Twelve exploratory jobs of 15 slot-seconds each on two slots: some learn all they can in the first second, some all their life, some nothing. Mean seconds
/// to 90 % of each job's own drop.
double seconds_to_90(const std::string& policy, std::uint64_t seed) {
  Cluster c(seed);
  c.options.policy = policy;
  c.start();
  c.server("s1");
  c.worker("w1", 2);
  std::vector<std::string> names;
  for (std::uint64_t id = 1; id <= 12; ++id) {
    auto& job = c.world.jobs[JobId{id}];
    job.steps_total = 15000;
    SeededRng rng(mix64(seed, id));
    const double tau = 150 * std::pow(40, rng.uniform()), range = 0.5 + 2 * rng.uniform(), floor = 0.1 + rng.uniform(), power = 0.7 + rng.uniform();
    const bool exponential = rng.below(2) == 0;
    job.loss = [=, noise = SeededRng(seed + id)](double step) mutable {
      const double shape = exponential ? std::exp(-step / tau) : std::pow(1 + step / tau, -power);
      return (floor + range * shape) * (1 + 0.01 * (noise.uniform() - 0.5));
    };
    names.push_back(fmt::format("job-{}", id));
  }
  c.submit(names);
  EXPECT_TRUE(c.run_to_end(300));
  const json summary = c.call("summary");
  EXPECT_EQ(summary["aggregate"]["seconds_to_90_reached"], 12) << policy << seed;
  return summary["aggregate"]["seconds_to_90_mean"];
}

TEST(Manager, SlaqReachesNinetyPercentSoonerThanFair) {
  double fair = 0, slaq = 0;
  for (const std::uint64_t seed : {1U, 3U}) {
    fair += seconds_to_90("fair", seed);
    slaq += seconds_to_90("slaq", seed);
  }
  // A greedy that knew these curves exactly would be at .80; it evens out slopes, and so lets many jobs come to 90 % at about the same time.
  EXPECT_LT(slaq, 0.93 * fair);
}

TEST(Manager, AFullDiskIsAProblemThatIsNamedAndTrainingGoesOn) {
  Cluster c;
  c.start();
  c.server("s1");
  c.worker("w1", 1);
  c.submit({"a", "b", "c"});
  c.run(3);
  // A limit on the size of files makes write() fail as a full disk does.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = 600;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const double steps = c.job("a")["step"].get<double>() + c.job("b")["step"].get<double>() + c.job("c")["step"].get<double>();
  c.run(6);
  const json full = c.call("ps");
  const double later = c.job("a")["step"].get<double>() + c.job("b")["step"].get<double>() + c.job("c")["step"].get<double>();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  EXPECT_NE(full["problems"].dump().find("decisions.jsonl: File too large"), std::string::npos) << full["problems"];
  EXPECT_GT(later, steps + 4000);
  EXPECT_TRUE(c.run_to_end(100));
  EXPECT_EQ(c.call("ps")["problems"].size(), 0U) << "over when there is room again";
  for (const json& line : c.log()) EXPECT_TRUE(line.is_object());
  std::ifstream summary(c.folder + "/summary.json");
  EXPECT_EQ(json::parse(summary)["jobs"].size(), 3U);
}

}  // namespace
}  // namespace sluice::manager::test
