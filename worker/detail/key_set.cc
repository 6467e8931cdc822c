#include "worker/detail/key_set.h"

#include <cstring>

namespace sluice::worker {

void KeySet::set(const proto::TableSpec& spec, std::vector<Key>& keys, std::uint32_t row_floats) {
  cols_ = row_floats;
  keys_.swap(keys);
  const std::size_t n = keys_.size();
  bucket_of_.resize(n);
  order_.resize(n);
  begin_.assign(spec.buckets + 1, 0);
  for (std::size_t i = 0; i < n; ++i) {
    bucket_of_[i] = spec.shard_of(keys_[i]).value;
    ++begin_[bucket_of_[i] + 1];
  }
  for (std::uint32_t b = 0; b < spec.buckets; ++b) begin_[b + 1] += begin_[b];
  // A counting sort that moves begin_[b] to the end of bucket b and then shifts it back.
  for (std::size_t i = 0; i < n; ++i) order_[begin_[bucket_of_[i]]++] = static_cast<std::uint32_t>(i);
  for (std::uint32_t b = spec.buckets; b > 0; --b) begin_[b] = begin_[b - 1];
  begin_[0] = 0;
  rows_.resize(n * cols_);
}

namespace {
/// Rows of `bytes` each, one behind the other and one at its place. One float, or one with its state, is copied without a call.
template <std::size_t kBytes, class Copy>
void each_row(std::span<const std::uint32_t> places, std::size_t bytes, Copy copy) {
  std::size_t at = 0;
  for (const std::uint32_t i : places) {
    copy(std::size_t{i} * (kBytes != 0 ? kBytes : bytes), at, kBytes != 0 ? kBytes : bytes);
    at += kBytes != 0 ? kBytes : bytes;
  }
}

template <class Copy>
void each_row(std::span<const std::uint32_t> places, std::size_t bytes, Copy copy) {
  if (bytes == sizeof(float)) return each_row<sizeof(float)>(places, bytes, copy);
  if (bytes == 2 * sizeof(float)) return each_row<2 * sizeof(float)>(places, bytes, copy);
  each_row<0>(places, bytes, copy);
}
}  // namespace

void KeySet::scatter(std::uint32_t b, const std::byte* values) {
  auto* rows = reinterpret_cast<std::byte*>(rows_.data());
  each_row(bucket(b), cols_ * sizeof(float), [&](std::size_t place, std::size_t at, std::size_t n) { std::memcpy(rows + place, values + at, n); });
}

void KeySet::gather(std::uint32_t b, std::span<const float> rows, std::byte* to) const {
  const auto* from = reinterpret_cast<const std::byte*>(rows.data());
  each_row(bucket(b), cols_ * sizeof(float), [&](std::size_t place, std::size_t at, std::size_t n) { std::memcpy(to + at, from + place, n); });
}

void KeySet::gather_keys(std::uint32_t b, std::byte* to) const {
  for (const std::uint32_t i : bucket(b)) {
    std::memcpy(to, &keys_[i], sizeof(Key));
    to += sizeof(Key);
  }
}

}  // namespace sluice::worker
