#include "server/sparse_shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/assert.h"
#include "base/rng.h"
#include "proto/table_init.h"
#include "server/detail/update_check.h"

namespace sluice::server {
namespace {

constexpr std::size_t kSlabBytes = 64 * 1024;
constexpr std::size_t kIndexFirst = 64;

/// The top bits of mix64(key) chose the shard and are equal here: turn the others to the top, where home_of() looks.
std::uint64_t place_hash(Key key) { return std::rotl(mix64(key), 32); }
std::uint64_t mixed_of(std::uint64_t place) { return std::rotr(place, 32); }

void prefetch(const void* at) { __builtin_prefetch(at, 1); }

/// One float, the width of linear models' rows, is copied without a call, and so is one with its state.
void copy_row(void* to, const void* from, std::size_t bytes) {
  if (bytes == sizeof(float)) {
    std::memcpy(to, from, sizeof(float));
  } else if (bytes == 2 * sizeof(float)) {
    std::memcpy(to, from, 2 * sizeof(float));
  } else {
    std::memcpy(to, from, bytes);
  }
}

/// Keys are read from the message once: large frames lie in memory that their sender can still write to, and what is used must be what was checked.
std::vector<Key> copy_of(Bytes keys) {
  SLUICE_ASSERT(keys.size() % sizeof(Key) == 0);
  std::vector<Key> out(keys.size() / sizeof(Key));
  if (!out.empty()) std::memcpy(out.data(), keys.data(), keys.size());
  return out;
}

/// Counts one more update of a row through the optimizer; the count stops at its largest value.
std::uint32_t count_up(float* row) {
  auto count = load<std::uint32_t>(reinterpret_cast<const std::byte*>(row + 2));
  if (count != ~std::uint32_t{0}) ++count;
  std::memcpy(row + 2, &count, sizeof count);
  return count;
}

}  // namespace

std::size_t SparseShard::rows_max(const proto::TableSpec& spec) {
  const double mean = static_cast<double>(spec.rows) / static_cast<double>(spec.buckets);
  const double bound = std::ceil(mean + 8 * std::sqrt(mean) + 8);
  return std::min<std::size_t>({spec.rows, static_cast<std::size_t>(bound), 0xfffffffeU});
}

SparseShard::SparseShard(const proto::TableSpec& spec, ShardId shard, const Optimizer& optimizer)
    : spec_(spec),
      shard_(shard),
      optimizer_(optimizer),
      width_(spec.cols),
      stride_(kHeaderFloats + spec.cols + optimizer.state_floats(spec.cols)),
      rows_max_(rows_max(spec)) {
  SLUICE_ASSERT(spec.kind == proto::TableKind::kSparse && shard.value < spec.buckets);
  const std::size_t fit = std::clamp<std::size_t>(kSlabBytes / (stride_ * sizeof(float)), 1, std::bit_ceil(rows_max_));
  slab_bits_ = static_cast<unsigned>(std::bit_width(fit) - 1);
}

std::size_t SparseShard::home_of(std::uint64_t hash) const { return static_cast<std::size_t>((static_cast<Wide>(hash) * index_.size()) >> 64); }

float* SparseShard::row_at(std::size_t row) const { return slabs_[row >> slab_bits_].floats + (row & ((std::size_t{1} << slab_bits_) - 1)) * stride_; }

float* SparseShard::own_row(std::size_t row) {
  if (Slab& slab = slabs_[row >> slab_bits_]; lent_ > 0 && slab.lent) {
    if (slab.block->read_by_others()) slab.block = slab.block->copy();
    slab.floats = slab.block->data();
    slab.lent = false;
    --lent_;
  }
  return row_at(row);
}

std::size_t SparseShard::find(Key key, std::uint64_t hash) const {
  if (index_.empty()) return kNone;
  const auto tag = static_cast<std::uint32_t>(hash);
  for (std::size_t at = home_of(hash);; at = at + 1 == index_.size() ? 0 : at + 1) {
    const IndexEntry entry = index_[at];
    if (entry.row_plus_1 == 0) return kNone;
    if (entry.tag == tag && load<Key>(reinterpret_cast<const std::byte*>(row_at(entry.row_plus_1 - 1))) == key) return entry.row_plus_1 - 1;
  }
}

void SparseShard::hash_keys(std::span<const Key> keys) const {
  hashes_.resize(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) hashes_[i] = place_hash(keys[i]);
}

void SparseShard::find_block(std::span<const Key> keys, const std::uint64_t* hashes, std::span<const std::uint64_t> next, std::size_t* rows) const {
  for (const std::uint64_t hash : next) prefetch(&index_[home_of(hash)]);
  for (std::size_t i = 0; i < keys.size(); ++i) {  // the first with the tag is nearly always the one
    const auto tag = static_cast<std::uint32_t>(hashes[i]);
    std::size_t at = home_of(hashes[i]);
    while (index_[at].row_plus_1 != 0 && index_[at].tag != tag) at = at + 1 == index_.size() ? 0 : at + 1;
    rows[i] = index_[at].row_plus_1 == 0 ? kNone : index_[at].row_plus_1 - 1;
    if (rows[i] == kNone) continue;
    const float* row = row_at(rows[i]);
    prefetch(row);
    prefetch(row + stride_ - 1);
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (rows[i] != kNone && load<Key>(reinterpret_cast<const std::byte*>(row_at(rows[i]))) != keys[i]) rows[i] = find(keys[i], hashes[i]);
  }
}

/// REQUIRES: hashes_ are the keys'. `visit` may make rows.
template <class Visit>
void SparseShard::each_row(std::span<const Key> keys, Visit visit) const {
  std::array<std::size_t, kBlock> rows;
  const std::span<const std::uint64_t> hashes = hashes_;
  const auto from = [&](std::size_t begin) { return hashes.subspan(begin, std::min(kBlock, hashes.size() - begin)); };
  if (!index_.empty()) {
    for (const std::uint64_t hash : from(0)) prefetch(&index_[home_of(hash)]);
  }
  for (std::size_t begin = 0; begin < keys.size(); begin += kBlock) {
    const auto block = from(begin);
    if (index_.empty()) {
      rows.fill(kNone);
    } else {
      find_block(keys.subspan(begin, block.size()), block.data(), from(begin + block.size()), rows.data());
    }
    for (std::size_t i = 0; i < block.size(); ++i) visit(begin + i, rows[i]);
  }
}

void SparseShard::insert(std::uint64_t hash, std::size_t row) {
  std::size_t at = home_of(hash);
  while (index_[at].row_plus_1 != 0) at = at + 1 == index_.size() ? 0 : at + 1;
  index_[at] = {static_cast<std::uint32_t>(row + 1), static_cast<std::uint32_t>(hash)};
}

/// By half, not double: at most 8 bytes / (2/3 × 0.75) an entry after it, and with the old index during it 26.7: within the 40 with the 12 of a row's header.
void SparseShard::grow_index() {
  const std::size_t size = std::max(kIndexFirst, index_.size() + index_.size() / 2);
  index_ = std::vector<IndexEntry>(size);
  for (std::size_t row = 0; row < rows_; ++row) insert(place_hash(load<Key>(reinterpret_cast<const std::byte*>(row_at(row)))), row);
}

std::size_t SparseShard::make(Key key, std::uint64_t hash) {
  if ((rows_ + 1) * 4 > index_.size() * 3) grow_index();
  const std::size_t row = rows_;
  if ((row >> slab_bits_) == slabs_.size()) {
    auto block = std::make_shared<FloatBlock>(stride_ << slab_bits_);
    slabs_.push_back({block->data(), std::move(block), false});
  }
  float* at = own_row(row);
  std::memcpy(at, &key, sizeof key);
  init_row(spec_, key, {at + kHeaderFloats, width_});
  ++rows_;
  insert(hash, row);
  return row;
}

Result<void> SparseShard::check_keys(std::span<const Key> keys) const {
  hash_keys(keys);
  const auto other = std::find_if(hashes_.begin(), hashes_.end(), [this](std::uint64_t hash) { return spec_.shard_of_mixed(mixed_of(hash)) != shard_; });
  if (other == hashes_.end()) return {};
  const Key key = keys[static_cast<std::size_t>(other - hashes_.begin())];
  return fail(Errc::kRejected, fmt::format("key {} belongs to shard {}, not {}", key, spec_.shard_of(key).value, shard_.value));
}

Result<void> SparseShard::read(Bytes asked, std::span<float> out, bool state) const {
  const std::vector<Key> keys = copy_of(asked);
  if (auto ok = check_keys(keys); !ok) return ok;
  const std::size_t n = keys.size(), floats = row_floats(state);
  SLUICE_ASSERT(out.size() == n * floats);
  each_row(keys, [&](std::size_t i, std::size_t row) {
    const auto to = out.subspan(i * floats, floats);
    if (row == kNone) {
      init_row(spec_, keys[i], to.first(width_));
      std::fill(to.begin() + static_cast<std::ptrdiff_t>(width_), to.end(), 0.0F);
    } else {
      copy_row(to.data(), row_at(row) + kHeaderFloats, floats * sizeof(float));
    }
  });
  return {};
}

std::shared_ptr<const SparseSnapshot> SparseShard::snapshot() {
  auto out = std::make_shared<SparseSnapshot>();
  for (Slab& slab : slabs_) {
    out->slabs_.push_back(FloatBlock::share(slab.block));
    slab.lent = true;
  }
  lent_ = slabs_.size();
  out->rows_ = rows_, out->width_ = width_, out->stride_ = stride_, out->slab_bits_ = slab_bits_;
  return out;
}

void SparseSnapshot::copy(std::size_t first, std::size_t n, const proto::RowTargets& to) const {
  SLUICE_ASSERT(first + n <= rows_);
  const std::size_t state = state_floats();
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t row = first + i;
    const float* at = slabs_[row >> slab_bits_].get() + (row & ((std::size_t{1} << slab_bits_) - 1)) * stride_;
    if (to.keys != nullptr) to.keys[i] = load<Key>(reinterpret_cast<const std::byte*>(at));
    if (to.counts != nullptr) to.counts[i] = load<std::uint32_t>(reinterpret_cast<const std::byte*>(at + 2));
    if (to.values != nullptr) std::copy_n(at + kHeaderFloats, width_, to.values + i * width_);
    if (to.state != nullptr) std::copy_n(at + kHeaderFloats + width_, state, to.state + i * state);
  }
}

void SparseShard::restore(std::span<const Key> keys, std::span<const float> values, std::span<const float> state, std::span<const std::uint64_t> counts) {
  const std::size_t floats = stride_ - kHeaderFloats - width_;
  SLUICE_ASSERT(rows_ == 0 && keys.size() <= rows_max_ && values.size() == keys.size() * width_);
  SLUICE_ASSERT((state.empty() || state.size() == keys.size() * floats) && (counts.empty() || counts.size() == keys.size()));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    float* row = row_at(make(keys[i], place_hash(keys[i])));
    const auto count = static_cast<std::uint32_t>(counts.empty() ? 0 : counts[i]);
    std::memcpy(row + 2, &count, sizeof count);
    std::copy_n(values.data() + i * width_, width_, row + kHeaderFloats);
    if (!state.empty()) std::copy_n(state.data() + i * floats, floats, row + kHeaderFloats + width_);
  }
}

std::size_t SparseShard::count_missing(std::span<const Key> keys) const {
  std::vector<Key> missing;
  for (const Key key : keys) {
    if (find(key, place_hash(key)) == kNone) missing.push_back(key);
  }
  std::sort(missing.begin(), missing.end());
  return static_cast<std::size_t>(std::unique(missing.begin(), missing.end()) - missing.begin());
}

Result<void> SparseShard::check(proto::PushKind kind, std::span<const Key> keys, Bytes update, bool state) const {
  const std::size_t n = keys.size(), row = row_floats(state);
  if (const auto optimizer = optimizer_for(kind, optimizer_, state); !optimizer) return fail(optimizer.error());
  if (update.size() != n * row * sizeof(float)) {
    return fail(Errc::kRejected, fmt::format("{} floats for {} rows of {}", update.size() / sizeof(float), n, row));
  }
  const UnalignedFloat* floats = floats_of(update);
  if (!all_finite(floats, n * row)) {
    const std::size_t at = first_not_finite(floats, n * row);
    return fail(Errc::kRejected, fmt::format("float {} of the update for key {} is {}", at % row, keys[at / row], static_cast<float>(floats[at])));
  }
  if (auto ok = check_keys(keys); !ok) return ok;
  if (rows_ + n > rows_max_ && rows_ + count_missing(keys) > rows_max_) {  // counting costs a sort: only near the end
    return fail(Errc::kFull, fmt::format("the shard holds {} rows, its share of the table's {} is {}", rows_, spec_.rows, rows_max_));
  }
  return {};
}

Result<void> SparseShard::prepare(proto::PushKind kind, std::span<const Key> keys, Bytes update, bool state) {
  if (auto ok = check(kind, keys, update, state); !ok) return ok;
  for (const Key key : keys) {
    const std::uint64_t hash = place_hash(key);
    if (find(key, hash) == kNone) (void)make(key, hash);
  }
  return {};
}

Result<void> SparseShard::apply(proto::PushKind kind, Bytes asked, Bytes update, std::uint32_t step, bool state) {
  const std::vector<Key> keys = copy_of(asked);
  if (auto ok = check(kind, keys, update, state); !ok) return ok;
  const std::size_t floats_a_row = row_floats(state);
  const UnalignedFloat* floats = floats_of(update);
  const bool gradient = kind == proto::PushKind::kGradient;
  each_row(keys, [&](std::size_t i, std::size_t found) {
    if (found == kNone) found = find(keys[i], hashes_[i]);  // made for this key a moment ago, where it comes twice
    if (found == kNone) found = make(keys[i], hashes_[i]);
    float* row = own_row(found);
    float* values = row + kHeaderFloats;
    const UnalignedFloat* from = floats + i * floats_a_row;
    if (gradient) {
      optimizer_.apply({values, values, values + width_, from, width_}, {count_up(row), step});
    } else {  // a delta; state lies behind the values as it does in the update
      for (std::size_t f = 0; f < floats_a_row; ++f) values[f] += from[f];
    }
  });
  ++version_;
  return {};
}

std::size_t SparseShard::bytes() const { return slabs_.size() * ((stride_ * sizeof(float)) << slab_bits_) + index_.size() * sizeof(IndexEntry); }

}  // namespace sluice::server
