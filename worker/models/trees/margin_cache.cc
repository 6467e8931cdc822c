#include "worker/models/trees/margin_cache.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>

namespace sluice::worker::models::trees {
namespace {
constexpr std::size_t kProbes = 8;  // slots in which a row may be
}  // namespace

RowHash hash_row(const Batch& batch, std::uint32_t i) {
  XXH128_hash_t hash;
  if (batch.offsets.empty()) {
    hash = XXH3_128bits(batch.dense.data() + i * batch.features, batch.features * sizeof(float));
  } else {
    const std::uint64_t first = batch.offsets[i], entries = batch.offsets[i + 1] - first;
    const XXH128_hash_t places = XXH3_128bits(batch.indices.data() + first, entries * sizeof(std::uint32_t));
    const XXH128_hash_t numbers = XXH3_128bits_withSeed(batch.values.data() + first, entries * sizeof(float), places.low64);
    hash = {numbers.low64, numbers.high64 ^ places.high64};
  }
  return {hash.low64, hash.high64};
}

MarginCache::MarginCache(std::uint64_t rows, std::uint32_t outputs) : outputs_(outputs) {
  const std::size_t each = sizeof(Slot) + outputs * sizeof(float);
  const std::uint64_t wanted = std::min<std::uint64_t>(std::max<std::uint64_t>(rows, kProbes) * 2, kBytesMax);
  capacity_ = std::bit_ceil(wanted);
  while (capacity_ > kProbes && capacity_ * each > kBytesMax) capacity_ /= 2;
}

MarginCache::Entry MarginCache::entry(const RowHash& hash) {
  if (slots_.empty()) slots_.resize(capacity_), margins_.resize(capacity_ * outputs_);
  const std::size_t home = hash.low & (capacity_ - 1);
  std::size_t free = home;
  bool found_free = false;
  for (std::size_t p = 0; p < kProbes; ++p) {
    const std::size_t at = (home + p) & (capacity_ - 1);
    if (slots_[at].trees > 0 && slots_[at].hash == hash) return {slots_[at].trees, std::span(margins_).subspan(at * outputs_, outputs_)};
    if (!found_free && slots_[at].trees == 0) free = at, found_free = true;
  }
  slots_[free] = {hash, 0};
  return {slots_[free].trees, std::span(margins_).subspan(free * outputs_, outputs_)};
}

void MarginCache::clear() { std::fill(slots_.begin(), slots_.end(), Slot{}); }

}  // namespace sluice::worker::models::trees
