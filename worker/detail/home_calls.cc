#include "worker/detail/home_calls.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "proto/slot_table.h"

namespace sluice::worker {
namespace {

std::string_view name_of_call(const proto::Body& body) {
  if (std::holds_alternative<proto::Join>(body)) return "join";
  if (std::holds_alternative<proto::LeaseRequest>(body)) return "lease request";
  if (std::holds_alternative<proto::Commit>(body)) return "commit";
  if (std::holds_alternative<proto::EvaluateCommit>(body)) return "evaluation";
  if (std::holds_alternative<proto::PhaseCommit>(body)) return "phase's end";
  if (std::holds_alternative<proto::Gate>(body)) return "question for the gate";
  return "leave";
}

}  // namespace

void HomeCalls::call(const proto::Envelope& envelope, proto::Body body, Duration longer) { begin(envelope, std::move(body), false, longer); }
void HomeCalls::leave(const proto::Envelope& envelope, proto::Leave body) { begin(envelope, body, true); }

void HomeCalls::begin(const proto::Envelope& envelope, proto::Body body, bool is_leave, Duration longer) {
  Call call;
  call.id = next_id_++;
  call.header = {envelope, std::move(body)};
  call.due = clock_.now();
  call.patience = patience_ + longer;
  call.deadline = call.due + call.patience;
  call.is_leave = is_leave;
  calls_.push_back(std::move(call));
}

bool HomeCalls::leaving(JobId job) const {
  return std::any_of(calls_.begin(), calls_.end(), [&](const Call& c) { return c.is_leave && c.header.envelope.job == job; });
}

bool HomeCalls::leaving_any() const {
  return std::any_of(calls_.begin(), calls_.end(), [](const Call& c) { return c.is_leave; });
}

bool HomeCalls::all_sent() const {
  return std::all_of(calls_.begin(), calls_.end(), [](const Call& c) { return c.in_flight; });
}

void HomeCalls::cancel(bool leaves_too) {
  lanes_.cancel(CallTag::Kind::kHome);
  if (leaves_too) lanes_.cancel(CallTag::Kind::kLeave);
  std::erase_if(calls_, [&](const Call& c) { return leaves_too || !c.is_leave; });
}

bool HomeCalls::flush() {
  bool any = false;
  const Instant now = clock_.now();
  std::erase_if(calls_, [&](Call& call) {
    if (call.in_flight) return false;
    if (call.deadline <= now) {
      any = true;
      timed_out(call);
      return true;
    }
    const bool newer = call.ring.value != 0 && lanes_.version() > call.ring;
    if (!lanes_.made() || (call.due > now && !newer)) return false;
    const auto lane = lanes_.lane_of(proto::home_slot(call.header.envelope.job));
    if (!lane) {
      if (!call.is_leave) events_.emplace_back(FailedEvent{lane.error()});
      return true;
    }
    any = true;
    call.lane = *lane;
    call.ring = {};
    call.header.envelope.ring = lanes_.version();
    const auto kind = call.is_leave ? CallTag::Kind::kLeave : CallTag::Kind::kHome;
    if (lanes_.request(*lane, call.header, {}, call.deadline, {kind, call.id}))
      call.in_flight = true;
    else
      wait(call, false);
    return false;
  });
  return any;
}

void HomeCalls::wait(Call& call, bool newer_table) {
  call.in_flight = false;
  call.due = clock_.now() + backoff(call.attempts++);
  if (newer_table) call.ring = lanes_.version();
  want_table_ = want_table_ || newer_table;
}

void HomeCalls::timed_out(const Call& call) {
  const std::string where = lanes_.made() ? lanes_.table().lane_address(proto::home_slot(call.header.envelope.job)) : "no server (there is no slot table yet)";
  const std::string what = fmt::format("{} did not answer a {} within {:g} s", where, name_of_call(call.header.body), call.patience.seconds());
  if (call.is_leave)
    log::warn("job {}: {}", call.header.envelope.job.value, what);
  else
    events_.emplace_back(FailedEvent{Error{Errc::kTimedOut, what}});
}

void HomeCalls::take(Arrival arrival) {
  const auto it = std::find_if(calls_.begin(), calls_.end(), [&](const Call& c) { return c.id == arrival.tag.id; });
  if (it == calls_.end() || !it->in_flight) return;
  bool over = true;
  if (!arrival.answer && arrival.answer.error().code != Errc::kTimedOut) {
    if (!it->is_leave) events_.emplace_back(FailedEvent{Error{arrival.answer.error().code, lanes_.address(it->lane) + ": " + arrival.answer.error().what}});
  } else if (!arrival.answer) {
    timed_out(*it);
  } else if (const auto* refusal = std::get_if<proto::Refused>(&arrival.answer->header.body)) {
    over = refused(*it, *refusal);
  } else if (!answered(*it, *arrival.answer) && !it->is_leave) {
    events_.emplace_back(
        FailedEvent{Error{Errc::kMalformed, fmt::format("{} answered a {} with something else", lanes_.address(it->lane), name_of_call(it->header.body))}});
  }
  if (over) calls_.erase(it);
}

bool HomeCalls::refused(Call& call, const proto::Refused& refusal) {
  switch (refusal.kind) {
    case proto::RefusalKind::kBehind:
      wait(call, false);
      return false;
    case proto::RefusalKind::kWrongOwner: {
      const RingVersion before = lanes_.version();
      if (auto table = proto::slot_table_from_bytes(refusal.slot_table)) lanes_.set_table(std::make_shared<const proto::SlotTable>(std::move(*table)));
      wait(call, lanes_.version() == before);
      if (lanes_.version() > before) call.due = clock_.now();
      return false;
    }
    case proto::RefusalKind::kNotMember:
      if (!call.is_leave) events_.emplace_back(MembershipLostEvent{});
      return true;
    case proto::RefusalKind::kError:
      break;
  }
  if (call.is_leave)
    log::debug("job {}: leave refused: {}", call.header.envelope.job.value, refusal.text);
  else
    events_.emplace_back(FailedEvent{Error{
        code_of(refusal), refusal.text.empty() ? fmt::format("{} refused a {}", lanes_.address(call.lane), name_of_call(call.header.body)) : refusal.text}});
  return true;
}

bool HomeCalls::answered(const Call& call, const net::Answer& answer) {
  const proto::Body& asked = call.header.body;
  const proto::Body& body = answer.header.body;
  if (const auto* joined = std::get_if<proto::JoinReply>(&body); joined && std::holds_alternative<proto::Join>(asked)) {
    events_.emplace_back(JoinedEvent{*joined});
  } else if (const auto* leased = std::get_if<proto::LeaseReply>(&body); leased && std::holds_alternative<proto::LeaseRequest>(asked)) {
    events_.emplace_back(LeasedEvent{*leased});
  } else if (const auto* committed = std::get_if<proto::CommitReply>(&body);
             committed && (std::holds_alternative<proto::Commit>(asked) || std::holds_alternative<proto::EvaluateCommit>(asked) ||
                           std::holds_alternative<proto::PhaseCommit>(asked))) {
    events_.emplace_back(CommittedEvent{*committed});
  } else if (const auto* gate = std::get_if<proto::Gate>(&body); gate && std::holds_alternative<proto::Gate>(asked)) {
    events_.emplace_back(GateEvent{gate->clock});
  } else {
    return std::holds_alternative<proto::Done>(body) && call.is_leave;
  }
  return true;
}

Instant HomeCalls::next_timer() const {
  Instant next = Instant::never();
  for (const auto& call : calls_) {
    if (!call.in_flight) next = std::min(next, lanes_.made() ? std::min(call.due, call.deadline) : call.deadline);
  }
  return next;
}

}  // namespace sluice::worker
