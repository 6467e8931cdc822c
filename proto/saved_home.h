#pragma once
/// What a job's home knows at a checkpoint's cut, beside the job's spec: enough to go on as if nothing had been in between.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/loss_curve.h"
#include "base/result.h"

namespace sluice::proto {

/// Rows [first_row + offset, first_row + rows) of an epoch, to be trained on.
struct SavedPiece {
  std::uint32_t epoch = 0;
  std::uint64_t first_row = 0;
  std::uint32_t rows = 0;
  std::uint32_t offset = 0;  ///< rows of it committed
  friend bool operator==(const SavedPiece&, const SavedPiece&) = default;
};
/// An epoch that is begun: how many chunks of its order were handed out, and the rows committed.
struct SavedEpoch {
  std::uint64_t next = 0, committed = 0;
  friend bool operator==(const SavedEpoch&, const SavedEpoch&) = default;
};
struct SavedScores {
  std::uint64_t examples = 0;  ///< 0: none yet
  double loss = 0, metric = 0;
  std::string metric_name;
  std::uint64_t step = 0;
  bool final_one = false;
  friend bool operator==(const SavedScores&, const SavedScores&) = default;
};

struct SavedHome {
  // the data that it was trained on
  std::uint64_t data_hash = 0, train_rows = 0, test_rows = 0;
  std::uint32_t chunk_rows = 0;
  // where it stands
  std::uint64_t step = 0, examples = 0, redone = 0;
  std::uint64_t clock = 0;  ///< the vector clock's minimum; for people: restored clocks begin at 0
  double seconds = 0, slot_seconds = 0;
  // the data cursor
  std::uint32_t epochs_done = 0;
  std::vector<SavedEpoch> open;                   ///< epochs_done, epochs_done + 1, …
  std::vector<SavedPiece> returned;               ///< came back unfinished
  std::vector<std::optional<SavedPiece>> leases;  ///< of the slots that were in the job, in the order of their ids; none: it had no training lease
  // passes with an end: of how many, and how many ends are applied
  std::uint32_t phases = 0, phases_done = 0;
  // scores
  bool evaluating = false;  ///< a scoring was under way: it begins anew
  std::uint32_t epochs_evaluated = 0;
  std::uint64_t examples_at_evaluation = 0, step_at_evaluation = 0;
  SavedScores scores;
  std::optional<double> best_score;
  std::uint32_t best_epoch = 0;
  std::string ended;
  std::vector<LossPoint> curve;
  friend bool operator==(const SavedHome&, const SavedHome&) = default;
};

inline constexpr std::size_t kSavedPiecesMax = 1 << 20, kSavedEpochsMax = 64, kSavedPointsMax = 4096;

[[nodiscard]] std::string to_json(const SavedHome& home);
/// Any text. What it says is of the right types and not too much; whether it can be is the job home's to find out. Errors: kBadData naming the field.
[[nodiscard]] Result<SavedHome> saved_home_from_json(const std::string& json);

}  // namespace sluice::proto
