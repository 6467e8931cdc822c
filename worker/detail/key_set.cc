#include "worker/detail/key_set.h"

#include <cstring>

namespace sluice::worker {

void KeySet::set(const proto::TableSpec& spec, std::vector<Key>& keys) {
  cols_ = spec.cols;
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

void KeySet::scatter(std::uint32_t b, const std::byte* values) {
  const std::size_t bytes = cols_ * sizeof(float);
  if (cols_ == 1) {  // one float is copied without a call
    for (const std::uint32_t i : bucket(b)) {
      std::memcpy(&rows_[i], values, sizeof(float));
      values += sizeof(float);
    }
    return;
  }
  for (const std::uint32_t i : bucket(b)) {
    std::memcpy(rows_.data() + std::size_t{i} * cols_, values, bytes);
    values += bytes;
  }
}

void KeySet::gather(std::uint32_t b, std::span<const float> rows, std::byte* to) const {
  const std::size_t bytes = cols_ * sizeof(float);
  if (cols_ == 1) {
    for (const std::uint32_t i : bucket(b)) {
      std::memcpy(to, &rows[i], sizeof(float));
      to += sizeof(float);
    }
    return;
  }
  for (const std::uint32_t i : bucket(b)) {
    std::memcpy(to, rows.data() + std::size_t{i} * cols_, bytes);
    to += bytes;
  }
}

void KeySet::gather_keys(std::uint32_t b, std::byte* to) const {
  for (const std::uint32_t i : bucket(b)) {
    std::memcpy(to, &keys_[i], sizeof(Key));
    to += sizeof(Key);
  }
}

}  // namespace sluice::worker
