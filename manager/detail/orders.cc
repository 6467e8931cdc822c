/// What people order of a running manager: cancel, pause, resume, set (docs/calls.md). Each order that changes something is a line of decisions.jsonl.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/text.h"
#include "manager/detail/core.h"

namespace sluice::manager {
namespace {

using nlohmann::json;

json answer_of(const Job& job, bool changed, const std::string& sentence) {
  return {{"job", job.spec.name}, {"id", job.id.value}, {"state", name_of(job.state)}, {"changed", changed}, {"sentence", sentence}};
}

std::string slots_words(std::uint32_t slots) { return fmt::format("{} worker slot{}", slots, slots == 1 ? "" : "s"); }

std::string difference(const LiveValues& before, const LiveValues& after) {
  std::string out;
  const auto add = [&](const char* key, auto was, auto is) {
    if (was != is) out += fmt::format("{}{} {} → {}", out.empty() ? "" : ", ", key, was, is);
  };
  add("weight", before.weight, after.weight);
  add("slots.min", before.slots_min, after.slots_min);
  add("slots.max", before.slots_max, after.slots_max);
  return out;
}

}  // namespace

Result<std::vector<JobId>> Core::named(const std::vector<std::string>& names) const {
  constexpr std::size_t kUnknownTold = 10;
  std::vector<JobId> ids;
  std::vector<std::string> known;
  std::string unknown;
  std::size_t unknowns = 0;
  for (const std::string& name : names) {
    if (const Job* job = jobs_.find(name)) {
      ids.push_back(job->id);
      continue;
    }
    if (++unknowns > kUnknownTold) continue;
    for (const auto& [id, job] : jobs_.all())
      if (unknowns == 1) known.push_back(job.spec.name);
    unknown += (unknown.empty() ? "" : "\n") + text::unknown_name("job", name, known);
  }
  if (unknowns > kUnknownTold) unknown += fmt::format("\nand {} more unknown jobs", unknowns - kUnknownTold);
  if (!unknown.empty()) return fail(Errc::kNotFound, std::move(unknown));
  return ids;
}

void Core::asked(const Job& job, Reason reason, const std::string& sentence) {
  log::info("job {}: {}", job.spec.name, sentence);
  write({{"version", 1},
         {"kind", "asked"},
         {"decision", decision_.value},
         {"time_ms", static_cast<double>((clock_.now() - began_).ns / 1000) / 1000},
         {"job", job.spec.name},
         {"id", job.id.value},
         {"reason", name_of(reason)},
         {"sentence", sentence}},
        "decision log");
}

Result<json> Core::ordered(json jobs, bool changed) {
  if (changed) {
    ask_round("job");
    if (auto stored = store_jobs(); !stored)
      return fail(stored.error().code, fmt::format("it is done, but could not be stored, so that a restarted manager would not know ({}); storing is tried "
                                                   "again every second",
                                                   stored.error().what));
  }
  return json{{"version", 1}, {"jobs", std::move(jobs)}};
}

Result<json> Core::cancel(const std::vector<std::string>& names) {
  const auto ids = named(names);
  if (!ids) return fail(ids.error());
  json jobs = json::array();
  bool changed = false;
  for (const JobId id : *ids) {
    const Job& job = *jobs_.find(id);
    const std::string was(name_of(job.state));
    const std::uint32_t held = job.slots;
    if (!jobs_.cancel(id, clock_.now())) {
      jobs.push_back(answer_of(job, false, job.state == JobState::kCancelled ? "was cancelled already" : fmt::format("is {} already: nothing to cancel", was)));
      continue;
    }
    changed = true;
    ending_.insert(id);
    asked(job, Reason::kCancelled, fmt::format("cancelled; it was {} with {}", was, slots_words(held)));
    jobs.push_back(answer_of(job, true, "cancelled"));
  }
  return ordered(std::move(jobs), changed);
}

Result<json> Core::pause(const std::vector<std::string>& names) {
  const auto ids = named(names);
  if (!ids) return fail(ids.error());
  for (const JobId id : *ids)
    if (const Job& job = *jobs_.find(id); job.ended())
      return fail(Errc::kBadConfig, fmt::format("job '{}' is {}: it can't be paused", job.spec.name, name_of(job.state)));
  json jobs = json::array();
  bool changed = false;
  for (const JobId id : *ids) {
    const Job& job = *jobs_.find(id);
    const std::string was(name_of(job.state));
    const bool fresh = jobs_.pause(id);
    changed = changed || fresh;
    if (fresh) asked(job, Reason::kPaused, fmt::format("paused; it was {} with {}", was, slots_words(job.slots)));
    jobs.push_back(answer_of(job, fresh, fresh ? "paused" : "is paused already"));
  }
  return ordered(std::move(jobs), changed);
}

Result<json> Core::resume(const std::vector<std::string>& names) {
  const auto ids = named(names);
  if (!ids) return fail(ids.error());
  for (const JobId id : *ids)
    if (const Job& job = *jobs_.find(id); job.ended())
      return fail(Errc::kBadConfig, fmt::format("job '{}' is {}: it can't be resumed", job.spec.name, name_of(job.state)));
  json jobs = json::array();
  bool changed = false;
  for (const JobId id : *ids) {
    const Job& job = *jobs_.find(id);
    const bool fresh = jobs_.resume(id);
    changed = changed || fresh;
    if (fresh) asked(job, Reason::kResumed, "resumed");
    jobs.push_back(answer_of(job, fresh, fresh ? "resumed" : "is not paused"));
  }
  return ordered(std::move(jobs), changed);
}

Result<json> Core::checkpoint(const std::vector<std::string>& names, const std::string& folder, const std::string& cut) {
  if (!text::valid_name(cut)) return fail(Errc::kBadConfig, "a checkpoint's name must be 1 to 64 of a-z 0-9 . _ -");
  if (!folder.starts_with('/') || folder.size() > 4096) return fail(Errc::kBadConfig, "a checkpoint's folder must be an absolute path");
  auto ids = named(names);
  if (!ids) return fail(ids.error());
  if (names.empty()) ids->assign(jobs_.live().begin(), jobs_.live().end());
  if (ids->empty()) return fail(Errc::kNotFound, "no job lives: there is nothing to save");
  std::vector<const Job*> jobs;
  for (const JobId id : *ids) {
    const Job& job = *jobs_.find(id);
    if (job.ended()) return fail(Errc::kBadConfig, fmt::format("job '{}' is {}: only a live job can be saved", job.spec.name, name_of(job.state)));
    jobs.push_back(&job);
  }
  std::set<ServerId> servers;
  for (const auto& slot : ring_.table().slots) servers.insert(slot.primary);
  if (!ring_.table().made()) servers.clear();
  if (auto begun = checkpoints_.begin(cut, folder, jobs, servers); !begun) return fail(begun.error());
  log::info("checkpoint {} of {} jobs to {}", cut, jobs.size(), folder);
  return checkpoints_.status(cut);
}

void Core::remember(JobId id, const std::vector<LossPoint>& curve) { jobs_.remember(id, curve, clock_.now()); }

Result<json> Core::set(const std::string& name, const json& values) {
  const auto ids = named({name});
  if (!ids) return fail(ids.error());
  const Job& job = *jobs_.find(ids->front());
  if (job.ended()) return fail(Errc::kBadConfig, fmt::format("job '{}' is {}: nothing of it can be changed any more", name, name_of(job.state)));
  const LiveValues before = job.live_values();
  const auto after = with_changes(before, values);
  if (!after) return fail(after.error());
  const bool changed = jobs_.set(job.id, *after);
  const std::string words = difference(before, *after);
  if (changed) asked(job, Reason::kChanged, words);
  json entry = answer_of(job, changed, changed ? words : "has these values already");
  entry.update({{"weight", after->weight}, {"slots_min", after->slots_min}, {"slots_max", after->slots_max}});
  return ordered(json::array({std::move(entry)}), changed);
}

}  // namespace sluice::manager
