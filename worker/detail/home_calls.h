#pragma once
/// Calls to job homes: each is sent to the lane that holds the home, followed through WrongOwner and Behind, and ends with its answer, a refusal or its
/// deadline. One thread.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "proto/messages.h"
#include "worker/detail/events.h"
#include "worker/detail/lanes.h"

namespace sluice::worker {

class HomeCalls {
 public:
  HomeCalls(Lanes& lanes, Clock& clock, Duration patience, std::deque<ClientEvent>& events)
      : lanes_(lanes), clock_(clock), patience_(patience), events_(events) {}
  /// Begins a call in the envelope's name; `body`: Join, LeaseRequest, Commit, EvaluateCommit, PhaseCommit or Gate. Its answer comes as an event.
  /// longer: patience beyond the usual.
  void call(const proto::Envelope& envelope, proto::Body body, Duration longer = {});
  /// Leaves a job in the background: sent until it is answered or late, whatever the slot does meanwhile. No event.
  void leave(const proto::Envelope& envelope, proto::Leave body);
  [[nodiscard]] bool leaving(JobId job) const;
  [[nodiscard]] bool leaving_any() const;
  /// Forgets all calls; leaves too if asked to.
  void cancel(bool leaves_too);

  /// Sends what is new or due again. True if anything was sent.
  bool flush();
  /// True if no call waits to be sent, for the first time or again.
  [[nodiscard]] bool all_sent() const;
  /// An answer with tag kHome or kLeave.
  void take(Arrival arrival);
  [[nodiscard]] bool take_want_table() { return std::exchange(want_table_, false); }
  [[nodiscard]] Instant next_timer() const;

 private:
  struct Call {
    std::uint64_t id = 0;
    proto::Header header;
    Instant deadline, due;
    Duration patience;
    std::uint32_t attempts = 0;
    std::uint32_t lane = 0;
    RingVersion ring;
    bool is_leave = false, in_flight = false;
  };
  void begin(const proto::Envelope& envelope, proto::Body body, bool is_leave, Duration longer = {});
  void wait(Call& call, bool newer_table);
  bool refused(Call& call, const proto::Refused& refusal);
  void timed_out(const Call& call);
  bool answered(const Call& call, const net::Answer& answer);

  Lanes& lanes_;
  Clock& clock_;
  Duration patience_;
  std::deque<ClientEvent>& events_;
  std::vector<Call> calls_;
  std::uint64_t next_id_ = 1;
  bool want_table_ = false;
};

}  // namespace sluice::worker
