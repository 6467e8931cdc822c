#include "cli/report/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "cli/detail/client.h"
#include "cli/detail/summary.h"
#include "cli/detail/table.h"
#include "cli/report/groups.h"
#include "cli/report/rounded.h"
#include "cli/report/thin.h"
#include "manager/quality.h"

namespace sluice::cli::report {
namespace {
using detail::Json;
using detail::number;
using detail::text;

constexpr double kQMax = 4;  // far above the plot; a diverging loss would need all digits of the page
constexpr std::size_t kNameMax = 80, kWordsMax = 300;
constexpr std::size_t kProblemsMax = 20;

/// The places of all jobs: run by run, as submitted, then those that only other files name.
class Places {
 public:
  std::uint32_t of(const std::string& name) {
    const auto [it, is_new] = places_.try_emplace(name, static_cast<std::uint32_t>(names_.size()));
    if (is_new) names_.push_back(name);
    return it->second;
  }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

 private:
  std::map<std::string, std::uint32_t> places_;
  std::vector<std::string> names_;
};

Places places_of(const std::vector<RunFiles>& runs) {
  Places out;
  for (const auto& run : runs) {
    for (const auto& spec : run.record.specs) out.of(text(spec, "name", "?"));
    for (const auto& job : detail::list(run.record.summary, "jobs")) out.of(text(job, "job"));
    for (const auto& [name, job] : run.record.jobs) out.of(name);
    for (const auto& name : run.digest.jobs) out.of(name);
  }
  return out;
}

/// A number as it stands in the file, shortened, or null.
Json value_or_null(const Json& object, const char* key) {
  const double value = number(object, key, NAN);
  return std::isfinite(value) ? Json(rounded(value, 6)) : Json(nullptr);
}
Json object_or_null(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_object() ? *it : Json(nullptr);
}

/// Slot-seconds by job's place in the digest.
std::vector<double> slot_seconds(const Digest& digest, double end) {
  std::vector<double> out(digest.jobs.size());
  for (const auto& event : digest.slots) {
    const double rest = std::max(0.0, end - event.seconds);
    if (event.to != kIdle) out[event.to] += rest;
    if (event.from != kIdle) out[event.from] -= rest;
  }
  return out;
}

double end_of(const RunFiles& run) { return std::max(run.record.wall_seconds, run.digest.end_seconds); }

/// First and best loss that a job's quality is measured against.
struct Reference {
  double first = NAN;
  double best = NAN;
  [[nodiscard]] double range() const { return first - best; }
};

Reference own_reference(const JobRecord& job) {
  if (job.points.empty()) return {};
  return {job.points.front().loss, manager::best_level(job.points)};
}

struct Context {
  Places& places;
  const Limits& limits;
  std::map<std::string, Reference> common;        ///< empty where the runs are not compared
  std::map<std::string, GroupComparison> groups;  ///< the same
  std::size_t runs = 1;
};

Reference reference_of(const Context& context, const std::string& name, const JobRecord& job) {
  const auto it = context.common.find(name);
  return it == context.common.end() ? own_reference(job) : it->second;
}

void add_curve(const Context& context, const JobRecord& job, const Reference& reference, std::size_t jobs, Json& out) {
  const double submitted = number(job.summary, "submitted_seconds");
  const std::vector<double> levels = manager::smoothed(job.points);
  std::vector<Point> points;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const double never_fell = levels[i] > reference.first ? kQMax : 1;
    const double q = reference.range() > 0 ? (levels[i] - reference.best) / reference.range() : never_fell;
    points.push_back({submitted + job.points[i].seconds, std::isfinite(q) ? std::clamp(q, 0.0, kQMax) : kQMax});
  }
  const std::size_t count = context.limits.curve_points / std::max<std::size_t>(1, context.runs * jobs);
  Json t = Json::array(), q = Json::array();
  for (const Point& p : thin_curve(points, std::clamp<std::size_t>(count, 12, 500))) {
    t.push_back(std::round(p.x * 1000) / 1000);
    q.push_back(std::round(p.y * 1e4) / 1e4);
  }
  out["points"] = points.size();
  out["t"] = std::move(t);
  out["q"] = std::move(q);
}

/// The score on held-out data, as number, words and name.
void add_score(const Json& summary, Json& out) {
  const auto metrics = summary.find("metrics");
  const bool has = metrics != summary.end() && metrics->is_object() && !metrics->empty() && metrics->begin()->is_number();
  out["score"] = has ? Json(rounded(metrics->begin()->get<double>(), 6)) : Json(nullptr);
  out["score_text"] = has ? detail::metric_text(summary) : "–";
  out["score_name"] = has ? detail::cut(metrics->begin().key(), 40) : "";
}

Json milliseconds_or_null(const std::optional<double>& seconds) { return seconds ? Json(std::round(*seconds * 1000) / 1000) : Json(nullptr); }

/// Until 90 % of the improvement; of a job that no summary knows yet against its best so far.
std::optional<double> seconds_to_90(const RunRecord& run, const JobRecord& job, const Reference& reference, bool is_common) {
  if (!is_common && !run.summary.is_null()) {
    const double seconds = number(job.summary, "seconds_to_90", NAN);
    return std::isfinite(seconds) ? std::optional(seconds) : std::nullopt;
  }
  return manager::seconds_to_fraction(job.points, reference.first, reference.best, 0.9);
}

Json job_entry(const Context& context, const RunFiles& run, const std::string& name, const Json& spec, double slot_seconds, std::uint64_t moves) {
  const JobRecord& job = run.record.jobs.at(name);
  const Json& summary = job.summary;
  const Reference reference = reference_of(context, name, job);
  Json out = {{"job", context.places.of(name)},
              {"model", detail::cut(text(spec, "model"), kNameMax)},
              {"state", detail::cut(text(summary, "state", "?"), kNameMax)},
              {"reason", detail::cut(text(summary, "reason"), kWordsMax)},
              {"submitted", value_or_null(summary, "submitted_seconds")},
              {"seconds", value_or_null(summary, "seconds")},
              {"first", value_or_null(summary, "first_loss")},
              {"final", value_or_null(summary, "final_loss")},
              {"validation", value_or_null(summary, "validation_loss")},
              {"steps", value_or_null(summary, "steps")},
              {"declared", value_or_null(summary, "steps_declared")},
              {"slot_seconds", value_or_null(summary, "slot_seconds")},
              {"moves", value_or_null(summary, "moves_in")},
              {"redone", value_or_null(summary, "redone_batches")}};
  add_score(summary, out);
  if (out["slot_seconds"].is_null()) out["slot_seconds"] = rounded(slot_seconds, 6);
  if (out["moves"].is_null()) out["moves"] = moves;
  if (out["first"].is_null() && !job.points.empty()) out["first"] = rounded(job.points.front().loss, 6);
  if (out["final"].is_null() && !job.points.empty()) out["final"] = rounded(job.points.back().loss, 6);
  const auto to_90 = seconds_to_90(run.record, job, reference, context.common.contains(name));
  out["seconds_to_90"] = milliseconds_or_null(to_90);
  out["seconds_to_95"] = milliseconds_or_null(manager::seconds_to_fraction(job.points, reference.first, reference.best, 0.95));
  out["reference"] = {rounded(reference.first, 6), rounded(reference.best, 6)};
  add_curve(context, job, reference, run.record.jobs.size(), out);
  return out;
}

Json jobs_of(const Context& context, const RunFiles& run) {
  std::map<std::string, const Json*> specs;
  for (const auto& spec : run.record.specs) specs[text(spec, "name", "?")] = &spec;
  std::map<std::string, std::size_t> digest_place;
  for (std::size_t i = 0; i < run.digest.jobs.size(); ++i) digest_place[run.digest.jobs[i]] = i;
  const std::vector<double> held = slot_seconds(run.digest, end_of(run));
  const Json no_spec = Json::object();
  Json out = Json::array();
  for (const auto& [name, job] : run.record.jobs) {
    const auto spec = specs.find(name);
    const auto place = digest_place.find(name);
    std::uint64_t moves = 0;
    if (place != digest_place.end()) {
      const auto moved = run.digest.moved_by_job.find(static_cast<std::uint32_t>(place->second));
      moves = moved == run.digest.moved_by_job.end() ? 0 : moved->second;
    }
    out.push_back(job_entry(context, run, name, spec == specs.end() ? no_spec : *spec->second, place == digest_place.end() ? 0 : held[place->second], moves));
  }
  std::sort(out.begin(), out.end(), [](const Json& a, const Json& b) { return a["job"].get<std::uint32_t>() < b["job"].get<std::uint32_t>(); });
  return out;
}

/// What was never reached counts as the end of the run. To 90 % also the worst job.
void add_times(const RunRecord& run, Json& out) {
  for (const auto& [key, reached_key] : {std::pair("seconds_to_90", "reached"), std::pair("seconds_to_95", "reached_95")}) {
    double sum = 0;
    std::size_t reached = 0;
    Json worst;
    for (const auto& job : out["jobs"]) {
      const bool is_reached = job[key].is_number();
      const double seconds = is_reached ? job[key].get<double>() : std::max(0.0, run.wall_seconds - number(job, "submitted"));
      sum += seconds;
      reached += is_reached ? 1 : 0;
      if (worst.is_null() || seconds > worst["seconds"].get<double>()) worst = {{"job", job["job"]}, {"seconds", rounded(seconds, 4)}, {"reached", is_reached}};
    }
    const auto count = static_cast<double>(out["jobs"].size());
    out[key] = count > 0 ? Json(rounded(sum / count, 4)) : Json(nullptr);
    out[reached_key] = reached;
    if (!out.contains("worst")) out["worst"] = std::move(worst);
  }
}

Json bands_of(const Context& context, const RunFiles& run, const std::vector<std::uint32_t>& coloured) {
  std::vector<std::uint32_t> band_of;  // by place in the digest; the last band is all others
  for (const auto& name : run.digest.jobs) {
    const std::uint32_t place = context.places.of(name);
    band_of.push_back(static_cast<std::uint32_t>(std::find(coloured.begin(), coloured.end(), place) - coloured.begin()));
  }
  const Bands bands = slot_bands(run.digest.slots, band_of, coloured.size() + 1, end_of(run), context.limits.times);
  Json out = {{"t", Json::array()}, {"jobs", Json::array()}, {"n", Json::array()}, {"exact", bands.exact}};
  for (const double t : bands.t) out["t"].push_back(std::round(t * 1000) / 1000);
  for (std::size_t b = 0; b < bands.n.size(); ++b) {
    const auto& row = bands.n[b];
    if (std::all_of(row.begin(), row.end(), [](double n) { return n == 0; })) continue;
    Json numbers = Json::array();
    for (const double n : row) numbers.push_back(n == std::floor(n) ? Json(static_cast<std::int64_t>(n)) : Json(std::round(n * 100) / 100));
    out["jobs"].push_back(b < coloured.size() ? Json(coloured[b]) : Json(nullptr));
    out["n"].push_back(std::move(numbers));
  }
  return out;
}

double median(std::vector<double> values) {
  if (values.empty()) return NAN;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Every so many-th, so that at most `count_max` are left.
std::size_t step_for(std::size_t count, std::size_t count_max) {
  return std::max<std::size_t>(1, (count + count_max - 1) / std::max<std::size_t>(1, count_max));
}

Json outcomes_of(const Context& context, const RunFiles& run) {
  std::vector<double> predicted, actual;
  std::vector<Json> points;
  std::size_t unpredicted = 0, at_least = 0;
  std::map<std::uint32_t, double> ranges;
  for (const Outcome& outcome : run.digest.outcomes) {
    const std::string& name = run.digest.jobs[outcome.job];
    const auto [range, is_new] = ranges.try_emplace(outcome.job, 0);
    if (const auto job = run.record.jobs.find(name); is_new && job != run.record.jobs.end()) range->second = reference_of(context, name, job->second).range();
    if (!(outcome.predicted > 0) || !(range->second > 0)) {
      ++unpredicted;
      continue;
    }
    predicted.push_back(outcome.predicted / range->second);
    actual.push_back(outcome.actual / range->second);
    at_least += outcome.actual >= outcome.predicted ? 1 : 0;
    points.push_back({context.places.of(name), rounded(predicted.back(), 4), rounded(actual.back(), 4), outcome.decision});
  }
  Json shown = Json::array();
  const std::size_t step = step_for(points.size(), context.limits.outcomes / context.runs);
  for (std::size_t i = 0; i < points.size(); i += step) shown.push_back(std::move(points[i]));
  return {{"total", predicted.size()},
          {"unpredicted", unpredicted},
          {"at_least", at_least},
          {"median_predicted", rounded(median(std::move(predicted)), 3)},
          {"median_actual", rounded(median(std::move(actual)), 3)},
          {"points", std::move(shown)}};
}

/// The digest's decisions, their jobs by the document's places.
Json decisions_of(const Context& context, const RunFiles& run) {
  std::vector<std::uint32_t> places;
  for (const auto& name : run.digest.jobs) places.push_back(context.places.of(name));
  const auto translate = [&](Json& entries) {
    for (auto& entry : entries) entry["job"] = places[entry["job"].get<std::uint32_t>()];
  };
  Json out = Json::array();
  for (Json decision : run.digest.decisions) {
    for (const char* key : {"changes", "refused", "moved", "outcomes"}) {
      if (decision.contains(key)) translate(decision[key]);
    }
    for (auto& change : decision["changes"]) translate(change["refused"]);
    out.push_back(std::move(decision));
  }
  return out;
}

Json run_entry(const Context& context, const RunFiles& run, const std::vector<std::uint32_t>& coloured) {
  const Json& summary = run.record.summary;
  Json out = {{"folder", detail::cut(run.record.folder, kWordsMax)},
              {"policy", detail::cut(run.record.policy, kNameMax)},
              {"ended", !summary.is_null()},
              {"wall", rounded(end_of(run), 6)},
              {"slots", std::max(number(summary, "slots"), static_cast<double>(run.digest.slots_max))},
              {"servers", value_or_null(summary, "servers")},
              {"notes", run.notes},
              {"problems", Json::array()},
              {"rounds", object_or_null(summary, "rounds")},
              {"moves", object_or_null(summary, "moves")},
              {"moves_total", run.digest.moved_total},
              {"loss_seconds", nullptr},
              {"decisions_total", run.digest.decisions_total}};
  if (const auto aggregate = summary.find("aggregate"); aggregate != summary.end()) out["loss_seconds"] = value_or_null(*aggregate, "loss_seconds_per_job");
  if (!summary.is_null()) out["wall"] = rounded(run.record.wall_seconds, 6);
  for (const auto& problem : detail::list(summary, "problems")) {
    if (problem.is_string() && out["problems"].size() < kProblemsMax) out["problems"].push_back(detail::cut(problem.get<std::string>(), kWordsMax));
  }
  out["jobs"] = jobs_of(context, run);
  add_times(run.record, out);
  out["groups"] = groups_of(
      run.record, [&](const std::string& name) { return context.places.of(name); }, context.groups,
      std::min<std::size_t>(500, context.limits.curve_points / std::max<std::size_t>(1, context.runs * run.record.jobs.size())));
  out["bands"] = bands_of(context, run, coloured);
  out["outcomes"] = outcomes_of(context, run);
  out["decisions"] = decisions_of(context, run);
  return out;
}

/// The jobs that get a colour: those that had most slot-seconds, over all runs; by place.
std::vector<std::uint32_t> coloured_of(Places& places, const std::vector<RunFiles>& runs, std::size_t count_max) {
  std::vector<double> held(places.names().size());
  for (const auto& run : runs) {
    const auto seconds = slot_seconds(run.digest, end_of(run));
    for (std::size_t i = 0; i < seconds.size(); ++i) held[places.of(run.digest.jobs[i])] += seconds[i];
  }
  std::vector<std::uint32_t> out(held.size());
  std::iota(out.begin(), out.end(), 0u);
  if (out.size() <= count_max) return out;
  std::stable_sort(out.begin(), out.end(), [&](auto a, auto b) { return held[a] > held[b]; });
  out.resize(count_max - 1);  // the last colour is all others'
  std::sort(out.begin(), out.end());
  return out;
}

/// Why the runs can't be set side by side, or the comparison.
Result<Comparison> compare_all(const std::vector<RunFiles>& runs) {
  std::vector<RunRecord> records;
  for (const auto& run : runs) {
    const auto& record = run.record;
    if (record.summary.is_null()) return fail(Errc::kBadConfig, fmt::format("{} has no summary.json: it did not come to an end", record.folder));
    for (const auto& spec : record.specs) {
      if (!record.jobs.contains(text(spec, "name"))) return fail(Errc::kBadConfig, fmt::format("{}: job '{}' is missing", record.folder, text(spec, "name")));
    }
    if (record.specs.empty()) return fail(Errc::kBadConfig, fmt::format("{}: its run.json names no jobs", record.folder));
    records.push_back(record);
  }
  return compare(std::move(records));
}
}  // namespace

nlohmann::json document(const std::vector<RunFiles>& runs, const Limits& limits) {
  Places places = places_of(runs);
  Context context{places, limits, {}, {}, std::max<std::size_t>(1, runs.size())};
  Json out = {{"version", 1}, {"comparison", nullptr}, {"not_compared", ""}};
  if (runs.size() > 1) {
    if (const auto compared = compare_all(runs); compared) {
      for (const auto& job : compared->jobs) context.common[job.job] = {job.first_loss, job.best_loss};
      for (const auto& group : compared->groups) context.groups[group.group] = group;
      out["comparison"] = Json::parse(to_json(*compared));
    } else {
      out["not_compared"] = compared.error().what;
    }
  }
  const std::vector<std::uint32_t> coloured = coloured_of(places, runs, limits.coloured);
  out["coloured"] = coloured;
  out["runs"] = Json::array();
  for (const auto& run : runs) out["runs"].push_back(run_entry(context, run, coloured));
  out["jobs"] = Json::array();
  for (const auto& name : places.names()) out["jobs"].push_back(detail::cut(name, kNameMax));
  return out;
}

}  // namespace sluice::cli::report
