#include "server/detail/cuts.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/log.h"

namespace sluice::server {
namespace {

/// Every lane of every server that owns hash slots, but this one: also those without a shard of the job, so that each server knows when it has all of its part.
std::vector<std::string> other_lanes(const View& view, std::uint32_t lane) {
  std::set<ServerId> owners;
  for (const auto& slot : view.table().slots) owners.insert(slot.primary);
  std::vector<std::string> out;
  for (const auto& server : view.table().servers) {
    if (!owners.contains(server.id)) continue;
    for (std::size_t i = 0; i < server.lanes.size(); ++i)
      if (server.id != view.self() || i != lane) out.push_back(server.lanes[i]);
  }
  return out;
}

}  // namespace

void Cuts::say(JobId job, const proto::SaveJob& order, const Error& error) {
  parts_.control->saved(job, {order.cut, 0, false, 0, 0, std::string(name_of(error.code)), error.what});
}

void Cuts::order(JobId job, proto::SaveJob order, const View& view) {
  const auto it = tasks_.find(job);
  if (order.folder.empty()) {
    if (it != tasks_.end() && it->second.order.cut == order.cut) end(job, Error{Errc::kInternal, "given up"});
    parts_.keeper->drop(job, order.cut);
    return;
  }
  if (it != tasks_.end()) {
    if (it->second.order.cut == order.cut) return;
    end(job, Error{Errc::kInternal, "another checkpoint was asked for"});
  }
  if (!view.owns(proto::home_slot(job), parts_.lane)) return;
  JobHome* home = parts_.homes.home(job);
  if (home == nullptr) return say(job, order, {Errc::kNotFound, "the job has not begun: there is nothing to save yet"});
  if (!home->started()) return say(job, order, {Errc::kNotFound, "the job's first values are being read: there is nothing to save yet"});
  home->close();
  Task& task = tasks_[job];
  task.order = std::move(order);
  task.number = next_number_++;
  task.begun = clock_.now();
  task.give_up = task.begun + (home->bsp() ? kBspPatience : kPatience);
}

Reply Cuts::mark(const proto::Envelope& envelope, const proto::SaveJob& order) {
  const JobId job = envelope.job;
  if (last_mark_[job] == order.cut) return {proto::Done{}, {}};
  auto tables = parts_.tables.cut(job);
  if (!tables) return refuse(tables.error());
  last_mark_[job] = order.cut;
  parts_.keeper->save({job, order, parts_.lane, std::move(*tables), std::nullopt});
  return {proto::Done{}, {}};
}

bool Cuts::put_off(net::Request& request, bool& full) {
  full = false;
  if (tasks_.empty()) return false;
  const auto& envelope = request.header.envelope;
  const auto it = tasks_.find(envelope.job);
  if (it == tasks_.end() || envelope.client.value == 0) return false;
  JobHome* home = parts_.homes.home(envelope.job);
  if (home == nullptr || !home->waits(envelope.client)) return false;
  if (it->second.waiting.size() >= kPutOffMax) {
    full = true;
    return true;
  }
  it->second.waiting.push_back({std::move(request), std::nullopt});
  return true;
}

bool Cuts::hold_back(net::Request& request, Reply& reply) {
  if (tasks_.empty() || !std::holds_alternative<proto::CommitReply>(reply.body) || !std::holds_alternative<proto::Commit>(request.header.body)) return false;
  const auto it = tasks_.find(request.header.envelope.job);
  if (it == tasks_.end()) return false;
  JobHome* home = parts_.homes.home(it->first);
  if (home == nullptr || !home->waits(request.header.envelope.client)) return false;
  it->second.waiting.push_back({std::move(request), std::move(reply)});
  return true;
}

void Cuts::forget(JobId job) {
  if (const auto mark = last_mark_.find(job); mark != last_mark_.end()) {
    parts_.keeper->drop(job, mark->second);  // other lanes may never hand over theirs
    last_mark_.erase(mark);
  }
  if (tasks_.contains(job)) end(job, Error{Errc::kNotFound, "the job has ended"});
}

void Cuts::mark_all(JobId job, Task& task, JobHome& home, const View& view) {
  auto tables = parts_.tables.cut(job);
  if (!tables) return end(job, tables.error());
  task.marking = true;
  task.give_up = std::min(task.give_up, clock_.now() + kPatience);  // a slot at the end of a phase waits meanwhile in a call
  task.tables = std::move(*tables);
  proto::SavedJob saved = home.saved();
  saved.servers = view.servers();
  task.home = CutPiece::Home{std::move(saved), home.cut(), home.tables(), 0};
  proto::Envelope envelope;
  envelope.job = job;
  envelope.generation = home.generation();
  envelope.ring = view.version();
  calls_.begin(std::move(envelope), task.number, task.order, "a checkpoint's cut", other_lanes(view, parts_.lane));
}

void Cuts::end(JobId job, const std::optional<Error>& error) {
  const auto it = tasks_.find(job);
  calls_.forget(job);
  Task task = std::move(it->second);
  tasks_.erase(it);
  const double pause_ms = (clock_.now() - task.begun).ms();
  if (JobHome* home = parts_.homes.home(job)) {
    home->reopen(clock_.now());
    parts_.homes.look(job, *home);
  }
  std::move(task.waiting.begin(), task.waiting.end(), std::back_inserter(released_));
  if (error) {
    log::warn("job {}: no checkpoint: {}", job.value, error->what);
    return say(job, task.order, *error);
  }
  log::info("job {}: cut for a checkpoint at step {}; training stood still for {:.1f} ms", job.value, task.home->home.step, pause_ms);
  task.home->pause_ms = pause_ms;
  parts_.keeper->save({job, task.order, parts_.lane, std::move(task.tables), std::move(task.home)});
}

bool Cuts::step(const View& view) {
  if (tasks_.empty()) return false;
  bool any = calls_.step();
  for (const auto& done : calls_.take_finished()) {
    const auto it = tasks_.find(done.job);
    if (it == tasks_.end() || it->second.number != done.clock) continue;
    any = true;
    end(done.job, done.error);
  }
  const Instant now = clock_.now();
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    const auto at = it++;  // end() erases it
    JobHome* home = parts_.homes.home(at->first);
    if (home == nullptr) {
      end(at->first, Error{Errc::kNotFound, "the job has ended"});
    } else if (!at->second.marking && home->quiet()) {
      mark_all(at->first, at->second, *home, view);
    } else if (now >= at->second.give_up) {
      const double seconds = (now - at->second.begun).seconds();
      end(at->first, Error{Errc::kTimedOut, at->second.marking ? fmt::format("other servers did not answer within {:.0f} s", seconds)
                                                               : fmt::format("a worker slot did not end its batch within {:.0f} s", seconds)});
    } else {
      continue;
    }
    any = true;
  }
  return any;
}

Instant Cuts::next_timer() const {
  if (tasks_.empty()) return Instant::never();
  Instant next = calls_.next_timer();
  for (const auto& [job, task] : tasks_) next = std::min(next, task.give_up);
  return next;
}

}  // namespace sluice::server
