#include "manager/predictors/free_curve.h"

#include <algorithm>
#include <cmath>

#include "manager/predictors/lanes.h"

namespace sluice::manager {
namespace {

constexpr std::size_t kSeenMost = 40;
constexpr double kTightness = 3;         ///< the usual decay over its deviation, roughly, where noise hides the rest
constexpr double kModelError = 0.00333;  ///< of the last change: how far, squared, no curve is exact
constexpr double kModelErrorFast = 0.1;  ///< the same for the fastest forgetting rate
constexpr double kGrowthMost = 0.1;      ///< what grows is taken to go on straight once e^this times as steep
constexpr double kUsualDecay = 1.04;     ///< r times the age
/// What a report weighs after one more.
constexpr std::array<double, FreeCurves::kRates> kFreeKept = {0.187, 0.536, 0.859};
constexpr double kLeastWeight = 3e-3;  ///< reports that weigh less are left out
constexpr std::size_t kSettled = 16;   ///< reports, from which on a small step of r, times the oldest age, is taken without looking at the points again
constexpr double kSmallStep = 0.3;
constexpr std::size_t kMassMost = 64;  ///< reports that stand for more weigh nothing
constexpr double kChangeMost = 1e18, kReportsMost = 1e15;

/// e^−z for |z| ≤ 30, to 1e-10, without a call or a branch, so that loops over it become vectors.
template <class Number>
inline Number decayed(const Number& z) {
  const Number y = z * (-1.0 / 128);
  Number e = 1 + y * (1.0 / 9);
  for (int k = 8; k >= 1; --k) e = 1 + y * e * (1.0 / k);
  for (int i = 0; i < 7; ++i) e *= e;
  return e;
}

/// kFreeKept to the powers 0 to kMassMost.
std::array<std::array<double, kMassMost + 1>, FreeCurves::kRates> kept_powers() {
  std::array<std::array<double, kMassMost + 1>, FreeCurves::kRates> out;
  for (std::size_t r = 0; r < FreeCurves::kRates; ++r)
    for (std::size_t m = 0; m <= kMassMost; ++m) out[r][m] = std::pow(kFreeKept[r], m);
  return out;
}

struct Points {
  std::size_t count = 0;
  std::array<double, kSeenMost> time, loss, weight;  ///< time ≤ 0; in whole fours, the last of weight 0
};

/// Sums over the points, by weight, of p, the slope's integral from the newest report to each at s = 1, of d, its derivative by r, and of y, the loss.
struct Sums {
  double mass = 0, p = 0, d = 0, y = 0, pp = 0, pd = 0, dd = 0, py = 0, dy = 0;
};

/// REQUIRES: 1 + rt/m > 0 at all points, r ≠ 0.
template <std::size_t kFamily>
Sums sums_of(double r, const Points& at) {
  const double inverse = 1 / r;
  Doubles mass{}, sp{}, sd{}, sy{}, pp{}, pd{}, dd{}, py{}, dy{};
  for (std::size_t i = 0; i < at.count; i += kDoubles) {
    const Doubles t = load_lanes(&at.time[i]), y = load_lanes(&at.loss[i]), weight = load_lanes(&at.weight[i]);
    Doubles p, d;
    if constexpr (kFamily == 0) {
      const Doubles e = decayed(r * t);
      p = (1 - e) * inverse, d = (t * e - p) * inverse;
    } else if constexpr (kFamily == 1) {
      const Doubles w = 1 / (1 + (r * 2 / 3) * t);
      std::array<double, kDoubles> root;
      store_lanes(w, root.data());
      for (double& x : root) x = std::sqrt(x);
      p = (1 - load_lanes(root.data())) * (3 * inverse), d = (t * w * load_lanes(root.data()) - p) * inverse;
    } else if constexpr (kFamily == 2) {
      p = t / (1 + (0.5 * r) * t), d = -0.5 * p * p;
    } else {
      const Doubles b = 1 + (r / 3) * t, w = 1 / b, ww = w * w;
      p = 0.5 * t * (1 + b) * ww, d = (t * ww * w - p) * inverse;
    }
    const Doubles wp = weight * p, wd = weight * d;
    mass += weight, sp += wp, sd += wd, sy += weight * y;
    pp += wp * p, pd += wp * d, dd += wd * d, py += wp * y, dy += wd * y;
  }
  return {sum_lanes(mass), sum_lanes(sp), sum_lanes(sd), sum_lanes(sy), sum_lanes(pp), sum_lanes(pd), sum_lanes(dd), sum_lanes(py), sum_lanes(dy)};
}

Sums sums_of(std::size_t family, double r, const Points& at) {
  switch (family) {
    case 0:
      return sums_of<0>(r, at);
    case 1:
      return sums_of<1>(r, at);
    case 2:
      return sums_of<2>(r, at);
    default:
      return sums_of<3>(r, at);
  }
}

/// The line loss ≈ level + slope p, and r's next step.
struct Projection {
  double slope = 0, level = 0, gradient = 0, curvature = 0;
};

/// The same sums at r + `step`, with p taken for a line in r.
Sums moved_on(const Sums& s, double step) {
  Sums out = s;
  out.p += step * s.d, out.pp += step * (2 * s.pd + step * s.dd), out.py += step * s.dy;
  return out;
}

Projection project(const Sums& s) {
  const double part = 1 / s.mass, mean_p = s.p * part, spread = s.pp - s.p * mean_p, together = s.pd - s.d * mean_p;
  Projection out;
  if (spread > 1e-12 * s.pp) out.slope = (s.py - mean_p * s.y) / spread;
  out.level = (s.y - out.slope * s.p) * part;
  out.gradient = out.slope * (s.dy - s.d * s.y * part - out.slope * together);
  const double alone = s.dd - s.d * s.d * part - (spread > 0 ? together * together / spread : 0);
  out.curvature = out.slope * out.slope * std::max(alone, 0.0);
  return out;
}

}  // namespace

void FreeCurves::refit(std::span<const SeenReport> seen, double age, double noise) {
  if (seen.size() < 2) return;
  static const auto kept = kept_powers();
  const double since = std::max(age, 1.0), tight = kTightness * since, usual = kUsualDecay / since;
  for (std::size_t rate = 0; rate < kRates; ++rate) {
    Points at;
    double weight = 1;
    for (const SeenReport& x : seen.first(std::min(seen.size(), kSeenMost))) {
      if (weight < kLeastWeight) break;
      at.time[at.count] = -x.age, at.loss[at.count] = x.loss, at.weight[at.count] = weight * x.mass, ++at.count;
      weight *= x.mass == 1 ? kFreeKept[rate] : x.mass > kMassMost ? 0 : kept[rate][static_cast<std::size_t>(x.mass)];
    }
    const std::size_t points = at.count;
    for (; at.count % kDoubles != 0; ++at.count) at.time[at.count] = at.loss[at.count] = at.weight[at.count] = 0;
    const double oldest = -at.time[points - 1];
    const double variance =
        noise + (rate == 0 ? kModelErrorFast : kModelError) * at.loss[1] * at.loss[1] + 1e-16 * at.loss[points - 1] * at.loss[points - 1] + 1e-300;
    for (std::size_t family = 0; family < kFamilies; ++family) {
      Fit& fit = fits_[rate * kFamilies + family];
      constexpr std::array<double, kFamilies> kExponent = {0, 1.5, 2, 3};
      const double most = family == 0 ? std::min(4.0, 25 / oldest) : kExponent[family] / (1.02 * oldest), least = family == 0 ? -std::min(3.0, 25 / oldest) : 0;
      const auto held = [&](double r) {
        const double within = std::clamp(r, least, most);
        return std::abs(within) < 1e-4 / oldest ? 1e-4 / oldest : within;
      };
      double r = held(fit.decay);
      Sums sums = sums_of(family, r, at);
      for (int turn = points < 3 ? 0 : seen.size() < 5 ? 3 : 1; turn > 0; --turn) {
        const Projection now = project(sums);
        const double step = (now.gradient / variance - (r - usual) * tight * tight) / (now.curvature / variance + tight * tight);
        const double step_most = 0.5 * (std::abs(r) + 1 / (oldest + 1));
        const double next = held(r + (std::isfinite(step) ? std::clamp(step, -step_most, step_most) : 0));
        const bool small = seen.size() >= kSettled && std::abs(next - r) * (oldest + 1) < kSmallStep;
        sums = small ? moved_on(sums, next - r) : sums_of(family, next, at);
        r = next;
      }
      const Projection line = project(sums);
      fit = {static_cast<float>(line.slope), static_cast<float>(r), static_cast<float>(line.level)};
      if (!std::isfinite(fit.slope) || !std::isfinite(fit.level)) fit = {};
    }
  }
}

void FreeCurves::changes(std::size_t index, const Fit& fit, std::span<const double> reports, std::span<double> out) {
  const std::size_t family = index % kFamilies;
  const double r = fit.decay, slope = fit.slope;
  const auto held = [&](double integral) { return std::clamp(slope * integral, -kChangeMost, kChangeMost); };
  if (r == 0) {
    for (std::size_t i = 0; i < reports.size(); ++i) out[i] = held(std::min(reports[i], kReportsMost));
  } else if (family == 0) {  // what grows goes straight on past a point; what decays is over long before
    const double most = r < 0 ? -kGrowthMost / r : 30 / r, later = r < 0 ? std::exp(kGrowthMost) : 0;
    for (std::size_t i = 0; i < reports.size(); ++i) {
      const double whole = std::min(reports[i], kReportsMost), t = std::min(whole, most);
      out[i] = held((1 - decayed(r * t)) / r + later * (whole - t));
    }
  } else if (family == 1) {
    for (std::size_t i = 0; i < reports.size(); ++i) out[i] = held((1 - 1 / std::sqrt(1 + std::min(reports[i], kReportsMost) * r * (2.0 / 3))) * 3 / r);
  } else {
    const double bend = family == 2 ? 0.5 * r : r / 3, square = family == 2 ? 0 : 1;
    for (std::size_t i = 0; i < reports.size(); ++i) {
      const double t = std::min(reports[i], kReportsMost), w = 1 / (1 + t * bend);
      out[i] = held(t * w * (1 + square * 0.5 * (w - 1)));
    }
  }
}

}  // namespace sluice::manager
