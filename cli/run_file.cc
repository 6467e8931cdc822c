#include "cli/run_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "base/config.h"
#include "base/text.h"
#include "cli/detail/checkpoint_folder.h"
#include "cli/detail/data_section.h"
#include "cli/detail/ends_section.h"
#include "cli/detail/sweep.h"
#include "manager/cluster_view.h"

namespace sluice::cli {
namespace {
using config::Kind;
using config::MapReader;
using config::Mark;
using config::Node;
using config::Problems;

struct Context {
  const KnownNames& names;
  const std::map<std::string, proto::DataSpec>& data;
  std::string folder;  ///< of the run file
  Problems& problems;
};

constexpr Duration kSubmitAfterMax = from_ms(7 * 86'400'000LL);

/// Words of a room about the parts of `node`: at the entry that the words name in quotes, else at the node.
void add_at_named(const Error& error, const Node& node, const Mark& otherwise, Problems& problems) {
  Mark mark = otherwise;
  for (const auto& entry : node.entries) {
    if (error.what.find("'" + entry.key + "'") != std::string::npos) mark = entry.mark;
  }
  problems.add(mark, error.what);
}

/// A kind, or a map of it and its numbers; goes into the optimizer's numbers as server/schedule.h calls them.
void read_schedule(const Node& node, Problems& problems, proto::OptimizerSpec& out) {
  static const std::map<std::string, std::vector<std::string>> kKinds = {
      {"constant", {"warmup"}}, {"step", {"every", "factor", "warmup"}}, {"cosine", {"floor", "steps", "warmup"}}};
  const bool map = node.kind != Kind::kScalar;  // a list too: MapReader says what is wrong
  const std::string kind = map ? MapReader(node, "schedule", problems).needed_text("kind") : node.text;
  const auto known = kKinds.find(kind);
  if (known == kKinds.end()) {
    const Node* named = map ? node.find("kind") : &node;
    if (named != nullptr) problems.add(named->mark, text::unknown_name("schedule", kind, {"constant", "cosine", "step"}));
    return;
  }
  for (const auto& [key, mark, value] : node.entries) {  // none of a scalar
    if (key == "kind" || value.kind == Kind::kNull) continue;
    if (std::find(known->second.begin(), known->second.end(), key) == known->second.end()) {
      problems.add(mark, text::unknown_name(fmt::format("number of schedule '{}'", kind), key, known->second));
    } else if (const auto number = config::to_number(value)) {
      out.numbers["schedule." + key] = *number;
    } else {
      problems.add(value.mark, fmt::format("'{}' under schedule must be a number, not {}", key, config::describe(value)));
    }
  }
  if (kind == "step" && !out.numbers.contains("schedule.every")) problems.add(node.mark, "schedule 'step' needs 'every', the steps after which the rate falls");
  if (kind == "cosine") out.numbers.try_emplace("schedule.steps", 0);
}

void read_optimizer(const Node& node, Context& context, proto::OptimizerSpec& out) {
  if (node.kind == Kind::kScalar) {
    out.name = node.text;
  } else {
    MapReader reader(node, "optimizer", context.problems);
    if (node.kind != Kind::kMap) return;
    out.name = reader.text("name", out.name);
    for (const auto& [key, mark, value] : node.entries) {
      if (key == "name" || value.kind == Kind::kNull) continue;
      if (key == "schedule") {
        read_schedule(value, context.problems, out);
        continue;
      }
      const auto number = config::to_number(value);
      if (number) {
        out.numbers[key] = *number;
      } else {
        context.problems.add(value.mark, fmt::format("'{}' under optimizer must be a number, not {}", key.substr(0, 80), config::describe(value)));
      }
    }
  }
  if (const auto checked = context.names.check_optimizer(out); !checked) {
    const Node* name = node.find("name");
    add_at_named(checked.error(), node, name != nullptr ? name->mark : node.mark, context.problems);
  }
}

void read_consistency(const Node& node, Problems& problems, proto::ConsistencySpec& out) {
  MapReader reader(node, "consistency", problems);
  const std::string mode = reader.text("mode", "asp");
  const Mark mark = reader.mark("mode");
  const bool bounded = reader.take("staleness") != nullptr;
  out.staleness = static_cast<std::uint32_t>(reader.count("staleness", 0, 0, 1'000'000));
  if (mode == "ssp") {
    out.mode = proto::ConsistencyMode::kSsp;
    if (!bounded) problems.add(mark, "ssp needs its bound: consistency: {mode: ssp, staleness: 4}");
  } else if (mode == "bsp") {
    out.mode = proto::ConsistencyMode::kBsp;
    if (bounded) problems.add(reader.mark("staleness"), "bsp has no staleness bound: it is 0; take 'staleness' out");
  } else if (mode != "asp") {
    problems.add(mark, text::unknown_name("consistency mode", mode, {"asp", "bsp", "ssp"}));
  } else if (bounded) {
    problems.add(reader.mark("staleness"), "asp has no staleness bound; use mode: ssp, or take 'staleness' out");
  }
  out.local_steps = static_cast<std::uint32_t>(reader.count("local_steps", 0, 1, proto::kLocalStepsMax));
  const bool bulk = out.mode == proto::ConsistencyMode::kBsp;
  const std::string push = reader.text("push", bulk && out.local_steps > 0 ? "average" : "delta");
  out.push = push == "average" ? proto::LocalPush::kAverage : proto::LocalPush::kDelta;
  if (push != "average" && push != "delta") problems.add(reader.mark("push"), text::unknown_name("push", push, {"average", "delta"}));
  if (reader.take("push") != nullptr && out.local_steps == 0) {
    problems.add(reader.mark("push"), "'push' says how local steps go together; give local_steps too");
  }
  reader.finish();
}

/// A model that is a path is a plug-in: ./libmine.so, relative to the run file.
bool is_plugin(const std::string& model) { return model.find('/') != std::string::npos || model.ends_with(".so"); }

Result<void> check_model(const Context& context, const proto::JobSpec& job, std::optional<proto::LabelKind> labels = std::nullopt) {
  if (!job.plugin.path.empty()) {
    if (const auto checked = context.names.check_plugin(job.plugin.path, job.params, labels); !checked) return fail(checked.error());
    return {};
  }
  if (!labels) return context.names.check_model(job.model, job.params);
  return context.names.check_labels ? context.names.check_labels(job.model, job.params, *labels) : Result<void>();
}

/// The plug-in's path, name and digest; false after a mistake.
bool read_plugin(const Mark& mark, Context& context, proto::JobSpec& job) {
  const std::string path = (std::filesystem::path(context.folder) / job.model).lexically_normal().string();
  const auto known = context.names.open_plugin ? context.names.open_plugin(path) : fail(Errc::kBadConfig, "plug-ins are not known here");
  if (!known) {
    context.problems.add(mark, known.error().what);
    return false;
  }
  job.model = known->model;
  job.plugin.path = path;
  job.plugin.digest = known->digest;
  return true;
}

constexpr Duration kCallMin = from_ms(100), kCallMax = from_ms(86'400'000);

/// What a plug-in's process may have.
void read_limits(const Node& node, Context& context, proto::JobSpec& job) {
  MapReader reader(node, "limits", context.problems);
  const Duration call = reader.duration("call", {}, kCallMin, kCallMax);
  job.plugin.call_ms = static_cast<std::uint32_t>(call.ms());
  job.plugin.memory_mb = reader.count("memory_mb", 0, 16, std::uint64_t{1} << 30);
  if (job.plugin.path.empty() && !is_plugin(job.model))
    context.problems.add(node.mark, fmt::format("'limits' are a plug-in's; '{}' is a built-in model", job.model));
  reader.finish();
}

void read_model(MapReader& reader, Context& context, proto::JobSpec& job, const Node& node) {
  job.model = reader.needed_text("model");
  const Node* params = reader.take("params");
  bool readable = !job.model.empty();
  if (params != nullptr) {
    if (params->kind == Kind::kMap) {
      job.params = config::to_json(*params);
    } else {
      context.problems.add(params->mark, fmt::format("'params' must be a map of the model's parameters, not {}", config::describe(*params)));
      readable = false;
    }
  }
  if (!readable || (is_plugin(job.model) && !read_plugin(reader.mark("model"), context, job))) return;
  if (const auto checked = check_model(context, job); !checked) {
    add_at_named(checked.error(), params != nullptr ? *params : node, reader.mark("model"), context.problems);
  }
}

constexpr std::uint64_t kEveryStepsMax = 1'000'000'000;

void read_data_name(MapReader& reader, Context& context, proto::JobSpec& job) {
  const std::string name = reader.needed_text("data");
  if (name.empty()) return;
  if (const auto it = context.data.find(name); it != context.data.end()) {
    job.data = it->second;
    if (is_plugin(job.model) || !check_model(context, job)) return;  // said already
    if (const auto checked = check_model(context, job, job.data.labels); !checked)
      context.problems.add(reader.mark("model"), fmt::format("{} (data: {})", checked.error().what, name));
    return;
  }
  std::vector<std::string> known;
  for (const auto& [dataset, spec] : context.data) known.push_back(dataset);
  context.problems.add(reader.mark("data"), text::unknown_name("dataset", name, known));
}

/// The job's model's own metric, where it can be scored by no other.
std::optional<std::string> only_metric(const Context& context, const proto::JobSpec& job) {
  if (!job.plugin.path.empty() || is_plugin(job.model) || context.names.only_metric == nullptr) return std::nullopt;
  return context.names.check_model(job.model, job.params) ? context.names.only_metric(job.model, job.params) : std::nullopt;
}

/// Whether the job can be scored by it. Errors: kBadConfig.
Result<void> check_metric(const Context& context, const proto::JobSpec& job, const std::string& metric) {
  if (const auto own = only_metric(context, job)) {
    if (metric == *own) return {};
    return fail(Errc::kBadConfig, fmt::format("metric '{}' is not for model '{}', which is scored by '{}' only", metric, job.model, *own));
  }
  return context.names.check_metric ? context.names.check_metric(metric, job.data.labels) : Result<void>();
}

/// When the held-out rows are scored, and by what.
void read_scoring(MapReader& reader, Context& context, proto::JobSpec& job) {
  proto::ValidationSpec& out = job.validation;
  if (reader.take("every") != nullptr) {
    const std::string written = reader.needed_text("every");
    if (const auto epochs = detail::to_count_of(written, "epoch", detail::kEpochsMax)) {
      out.every_epochs = static_cast<std::uint32_t>(*epochs);
    } else if (const auto steps = detail::to_count_of(written, "step", kEveryStepsMax)) {
      out.every_steps = *steps;
    } else if (!written.empty()) {
      context.problems.add(
          reader.mark("every"),
          fmt::format("'every' under validation must be a number of epochs or steps with its unit (1epoch, 500steps), not '{}'", written.substr(0, 80)));
    }
  }
  if (reader.take("metric") == nullptr) return;
  out.metric = reader.needed_text("metric");
  if (out.metric.empty()) return;
  if (const auto checked = check_metric(context, job, out.metric); !checked) context.problems.add(reader.mark("metric"), checked.error().what);
}

/// Where the held-out rows come from: a part of the training files, or a file; with the dataset's test files neither.
void read_validation(const Node& node, Context& context, proto::JobSpec& job) {
  proto::DataSpec& data = job.data;
  MapReader reader(node, "validation", context.problems);
  const Node* const file = reader.take("file");
  int ways = file != nullptr ? 1 : 0;
  for (const auto& [key, from] : {std::pair("fraction", "random"), std::pair("last", "last")}) {
    if (reader.take(key) == nullptr) continue;
    ++ways;
    data.held_out = {reader.positive(key, 0.1), from};
    if (data.held_out.share > proto::kHeldOutShareMax)
      context.problems.add(reader.mark(key),
                           fmt::format("'{}' under validation must be at most {}, not {}", key, proto::kHeldOutShareMax, data.held_out.share));
    if (!data.test.empty())
      context.problems.add(reader.mark(key),
                           fmt::format("dataset '{}' has test files, whose rows are the held-out ones; take one of 'test' and 'validation' out", data.name));
  }
  read_scoring(reader, context, job);
  reader.finish();
  if (ways > 1 || (ways == 0 && data.test.empty() && node.kind == Kind::kMap))
    context.problems.add(node.mark, "'validation' needs one of fraction, last (shares of the training rows, such as 0.1) and file");
  if (file != nullptr && !data.test.empty())
    context.problems.add(reader.mark("file"), fmt::format("dataset '{}' has test files; take one of 'test' and 'validation' out", data.name));
  else if (file != nullptr)
    detail::read_test_file(*file, context.folder, context.problems, data);
}

/// Whether the job's model gives gradients; yes, too, where it is none that could be made.
bool gives_gradients(const Context& context, const proto::JobSpec& job) {
  if (!job.plugin.path.empty()) return context.names.check_plugin(job.plugin.path, job.params, std::nullopt).value_or(true);
  if (is_plugin(job.model) || context.names.gives_gradients == nullptr || !context.names.check_model(job.model, job.params)) return true;
  return context.names.gives_gradients(job.model, job.params);
}

/// What a model without gradients pushes is added up, and nothing else can be said of it.
void read_no_optimizer(MapReader& reader, Context& context, proto::JobSpec& job) {
  if (gives_gradients(context, job)) return;
  if (job.consistency.local_steps > 0) {
    context.problems.add(reader.mark("consistency"),
                         fmt::format("model '{}' gives no gradients, so a slot can take no local steps with it; take 'local_steps' out", job.model));
    job.consistency.local_steps = 0;  // said
  } else if (reader.take("optimizer") != nullptr && !(job.optimizer == proto::OptimizerSpec{"add", {}})) {
    context.problems.add(reader.mark("optimizer"),
                         fmt::format("model '{}' gives no gradients: what it pushes is added up, with no optimizer, schedule or clip; "
                                     "take 'optimizer' out",
                                     job.model));
  }
  job.optimizer = {"add", {}};
}

/// One job of the file, its sweep spread out already. `written`: its name in the file, for messages, so that a sweep's mistake has the same words in every
/// variant. `sweep`: that name, of one of several.
JobPlan read_job(const Node& node, const std::string& written, const std::string& sweep, Context& context) {
  JobPlan plan;
  proto::JobSpec& job = plan.spec;
  MapReader reader(node, "job '" + written + "'", context.problems);
  (void)reader.take("name");
  read_model(reader, context, job, node);
  if (const Node* limits = reader.take("limits")) read_limits(*limits, context, job);
  read_data_name(reader, context, job);
  if (const Node* validation = reader.take("validation")) read_validation(*validation, context, job);
  if (const Node* optimizer = reader.take("optimizer")) read_optimizer(*optimizer, context, job.optimizer);
  if (const Node* consistency = reader.take("consistency")) read_consistency(*consistency, context.problems, job.consistency);
  read_no_optimizer(reader, context, job);
  job.batch = static_cast<std::uint32_t>(reader.count("batch", job.batch, 1, 1'000'000));
  if (const auto problem = proto::local_steps_problem(job); !problem.empty()) context.problems.add(reader.mark("consistency"), problem);
  job.epochs = static_cast<std::uint32_t>(reader.count("epochs", job.epochs, 1, 1'000'000));
  job.seed = reader.count("seed", job.seed, 0);
  if (const Node* stop = reader.take("stop")) detail::read_stop(*stop, context.problems, job);
  if (job.stop_converged && !gives_gradients(context, job))
    context.problems.add(reader.mark("stop"), fmt::format("model '{}' learns in passes, between which its loss stands still: 'converged' can't be told; "
                                                          "take it out, or stop by patience",
                                                          job.model));
  if (const Node* target = reader.take("target"))
    detail::read_target(
        *target, [&](const std::string& metric) { return check_metric(context, job, metric); }, context.problems, job);
  if (job.validation.metric == only_metric(context, job)) job.validation.metric.clear();  // none other is meant where none is named
  detail::read_group(reader, sweep, context.problems, job);
  job.weight = reader.positive("weight", job.weight);
  plan.submit_after = reader.duration("submit_after", {}, {}, kSubmitAfterMax);
  if (const Node* slots = reader.take("slots")) {
    MapReader range(*slots, "slots of job '" + written + "'", context.problems);
    job.slots_min = static_cast<std::uint32_t>(range.count("min", job.slots_min, 0, 1024));
    job.slots_max = static_cast<std::uint32_t>(range.count("max", job.slots_max, 1, 1024));
    range.finish();
    if (job.slots_min > job.slots_max) context.problems.add(slots->mark, fmt::format("slots: min {} is above max {}", job.slots_min, job.slots_max));
  }
  if (reader.take("init_from") != nullptr) {
    const std::string from = reader.text("init_from");
    auto path = detail::start_path((std::filesystem::path(context.folder) / from).string());
    if (path)
      job.start = {std::move(*path), false};
    else if (!from.empty())
      context.problems.add(reader.mark("init_from"), fmt::format("init_from: {}", path.error().what));
  }
  reader.planned({"ack", "replicas", "work", "python"});
  reader.finish();
  return plan;
}

/// "mlp", or "mlp-2" in a sweep; empty after a mistake.
std::string base_name(const Node& node, Problems& problems) {
  const Node* name = node.find("name");
  if (name == nullptr || name->kind != Kind::kScalar) {
    problems.add(name == nullptr ? node.mark : name->mark, "a job needs a 'name'");
    return {};
  }
  if (text::valid_name(name->text)) return name->text;
  problems.add(name->mark, fmt::format("{} is not a name: 1 to 64 of a-z 0-9 . _ -", config::describe(*name)));
  return {};
}

void read_jobs(const Node& list, Context& context, std::vector<JobPlan>& out) {
  if (list.kind != Kind::kList || list.items.empty()) {
    context.problems.add(list.mark, "'jobs' must be a list with at least one job");
    return;
  }
  std::set<std::string> taken;
  for (const auto& node : list.items) {
    if (node.kind != Kind::kMap) {
      context.problems.add(node.mark, fmt::format("a job must be a map of keys and values, not {}", config::describe(node)));
      continue;
    }
    const std::string base = base_name(node, context.problems);
    const auto variants = detail::spread(node, kJobsMax - std::min(out.size(), kJobsMax - 1), context.problems);
    for (std::size_t i = 0; i < variants.size(); ++i) {
      const std::string name = variants.size() == 1 ? base : fmt::format("{}-{}", base, i + 1);
      if (!base.empty() && !taken.insert(name).second) context.problems.add(node.find("name")->mark, fmt::format("two jobs are called '{}'", name));
      out.push_back(read_job(variants[i], base.empty() ? "?" : base, variants.size() > 1 ? base : "", context));
      out.back().spec.name = name;
      if (!base.empty() && !text::valid_name(name))
        context.problems.add(node.find("name")->mark, fmt::format("the name '{}' is longer than 64 characters", name));
    }
  }
}

void read_cluster(const Node& node, Problems& problems, ClusterPlan& out) {
  MapReader reader(node, "cluster", problems);
  out.servers = static_cast<std::uint32_t>(reader.count("servers", out.servers, 1, 64));
  const Node* slots = reader.take("slots");
  if (slots != nullptr && !(slots->kind == Kind::kScalar && slots->text == "auto")) {
    const auto n = config::to_count(*slots);
    if (n && *n >= 1 && *n <= 256) {
      out.slots = static_cast<std::uint32_t>(*n);
    } else {
      problems.add(slots->mark, fmt::format("'slots' under cluster must be auto (one a core) or a number from 1 to 256, not {}", config::describe(*slots)));
    }
  }
  reader.planned({"replicas", "hosts", "lanes"});
  reader.finish();
}

void read_policy(const Node& node, const KnownNames& names, Problems& problems, PolicyPlan& out) {
  MapReader reader(node, "policy", problems);
  out.name = reader.text("name", out.name);
  if (const auto checked = names.check_policy(out.name); !checked) problems.add(reader.mark("name"), checked.error().what);
  out.round_ms = static_cast<std::uint32_t>(reader.duration("round", from_ms(out.round_ms), from_ms(10), from_ms(60'000)).ms());
  if (const Node* fairness = reader.take("fairness")) {
    out.fairness = fairness->text;
    if (fairness->kind != Kind::kScalar || !manager::parse_fairness(out.fairness))
      problems.add(fairness->mark, fmt::format("'fairness' under policy must be a number from 0 to 1 (how much waiting counts beside loss) or strict, not {}",
                                               config::describe(*fairness)));
  }
  reader.finish();
}

void apply(const std::vector<Override>& overrides, Node& root, Problems& problems) {
  for (const auto& override_ : overrides) {
    const auto source = problems.add_source(override_.source);
    Node value = config::parse(override_.value, source, problems);
    value.mark = {source, 0, 0};
    config::assign(root, override_.path, value, problems);
  }
}

/// False if the file is of another version: then nothing else of it is worth reading.
bool version_fits(MapReader& reader, Problems& problems) {
  const Node* version = reader.take("version");
  if (version == nullptr) return true;
  const auto n = config::to_count(*version);
  if (n == kRunFileVersion) return true;
  problems.add(
      version->mark,
      n ? fmt::format(
              "this run file is of version {}; this sluice reads version {}: use the sluice it was written for, or see docs/run-file.md and set version: {}",
              *n, kRunFileVersion, kRunFileVersion)
        : fmt::format("'version' must be a whole number, not {}", config::describe(*version)));
  return false;
}
}  // namespace

Result<Override> parse_override(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return fail(Errc::kBadConfig, fmt::format("--set {}: must be key=value, for example --set cluster.slots=4", text));
  return Override{text.substr(0, equals), text.substr(equals + 1), "--set " + text};
}

Result<RunFile> read_run_file(const std::string& path, const std::vector<Override>& overrides, const KnownNames& names) {
  const auto text = config::read_text(path);
  if (!text) return tl::unexpected(text.error());
  Problems problems;
  Node root = config::parse(*text, problems.add_source(path), problems);
  if (!problems.empty() && root.kind == Kind::kNull) return fail(problems.error());
  if (root.kind == Kind::kNull) return fail(Errc::kBadConfig, fmt::format("{}: empty; a run file needs 'data' and 'jobs' (docs/run-file.md)", path));
  apply(overrides, root, problems);

  RunFile out;
  out.name = std::filesystem::path(path).stem().string();
  MapReader reader(root, "the run file", problems);
  if (!version_fits(reader, problems)) return fail(problems.error());
  if (const Node* cluster = reader.take("cluster")) read_cluster(*cluster, problems, out.cluster);
  if (const Node* policy = reader.take("policy")) read_policy(*policy, names, problems, out.policy);
  std::map<std::string, proto::DataSpec> data;
  const Node* data_node = reader.need("data");
  const std::string folder = std::filesystem::absolute(path).parent_path().string();
  if (data_node != nullptr) data = detail::read_data_section(*data_node, folder, problems);
  Context context{names, data, folder, problems};
  if (const Node* jobs = reader.need("jobs")) read_jobs(*jobs, context, out.jobs);
  reader.finish();
  if (!problems.empty()) return fail(problems.error());
  for (const auto& [job, submit_after] : out.jobs) {
    if (const auto checked = proto::job_spec_from_json(proto::to_json(job)); !checked)
      return fail(Errc::kBadConfig, fmt::format("{}: job '{}': {}", path, job.name, checked.error().what));
  }
  return out;
}

}  // namespace sluice::cli
