/// What is kept about the newest report, in floats, solves to what whole sums in doubles do; a shape that does not move has no amplitude.
#include "manager/predictors/shape_fits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"

namespace sluice::manager {
namespace {

struct SeenShapes {
  ShapeBank::Values phi{};
  double loss = 0, mass = 1;
};

/// Least squares in doubles from all reports, each of which makes those before it weigh kept^mass.
struct Line {
  double amplitude = 0, level = 0;
};
Line line_through(const std::vector<SeenShapes>& seen, std::size_t shape, double kept) {
  std::vector<double> weights(seen.size());
  double later = 1, mass = 0, phi = 0, loss = 0, square = 0, product = 0;
  for (std::size_t i = seen.size(); i-- > 0; later *= std::pow(kept, seen[i].mass)) weights[i] = later * seen[i].mass, mass += weights[i];
  for (std::size_t i = 0; i < seen.size(); ++i) phi += weights[i] * seen[i].phi[shape] / mass, loss += weights[i] * seen[i].loss / mass;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const double off = seen[i].phi[shape] - phi;
    square += weights[i] * off * off, product += weights[i] * off * (seen[i].loss - loss);
  }
  const double amplitude = product / square;
  return {amplitude, loss + amplitude * (seen.back().phi[shape] - phi) - seen.back().loss};
}

/// 60 reports from step `first` on, about a level that dwarfs the changes; every `heavy`-th stands for three.
void solve_as_whole_sums_do(double first, int heavy) {
  ShapeBank bank;
  bank.declare(3000);
  while (bank.outgrown(first + 60)) bank.grow();
  SeededRng rng(3);
  ShapeFits fits;
  std::vector<SeenShapes> seen;
  for (int k = 0; k < 60; ++k) {
    const double step = first + k + 1;
    const SeenShapes now = {bank.at(step), 1e4 + 3 / std::sqrt(1 + step / 20) + 1e-4 * rng.uniform(), k % heavy == 0 ? 3.0 : 1.0};
    ShapeFits::Row moved{};
    if (!seen.empty())
      for (std::size_t s = 0; s < ShapeBank::kShapes; ++s) moved[s] = static_cast<float>(now.phi[s] - seen.back().phi[s]);
    fits.add(moved, static_cast<float>(seen.empty() ? 0 : now.loss - seen.back().loss), now.mass);
    seen.push_back(now);
  }
  std::array<float, ShapeFits::kFits> amplitude, level;
  fits.solve(2, amplitude.data(), level.data());
  for (std::size_t r = 0; r < ShapeFits::kRates; ++r)
    for (std::size_t s = 1; s < ShapeBank::kShapes; ++s) {
      const Line line = line_through(seen, s, ShapeFits::kKept[r]);
      const double moves = std::abs(seen.back().phi[s] - seen[seen.size() - 5].phi[s]);
      if (moves < 1e-6) continue;  // exponentials that are long over: doubles about no fixed point do not have them
      EXPECT_NEAR(amplitude[r * ShapeFits::kShapes + s], 2 * line.amplitude, 1e-3 * std::abs(2 * line.amplitude) + 1e-7 / moves) << r << " " << s;
      EXPECT_NEAR(level[r * ShapeFits::kShapes + s], 2 * line.level, 1e-6) << r << " " << s;
    }
}

TEST(ShapeFits, AreDiscountedLeastSquaresOfAllReports) {
  for (const double first : {0.0, 1000.0})  // far along neighbouring reports differ in the fifth digit
    for (const int heavy : {1000, 4}) {
      SCOPED_TRACE(testing::Message() << "from " << first << ", one of " << heavy << " heavy");
      solve_as_whole_sums_do(first, heavy);
    }
}

TEST(ShapeFits, WhatDoesNotMoveHasNoAmplitude) {
  ShapeFits fits;
  for (int k = 0; k < 40; ++k) fits.add({}, k == 0 ? 0 : 1, 1);
  std::array<float, ShapeFits::kFits> amplitude, level;
  fits.solve(1, amplitude.data(), level.data());
  for (const float a : amplitude) EXPECT_EQ(a, 0);
  EXPECT_NEAR(level[0], -3, 1e-3);  // the mean of a loss that rises by one a report, at .75 a report, lies 1/(1 − .75) − 1 below the newest
}

}  // namespace
}  // namespace sluice::manager
