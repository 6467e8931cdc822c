#pragma once
/// The run file: what cluster, policy, data and jobs a user wants. Strict: every mistake is found before anything starts, each with its place
/// (docs/run-file.md).

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "manager/policy.h"
#include "proto/job_spec.h"

namespace sluice::cli {

inline constexpr std::uint64_t kRunFileVersion = 1;
inline constexpr std::size_t kJobsMax = 1000;  ///< after sweeps are spread out

struct ClusterPlan {
  std::uint32_t servers = 1;
  std::optional<std::uint32_t> slots;  ///< none: one a core
};
struct PolicyPlan {
  std::string name{manager::kDefaultPolicy};
  std::uint32_t round_ms = 500;
  std::string fairness = manager::to_text(manager::Fairness{});  ///< manager::parse_fairness
};
struct JobPlan {
  proto::JobSpec spec;
  Duration submit_after;  ///< from when the file's first jobs could be submitted
};
struct RunFile {
  std::string name;  ///< the file's name without folder and ending
  ClusterPlan cluster;
  PolicyPlan policy;
  std::vector<JobPlan> jobs;  ///< sweeps spread out: mlp-1, mlp-2, …
};

struct KnownPlugin {
  std::string model;
  std::uint64_t digest = 0;
};

/// What names and numbers mean is the rooms' business; these ask them. check_model, check_optimizer and check_policy are needed.
struct KnownNames {
  std::function<Result<void>(const std::string& model, const std::string& params)> check_model;
  /// Whether a model that check_model accepts can learn from such labels; none: any.
  std::function<Result<void>(const std::string& model, const std::string& params, proto::LabelKind labels)> check_labels;
  std::function<Result<void>(const std::string& metric, proto::LabelKind labels)> check_metric;
  /// What a model that check_model accepts is scored by, where that is all that it can be scored by, and check_metric is not asked; none: never.
  std::function<std::optional<std::string>(const std::string& model, const std::string& params)> only_metric;
  /// A plug-in by its path: its model's name and the file's digest. Its code is run, in a slot process.
  std::function<Result<KnownPlugin>(const std::string& path)> open_plugin;
  /// As check_model and check_labels, for a plug-in that open_plugin accepted. labels: none: any. Returns whether it gives gradients.
  std::function<Result<bool>(const std::string& path, const std::string& params, std::optional<proto::LabelKind> labels)> check_plugin;
  /// Whether a model that check_model accepts gives gradients, which an optimizer takes; none: all do.
  std::function<bool(const std::string& model, const std::string& params)> gives_gradients;
  std::function<Result<void>(const proto::OptimizerSpec&)> check_optimizer;
  std::function<Result<void>(const std::string& policy)> check_policy;
};
/// Those of this build: every built-in model, optimizer and policy.
[[nodiscard]] KnownNames built_in_names();

/// A value given on the command line: `path` into the file (jobs.mlp.epochs), `value` as YAML, `source` as the user typed it, for messages.
struct Override {
  std::string path;
  std::string value;
  std::string source;
};
/// "cluster.slots=4" → Override. Errors: kBadConfig (no '=').
[[nodiscard]] Result<Override> parse_override(const std::string& text);

/// Reads and checks a run file. Errors: kBadConfig with all mistakes, one a line; kBadData when the only mistakes are data files that aren't there; kNotFound,
/// kIo for the file itself.
[[nodiscard]] Result<RunFile> read_run_file(const std::string& path, const std::vector<Override>& overrides, const KnownNames& names);

}  // namespace sluice::cli
