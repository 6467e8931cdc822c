#pragma once
/// A whole cluster in the test's own thread: manager, servers and workers as actors over the in-process transport, time and order of events from one seed.

#include <oneapi/tbb/global_control.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "net/inproc_transport.h"
#include "proto/job_spec.h"
#include "worker/model.h"

namespace sluice::test {

struct SimOptions {
  std::uint64_t seed = 1;
  std::uint32_t servers = 2;
  std::uint32_t lanes = 1;
  std::uint32_t workers = 1;
  std::uint32_t slots = 2;  ///< per worker
  std::string policy = "fair";
  net::Faults faults = {};  ///< from time 0; its seed is replaced by one drawn from `seed`
};

/// What slots computed with the model `recorded` (logistic regression, and a note of what it saw), and with `phased`.
struct Recording {
  std::vector<double> losses;                  ///< of every batch, in the order they were computed
  std::uint64_t phase_ends = 0;                ///< computed, by `phased`
  std::vector<std::vector<float>> parameters;  ///< at every held-out scoring: w of the batch's keys, then b
};

class SimCluster {
 public:
  explicit SimCluster(const SimOptions& options);
  ~SimCluster();
  /// Calls a verb of the manager and steps the cluster until it answers. Fails the test when it doesn't within 20 simulated seconds.
  nlohmann::json call(const std::string& verb, const nlohmann::json& arguments);
  void submit(const std::vector<proto::JobSpec>& specs);
  /// Steps until every job of `ps` is done or failed. False when that takes more than `seconds` simulated seconds.
  [[nodiscard]] bool run_to_end(double seconds);
  /// Steps for that much simulated time.
  void run_for(double seconds);
  /// SIGKILL for a role: "server-1", "worker-1", "manager".
  void kill(const std::string& role);
  void start_worker(const std::string& name);
  [[nodiscard]] nlohmann::json ps() { return call("ps", nlohmann::json::object()); }
  /// The whole decision log, a parsed line each.
  [[nodiscard]] std::vector<nlohmann::json> decisions() const;
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  Recording recording;
  std::vector<Error> fatal;  ///< what roles said when they could not go on

 private:
  struct Caller;
  SimOptions options_;
  tbb::global_control one_thread_{tbb::global_control::max_allowed_parallelism, 1};  ///< the whole cluster in one thread: data conversion too
  std::filesystem::path folder_;
  SimClock clock_;
  std::unique_ptr<net::InprocTransport> transport_;
  std::unique_ptr<SimExecutor> executor_;
  std::unique_ptr<Caller> caller_;
};

/// The models of these tests: the built-in ones and `counting`: one dense table of one float, every batch adds its number of examples; with the optimizer `add`
/// the table is the number of examples applied. Its held-out metric × test rows is that number, exact below 2^24. And `recorded`, which outlives no recording.
/// `phased` counts the same by phases: statistics of a pass are added to a total at its end; its state, two shards of it, is the number of phases ended, and a
/// held-out loss above 1 says that a batch saw another one than its pass's, or two. params: {"ends": n}: says after n phases that they are enough.
[[nodiscard]] worker::ModelRegistry test_models(Recording& recording);

/// Writes a linearly separable libsvm data set of two classes and returns where it is.
[[nodiscard]] proto::DataSpec write_data(const std::filesystem::path& folder, std::uint32_t train_rows, std::uint32_t test_rows);

/// A job on that data with everything else at a small default.
[[nodiscard]] proto::JobSpec job(const std::string& name, const std::string& model, const proto::DataSpec& data);

}  // namespace sluice::test
