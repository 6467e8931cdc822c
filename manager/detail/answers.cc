/// What people ask the manager, as JSON: ps, explain, summary (docs/calls.md).
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "manager/detail/core.h"
#include "manager/policies/claims.h"
#include "manager/quality.h"

namespace sluice::manager {
namespace {

using nlohmann::json;

constexpr std::size_t kJobsShown = 4000;

json number_or_null(bool known, double value) { return known && std::isfinite(value) ? json(value) : json(); }

/// Predicted fall of the normalised loss per second with the slots it has.
double gain_per_second(const Job& job, const ClusterView& view) {
  const double range = job.first_loss - job.floor();
  if (job.ended() || !(range > 0)) return 0;
  const double seconds = std::max({view.round, view.quantum_min, job.move_cost * 20}).seconds();
  return job.last_decision.drop_with / range / seconds;
}

/// Steps a second with the slots it has, with one more, and why.
json speed_up_of(const Job& job) {
  const SpeedUp s = job.rates.speed_up();
  const auto at = [&](std::uint32_t slots) { return json{{"slots", slots}, {"steps_per_s", s.rate(slots)}, {"efficiency", s.efficiency(slots)}}; };
  return {{"now", at(job.slots)},
          {"next", at(job.slots + 1)},
          {"alone_steps_per_s", s.alone},
          {"kappa", s.kappa},
          {"kappa_measured", job.rates.kappa_measured()},
          {"spread", job.rates.spread()},
          {"staleness_per_slot", s.staleness_per_slot},
          {"staleness_penalty", s.penalty},
          {"left_out", job.rates.left_out()}};
}

/// How much of its loss is left, by its own reports and by what past jobs of its model were like.
json remaining_of(const Job& job, const RemainingPrior& prior) {
  const double declared = job.declared_steps(), step = static_cast<double>(job.step);
  const double total = declared > 0 ? declared : prior.total_steps(job.spec.model, step).steps;
  const auto past = prior.remaining(job.spec.model, total > 0 ? step / total : 0);
  return {{"fitted", job.normalized_loss()}, {"past_jobs", past.mean}, {"past_deviation", past.deviation},
          {"jobs_of_model", past.jobs},      {"total_steps", total},   {"declared", declared > 0}};
}

Result<void> replace_file(const std::string& path, const std::string& content) {
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const bool written = fd >= 0 && ::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size());
  const int why = errno;
  if (fd >= 0) ::close(fd);
  if (written && std::rename(fresh.c_str(), path.c_str()) == 0) return {};
  return fail(Errc::kIo, fmt::format("cannot write {}: {}", path, std::strerror(written ? errno : why)));
}

}  // namespace

std::string Core::reason_of(const Job& job) const {
  if (job.ended()) return job.reason;
  if (job.paused()) return "it holds no worker slots until it is resumed";
  if (std::string waiting = ring_.waiting_for(members_); !waiting.empty()) return waiting;
  if (fleet_.slots() == 0) return "waiting for workers: there are no worker slots";
  if (!job.reason.empty()) return job.reason;
  return job.last_decision.sentence.empty() ? "submitted" : job.last_decision.sentence;
}

json Core::ps_of(const Job& job) const {
  const JobDecision& d = job.last_decision;
  return {{"job", job.spec.name},
          {"id", job.id.value},
          {"state", name_of(job.state)},
          {"phase", name_of(job.phase())},
          {"reason", reason_of(job)},
          {"slots", job.slots},
          {"weight", job.spec.weight},
          {"slots_min", job.spec.slots_min},
          {"slots_max", job.spec.slots_max},
          {"step", job.step},
          {"examples", job.examples},
          {"examples_total", job.examples_total},
          {"steps_per_s", job.slots > 0 ? job.steps_per_s : 0},
          {"examples_per_s", job.slots > 0 ? job.examples_per_s : 0},
          {"loss", number_or_null(job.reports > 0, job.loss)},
          {"first_loss", number_or_null(job.reports > 0, job.first_loss)},
          {"normalized_loss", job.normalized_loss()},
          {"predicted_gain_per_s", gain_per_second(job, rounds_.view())},
          {"staleness", job.staleness},
          {"slot_seconds", job.slot_seconds},
          {"moves_in", job.moves_in},
          {"redone_batches", job.redone_batches},
          {"validation_loss", number_or_null(job.evaluated > 0, job.validation_loss)},
          {"metric", number_or_null(job.evaluated > 0, job.metric)},
          {"metric_name", job.metric_name},
          {"seconds", job.seconds_since_submission(clock_.now())},
          {"freed", job.ended() && !ending_.contains(job.id) && !outbox_.ending(job.id)},
          {"last_decision", job.ended() ? "" : d.sentence}};
}

json Core::ps() const {
  json servers = json::array(), workers = json::array(), jobs = json::array(), problems = json::array();
  for (const auto& entry : ring_.table().servers)
    if (members_.find(proto::Role::kServer, entry.id.value) == nullptr)
      servers.push_back({{"name", entry.name}, {"id", entry.id.value}, {"lanes", entry.lanes.size()}, {"alive", false}, {"resident_bytes", 0}});
  for (const auto& [id, m] : members_.of(proto::Role::kServer))
    servers.push_back({{"name", m.name}, {"id", id}, {"lanes", m.lanes.size()}, {"alive", true}, {"resident_bytes", m.resident_bytes}});
  for (const auto& [id, m] : members_.of(proto::Role::kWorker))
    workers.push_back({{"name", m.name}, {"id", id}, {"slots", m.slots}, {"alive", true}, {"resident_bytes", m.resident_bytes}});
  // Live jobs first; of the ended ones the newest, as many as a message holds.
  std::size_t room = kJobsShown;
  std::set<JobId> shown;
  for (auto it = jobs_.live().begin(); it != jobs_.live().end() && room > 0; ++it, --room) shown.insert(*it);
  for (auto it = jobs_.all().rbegin(); it != jobs_.all().rend() && room > 0; ++it)
    if (it->second.ended() && shown.insert(it->first).second) --room;
  for (const JobId id : shown) jobs.push_back(ps_of(*jobs_.find(id)));
  for (const auto& [key, words] : problems_) problems.push_back(words);
  return {{"version", 1},
          {"policy", rounds_.policy().name()},
          {"round_ms", options_.round_ms},
          {"slots", fleet_.slots()},
          {"servers_expected", options_.servers},
          {"ring_version", ring_.table().version.value},
          {"term", term_.value},
          {"servers", std::move(servers)},
          {"workers", std::move(workers)},
          {"jobs", std::move(jobs)},
          {"jobs_hidden", jobs_.all().size() - shown.size()},
          {"problems", std::move(problems)}};
}

Result<json> Core::explain(const std::string& wanted) const {
  if (!wanted.empty() && jobs_.find(wanted) == nullptr) {
    std::vector<std::string> names;
    for (const auto& [id, job] : jobs_.all()) names.push_back(job.spec.name);
    return fail(Errc::kNotFound, text::unknown_name("job", wanted, names));
  }
  json jobs = json::array();
  for (const auto& [id, job] : jobs_.all()) {
    if (!wanted.empty() && jobs_.find(wanted) != &job) continue;
    const JobDecision& d = job.last_decision;
    json decisions = json::array(), moves = json::array(), asked = json::array();
    for (const json& entry : log_.entries(job.spec.name)) {
      const std::string kind = entry.value("kind", "");
      (kind == "moved" ? moves : kind == "asked" ? asked : decisions).push_back(entry);
    }
    jobs.push_back({{"job", job.spec.name},
                    {"id", id.value},
                    {"state", name_of(job.state)},
                    {"phase", name_of(job.phase())},
                    {"reason", reason_of(job)},
                    {"slots", job.slots},
                    {"weight", job.spec.weight},
                    {"slots_min", job.spec.slots_min},
                    {"slots_max", job.spec.slots_max},
                    {"loss", number_or_null(job.reports > 0, job.loss)},
                    {"normalized_loss", job.normalized_loss()},
                    {"now",
                     {{"reason", name_of(job.state == JobState::kCancelled ? Reason::kCancelled
                                         : job.ended()                     ? Reason::kEnded
                                                                           : d.reason)},
                      {"sentence", job.ended() ? job.reason : d.sentence},
                      {"share", d.share},
                      {"drop_with", d.drop_with},
                      {"deviation", d.deviation},
                      {"index", d.index},
                      {"marginal_gain", d.marginal_gain}}},
                    {"speed_up", speed_up_of(job)},
                    {"remaining", remaining_of(job, jobs_.prior())},
                    {"decisions", std::move(decisions)},
                    {"asked", std::move(asked)},
                    {"moves", std::move(moves)}});
  }
  json out = {{"version", 1}, {"policy", rounds_.policy().name()}, {"jobs", std::move(jobs)}};
  if (wanted.empty()) out["prior"] = jobs_.prior().to_json();
  return out;
}

Instant Core::first_submission() const {
  Instant first = clock_.now();
  for (const auto& [id, job] : jobs_.all()) first = std::min(first, job.submitted);
  return first;
}

double Core::wall_seconds() const {
  const Instant now = clock_.now(), from = first_submission();
  double last = 0;
  for (const auto& [id, job] : jobs_.all()) last = std::max(last, (job.submitted - from).seconds() + job.seconds_since_submission(now));
  return last;
}

json Core::summary_of(const Job& job, Instant first_submission) const {
  const auto points = job.curve.points();
  const double best = best_level(points);
  const auto to_90 = seconds_to_fraction(points, job.first_loss, best, 0.9);
  json metrics = json::object();
  if (job.evaluated > 0 && std::isfinite(job.metric)) metrics[job.metric_name] = job.metric;
  return {{"job", job.spec.name},
          {"id", job.id.value},
          {"state", name_of(job.state)},
          {"code", job.state == JobState::kFailed ? json(name_of(job.code)) : json()},
          {"reason", reason_of(job)},
          {"steps", job.step},
          {"examples", job.examples},
          {"first_loss", number_or_null(job.reports > 0, job.first_loss)},
          {"final_loss", number_or_null(job.reports > 0, final_level(points))},
          {"best_loss", number_or_null(job.reports > 0, best)},
          {"validation_loss", number_or_null(job.evaluated > 0, job.validation_loss)},
          {"metrics", std::move(metrics)},
          {"submitted_seconds", (job.submitted - first_submission).seconds()},
          {"seconds", job.seconds_since_submission(clock_.now())},
          {"seconds_to_90", number_or_null(to_90.has_value(), to_90.value_or(0))},
          {"loss_seconds", loss_seconds(points, job.first_loss, best, job.seconds_since_submission(clock_.now()))},
          {"slot_seconds", job.slot_seconds},
          {"moves_in", job.moves_in},
          {"redone_batches", job.redone_batches}};
}

json Core::summary() const {
  json jobs = json::array();
  double loss_sum = 0, to_90_sum = 0;
  std::size_t reached = 0;
  const Instant first = first_submission();
  for (const auto& [id, job] : jobs_.all()) {
    jobs.push_back(summary_of(job, first));
    loss_sum += jobs.back()["loss_seconds"].get<double>();
    if (const json& to_90 = jobs.back()["seconds_to_90"]; to_90.is_number()) {
      to_90_sum += to_90.get<double>();
      ++reached;
    }
  }
  const double count = static_cast<double>(jobs.size());
  json problems = json::array();
  for (const auto& [key, words] : problems_) problems.push_back(words);
  return {{"version", 1},
          {"policy", rounds_.policy().name()},
          {"wall_seconds", wall_seconds()},
          {"slots", fleet_.slots()},
          {"servers", members_.of(proto::Role::kServer).size()},
          {"jobs", std::move(jobs)},
          {"moves",
           {{"count", stall_ms_.count()},
            {"p50_ms", move_ms_.percentile(0.5)},
            {"p99_ms", move_ms_.percentile(0.99)},
            {"stall_p50_ms", stall_ms_.percentile(0.5)},
            {"stall_p99_ms", stall_ms_.percentile(0.99)}}},
          {"rounds", {{"count", round_ms_.count()}, {"p50_ms", round_ms_.percentile(0.5)}, {"p99_ms", round_ms_.percentile(0.99)}}},
          {"aggregate",
           {{"loss_seconds_per_job", count > 0 ? loss_sum / count : 0},
            {"seconds_to_90_mean", number_or_null(reached > 0, to_90_sum / static_cast<double>(std::max<std::size_t>(reached, 1)))},
            {"seconds_to_90_reached", reached}}},
          {"problems", std::move(problems)}};
}

void Core::write_summary() {
  summary_due_ = false;
  summary_at_ = clock_.now();
  problem("summary.json", replace_file(out_dir_ + "/summary.json", summary().dump(1, ' ', false, json::error_handler_t::replace) + "\n"));
}

}  // namespace sluice::manager
