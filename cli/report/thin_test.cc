#include "cli/report/thin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "cli/report/rounded.h"

namespace sluice::cli::report {
namespace {
using testing::ElementsAre;

std::vector<Point> wave(std::size_t count) {
  std::vector<Point> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back({static_cast<double>(i), std::sin(static_cast<double>(i) / 30)});
  return out;
}

TEST(ThinCurve, KeepsItsEndsItsOrderAndItsPeaks) {
  for (const std::size_t count : {13u, 100u, 1001u, 5000u}) {
    for (const std::size_t most : {3u, 12u, 100u, 500u}) {
      auto points = wave(count);
      points[count / 2].y = 50;  // one report of a loss that jumped
      const auto thin = thin_curve(points, most);
      ASSERT_EQ(thin.size(), std::min(count, most));
      EXPECT_EQ(thin.front().x, 0);
      EXPECT_EQ(thin.back().x, static_cast<double>(count - 1));
      EXPECT_TRUE(std::is_sorted(thin.begin(), thin.end(), [](const Point& a, const Point& b) { return a.x < b.x; }));
      EXPECT_TRUE(std::any_of(thin.begin(), thin.end(), [](const Point& p) { return p.y == 50; })) << count << " to " << most;
    }
  }
}

TEST(ThinCurve, NothingStaysNothing) { EXPECT_TRUE(thin_curve({}, 12).empty()); }

/// Two jobs that take turns on one worker slot, a second each, until `seconds`.
std::vector<SlotEvent> turns(int seconds) {
  std::vector<SlotEvent> out;
  for (int i = 0; i < seconds; ++i)
    out.push_back({static_cast<double>(i), i == 0 ? kIdle : static_cast<std::uint32_t>((i + 1) % 2), static_cast<std::uint32_t>(i % 2)});
  return out;
}

TEST(SlotBands, EachChangeWhereThereAreFew) {
  const std::vector<std::uint32_t> bands = {0, 1};
  const Bands got = slot_bands(turns(3), bands, 2, 3, 10);
  EXPECT_TRUE(got.exact);
  EXPECT_THAT(got.t, ElementsAre(0, 1, 2));
  EXPECT_THAT(got.n[0], ElementsAre(1, 0, 1));
  EXPECT_THAT(got.n[1], ElementsAre(0, 1, 0));
}

TEST(SlotBands, MeansHoldTheSameSlotSeconds) {
  const std::vector<std::uint32_t> bands = {0, 1};
  for (const std::size_t columns : {7u, 10u, 64u}) {
    const Bands got = slot_bands(turns(1000), bands, 2, 1000, columns);
    EXPECT_FALSE(got.exact);
    ASSERT_EQ(got.t.size(), columns);
    const double width = 1000.0 / static_cast<double>(columns);
    for (const auto& row : got.n) EXPECT_NEAR(std::accumulate(row.begin(), row.end(), 0.0) * width, 500, 1e-6);
    for (std::size_t i = 0; i < columns; ++i) EXPECT_NEAR(got.n[0][i] + got.n[1][i], 1, 1e-9) << "the slot is never idle";
  }
}

TEST(SlotBands, JobsWithoutABandAreLeftOut) {
  const std::vector<std::uint32_t> bands = {0};  // the second job has no place
  EXPECT_THAT(slot_bands(turns(2), bands, 1, 2, 10).n[0], ElementsAre(1, 0));
  EXPECT_TRUE(slot_bands({}, {}, 1, 0, 10).t.empty());
}

TEST(Rounded, SoManyDigits) {
  EXPECT_EQ(rounded(1234.5678, 3), 1230);
  EXPECT_EQ(rounded(-0.00123456, 3), -0.00123);
  EXPECT_EQ(rounded(0, 3), 0);
  EXPECT_TRUE(std::isnan(rounded(NAN, 3)));
  EXPECT_TRUE(std::isfinite(rounded(1.7e308, 2)));
  EXPECT_NEAR(rounded(5e-320, 3), 5e-320, 1e-321);
}

}  // namespace
}  // namespace sluice::cli::report
