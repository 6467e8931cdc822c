#pragma once
/// A worker slot's way to the servers: the slot table it knows and one channel per lane address, made when first needed. One thread.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/channel.h"
#include "net/transport.h"
#include "proto/slot_table.h"

namespace sluice::worker {

/// What an answer belongs to. `epoch` counts the jobs a client was in: answers to an epoch that is over are dropped by whoever asked.
struct CallTag {
  enum class Kind : std::uint8_t { kSections, kTables, kHome, kLeave } kind = Kind::kSections;
  std::uint64_t id = 0;
};

struct Arrival {
  std::uint32_t lane = 0;
  CallTag tag;
  Result<net::Answer> answer;
};

class Lanes {
 public:
  /// The references outlive this; `poller` gets every connection that is made.
  Lanes(net::Transport& transport, Clock& clock, net::Poller& poller, net::ChannelOptions options);
  ~Lanes();
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  /// Takes a table over if it is newer than the one known. True if it was.
  bool set_table(std::shared_ptr<const proto::SlotTable> table);
  [[nodiscard]] bool made() const { return table_ != nullptr && table_->made(); }
  [[nodiscard]] RingVersion version() const { return table_ ? table_->version : RingVersion{}; }
  [[nodiscard]] const proto::SlotTable& table() const { return *table_; }

  /// The lane that serves a hash slot, connected or not yet. REQUIRES: made(). Errors: kBadConfig (an address that the transport does not know).
  [[nodiscard]] Result<std::uint32_t> lane_of(HashSlot slot);
  [[nodiscard]] const std::string& address(std::uint32_t lane) const { return lanes_[lane].address; }
  /// Errors: kFull.
  [[nodiscard]] Result<void> request(std::uint32_t lane, proto::Header header, std::vector<net::Frame> payload, Instant deadline, CallTag tag);
  /// Forgets all calls of these kinds: they are not sent again, and no answer comes.
  void cancel(CallTag::Kind kind);

  /// Receives everything that is there on every lane. True if anything happened.
  bool drain();
  /// The next answer, or none. Never after cancel().
  [[nodiscard]] std::optional<Arrival> next();
  /// The next message that nobody asked for.
  [[nodiscard]] std::optional<net::Answer> next_unasked();
  [[nodiscard]] Instant next_timer() const;

 private:
  struct Lane {
    std::string address;
    std::unique_ptr<net::Channel> channel;
    std::unordered_map<std::uint64_t, CallTag> calls;
  };
  Result<std::uint32_t> connect(const std::string& address);

  net::Transport& transport_;
  Clock& clock_;
  net::Poller& poller_;
  net::ChannelOptions options_;
  std::shared_ptr<const proto::SlotTable> table_;
  std::vector<Lane> lanes_;  ///< never removed: an index stays valid
  std::unordered_map<std::string, std::uint32_t> by_address_;
  std::vector<std::int32_t> by_slot_;  ///< of the present table; -1: not looked up yet
};

}  // namespace sluice::worker
