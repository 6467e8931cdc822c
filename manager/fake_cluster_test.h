#pragma once
/// For tests of the manager alone, among made-up servers and workers: all in one thread, in simulated time, from a seed.

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "manager/fake_members_test.h"
#include "manager/policy.h"

namespace sluice::manager::test {

using nlohmann::json;

inline std::string fresh_folder() {
  static int number = 0;
  return (std::filesystem::temp_directory_path() / fmt::format("sluice-manager-{}-{}", ::getpid(), number++)).string();
}

inline proto::JobSpec spec(const std::string& name) {
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
      for (const auto& j : ps["jobs"]) over = over && (j["state"] == "done" || j["state"] == "failed" || j["state"] == "cancelled");
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

}  // namespace sluice::manager::test
