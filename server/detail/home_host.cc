#include "server/detail/home_host.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"

namespace sluice::server {
namespace {

template <class T>
Reply answer(Result<T> result) {
  if (!result) return refuse(result.error());
  return {proto::Body(std::move(*result)), {}};
}

}  // namespace

Result<JobHome*> HomeHost::find(const proto::Envelope& envelope) {
  if (envelope.job.value == 0) return fail(Errc::kRejected, "no job is named");
  if (envelope.client.value == 0) return fail(Errc::kRejected, "a job home talks to client incarnations");
  if (ended_.contains(envelope.job)) return fail(Errc::kNotFound, fmt::format("job {} has ended", envelope.job.value));
  const auto it = homes_.find(envelope.job);
  if (it == homes_.end() || it->second->generation() < envelope.generation) return nullptr;
  if (it->second->generation() > envelope.generation) {
    return fail(Errc::kRejected,
                fmt::format("generation {} of job {} is over; it is at {}", envelope.generation, envelope.job.value, it->second->generation()));
  }
  return it->second.get();
}

Result<JobHome*> HomeHost::open(const proto::Envelope& envelope, const proto::Join& request) {
  if (homes_.size() >= kHomesMax) return fail(Errc::kFull, "too many jobs");
  const auto resumed = resumed_.find(envelope.job);
  auto opened = JobHome::open(envelope.job, envelope.generation, request, resumed == resumed_.end() ? nullptr : &**resumed->second.from);
  if (!opened) return fail(opened.error());
  log::info("job {}: opened by client {}: {} + {} rows, {} tables", envelope.job.value, envelope.client.value, request.train_rows, request.test_rows,
            request.tables.size());
  std::erase_if(applies_, [&](const ApplyTask& task) { return task.envelope.job == envelope.job; });  // of an older generation: its home goes now
  resumed_.erase(envelope.job);
  JobHome* home = (homes_[envelope.job] = std::move(*opened)).get();
  if (!home->started()) {
    proto::Envelope of;
    of.job = envelope.job;
    of.generation = envelope.generation;
    starts_.push_back({std::move(of), {home->tables(), home->start_spec()}});
  }
  return home;
}

std::optional<Reply> HomeHost::not_resumed(const proto::Envelope& envelope, const proto::Join& request) {
  const auto spec = proto::job_spec_from_json(request.spec);
  if (!spec || !spec->start.resume) return std::nullopt;  // what is wrong with it, open() says
  const auto it = resumed_.find(envelope.job);
  if (it == resumed_.end() || it->second.generation != envelope.generation) {
    if (resumed_.size() >= kHomesMax) return refuse({Errc::kFull, "too many jobs"});
    resumed_.insert_or_assign(envelope.job, Resumed{envelope.generation, std::nullopt});
    wanted_.push_back({envelope.job, envelope.generation, spec->start});
    return behind("the checkpoint is being read");
  }
  if (!it->second.from) return behind("the checkpoint is being read");
  if (!*it->second.from) return refuse(it->second.from->error());
  return std::nullopt;
}

void HomeHost::resumed(JobId job, std::uint32_t generation, Result<ResumedHome> from) {
  const auto it = resumed_.find(job);
  if (it != resumed_.end() && it->second.generation == generation) it->second.from = std::move(from);
}

Reply HomeHost::ask(JobHome& home, Incarnation client, const proto::Body& body, Instant now) {
  if (const auto* request = std::get_if<proto::Join>(&body)) return answer(home.join(client, *request));
  if (std::holds_alternative<proto::LeaseRequest>(body)) return answer(home.lease(client, now));
  if (const auto* commit = std::get_if<proto::Commit>(&body)) return answer(home.commit(client, *commit, now));
  if (const auto* scores = std::get_if<proto::EvaluateCommit>(&body)) return answer(home.evaluate_commit(client, *scores, now));
  if (const auto* phase = std::get_if<proto::PhaseCommit>(&body)) return answer(home.phase_commit(client, *phase, now));
  if (std::holds_alternative<proto::Gate>(body)) return answer(home.gate(client));
  SLUICE_ASSERT(std::holds_alternative<proto::Leave>(body));
  home.leave(client);
  return {proto::Done{}, {}};
}

Reply HomeHost::handle(const net::PeerId& peer, const proto::Envelope& envelope, const proto::Body& body, Instant now) {
  auto home = find(envelope);
  const bool leaves = std::holds_alternative<proto::Leave>(body);
  const auto* joins = std::get_if<proto::Join>(&body);
  if (!home && leaves && home.error().code == Errc::kNotFound) return {proto::Done{}, {}};  // it leaves a job that has ended
  if (home && *home == nullptr) {
    if (leaves) return {proto::Done{}, {}};
    if (joins == nullptr) return behind(fmt::format("job {} is not opened here yet", envelope.job.value));
    if (auto wait = not_resumed(envelope, *joins)) return std::move(*wait);
    home = open(envelope, *joins);
  }
  if (!home) return refuse(home.error());
  Reply reply = ask(**home, envelope.client, body, now);
  if (!std::holds_alternative<proto::Refused>(reply.body)) {
    auto& known = peers_[envelope.client];
    if (known != peer) known = peer;
  }
  look(envelope.job, **home);
  return reply;
}

void HomeHost::look(JobId job, JobHome& home) {
  if (auto apply = home.take_apply()) {
    proto::Envelope envelope;
    envelope.job = job;
    envelope.generation = home.generation();
    applies_.push_back({std::move(envelope), std::move(*apply), &home.tables()});
  }
  if (home.changed()) changed_.insert(job);
  urgent_ = urgent_ || home.urgent();
  for (const GateRise& rise : home.take_gate_rises()) {
    const auto peer = peers_.find(rise.client);
    if (peer == peers_.end()) continue;
    GateNotice notice{peer->second, {}};
    notice.header.envelope.job = job;
    notice.header.envelope.generation = home.generation();
    notice.header.envelope.client = rise.client;
    notice.header.body = proto::Gate{rise.gate};
    gates_.push_back(std::move(notice));
  }
}

void HomeHost::applied(JobId job, std::uint64_t clock, const std::optional<Error>& error) {
  const auto it = homes_.find(job);
  if (it == homes_.end()) return;
  if (error) {
    log::error("job {}: clock {} can't be applied: {}", job.value, clock, error->what);
    return it->second->apply_failed(*error);
  }
  it->second->applied(clock);
  look(job, *it->second);
}

void HomeHost::started(JobId job, std::uint32_t generation, const std::optional<Error>& error) {
  const auto it = homes_.find(job);
  if (it == homes_.end() || it->second->generation() != generation) return;
  if (!error) {
    it->second->start();
    return look(job, *it->second);
  }
  log::error("job {} can't begin: {}", job.value, error->what);
  it->second->apply_failed(*error);
}

void HomeHost::forget(JobId job) {
  std::erase_if(starts_, [job](const StartTask& task) { return task.envelope.job == job; });
  std::erase_if(applies_, [job](const ApplyTask& task) { return task.envelope.job == job; });
  homes_.erase(job);
  changed_.erase(job);
  resumed_.erase(job);
}

void HomeHost::expire(const std::function<bool(Incarnation)>& expired) {
  for (auto& [job, home] : homes_) {
    home->expire(expired);
    look(job, *home);
  }
  std::erase_if(peers_, [&expired](const auto& peer) { return expired(peer.first); });
}

Instant HomeHost::report(Instant now, const std::function<bool(const proto::JobReport&)>& sink) {
  if (changed_.empty()) return Instant::never();
  const bool all = now >= due_;
  if (!urgent_ && !all) return due_;
  for (auto it = changed_.begin(); it != changed_.end();) {
    JobHome& home = *homes_.at(*it);
    if (!all && !home.urgent()) {
      ++it;
      continue;
    }
    if (!sink(home.report())) return due_ = now + from_ms(10);  // the control actor is behind: its queue is full
    home.report_taken();
    it = changed_.erase(it);
  }
  urgent_ = false;
  if (all) due_ = now + interval_;
  return changed_.empty() ? Instant::never() : due_;
}

JobHome* HomeHost::home(JobId job) {
  const auto it = homes_.find(job);
  return it == homes_.end() ? nullptr : it->second.get();
}

}  // namespace sluice::server
