#include "manager/predictors/experts.h"

#include <algorithm>
#include <cmath>

#include "manager/predictors/lanes.h"

namespace sluice::manager {
namespace {

/// Of a line's distance from the last report, squared, against the reports' moves: what it adds to an expert's error, at the nearest distance and the furthest.
constexpr double kMisfit = 0.0252, kMisfitFar = 0.379;
constexpr double kTrust = 6.37;        ///< judgements at a distance that weigh as much as what the nearer one taught
constexpr float kErrorMost = 1e18F;    ///< errors, ranges
constexpr float kNoLine = 1e30F;       ///< what an empty place errs by
constexpr float kLeastOfBest = 1e-4F;  ///< of an expert against the best one, before the power of eight
constexpr float kRatioMax = 40;        ///< an error counts as at most this many usual ones

/// What an expert's squared error is taken for, as a logarithm, before it was judged: at the nearest distance, and at the furthest. Found by a random search
/// over curves made from formulas and recorded ones, a third of the families held out (docs/predictors.md).
struct Ends {
  double near = 0, far = 0;
};

constexpr std::array<Ends, FreeCurves::kRates> kPriorOfFreeRate = {{{-2.39, 0.593}, {-4.3, -3.12}, {-3.94, -4.84}}};
constexpr std::array<Ends, FreeCurves::kFamilies> kPriorOfFamily = {{{0.585, -0.301}, {-0.747, -2.72}, {0.048, -2.26}, {4, 2.65}}};
constexpr std::array<Ends, ShapeFits::kRates> kPriorOfRate = {{{0.722, -1.39}, {0.145, 2.05}, {4.66, 2.88}}};
constexpr std::array<Ends, Experts::kAnchors> kPriorOfAnchor = {{{0, 0}, {1.61, -0.515}, {5, 6}}};
constexpr std::array<double, ShapeBank::kExponents> kPriorOfExponent = {-0.248, 4, -2.79, 4};
constexpr std::array<double, ShapeBank::kDeclared> kPriorOfForm = {0, -0.0608, 3, 0.54};
constexpr Ends kPriorOfConstant = {1.44, -2.48}, kPriorOfOffset = {-0.481, -0.0677}, kPriorOfTime = {-0.0572, -0.916}, kPriorOfDeclared = {5.35, 6};
constexpr double kPriorOfLongerTime = -0.435;

bool holds_line(std::size_t line, bool declared) {
  if (line < Experts::kFirstShape) return line < FreeCurves::kFits;
  return (line - Experts::kFirstShape) % ShapeFits::kShapes < (declared ? ShapeBank::kShapes : ShapeBank::kFirstDeclared);
}

double prior_of_expert(std::size_t line, std::size_t anchor, std::size_t bucket) {
  const double far = static_cast<double>(bucket) / static_cast<double>(Experts::kBuckets - 1);
  const auto between = [&](const Ends& ends) { return ends.near + far * (ends.far - ends.near); };
  double log = between(kPriorOfAnchor[anchor]);
  if (line < FreeCurves::kFits)
    return std::exp(log + between(kPriorOfFreeRate[line / FreeCurves::kFamilies]) + between(kPriorOfFamily[line % FreeCurves::kFamilies]));
  const std::size_t shape = (line - Experts::kFirstShape) % ShapeFits::kShapes, rate = (line - Experts::kFirstShape) / ShapeFits::kShapes;
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

void move_shapes(std::array<std::uint16_t, Experts::kLines>& lines, const ShapeBank::Moves& from) {
  const auto before = lines;
  for (std::size_t r = 0; r < ShapeFits::kRates; ++r)
    for (std::size_t s = 0; s < ShapeBank::kShapes; ++s) {
      const std::size_t first = Experts::kFirstShape + r * ShapeFits::kShapes;
      lines[first + s] = before[first + from[s].shape];
    }
}

}  // namespace

struct Experts::Priors {
  using Errors = std::array<std::array<float, kLines>, kAnchors>;
  std::array<Judged, kBuckets> judged;                     ///< nothing was
  std::array<Errors, kBuckets> error, farther;             ///< the same; and what the nearer distance's errors are multiplied with for this one's
  std::array<std::array<float, kLines>, 2> present, none;  ///< by whether lengths are declared: 1 where a place holds a line, and kNoLine where not

  Priors() {
    for (std::size_t b = 0; b < kBuckets; ++b)
      for (std::size_t a = 0; a < kAnchors; ++a)
        for (std::size_t l = 0; l < kLines; ++l) {
          error[b][a][l] = holds_line(l, true) ? static_cast<float>(prior_of_expert(l, a, b)) : 1;
          farther[b][a][l] = b > 0 ? error[b][a][l] / error[b - 1][a][l] : 1;
        }
    for (std::size_t b = 0; b < kBuckets; ++b)
      for (std::size_t a = 0; a < kAnchors; ++a)
        for (std::size_t l = 0; l < kLines; l += kFloats) store_lanes(shortened(load_lanes(&error[b][a][l])), &judged[b].error[a][l]);
    for (std::size_t d = 0; d < 2; ++d)
      for (std::size_t l = 0; l < kLines; ++l) present[d][l] = holds_line(l, d == 1) ? 1 : 0, none[d][l] = holds_line(l, d == 1) ? 0 : kNoLine;
  }
};

const Experts::Priors& Experts::priors() {
  static const Priors priors;
  return priors;
}

Experts::Experts() : judged_(priors().judged) {}

/// Each expert's error against what usual ones made (the mean root, those that did well before counting more), so that every judgement weighs the same however
/// large the errors are.
void Experts::judge(std::size_t bucket, const KeptSay& said, const std::array<float, kLines>& later, const Truth& truth) {
  Judged& judged = judged_[bucket];
  const std::array<float, kLines>& present = priors().present[truth.declared];
  const float came = static_cast<float>(truth.came), floor = static_cast<float>(truth.least);
  std::array<std::array<float, kLines>, kAnchors> errors, weight_of, root;
  for (std::size_t l = 0; l < kLines; l += kFloats) {
    const Floats off = came - load_lanes(&later[l]) * lengthened(&said.change[l]), level = lengthened(&said.level[l]), counts = load_lanes(&present[l]);
    for (std::size_t a = 0; a < kAnchors; ++a) {
      const Floats signed_off = off - kAnchorShare[a] * level, least = Floats{} + floor;
      const Floats error = lane_min(lane_max(signed_off, -signed_off) + least, Floats{} + kErrorMost);
      const Floats weight = counts / (lengthened(&judged.error[a][l]) + 1e-6F);
      store_lanes(error, &errors[a][l]), store_lanes(weight, &weight_of[a][l]);
    }
  }
  if (said.fresh != 0)  // who has no say errs as the ensemble does
    for (auto& of_anchor : errors)
      for (std::size_t l = kFirstShape; l < kLines; ++l)
        if ((said.fresh >> (l - kFirstShape) % ShapeFits::kShapes & 1) != 0)
          of_anchor[l] = static_cast<float>(std::min(std::abs(truth.off) + truth.least, 1e18));
  Floats roots{}, weights{};
  for (std::size_t a = 0; a < kAnchors; ++a) {
    for (std::size_t l = 0; l < kLines; ++l) root[a][l] = std::sqrt(errors[a][l]);
    for (std::size_t l = 0; l < kLines; l += kFloats) roots += load_lanes(&weight_of[a][l]) * load_lanes(&root[a][l]), weights += load_lanes(&weight_of[a][l]);
  }
  const float mean = sum_lanes(roots) / sum_lanes(weights), usual = 1 / std::max(mean * mean, 1e-37F), rate = static_cast<float>(truth.newest);
  for (std::size_t a = 0; a < kAnchors; ++a)
    for (std::size_t l = 0; l < kLines; l += kFloats) {
      const Floats ratio = lane_min(load_lanes(&errors[a][l]) * usual, Floats{} + kRatioMax), before = lengthened(&judged.error[a][l]);
      store_lanes(shortened(before + rate * (ratio * ratio - before)), &judged.error[a][l]);
    }
  judged.count += 1;
}

void Experts::weigh(const LinesSay& say, double moves, bool declared, std::array<Opinion, kBuckets>& out) const {
  const Priors& prior = priors();
  Floats error[kAnchors][kLines / kFloats], total[kAnchors][kLines / kFloats];
  for (std::size_t b = 0; b < kBuckets; ++b) {
    const Judged& own = judged_[b];
    const float trust = b > 0 ? own.count / (own.count + static_cast<float>(kTrust)) : 1;
    const float misfit = static_cast<float>((kMisfit + static_cast<double>(b) / 2 * (kMisfitFar - kMisfit)) / (moves + 1e-12));
    Floats least = Floats{} + kNoLine;
    for (std::size_t l = 0; l < kLines; l += kFloats) {
      const Floats level = load_lanes(&say.level[l]), added = misfit * level * level + load_lanes(&prior.none[declared][l]) + 1e-12F;
      for (std::size_t a = 0; a < kAnchors; ++a) {
        Floats &e = error[a][l / kFloats], &t = total[a][l / kFloats];
        const Floats judged = lengthened(&own.error[a][l]);
        e = b > 0 ? trust * judged + (1 - trust) * load_lanes(&prior.farther[b][a][l]) * e : judged;
        t = e + added;
        least = lane_min(least, t);
      }
    }
    float best = least[0];
    for (std::size_t i = 1; i < kFloats; ++i) best = std::min(best, least[i]);
    Opinion& opinion = out[b];
    Floats mass{}, base{}, mean{}, square{};
    for (std::size_t l = 0; l < kLines; l += kFloats) {
      const Floats level = load_lanes(&say.level[l]), change = load_lanes(&say.change[b][l]);
      Floats all{};
      for (std::size_t a = 0; a < kAnchors; ++a) {
        const Floats once = lane_max(best / total[a][l / kFloats], Floats{} + kLeastOfBest), twice = once * once, fourth = twice * twice,
                     weight = fourth * fourth;
        const Floats from = kAnchorShare[a] * level, said = from + change, heavy = weight * said;
        all += weight, base += weight * from, mean += heavy, square += heavy * said;
      }
      mass += all;
      store_lanes(all, &opinion.weight[l]);
    }
    const float whole = sum_lanes(mass), part = 1 / whole;
    for (std::size_t l = 0; l < kLines; l += kFloats) store_lanes(load_lanes(&opinion.weight[l]) * part, &opinion.weight[l]);
    opinion.base = sum_lanes(base) / whole, opinion.mean = sum_lanes(mean) / whole;
    opinion.quarrel = std::max(0.0, static_cast<double>(sum_lanes(square) / whole) - opinion.mean * opinion.mean);
  }
}

void Experts::moved(const ShapeBank::Moves& from) {
  for (Judged& judged : judged_)
    for (auto& error : judged.error) move_shapes(error, from);
}

void KeptSay::keep(const LinesSay& say, std::size_t bucket, const std::array<FreeCurves::Fit, FreeCurves::kFits>& free) {
  std::array<float, kFirstShape> decays{};
  for (std::size_t f = 0; f < FreeCurves::kFits; ++f) decays[f] = free[f].decay;
  for (std::size_t f = 0; f < kFirstShape; f += kFloats) store_lanes(shortened(load_lanes(&decays[f])), &decay[f]);
  fresh = 0;
  for (std::size_t l = 0; l < kLines; l += kFloats) {
    store_lanes(shortened(load_lanes(&say.change[bucket][l])), &change[l]);
    store_lanes(shortened(load_lanes(&say.level[l])), &level[l]);
  }
}

std::array<float, KeptSay::kFirstShape> KeptSay::decays() const {
  std::array<float, kFirstShape> out;
  for (std::size_t f = 0; f < kFirstShape; f += kFloats) store_lanes(lengthened(&decay[f]), &out[f]);
  return out;
}

void KeptSay::moved(const ShapeBank::Moves& from) {
  move_shapes(change, from), move_shapes(level, from);
  const std::uint32_t before = fresh;
  fresh = 0;
  for (std::size_t s = 0; s < ShapeBank::kShapes; ++s)
    if (from[s].fresh || (before >> from[s].shape & 1) != 0) fresh |= 1U << s;
}

}  // namespace sluice::manager
