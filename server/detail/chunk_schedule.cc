#include "server/detail/chunk_schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
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

std::uint32_t ChunkSchedule::rows_of(std::uint32_t chunk) const {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(plan_.chunk_rows, plan_.rows - std::uint64_t{chunk} * plan_.chunk_rows));
}

void ChunkSchedule::save(proto::SavedHome& to) const {
  to.epochs_done = first_open_;
  for (const Epoch& epoch : open_) to.open.push_back({epoch.next, epoch.committed});
  for (const Piece& p : returned_) to.returned.push_back({p.epoch, p.first_row, p.rows, p.offset});
}

Result<void> ChunkSchedule::restore(const proto::SavedHome& from) {
  SLUICE_ASSERT(first_open_ == 0 && open_.empty() && returned_.empty());
  const auto wrong = [](const std::string& what) { return fail(Errc::kBadData, "its data cursor can't be: " + what); };
  if (from.epochs_done > plan_.epochs || from.open.size() > kEpochsOpenMax || from.open.size() > plan_.epochs - from.epochs_done)
    return wrong(fmt::format("{} epochs done and {} begun of {}", from.epochs_done, from.open.size(), plan_.epochs));
  std::map<std::pair<std::uint32_t, std::uint64_t>, const proto::SavedPiece*> pieces;
  const auto add = [&](const proto::SavedPiece& piece) { return pieces.emplace(std::pair(piece.epoch, piece.first_row), &piece).second; };
  for (const auto& piece : from.returned)
    if (!add(piece)) return wrong("a chunk is out twice");
  for (const auto& lease : from.leases)
    if (lease && !add(*lease)) return wrong("a chunk is out twice");
  std::deque<Epoch> open;
  std::size_t used = 0;
  for (std::size_t i = 0; i < from.open.size(); ++i) {
    const auto epoch = from.epochs_done + static_cast<std::uint32_t>(i);
    Epoch& one = open.emplace_back(begin(epoch));
    one.next = from.open[i].next, one.committed = from.open[i].committed;
    if (one.next > one.order.size() || (i + 1 < from.open.size() && one.next != one.order.size())) return wrong("more chunks are out than an epoch has");
    std::uint64_t committed = 0;
    for (std::size_t c = 0; c < one.next; ++c) {
      const std::uint32_t rows = rows_of(one.order[c]);
      const auto out = pieces.find({epoch, std::uint64_t{one.order[c]} * plan_.chunk_rows});
      committed += rows;
      if (out == pieces.end()) continue;
      if (out->second->rows != rows || out->second->offset >= rows) return wrong("a chunk has other rows than it says");
      committed -= rows - out->second->offset;
      ++used;
    }
    if (committed != one.committed || committed > plan_.rows || (i == 0 && committed == plan_.rows)) return wrong("rows committed and rows out do not add up");
  }
  if (used != pieces.size()) return wrong("a chunk is out that was never handed out");
  first_open_ = from.epochs_done;
  open_ = std::move(open);
  for (const auto& p : from.returned) returned_.push_back({p.epoch, p.first_row, p.rows, p.offset});
  return {};
}

}  // namespace sluice::server
