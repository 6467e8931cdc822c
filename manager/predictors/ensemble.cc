#include "manager/predictors/ensemble.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "base/fetch.h"
#include "manager/predictors/band.h"
#include "manager/predictors/experts.h"
#include "manager/predictors/free_curve.h"
#include "manager/predictors/shape_bank.h"

namespace sluice::manager {
namespace {

constexpr std::size_t kShapes = ShapeBank::kShapes, kFree = FreeCurves::kFits;
constexpr std::size_t kRates = Experts::kRates, kShapeFits = Experts::kShapeFits, kBuckets = Experts::kBuckets;
constexpr std::array<double, kRates> kKept = Experts::kKept;
constexpr std::array<double, kBuckets> kAhead = Experts::kAhead;
constexpr std::array<std::size_t, kBuckets> kWaiting = {1, 2, 2};  ///< forecasts under way at most
constexpr std::size_t kSeenMax = 32;
constexpr double kLossMost = 1e15;
constexpr float kLeastSay = 1e-3F;       ///< free curves of less weight are left out
constexpr double kSayMost = 1e6;         ///< ranges: what a line may say
constexpr double kNewest = 0.626;        ///< what the newest judgement weighs against those before, where reports have no noise
constexpr double kNewestOfNoise = 0.39;  ///< and where they have nothing else
constexpr double kBendMost = 4;          ///< deviations: a report bends the curve by at most so much
constexpr std::uint64_t kIssueFrom = 3;  ///< reports that are seen before forecasts are judged
constexpr double kMoveRate = 0.455;      ///< of how far reports move, a report
constexpr double kNoiseRate = 0.3;       ///< of the noise, a report
constexpr double kNoiseShare = 0.322;    ///< of the reports' noise in a forecast's variance
constexpr double kChangeShare = 0.0473;  ///< of the expected change squared: what is added to a forecast's variance
constexpr double kBeyond = 0.671;        ///< past the furthest judged distance deviations grow with this power of it
constexpr double kUnforeseen = 0.001;    ///< of the range so far

struct SeenLoss {
  double step = 0, loss = 0, mass = 0;
};
struct ShapeSums {
  double shape = 0, squares = 0, loss = 0;
};
/// In ranges of the losses seen.
struct ShapeFit {
  float amplitude = 0, level = 0;  ///< level: of the curve at the last report, less that report
};
/// A forecast made at `from`, to be judged at the first report at or after `due`.
struct PendingForecast {
  double from = 0, due = -1, last = 0, range = 1, unit = 1;
  float mean = 0, deviation = 0;  ///< in ranges; mean: less `last`
  std::uint32_t bucket = 0;
  std::array<ShapeFit, kShapeFits> fits{};
  std::array<FreeCurves::Fit, kFree> free{};
};

class Ensemble final : public Predictor {
 public:
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
  void fetch() const override {
    fetch_lines(this, sizeof(*this));
    fetch_lines(history_.data(), history_.size() * sizeof(SeenLoss));
  }
  std::size_t bytes() const override { return sizeof(*this) + history_.capacity() * sizeof(SeenLoss) + waiting_.capacity() * sizeof(PendingForecast); }

 private:
  static std::size_t fit_at(std::size_t shape, std::size_t rate) { return shape * kRates + rate; }

  void remember(double step, double loss);
  void add(const ShapeBank::Values& phi, double loss, double mass);
  void rebuild();
  void grow();
  void judge(const PendingForecast& was, double at, double loss);
  void solve(const ShapeBank::Values& phi, double loss);
  void solve_free();
  void weigh();
  void learn_noise();
  /// How much of the reports' bends is noise: 0 to 1.
  [[nodiscard]] double noise_part() const { return bends_ > 0 ? std::clamp(-1.5 * together_ / bends_, 0.0, 1.0) : 0; }
  void issue(double step);
  struct Blend {
    std::size_t low = 0, high = 0;
    double part = 0;  ///< of high
  };
  static Blend blend(double reports);
  /// A free curve of hardly any weight in any bucket is left out of all forecasts, near and far: it would take time and say nothing.
  [[nodiscard]] bool counts(std::size_t f) const { return now_[0].free[f] + now_[1].free[f] + now_[2].free[f] >= kLeastSay; }
  [[nodiscard]] double raw_mean(const ShapeBank::Values& phi, double reports, const Blend& b) const;
  [[nodiscard]] Forecast forecast(double reports, const Blend& b, double raw) const;

  ShapeBank bank_;
  std::vector<SeenLoss> history_;
  std::uint64_t reports_ = 0;
  bool fresh_ = false;
  double step_ = 0, at_ = 0, loss_ = 0, unit_ = 1, lowest_ = 0, highest_ = 0, first_ = 0, range_ = 1;
  std::array<double, kRates> mass_{}, loss_sum_{};
  std::array<ShapeSums, kShapeFits> sums_{};
  std::array<ShapeFit, kShapeFits> fits_{};
  FreeCurves free_;
  Experts experts_;
  std::vector<PendingForecast> waiting_;
  std::array<std::uint64_t, kBuckets> issued_{};
  double moves_ = 0, bend_ = 0, bends_ = 0, together_ = 0;  ///< of the newest report; mean square; mean product of neighbours
  // What after() needs: for each bucket the opinion by shape and free curve.
  struct Collapsed {
    std::array<float, kShapes> amplitude{};  ///< of each shape, ranges
    std::array<float, kFree> free{};         ///< weight of each free curve
    double base = 0;                         ///< constant, ranges
    double deviation = 0;                    ///< expected at the bucket's own distance, ranges
    Band band;
    std::array<double, Band::kQuantiles> log_width{};  ///< loss, not ranges
  };
  std::array<Collapsed, kBuckets> now_{};
};

void Ensemble::observe(const LossPoint& point) {
  const double step = static_cast<double>(point.step);
  if (!(std::abs(point.loss) <= kLossMost) || (reports_ > 0 && step <= step_)) return;
  // A report is a mean over its window: it stands for the window's middle.
  const double window = point.examples > 0 ? static_cast<double>(point.weight) * step / static_cast<double>(point.examples) : 1;
  const double at = std::max(reports_ > 0 ? 0.5 * (step_ + step) : 0.0, step - 0.5 * std::clamp(window - 1, 0.0, step));
  for (PendingForecast& was : waiting_)
    if (was.due >= 0 && at >= was.due) judge(was, at, point.loss), was.due = -1;
  if (reports_ > 0) moves_ += (reports_ == 1 ? 1 : kMoveRate) * ((point.loss - loss_) * (point.loss - loss_) - moves_);
  if (reports_ > 0) unit_ = reports_ == 1 ? step - step_ : unit_ + 0.2 * (step - step_ - unit_);
  lowest_ = reports_ == 0 ? point.loss : std::min(lowest_, point.loss);
  highest_ = reports_ == 0 ? point.loss : std::max(highest_, point.loss);
  range_ = highest_ > lowest_ ? highest_ - lowest_ : 1;
  if (reports_ == 0) first_ = point.loss;
  ++reports_;
  fresh_ = true;
  step_ = step, at_ = at, loss_ = point.loss;
  while (bank_.outgrown(at)) grow();
  remember(at, point.loss);
  const ShapeBank::Values phi = bank_.at(at);
  add(phi, point.loss, 1);
  learn_noise();
  solve(phi, point.loss);
  solve_free();
  weigh();
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
  experts_.moved(from);
  for (PendingForecast& w : waiting_) {
    const auto before = w.fits;
    for (std::size_t s = 0; s < kShapes; ++s)
      for (std::size_t r = 0; r < kRates; ++r) {
        w.fits[fit_at(s, r)] = before[fit_at(from[s].shape, r)];
        if (from[s].fresh) w.fits[fit_at(s, r)].amplitude = std::numeric_limits<float>::quiet_NaN();
      }
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
      fits_[f] = {static_cast<float>(amplitude / range_), static_cast<float>((level - y) / range_)};
    }
}

void Ensemble::solve_free() {
  std::array<SeenReport, kSeenMax> seen;
  const std::size_t n = history_.size();
  for (std::size_t i = 0; i < n; ++i) {
    const SeenLoss& x = history_[n - 1 - i];
    seen[i] = {(at_ - x.step) / unit_, (x.loss - loss_) / range_, x.mass};
  }
  free_.refit(std::span(seen).first(n), at_ / unit_, std::max(0.0, -together_) / range_ / range_);
}

void Ensemble::judge(const PendingForecast& was, double at, double loss) {
  const ShapeBank::Values then = bank_.at(was.from), now = bank_.at(at);
  const double came = (loss - was.last) / was.range, off = came - was.mean * (at - was.from) / (kAhead[was.bucket] * was.unit);
  if (was.deviation > 0) now_[was.bucket].band.learn(off, was.deviation, experts_.judged(was.bucket));
  LinesSay said;
  for (std::size_t f = 0; f < kFree; ++f) {
    said.change[f] = static_cast<float>(FreeCurves::change(f, was.free[f], (at - was.from) / was.unit));
    said.level[f] = was.free[f].level;
  }
  for (std::size_t s = 0; s < bank_.size(); ++s)
    for (std::size_t r = 0; r < kRates; ++r) {
      const ShapeFit& fit = was.fits[fit_at(s, r)];
      said.change[kFree + fit_at(s, r)] = static_cast<float>(fit.amplitude * (now[s] - then[s]));
      said.level[kFree + fit_at(s, r)] = fit.level;
    }
  said.count = kFree + bank_.size() * kRates;
  experts_.judge(was.bucket, said, came, off, 1e-9, kNewest * std::pow(kNewestOfNoise / kNewest, noise_part()));
}

void Ensemble::weigh() {
  std::array<LinesSay, kBuckets> say;
  std::array<Opinion, kBuckets> opinion;
  const ShapeBank::Values from = bank_.at(at_);
  const auto held = [](double x) { return static_cast<float>(std::clamp(x, -kSayMost, kSayMost)); };
  for (std::size_t b = 0; b < kBuckets; ++b) {
    say[b].count = kFree + bank_.size() * kRates;
    const ShapeBank::Values to = bank_.at(at_ + kAhead[b] * unit_);
    for (std::size_t s = 0; s < bank_.size(); ++s)
      for (std::size_t r = 0; r < kRates; ++r) {
        const ShapeFit& fit = fits_[fit_at(s, r)];
        say[b].change[kFree + fit_at(s, r)] = held(fit.amplitude * (to[s] - from[s])), say[b].level[kFree + fit_at(s, r)] = held(fit.level);
      }
  }
  for (std::size_t f = 0; f < kFree; ++f) {
    const FreeCurves::Fit& fit = free_.fits()[f];
    std::array<double, kBuckets> change;
    FreeCurves::changes(f, fit, kAhead, change);
    for (std::size_t b = 0; b < kBuckets; ++b) say[b].change[f] = held(change[b]), say[b].level[f] = held(fit.level);
  }
  const double smooth = 1 - noise_part();  // where reports are noisy a line need not go through the last one
  experts_.weigh(say, moves_ / range_ / range_ / std::max(smooth * smooth, 1e-3), opinion);
  const double noise = std::max(0.0, -together_) / range_ / range_;
  for (std::size_t b = 0; b < kBuckets; ++b) {
    Collapsed& c = now_[b];
    const Opinion& o = opinion[b];
    c.base = o.base;
    for (std::size_t f = 0; f < kFree; ++f) c.free[f] = o.weight[f];
    for (std::size_t s = 0; s < bank_.size(); ++s) {
      double amplitude = 0;
      for (std::size_t r = 0; r < kRates; ++r) amplitude += static_cast<double>(o.weight[kFree + fit_at(s, r)]) * fits_[fit_at(s, r)].amplitude;
      c.amplitude[s] = static_cast<float>(amplitude), c.base -= c.amplitude[s] * from[s];
    }
    // A report's own noise, the experts' quarrel, a share of what is expected to change.
    c.deviation = std::sqrt(kNoiseShare * noise + o.quarrel + kChangeShare * o.mean * o.mean) + 1e-12;
    const auto quantiles = c.band.quantiles();
    for (std::size_t q = 0; q < Band::kQuantiles; ++q) c.log_width[q] = std::log(c.deviation * range_ + 1e-300) + quantiles[q];
  }
}

/// Of the newest reports about a line through their neighbours: no model in it. Neighbouring bends of a smooth curve have one sign, those of noise tend to the
/// other: the mean of b b' is −σ² where that of b² is 3/2 σ².
void Ensemble::learn_noise() {
  const std::size_t n = history_.size();
  if (reports_ < 3 || n < 3) return;
  const SeenLoss &x = history_[n - 3], &y = history_[n - 2], &z = history_[n - 1];
  const double part = (y.step - x.step) / (z.step - x.step), usual = kBendMost * std::sqrt(bends_);
  double bend = y.loss - x.loss - part * (z.loss - x.loss);
  if (reports_ > 4 && bends_ > 0) bend = std::clamp(bend, -usual, usual);  // a jump is not noise
  const auto rate = [](std::uint64_t count) { return std::max(kNoiseRate, 1.0 / static_cast<double>(count)); };
  bends_ += rate(reports_ - 2) * (bend * bend - bends_);
  if (reports_ > 3) together_ += rate(reports_ - 3) * (bend * bend_ - together_);
  bend_ = bend;
}

Ensemble::Blend Ensemble::blend(double reports) {
  static const std::array<double, kBuckets> kLogSteps = {0, std::log(kAhead[1] / kAhead[0]), std::log(kAhead[2] / kAhead[1])};
  if (reports <= kAhead.front()) return {0, 0, 0};
  for (std::size_t b = 1; b < kBuckets; ++b)
    if (reports < kAhead[b]) return {b - 1, b, std::log(reports / kAhead[b - 1]) / kLogSteps[b]};
  return {kBuckets - 1, kBuckets - 1, 0};
}

double Ensemble::raw_mean(const ShapeBank::Values& phi, double reports, const Blend& b) const {
  const Collapsed &low = now_[b.low], &high = now_[b.high];
  double near = low.base, far = high.base;
  for (std::size_t s = 0; s < bank_.size(); ++s) near += low.amplitude[s] * phi[s], far += high.amplitude[s] * phi[s];
  for (std::size_t f = 0; f < kFree; ++f) {
    if (!counts(f)) continue;
    const double change = FreeCurves::change(f, free_.fits()[f], reports);
    near += low.free[f] * change, far += high.free[f] * change;
  }
  return loss_ + range_ * (near + b.part * (far - near));
}

Forecast Ensemble::after(double steps) const {
  const double reports = steps / unit_;
  const Blend b = blend(reports);
  return forecast(reports, b, raw_mean(bank_.at(step_ + steps), (step_ + steps - at_) / unit_, b));
}

void Ensemble::after_all(std::span<const double> steps, std::span<Forecast> out) const {
  constexpr std::size_t kLanes = ShapeBank::kLanes;
  std::array<ShapeBank::Lanes, kShapes> phi;
  ShapeBank::Lanes at, ahead, change;
  for (std::size_t from = 0; from < steps.size(); from += kLanes) {
    const std::size_t count = std::min(kLanes, steps.size() - from);
    for (std::size_t i = 0; i < kLanes; ++i) at[i] = step_ + steps[from + std::min(i, count - 1)];
    for (std::size_t i = 0; i < kLanes; ++i) ahead[i] = (at[i] - at_) / unit_;
    bank_.at(at, phi);
    // Each bucket's curve at all of them; a forecast lies between two.
    std::array<ShapeBank::Lanes, kBuckets> curve;
    for (std::size_t b = 0; b < kBuckets; ++b) {
      curve[b].fill(now_[b].base);
      for (std::size_t s = 0; s < bank_.size(); ++s)
        for (std::size_t i = 0; i < kLanes; ++i) curve[b][i] += now_[b].amplitude[s] * phi[s][i];
    }
    for (std::size_t f = 0; f < kFree; ++f) {
      if (!counts(f)) continue;
      FreeCurves::changes(f, free_.fits()[f], ahead, change);
      for (std::size_t b = 0; b < kBuckets; ++b)
        for (std::size_t i = 0; i < kLanes; ++i) curve[b][i] += now_[b].free[f] * change[i];
    }
    for (std::size_t i = 0; i < count; ++i) {
      const double reports = steps[from + i] / unit_;
      const Blend b = blend(reports);
      out[from + i] = forecast(reports, b, loss_ + range_ * (curve[b.low][i] + b.part * (curve[b.high][i] - curve[b.low][i])));
    }
  }
}

/// `raw`: the mean, before it is held within what was seen.
Forecast Ensemble::forecast(double reports, const Blend& b, double raw) const {
  const double range = highest_ - lowest_;
  const double mean = std::clamp(raw, lowest_ >= 0 ? std::max(0.0, lowest_ - 2 * range) : lowest_ - 2 * range, highest_ + range);
  std::array<double, Band::kQuantiles> log_width;
  for (std::size_t q = 0; q < Band::kQuantiles; ++q) log_width[q] = now_[b.low].log_width[q] + b.part * (now_[b.high].log_width[q] - now_[b.low].log_width[q]);
  Forecast out = Forecast::of(mean, log_width);
  if (!(reports > kAhead.back())) return out;
  // Rates that fall in steps and the like are in no report: past the furthest distance that was judged they are allowed for.
  const double beyond = std::log(reports / kAhead.back()), grown = reports > 1e6 ? std::log(1e6 / kAhead.back()) : beyond;
  const double unforeseen = kUnforeseen * range * beyond, foreseen = out.deviation * std::exp(kBeyond * grown);
  out.deviation = std::min(std::sqrt(foreseen * foreseen + unforeseen * unforeseen), 1e16);
  return out;
}

double Ensemble::floor() const {
  const double steps = bank_.declared() > step_ ? bank_.declared() - step_ : 8 * step_;
  return std::min(after(steps).mean, after(0).mean);
}

void Ensemble::issue(double step) {
  if (reports_ < kIssueFrom) return;
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
    idle->from = step, idle->due = step + ahead - 0.01 * unit_, idle->last = loss_, idle->range = range_, idle->unit = unit_;
    idle->fits = fits_, idle->free = free_.fits();
    const ShapeBank::Values phi = bank_.at(step + ahead);
    idle->mean = static_cast<float>((raw_mean(phi, kAhead[b], {b, b, 0}) - loss_) / range_);
    idle->deviation = static_cast<float>(now_[b].deviation);
  }
}

}  // namespace

std::unique_ptr<Predictor> make_ensemble_predictor() { return std::make_unique<Ensemble>(); }

}  // namespace sluice::manager
