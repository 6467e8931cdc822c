#pragma once
/// Loss predictors: from a job's reports to the loss after k more steps, as a distribution. Contract suite over every registered name:
/// predictors/contract_test.cc. One thread; an object belongs to one job. Time and memory of every call are bounded, whatever is observed.

#include <functional>
#include <memory>
#include <string>

#include "base/loss_curve.h"
#include "base/registry.h"

namespace sluice::manager {

/// Of a loss that will be reported later: finite.
struct Forecast {
  double mean = 0;
  double deviation = 0;  ///< standard deviation, ≥ 0
};

class Predictor {
 public:
  virtual ~Predictor() = default;
  /// A new report; cheap. point.step increases; point.loss is finite. Nothing is fitted here.
  virtual void observe(const LossPoint& point) = 0;
  /// Takes in what was observed since the last call. Returns how many solver iterations that took: 0 when nothing was new. The caller spreads this work over
  /// rounds.
  virtual int refit() = 0;
  /// The loss `steps` ≥ 0 more steps after the last report that refit() took in; after(0) is the fitted level now (not the last, noisy, report). REQUIRES:
  /// ready().
  [[nodiscard]] virtual Forecast after(double steps) const = 0;
  /// L∞: what the loss is expected never to fall below. REQUIRES: ready().
  [[nodiscard]] virtual double floor() const = 0;
  /// Two points or more were taken in: it has an opinion.
  [[nodiscard]] virtual bool ready() const = 0;
};

using MakePredictor = std::function<std::unique_ptr<Predictor>()>;
/// Predictors from one registry may share scratch memory: use a registry on one thread.
using PredictorRegistry = Registry<MakePredictor>;

/// What is taken where nobody names one.
inline constexpr const char* kDefaultPredictor = "slaq";

/// `slaq` and `last`.
[[nodiscard]] PredictorRegistry builtin_predictors();

}  // namespace sluice::manager
