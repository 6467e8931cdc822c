#pragma once
/// Applies each client's numbered messages once: one log a shard (and the idea behind commits at a job home). It moves, replicates and checkpoints with the
/// values.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "proto/messages.h"

namespace sluice::server {

class SequenceLog {
 public:
  static constexpr std::size_t kClientsMax = 1 << 16;  ///< a log; expired ones are forgotten when the slot table says so
  static constexpr std::size_t kRemembered = proto::kUnansweredPushesMax;

  enum class Verdict {
    kApply,      ///< last + 1: apply it, then record() how it ended
    kRepeat,     ///< ended before: answer `outcome` and `text` again
    kGap,        ///< not applied: the client must resend from `expected`
    kForgotten,  ///< a repeat of something answered so long ago (kRemembered numbers) that nobody waits for the answer
    kCrowded,    ///< kClientsMax clients already
  };
  struct Check {
    Verdict verdict = Verdict::kApply;
    std::uint64_t expected = 0;
    proto::Outcome outcome = proto::Outcome::kOk;
    std::string_view text;  ///< valid until the next record() or forget()
  };
  [[nodiscard]] Check check(Incarnation client, std::uint64_t sequence) const;
  /// Consumes the number: kOk, or a refusal (kRejected, kFull) with its words. REQUIRES: check() said kApply for it.
  void record(Incarnation client, std::uint64_t sequence, proto::Outcome outcome, std::string text = {});
  /// Drops the clients for which `expired` holds: they are refused before they get here, for ever.
  void forget(const std::function<bool(Incarnation)>& expired);
  [[nodiscard]] std::size_t clients() const { return entries_.size(); }

 private:
  struct Refusal {
    std::uint64_t sequence;
    proto::Outcome outcome;
    std::string text;
  };
  /// 24 bytes a client: refusals are rare and kept apart.
  struct Entry {
    Incarnation client;
    std::uint64_t last = 0;
    std::unique_ptr<std::vector<Refusal>> refusals;  ///< among the last kRemembered numbers
  };
  [[nodiscard]] const Entry* find(Incarnation client) const;
  std::vector<Entry> entries_;  ///< by client
};

}  // namespace sluice::server
