/// What people ask the manager, as JSON: ps, summary (docs/calls.md).
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "manager/detail/core.h"
#include "manager/detail/json_number.h"
#include "manager/quality.h"
#include "manager/target.h"

namespace sluice::manager {
namespace {

using nlohmann::json;

constexpr std::size_t kJobsShown = 4000;

/// Predicted fall of the normalised loss per second with the slots it has.
double gain_per_second(const Job& job, const JobDecision& decided, const ClusterView& view) {
  const double range = job.first_loss - job.floor();
  if (job.ended() || !(range > 0)) return 0;
  const double seconds = std::max({view.round, view.quantum_min, job.move_cost * 20}).seconds();
  return decided.drop_with / range / seconds;
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
  const std::string& sentence = rounds_.decision_of(job.id).sentence;
  return sentence.empty() ? "submitted" : sentence;
}

double Core::share_of(const Job& job) const { return job.spec.target && !job.ended() ? rounds_.decision_of(job.id).share : 0; }

json Core::head_of(const Job& job) const {
  return {{"job", job.spec.name},
          {"id", job.id.value},
          {"state", name_of(job.state)},
          {"phase", name_of(job.phase())},
          {"reason", reason_of(job)},
          {"slots", job.slots},
          {"weight", job.spec.weight},
          {"slots_min", job.spec.slots_min},
          {"slots_max", job.spec.slots_max},
          {"group", job.spec.group},
          {"loss", number_or_null(job.reports > 0, job.loss)},
          {"normalized_loss", job.normalized_loss()},
          {"target", target_json(job, share_of(job), clock_.now())}};
}

json Core::ps_of(const Job& job) const {
  json out = head_of(job);
  out.update(json{{"step", job.step},
                  {"examples", job.examples},
                  {"examples_total", job.examples_total},
                  {"steps_per_s", job.slots > 0 ? job.steps_per_s : 0},
                  {"examples_per_s", job.slots > 0 ? job.examples_per_s : 0},
                  {"first_loss", number_or_null(job.reports > 0, job.first_loss)},
                  {"predicted_gain_per_s", gain_per_second(job, rounds_.decision_of(job.id), rounds_.view())},
                  {"staleness", job.staleness},
                  {"slot_seconds", job.slot_seconds},
                  {"moves_in", job.moves_in},
                  {"redone_batches", job.redone_batches},
                  {"validation_loss", number_or_null(job.evaluated > 0, job.validation_loss)},
                  {"metric", number_or_null(job.evaluated > 0, job.metric)},
                  {"metric_name", job.metric_name},
                  {"seconds", job.seconds_since_submission(clock_.now())},
                  {"freed", job.ended() && !ending_.contains(job.id) && !outbox_.ending(job.id)},
                  {"last_decision", job.ended() ? "" : rounds_.decision_of(job.id).sentence}});
  return out;
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
          {"jobs_forgotten", jobs_.forgotten()},
          {"problems", std::move(problems)}};
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
  const Outcome came = job.outcome(clock_.now());
  json metrics = json::object();
  if (job.evaluated > 0 && std::isfinite(job.metric)) metrics[job.metric_name] = job.metric;
  return {{"job", job.spec.name},
          {"id", job.id.value},
          {"state", name_of(job.state)},
          {"code", job.state == JobState::kFailed ? json(name_of(job.code)) : json()},
          {"reason", reason_of(job)},
          {"steps", job.step},
          {"steps_declared", number_or_null(job.declared_steps() > 0, job.declared_steps())},
          {"examples", job.examples},
          {"first_loss", number_or_null(job.reports > 0, job.first_loss)},
          {"final_loss", number_or_null(job.reports > 0, came.final_loss)},
          {"best_loss", number_or_null(job.reports > 0, came.best_loss)},
          {"validation_loss", number_or_null(job.evaluated > 0, job.validation_loss)},
          {"metrics", std::move(metrics)},
          {"target", target_json(job, share_of(job), clock_.now())},
          {"group", job.spec.group},
          {"submitted_seconds", (job.submitted - first_submission).seconds()},
          {"seconds", job.seconds_since_submission(clock_.now())},
          {"seconds_to_90", number_or_null(came.seconds_to_90)},
          {"loss_seconds", came.loss_seconds},
          {"slot_seconds", job.slot_seconds},
          {"moves_in", job.moves_in},
          {"redone_batches", job.redone_batches},
          {"staleness_per_slot", number_or_null(job.rates.staleness_measured())}};
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
          {"jobs_forgotten", jobs_.forgotten()},
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
