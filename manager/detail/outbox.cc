#include "manager/detail/outbox.h"

#include <algorithm>

namespace sluice::manager {

void Outbox::granted(WorkerId worker, DecisionId acknowledged) {
  const auto it = grants_.find(worker);
  if (it != grants_.end() && acknowledged >= it->second.decision) it->second.acknowledged = true;
}

bool Outbox::settled() const {
  return std::all_of(grants_.begin(), grants_.end(), [](const auto& g) { return g.second.acknowledged; });
}

void Outbox::end(JobId job, std::set<ServerId> servers, Instant latest, std::string keep) {
  if (servers.empty()) return;
  const auto [it, fresh] = ends_.try_emplace(job, End{latest, false, {}, std::move(keep)});
  it->second.servers.merge(servers);
}

void Outbox::ended(JobId job, ServerId acknowledged) {
  const auto it = ends_.find(job);
  if (it == ends_.end()) return;
  it->second.servers.erase(acknowledged);
  if (it->second.servers.empty()) ends_.erase(it);
}

std::string Outbox::keep(JobId job) const {
  const auto it = ends_.find(job);
  return it == ends_.end() ? std::string() : it->second.keep;
}

void Outbox::forget(ServerId server) {
  for (auto& [job, end] : ends_) end.servers.erase(server);
  std::erase_if(ends_, [](const auto& e) { return e.second.servers.empty(); });
}

std::vector<WorkerId> Outbox::due_grants(Instant now) {
  std::vector<WorkerId> out;
  for (auto& [worker, grant] : grants_) {
    if (grant.acknowledged || now < grant.due) continue;
    grant.due = now + again_;
    out.push_back(worker);
  }
  return out;
}

std::size_t Outbox::open_ends() const {
  return static_cast<std::size_t>(std::count_if(ends_.begin(), ends_.end(), [](const auto& e) { return e.second.open; }));
}

std::vector<std::pair<ServerId, JobId>> Outbox::due_ends(Instant now) {
  std::vector<std::pair<ServerId, JobId>> out;
  const bool workers_know = settled();
  std::size_t open = open_ends();
  for (auto& [job, end] : ends_) {
    if (!end.open ? open >= kOpenMax || (!workers_know && now < end.due) : now < end.due) continue;
    open += end.open ? 0 : 1;
    end.open = true;
    end.due = now + again_;
    for (const ServerId server : end.servers) out.emplace_back(server, job);
  }
  return out;
}

Instant Outbox::next_timer() const {
  Instant next = Instant::never();
  for (const auto& [worker, grant] : grants_)
    if (!grant.acknowledged) next = std::min(next, grant.due);
  const bool room = open_ends() < kOpenMax;
  for (const auto& [job, end] : ends_)
    if (end.open || room) next = std::min(next, end.due);
  return next;
}

}  // namespace sluice::manager
