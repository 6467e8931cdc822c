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

TEST(KeyIndex, KeysOfTheSameNumberAreLookedUpInWhatWasBuiltForThem) {
  SeededRng rng(4);
  for (const std::uint64_t features : {1000ULL, 1ULL << 20, 1ULL << 31}) {
    KeyIndex index;
    std::vector<std::uint32_t> all(4000), rows;
    for (auto& i : all) i = static_cast<std::uint32_t>(rng.below(features));
    std::vector<Key> keys;
    index.distinct(all, keys);
    for (const std::uint64_t number : {1U, 2U, 2U, 2U, 0U, 3U}) {
      if (number == 3) keys.erase(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(keys.size() / 2));
      std::vector<std::uint32_t> some;
      for (std::size_t n = rng.below(200); n > 0; --n) some.push_back(static_cast<std::uint32_t>(keys[rng.below(keys.size())]));
      index.rows_of(some, keys, rows, number);
      for (std::size_t e = 0; e < some.size(); ++e) ASSERT_EQ(keys[rows[e]], some[e]) << features << " " << number;
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
