#pragma once
/// What a user asks for: one job. Made by the run file's reader, carried as JSON in `submit` and in grants, stored in the job table.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::proto {

enum class LabelKind : std::uint8_t {
  kClasses = 0,  ///< which of several
  kTargets = 1,  ///< a number to come near to: regression
};

/// How a CSV file is read; other formats have none of it. Columns are named as in the header, or by number from 1.
struct CsvSpec {
  std::string label = {};              ///< column; empty: the last
  std::string separator = {};          ///< one character; empty: guessed from the first line
  std::string header = "auto";         ///< "auto", "yes", "no"
  std::string missing = "refuse";      ///< "refuse": a bad row; "zero", "mean": what stands for a missing number
  std::vector<std::string> text = {};  ///< columns to take as text though they look like numbers
  std::vector<std::string> skip = {};  ///< columns to leave out
  friend bool operator==(const CsvSpec&, const CsvSpec&) = default;
};

/// Rows of the training files that are held out for the scores instead of trained on.
struct HeldOut {
  double share = 0;             ///< of the rows, 0 (none) … 0.9
  std::string from = "random";  ///< "random": drawn by a seed, the same for all jobs; "last": the last ones in the files' order
  friend bool operator==(const HeldOut&, const HeldOut&) = default;
};
inline constexpr double kHeldOutShareMax = 0.9;

/// When held-out rows are scored, and by what beside the loss.
struct ValidationSpec {
  std::uint32_t every_epochs = 0;  ///< at the end of every so many epochs; with every_steps too 0: at epochs' ends where that is cheap
  std::uint64_t every_steps = 0;   ///< at the first commit after every so many steps; one of the two at most
  std::string metric = {};         ///< its name; empty: the model's own
  friend bool operator==(const ValidationSpec&, const ValidationSpec&) = default;
};

/// Where a job's examples are. Paths are absolute after the run file was read (`root` applied); the files must be readable by every worker.
struct DataSpec {
  std::string name;                ///< of the dataset in the run file
  std::string format;              ///< "idx", "libsvm", "csv" or "npy"
  std::vector<std::string> train;  ///< idx: images, labels; npy: rows, labels, or one .npz; libsvm, csv: one file
  std::vector<std::string> test;   ///< as train; may be empty: no held-out scores
  std::uint64_t features = 0;      ///< libsvm: 0 = found while reading
  std::uint64_t max_bad_rows = 0;  ///< more bad rows than this end the job with kBadData
  LabelKind labels = LabelKind::kClasses;
  CsvSpec csv = {};
  HeldOut held_out = {};  ///< only where there are no test files
  friend bool operator==(const DataSpec&, const DataSpec&) = default;
};

inline constexpr std::size_t kOptimizerNumbersMax = 64;

/// A server-side optimizer by name, with its numbers (lr, beta1, …). Known keys and defaults are the optimizer's own.
struct OptimizerSpec {
  std::string name = "sgd";
  std::map<std::string, double> numbers;
  [[nodiscard]] double number(const std::string& key, double otherwise) const {
    const auto it = numbers.find(key);
    return it == numbers.end() ? otherwise : it->second;
  }
  friend bool operator==(const OptimizerSpec&, const OptimizerSpec&) = default;
};

enum class ConsistencyMode : std::uint8_t { kAsp = 0, kSsp = 1, kBsp = 2 };
/// "asp", "ssp", "bsp".
[[nodiscard]] std::string_view name_of(ConsistencyMode mode);

/// How the updates of several slots go together where a slot takes local steps.
enum class LocalPush : std::uint8_t { kDelta = 0, kAverage = 1 };

struct ConsistencySpec {
  ConsistencyMode mode = ConsistencyMode::kAsp;
  std::uint32_t staleness = 0;    ///< ssp: a slot begins a clock at most this far ahead of the slowest
  std::uint32_t local_steps = 0;  ///< batches that a slot takes on its own copy of the parameters (sgd or adagrad) before it pushes what changed; 0: gradients
  LocalPush push = LocalPush::kDelta;  ///< changes are added up, or (bsp only) averaged, weighted by their rows
  friend bool operator==(const ConsistencySpec&, const ConsistencySpec&) = default;
};

/// What of a group of jobs counts: each model, or only the best one.
enum class Objective : std::uint8_t { kEach = 0, kBest = 1 };

/// What a job is to reach: training ends with it.
struct TargetSpec {
  std::string of = "loss";  ///< "loss": the training loss, smoothed; "validation_loss"; or a metric of the held-out rows (the job's ValidationSpec::metric)
  double value = 0;         ///< reached at or below it; of a metric that rises (metric_rises()) at or above it
  double by_seconds = 0;    ///< from the submission; 0: no matter when. What is missed by then may still be reached later
  friend bool operator==(const TargetSpec&, const TargetSpec&) = default;
};

/// Whether more of this metric is better; what is not known is taken for a cost.
[[nodiscard]] bool metric_rises(std::string_view metric);
/// "accuracy >= 0.9", "loss <= 0.35": for people.
[[nodiscard]] std::string to_text(const TargetSpec& target);
/// Whether a value of what the target is about reaches it. NaN does not.
[[nodiscard]] bool reached(const TargetSpec& target, double value);

/// A model that is a user's shared object; workers load it in processes of their own (docs/howto/plug-in-a-model.md).
struct PluginSpec {
  std::string path;             ///< absolute; readable by every worker; empty: the model is a built-in one
  std::uint64_t digest = 0;     ///< xxh3 of the file that was submitted: another file is refused
  std::uint32_t call_ms = 0;    ///< the processor time that one call may take; 0: the worker's own limit
  std::uint64_t memory_mb = 0;  ///< MiB that its process may have; 0: the worker's own limit
  friend bool operator==(const PluginSpec&, const PluginSpec&) = default;
};

/// What a job's first values are read from, by the servers; absolute path. Empty: its tables' own first values.
struct StartSpec {
  std::string from = {};  ///< a job of a checkpoint or a finished job (a folder), or a model's .safetensors
  bool resume = false;    ///< go on as the checkpoint says (optimizer state, data cursor, scores); else values only: a new job
  friend bool operator==(const StartSpec&, const StartSpec&) = default;
};

struct JobSpec {
  std::string name;  ///< text::valid_name
  std::string model;
  PluginSpec plugin = {};     ///< where `model` comes from, if it is not a built-in one
  std::string params = "{}";  ///< a JSON object; its meaning is the model's
  DataSpec data;
  OptimizerSpec optimizer;
  ConsistencySpec consistency;
  std::uint32_t batch = 128;  ///< examples, 1 … 1,000,000
  std::uint32_t epochs = 1;   ///< passes over the training data
  std::uint64_t seed = 1;
  double weight = 1;  ///< in the policies, > 0
  std::uint32_t slots_min = 0;
  std::uint32_t slots_max = 1024;
  ValidationSpec validation = {};
  std::uint32_t patience_epochs = 0;       ///< training ends when the held-out loss has not fallen for this many epochs; 0: it does not end for that
  bool stop_converged = false;             ///< it ends when its loss has converged
  std::optional<TargetSpec> target;        ///< it ends when it has reached it
  std::string group;                       ///< text::valid_name of the sweep that it is a member of; empty: none
  Objective objective = Objective::kEach;  ///< kBest: for members of a group only
  StartSpec start = {};
  /// Examples of one step: what one commit is about.
  [[nodiscard]] std::uint32_t step_rows() const { return std::max(batch, 1U) * std::max(consistency.local_steps, 1U); }
  friend bool operator==(const JobSpec&, const JobSpec&) = default;
};

inline constexpr std::uint32_t kLocalStepsMax = 1000;
inline constexpr std::uint32_t kStepRowsMax = 1'000'000;  ///< batch × local steps
/// What a job with local steps can't be, in words for its user; empty: nothing. The rules: sgd or adagrad without a schedule (their numbers are the
/// slot's then), average under bsp only, at most kStepRowsMax examples a step.
[[nodiscard]] std::string local_steps_problem(const JobSpec& spec);

/// One line of JSON, every field present.
[[nodiscard]] std::string to_json(const JobSpec& spec);
/// Strict: unknown or missing fields, wrong types and values out of range are kBadConfig naming the field. Accepts untrusted text of any content.
[[nodiscard]] Result<JobSpec> job_spec_from_json(const std::string& json);
/// For what an older build stored: a field that was not there yet has its default, one that is not known any more is left out. Errors: as above.
[[nodiscard]] Result<JobSpec> job_spec_from_older_json(const std::string& json);

}  // namespace sluice::proto
