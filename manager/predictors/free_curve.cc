#include "manager/predictors/free_curve.h"

#include <algorithm>
#include <cmath>

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
constexpr double kChangeMost = 1e18, kReportsMost = 1e15;

/// e^−z for |z| ≤ 30, to 1e-10, without a call or a branch, so that loops over it become vectors.
inline double decayed(double z) {
  const double y = -z * (1.0 / 128);
  double e = 1 + y * (1.0 / 9);
  for (int k = 8; k >= 1; --k) e = 1 + y * e * (1.0 / k);
  for (int i = 0; i < 7; ++i) e *= e;
  return e;
}

/// What a fit needs of one report: p, the slope's integral from the newest report to it at s = 1, and its derivative by r. REQUIRES: 1 + rt/m > 0, r ≠ 0.
struct Integral {
  double value = 0, by_decay = 0;
};
inline Integral exponential(double r, double t) {
  const double e = decayed(r * t), p = (1 - e) / r;
  return {p, (t * e - p) / r};
}
inline Integral power(std::size_t family, double r, double t) {
  if (family == 2) {
    const double w = 1 / (1 + 0.5 * r * t);
    return {t * w, -0.5 * t * t * w * w};
  }
  const double b = 1 + r * t * (family == 1 ? 2.0 / 3 : 1.0 / 3), w = 1 / b;
  if (family == 1) {
    const double root = std::sqrt(w), p = (1 - root) * 3 / r;
    return {p, (t * w * root - p) / r};
  }
  const double p = 0.5 * t * (1 + b) * w * w;
  return {p, (t * w * w * w - p) / r};
}

struct Points {
  std::size_t count = 0;
  std::array<double, kSeenMost> time, loss, weight;  ///< time ≤ 0
};

/// Sums over the points, and what follows: the line loss ≈ level + slope p, and r's next step.
struct Projection {
  double slope = 0, level = 0, gradient = 0, curvature = 0;
};

Projection project(std::size_t family, double r, const Points& at) {
  std::array<double, kSeenMost> p, d;
  if (family == 0) {
    for (std::size_t i = 0; i < at.count; ++i) {
      const Integral x = exponential(r, at.time[i]);
      p[i] = x.value, d[i] = x.by_decay;
    }
  } else {
    for (std::size_t i = 0; i < at.count; ++i) {
      const Integral x = power(family, r, at.time[i]);
      p[i] = x.value, d[i] = x.by_decay;
    }
  }
  double mass = 0, sp = 0, sd = 0, sy = 0, pp = 0, pd = 0, dd = 0, py = 0, dy = 0;
  for (std::size_t i = 0; i < at.count; ++i) {
    const double w = at.weight[i], wp = w * p[i], wd = w * d[i], y = at.loss[i];
    mass += w, sp += wp, sd += wd, sy += w * y;
    pp += wp * p[i], pd += wp * d[i], dd += wd * d[i], py += wp * y, dy += wd * y;
  }
  const double spread = pp - sp * sp / mass, together = pd - sd * sp / mass;
  Projection out;
  if (spread > 1e-12 * pp) out.slope = (py - sp * sy / mass) / spread;
  out.level = (sy - out.slope * sp) / mass;
  out.gradient = out.slope * (dy - sd * sy / mass - out.slope * together);
  const double alone = dd - sd * sd / mass - (spread > 0 ? together * together / spread : 0);
  out.curvature = out.slope * out.slope * std::max(alone, 0.0);
  return out;
}

}  // namespace

void FreeCurves::refit(std::span<const SeenReport> seen, double age, double noise) {
  if (seen.size() < 2) return;

  const double since = std::max(age, 1.0), tight = kTightness * since, usual = kUsualDecay / since;
  for (std::size_t rate = 0; rate < kRates; ++rate) {
    Points at;
    double weight = 1;
    for (const SeenReport& x : seen.first(std::min(seen.size(), kSeenMost))) {
      if (weight < kLeastWeight) break;
      at.time[at.count] = -x.age, at.loss[at.count] = x.loss, at.weight[at.count] = weight * x.mass, ++at.count;
      weight *= x.mass == 1 ? kFreeKept[rate] : std::pow(kFreeKept[rate], x.mass);
    }
    const double oldest = -at.time[at.count - 1];
    const double variance =
        noise + (rate == 0 ? kModelErrorFast : kModelError) * at.loss[1] * at.loss[1] + 1e-16 * at.loss[at.count - 1] * at.loss[at.count - 1] + 1e-300;
    for (std::size_t family = 0; family < kFamilies; ++family) {
      Fit& fit = fits_[rate * kFamilies + family];
      constexpr std::array<double, kFamilies> kExponent = {0, 1.5, 2, 3};
      const double most = family == 0 ? std::min(4.0, 25 / oldest) : kExponent[family] / (1.02 * oldest), least = family == 0 ? -std::min(3.0, 25 / oldest) : 0;
      double r = fit.decay;
      for (int turn = seen.size() < 5 ? 4 : 2; turn > 0; --turn) {
        r = std::clamp(r, least, most);
        if (std::abs(r) < 1e-4 / oldest) r = 1e-4 / oldest;
        const Projection now = project(family, r, at);
        fit = {static_cast<float>(now.slope), static_cast<float>(r), static_cast<float>(now.level)};
        if (turn == 1 || at.count < 3) break;
        const double step = (now.gradient / variance - (r - usual) * tight * tight) / (now.curvature / variance + tight * tight);
        const double step_most = 0.5 * (std::abs(r) + 1 / (oldest + 1));
        r += std::isfinite(step) ? std::clamp(step, -step_most, step_most) : 0;
      }
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
