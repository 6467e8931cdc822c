/// The manager alone: what people ask of it, rightly and wrongly, and how it begins and ends.
#include "manager/fake_cluster_test.h"
#include "manager/manager.h"

namespace sluice::manager::test {
namespace {

TEST(Manager, TimesOfALaterJobCountFromItsOwnSubmission) {
  Cluster c;
  c.start();
  c.server("s1");
  c.worker("w1", 2);
  c.submit({"a"});
  c.run(15);
  c.submit({"b"});
  ASSERT_TRUE(c.run_to_end(60));
  const json summary = c.call("summary"), a = summary["jobs"][0], b = summary["jobs"][1];
  EXPECT_EQ(a["submitted_seconds"], 0);
  EXPECT_NEAR(b["submitted_seconds"].get<double>(), 15, 0.5);
  EXPECT_LT(b["seconds"].get<double>(), 20) << "two slots";
  EXPECT_NEAR(summary["wall_seconds"].get<double>(), 15 + b["seconds"].get<double>(), 0.5);
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
