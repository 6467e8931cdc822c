/// The contract every registered optimizer keeps, then each one's formula against doubles.

#include "server/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/rng.h"

namespace sluice::server {
namespace {

using testing::HasSubstr;

std::vector<float> random_floats(std::uint64_t seed, std::size_t n) {
  std::vector<float> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(2 * unit_double(mix64(seed, i)) - 1);
  return out;
}

/// One span with its state, updated the way shards do it.
struct Subject {
  explicit Subject(const Optimizer& o, std::vector<float> first) : optimizer(o), values(std::move(first)), state(o.state_floats(values.size())) {}
  void update(const std::vector<float>& g) { optimizer.apply({values.data(), values.data(), state.data(), g.data(), values.size()}, {++count, 0}); }
  const Optimizer& optimizer;
  std::vector<float> values;
  std::vector<float> state;
  std::uint64_t count = 0;
};

class OptimizerContract : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<const Optimizer> optimizer = *make_optimizer({GetParam(), {}});
};
INSTANTIATE_TEST_SUITE_P(Registered, OptimizerContract, testing::ValuesIn(builtin_optimizers().names()), [](const auto& test) { return test.param; });

TEST_P(OptimizerContract, SplitSpansEqualTheWholeBitForBit) {
  constexpr std::size_t kN = 1003;
  for (const std::size_t cut : {1, 16, 500, 997}) {
    Subject whole(*optimizer, random_floats(1, kN));
    Subject left(*optimizer, {whole.values.begin(), whole.values.begin() + static_cast<std::ptrdiff_t>(cut)});
    Subject right(*optimizer, {whole.values.begin() + static_cast<std::ptrdiff_t>(cut), whole.values.end()});
    for (std::uint64_t round = 0; round < 5; ++round) {
      const auto g = random_floats(2 + round, kN);
      whole.update(g);
      left.update({g.begin(), g.begin() + static_cast<std::ptrdiff_t>(cut)});
      right.update({g.begin() + static_cast<std::ptrdiff_t>(cut), g.end()});
    }
    std::vector<float> joined = left.values;
    joined.insert(joined.end(), right.values.begin(), right.values.end());
    EXPECT_EQ(joined, whole.values) << "cut at " << cut;
  }
}

TEST_P(OptimizerContract, StateRoundTripsThroughItsBytes) {
  constexpr std::size_t kN = 100;
  Subject kept(*optimizer, random_floats(1, kN));
  for (std::uint64_t round = 0; round < 3; ++round) kept.update(random_floats(round, kN));
  const auto view = std::as_bytes(std::span<const float>(kept.state));  // empty where an optimizer has no state
  const std::vector<std::byte> bytes(view.begin(), view.end());
  const auto twin = *make_optimizer({GetParam(), {}});
  Subject restored(*twin, kept.values);
  std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span<float>(restored.state)).begin());
  restored.count = kept.count;
  for (std::uint64_t round = 3; round < 6; ++round) {
    const auto g = random_floats(round, kN);
    kept.update(g);
    restored.update(g);
  }
  EXPECT_EQ(kept.values, restored.values);
  EXPECT_EQ(kept.state, restored.state);
}

TEST_P(OptimizerContract, OutOfPlaceAndUnalignedEqualInPlaceAndAligned) {
  constexpr std::size_t kN = 777;
  Subject in_place(*optimizer, random_floats(1, kN));
  std::vector<float> values = in_place.values, other(kN), state(in_place.state.size());
  std::vector<std::byte> frame(kN * 4 + 3);
  for (std::uint64_t round = 0; round < 4; ++round) {
    const auto g = random_floats(7 + round, kN);
    in_place.update(g);
    std::memcpy(frame.data() + 3, g.data(), kN * 4);
    optimizer->apply({values.data(), other.data(), state.data(), floats_of(Bytes(frame).subspan(3)), kN}, {round + 1, 0});
    std::swap(values, other);
  }
  EXPECT_EQ(values, in_place.values);
}

/// What slots that take the steps on copies of their own push of it (local steps): each what it added, whatever the values were.
TEST_P(OptimizerContract, StateThatAddsUpIsASumOverTheUpdates) {
  if (!optimizer->state_adds_up()) GTEST_SKIP() << "its state stays with the servers";
  constexpr std::size_t kN = 200;
  ASSERT_EQ(optimizer->state_floats(kN), kN) << "slots hold a float of it for each value";
  Subject both(*optimizer, random_floats(1, kN)), first(*optimizer, random_floats(2, kN)), second(*optimizer, random_floats(3, kN));
  for (std::uint64_t round = 0; round < 4; ++round) {
    const auto g = random_floats(10 + round, kN);
    both.update(g);
    (round % 2 == 0 ? first : second).update(g);
  }
  for (std::size_t i = 0; i < kN; ++i) EXPECT_NEAR(both.state[i], first.state[i] + second.state[i], 1e-5);
}

TEST_P(OptimizerContract, AZeroUpdateOnFreshStateMovesNothing) {
  proto::OptimizerSpec spec{GetParam(), {}};
  for (const NumberRule& rule : (*builtin_optimizers().find(GetParam()))->numbers) {
    if (rule.name == "weight_decay") spec.numbers["weight_decay"] = 0;  // it moves values by itself, where it is asked for or the default
  }
  const auto without_decay = *make_optimizer(spec);
  Subject subject(*without_decay, random_floats(1, 50));
  const auto before = subject.values;
  subject.update(std::vector<float>(50, 0.0F));
  EXPECT_EQ(subject.values, before);
}

TEST_P(OptimizerContract, FiniteUpdatesOfOrdinarySizeKeepValuesFinite) {
  Subject subject(*optimizer, random_floats(1, 64));
  for (const float size : {1e-30F, 1e-6F, 1.0F, 1e6F, 1e15F}) {
    auto g = random_floats(3, 64);
    for (float& x : g) x *= size;
    subject.update(g);
  }
  EXPECT_TRUE(all_finite(subject.values.data(), subject.values.size()));
}

TEST_P(OptimizerContract, AnUnknownNumberAnswersWithTheKnownOnes) {
  const auto bad = check_optimizer({GetParam(), {{"learning_rate", 0.1}}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::kBadConfig);
  const auto& rules = (*builtin_optimizers().find(GetParam()))->numbers;
  if (rules.empty()) { EXPECT_THAT(bad.error().what, HasSubstr("takes no numbers")); }
  for (const auto& rule : rules) EXPECT_THAT(bad.error().what, HasSubstr(std::string(rule.name)));
}

TEST_P(OptimizerContract, NumbersAreHeldToTheirRanges) {
  for (const NumberRule& rule : (*builtin_optimizers().find(GetParam()))->numbers) {
    const std::string name(rule.name);
    EXPECT_TRUE(check_optimizer({GetParam(), {{name, rule.otherwise}}})) << name;
    EXPECT_EQ(check_optimizer({GetParam(), {{name, rule.low}}}).has_value(), rule.low_allowed) << name;
    for (const double bad : {rule.low - 1, rule.high, std::nan(""), std::numeric_limits<double>::infinity()}) {
      EXPECT_FALSE(check_optimizer({GetParam(), {{name, bad}}})) << name << " = " << bad;
    }
  }
}

/// A move is in proportion to the rate: at half of it, half as far (on fresh state, where nothing else has moved).
TEST_P(OptimizerContract, AScheduleSetsHowFarAnUpdateMoves) {
  const OptimizerKind& kind = **builtin_optimizers().find(GetParam());
  const auto halved = make_optimizer({GetParam(), {{"schedule.every", 10}, {"schedule.factor", 0.5}}});
  EXPECT_EQ(halved.has_value(), kind.scheduled);
  EXPECT_EQ(check_optimizer({GetParam(), {{"clip", 1}}}).has_value(), kind.gradient);
  if (!halved) {
    EXPECT_THAT(halved.error().what, HasSubstr("takes no schedule"));
    return;
  }
  const auto first = random_floats(1, 60), g = random_floats(2, 60);
  for (const std::uint32_t step : {9U, 10U, 20U}) {
    Subject whole(*optimizer, first), scheduled(**halved, first);
    whole.update(g);
    (*halved)->apply({scheduled.values.data(), scheduled.values.data(), scheduled.state.data(), g.data(), 60}, {1, step});
    const double factor = step == 9 ? 1 : step == 10 ? 0.5 : 0.25;
    for (std::size_t i = 0; i < 60; ++i)
      EXPECT_NEAR(static_cast<double>(scheduled.values[i] - first[i]), factor * static_cast<double>(whole.values[i] - first[i]), 2e-7) << step;
    EXPECT_EQ(scheduled.state, whole.state) << "what is remembered of gradients does not depend on the rate";
  }
}

TEST(AllFinite, FindsANonFiniteFloatAtEveryPlaceAndAlignment) {
  for (const std::size_t shift : {0, 1, 3}) {
    for (std::size_t n = 1; n < 70; n += 3) {
      for (std::size_t at = 0; at < n; ++at) {
        for (const float bad : {std::nanf(""), -std::nanf(""), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
          auto values = random_floats(1, n);
          values[at] = bad;
          std::vector<std::byte> bytes(n * 4 + shift);
          std::memcpy(bytes.data() + shift, values.data(), n * 4);
          ASSERT_FALSE(all_finite(floats_of(Bytes(bytes).subspan(shift)), n)) << n << " " << at;
        }
      }
    }
  }
}

TEST(AllFinite, AcceptsTheLargestAndTheSmallest) {
  const std::vector<float> extremes{0.0F, -0.0F, std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest(),
                                    std::numeric_limits<float>::denorm_min()};
  EXPECT_TRUE(all_finite(extremes.data(), extremes.size()));
  EXPECT_TRUE(all_finite(extremes.data(), 0));
}

TEST(Optimizers, AnUnknownNameAnswersWithTheKnownOnes) {
  const auto made = make_optimizer({"adamm", {}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().what, "unknown optimizer 'adamm'; did you mean 'adam'? known: adagrad, adam, adamw, add, ftrl, momentum, nesterov, rmsprop, sgd");
}

TEST(Optimizers, LearningRateMayNotBeZero) {
  const auto bad = check_optimizer({"sgd", {{"lr", 0}}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().what, "lr of optimizer 'sgd' is 0; it must be > 0 and < 1000000");
}

TEST(Sgd, FollowsItsFormula) {
  const auto sgd = *make_optimizer({"sgd", {{"lr", 0.5}, {"weight_decay", 0.01}}});
  Subject subject(*sgd, {1.0F, -2.0F});
  subject.update({0.25F, 4.0F});
  EXPECT_FLOAT_EQ(subject.values[0], static_cast<float>(1.0 - 0.5 * (0.25 + 0.01 * 1.0)));
  EXPECT_FLOAT_EQ(subject.values[1], static_cast<float>(-2.0 - 0.5 * (4.0 + 0.01 * -2.0)));
}

TEST(Adagrad, FollowsItsFormulaOverManyUpdates) {
  const auto adagrad = *make_optimizer({"adagrad", {{"lr", 0.3}}});
  Subject subject(*adagrad, random_floats(1, 40));
  std::vector<double> w(subject.values.begin(), subject.values.end()), s(40);
  for (std::uint64_t round = 0; round < 50; ++round) {
    const auto g = random_floats(round, 40);
    subject.update(g);
    for (std::size_t i = 0; i < 40; ++i) {
      s[i] += double{g[i]} * double{g[i]};
      w[i] -= 0.3 * double{g[i]} / (std::sqrt(s[i]) + 1e-8);
    }
  }
  for (std::size_t i = 0; i < 40; ++i) EXPECT_NEAR(subject.values[i], w[i], 2e-5);
}

TEST(Adam, FollowsItsFormulaWithBiasCorrectionOverManyUpdates) {
  for (const bool decoupled : {true, false}) {
    const auto adam = *make_optimizer({decoupled ? "adamw" : "adam", {{"lr", 0.01}, {"weight_decay", 0.1}}});
    Subject subject(*adam, random_floats(1, 40));
    std::vector<double> w(subject.values.begin(), subject.values.end()), m(40), v(40);
    for (std::uint64_t t = 1; t <= 100; ++t) {
      const auto update = random_floats(t, 40);
      subject.update(update);
      for (std::size_t i = 0; i < 40; ++i) {
        const double g = double{update[i]} + (decoupled ? 0 : 0.1 * w[i]);
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.999 * v[i] + 0.001 * g * g;
        const double mean = m[i] / (1 - std::pow(0.9, t)), square = v[i] / (1 - std::pow(0.999, t));
        w[i] -= 0.01 * (mean / (std::sqrt(square) + 1e-8) + (decoupled ? 0.1 * w[i] : 0));
      }
    }
    for (std::size_t i = 0; i < 40; ++i) EXPECT_NEAR(subject.values[i], w[i], 2e-5) << decoupled;
  }
}

TEST(Adam, OnlyTheDecoupledOneDecaysByDefault) {
  const auto adam = *make_optimizer({"adam", {}}), adamw = *make_optimizer({"adamw", {}});
  Subject plain(*adam, {1.0F}), decayed(*adamw, {1.0F});
  plain.update({0.0F});
  decayed.update({0.0F});
  EXPECT_EQ(plain.values[0], 1.0F);
  EXPECT_FLOAT_EQ(decayed.values[0], static_cast<float>(1 - 0.001 * 0.01));
}

TEST(Adam, AZeroGradientLetsMomentumGoOn) {
  const auto adam = *make_optimizer({"adam", {}});
  Subject subject(*adam, {1.0F});
  subject.update({1.0F});
  const float after_one = subject.values[0];
  subject.update({0.0F});
  EXPECT_LT(subject.values[0], after_one);
}

TEST(Momentum, BothVariantsFollowTheirFormulas) {
  for (const bool nesterov : {false, true}) {
    const auto made = *make_optimizer({nesterov ? "nesterov" : "momentum", {{"lr", 0.02}, {"momentum", 0.8}, {"weight_decay", 0.05}}});
    Subject subject(*made, random_floats(1, 40));
    std::vector<double> w(subject.values.begin(), subject.values.end()), v(40);
    for (std::uint64_t t = 1; t <= 60; ++t) {
      const auto update = random_floats(t, 40);
      subject.update(update);
      for (std::size_t i = 0; i < 40; ++i) {
        const double g = double{update[i]} + 0.05 * w[i];
        v[i] = 0.8 * v[i] + g;
        w[i] -= 0.02 * (nesterov ? g + 0.8 * v[i] : v[i]);
      }
    }
    for (std::size_t i = 0; i < 40; ++i) EXPECT_NEAR(subject.values[i], w[i], 2e-5) << nesterov;
  }
}

TEST(RmsProp, FollowsItsFormulaOverManyUpdates) {
  const auto made = *make_optimizer({"rmsprop", {{"lr", 0.01}, {"decay", 0.95}}});
  Subject subject(*made, random_floats(1, 40));
  std::vector<double> w(subject.values.begin(), subject.values.end()), s(40);
  for (std::uint64_t t = 1; t <= 60; ++t) {
    const auto g = random_floats(t, 40);
    subject.update(g);
    for (std::size_t i = 0; i < 40; ++i) {
      s[i] = 0.95 * s[i] + 0.05 * double{g[i]} * double{g[i]};
      w[i] -= 0.01 * double{g[i]} / (std::sqrt(s[i]) + 1e-8);
    }
  }
  for (std::size_t i = 0; i < 40; ++i) EXPECT_NEAR(subject.values[i], w[i], 5e-5);
}

/// The algorithm as printed, from w = 0 as it begins.
TEST(Ftrl, FollowsItsFormulaOverManyUpdates) {
  const double lr = 0.3, beta = 0.5, l1 = 0.4, l2 = 0.1;
  const auto made = *make_optimizer({"ftrl", {{"lr", lr}, {"beta", beta}, {"l1", l1}, {"l2", l2}}});
  Subject subject(*made, std::vector<float>(40, 0.0F));
  std::vector<double> w(40), z(40), n(40);
  for (std::uint64_t t = 1; t <= 60; ++t) {
    auto g = random_floats(t, 40);
    for (std::size_t i = 0; i < 40; i += 3) g[i] = t % 2 == 0 ? 0.0F : g[i] * 0.05F;  // some never pass l1
    subject.update(g);
    for (std::size_t i = 0; i < 40; ++i) {
      const double step = double{g[i]}, sigma = (std::sqrt(n[i] + step * step) - std::sqrt(n[i])) / lr;
      z[i] += step - sigma * w[i];
      n[i] += step * step;
      w[i] = std::abs(z[i]) <= l1 ? 0 : -(z[i] - std::copysign(l1, z[i])) / ((beta + std::sqrt(n[i])) / lr + l2);
    }
  }
  std::size_t zeros = 0;
  for (std::size_t i = 0; i < 40; ++i) {
    EXPECT_NEAR(subject.values[i], w[i], 2e-5);
    zeros += subject.values[i] == 0 ? 1 : 0;
  }
  EXPECT_GT(zeros, 0U) << "l1 makes zeros";
  EXPECT_LT(zeros, 40U);
}

TEST(Ftrl, GoesOnFromValuesThatDoNotStartAtZero) {
  const auto made = *make_optimizer({"ftrl", {{"l1", 0.5}, {"l2", 0.2}}});
  Subject subject(*made, {0.8F, -0.8F});
  subject.update({1e-4F, -1e-4F});
  EXPECT_NEAR(subject.values[0], 0.8F, 1e-4) << "a small gradient moves it a little";
  EXPECT_NEAR(subject.values[1], -0.8F, 1e-4);
  subject.update({1.0F, 1.0F});
  EXPECT_LT(subject.values[0], 0.8F);
  EXPECT_LT(subject.values[1], -0.8F);
}

TEST(Add, SumsExactlyWhatFloatsCanHold) {
  const auto add = *make_optimizer({"add", {}});
  Subject subject(*add, {0.0F});
  for (int i = 1; i <= 1000; ++i) subject.update({static_cast<float>(i)});
  EXPECT_EQ(subject.values[0], 500500.0F);
}

}  // namespace
}  // namespace sluice::server
