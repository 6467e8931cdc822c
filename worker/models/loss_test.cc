#include "worker/models/loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace sluice::worker::models {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Loss, ExponentialsAreWithinTheStatedError) {
  std::vector<float> x;
  for (float v = -87; v <= 88; v += 0.0137F) x.push_back(v);
  auto y = x;
  exponentials(y);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    EXPECT_NEAR(static_cast<double>(y[i]) / exact, 1, 2e-7) << x[i];
  }
}

TEST(Loss, ActivationsAtTheEdges) {
  std::vector<float> x = {-kInfinity, -1000, 0, 1000, kInfinity, kNaN};
  auto e = x, t = x, r = x;
  exponentials(e);
  tanh_in_place(t);
  relu_in_place(r);
  EXPECT_LT(e[0], 1e-37F);
  EXPECT_EQ(e[2], 1.0F);
  EXPECT_TRUE(std::isfinite(e[3]));
  EXPECT_EQ(t[0], -1.0F);
  EXPECT_EQ(t[2], 0.0F);
  EXPECT_EQ(t[4], 1.0F);
  EXPECT_EQ(r[1], 0.0F);
  EXPECT_EQ(r[3], 1000.0F);
  EXPECT_TRUE(std::isnan(e[5]) && std::isnan(t[5]) && std::isnan(r[5]));
  for (float v = -9; v < 9; v += 0.01F) {
    std::vector<float> one = {v};
    tanh_in_place(one);
    EXPECT_NEAR(one[0], std::tanh(v), 3e-7F) << v;
  }
}

/// Even where a class has no chance left in float32, the loss is that of the logits, not a clamped one.
TEST(Loss, SoftmaxIsExactForHugeMargins) {
  std::vector<float> logits = {500, -500, 0, 0};
  const std::vector<float> labels = {1, 0};
  const Losses losses = softmax_loss(logits, labels, 2, 0.5F);
  EXPECT_NEAR(losses.loss_sum, 1000 + std::log(2.0), 1e-4);
  EXPECT_NEAR(losses.loss_squares, 1e6 + std::log(2.0) * std::log(2.0), 1e-1);
  EXPECT_NEAR(logits[0], 0.5F, 1e-6F);
  EXPECT_NEAR(logits[1], -0.5F, 1e-6F);
  EXPECT_NEAR(logits[2], -0.25F, 1e-6F);
}

TEST(Loss, InfiniteLogitsShowAsNaN) {
  std::vector<float> logits = {kInfinity, 0, 1, 2};
  const std::vector<float> labels = {0, 1};
  EXPECT_TRUE(std::isnan(softmax_loss(logits, labels, 2, 1).loss_sum));
}

TEST(Loss, TheLargestLogitWinsAndTiesGoToTheFirst) {
  std::vector<float> logits = {1, 2, 3, 5, 5, 0, 5, 5, 0, kNaN, 1, 2};
  const std::vector<float> labels = {2, 0, 1, 2};
  EXPECT_EQ(softmax_scores(logits, labels, 3).metric_sum, 2);
  const std::vector<float> margins = {0.5F, -0.5F, 0, kNaN};
  EXPECT_EQ(logistic_scores(margins, std::vector<float>{1, 0, 0, 1}).metric_sum, 3);
}

TEST(Loss, LogisticIsExactForHugeMargins) {
  std::vector<float> logits = {-1000, 1000, 0};
  const Losses losses = logistic_loss(logits, std::vector<float>{1, 1, 0}, 2);
  EXPECT_NEAR(losses.loss_sum, 1000 + std::log(2.0), 1e-6);
  EXPECT_NEAR(logits[0], -2, 1e-6);
  EXPECT_NEAR(logits[1], 0, 1e-6);
  EXPECT_NEAR(logits[2], 1, 1e-6);
}

TEST(Loss, HingesAreZeroBeyondTheMarginAndPassNaN) {
  for (const bool squared : {false, true}) {
    std::vector<float> two = {2, -0.5F, 0.25F};
    const Losses losses = hinge_loss(two, std::vector<float>{1, 1, 0}, 2, squared, 2);
    EXPECT_NEAR(losses.loss_sum, squared ? (1.5 * 1.5 + 1.25 * 1.25) / 2 : 1.5 + 1.25, 1e-6);
    EXPECT_EQ(two, (squared ? std::vector<float>{0, -3, 2.5F} : std::vector<float>{0, -2, 2}));
    std::vector<float> three = {2, -2, 0, 0.5F, 0, kNaN};
    EXPECT_TRUE(std::isnan(hinge_loss(three, std::vector<float>{0, 1}, 3, squared, 1).loss_sum));
    EXPECT_FLOAT_EQ(three[2], 1);
    EXPECT_TRUE(three[0] == 0 && three[1] == 0);
  }
  std::vector<float> margins = {0.5F, -0.5F, 0, kNaN};
  EXPECT_EQ(hinge_scores(margins, std::vector<float>{1, 0, 0, 1}, 2, false).metric_sum, 3);
  std::vector<float> outputs = {-1, -2, -3, 0, 0, 1};
  EXPECT_EQ(hinge_scores(outputs, std::vector<float>{0, 1}, 3, true).metric_sum, 1);
}

TEST(Loss, RowsAndColumns) {
  const std::vector<float> row = {1, 2, 3};
  std::vector<float> filled(6), sums(3, kNaN);
  fill_rows(row, filled);
  EXPECT_EQ(filled, (std::vector<float>{1, 2, 3, 1, 2, 3}));
  column_sums(filled, sums);
  EXPECT_EQ(sums, (std::vector<float>{2, 4, 6}));
}

}  // namespace
}  // namespace sluice::worker::models
