#pragma once
/// Loss predictors: from a job's reports to the loss after k more steps, as a distribution. Contract suite over every registered name:
/// predictors/contract_test.cc. One thread; an object belongs to one job. Time and memory of every call are bounded, whatever is observed.

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/loss_curve.h"
#include "base/registry.h"

namespace sluice::manager {

/// Of a loss that will be reported later: finite. Student's t of kForecastFreedom degrees about the mean, whose tails are heavier than a bell curve's, with
/// its distances bent: where t's quantile is x, this one's is deviation × (x / k)^tail × k, k being that of an 80 % band.
struct Forecast {
  double mean = 0;
  double deviation = 0;  ///< ≥ 0: what quantile() stretches; half of the truth is meant to lie within about .74 of it where the tails are not bent
  float inner_tail = 1, outer_tail = 1;  ///< > 0: within the 80 % band, and beyond it
  /// The logarithms of half the widths of the 50, 80 and 90 % bands, rising.
  [[nodiscard]] static Forecast of(double mean, const std::array<double, 3>& log_widths);
  /// The loss that the report stays below with this probability. REQUIRES: 0 < share < 1.
  [[nodiscard]] double quantile(double share) const;
  /// P(report ≤ loss); a step at the mean where the deviation is 0.
  [[nodiscard]] double probability_below(double loss) const;
};
inline constexpr double kForecastFreedom = 4;

class Predictor {
 public:
  virtual ~Predictor() = default;
  /// How many steps the job will take in all, as far as it says; 0: unknown. May change at any time, and may be wrong by much. Predictors need not care.
  virtual void declare(double /*total_steps*/) {}
  /// A new report; cheap. Reports whose step does not increase, or whose loss is not finite, change nothing. Costly fits are left to refit().
  virtual void observe(const LossPoint& point) = 0;
  /// Takes in what was observed since the last call. Returns how many solver iterations that took: 0 when nothing was new. The caller spreads this work over
  /// rounds.
  virtual int refit() = 0;
  /// The loss `steps` ≥ 0 more steps after the last report that refit() took in; after(0) is the fitted level now (not the last, noisy, report). REQUIRES:
  /// ready().
  [[nodiscard]] virtual Forecast after(double steps) const = 0;
  /// The same for several counts of steps at once: out[i] is after(steps[i]). REQUIRES: as many of both.
  virtual void after_all(std::span<const double> steps, std::span<Forecast> out) const {
    for (std::size_t i = 0; i < steps.size(); ++i) out[i] = after(steps[i]);
  }
  /// L∞: what the loss is expected never to fall below. REQUIRES: ready().
  [[nodiscard]] virtual double floor() const = 0;
  /// Two points or more were taken in: it has an opinion.
  [[nodiscard]] virtual bool ready() const = 0;
  /// Asks for its memory, which of one of very many is in no cache: it is about to observe().
  virtual void fetch() const {}
  /// Memory that belongs to this object alone.
  [[nodiscard]] virtual std::size_t bytes() const = 0;
};

using MakePredictor = std::function<std::unique_ptr<Predictor>()>;
/// Predictors from one registry may share scratch memory: use a registry on one thread; const calls of different predictors may be made at once.
using PredictorRegistry = Registry<MakePredictor>;

/// What forecasts are made with where a policy names no other.
inline constexpr const char* kDefaultPredictor = "ensemble";

/// `ensemble`, `last` and `slaq`.
[[nodiscard]] PredictorRegistry builtin_predictors();

}  // namespace sluice::manager
