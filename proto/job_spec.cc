#include "proto/job_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace sluice::proto {

namespace {
using Json = nlohmann::json;

constexpr std::size_t kPathMax = 4096, kPathsMax = 64, kColumnsMax = 10'000, kParamsMax = 1 << 20, kSpecMax = 4 << 20;
constexpr std::uint64_t kNone = 0;

/// Reads an object's fields by name; the first thing wrong is kept and names the field; finish() refuses fields that nobody asked for.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object_.is_object()) wrong("", "must be an object");
  }
  const Json* get(const char* key) {
    ++asked_;
    if (!error_.empty()) return nullptr;
    const auto it = object_.find(key);
    if (it != object_.end()) return &*it;
    wrong(key, "is missing");
    return nullptr;
  }
  std::string text(const char* key, std::size_t bytes_max) {
    const Json* value = get(key);
    if (value == nullptr) return {};
    if (!value->is_string()) return wrong(key, "must be a string"), std::string();
    auto out = value->get<std::string>();
    if (out.size() > bytes_max) wrong(key, "is longer than " + std::to_string(bytes_max) + " bytes");
    return out;
  }
  std::string name(const char* key) {
    auto out = text(key, kPathMax);
    if (error_.empty() && !text::valid_name(out)) wrong(key, "must be 1 to 64 of a-z 0-9 . _ -");
    return out;
  }
  std::uint64_t whole(const char* key, std::uint64_t least, std::uint64_t most) {
    const Json* value = get(key);
    if (value == nullptr) return least;
    if (value->is_number_unsigned()) {
      const auto out = value->get<std::uint64_t>();
      if (out >= least && out <= most) return out;
    }
    wrong(key, "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return least;
  }
  std::uint32_t whole32(const char* key, std::uint32_t least, std::uint32_t most) { return static_cast<std::uint32_t>(whole(key, least, most)); }
  double number(const char* key) {
    const Json* value = get(key);
    if (value == nullptr) return 0;
    if (!value->is_number() || !std::isfinite(value->get<double>())) return wrong(key, "must be a finite number"), 0;
    return value->get<double>();
  }
  bool yes_no(const char* key) {
    const Json* value = get(key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) return wrong(key, "must be true or false"), false;
    return value->get<bool>();
  }
  std::string choice(const char* key, const std::vector<std::string>& choices) {
    auto out = text(key, 64);
    if (error_.empty() && std::find(choices.begin(), choices.end(), out) == choices.end()) {
      std::string listed;
      for (const auto& choice : choices) listed += (listed.empty() ? "" : ", ") + choice;
      wrong(key, "must be one of " + listed);
    }
    return out;
  }
  std::vector<std::string> paths(const char* key) { return texts(key, kPathsMax, "paths"); }
  std::vector<std::string> texts(const char* key, std::size_t most, const std::string& what) {
    std::vector<std::string> out;
    const Json* value = get(key);
    if (value == nullptr) return out;
    if (!value->is_array() || value->size() > most) return wrong(key, "must be a list of at most " + std::to_string(most) + " " + what), out;
    for (const auto& path : *value) {
      if (!path.is_string() || path.get_ref<const std::string&>().empty() || path.get_ref<const std::string&>().size() > kPathMax) {
        return wrong(key, "must hold " + what + " of 1 to 4096 bytes"), out;
      }
      out.push_back(path.get<std::string>());
    }
    return out;
  }
  void wrong(const std::string& key, const std::string& what) {
    if (error_.empty()) error_ = where_ + (key.empty() || where_.empty() ? "" : ".") + key + " " + what;
  }
  /// Empty when all is well.
  std::string finish(std::initializer_list<const char*> known) {
    if (!error_.empty() || object_.size() == asked_) return error_;
    for (const auto& [key, value] : object_.items()) {
      if (std::none_of(known.begin(), known.end(), [&, &name = key](const char* k) { return name == k; })) {
        wrong("", (where_.empty() ? "" : ": ") + text::unknown_name("field", key, {known.begin(), known.end()}));
        break;
      }
    }
    return error_;
  }

 private:
  const Json& object_;
  std::string where_;
  std::string error_;
  std::size_t asked_ = 0;
};

std::string read_csv(const Json& from, CsvSpec& to) {
  Fields in(from, "data.csv");
  to.label = in.text("label", kPathMax);
  to.separator = in.text("separator", 1);
  to.header = in.choice("header", {"auto", "yes", "no"});
  to.missing = in.choice("missing", {"refuse", "zero", "mean"});
  to.text = in.texts("text", kColumnsMax, "columns");
  to.skip = in.texts("skip", kColumnsMax, "columns");
  return in.finish({"label", "separator", "header", "missing", "text", "skip"});
}

std::string read_held_out(const Json& from, HeldOut& to) {
  Fields in(from, "data.held_out");
  to.share = in.number("share");
  if (!(to.share >= 0 && to.share <= kHeldOutShareMax)) in.wrong("share", "must be from 0 to 0.9");
  to.from = in.choice("from", {"random", "last"});
  return in.finish({"share", "from"});
}

std::string read_data(const Json& from, DataSpec& to) {
  Fields in(from, "data");
  to.name = in.name("name");
  to.format = in.name("format");
  to.train = in.paths("train");
  to.test = in.paths("test");
  to.features = in.whole("features", kNone, std::uint64_t{1} << 40);
  to.max_bad_rows = in.whole("max_bad_rows", kNone, UINT64_MAX);
  to.labels = in.choice("labels", {"classes", "targets"}) == "targets" ? LabelKind::kTargets : LabelKind::kClasses;
  const Json* csv = in.get("csv");
  const Json* held_out = in.get("held_out");
  auto error = in.finish({"name", "format", "train", "test", "features", "max_bad_rows", "labels", "csv", "held_out"});
  if (error.empty()) error = read_csv(*csv, to.csv);
  if (error.empty()) error = read_held_out(*held_out, to.held_out);
  if (error.empty() && to.held_out.share > 0 && !to.test.empty()) error = "data.held_out is for data without test files";
  return error;
}

std::string read_optimizer(const Json& from, OptimizerSpec& to) {
  Fields in(from, "optimizer");
  to.name = in.name("name");
  if (const Json* numbers = in.get("numbers")) {
    if (!numbers->is_object() || numbers->size() > kOptimizerNumbersMax) in.wrong("numbers", "must be an object of at most 64 numbers");
    Fields values(*numbers, "optimizer.numbers");
    if (numbers->is_object()) {
      for (const auto& [key, value] : numbers->items()) {
        if (!text::valid_name(key)) in.wrong("numbers", "has a name that is not 1 to 64 of a-z 0-9 . _ -");
        to.numbers[key] = values.number(key.c_str());
      }
    }
    if (const auto error = values.finish({}); !error.empty()) return error;
  }
  return in.finish({"name", "numbers"});
}

std::string read_consistency(const Json& from, ConsistencySpec& to) {
  Fields in(from, "consistency");
  const auto mode = in.text("mode", 16);
  to.mode = mode == "ssp" ? ConsistencyMode::kSsp : mode == "bsp" ? ConsistencyMode::kBsp : ConsistencyMode::kAsp;
  if (mode != name_of(to.mode)) in.wrong("mode", "must be asp, ssp or bsp");
  to.staleness = in.whole32("staleness", 0, 1'000'000);
  to.local_steps = in.whole32("local_steps", 0, kLocalStepsMax);
  const auto push = in.text("push", 16);
  to.push = push == "average" ? LocalPush::kAverage : LocalPush::kDelta;
  if (push != "average" && push != "delta") in.wrong("push", "must be delta or average");
  return in.finish({"mode", "staleness", "local_steps", "push"});
}

std::string read_validation(const Json& from, ValidationSpec& to) {
  Fields in(from, "validation");
  to.every_epochs = in.whole32("every_epochs", 0, 1'000'000'000);
  to.every_steps = in.whole("every_steps", 0, std::uint64_t{1} << 48);
  to.metric = in.text("metric", 64);
  if (!to.metric.empty() && !text::valid_name(to.metric)) in.wrong("metric", "is not 1 to 64 of a-z 0-9 . _ -");
  if (to.every_epochs > 0 && to.every_steps > 0) in.wrong("every_steps", "must be 0 where every_epochs is not");
  return in.finish({"every_epochs", "every_steps", "metric"});
}

/// null: none.
std::string read_target(const Json& from, std::optional<TargetSpec>& to) {
  if (from.is_null()) return {};
  Fields in(from, "target");
  TargetSpec out;
  out.of = in.name("of");
  out.value = in.number("value");
  out.by_seconds = in.number("by_seconds");
  if (!(out.by_seconds >= 0)) in.wrong("by_seconds", "must not be below 0");
  to = out;
  return in.finish({"of", "value", "by_seconds"});
}

std::string read_plugin(const Json& from, PluginSpec& to) {
  Fields in(from, "plugin");
  to.path = in.text("path", kPathMax);
  if (!to.path.empty() && !to.path.starts_with('/')) in.wrong("path", "must be absolute");
  to.digest = in.whole("digest", 0, UINT64_MAX);
  to.call_ms = in.whole32("call_ms", 0, 86'400'000);
  to.memory_mb = in.whole("memory_mb", 0, std::uint64_t{1} << 30);
  return in.finish({"path", "digest", "call_ms", "memory_mb"});
}

std::string read_start(const Json& from, StartSpec& to) {
  Fields in(from, "start");
  to.from = in.text("from", kPathMax);
  if (!to.from.empty() && !to.from.starts_with('/')) in.wrong("from", "must be an absolute path");
  to.resume = in.yes_no("resume");
  if (to.resume && to.from.empty()) in.wrong("resume", "needs from");
  return in.finish({"from", "resume"});
}

/// `saved` over `defaults`, field by field; what the defaults don't have is left out.
Json over(const Json& defaults, const Json& saved) {
  if (!defaults.is_object() || defaults.empty() || !saved.is_object()) return saved;
  Json out = defaults;
  for (auto& [key, value] : out.items()) {
    if (const auto it = saved.find(key); it != saved.end()) value = over(value, *it);
  }
  return out;
}

std::string read_spec(const Json& from, JobSpec& to) {
  Fields in(from, "");
  to.name = in.name("name");
  to.model = in.name("model");
  to.params = in.text("params", kParamsMax);
  if (!Json::parse(to.params, nullptr, false).is_object()) in.wrong("params", "must be the text of a JSON object");
  to.batch = in.whole32("batch", 1, 1'000'000);
  to.epochs = in.whole32("epochs", 1, 1'000'000'000);
  to.seed = in.whole("seed", 0, UINT64_MAX);
  to.weight = in.number("weight");
  if (!(to.weight > 0)) in.wrong("weight", "must be above 0");
  to.slots_min = in.whole32("slots_min", 0, 1'000'000);
  to.slots_max = in.whole32("slots_max", 1, 1'000'000);
  if (to.slots_min > to.slots_max) in.wrong("slots_min", "must not be above slots_max");
  to.patience_epochs = in.whole32("patience_epochs", 0, 1'000'000'000);
  to.stop_converged = in.choice("stop_converged", {"no", "yes"}) == "yes";
  to.group = in.text("group", 64);
  if (!to.group.empty() && !text::valid_name(to.group)) in.wrong("group", "must be empty or 1 to 64 of a-z 0-9 . _ -");
  to.objective = in.choice("objective", {"best", "each"}) == "best" ? Objective::kBest : Objective::kEach;
  if (to.objective == Objective::kBest && to.group.empty()) in.wrong("objective", "best needs a group");
  const Json* target = in.get("target");
  const Json* data = in.get("data");
  const Json* optimizer = in.get("optimizer");
  const Json* consistency = in.get("consistency");
  const Json* validation = in.get("validation");
  const Json* plugin = in.get("plugin");
  const Json* start = in.get("start");
  auto error =
      in.finish({"name",      "model",      "params",          "data",           "optimizer", "consistency", "batch",  "epochs", "seed", "weight", "slots_min",
                 "slots_max", "validation", "patience_epochs", "stop_converged", "group",     "objective",   "target", "plugin", "start"});
  if (error.empty()) error = read_target(*target, to.target);
  if (error.empty()) error = read_plugin(*plugin, to.plugin);
  if (error.empty()) error = read_data(*data, to.data);
  if (error.empty()) error = read_optimizer(*optimizer, to.optimizer);
  if (error.empty()) error = read_consistency(*consistency, to.consistency);
  if (error.empty()) error = read_validation(*validation, to.validation);
  if (error.empty()) error = read_start(*start, to.start);
  if (error.empty()) error = local_steps_problem(to);
  return error;
}

}  // namespace

std::string local_steps_problem(const JobSpec& spec) {
  if (spec.consistency.local_steps == 0) return "";
  if (spec.optimizer.name != "sgd" && spec.optimizer.name != "adagrad")
    return "local_steps needs optimizer sgd or adagrad: the slots take the steps, and '" + spec.optimizer.name + "' is the servers'";
  for (const auto& [name, value] : spec.optimizer.numbers) {
    if (name.starts_with("schedule.")) return "local_steps takes no schedule: the slots step at a constant rate";
  }
  if (spec.consistency.push == LocalPush::kAverage && spec.consistency.mode != ConsistencyMode::kBsp)
    return "push: average needs mode: bsp: only in step is it known how many slots there are";
  if (std::uint64_t{spec.batch} * spec.consistency.local_steps > kStepRowsMax)
    return "batch × local_steps is " + std::to_string(std::uint64_t{spec.batch} * spec.consistency.local_steps) + "; at most " + std::to_string(kStepRowsMax);
  return "";
}

bool metric_rises(std::string_view metric) { return metric == "accuracy" || metric == "top-5"; }

bool reached(const TargetSpec& target, double value) { return metric_rises(target.of) ? value >= target.value : value <= target.value; }

std::string to_text(const TargetSpec& target) { return fmt::format("{} {} {:.6g}", target.of, metric_rises(target.of) ? ">=" : "<=", target.value); }

std::string_view name_of(ConsistencyMode mode) {
  constexpr std::string_view kNames[] = {"asp", "ssp", "bsp"};
  return kNames[static_cast<std::size_t>(mode)];
}

std::string to_json(const JobSpec& spec) {
  const Json out = {
      {"name", spec.name},
      {"model", spec.model},
      {"params", spec.params},
      {"data",
       {{"name", spec.data.name},
        {"format", spec.data.format},
        {"train", spec.data.train},
        {"test", spec.data.test},
        {"features", spec.data.features},
        {"max_bad_rows", spec.data.max_bad_rows},
        {"labels", spec.data.labels == LabelKind::kTargets ? "targets" : "classes"},
        {"csv",
         {{"label", spec.data.csv.label},
          {"separator", spec.data.csv.separator},
          {"header", spec.data.csv.header},
          {"missing", spec.data.csv.missing},
          {"text", spec.data.csv.text},
          {"skip", spec.data.csv.skip}}},
        {"held_out", {{"share", spec.data.held_out.share}, {"from", spec.data.held_out.from}}}}},
      {"optimizer", {{"name", spec.optimizer.name}, {"numbers", spec.optimizer.numbers}}},
      {"consistency",
       {{"mode", name_of(spec.consistency.mode)},
        {"staleness", spec.consistency.staleness},
        {"local_steps", spec.consistency.local_steps},
        {"push", spec.consistency.push == LocalPush::kAverage ? "average" : "delta"}}},
      {"batch", spec.batch},
      {"epochs", spec.epochs},
      {"seed", spec.seed},
      {"weight", spec.weight},
      {"slots_min", spec.slots_min},
      {"slots_max", spec.slots_max},
      {"validation", {{"every_epochs", spec.validation.every_epochs}, {"every_steps", spec.validation.every_steps}, {"metric", spec.validation.metric}}},
      {"patience_epochs", spec.patience_epochs},
      {"stop_converged", spec.stop_converged ? "yes" : "no"},
      {"group", spec.group},
      {"objective", spec.objective == Objective::kBest ? "best" : "each"},
      {"target", spec.target ? Json{{"of", spec.target->of}, {"value", spec.target->value}, {"by_seconds", spec.target->by_seconds}} : Json()},
      {"plugin", {{"path", spec.plugin.path}, {"digest", spec.plugin.digest}, {"call_ms", spec.plugin.call_ms}, {"memory_mb", spec.plugin.memory_mb}}},
      {"start", {{"from", spec.start.from}, {"resume", spec.start.resume}}},
  };
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

namespace {
Result<JobSpec> read_text(const std::string& json, bool older) {
  if (json.size() > kSpecMax) return fail(Errc::kBadConfig, "job spec: longer than 4 MiB");
  Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_discarded()) return fail(Errc::kBadConfig, "job spec: not JSON");
  JobSpec spec;
  if (older) parsed = over(Json::parse(to_json(spec)), parsed);
  if (const auto error = read_spec(parsed, spec); !error.empty()) return fail(Errc::kBadConfig, "job spec: " + error);
  return spec;
}
}  // namespace

Result<JobSpec> job_spec_from_json(const std::string& json) { return read_text(json, false); }
Result<JobSpec> job_spec_from_older_json(const std::string& json) { return read_text(json, true); }

}  // namespace sluice::proto
