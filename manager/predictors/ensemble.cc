#include "manager/predictors/ensemble.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "manager/predictors/shape_bank.h"

namespace sluice::manager {
namespace {

constexpr std::size_t kShapes = ShapeBank::kShapes;
constexpr std::array<double, 4> kKept = {0.35, 0.75, 0.92, 0.98};  ///< what a report weighs after one more
constexpr std::size_t kRates = kKept.size(), kFits = kShapes * kRates;
/// A fit's change is counted from the last report, from the fitted level, or from half-way between.
constexpr std::size_t kAnchors = 3;
constexpr std::size_t kExperts = kFits * kAnchors;
constexpr std::array<double, 3> kAhead = {1, 5, 20};  ///< reports ahead, at which experts are judged
constexpr std::size_t kBuckets = kAhead.size();
constexpr std::array<std::size_t, kBuckets> kWaiting = {1, 2, 2};  ///< forecasts under way at most
constexpr std::size_t kSeenMax = 32;
constexpr double kLossMost = 1e15;
constexpr double kNewest = 0.5;         ///< what the newest judgement weighs against those before
constexpr double kTrust = 8;            ///< judgements at a distance that weigh as much as the nearer one's
constexpr double kRatioMax = 40;        ///< an error counts as at most this many usual ones
constexpr double kStretchRate = 0.47;   ///< of the bands' width, a judged forecast at the most
constexpr double kUsualError = 0.65;    ///< deviations: where the width settles if half of the errors are below about .74
constexpr double kChangeShare = 0.013;  ///< of the expected change squared: what is added to a forecast's variance
constexpr double kBeyond = 0.76;        ///< past the furthest judged distance deviations grow with this power of it
constexpr double kUnforeseen = 0.015;   ///< of the range so far
constexpr double kFirstStretch = 0.16;

/// What an expert's squared error is taken for, as a logarithm, before it was judged: at the nearest distance, and at the furthest. Found by a random search
/// over curves made from formulas and recorded ones, a third of the families held out (docs/predictors.md).
struct Ends {
  double near = 0, far = 0;
};
constexpr std::array<Ends, kRates> kPriorOfRate = {{{-1.26, 1.2}, {1.63, 1.39}, {0.47, 1.11}, {2.39, -0.63}}};
constexpr std::array<Ends, kAnchors> kPriorOfAnchor = {{{0, 0}, {1.05, 0}, {3, 3}}};
constexpr std::array<double, ShapeBank::kExponents> kPriorOfExponent = {0.72, 1.22, -2.28, 1.25};  ///< far
constexpr Ends kPriorOfConstant = {2, -1.47}, kPriorOfOffset = {0.34, -0.59}, kPriorOfTime = {1.36, 1.36}, kPriorOfDeclared = {-1.02, 0.56};
constexpr double kPriorOfLongerTime = -0.48;  ///< far, a doubling

struct SeenLoss {
  double step = 0, loss = 0, mass = 0;
};
struct ShapeSums {
  double shape = 0, squares = 0, loss = 0;
};
struct ShapeFit {
  float amplitude = 0, level = 0;  ///< level: of the curve at the last report, less that report
};
/// A forecast made at `from`, to be judged at the first report at or after `due`.
struct PendingForecast {
  double from = 0, due = -1, last = 0;
  float mean = 0, deviation = 0;  ///< mean: less `last`
  std::uint32_t bucket = 0;
  std::array<ShapeFit, kFits> fits{};
};
struct JudgedExperts {
  std::array<float, kExperts> error{};  ///< mean squared error, relative to the ensemble's own
  float count = 0;
};

double prior_of(std::size_t expert, std::size_t bucket) {
  const std::size_t anchor = expert % kAnchors, rate = expert / kAnchors % kRates, shape = expert / kAnchors / kRates;
  const double far = static_cast<double>(bucket) / static_cast<double>(kBuckets - 1);
  const auto between = [&](const Ends& ends) { return ends.near + far * (ends.far - ends.near); };
  const double log = between(kPriorOfRate[rate]) + between(kPriorOfAnchor[anchor]);
  if (shape == 0) return std::exp(log + between(kPriorOfConstant));
  if (shape < ShapeBank::kFirstTime) {
    const std::size_t offset = (shape - ShapeBank::kFirstPower) / ShapeBank::kExponents, exponent = (shape - ShapeBank::kFirstPower) % ShapeBank::kExponents;
    return std::exp(log + static_cast<double>(offset) * between(kPriorOfOffset) + far * kPriorOfExponent[exponent]);
  }
  if (shape < ShapeBank::kFirstDeclared)
    return std::exp(log + between(kPriorOfTime) + far * kPriorOfLongerTime * static_cast<double>(shape - ShapeBank::kFirstTime));
  return std::exp(log + between(kPriorOfDeclared));
}

using Judgements = std::array<JudgedExperts, kBuckets>;
const Judgements& nothing_judged() {
  static const Judgements priors = [] {
    Judgements out;
    for (std::size_t b = 0; b < kBuckets; ++b)
      for (std::size_t e = 0; e < kExperts; ++e) out[b].error[e] = static_cast<float>(prior_of(e, b));
    return out;
  }();
  return priors;
}

class Ensemble final : public Predictor {
 public:
  Ensemble() : judged_(nothing_judged()) {}

  void declare(double total_steps) override {
    if (!std::isfinite(total_steps) || total_steps == bank_.declared()) return;
    bank_.declare(total_steps);
    rebuild();
  }
  void observe(const LossPoint& point) override;
  int refit() override { return std::exchange(fresh_, false) ? 1 : 0; }
  Forecast after(double steps) const override;
  void after_all(std::span<const double> steps, std::span<Forecast> out) const override;
  double floor() const override;
  bool ready() const override { return reports_ >= 2; }
  std::size_t bytes() const override { return sizeof(*this) + history_.capacity() * sizeof(SeenLoss) + waiting_.capacity() * sizeof(PendingForecast); }

 private:
  static std::size_t fit_at(std::size_t shape, std::size_t rate) { return shape * kRates + rate; }

  void remember(double step, double loss);
  void add(const ShapeBank::Values& phi, double loss, double mass);
  void rebuild();
  void grow();
  void judge(const PendingForecast& was, double at, double loss);
  void widen(const PendingForecast& was, double error);
  void solve(const ShapeBank::Values& phi, double loss);
  void weigh(std::size_t bucket);
  void learn_noise();
  void issue(double step);
  struct Blend {
    std::size_t low = 0, high = 0;
    double part = 0;  ///< of high
  };
  static Blend blend(double reports);
  [[nodiscard]] double raw_mean(const ShapeBank::Values& phi, const Blend& b) const;
  [[nodiscard]] Forecast forecast(double reports, const Blend& b, double raw) const;

  ShapeBank bank_;
  std::vector<SeenLoss> history_;
  std::uint64_t reports_ = 0;
  bool fresh_ = false;
  double step_ = 0, at_ = 0, loss_ = 0, unit_ = 1, lowest_ = 0, highest_ = 0, first_ = 0;
  std::array<double, kRates> mass_{}, loss_sum_{};
  std::array<ShapeSums, kFits> sums_{};
  std::array<ShapeFit, kFits> fits_{};
  Judgements judged_;
  std::vector<PendingForecast> waiting_;
  std::array<std::uint64_t, kBuckets> issued_{};
  double noise_ = 0;  ///< variance of a report about the level, one ahead
  // What after() needs: for each bucket the weights collapsed.
  struct Collapsed {
    std::array<double, kShapes> amplitude{};  ///< of each shape
    double base = 0;                          ///< constant
    double deviation = 0;                     ///< of experts at the bucket's own distance
    double stretch = kFirstStretch;           ///< log of what deviations are multiplied with, learnt
  };
  std::array<Collapsed, kBuckets> now_{};
  std::array<double, kBuckets> log_width_{};  ///< of each bucket's deviation, stretched
};

void Ensemble::observe(const LossPoint& point) {
  const double step = static_cast<double>(point.step);
  if (!(std::abs(point.loss) <= kLossMost) || (reports_ > 0 && step <= step_)) return;
  // A report is a mean over its window: it stands for the window's middle.
  const double window = point.examples > 0 ? static_cast<double>(point.weight) * step / static_cast<double>(point.examples) : 1;
  const double at = std::max(reports_ > 0 ? 0.5 * (step_ + step) : 0.0, step - 0.5 * std::clamp(window - 1, 0.0, step));
  for (PendingForecast& was : waiting_)
    if (was.due >= 0 && at >= was.due) judge(was, at, point.loss), was.due = -1;
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
  for (std::size_t b = 0; b < kBuckets; ++b) weigh(b);
  learn_noise();
  for (std::size_t b = 0; b < kBuckets; ++b) log_width_[b] = std::log(now_[b].deviation + 1e-12 * (highest_ - lowest_) + 1e-300) + now_[b].stretch;
  issue(at);
}

void Ensemble::remember(double step, double loss) {
  if (history_.empty()) history_.reserve(kSeenMax);
  if (history_.size() == kSeenMax) {  // neighbours of the older half become one
    for (std::size_t i = 0; i < kSeenMax / 4; ++i) {
      const SeenLoss &a = history_[2 * i], &b = history_[2 * i + 1];
      const double mass = a.mass + b.mass;
      history_[i] = {(a.mass * a.step + b.mass * b.step) / mass, (a.mass * a.loss + b.mass * b.loss) / mass, mass};
    }
    history_.erase(history_.begin() + kSeenMax / 4, history_.begin() + kSeenMax / 2);
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
      ShapeSums& sum = sums_[fit_at(s, r)];
      sum.shape = kept * sum.shape + mass * phi[s];
      sum.squares = kept * sum.squares + mass * phi[s] * phi[s];
      sum.loss = kept * sum.loss + mass * phi[s] * y;
    }
  }
}

void Ensemble::rebuild() {
  mass_ = {}, loss_sum_ = {}, sums_ = {};
  for (const SeenLoss& seen : history_) add(bank_.at(seen.step), seen.loss, seen.mass);
}

void Ensemble::grow() {
  const auto from = bank_.grow();
  const auto moved = [&](auto& of, std::size_t width) {
    const auto before = of;
    for (std::size_t s = 0; s < kShapes; ++s)
      for (std::size_t i = 0; i < width; ++i) of[s * width + i] = before[from[s].shape * width + i];
  };
  for (JudgedExperts& j : judged_) moved(j.error, kRates * kAnchors);
  for (PendingForecast& w : waiting_) {
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
      const ShapeSums& sum = sums_[f];
      const double m = mass_[r], mean = loss_sum_[r] / m;
      const double spread = sum.squares - sum.shape * sum.shape / m;
      double amplitude = 0;
      if (s > 0 && spread > 1e-9 * sum.squares) amplitude = (sum.loss - sum.shape * mean) / spread;
      const double level = mean + amplitude * (phi[s] - sum.shape / m);
      fits_[f] = {static_cast<float>(amplitude), static_cast<float>(level - y)};
    }
}

/// The ensemble's own error teaches how wide its bands are to be: their logarithm follows that of the error.
void Ensemble::widen(const PendingForecast& was, double error) {
  if (!(was.deviation > 0)) return;
  double& stretch = now_[was.bucket].stretch;
  const double rate = std::max(kStretchRate, 1 / (judged_[was.bucket].count + 2.0));
  const double off = std::log(std::max(std::abs(error) / was.deviation, 1e-9) / kUsualError);
  stretch = std::clamp(stretch + rate * std::clamp(off, -2.0, 2.0), -5.0, 5.0);
}

/// Each expert's error against what usual ones made (the mean root, those that did well before counting more), so that every judgement weighs the same however
/// large the errors are.
void Ensemble::judge(const PendingForecast& was, double at, double loss) {
  JudgedExperts& judged = judged_[was.bucket];
  const ShapeBank::Values then = bank_.at(was.from), now = bank_.at(at);
  const double own = loss - was.last - was.mean * (at - was.from) / (was.due - was.from);
  widen(was, own);
  std::array<float, kExperts> errors;
  const std::size_t experts = bank_.size() * kRates * kAnchors;
  const double least = 1e-9 * (highest_ - lowest_) + 1e-300;
  double roots = 0, weights = 0;
  for (std::size_t s = 0, e = 0; s < bank_.size(); ++s)
    for (std::size_t r = 0; r < kRates; ++r) {
      const ShapeFit& fit = was.fits[fit_at(s, r)];
      const double change = fit.amplitude * (now[s] - then[s]), off = loss - was.last - change;
      for (const double base : {0.0, 1.0 * fit.level, 0.5 * fit.level}) {  // as the anchors stand
        const double error = std::isnan(change) ? std::abs(own) : std::abs(off - base);
        errors[e] = static_cast<float>(std::min(error + least, 1e18));
        const double weight = 1 / (judged.error[e] + 1e-6);
        roots += weight * std::sqrt(errors[e]), weights += weight;
        ++e;
      }
    }
  const double usual = std::max(roots * roots / (weights * weights), 1e-300);
  for (std::size_t e = 0; e < experts; ++e) {
    const double ratio = std::min(errors[e] / usual, kRatioMax);
    judged.error[e] += static_cast<float>(kNewest * (ratio * ratio - judged.error[e]));
  }
  judged.count += 1;
}

void Ensemble::weigh(std::size_t bucket) {
  Collapsed& c = now_[bucket];
  c.amplitude = {};
  c.base = 0;
  const JudgedExperts &own = judged_[bucket], &nearer = judged_[bucket == 0 ? 0 : bucket - 1];
  const double trust = own.count / (own.count + kTrust);
  const ShapeBank::Values from = bank_.at(at_), to = bank_.at(at_ + kAhead[bucket] * unit_);
  double weights = 0, mean = 0, square = 0;
  for (std::size_t s = 0, e = 0; s < bank_.size(); ++s)
    for (std::size_t r = 0; r < kRates; ++r) {
      const ShapeFit& fit = fits_[fit_at(s, r)];
      const double change = fit.amplitude * (to[s] - from[s]);
      for (const double base : {0.0, 1.0 * fit.level, 0.5 * fit.level}) {
        const double squared = trust * own.error[e] + (1 - trust) * nearer.error[e] + 1e-12;
        ++e;
        const double once = 1 / squared, twice = once * once, fourth = twice * twice, weight = fourth * fourth;
        const double said = base + change;
        weights += weight;
        c.amplitude[s] += weight * fit.amplitude;
        c.base += weight * base;
        mean += weight * said, square += weight * said * said;
      }
    }
  c.base /= weights;
  for (std::size_t s = 0; s < bank_.size(); ++s) c.amplitude[s] /= weights, c.base -= c.amplitude[s] * from[s];
  mean /= weights;
  // A report's own noise, the experts' quarrel, a share of what is expected to change.
  c.deviation = std::sqrt(noise_ + std::max(0.0, square / weights - mean * mean) + kChangeShare * mean * mean);
}

/// Of the newest reports about a line through their neighbours: no model in it.
void Ensemble::learn_noise() {
  const std::size_t n = history_.size();
  if (reports_ < 3 || n < 3) return;
  const SeenLoss &x = history_[n - 3], &y = history_[n - 2], &z = history_[n - 1];
  const double part = (y.step - x.step) / (z.step - x.step), bend = y.loss - x.loss - part * (z.loss - x.loss);
  const double variance = bend * bend / (1 + part * part + (1 - part) * (1 - part));
  noise_ += std::max(0.1, 1.0 / static_cast<double>(reports_ - 2)) * (variance - noise_);
}

Ensemble::Blend Ensemble::blend(double reports) {
  static const std::array<double, kBuckets> kLogSteps = {0, std::log(kAhead[1] / kAhead[0]), std::log(kAhead[2] / kAhead[1])};
  if (reports <= kAhead.front()) return {0, 0, 0};
  for (std::size_t b = 1; b < kBuckets; ++b)
    if (reports < kAhead[b]) return {b - 1, b, std::log(reports / kAhead[b - 1]) / kLogSteps[b]};
  return {kBuckets - 1, kBuckets - 1, 0};
}

double Ensemble::raw_mean(const ShapeBank::Values& phi, const Blend& b) const {
  const Collapsed &low = now_[b.low], &high = now_[b.high];
  double near = low.base, far = high.base;
  for (std::size_t s = 0; s < bank_.size(); ++s) near += low.amplitude[s] * phi[s], far += high.amplitude[s] * phi[s];
  return loss_ + near + b.part * (far - near);
}

Forecast Ensemble::after(double steps) const {
  const double reports = steps / unit_;
  const Blend b = blend(reports);
  return forecast(reports, b, raw_mean(bank_.at(step_ + steps), b));
}

void Ensemble::after_all(std::span<const double> steps, std::span<Forecast> out) const {
  constexpr std::size_t kLanes = ShapeBank::kLanes;
  std::array<ShapeBank::Lanes, kShapes> phi;
  ShapeBank::Lanes at;
  for (std::size_t from = 0; from < steps.size(); from += kLanes) {
    const std::size_t count = std::min(kLanes, steps.size() - from);
    for (std::size_t i = 0; i < kLanes; ++i) at[i] = step_ + steps[from + std::min(i, count - 1)];
    bank_.at(at, phi);
    // Each bucket's curve at all of them; a forecast lies between two.
    std::array<ShapeBank::Lanes, kBuckets> curve;
    for (std::size_t b = 0; b < kBuckets; ++b) {
      curve[b].fill(now_[b].base);
      for (std::size_t s = 0; s < bank_.size(); ++s)
        for (std::size_t i = 0; i < kLanes; ++i) curve[b][i] += now_[b].amplitude[s] * phi[s][i];
    }
    for (std::size_t i = 0; i < count; ++i) {
      const double reports = steps[from + i] / unit_;
      const Blend b = blend(reports);
      out[from + i] = forecast(reports, b, loss_ + curve[b.low][i] + b.part * (curve[b.high][i] - curve[b.low][i]));
    }
  }
}

/// `raw`: the mean, before it is held within what was seen.
Forecast Ensemble::forecast(double reports, const Blend& b, double raw) const {
  const double range = highest_ - lowest_;
  const double mean = std::clamp(raw, lowest_ >= 0 ? std::max(0.0, lowest_ - 2 * range) : lowest_ - 2 * range, highest_ + range);
  const double log_width = log_width_[b.low] + b.part * (log_width_[b.high] - log_width_[b.low]);
  if (!(reports > kAhead.back())) return {mean, std::min(std::exp(log_width), 1e16)};
  // Rates that fall in steps and the like are in no report: past the furthest distance that was judged they are allowed for.
  const double beyond = std::log(reports / kAhead.back()), grown = reports > 1e6 ? std::log(1e6 / kAhead.back()) : beyond;
  const double unforeseen = kUnforeseen * range * beyond, foreseen = std::min(std::exp(log_width + kBeyond * grown), 1e16);
  return {mean, std::min(std::sqrt(foreseen * foreseen + unforeseen * unforeseen), 1e16)};
}

double Ensemble::floor() const {
  const double steps = bank_.declared() > step_ ? bank_.declared() - step_ : 8 * step_;
  return std::min(after(steps).mean, after(0).mean);
}

void Ensemble::issue(double step) {
  if (reports_ < 2) return;
  if (waiting_.empty()) waiting_.resize(kWaiting[0] + kWaiting[1] + kWaiting[2]);
  PendingForecast* w = waiting_.data();
  for (std::size_t b = 0; b < kBuckets; w += kWaiting[b], ++b) {
    PendingForecast* idle = std::find_if(w, w + kWaiting[b], [](const PendingForecast& x) { return x.due < 0; });
    const double gap = kAhead[b] / static_cast<double>(kWaiting[b]);
    if (idle == w + kWaiting[b]) continue;
    if (gap > 1 && issued_[b] > 0 && static_cast<double>(reports_ - issued_[b]) < gap) continue;
    issued_[b] = reports_;
    const double ahead = kAhead[b] * unit_;
    idle->bucket = static_cast<std::uint32_t>(b);
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
