#include "base/convergence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

struct Half {
  double weight = 0, squares = 0, mean = 0, error = 0;
  std::size_t reports = 0;
};

/// Weighted mean and its standard error: √(Σ wᵢ² (xᵢ − mean)²) / Σ wᵢ.
Half half_of(std::span<const LossPoint> curve, double from, double to) {
  Half out;
  const auto each = [&](auto f) {
    for (const LossPoint& p : curve)
      if (static_cast<double>(p.step) > from && static_cast<double>(p.step) <= to) f(p, static_cast<double>(std::max<std::uint64_t>(p.weight, 1)));
  };
  each([&](const LossPoint& p, double w) { out.weight += w, out.mean += w * p.loss, ++out.reports; });
  if (out.reports == 0) return out;
  out.mean /= out.weight;
  each([&](const LossPoint& p, double w) { out.squares += w * w * (p.loss - out.mean) * (p.loss - out.mean); });
  out.error = std::sqrt(out.squares) / out.weight;
  return out;
}

}  // namespace

Flatness flatness(std::span<const LossPoint> curve) {
  Flatness out;
  if (curve.size() < 2 * kFlatReports) return out;
  const double steps = static_cast<double>(curve.back().step);
  const Half older = half_of(curve, (1 - kFlatPart) * steps, (1 - kFlatPart / 2) * steps), newer = half_of(curve, (1 - kFlatPart / 2) * steps, steps);
  out.steps = curve.back().step;
  out.enough = older.reports >= kFlatReports && newer.reports >= kFlatReports;
  out.fall = older.mean - newer.mean;
  out.error = std::hypot(older.error, newer.error);
  out.range = std::max(curve.front().loss - newer.mean, kFlatLevel * std::abs(curve.front().loss));
  out.converged = out.enough && out.fall + kFlatErrors * out.error < kFlatShare * out.range;
  return out;
}

std::string converged_words(std::span<const LossPoint> curve) {
  const Flatness seen = flatness(curve);
  if (!seen.converged) return {};
  return fmt::format("converged: over the last {:.0f} % of its {} steps the loss fell by {:.3g} ± {:.2g}, less than {:.1f} % of {:.3g}", 100 * kFlatPart,
                     seen.steps, seen.fall, seen.error, 100 * kFlatShare, seen.range);
}

}  // namespace sluice
