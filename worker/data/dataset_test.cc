#include "worker/data/dataset.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <set>

#include "worker/data/fixtures.h"

namespace sluice::worker {
namespace {

using fixtures::dense_rows;
using fixtures::sparse_rows;

/// A row's content, to tell rows apart.
std::vector<float> row_of(const Batch& batch, std::uint32_t i) {
  std::vector<float> out{batch.labels[i]};
  if (batch.offsets.empty()) {
    for (std::uint64_t f = 0; f < batch.features; ++f) out.push_back(batch.dense[i * batch.features + f]);
  } else {
    for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) out.insert(out.end(), {static_cast<float>(batch.indices[e]), batch.values[e]});
  }
  return out;
}

std::multiset<std::vector<float>> rows_of(const Batch& batch) {
  std::multiset<std::vector<float>> out;
  for (std::uint32_t i = 0; i < batch.rows; ++i) out.insert(row_of(batch, i));
  return out;
}

class Reader : public ::testing::TestWithParam<bool> {
 protected:
  std::shared_ptr<const Dataset> data = GetParam() ? sparse_rows(300, 40, 3, 1) : dense_rows(300, 5, 3, 1);
};
INSTANTIATE_TEST_SUITE_P(SparseAndDense, Reader, ::testing::Bool());

/// An epoch's batches hold each row of the chunk once; another epoch, seed or chunk has another order; the same one the same.
TEST_P(Reader, AChunkIsPermutedByItsSeedAndEpoch) {
  BatchReader reader(data);
  const auto epoch = [&](std::uint64_t seed, std::uint32_t number) {
    std::vector<std::vector<float>> rows;
    for (std::uint32_t offset = 0; offset < 100; offset += 30) {
      const Batch batch = reader.read(150, 100, seed, number, offset, std::min(30U, 100 - offset));
      EXPECT_EQ(batch.features, data->shape().features);
      for (std::uint32_t i = 0; i < batch.rows; ++i) rows.push_back(row_of(batch, i));
    }
    return rows;
  };
  const auto first = epoch(4, 0);
  EXPECT_EQ(first, epoch(4, 0));
  EXPECT_NE(first, epoch(4, 1));
  EXPECT_NE(first, epoch(5, 0));
  EXPECT_EQ(rows_of(reader.read_plain(150, 100)), std::multiset<std::vector<float>>(first.begin(), first.end()));
}

TEST_P(Reader, PlainRowsAreInStoredOrder) {
  BatchReader reader(data);
  BatchReader other(data);
  const Batch all = reader.read_plain(0, 300);
  for (const std::uint32_t first : {0U, 1U, 299U}) {
    const Batch one = other.read_plain(first, 1);
    EXPECT_EQ(row_of(one, 0), row_of(all, first));
  }
  EXPECT_EQ(other.read_plain(300, 0).rows, 0U);
}

TEST_P(Reader, AllocatesNothingOnceWarm) {
  BatchReader reader(data);
  const auto pass = [&](std::uint32_t epoch) {
    for (std::uint32_t offset = 0; offset < 300; offset += 60) (void)reader.read(0, 300, 1, epoch, offset, 60);
    (void)reader.read_plain(10, 60);
  };
  for (std::uint32_t epoch = 0; epoch < 20; ++epoch) pass(epoch);
  const auto before = ::mallinfo2().uordblks;
  pass(3);
  EXPECT_EQ(::mallinfo2().uordblks, before);
}

}  // namespace
}  // namespace sluice::worker
