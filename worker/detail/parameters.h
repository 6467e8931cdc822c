#pragma once
/// The values a slot computes with: one arena of all dense tables of its job, and pulls that bring it and the sparse rows of a batch up to date. One thread.
///
/// The arena is one, not two: a pull under way while a batch computes only waits in the transport, and absorb() copies between batches. A shard that arrives
/// early makes the next batch fresher than its own pull promised, never staler.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "worker/detail/key_set.h"
#include "worker/detail/layout.h"
#include "worker/detail/section_calls.h"

namespace sluice::worker {

struct PullOptions {
  bool whole = false;  ///< also what batches do not pull
  bool state = false;  ///< with the optimizer's state. REQUIRES: the layout has it
};

class Parameters {
 public:
  Parameters(SectionCalls& calls, net::Transport& transport) : calls_(calls), transport_(transport) {}
  /// Begins a job: no values yet. The layout outlives it.
  void enter(const Layout& layout);
  /// The dense values live in `memory` (as many floats as the layout's arena, or none: nothing changes) until leave(). REQUIRES: nothing was pulled yet.
  void use(std::span<float> memory);
  void leave();

  /// Asks for all dense shards that changed and for the rows of `sets` (one per table; those of dense tables are not looked at), which must stay where they are
  /// until pulled; of the tables that batches pull, or, for the end of a phase, of all (`whole`). With `state` the sets have rows of layout.row_floats().
  [[nodiscard]] std::uint64_t pull(std::span<KeySet> sets, PullOptions options = {});
  /// Forgets the pulls under way; answers that still come are dropped.
  void cancel() { pulls_.clear(); }
  /// An answered pull section. Errors: kRejected, kMalformed.
  [[nodiscard]] Result<void> take(SectionDone done);
  /// Copies what has arrived to its place; the pulls that are complete, in order of completion, are appended to `pulled`. True if there was anything.
  bool absorb(std::vector<std::uint64_t>& pulled);
  [[nodiscard]] bool has_arrivals() const { return !arrived_.empty(); }

  [[nodiscard]] std::span<const float> dense(std::size_t table) const;
  /// The optimizer's state of a dense table, as last pulled with it: a float for each value.
  [[nodiscard]] std::span<const float> dense_state(std::size_t table) const;
  /// Of dense shards by index; 0 = none.
  [[nodiscard]] std::uint64_t version(std::uint32_t index) const { return versions_[index].version; }

 private:
  struct Held {
    std::uint64_t version = 0;
    std::uint32_t term = 0;
    bool state = false;  ///< of that version too
  };
  struct Pull {
    std::size_t remaining = 0;
    std::span<KeySet> sets;
  };
  struct Free {
    void operator()(float* p) const;
  };

  SectionCalls& calls_;
  net::Transport& transport_;
  const Layout* layout_ = nullptr;
  std::unique_ptr<float[], Free> arena_;
  float* values_ = nullptr;  ///< the arena, or memory of the model's
  std::uint64_t arena_floats_ = 0;
  std::vector<float> state_;    ///< laid out as the values
  std::vector<Held> versions_;  ///< per shard
  std::unordered_map<std::uint64_t, Pull> pulls_;
  std::vector<SectionDone> arrived_;
  std::uint64_t next_pull_ = 1;
};

}  // namespace sluice::worker
