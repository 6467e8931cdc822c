#include "server/detail/apply_calls.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::server {

ShardLanes shard_lanes(JobId job, const std::vector<proto::TableSpec>& tables, const View& view, std::uint32_t lane) {
  ShardLanes out;
  std::set<std::string> others;
  for (const auto& table : tables) {
    for (std::uint32_t shard = 0; shard < table.shards(); ++shard) {
      const HashSlot slot = proto::hash_slot(job, table.id, ShardId(shard));
      if (view.owns(slot, lane)) {
        out.here = true;
      } else {
        others.insert(view.table().lane_address(slot));
      }
    }
  }
  out.others.assign(others.begin(), others.end());
  return out;
}

ApplyCalls::~ApplyCalls() {
  for (auto& [address, lane] : lanes_) poller_.remove(lane.channel->connection());
}

Result<ApplyCalls::Lane*> ApplyCalls::lane(const std::string& address) {
  if (const auto it = lanes_.find(address); it != lanes_.end()) return &it->second;
  auto connection = transport_.connect(address);
  if (!connection) return fail(connection.error());
  poller_.add(**connection);
  Lane& made = lanes_[address];
  made.channel = std::make_unique<net::Channel>(std::move(*connection), clock_);
  return &made;
}

void ApplyCalls::begin(proto::Envelope envelope, proto::Apply apply, std::vector<std::string> lanes) {
  const std::uint64_t clock = apply.clock;
  begin(std::move(envelope), clock, std::move(apply), fmt::format("clock {}", clock), std::move(lanes));
}

void ApplyCalls::begin(proto::Envelope envelope, std::uint64_t number, proto::Body body, std::string what, std::vector<std::string> lanes) {
  const JobId id = envelope.job;
  Job& job = jobs_[id] = Job{std::move(envelope), number, std::move(body), std::move(what), {}};
  for (auto& address : lanes) job.waiting.emplace(std::move(address), clock_.now());
  if (job.waiting.empty()) return end(id, std::nullopt);
  (void)send_due();
}

void ApplyCalls::forget(JobId job) {
  jobs_.erase(job);
  std::erase_if(finished_, [job](const Finished& finished) { return finished.job == job; });
}

void ApplyCalls::end(JobId job, std::optional<Error> error) {
  finished_.push_back({job, jobs_.at(job).clock, std::move(error)});
  jobs_.erase(job);
}

bool ApplyCalls::send_due() {
  bool any = false;
  const Instant now = clock_.now();
  for (auto it = jobs_.begin(); it != jobs_.end();) {
    const auto at = it++;  // end() erases it
    Job& job = at->second;
    for (auto& [address, due] : job.waiting) {
      if (due > now) continue;
      any = true;
      const auto to = lane(address);
      if (!to) {
        end(at->first, Error{to.error().code, fmt::format("{}: {}", address, to.error().what)});
        break;
      }
      proto::Header header{job.envelope, job.body};
      const auto request = (*to)->channel->request(std::move(header), {}, now + kDeadline);
      due = request ? Instant::never() : now + kAgain;  // else its queue is full
      if (request) (*to)->calls.emplace(*request, std::pair(at->first, job.clock));
    }
  }
  return any;
}

void ApplyCalls::take(const std::string& address, JobId id, std::uint64_t clock, const Result<net::Answer>& answer) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end() || it->second.clock != clock) return;  // ended meanwhile
  Job& job = it->second;
  const auto waiting = job.waiting.find(address);
  if (waiting == job.waiting.end()) return;
  const auto again = [&](Duration after, const std::string& why) {
    waiting->second = clock_.now() + after;
    complaints_.warn(clock_.now(), fmt::format("job {}: {} is not done by {} yet: {}", id.value, job.what, address, why));
  };
  if (!answer) return again({}, answer.error().what);
  const proto::Body& body = answer->header.body;
  if (const auto* refused = std::get_if<proto::Refused>(&body)) {
    if (refused->kind == proto::RefusalKind::kBehind) return again(kAgain, refused->text);
    return end(id, Error{errc_of(refused->code, Errc::kInternal), fmt::format("{} refused {}: {}", address, job.what, refused->text)});
  }
  if (!std::holds_alternative<proto::Done>(body)) return end(id, Error{Errc::kMalformed, fmt::format("{} answered {} with something else", address, job.what)});
  job.waiting.erase(waiting);
  if (job.waiting.empty()) end(id, std::nullopt);
}

bool ApplyCalls::step() {
  bool any = false;
  for (auto& [address, lane] : lanes_) {
    any = lane.channel->step() || any;
    while (const auto done = lane.channel->next()) {
      const auto call = lane.calls.find(done->request);
      if (call == lane.calls.end()) continue;
      const auto [job, clock] = call->second;
      lane.calls.erase(call);
      take(address, job, clock, done->answer);
    }
    while (lane.channel->next_unasked()) {  // nobody sends us any
    }
  }
  return send_due() || any;
}

Instant ApplyCalls::next_timer() const {
  Instant next = Instant::never();
  for (const auto& [address, lane] : lanes_) next = std::min(next, lane.channel->next_timer());
  for (const auto& [id, job] : jobs_) {
    for (const auto& [address, due] : job.waiting) next = std::min(next, due);
  }
  return next;
}

}  // namespace sluice::server
