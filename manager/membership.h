#pragma once
/// Who is there: servers and workers by name, the incarnations of worker slots, heartbeats and suspicion. Monotonic time only. One thread; no I/O: `stored`
/// says what must be durable, and must be put before the answer that depends on it goes out.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "net/transport.h"
#include "proto/messages.h"

namespace sluice::manager {

struct Member {
  proto::Role role = proto::Role::kServer;
  std::uint32_t id = 0;  ///< ServerId or WorkerId; a name that comes back gets the id it had
  std::string name, host, build;
  std::vector<std::string> lanes;    ///< server
  std::uint32_t slots = 0;           ///< worker
  std::vector<Incarnation> clients;  ///< worker: one a slot
  net::PeerId peer;                  ///< where it was heard last
  std::uint64_t request = 0;         ///< of its registration: tells a repeat from a new one
  Instant heard;
  bool beating = false;  ///< a heartbeat came since it registered
  net::PeerId rival;     ///< who else asked for this name last
  int rival_beats = 0;   ///< heartbeats since then
  std::uint64_t resident_bytes = 0;
};

class Membership {
 public:
  static constexpr std::uint32_t kWorkerSlotsMax = 4096;
  /// A worker taken for lost by mistake costs a batch a slot; a server, whose values have no copy yet, costs all its jobs.
  static constexpr int kServerPatience = 5;
  /// `suspicion`: how long a worker may be silent.
  explicit Membership(Duration suspicion) : suspicion_(suspicion) {}
  [[nodiscard]] Duration suspicion(proto::Role role) const { return role == proto::Role::kServer ? suspicion_ * kServerPatience : suspicion_; }

  struct Registration {
    const Member* member = nullptr;
    bool fresh = false;
    std::optional<Member> replaced;  ///< what this member was before it registered anew: its incarnations are expired
  };
  /// A member's registration, sent as request number `request` of that peer; a repeat gives the same member. A member that lost its membership registers anew
  /// and gets new incarnations. Errors: kBadConfig (name, slots or lanes out of bounds), kDenied (the name belongs to another that is alive: it was heard twice
  /// since this peer first asked), kFull (that other may be dead, for example killed and started again as this peer: try again shortly; also a repeat that
  /// was overtaken).
  [[nodiscard]] Result<Registration> add(const proto::Register& body, const net::PeerId& peer, std::uint64_t request, Instant now);
  /// Null: not a member (any more).
  const Member* heartbeat(const proto::Heartbeat& beat, const net::PeerId& peer, Instant now);
  /// Takes out and returns those not heard for longer than the suspicion; their incarnations are expired for ever.
  [[nodiscard]] std::vector<Member> expire(Instant now);
  /// Nobody could be heard for `stall` (the manager itself did not run): it does not count as anyone's silence.
  void excuse(Duration stall);
  [[nodiscard]] Instant next_expiry() const;

  /// Live members by id.
  [[nodiscard]] const std::map<std::uint32_t, Member>& of(proto::Role role) const { return members_[static_cast<std::size_t>(role)]; }
  [[nodiscard]] const Member* find(proto::Role role, std::uint32_t id) const;
  /// What every shard refuses for ever: all below the floor, and these above it.
  [[nodiscard]] Incarnation expired_floor() const;
  [[nodiscard]] std::vector<Incarnation> expired() const;

  /// True when `stored` changed since the last time; clears it.
  [[nodiscard]] bool take_dirty() { return std::exchange(dirty_, false); }
  void mark_dirty() { dirty_ = true; }
  [[nodiscard]] std::string stored() const;
  /// Ids by name, and a floor above every incarnation ever given out. REQUIRES: nobody registered yet. Errors: kIo (not a record of ours).
  [[nodiscard]] Result<void> restore(const std::string& record);

 private:
  static constexpr std::uint64_t kReserve = 4096;  ///< incarnations made durable at a time
  [[nodiscard]] Result<void> check(const proto::Register& request) const;
  [[nodiscard]] Member& enroll(const proto::Register& body, const net::PeerId& peer, std::uint64_t request, Instant now);
  [[nodiscard]] Member take_out(proto::Role role, std::uint32_t id);
  [[nodiscard]] std::uint32_t id_of(proto::Role role, const std::string& name);

  Duration suspicion_;
  std::map<std::uint32_t, Member> members_[2];
  std::map<std::string, std::uint32_t> ids_[2];
  std::set<Incarnation> live_;
  std::uint64_t next_incarnation_ = 1, reserved_ = 1;
  bool dirty_ = false;
};

}  // namespace sluice::manager
