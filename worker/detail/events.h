#pragma once
/// What a client tells its slot, in the order it happened.

#include <cstdint>
#include <variant>

#include "base/ids.h"
#include "base/result.h"
#include "proto/messages.h"

namespace sluice::worker {

struct JoinedEvent {
  proto::JoinReply reply;
};
struct LeasedEvent {
  proto::LeaseReply lease;
};
/// A commit or an evaluate commit is in the home's state.
struct CommittedEvent {
  proto::CommitReply reply;
};
struct GateEvent {
  std::uint64_t clock = 0;
};
/// Every section of the push has its final outcome. redo: a shard's primary term had moved on: the batch must be computed again from fresh values.
struct PushedEvent {
  std::uint64_t push = 0;
  bool redo = false;
};
/// Every value of the pull is in its place.
struct PulledEvent {
  std::uint64_t pull = 0;
};
/// The job cannot go on here: refused, timed out (naming the address), or a peer broke the protocol. Comes once; the client then does nothing more for the job.
struct FailedEvent {
  Error error;
};
/// A server said that this incarnation is expired.
struct MembershipLostEvent {};

using ClientEvent = std::variant<JoinedEvent, LeasedEvent, CommittedEvent, GateEvent, PushedEvent, PulledEvent, FailedEvent, MembershipLostEvent>;

/// A server's refusal for good as an error: kNotFound (the job has ended, or we are not in it) is kept apart, for that is nobody's fault.
[[nodiscard]] inline Errc code_of(const proto::Refused& refusal) {
  for (const Errc code : {Errc::kNotFound, Errc::kUnplaceable, Errc::kBadData})
    if (refusal.code == name_of(code)) return code;
  return Errc::kRejected;
}

/// Waits between tries: 5 ms, doubling to 320 ms. Nobody spins.
[[nodiscard]] constexpr Duration backoff(std::uint32_t attempts) { return from_ms(std::int64_t{5} << (attempts < 6 ? attempts : 6)); }

}  // namespace sluice::worker
