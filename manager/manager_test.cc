/// The manager alone, among made-up servers and workers: all in one thread, in simulated time, from a seed.
#include "manager/manager.h"

#include <sys/resource.h>

#include <csignal>

#include "base/rng.h"
#include "manager/fake_members_test.h"
#include "manager/policy.h"
#include "manager/view_json.h"

namespace sluice::manager::test {
namespace {

using nlohmann::json;

std::string fresh_folder() {
  static int number = 0;
  return (std::filesystem::temp_directory_path() / fmt::format("sluice-manager-{}-{}", ::getpid(), number++)).string();
}

proto::JobSpec spec(const std::string& name) {
  proto::JobSpec out;
  out.name = name;
  out.model = "softmax";
  out.data.name = "data";
  out.data.format = "libsvm";
  out.data.train = {"/data/train"};
  return out;
}

class Cluster {
 public:
  explicit Cluster(std::uint64_t seed = 1) : transport_(clock), executor(clock, seed, [this] { return transport_.next_delivery(); }) {
    options.listen = "inproc://manager";
    options.state_dir = folder;
    options.on_fatal = [](const Error& error) { ADD_FAILURE() << error.what; };
  }
  ~Cluster() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  net::Runtime runtime() { return {clock, transport_, executor, 1}; }
  void start() {
    const auto started = start_manager(options, runtime());
    ASSERT_TRUE(started) << started.error().what;
  }
  FakeServer& server(const std::string& name) {
    auto made = std::make_unique<FakeServer>(runtime(), options.listen, name, world);
    FakeServer& ref = *made;
    executor.start(name, std::move(made));
    return ref;
  }
  FakeWorker& worker(const std::string& name, std::uint32_t slots) {
    auto made = std::make_unique<FakeWorker>(runtime(), options.listen, name, slots, world);
    FakeWorker& ref = *made;
    executor.start(name, std::move(made));
    return ref;
  }
  void run(double seconds) {
    const Instant limit = clock.now() + from_seconds(seconds);
    (void)executor.run_until([&] { return clock.now() >= limit; }, limit);
    clock.advance_to(limit);
  }
  json call(const std::string& verb, const json& arguments = json::object()) { return call_text(verb, arguments.dump()); }
  json call_text(const std::string& verb, const std::string& arguments) {
    net::Channel channel(*transport_.connect(options.listen), clock);
    proto::Header h;
    h.body = proto::Call{verb, arguments};
    (void)channel.request(std::move(h), {}, clock.now() + from_ms(5000));
    for (int i = 0; i < 5000; ++i) {
      channel.step();
      if (auto done = channel.next()) {
        if (!done->answer) return {{"error", done->answer.error().what}};
        if (const auto* reply = std::get_if<proto::CallReply>(&done->answer->header.body)) return json::parse(reply->json);
        const auto& refused = std::get<proto::Refused>(done->answer->header.body);
        return {{"refused", refused.text}, {"code", refused.code}};
      }
      run(0.001);
    }
    return {{"error", "not answered"}};
  }
  json submit(const std::vector<std::string>& names) {
    json jobs = json::array();
    for (const auto& name : names) jobs.push_back(json::parse(proto::to_json(spec(name))));
    return call("submit", {{"jobs", jobs}});
  }
  json job(const std::string& name) {
    const json ps = call("ps");
    for (const auto& j : ps["jobs"])
      if (j["job"] == name) return j;
    return {};
  }
  std::vector<json> log() const {
    std::vector<json> lines;
    std::ifstream in(folder + "/decisions.jsonl");
    for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
    return lines;
  }
  bool run_to_end(double seconds) {
    const Instant limit = clock.now() + from_seconds(seconds);
    while (clock.now() < limit) {
      run(0.25);
      const json ps = call("ps");
      bool over = true;
      for (const auto& j : ps["jobs"]) over = over && (j["state"] == "done" || j["state"] == "failed");
      if (over) return true;
    }
    return false;
  }

  const std::string folder = fresh_folder();
  SimClock clock;
  World world;
  ManagerOptions options;

 private:
  net::InprocTransport transport_;

 public:
  SimExecutor executor;
};

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
      const Decision decision = decider->decide(*seen, {}, *memo);
      for (const json& entry : line["changes"]) {
        const auto it = std::find_if(decision.jobs.begin(), decision.jobs.end(), [&](const JobDecision& d) { return d.job.value == entry["id"]; });
        if (it == decision.jobs.end()) continue;  // it had ended
        EXPECT_EQ(it->slots, entry["after"]) << line;
        EXPECT_EQ(it->index, entry["index"]) << line;
        EXPECT_EQ(it->drop_with, entry["drop_with"]) << line;
        ++again;
      }
    }
    EXPECT_GT(again, 10U);
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
  c.world.jobs[JobId{1}].loss = [](double step) { return step < 800 ? 2.0 : 1e9; };
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

TEST(Manager, MisuseIsAnsweredInWords) {
  Cluster c;
  c.start();
  c.server("s1");
  c.worker("w1", 1);
  c.run(1);
  ASSERT_FALSE(c.submit({"a"}).contains("refused"));
  const auto refused = [&](const json& answer, const std::string& code, const std::string& words) {
    EXPECT_EQ(answer.value("code", ""), code) << answer;
    EXPECT_NE(answer.value("refused", "").find(words), std::string::npos) << answer;
  };
  refused(c.submit({"a"}), "bad_config", "'a'");
  refused(c.submit({"x", "x"}), "bad_config", "'x'");
  refused(c.call("submit"), "bad_config", "jobs");
  refused(c.call("submit", {{"jobs", {{{"name", "z"}}}}}), "bad_config", "");
  refused(c.call_text("ps", "{"), "bad_config", "ps");
  refused(c.call_text("ps", "[1]"), "bad_config", "object");
  refused(c.call("psx"), "bad_config", "did you mean 'ps'");
  refused(c.call("explain", {{"job", "b"}}), "not_found", "unknown job 'b'");
  refused(c.call("explain", {{"job", 7}}), "bad_config", "explain");
  const json explained = c.call("explain", {{"job", "a"}});
  ASSERT_EQ(explained.value("jobs", json::array()).size(), 1U) << explained;
  ASSERT_EQ(explained["jobs"][0]["decisions"].size(), 1U) << explained;
  EXPECT_EQ(explained["jobs"][0]["decisions"][0]["after"], 1);
  auto& twin = c.worker("w1", 1);
  c.run(1.5);
  ASSERT_FALSE(twin.refused.empty());
  EXPECT_EQ(twin.refused.back().code, "denied");
  EXPECT_NE(twin.refused.back().text.find("there is a worker named 'w1' already"), std::string::npos);
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

TEST(Manager, ARepeatedSubmitIsAnsweredAsTheFirstWas) {
  Cluster c;
  c.start();
  auto connection = *c.runtime().transport.connect(c.options.listen);
  proto::Header h;
  h.envelope.request = 77;
  h.body = proto::Call{"submit", json{{"jobs", {json::parse(proto::to_json(spec("a")))}}}.dump()};
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
  EXPECT_EQ(c.call("ps")["jobs"].size(), 1U);
}

TEST(Manager, StartIsRefusedForAnUnknownPolicyATakenAddressOrFolder) {
  Cluster c;
  c.options.policy = "fare";
  auto refused = start_manager(c.options, c.runtime());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kBadConfig);
  EXPECT_NE(refused.error().what.find("did you mean 'fair'"), std::string::npos);
  c.options.policy = "fair";
  std::string ready;
  c.options.on_ready = [&](const std::string& address) { ready = address; };
  c.start();
  EXPECT_EQ(ready, "inproc://manager");
  refused = start_manager(c.options, c.runtime());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kCannotConnect);
  EXPECT_NE(refused.error().what.find("is in use by pid"), std::string::npos);
  c.options.state_dir = fresh_folder();
  refused = start_manager(c.options, c.runtime());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kCannotConnect);
  std::filesystem::remove_all(c.options.state_dir);
}

TEST(Manager, ShutdownEndsItWithASummary) {
  Cluster c;
  c.start();
  EXPECT_EQ(c.call("shutdown")["version"], 1);
  c.run(0.1);
  EXPECT_FALSE(c.executor.kill("manager"));
  EXPECT_TRUE(std::filesystem::exists(c.folder + "/summary.json"));
}

}  // namespace
}  // namespace sluice::manager::test
