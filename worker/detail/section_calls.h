#pragma once
/// Carries shard sections to the lanes that own them until each has its final outcome: groups them into messages, follows WrongOwner and Behind, makes tables
/// known where a lane doesn't know them, waits between tries and gives up at the deadline. Knows neither sequence numbers nor where values go. One thread.

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "net/transport.h"
#include "proto/messages.h"
#include "worker/detail/lanes.h"

namespace sluice::worker {

/// A message is closed once its payload has this much. On one host large frames are lent, not sent, so that what costs is a message's wake-ups, not its
/// bytes.
inline constexpr std::size_t kMessageBytes = std::size_t{1} << 20;

struct SectionOp {
  proto::Section section;  ///< as it is asked
  net::Frame payload;      ///< its bytes: keys, values
  HashSlot slot;
  bool push = false;
  std::uint64_t batch = 0;        ///< push: of a held batch (bsp), its number; 0: applied at once
  std::uint64_t clock = 0;        ///< push: as proto::Push has it
  std::size_t reply_floats = 0;   ///< pull: floats that an answer with values must have
  std::uint32_t reply_count = 0;  ///< pull: the answer's count
  std::uint64_t tag = 0;          ///< the asker's
  Instant deadline;
  std::uint32_t attempts = 0;
};

struct SectionDone {
  SectionOp op;
  proto::Section answer;
  net::Frame values;  ///< pull, kOk
  std::string text;   ///< why, when rejected
};

class SectionCalls {
 public:
  /// `patience`: how long an asker waits in all for a section's outcome.
  SectionCalls(Lanes& lanes, Clock& clock, Duration patience) : lanes_(lanes), clock_(clock), patience_(patience) {}
  /// The deadline of what is asked now.
  [[nodiscard]] Instant deadline() const { return clock_.now() + patience_; }
  /// Begins a job: who speaks, and the tables to create where a lane doesn't know them.
  /// kind: of all its pushes.
  /// start: where the tables' first values are read from.
  void begin(const proto::Envelope& envelope, std::vector<proto::TableSpec> tables, proto::PushKind kind, proto::StartSpec start = {});
  /// The tables as the job was opened. announce: nobody made them yet, so they go ahead of the first message to each lane.
  void set_tables(std::vector<proto::TableSpec> tables, bool announce);
  /// Forgets everything that is under way; nothing is sent again.
  void cancel();

  /// Queues; sent by flush().
  void add(SectionOp op) { queue_.push_back(std::move(op)); }
  /// As add, after a wait that grows with op.attempts.
  void add_later(SectionOp op);
  /// Sends what is queued and what is due. True if anything was sent.
  bool flush();
  /// An answer with tag kSections or kTables.
  void take(Arrival arrival);
  [[nodiscard]] std::optional<SectionDone> next();

  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
  [[nodiscard]] bool membership_lost() const { return membership_lost_; }
  /// True once since the last call if a newer slot table is wanted.
  [[nodiscard]] bool take_want_table() { return std::exchange(want_table_, false); }
  [[nodiscard]] Instant next_timer() const;

 private:
  enum class Creation : std::uint8_t { kNone, kAsked, kAnswered };  ///< of the job's tables at a lane
  struct Parked {
    SectionOp op;
    Instant due;
    RingVersion ring;  ///< goes at once when the table is newer than this; 0: only the time counts
  };
  struct Sent {
    std::vector<SectionOp> ops;
    RingVersion ring;
  };
  struct Open {
    std::uint32_t lane = 0;
    bool push = false;
    std::uint64_t batch = 0, clock = 0;
    std::size_t bytes = 0;
    std::vector<SectionOp> ops;
    std::vector<net::Frame> frames;
  };
  Creation& creation(std::uint32_t lane);
  void release_parked(Instant now);
  Open& open_for(std::uint32_t lane, const SectionOp& op);
  void send(Open& open);
  void send_tables(std::uint32_t lane, Instant deadline);
  /// Asks the lane that is no owner for the slot table it goes by.
  void ask_slot_table(std::uint32_t lane);
  void park(SectionOp op, bool newer_table);
  void refused(Sent sent, const proto::Refused& refusal, std::uint32_t lane);
  void answered(Sent sent, const std::vector<proto::Section>& sections, const std::string& text, const net::Answer& answer, std::uint32_t lane);
  /// Whether the section has its final outcome; else it was queued or parked again.
  bool settle(SectionOp& op, const proto::Section& answer, RingVersion ring, std::uint32_t lane);
  void fail_with(Errc code, std::string what);
  void timed_out(const std::vector<SectionOp>& ops, std::uint32_t lane);

  Lanes& lanes_;
  Clock& clock_;
  Duration patience_;
  proto::Envelope envelope_;
  proto::PushKind kind_ = proto::PushKind::kGradient;
  std::vector<proto::TableSpec> tables_;
  proto::StartSpec start_;
  bool announce_ = false;
  std::vector<Creation> creations_;  ///< per lane
  std::vector<SectionOp> queue_;
  std::vector<Parked> parked_;
  std::vector<Open> open_;  ///< reused
  std::unordered_map<std::uint64_t, Sent> sent_;
  std::uint64_t next_id_ = 1;
  std::deque<SectionDone> done_;
  std::optional<Error> failure_;
  bool membership_lost_ = false, want_table_ = false, slot_table_asked_ = false;
};

}  // namespace sluice::worker
