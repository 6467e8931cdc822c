#include "manager/predictors/slaq.h"

#include <gsl/gsl_spline.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

#include "manager/predictors/curve_solver.h"

namespace sluice::manager {
namespace {

constexpr std::size_t kWindow = 100;
constexpr std::size_t kFill = 50;
constexpr int kColdIterations = 25;
constexpr int kWarmIterations = 6;
constexpr int kColdEvery = 16;      ///< a fit may sit in a poor valley: now and then it begins anew
constexpr double kGoodCost = 1e-4;  ///< residuals of about half a percent of the range: no other start can do much better
constexpr double kLossMax = 1e100;

/// Where local coordinates lie: x = (step − step0)/spacing, y = (loss − base)/scale, so that a solve is well conditioned whatever the units.
struct Frame {
  double step0 = 0, spacing = 1, base = 0, scale = 1;
};

struct Fit {
  Params params{};
  double cost = 0;
  bool good = false;
};

/// The same curve in other coordinates. REQUIRES: to.step0 ≥ from.step0, so that nothing becomes negative.
Params moved(Family family, const Params& p, const Frame& from, const Frame& to) {
  const double shift = (to.step0 - from.step0) / from.spacing, stretch = to.spacing / from.spacing;
  const double raise = from.scale / to.scale;
  const double floor = std::max(0.0, p[3] * raise + (from.base - to.base) / to.scale);
  if (family == Family::kExponential) return {p[0] * std::exp(-p[1] * shift) * raise, p[1] * stretch, 0, floor};
  const double a = p[0] * stretch * stretch, b = (2 * p[0] * shift + p[1]) * stretch, c = (p[0] * shift + p[1]) * shift + p[2];
  return {a / raise, b / raise, c / raise, floor};
}

class SlaqPredictor final : public Predictor {
 public:
  explicit SlaqPredictor(std::shared_ptr<CurveSolver> solver) : solver_(std::move(solver)) {}

  void observe(const LossPoint& point) override {
    if (!(std::abs(point.loss) <= kLossMax)) return;
    if (!window_.empty() && static_cast<double>(point.step) <= window_.back().step) return;
    window_.push_back({static_cast<double>(point.step), point.loss});
    if (window_.size() > kWindow) window_.pop_front();
    lowest_ = std::min(lowest_, point.loss);
    fresh_ = true;
  }

  int refit() override {
    if (!fresh_ || window_.size() < 2) return 0;
    fresh_ = false;
    last_step_ = window_.back().step;
    noise_ = noise();
    const Frame before = frame_;
    sample();
    int iterations = fit(Family::kSublinear, sublinear_, before) + fit(Family::kExponential, exponential_, before);
    ++fits_;
    return iterations;
  }

  Forecast after(double steps) const override {
    const Fit& best = this->best();
    if (!best.good) return {window_.back().loss, noise_};
    const double mean = predict(best, steps);
    double apart = 0;
    if (sublinear_.good && exponential_.good) apart = 0.5 * (predict(sublinear_, steps) - predict(exponential_, steps));
    return {mean, std::hypot(noise_, apart)};
  }
  double floor() const override {
    const Fit& best = this->best();
    const double level = after(0).mean;
    return best.good ? std::min(level, frame_.base + frame_.scale * best.params[3]) : level;
  }
  bool ready() const override { return fits_ > 0; }
  std::size_t bytes() const override { return sizeof(*this) + window_.size() * sizeof(Point); }

 private:
  struct Point {
    double step = 0, loss = 0;
  };

  [[nodiscard]] const Fit& best() const {
    if (!sublinear_.good) return exponential_;
    if (!exponential_.good) return sublinear_;
    return exponential_.cost < sublinear_.cost ? exponential_ : sublinear_;
  }
  [[nodiscard]] double predict(const Fit& fit, double steps) const {
    const Family family = &fit == &sublinear_ ? Family::kSublinear : Family::kExponential;
    const double y = value_at(family, fit.params, (last_step_ + steps - frame_.step0) / frame_.spacing);
    return frame_.base + frame_.scale * (std::isfinite(y) ? y : fit.params[3]);
  }
  /// Standard deviation of a report about the curve, from second differences of the newest reports: no model in it.
  [[nodiscard]] double noise() const {
    const std::size_t n = std::min<std::size_t>(window_.size(), 12);
    if (n < 3) return std::abs(window_.back().loss - window_.front().loss) / 2;
    double sum = 0;
    for (std::size_t i = window_.size() - n; i + 2 < window_.size(); ++i) {
      const double bend = window_[i].loss - 2 * window_[i + 1].loss + window_[i + 2].loss;
      sum += bend * bend;
    }
    return std::sqrt(sum / (6.0 * static_cast<double>(n - 2)));
  }
  /// Fills x_, y_ and frame_ from the window.
  void sample();
  int fit(Family family, Fit& fit, const Frame& before);
  [[nodiscard]] Params start(Family family, double floor_share) const;

  std::shared_ptr<CurveSolver> solver_;
  std::deque<Point> window_;
  double lowest_ = 0;  ///< of all losses, and zero
  bool fresh_ = false;
  int fits_ = 0;
  double last_step_ = 0, noise_ = 0;
  Frame frame_;
  std::array<double, CurveSolver::kPoints> x_{}, y_{};
  Fit sublinear_, exponential_;
};

void SlaqPredictor::sample() {
  std::vector<double> steps, losses;
  for (const Point& p : window_) steps.push_back(p.step), losses.push_back(p.loss);
  if (window_.size() < kFill) {
    // Steffen's spline: it passes through the reports and never overshoots between them.
    gsl_spline* spline = gsl_spline_alloc(window_.size() < 3 ? gsl_interp_linear : gsl_interp_steffen, window_.size());
    gsl_interp_accel* place = gsl_interp_accel_alloc();
    gsl_spline_init(spline, steps.data(), losses.data(), window_.size());
    const double from = steps.front(), width = (steps.back() - from) / static_cast<double>(kFill - 1);
    std::vector<double> at(kFill), filled(kFill);
    for (std::size_t i = 0; i < kFill; ++i) {
      at[i] = i + 1 == kFill ? steps.back() : from + width * static_cast<double>(i);
      filled[i] = gsl_spline_eval(spline, at[i], place);
    }
    gsl_interp_accel_free(place);
    gsl_spline_free(spline);
    steps.swap(at), losses.swap(filled);
  }
  const std::size_t first = steps.size() - CurveSolver::kPoints;
  frame_.step0 = steps[first];
  frame_.spacing = (steps.back() - steps[first]) / static_cast<double>(CurveSolver::kPoints - 1);
  frame_.base = lowest_;
  frame_.scale = *std::max_element(losses.begin() + static_cast<std::ptrdiff_t>(first), losses.end()) - lowest_;
  if (!(frame_.scale > 0)) frame_.scale = 1;
  for (std::size_t i = 0; i < CurveSolver::kPoints; ++i) {
    x_[i] = (steps[first + i] - frame_.step0) / frame_.spacing;
    y_[i] = (losses[first + i] - frame_.base) / frame_.scale;
  }
}

Params SlaqPredictor::start(Family family, double floor_share) const {
  const double lowest = *std::min_element(y_.begin(), y_.end());
  const double floor = std::min(lowest * floor_share, 1 - 1e-3), x = x_.back();
  const double first = std::max(y_.front() - floor, 1e-4), last = std::clamp(y_.back() - floor, 1e-5, first);
  if (family == Family::kExponential) return {first, std::max(1e-4, std::log(first / last) / x), 0, floor};
  return {1e-4, std::max(1e-4, (1 / last - 1 / first) / x), 1 / first, floor};
}

int SlaqPredictor::fit(Family family, Fit& fit, const Frame& before) {
  int iterations = 0;
  const auto consider = [&](const Params& from, int iterations_max) {
    const Solution found = solver_->solve(family, x_, y_, from, iterations_max);
    iterations += std::max(1, found.iterations);
    if (found.good && (!fit.good || found.cost < fit.cost)) fit = {found.params, found.cost, true};
  };
  const bool warm = fit.good && frame_.step0 >= before.step0 && fits_ % kColdEvery != 0;
  const Params was = fit.good && frame_.step0 >= before.step0 ? moved(family, fit.params, before, frame_) : Params{};
  const bool had = fit.good && frame_.step0 >= before.step0;
  const double cost_before = fit.cost;
  fit.good = false;
  if (had) consider(was, kWarmIterations);
  // A retry when there is nothing to begin from, or when the curve has left the fit.
  if (!warm || !fit.good || fit.cost > 4 * cost_before + 1e-4)
    for (const double share : {0.5, 0.0, 0.95}) {
      if (fit.good && fit.cost < kGoodCost) break;
      consider(start(family, share), kColdIterations);
    }
  return iterations;
}

}  // namespace

std::shared_ptr<CurveSolver> make_curve_solver() { return std::make_shared<CurveSolver>(); }

std::unique_ptr<Predictor> make_slaq_predictor(std::shared_ptr<CurveSolver> solver) { return std::make_unique<SlaqPredictor>(std::move(solver)); }

}  // namespace sluice::manager
