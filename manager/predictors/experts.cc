#include "manager/predictors/experts.h"

#include <algorithm>
#include <cmath>

namespace sluice::manager {
namespace {

/// Of a line's distance from the last report, squared, against the reports' moves: what it adds to an expert's error, at the nearest distance and the furthest.
constexpr double kMisfit = 0.0252, kMisfitFar = 0.379;
constexpr double kTrust = 6.37;  ///< judgements at a distance that weigh as much as what the nearer one taught
constexpr float kRatioMax = 40;  ///< an error counts as at most this many usual ones

/// What an expert's squared error is taken for, as a logarithm, before it was judged: at the nearest distance, and at the furthest. Found by a random search
/// over curves made from formulas and recorded ones, a third of the families held out (docs/predictors.md).
struct Ends {
  double near = 0, far = 0;
};

constexpr std::array<Ends, FreeCurves::kRates> kPriorOfFreeRate = {{{-2.39, 0.593}, {-4.3, -3.12}, {-3.94, -4.84}}};
constexpr std::array<Ends, FreeCurves::kFamilies> kPriorOfFamily = {{{0.585, -0.301}, {-0.747, -2.72}, {0.048, -2.26}, {4, 2.65}}};
constexpr std::array<Ends, Experts::kRates> kPriorOfRate = {{{0.722, -1.39}, {0.145, 2.05}, {4.66, 2.88}}};
constexpr std::array<Ends, Experts::kAnchors> kPriorOfAnchor = {{{0, 0}, {1.61, -0.515}, {5, 6}}};
constexpr std::array<double, ShapeBank::kExponents> kPriorOfExponent = {-0.248, 4, -2.79, 4};
constexpr std::array<double, ShapeBank::kDeclared> kPriorOfForm = {0, -0.0608, 3, 0.54};
constexpr Ends kPriorOfConstant = {1.44, -2.48}, kPriorOfOffset = {-0.481, -0.0677}, kPriorOfTime = {-0.0572, -0.916}, kPriorOfDeclared = {5.35, 6};
constexpr double kPriorOfLongerTime = -0.435;

double prior_of_expert(std::size_t line, std::size_t anchor, std::size_t bucket) {
  const double far = static_cast<double>(bucket) / static_cast<double>(Experts::kBuckets - 1);
  const auto between = [&](const Ends& ends) { return ends.near + far * (ends.far - ends.near); };
  double log = between(kPriorOfAnchor[anchor]);
  if (line < FreeCurves::kFits)
    return std::exp(log + between(kPriorOfFreeRate[line / FreeCurves::kFamilies]) + between(kPriorOfFamily[line % FreeCurves::kFamilies]));
  const std::size_t shape = (line - FreeCurves::kFits) / Experts::kRates, rate = (line - FreeCurves::kFits) % Experts::kRates;
  log += between(kPriorOfRate[rate]);
  if (shape == 0) return std::exp(log + between(kPriorOfConstant));
  if (shape < ShapeBank::kFirstTime) {
    const std::size_t offset = (shape - ShapeBank::kFirstPower) / ShapeBank::kExponents, exponent = (shape - ShapeBank::kFirstPower) % ShapeBank::kExponents;
    return std::exp(log + static_cast<double>(offset) * between(kPriorOfOffset) + far * kPriorOfExponent[exponent]);
  }
  if (shape < ShapeBank::kFirstDeclared)
    return std::exp(log + between(kPriorOfTime) + far * kPriorOfLongerTime * static_cast<double>(shape - ShapeBank::kFirstTime));
  return std::exp(log + between(kPriorOfDeclared) + far * kPriorOfForm[shape - ShapeBank::kFirstDeclared]);
}

constexpr std::array<float, Experts::kAnchors> kAnchorShare = {0, 1, 0.5};  ///< of a line's level

}  // namespace

const std::array<Experts::Judged, Experts::kBuckets>& Experts::nothing_judged() {
  static const std::array<Judged, kBuckets> priors = [] {
    std::array<Judged, kBuckets> out;
    for (std::size_t b = 0; b < kBuckets; ++b)
      for (std::size_t a = 0; a < kAnchors; ++a)
        for (std::size_t l = 0; l < kLines; ++l) out[b].error[a][l] = static_cast<float>(prior_of_expert(l, a, b));
    return out;
  }();
  return priors;
}

Experts::Experts() : judged_(nothing_judged()) {}

/// Each expert's error against what usual ones made (the mean root, those that did well before counting more), so that every judgement weighs the same however
/// large the errors are.
void Experts::judge(std::size_t bucket, const LinesSay& said, double came, double off, double least, double newest) {
  Judged& judged = judged_[bucket];
  Errors errors;
  const float own = static_cast<float>(std::min(std::abs(off) + least, 1e18)), truth = static_cast<float>(came), floor = static_cast<float>(least);
  float roots = 0, weights = 0;
  for (std::size_t a = 0; a < kAnchors; ++a)
    for (std::size_t l = 0; l < said.count; ++l) {
      const float error = std::min(std::abs(truth - said.change[l] - kAnchorShare[a] * said.level[l]) + floor, 1e18F);
      errors[a][l] = said.change[l] == said.change[l] ? error : own;
    }
  for (std::size_t a = 0; a < kAnchors; ++a)
    for (std::size_t l = 0; l < said.count; ++l) {
      const float weight = 1 / (judged.error[a][l] + 1e-6F);
      roots += weight * std::sqrt(errors[a][l]), weights += weight;
    }
  const float usual = std::max(roots / weights * (roots / weights), 1e-37F), rate = static_cast<float>(newest);
  for (std::size_t a = 0; a < kAnchors; ++a)
    for (std::size_t l = 0; l < said.count; ++l) {
      const float ratio = std::min(errors[a][l] / usual, kRatioMax);
      judged.error[a][l] += rate * (ratio * ratio - judged.error[a][l]);
    }
  judged.count += 1;
}

void Experts::weigh(const std::array<LinesSay, kBuckets>& say, double moves, std::array<Opinion, kBuckets>& out) const {
  const std::array<Judged, kBuckets>& prior = nothing_judged();
  Errors error = judged_[0].error, total;
  for (std::size_t b = 0; b < kBuckets; ++b) {
    const std::size_t count = say[b].count;
    const Judged& own = judged_[b];
    const float trust = own.count / (own.count + static_cast<float>(kTrust));
    float least = 1e30F;
    const float misfit = static_cast<float>((kMisfit + static_cast<double>(b) / 2 * (kMisfitFar - kMisfit)) / (moves + 1e-12));
    for (std::size_t a = 0; a < kAnchors; ++a)
      for (std::size_t l = 0; l < count; ++l) {
        if (b > 0) error[a][l] = trust * own.error[a][l] + (1 - trust) * prior[b].error[a][l] * (error[a][l] / prior[b - 1].error[a][l]);
        total[a][l] = error[a][l] + misfit * say[b].level[l] * say[b].level[l] + 1e-12F;
        least = std::min(least, total[a][l]);
      }
    Opinion& opinion = out[b];
    float mass = 0, base = 0, mean = 0, square = 0;
    for (std::size_t l = 0; l < count; ++l) opinion.weight[l] = 0;
    for (std::size_t a = 0; a < kAnchors; ++a)
      for (std::size_t l = 0; l < count; ++l) {
        const float once = least / total[a][l], twice = once * once, fourth = twice * twice, weight = fourth * fourth;
        const float from = kAnchorShare[a] * say[b].level[l], said = from + say[b].change[l];
        mass += weight, opinion.weight[l] += weight;
        base += weight * from, mean += weight * said, square += weight * said * said;
      }
    for (std::size_t l = 0; l < count; ++l) opinion.weight[l] /= mass;
    opinion.base = base / mass, opinion.mean = mean / mass;
    opinion.quarrel = std::max(0.0, static_cast<double>(square / mass) - opinion.mean * opinion.mean);
  }
}

void Experts::moved(const std::array<ShapeBank::From, ShapeBank::kShapes>& from) {
  for (Judged& judged : judged_)
    for (auto& error : judged.error) {
      const auto before = error;
      for (std::size_t s = 0; s < ShapeBank::kShapes; ++s)
        for (std::size_t r = 0; r < kRates; ++r) error[FreeCurves::kFits + s * kRates + r] = before[FreeCurves::kFits + from[s].shape * kRates + r];
    }
}

}  // namespace sluice::manager
