#include "server/detail/chunk_schedule.h"

#include <algorithm>
#include <numeric>

#include "base/assert.h"
#include "base/rng.h"

namespace sluice::server {

ChunkSchedule::ChunkSchedule(const ChunkPlan& plan) : plan_(plan), limit_(plan.epochs) {
  SLUICE_ASSERT(plan.rows > 0 && plan.chunk_rows > 0 && plan.epochs > 0 && (plan.rows - 1) / plan.chunk_rows < kChunksMax);
}

ChunkSchedule::Epoch ChunkSchedule::begin(std::uint32_t epoch) const {
  Epoch out;
  out.order.resize((plan_.rows - 1) / plan_.chunk_rows + 1);
  std::iota(out.order.begin(), out.order.end(), 0U);
  SeededRng rng(mix64(plan_.seed, epoch));
  for (std::size_t i = out.order.size(); i > 1; --i) std::swap(out.order[i - 1], out.order[rng.below(i)]);
  return out;
}

std::optional<Piece> ChunkSchedule::next() {
  if (!returned_.empty()) {
    const auto oldest = std::min_element(returned_.begin(), returned_.end(), [](const Piece& a, const Piece& b) { return a.epoch < b.epoch; });
    const Piece piece = *oldest;
    returned_.erase(oldest);
    return piece;
  }
  const bool all_out = open_.empty() || open_.back().next == open_.back().order.size();
  if (all_out) {
    const auto epoch = first_open_ + static_cast<std::uint32_t>(open_.size());
    if (epoch >= limit_ || epoch == plan_.epochs || open_.size() == kEpochsOpenMax) return std::nullopt;
    open_.push_back(begin(epoch));
  }
  Epoch& newest = open_.back();
  const std::uint64_t first = std::uint64_t{newest.order[newest.next++]} * plan_.chunk_rows;
  const auto epoch = first_open_ + static_cast<std::uint32_t>(open_.size()) - 1;
  return Piece{epoch, first, static_cast<std::uint32_t>(std::min<std::uint64_t>(plan_.chunk_rows, plan_.rows - first)), 0};
}

void ChunkSchedule::give_back(const Piece& piece) {
  SLUICE_ASSERT(piece.offset < piece.rows);
  returned_.push_back(piece);
}

void ChunkSchedule::commit(std::uint32_t epoch, std::uint32_t rows) {
  SLUICE_ASSERT(epoch >= first_open_ && epoch - first_open_ < open_.size());
  Epoch& one = open_[epoch - first_open_];
  one.committed += rows;
  SLUICE_ASSERT(one.committed <= plan_.rows);
  while (!open_.empty() && open_.front().committed == plan_.rows) open_.pop_front(), ++first_open_;
}

}  // namespace sluice::server
