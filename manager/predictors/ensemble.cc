#include "manager/predictors/ensemble.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "manager/predictors/shape_bank.h"
#ifdef TUNE
#include "/tmp/pd/tune.h"
#else
#define T(name, value) value
#endif

namespace sluice::manager {
namespace {

constexpr std::size_t kShapes = ShapeBank::kShapes;
constexpr std::array<double, 4> kKept = {0.35, 0.75, 0.92, 0.98};  ///< what a report weighs after one more
constexpr std::size_t kRates = kKept.size(), kFits = kShapes * kRates;
enum Anchor : std::uint8_t { kLast, kLevel, kHalf, kAnchors };
constexpr std::size_t kExperts = kFits * kAnchors;
constexpr std::array<double, 3> kAhead = {1, 5, 20};  ///< reports ahead, at which experts are judged
constexpr std::size_t kBuckets = kAhead.size();
constexpr std::array<std::size_t, kBuckets> kWaiting = {1, 3, 4};  ///< forecasts under way at most
constexpr std::size_t kHistory = 48;
constexpr double kLossMax = 1e15;

struct Seen {
  double step = 0, loss = 0, mass = 0;
};
struct Sums {
  double shape = 0, squares = 0, loss = 0;
};
struct Fit {
  float amplitude = 0, level = 0;  ///< level: of the curve at the last report, less that report
};
/// A forecast made at `from`, to be judged at the first report at or after `due`.
struct Waiting {
  double from = 0, due = -1, last = 0;
  float mean = 0, deviation = 0;  ///< mean: less `last`
  std::array<Fit, kFits> fits{};
};
struct Judged {
  std::array<float, kExperts> error{};  ///< mean squared error, relative to the ensemble's own
  float count = 0;
};

class Ensemble final : public Predictor {
 public:
  Ensemble() {
    for (std::size_t e = 0; e < kExperts; ++e)
      for (Judged& j : judged_) j.error[e] = prior(e);
  }

  void declare(double total_steps) override {
    if (!std::isfinite(total_steps) || total_steps == bank_.declared()) return;
    bank_.declare(total_steps);
    rebuild();
  }
  void observe(const LossPoint& point) override;
  int refit() override { return std::exchange(fresh_, false) ? 1 : 0; }
  Forecast after(double steps) const override;
  double floor() const override;
  bool ready() const override { return reports_ >= 2; }
  std::size_t bytes() const override { return sizeof(*this) + history_.capacity() * sizeof(Seen) + waiting_.capacity() * sizeof(Waiting); }

 private:
  static float prior(std::size_t expert) {
    const std::size_t rate = expert / kAnchors % kRates, shape = expert / kAnchors / kRates;
    float p = 1;
    if (rate == 0) p *= 1.5F;
    if (shape == 0) p *= 2;
    if (expert % kAnchors == kHalf) p *= 0.9F;
    return p;
  }
  static std::size_t fit_at(std::size_t shape, std::size_t rate) { return shape * kRates + rate; }

  void remember(double step, double loss);
  void add(const ShapeBank::Values& phi, double loss, double mass);
  void rebuild();
  void grow();
  void judge(double step, double loss);
  void solve(const ShapeBank::Values& phi, double loss);
  void weigh(double step);
  void issue(double step);
  [[nodiscard]] double ahead_of(double steps) const { return steps / unit_; }
  struct Blend {
    std::size_t low = 0, high = 0;
    double part = 0;  ///< of high
  };
  static Blend blend(double reports);
  [[nodiscard]] double raw_mean(const ShapeBank::Values& phi, const Blend& b) const;

  ShapeBank bank_;
  std::vector<Seen> history_;
  std::uint64_t reports_ = 0;
  bool fresh_ = false;
  double step_ = 0, at_ = 0, loss_ = 0, unit_ = 1, lowest_ = 0, highest_ = 0, first_ = 0;
  std::array<double, kRates> mass_{}, loss_sum_{};
  std::array<Sums, kFits> sums_{};
  std::array<Fit, kFits> fits_{};
  std::array<Judged, kBuckets> judged_{};
  std::vector<Waiting> waiting_;
  std::array<std::uint64_t, kBuckets> issued_{};
  double noise_ = 0;  ///< variance of a report about the level, one ahead
  // What after() needs: for each bucket the weights collapsed.
  struct Collapsed {
    std::array<double, kShapes> amplitude{};  ///< of each shape
    double base = 0;                          ///< constant
    double deviation = 0;                     ///< of experts at the bucket's own distance
    double stretch = 1;                       ///< log of what deviations are multiplied with, learnt
  };
  std::array<Collapsed, kBuckets> now_{};
};

void Ensemble::observe(const LossPoint& point) {
  const double step = static_cast<double>(point.step);
  if (!(std::abs(point.loss) <= kLossMax) || (reports_ > 0 && step <= step_)) return;
  // A report is a mean over its window: it stands for the window's middle.
  const double window = point.examples > 0 ? static_cast<double>(point.weight) * step / static_cast<double>(point.examples) : 1;
  const double at = std::max(reports_ > 0 ? 0.5 * (step_ + step) : 0.0, step - 0.5 * std::clamp(window - 1, 0.0, step));
  judge(at, point.loss);
  if (reports_ > 0) unit_ = reports_ == 1 ? step - step_ : unit_ + 0.2 * (step - step_ - unit_);
  lowest_ = reports_ == 0 ? point.loss : std::min(lowest_, point.loss);
  highest_ = reports_ == 0 ? point.loss : std::max(highest_, point.loss);
  if (reports_ == 0) first_ = point.loss;
  ++reports_;
  fresh_ = true;
  step_ = step, at_ = at, loss_ = point.loss;
  while (bank_.outgrown(at)) grow();
  remember(at, point.loss);
  const ShapeBank::Values phi = bank_.at(at);
  add(phi, point.loss, 1);
  solve(phi, point.loss);
  weigh(at);
  issue(at);
}

void Ensemble::remember(double step, double loss) {
  if (history_.empty()) history_.reserve(kHistory);
  if (history_.size() == kHistory) {  // neighbours of the older half become one
    for (std::size_t i = 0; i < kHistory / 4; ++i) {
      const Seen &a = history_[2 * i], &b = history_[2 * i + 1];
      const double mass = a.mass + b.mass;
      history_[i] = {(a.mass * a.step + b.mass * b.step) / mass, (a.mass * a.loss + b.mass * b.loss) / mass, mass};
    }
    history_.erase(history_.begin() + kHistory / 4, history_.begin() + kHistory / 2);
  }
  history_.push_back({step, loss, 1});
}

void Ensemble::add(const ShapeBank::Values& phi, double loss, double mass) {
  const double y = loss - first_;
  for (std::size_t r = 0; r < kRates; ++r) {
    const double kept = mass == 1 ? kKept[r] : std::pow(kKept[r], mass);
    mass_[r] = kept * mass_[r] + mass;
    loss_sum_[r] = kept * loss_sum_[r] + mass * y;
    for (std::size_t s = 0; s < bank_.size(); ++s) {
      Sums& sum = sums_[fit_at(s, r)];
      sum.shape = kept * sum.shape + mass * phi[s];
      sum.squares = kept * sum.squares + mass * phi[s] * phi[s];
      sum.loss = kept * sum.loss + mass * phi[s] * y;
    }
  }
}

void Ensemble::rebuild() {
  mass_ = {}, loss_sum_ = {}, sums_ = {};
  for (const Seen& seen : history_) add(bank_.at(seen.step), seen.loss, seen.mass);
}

void Ensemble::grow() {
  const auto from = bank_.grow();
  const auto moved = [&](auto& of, std::size_t width) {
    const auto before = of;
    for (std::size_t s = 0; s < kShapes; ++s)
      for (std::size_t i = 0; i < width; ++i) of[s * width + i] = before[from[s].shape * width + i];
  };
  for (Judged& j : judged_) moved(j.error, kRates * kAnchors);
  for (Waiting& w : waiting_) {
    moved(w.fits, kRates);
    for (std::size_t s = 0; s < kShapes; ++s)
      for (std::size_t r = 0; from[s].fresh && r < kRates; ++r) w.fits[fit_at(s, r)].amplitude = std::numeric_limits<float>::quiet_NaN();
  }
  rebuild();
}

void Ensemble::solve(const ShapeBank::Values& phi, double loss) {
  const double y = loss - first_;
  for (std::size_t s = 0; s < bank_.size(); ++s)
    for (std::size_t r = 0; r < kRates; ++r) {
      const std::size_t f = fit_at(s, r);
      const Sums& sum = sums_[f];
      const double m = mass_[r], mean = loss_sum_[r] / m;
      const double spread = sum.squares - sum.shape * sum.shape / m;
      double amplitude = 0;
      if (s > 0 && spread > 1e-9 * sum.squares) amplitude = (sum.loss - sum.shape * mean) / spread;
      const double level = mean + amplitude * (phi[s] - sum.shape / m);
      fits_[f] = {static_cast<float>(amplitude), static_cast<float>(level - y)};
    }
}

void Ensemble::judge(double step, double loss) {
  for (Waiting& w : waiting_) {
    if (w.due < 0 || step < w.due) continue;
    const std::size_t b = static_cast<std::size_t>(&w - waiting_.data()) < kWaiting[0] ? 0 : static_cast<std::size_t>(&w - waiting_.data()) < kWaiting[0] + kWaiting[1] ? 1 : 2;
    Judged& j = judged_[b];
    const ShapeBank::Values then = bank_.at(w.from), now = bank_.at(step);
    // The ensemble's own error: teaches how wide its bands are to be.
    const double reached = (step - w.from) / (w.due - w.from);
    const double own = loss - w.last - w.mean * reached;
    const double relative = std::abs(own) / std::max<double>(w.deviation, 1e-300);
    if (w.deviation > 0) {
      const double rate = std::max(T("srate", 0.1), 1 / (j.count + 2.0));
      // Towards the middle 68 % of t4: |error| / deviation has its 80 % point at 1.53
      const double hit = std::clamp((std::log(relative / T("scenter", 0.8))), -2.0, 2.0);
      now_[b].stretch += rate * hit * T("sgain", 1.0);
      now_[b].stretch = std::clamp(now_[b].stretch, -5.0, 5.0);
    }
    std::array<float, kFits * kAnchors> error;
    double sum = 0, weights = 0;
    const double floor_error = 1e-9 * (highest_ - lowest_) + 1e-300;
    for (std::size_t s = 0; s < bank_.size(); ++s)
      for (std::size_t r = 0; r < kRates; ++r) {
        const std::size_t f = fit_at(s, r);
        const Fit& fit = w.fits[f];
        const double change = fit.amplitude * (now[s] - then[s]);
        for (std::size_t a = 0; a < kAnchors; ++a) {
          const double base = w.last + (a == kLast ? 0 : a == kLevel ? fit.level : 0.5 * fit.level);
          double off = std::isnan(change) ? std::abs(own) : std::abs(loss - base - change) ;
          off += floor_error;
          error[f * kAnchors + a] = static_cast<float>(std::min(off, 1e18));
          const double weight = 1 / std::pow(j.error[f * kAnchors + a] + 1e-6, 1.0);
          sum += weight * std::sqrt(off), weights += weight;
        }
      }
    const double usual = (sum / weights) * (sum / weights);
    const float rate = std::max(static_cast<float>(T("jrate", 0.1)), 1 / (j.count + static_cast<float>(T("jprior", 2.0))));
    for (std::size_t e = 0; e < bank_.size() * kRates * kAnchors; ++e) {
      const double ratio = std::min(error[e] / usual, 8.0);
      j.error[e] += rate * static_cast<float>(ratio * ratio - j.error[e]);
    }
    j.count += 1;
    w.due = -1;
  }
}

void Ensemble::weigh(double) {
  for (std::size_t b = 0; b < kBuckets; ++b) {
    Collapsed& c = now_[b];
    c.amplitude = {};
    c.base = 0;
    const Judged& own = judged_[b];
    const Judged& nearer = judged_[b == 0 ? 0 : b - 1];
    const double trust = own.count / (own.count + T("trust", 3.0)), power = T("power", 3.0);
    const ShapeBank::Values from = bank_.at(at_), to = bank_.at(at_ + kAhead[b] * unit_);
    double weights = 0, mean = 0, square = 0;
    for (std::size_t s = 0; s < bank_.size(); ++s) {
      double slope = 0;
      for (std::size_t r = 0; r < kRates; ++r) {
        const std::size_t f = fit_at(s, r);
        const Fit& fit = fits_[f];
        const double change = fit.amplitude * (to[s] - from[s]);
        for (std::size_t a = 0; a < kAnchors; ++a) {
          const std::size_t e = f * kAnchors + a;
          const double mse = trust * own.error[e] + (1 - trust) * nearer.error[e] + 1e-7;
          const double weight = std::pow(mse, -power);
          const double base = a == kLast ? 0 : a == kLevel ? fit.level : 0.5 * fit.level;
          weights += weight;
          slope += weight * fit.amplitude;
          c.base += weight * base;
          const double said = base + change;
          mean += weight * said, square += weight * said * said;
        }
      }
      c.amplitude[s] = slope;
    }
    for (double& a : c.amplitude) a /= weights;
    c.base /= weights;
    mean /= weights;
    const double apart = std::max(0.0, square / weights - mean * mean);
    for (std::size_t s = 0; s < bank_.size(); ++s) c.base -= c.amplitude[s] * from[s];
    // A report's noise about the newest level, the experts' quarrel, a share of what is expected to change.
    c.deviation = std::sqrt(noise_ + apart + T("dchange", 0.01) * mean * mean);
  }
  if (reports_ >= 2) {
    // Of the newest reports about a line through their neighbours.
    const std::size_t n = history_.size();
    if (n >= 3) {
      const Seen &x = history_[n - 3], &y = history_[n - 2], &z = history_[n - 1];
      const double part = (y.step - x.step) / (z.step - x.step), bend = y.loss - x.loss - part * (z.loss - x.loss);
      const double variance = bend * bend / (1 + part * part + (1 - part) * (1 - part));
      noise_ += std::max(0.1, 1.0 / static_cast<double>(reports_ - 2)) * (variance - noise_);
    }
  }
}

Ensemble::Blend Ensemble::blend(double reports) {
  if (reports <= kAhead.front()) return {0, 0, 0};
  for (std::size_t b = 1; b < kBuckets; ++b)
    if (reports < kAhead[b]) return {b - 1, b, std::log(reports / kAhead[b - 1]) / std::log(kAhead[b] / kAhead[b - 1])};
  return {kBuckets - 1, kBuckets - 1, 0};
}

double Ensemble::raw_mean(const ShapeBank::Values& phi, const Blend& b) const {
  double mean[2];
  for (const int side : {0, 1}) {
    const Collapsed& c = now_[side == 0 ? b.low : b.high];
    mean[side] = c.base;
    for (std::size_t s = 0; s < bank_.size(); ++s) mean[side] += c.amplitude[s] * phi[s];
  }
  return loss_ + mean[0] + b.part * (mean[1] - mean[0]);
}

Forecast Ensemble::after(double steps) const {
  const double reports = steps / unit_;
  const Blend b = blend(reports);
  const ShapeBank::Values phi = bank_.at(step_ + steps);
  double mean = raw_mean(phi, b);
  const double range = highest_ - lowest_;
  mean = std::clamp(mean, lowest_ >= 0 ? std::max(0.0, lowest_ - 2 * range) : lowest_ - 2 * range, highest_ + range);
  const auto width = [&](std::size_t bucket) { return std::log(now_[bucket].deviation + 1e-12 * range + 1e-300) + now_[bucket].stretch; };
  double log_width = width(b.low) + b.part * (width(b.high) - width(b.low));
  if (reports > kAhead.back()) log_width += T("beyond", 0.5) * std::log(std::min(reports, 1e6) / kAhead.back());
  return {mean, std::min(std::exp(log_width), 1e16)};
}

double Ensemble::floor() const {
  const double steps = bank_.declared() > step_ ? bank_.declared() - step_ : 8 * step_;
  return std::min(after(steps).mean, after(0).mean);
}

void Ensemble::issue(double step) {
  if (reports_ < 2) return;
  if (waiting_.empty()) waiting_.resize(kWaiting[0] + kWaiting[1] + kWaiting[2]);
  Waiting* w = waiting_.data();
  for (std::size_t b = 0; b < kBuckets; w += kWaiting[b], ++b) {
    Waiting* idle = std::find_if(w, w + kWaiting[b], [](const Waiting& x) { return x.due < 0; });
    const double gap = kAhead[b] / static_cast<double>(kWaiting[b]);
    if (idle == w + kWaiting[b]) continue;
    if (gap > 1 && issued_[b] > 0 && static_cast<double>(reports_ - issued_[b]) < gap) continue;
    issued_[b] = reports_;
    const double ahead = kAhead[b] * unit_;
    idle->from = step, idle->due = step + ahead - 0.01 * unit_, idle->last = loss_;
    idle->fits = fits_;
    const ShapeBank::Values phi = bank_.at(step + ahead);
    idle->mean = static_cast<float>(raw_mean(phi, {b, b, 0}) - loss_);
    idle->deviation = static_cast<float>(now_[b].deviation * std::exp(now_[b].stretch));
  }
}

}  // namespace

std::unique_ptr<Predictor> make_ensemble_predictor() { return std::make_unique<Ensemble>(); }

}  // namespace sluice::manager
