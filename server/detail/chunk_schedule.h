#pragma once
/// Hands out a job's training rows: every row of every epoch exactly once, however often a piece comes back half done. One thread.
///
/// Rows are cut into chunks; each epoch has its own seeded order of them. What came back goes out first. When all chunks of an epoch are out, the next epoch
/// begins although others still work on the last ones: slots are idle only if a chunk is kept for kEpochsOpenMax epochs, or when nothing is left but what
/// others hold. A job whose passes have an end lets the next one begin itself: open_to().

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/result.h"
#include "proto/saved_home.h"

namespace sluice::server {

/// Rows [first_row + offset, first_row + rows) of an epoch are to be trained on.
struct Piece {
  std::uint32_t epoch = 0;
  std::uint64_t first_row = 0;
  std::uint32_t rows = 0;
  std::uint32_t offset = 0;  ///< rows committed already
};

struct ChunkPlan {
  std::uint64_t rows = 0;
  std::uint32_t chunk_rows = 0;
  std::uint32_t epochs = 0;
  std::uint64_t seed = 0;
};

class ChunkSchedule {
 public:
  static constexpr std::size_t kEpochsOpenMax = 8;
  static constexpr std::uint64_t kChunksMax = std::uint64_t{1} << 22;  ///< of a dataset: bounds an epoch's order to 16 MiB

  /// REQUIRES: rows, chunk_rows, epochs > 0, at most kChunksMax chunks.
  explicit ChunkSchedule(const ChunkPlan& plan);
  /// No epoch from this one on begins. REQUIRES: not below the limit before.
  void open_to(std::uint32_t epochs) { limit_ = epochs; }
  /// The next piece to lease, or none: all is handed out (for now).
  [[nodiscard]] std::optional<Piece> next();
  /// A piece comes back unfinished, with what was committed of it in its offset.
  void give_back(const Piece& piece);
  /// `rows` more rows of that epoch are committed.
  void commit(std::uint32_t epoch, std::uint32_t rows);
  /// Epochs whose rows, and those of all before, are committed.
  [[nodiscard]] std::uint32_t epochs_done() const { return first_open_; }
  [[nodiscard]] bool done() const { return first_open_ == plan_.epochs; }

  /// Writes down where it stands; the pieces that are out are the holders' to add.
  void save(proto::SavedHome& to) const;
  /// Goes on from there: what came back is handed out again; `leases` are taken as still out. REQUIRES: nothing was handed out. Errors (nothing was changed):
  /// kBadData: it can't be the cursor of such a plan: every row of the epochs begun is committed or in one piece, exactly.
  [[nodiscard]] Result<void> restore(const proto::SavedHome& from);

 private:
  struct Epoch {
    std::vector<std::uint32_t> order;
    std::size_t next = 0;
    std::uint64_t committed = 0;
  };
  [[nodiscard]] Epoch begin(std::uint32_t epoch) const;
  [[nodiscard]] std::uint32_t rows_of(std::uint32_t chunk) const;
  ChunkPlan plan_;
  std::uint32_t limit_;
  std::uint32_t first_open_ = 0;
  std::deque<Epoch> open_;  ///< epochs first_open_, first_open_ + 1, …
  std::vector<Piece> returned_;
};

}  // namespace sluice::server
