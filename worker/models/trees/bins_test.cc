#include "worker/models/trees/bins.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"

namespace sluice::worker::models::trees {
namespace {

TEST(TreeBins, ImagesKeepTheFloatsOrderAndComeBack) {
  const float largest = std::numeric_limits<float>::max(), smallest = std::numeric_limits<float>::denorm_min();
  const std::vector<float> ascending = {-largest, -3.5F, -1, -smallest, 0, smallest, 0.1F, 1, 1.0000001F, 7, largest};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    EXPECT_EQ(of_image(image(ascending[i])), ascending[i]);
    if (i > 0) { EXPECT_LT(image(ascending[i - 1]), image(ascending[i])); }
  }
  EXPECT_EQ(image(-0.0F), image(0.0F));
  EXPECT_EQ(of_image(0), -largest);
  EXPECT_EQ(of_image(std::numeric_limits<std::uint32_t>::max()), largest);
}

TEST(TreeBins, ABinIsTheNumberOfEdgesAtMostTheValue) {
  SeededRng rng(3);
  for (std::size_t n = 0; n < 40; ++n) {
    std::vector<float> edges;
    for (std::size_t i = 0; i < n; ++i) edges.push_back(static_cast<float>(i) * 0.5F);
    for (int trial = 0; trial < 100; ++trial) {
      const float value = static_cast<float>(rng.below(50)) * 0.25F - 1;
      EXPECT_EQ(bin_of(edges, value), std::count_if(edges.begin(), edges.end(), [&](float e) { return e <= value; })) << value << " among " << n;
    }
  }
}

/// The three passes, over values in memory.
std::vector<float> edges_for(const std::vector<float>& values, std::size_t bins) {
  std::vector<float> counts(kCoarseCells);
  for (const float v : values) counts[coarse_cell(v)] += 1;
  std::vector<Cell> cells = coarse_cells(counts);
  for (int pass = 0; pass < 2; ++pass) {
    const std::vector<float> grid = refine(cells, 1023);
    EXPECT_LE(grid.size(), 1023U);
    EXPECT_TRUE(std::is_sorted(grid.begin(), grid.end()));
    counts.assign(grid.size() + 1, 0);
    for (const float v : values) counts[bin_of(grid, v)] += 1;
    cells = cells_of(counts, grid);
  }
  return bin_edges(cells, bins);
}

TEST(TreeBins, FewDistinctValuesGetABinEach) {
  for (const auto& distinct :
       std::vector<std::vector<float>>{{0, 1}, {-2, 0, 5}, {1.6e9F, 1.6e9F + 256, 1.6e9F + 512, 1.6e9F + 1280}, {0.30F, 0.31F, 0.32F, 7}, {4}}) {
    std::vector<float> values;
    for (std::size_t i = 0; i < 1000; ++i) values.push_back(distinct[(i * i) % distinct.size()]);
    for (const float v : distinct) values.push_back(v);
    const std::vector<float> edges = edges_for(values, 64);
    ASSERT_EQ(edges.size() + 1, distinct.size());
    for (std::size_t i = 0; i < distinct.size(); ++i) EXPECT_EQ(bin_of(edges, distinct[i]), i) << distinct[i];
  }
}

/// No bin holds more than twice its share, nor any much less, whatever the values' distribution, and one value that holds half of the rows is a bin of its own.
TEST(TreeBins, EdgesCutTheRowsIntoEqualShares) {
  SeededRng rng(5);
  for (int shape = 0; shape < 4; ++shape) {
    std::vector<float> values;
    for (int i = 0; i < 20000; ++i) {
      const double u = rng.uniform();
      const double v = shape == 0 ? u : shape == 1 ? std::exp(20 * u) : shape == 2 ? 1e6 + u : (i % 2 == 0 ? 3.0 : u * u * 8 - 4);
      values.push_back(static_cast<float>(v));
    }
    const std::vector<float> edges = edges_for(values, 32);
    std::vector<double> rows(edges.size() + 1);
    for (const float v : values) rows[bin_of(edges, v)] += 1;
    const double share = (shape == 3 ? 10000.0 / 31 : 20000.0 / 32);
    if (shape == 2) { EXPECT_GE(edges.size(), 7U); }  // floats near a million are 1/16 apart: 17 values, two a cell
    if (shape != 2) { EXPECT_GE(edges.size(), 30U); }
    int heavy = 0;
    for (const double r : rows) {
      heavy += r >= 10000 ? 1 : 0;
      if (r < 10000 && shape != 2) { EXPECT_NEAR(r, share, share * 0.5) << shape; }
    }
    EXPECT_EQ(heavy, shape == 3 ? 1 : 0);
  }
}

TEST(TreeBins, ManyCellsAreMergedUntilThereIsRoom) {
  std::vector<Cell> cells;
  for (std::uint32_t c = 0; c < 2000; ++c) cells.push_back({0x80000000U + c * 1000, 0x80000000U + c * 1000 + 999, 1});
  const std::vector<float> edges = refine(cells, 100);
  EXPECT_LE(edges.size(), 100U);
  EXPECT_GE(edges.size(), 20U);
}

}  // namespace
}  // namespace sluice::worker::models::trees
