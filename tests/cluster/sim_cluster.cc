#include "tests/cluster/sim_cluster.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/assert.h"
#include "base/rng.h"
#include "manager/manager.h"
#include "net/channel.h"
#include "server/server.h"
#include "worker/worker.h"

namespace sluice::test {

namespace {
constexpr const char* kManager = "inproc://manager";
/// A batch costs simulated time, so that jobs of a few hundred batches live through many rounds.
constexpr Duration kStepCost = from_us(500);

std::filesystem::path make_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-cluster-XXXXXX").string();
  return mkdtemp(name.data()) == nullptr ? std::filesystem::temp_directory_path() : std::filesystem::path(name);
}
}  // namespace

/// The client verbs' side of the manager connection, stepped by the test itself.
struct SimCluster::Caller {
  Caller(std::unique_ptr<net::Connection> connection, Clock& clock) : channel(std::move(connection), clock) {}
  net::Channel channel;
};

SimCluster::SimCluster(const SimOptions& options) : options_(options), folder_(make_folder()) {
  net::InprocOptions inproc;
  inproc.faults = options.faults;
  inproc.faults.seed = mix64(options.seed, 77);
  transport_ = std::make_unique<net::InprocTransport>(clock_, inproc);
  executor_ = std::make_unique<SimExecutor>(
      clock_, options.seed, [this] { return transport_->next_delivery(); }, kStepCost);
  const auto on_fatal = [this](const Error& error) { fatal.push_back(error); };

  manager::ManagerOptions manager;
  manager.listen = kManager;
  manager.state_dir = (folder_ / "state").string();
  manager.out_dir = (folder_ / "out").string();
  manager.servers = options.servers;
  manager.policy = options.policy;
  manager.on_fatal = on_fatal;
  const net::Runtime runtime{clock_, *transport_, *executor_, options.seed};
  const auto started = manager::start_manager(manager, runtime);
  EXPECT_TRUE(started.has_value()) << (started ? "" : started.error().what);

  for (std::uint32_t i = 1; i <= options.servers; ++i) {
    server::ServerOptions server;
    server.name = fmt::format("server-{}", i);
    server.manager = kManager;
    server.listen = "inproc://" + server.name + "-{}";
    server.lanes = options.lanes;
    server.on_fatal = on_fatal;
    const auto ok = server::start_server(server, runtime);
    EXPECT_TRUE(ok.has_value()) << (ok ? "" : ok.error().what);
  }
  for (std::uint32_t i = 1; i <= options.workers; ++i) start_worker(fmt::format("worker-{}", i));
  auto connection = transport_->connect(kManager);
  caller_ = std::make_unique<Caller>(std::move(*connection), clock_);
}

SimCluster::~SimCluster() {
  caller_.reset();
  executor_.reset();
  transport_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void SimCluster::start_worker(const std::string& name) {
  worker::WorkerOptions worker;
  worker.name = name;
  worker.manager = kManager;
  worker.slots = options_.slots;
  worker.cache_dir = (folder_ / "cache").string();
  worker.on_fatal = [this](const Error& error) { fatal.push_back(error); };
  const auto ok = worker::start_worker(worker, test_models(recording), net::Runtime{clock_, *transport_, *executor_, options_.seed});
  EXPECT_TRUE(ok.has_value()) << (ok ? "" : ok.error().what);
}

nlohmann::json SimCluster::call(const std::string& verb, const nlohmann::json& arguments) {
  proto::Header header;
  header.body = proto::Call{verb, arguments.dump()};
  const Instant limit = clock_.now() + from_ms(20'000);
  if (!caller_->channel.request(header, {}, limit)) return {};
  std::optional<net::Completion> completion;
  const auto answered = [&] {
    caller_->channel.step();
    if (!completion) completion = caller_->channel.next();
    return completion.has_value();
  };
  // Steps of a millisecond: the caller is no actor, so its own timers don't move the clock.
  while (!answered() && clock_.now() < limit) {
    const Instant next = clock_.now() + from_ms(1);
    (void)executor_->run_until(answered, next);
    clock_.advance_to(next);
  }
  if (!completion || !completion->answer) {
    ADD_FAILURE() << verb << " was not answered: " << (completion ? completion->answer.error().what : "no completion");
    return {};
  }
  const proto::Header& answer = completion->answer->header;
  if (const auto* reply = std::get_if<proto::CallReply>(&answer.body)) return nlohmann::json::parse(reply->json);
  const auto* refused = std::get_if<proto::Refused>(&answer.body);
  return {{"refused", refused != nullptr ? refused->text : "?"}};
}

void SimCluster::submit(const std::vector<proto::JobSpec>& specs) {
  nlohmann::json jobs = nlohmann::json::array();
  for (const auto& spec : specs) jobs.push_back(nlohmann::json::parse(proto::to_json(spec)));
  const auto answer = call("submit", {{"jobs", jobs}});
  EXPECT_FALSE(answer.contains("refused")) << answer;
}

bool SimCluster::run_to_end(double seconds) {
  const Instant limit = clock_.now() + from_seconds(seconds);
  while (clock_.now() < limit) {
    run_for(0.2);
    const auto status = ps();
    bool all = !status["jobs"].empty();
    for (const auto& j : status["jobs"]) all = all && (j["state"] == "done" || j["state"] == "failed" || j["state"] == "cancelled");
    if (all) return true;
  }
  return false;
}

void SimCluster::run_for(double seconds) {
  const Instant limit = clock_.now() + from_seconds(seconds);
  (void)executor_->run_until([] { return false; }, limit);
  clock_.advance_to(limit);
}

void SimCluster::kill(const std::string& role) { EXPECT_GT(executor_->kill(role), 0U) << "nothing is called " << role; }

std::vector<nlohmann::json> SimCluster::decisions() const {
  std::vector<nlohmann::json> lines;
  std::ifstream file(folder_ / "out" / "decisions.jsonl");
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

namespace {

class CountingModel final : public worker::Model {
 public:
  [[nodiscard]] std::vector<worker::TableDecl> tables() const override { return {{"count", proto::TableKind::kDense, 1, 1, {}}}; }
  void keys(const worker::Batch&, std::vector<std::vector<Key>>&) const override {}
  [[nodiscard]] worker::Losses update(std::span<const worker::TableView>, const worker::Batch& batch, std::span<const worker::TableUpdate> out) override {
    out[0].values[0] = static_cast<float>(batch.rows);
    return {1.0 * batch.rows, 1.0 * batch.rows};
  }
  std::span<const float> outputs(std::span<const worker::TableView> params, const worker::Batch&) override { return params[0].values; }
  [[nodiscard]] worker::Scores evaluate(std::span<const worker::TableView> params, const worker::Batch& batch) override {
    return {batch.rows, 1.0 * batch.rows, static_cast<double>(params[0].values[0]) * batch.rows};
  }
  [[nodiscard]] std::string metric() const override { return "count"; }
};

class PhasedModel final : public worker::Model {
 public:
  PhasedModel(std::uint32_t ends, Recording& to) : ends_(ends), to_(to) {}
  [[nodiscard]] std::vector<worker::TableDecl> tables() const override {
    using worker::TableUse;
    return {{"state", proto::TableKind::kDense, 2, 40'000, {}, TableUse::kState},
            {"pass", proto::TableKind::kDense, 1, 3, {}, TableUse::kStatistics},
            {"total", proto::TableKind::kDense, 1, 2, {}, TableUse::kState}};
  }
  [[nodiscard]] worker::UpdateKind update_kind() const override { return worker::UpdateKind::kStatistics; }
  [[nodiscard]] std::uint32_t phases(std::uint32_t epochs) const override { return epochs; }
  void keys(const worker::Batch&, std::vector<std::vector<Key>>&) const override {}
  /// Examples; examples × the phase seen; whether two were seen.
  [[nodiscard]] worker::Losses update(std::span<const worker::TableView> params, const worker::Batch& batch,
                                      std::span<const worker::TableUpdate> out) override {
    const auto state = params[0].values;
    SLUICE_ASSERT(params[1].values.empty() && out[0].values.empty() && out[2].values.empty());
    const float rows = static_cast<float>(batch.rows);
    const bool torn = std::any_of(state.begin(), state.end(), [&](float v) { return v != state[0]; });
    out[1].values[0] = rows, out[1].values[1] = rows * state[0], out[1].values[2] = torn ? 1 : 0;
    return {1.0 * batch.rows, 1.0 * batch.rows};
  }
  [[nodiscard]] worker::PhaseEnd finish_phase(std::span<const worker::TableView> tables, std::uint32_t phase,
                                              std::span<const worker::TableUpdate> out) override {
    ++to_.phase_ends;
    const auto pass = tables[1].values;
    std::fill(out[0].values.begin(), out[0].values.end(), 1.0F);
    for (std::size_t i = 0; i < 3; ++i) out[1].values[i] = -pass[i];
    out[2].values[0] = pass[0];
    const auto now = static_cast<float>(phase);
    const auto state = tables[0].values;
    const bool torn = std::any_of(state.begin(), state.end(), [&](float v) { return v != now; });
    out[2].values[1] = std::abs(pass[1] - pass[0] * now) + pass[2] + (torn ? 1 : 0);
    const bool done = phase + 1 == ends_;
    return {done, done ? "four are enough" : ""};
  }
  std::span<const float> outputs(std::span<const worker::TableView> params, const worker::Batch&) override { return params[2].values; }
  [[nodiscard]] worker::Scores evaluate(std::span<const worker::TableView> params, const worker::Batch& batch) override {
    const auto state = params[0].values;
    const bool torn = std::any_of(state.begin(), state.end(), [&](float v) { return v != state[0]; });
    const double wrong = static_cast<double>(params[2].values[1]) + (torn ? 1 : 0);
    return {batch.rows, (1 + wrong) * batch.rows, static_cast<double>(params[2].values[0]) * batch.rows};
  }
  [[nodiscard]] std::string metric() const override { return "count"; }

 private:
  std::uint32_t ends_;
  Recording& to_;
};

class RecordedModel final : public worker::Model {
 public:
  RecordedModel(std::unique_ptr<worker::Model> model, Recording& to) : model_(std::move(model)), to_(to) {}
  [[nodiscard]] std::vector<worker::TableDecl> tables() const override { return model_->tables(); }
  void keys(const worker::Batch& batch, std::vector<std::vector<Key>>& out) const override { model_->keys(batch, out); }
  [[nodiscard]] worker::Losses update(std::span<const worker::TableView> params, const worker::Batch& batch,
                                      std::span<const worker::TableUpdate> out) override {
    const auto losses = model_->update(params, batch, out);
    to_.losses.push_back(losses.loss_sum);
    return losses;
  }
  std::span<const float> outputs(std::span<const worker::TableView> params, const worker::Batch& batch) override { return model_->outputs(params, batch); }
  [[nodiscard]] worker::Scores evaluate(std::span<const worker::TableView> params, const worker::Batch& batch) override {
    auto& seen = to_.parameters.emplace_back();
    for (const auto& table : params) seen.insert(seen.end(), table.values.begin(), table.values.end());
    return model_->evaluate(params, batch);
  }

 private:
  std::unique_ptr<worker::Model> model_;
  Recording& to_;
};

}  // namespace

worker::ModelRegistry test_models(Recording& recording) {
  auto models = worker::builtin_models();
  models.add("counting",
             [](const std::string&, const worker::DataShape&) -> Result<std::unique_ptr<worker::Model>> { return std::make_unique<CountingModel>(); });
  models.add("phased", [&recording](const std::string& params, const worker::DataShape&) -> Result<std::unique_ptr<worker::Model>> {
    return std::make_unique<PhasedModel>(nlohmann::json::parse(params).value("ends", 0U), recording);
  });
  models.add("recorded", [&recording](const std::string& params, const worker::DataShape& shape) -> Result<std::unique_ptr<worker::Model>> {
    auto model = (**worker::builtin_models().find("logistic"))(params, shape);
    if (!model) return model;
    return std::make_unique<RecordedModel>(std::move(*model), recording);
  });
  return models;
}

proto::DataSpec write_data(const std::filesystem::path& folder, std::uint32_t train_rows, std::uint32_t test_rows) {
  SeededRng rng(5);
  const auto write = [&](const std::filesystem::path& path, std::uint32_t rows) {
    std::ofstream file(path);
    for (std::uint32_t r = 0; r < rows; ++r) {
      const bool positive = rng.uniform() < 0.5;
      file << (positive ? 1 : 0);
      for (int f = 1; f <= 20; ++f) {
        const double centre = (f % 2 == 0) == positive ? 0.6 : 0.0;
        if (rng.uniform() < 0.5) file << fmt::format(" {}:{:.4f}", f, centre + rng.uniform());
      }
      file << '\n';
    }
  };
  proto::DataSpec data;
  data.name = "two";
  data.format = "libsvm";
  data.train = {(folder / "train.svm").string()};
  data.test = {(folder / "test.svm").string()};
  write(data.train[0], train_rows);
  write(data.test[0], test_rows);
  return data;
}

proto::JobSpec job(const std::string& name, const std::string& model, const proto::DataSpec& data) {
  proto::JobSpec spec;
  spec.name = name;
  spec.model = model;
  spec.data = data;
  spec.optimizer.name = "adagrad";
  spec.optimizer.numbers["lr"] = 0.2;
  spec.batch = 20;
  spec.epochs = 3;
  return spec;
}

}  // namespace sluice::test
