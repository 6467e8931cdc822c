#include "manager/detail/checkpoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sluice::manager {
namespace {
constexpr std::string_view kNotFoundCode = "not_found";
}

bool Checkpoints::done(const One& one) {
  return std::none_of(one.jobs.begin(), one.jobs.end(), [](const auto& job) { return job.second.state == State::kSaving; });
}

Result<void> Checkpoints::begin(const std::string& cut, const std::string& folder, const std::vector<const Job*>& jobs, const std::set<ServerId>& servers) {
  for (const One& one : all_) {
    if (one.cut == cut) return sluice::fail(Errc::kBadConfig, fmt::format("there was a checkpoint '{}' already", cut));
    for (const Job* job : jobs) {
      const auto it = one.jobs.find(job->id);
      if (it != one.jobs.end() && it->second.state == State::kSaving)
        return sluice::fail(Errc::kBadConfig, fmt::format("job '{}' is being saved already, to {}", job->spec.name, one.folder));
    }
  }
  if (all_.size() == kRememberedMax) {
    const auto over = std::find_if(all_.begin(), all_.end(), done);
    if (over == all_.end()) return sluice::fail(Errc::kFull, fmt::format("{} checkpoints are under way", all_.size()));
    all_.erase(over);
  }
  One& one = all_.emplace_back(One{cut, folder, {}});
  for (const Job* job : jobs) {
    OneJob& entry = one.jobs[job->id];
    entry.name = job->spec.name, entry.spec = proto::to_json(job->spec);
    entry.servers = entry.waiting = servers;
    if (servers.empty()) fail(entry, std::string(kNotFoundCode), "there is no slot table yet");
    if (servers.empty()) entry.state = State::kNotBegun;
  }
  return {};
}

void Checkpoints::fail(OneJob& job, std::string code, std::string text) {
  if (job.state != State::kSaving) return;
  job.state = State::kFailed;
  job.code = std::move(code), job.text = std::move(text);
  job.waiting = job.servers;  // they are told that it is given up
  job.due = {};
}

void Checkpoints::saved(JobId id, ServerId server, const proto::Saved& said) {
  for (One& one : all_) {
    const auto it = one.jobs.find(id);
    if (one.cut != said.cut || it == one.jobs.end()) continue;
    OneJob& job = it->second;
    if (job.state != State::kSaving) {
      if (said.text.empty() && said.bytes == 0) job.waiting.erase(server);  // it has heard
      return;
    }
    if (!said.text.empty()) {
      fail(job, said.code, said.text);
      if (said.code == kNotFoundCode) job.state = State::kNotBegun;
      return;
    }
    if (job.waiting.erase(server) == 0) return;
    job.bytes += said.bytes;
    if (said.home) job.pause_ms = said.pause_ms, job.step = said.step;
    if (job.waiting.empty()) job.state = State::kSaved;
  }
}

void Checkpoints::lost(ServerId server, const std::string& name) {
  for (One& one : all_) {
    for (auto& [id, job] : one.jobs) {
      if (!job.servers.contains(server)) continue;
      fail(job, "cannot_connect", fmt::format("server {} was lost while it was saved", name));
      job.waiting.erase(server);
      job.servers.erase(server);
    }
  }
}

void Checkpoints::ended(JobId id, const std::string& how) {
  for (One& one : all_) {
    const auto it = one.jobs.find(id);
    if (it == one.jobs.end()) continue;
    OneJob& job = it->second;
    if (job.state == State::kSaved) continue;
    if (job.state == State::kSaving) {
      fail(job, "bad_config", fmt::format("the job ended while it was saved: {}", how));
      job.state = State::kEnded;
    }
    job.waiting.clear();  // the servers forget all of it
  }
}

Result<nlohmann::json> Checkpoints::status(const std::string& cut, const std::string& name) const {
  constexpr std::string_view kNames[] = {"saving", "saved", "failed", "not_begun", "ended"};
  const auto one = std::find_if(all_.begin(), all_.end(), [&](const One& o) { return o.cut == cut; });
  if (one == all_.end()) return sluice::fail(Errc::kNotFound, fmt::format("no checkpoint '{}' is known: was the manager restarted?", cut));
  nlohmann::json jobs = nlohmann::json::array();
  for (const auto& [id, job] : one->jobs) {
    if (!name.empty() && name != job.name) continue;
    jobs.push_back({{"job", job.name},
                    {"id", id.value},
                    {"state", kNames[static_cast<std::size_t>(job.state)]},
                    {"code", job.code},
                    {"reason", job.text},
                    {"bytes", job.bytes},
                    {"step", job.step},
                    {"pause_ms", job.pause_ms}});
    if (!name.empty()) jobs.back()["spec"] = job.spec;
  }
  return nlohmann::json{{"version", 1}, {"checkpoint", cut}, {"done", done(*one)}, {"jobs", std::move(jobs)}};
}

std::vector<Checkpoints::Due> Checkpoints::due(Instant now) {
  std::vector<Due> out;
  for (One& one : all_) {
    for (auto& [id, job] : one.jobs) {
      if (job.waiting.empty() || now < job.due) continue;
      job.due = now + again_;
      const bool given_up = job.state == State::kFailed || job.state == State::kNotBegun;
      for (const ServerId server : job.waiting) out.push_back({server, id, {one.cut, given_up ? std::string() : one.folder}});
    }
  }
  return out;
}

Instant Checkpoints::next_timer() const {
  Instant next = Instant::never();
  for (const One& one : all_)
    for (const auto& [id, job] : one.jobs)
      if (!job.waiting.empty()) next = std::min(next, job.due);
  return next;
}

}  // namespace sluice::manager
