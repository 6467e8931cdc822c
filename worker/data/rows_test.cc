#include "worker/data/rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::worker::data {
namespace {

using testing::ElementsAre;

/// Every row is in one of the parts, whole, in its order.
TEST(Rows, AreCutInTwo) {
  Rows sparse;
  sparse.sparse = true;
  sparse.mapping.features = 9;
  sparse.bad_rows = 3;
  sparse.offsets = {0, 2, 2, 3};
  sparse.indices = {1, 4, 8};
  sparse.values = {1, 2, 3};
  sparse.classes = {0, 1, 2};
  const auto [train, test] = cut_rows(sparse, {1});
  EXPECT_THAT(train.classes, ElementsAre(0, 2));
  EXPECT_THAT(train.offsets, ElementsAre(0, 2, 3));
  EXPECT_THAT(train.indices, ElementsAre(1, 4, 8));
  EXPECT_EQ(train.bad_rows, 3U);
  EXPECT_THAT(test.classes, ElementsAre(1));
  EXPECT_THAT(test.offsets, ElementsAre(0, 0));
  EXPECT_EQ(test.bad_rows, 0U);
  Rows dense;
  dense.regression = true;
  dense.mapping.features = 2;
  dense.targets = {10, 20, 30};
  dense.dense = {1, 2, 3, 4, 5, 6};
  const auto parts = cut_rows(dense, {0, 2});
  EXPECT_THAT(parts.first.dense, ElementsAre(3, 4));
  EXPECT_THAT(parts.second.dense, ElementsAre(1, 2, 5, 6));
  EXPECT_THAT(parts.second.targets, ElementsAre(10, 30));
  EXPECT_EQ(parts.second.mapping.features, 2U);
}

}  // namespace
}  // namespace sluice::worker::data
