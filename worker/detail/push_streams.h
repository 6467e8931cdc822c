#pragma once
/// The client's side of 'exactly once': numbers the pushes of every shard without holes, keeps what is unanswered, and sends it again, identical, from where a
/// shard found a gap. Numbers live as long as (incarnation, job, generation): a slot that comes back to a job goes on where it was. One thread.

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "worker/detail/layout.h"
#include "worker/detail/section_calls.h"

namespace sluice::worker {

/// One shard's part of a push.
struct ShardUpdate {
  TableId table;
  ShardId shard;
  HashSlot slot;
  std::uint32_t index = 0;    ///< among all shards of the job
  std::uint32_t count = 0;    ///< floats (dense) or rows (sparse)
  std::uint64_t version = 0;  ///< the version it was computed from
  net::Frame payload;
  bool state = false;  ///< it carries the optimizer's state
};

class PushStreams {
 public:
  explicit PushStreams(SectionCalls& calls) : calls_(calls) {}
  /// Begins or resumes a job. Numbers of another generation are forgotten.
  void enter(JobId job, std::uint32_t generation, std::uint32_t shards);
  /// Leaves the job, abandoning what is unanswered: it may or may not have been applied, but it is never committed.
  void leave();
  /// The job is over for good: forgets its numbers.
  void forget(JobId job);
  /// A new incarnation: every job begins at 1 again.
  void reset();

  /// Queues one push of several shards; its number, from 1. `held`: the shards keep it under that number (bsp). Errors: kFull when a shard has
  /// kUnansweredPushesMax unanswered. `clock`: as proto::Push has it.
  [[nodiscard]] Result<std::uint64_t> push(std::span<const ShardUpdate> updates, std::uint32_t step, bool held, std::uint64_t clock = 0);

  struct Finished {
    std::uint64_t push = 0;
    bool redo = false;
  };
  /// An answered push section. Errors: kRejected with the server's words, kFull (the table's max_rows), kInternal (the shard and we disagree about what was
  /// acknowledged).
  [[nodiscard]] Result<std::optional<Finished>> take(SectionDone done);
  [[nodiscard]] std::uint64_t unanswered() const { return pushes_.size(); }

 private:
  struct Item {
    proto::Section section;
    net::Frame payload;
    HashSlot slot;
    std::uint32_t stream = 0;
    std::uint64_t push = 0;
    bool held = false;
    std::uint64_t clock = 0;
    Instant deadline;
    std::uint32_t gaps = 0;
    bool answered = false;
  };
  struct Stream {
    std::uint64_t next = 1;
    std::uint64_t abandoned = 0;  ///< the first number that was left unanswered; 0 = none
    std::vector<Item> items;      ///< by number, without holes; the first is unanswered
  };
  struct Job {
    std::uint32_t generation = 0;
    std::vector<Stream> streams;
  };
  struct Open {
    std::size_t remaining = 0;
    bool redo = false;
  };
  void resend(const Item& item, bool later);
  Result<void> gap(Stream& stream, Item& item, std::uint64_t expected);
  void renumber(Stream& stream, std::uint64_t from);

  SectionCalls& calls_;
  std::unordered_map<JobId, Job> jobs_;
  Job* job_ = nullptr;
  std::unordered_map<std::uint64_t, Open> pushes_;
  std::uint64_t next_push_ = 1;
};

}  // namespace sluice::worker
