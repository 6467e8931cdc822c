#pragma once
/// The keys that one batch needs of one sparse table, in the order the model wants them (sorted) and in the order the wire wants them (bucket by bucket), and
/// their pulled rows.

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "proto/table_spec.h"

namespace sluice::worker {

class KeySet {
 public:
  /// Takes the keys over and puts them into buckets; each has a row of `row_floats`. Buffers are reused from batch to batch.
  void set(const proto::TableSpec& spec, std::vector<Key>& keys, std::uint32_t row_floats);
  void set(const proto::TableSpec& spec, std::vector<Key>& keys) { set(spec, keys, spec.cols); }
  [[nodiscard]] std::uint32_t row_floats() const { return cols_; }
  [[nodiscard]] std::span<const Key> keys() const { return keys_; }
  /// Positions (in keys()) of the keys of one bucket, ascending.
  [[nodiscard]] std::span<const std::uint32_t> bucket(std::uint32_t b) const { return std::span(order_).subspan(begin_[b], begin_[b + 1] - begin_[b]); }
  [[nodiscard]] std::uint32_t buckets() const { return static_cast<std::uint32_t>(begin_.size()) - 1; }
  /// keys().size() × row_floats() floats, row i belongs to keys()[i].
  [[nodiscard]] std::span<float> rows() { return rows_; }
  [[nodiscard]] std::span<const float> rows() const { return rows_; }
  /// Puts a bucket's rows, as they came from its shard, to their places. `values`: bucket(b).size() × row_floats() floats, any alignment.
  void scatter(std::uint32_t b, const std::byte* values);
  /// The reverse, out of `rows` (laid out as rows()).
  void gather(std::uint32_t b, std::span<const float> rows, std::byte* to) const;
  /// The bucket's keys as the wire wants them.
  void gather_keys(std::uint32_t b, std::byte* to) const;

 private:
  std::uint32_t cols_ = 0;  ///< floats of a row
  std::vector<Key> keys_;
  std::vector<std::uint32_t> bucket_of_, order_, begin_{0};
  std::vector<float> rows_;
};

}  // namespace sluice::worker
