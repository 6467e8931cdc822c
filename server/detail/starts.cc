#include "server/detail/starts.h"

#include <algorithm>

namespace sluice::server {

void Starts::begin(StartTask start, const View& view) {
  const JobId job = start.envelope.job;
  ShardLanes lanes = shard_lanes(job, start.tables.tables, view, lane_);
  Task& task = tasks_[job] = Task{std::move(start.envelope), std::move(start.tables), lanes.here, !lanes.others.empty(), {}};
  task.envelope.ring = view.version();
  if (task.others) calls_.begin(task.envelope, task.envelope.generation, task.tables, "the values that the job begins with", std::move(lanes.others));
}

bool Starts::end(JobId job, const Task& task, const std::optional<Error>& error) {
  if (!error && (task.here || task.others)) return false;
  homes_.started(job, task.envelope.generation, error);
  forget(job);
  return true;
}

bool Starts::step(const View& view) {
  auto starts = homes_.take_starts();
  for (StartTask& start : starts) begin(std::move(start), view);
  if (tasks_.empty()) return false;
  bool any = !starts.empty();
  any = calls_.step() || any;
  for (const auto& done : calls_.take_finished()) {
    const auto it = tasks_.find(done.job);
    if (it == tasks_.end() || it->second.envelope.generation != done.clock) continue;
    it->second.others = false;
    (void)end(done.job, it->second, done.error);
  }
  const Instant now = clock_.now();
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    const auto at = it++;  // end() erases it
    Task& task = at->second;
    if (task.here && now >= task.look) {
      task.look = now + kLook;
      const Reply reply = tables_.create(task.envelope, task.tables, view);
      const auto* refused = std::get_if<proto::Refused>(&reply.body);
      task.here = refused != nullptr;
      if (refused != nullptr && refused->kind != proto::RefusalKind::kBehind) {
        (void)end(at->first, task, Error{errc_of(refused->code, Errc::kInternal), refused->text});
        continue;
      }
    }
    any = end(at->first, task, std::nullopt) || any;
  }
  return any;
}

void Starts::forget(JobId job) {
  calls_.forget(job);
  tasks_.erase(job);
}

Instant Starts::next_timer() const {
  if (tasks_.empty()) return Instant::never();
  Instant next = calls_.next_timer();
  for (const auto& [job, task] : tasks_)
    if (task.here) next = std::min(next, task.look);
  return next;
}

}  // namespace sluice::server
