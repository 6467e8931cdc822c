/// A key's place is the same whichever way it is found: by bits where features lie close, by hashing where they do not.

#include "worker/models/key_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/rng.h"

namespace sluice::worker::models {
namespace {

TEST(KeyIndex, KeysAreTheDistinctIndicesSortedAndEachIndexFindsItsOwn) {
  SeededRng rng(3);
  KeyIndex index;  // one for all: it keeps nothing from batch to batch
  for (const std::uint64_t features : {1ULL, 64ULL, 65ULL, 1000ULL, 1ULL << 16, 1ULL << 20, 1ULL << 32}) {
    for (const std::size_t entries : {0, 1, 2, 15, 3000, 20000}) {
      std::vector<std::uint32_t> indices(entries);
      for (auto& i : indices) i = static_cast<std::uint32_t>(rng.below(features));
      if (entries > 1) indices[1] = static_cast<std::uint32_t>(features - 1);
      std::vector<Key> keys;
      index.distinct(indices, keys);
      const std::set<Key> wanted(indices.begin(), indices.end());
      ASSERT_EQ(keys, std::vector<Key>(wanted.begin(), wanted.end())) << features << " " << entries;
      std::vector<std::uint32_t> rows;
      index.rows_of(indices, keys, rows);
      ASSERT_EQ(rows.size(), entries);
      for (std::size_t e = 0; e < entries; ++e) ASSERT_EQ(keys[rows[e]], indices[e]) << features << " " << entries;
    }
  }
}

TEST(KeyIndexDeath, AnIndexWithoutARowIsABug) {
  KeyIndex index;
  std::vector<std::uint32_t> rows;
  const std::vector<std::uint32_t> indices{5, 7};
  for (const std::vector<Key>& keys : {std::vector<Key>{5, 8}, std::vector<Key>{5, 6}, std::vector<Key>{}, std::vector<Key>{5, 0xfffffff0}})
    EXPECT_DEATH(index.rows_of(indices, keys, rows), "");
}

}  // namespace
}  // namespace sluice::worker::models
