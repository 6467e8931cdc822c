#include "manager/predictors/ensemble.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/fetch.h"
#include "manager/predictors/band.h"
#include "manager/predictors/experts.h"
#include "manager/predictors/free_curve.h"
#include "manager/predictors/shape_bank.h"
#include "manager/predictors/shape_fits.h"

namespace sluice::manager {
namespace {

constexpr std::size_t kShapes = ShapeBank::kShapes, kFree = FreeCurves::kFits, kFirstShape = Experts::kFirstShape;
constexpr std::size_t kRates = ShapeFits::kRates, kBuckets = Experts::kBuckets;
constexpr std::array<double, kBuckets> kAhead = Experts::kAhead;
static_assert(Bands::kAhead == kAhead);
constexpr std::array<std::size_t, kBuckets> kWaiting = {1, 2, 2};  ///< forecasts under way at most
constexpr std::size_t kWaitingAll = kWaiting[0] + kWaiting[1] + kWaiting[2];
constexpr double kOnTime = 1e-3;  ///< of a distance
constexpr std::size_t kSeenMax = 32;
constexpr double kLossMost = 1e15, kRangeLeast = 1e-25;  ///< what floats hold
constexpr float kLeastSay = 1e-3F;                       ///< free curves of less weight are left out
constexpr float kSayMost = 1e6F;                         ///< ranges: what a line may say
constexpr double kNewest = 0.626;                        ///< what the newest judgement weighs against those before, where reports have no noise
constexpr double kNewestOfNoise = 0.39;                  ///< and where they have nothing else
constexpr double kBendMost = 4;                          ///< deviations: a report bends the curve by at most so much
constexpr std::uint64_t kIssueFrom = 3;                  ///< reports that are seen before forecasts are judged
constexpr double kMoveRate = 0.455;                      ///< of how far reports move, a report
constexpr double kNoiseRate = 0.3;                       ///< of the noise, a report
constexpr double kNoiseShare = 0.322;                    ///< of the reports' noise in a forecast's variance
constexpr double kChangeShare = 0.0473;                  ///< of the expected change squared: what is added to a forecast's variance
constexpr double kBeyond = 0.671;                        ///< past the furthest judged distance deviations grow with this power of it
constexpr double kUnforeseen = 0.001;                    ///< of the range so far

struct SeenLoss {
  double step = 0, loss = 0, mass = 0;
};
/// A forecast made at `from`, to be judged at the first report at or after `due`; what each line said of it is kept beside.
struct PendingForecast {
  double from = 0, due = -1, last = 0, ahead = 1;  ///< due < 0: none; ahead: steps
  double range = 1, mean = 0;                      ///< mean: of the ensemble, less `last`, ranges
};
/// Shapes at the newest report, and what they change: since the report before, and until each judged distance.
struct Shapes {
  std::array<double, kShapes> now{};
  ShapeFits::Row moved{};
  std::array<ShapeFits::Row, kBuckets> change{};
};

/// Where `reports` lies between two judged distances, on a logarithmic scale; outside, at the nearest.
struct Between {
  std::size_t low = 0, high = 0;
  double part = 0;  ///< of high
};
Between between(double reports) {
  static const std::array<double, kBuckets> kLogSteps = {0, std::log(kAhead[1] / kAhead[0]), std::log(kAhead[2] / kAhead[1])};
  if (reports <= kAhead.front()) return {0, 0, 0};
  for (std::size_t b = 1; b < kBuckets; ++b)
    if (reports < kAhead[b]) return {b - 1, b, std::log(reports / kAhead[b - 1]) / kLogSteps[b]};
  return {kBuckets - 1, kBuckets - 1, 0};
}

class Ensemble final : public Predictor {
 public:
  void declare(double total_steps) override {
    if (!std::isfinite(total_steps) || total_steps == bank_.declared()) return;
    bank_.declare(total_steps);
    rebuild();
    foresee();
  }
  void observe(const LossPoint& point) override;
  int refit() override { return std::exchange(fresh_, false) ? 1 : 0; }
  Forecast after(double steps) const override { return steps == 0 ? level_ : steps == end_steps_ ? end_ : work_out(steps); }
  void after_all(std::span<const double> steps, std::span<Forecast> out) const override;
  double floor() const override;
  bool ready() const override { return reports_ >= 2; }
  void fetch() const override {
    fetch_lines(this, sizeof(*this));
    fetch_lines(history_.data(), history_.size() * sizeof(SeenLoss));
    fetch_lines(said_.data(), said_.empty() ? 0 : sizeof(KeptSay));  // the nearest one is judged and made anew at every report; the others are not
  }
  std::size_t bytes() const override { return sizeof(*this) + history_.capacity() * sizeof(SeenLoss) + said_.capacity() * sizeof(KeptSay); }

 private:
  void foresee();
  [[nodiscard]] Forecast work_out(double steps) const;
  void remember(double step, double loss);
  [[nodiscard]] Shapes shapes(double before) const;
  void rebuild();
  void grow();
  void judge(std::size_t waiting, double at, double loss);
  void how_late(const PendingForecast& was, const KeptSay& said, double reports, double at, std::array<float, Experts::kLines>& later) const;
  void solve_free();
  void say(const Shapes& shapes, LinesSay& say, std::array<float, ShapeFits::kFits>& amplitude) const;
  void weigh(const Shapes& shapes);
  void learn_noise();
  /// How much of the reports' bends is noise: 0 to 1.
  [[nodiscard]] double noise_part() const { return bends_ > 0 ? std::clamp(-1.5 * together_ / bends_, 0.0, 1.0) : 0; }
  void keep_bands(const std::array<Opinion, kBuckets>& opinion);
  void issue(const LinesSay& say, const std::array<Opinion, kBuckets>& opinion);
  /// A free curve of hardly any weight in any bucket is left out of all forecasts, near and far: it would take time and say nothing.
  [[nodiscard]] bool counts(std::size_t f) const { return now_[0].free[f] + now_[1].free[f] + now_[2].free[f] >= kLeastSay; }
  [[nodiscard]] double raw_mean(const ShapeBank::Values& phi, double reports, const Between& b) const;
  [[nodiscard]] Forecast forecast(double reports, const Between& b, double raw) const;

  // What rounds ask every job that reported comes first, worked out when the report came: then all of this is in a cache, and of very many jobs not later.
  std::uint64_t reports_ = 0;
  bool fresh_ = false;
  double end_steps_ = 0;  ///< until where floor() looks: as far as the job declared
  Forecast level_, end_;  ///< after no steps, and after end_steps_
  ShapeBank bank_;
  std::vector<SeenLoss> history_;
  double step_ = 0, at_ = 0, loss_ = 0, unit_ = 1, lowest_ = 0, highest_ = 0, range_ = 1;
  ShapeFits fits_;
  FreeCurves free_;
  Experts experts_;
  std::array<PendingForecast, kWaitingAll> waiting_{};
  std::vector<KeptSay> said_;  ///< of waiting_; none before the first
  std::array<std::uint64_t, kBuckets> issued_{};
  double moves_ = 0, bend_ = 0, bends_ = 0, together_ = 0;  ///< of the newest report; mean square; mean product of neighbours
  // What after() needs: for each bucket the opinion by shape and free curve.
  struct Collapsed {
    std::array<float, ShapeFits::kShapes> amplitude{};  ///< of each shape, ranges
    std::array<float, kFree> free{};                    ///< weight of each free curve
    double base = 0;                                    ///< constant, ranges
    double deviation = 0;                               ///< expected at the bucket's own distance, ranges
  };
  std::array<Collapsed, kBuckets> now_{};
  Bands bands_;
  std::array<Band::Quantiles, kBuckets> log_width_{};  ///< of losses
};

void Ensemble::observe(const LossPoint& point) {
  const double step = static_cast<double>(point.step);
  if (!(std::abs(point.loss) <= kLossMost) || (reports_ > 0 && step <= step_)) return;
  // A report is a mean over its window: it stands for the window's middle.
  const double window = point.examples > 0 ? static_cast<double>(point.weight) * step / static_cast<double>(point.examples) : 1;
  const double at = std::max(reports_ > 0 ? 0.5 * (step_ + step) : 0.0, step - 0.5 * std::clamp(window - 1, 0.0, step));
  bands_.learn(at, point.loss);
  for (std::size_t i = 0; i < kWaitingAll; ++i)
    if (waiting_[i].due >= 0 && at >= waiting_[i].due) judge(i, at, point.loss);
  if (reports_ > 0) moves_ += (reports_ == 1 ? 1 : kMoveRate) * ((point.loss - loss_) * (point.loss - loss_) - moves_);
  if (reports_ > 0) unit_ = reports_ == 1 ? step - step_ : unit_ + 0.2 * (step - step_ - unit_);
  lowest_ = reports_ == 0 ? point.loss : std::min(lowest_, point.loss);
  highest_ = reports_ == 0 ? point.loss : std::max(highest_, point.loss);
  range_ = highest_ > lowest_ ? std::max(highest_ - lowest_, kRangeLeast) : 1;
  ++reports_;
  fresh_ = true;
  const double before = at_, rose = point.loss - loss_;
  step_ = step, at_ = at, loss_ = point.loss;
  while (bank_.outgrown(at)) grow();
  remember(at, point.loss);
  const Shapes now = shapes(before);
  fits_.add(now.moved, static_cast<float>(rose), 1);
  learn_noise();
  solve_free();
  weigh(now);
  foresee();
}

void Ensemble::foresee() {
  if (!ready()) return;
  end_steps_ = bank_.declared() > step_ ? bank_.declared() - step_ : 8 * step_;
  level_ = work_out(0), end_ = work_out(end_steps_);
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

Shapes Ensemble::shapes(double before) const {
  std::array<ShapeBank::Lanes, kShapes> phi;
  ShapeBank::Lanes at;
  at.fill(at_);
  at[1] = before;
  for (std::size_t b = 0; b < kBuckets; ++b) at[2 + b] = at_ + kAhead[b] * unit_;
  bank_.at(at, phi);
  Shapes out;
  for (std::size_t s = 0; s < bank_.size(); ++s) {
    out.now[s] = phi[s][0], out.moved[s] = static_cast<float>(phi[s][0] - phi[s][1]);
    for (std::size_t b = 0; b < kBuckets; ++b) out.change[b][s] = static_cast<float>(phi[s][2 + b] - phi[s][0]);
  }
  return out;
}

/// From what is remembered. Reports are of the past yet: those that follow are added after it.
void Ensemble::rebuild() {
  fits_.clear();
  ShapeBank::Values before{};
  double loss = 0;
  for (const SeenLoss& seen : history_) {
    const ShapeBank::Values phi = bank_.at(seen.step);
    ShapeFits::Row moved{};
    for (std::size_t s = 0; s < bank_.size(); ++s) moved[s] = static_cast<float>(phi[s] - before[s]);
    fits_.add(moved, static_cast<float>(seen.loss - loss), seen.mass);
    before = phi, loss = seen.loss;
  }
}

void Ensemble::grow() {
  const ShapeBank::Moves from = bank_.grow();
  experts_.moved(from);
  for (KeptSay& said : said_) said.moved(from);
  rebuild();
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

void Ensemble::judge(std::size_t waiting, double at, double loss) {
  PendingForecast& was = waiting_[waiting];
  const std::size_t bucket = waiting < kWaiting[0] ? 0 : waiting < kWaiting[0] + kWaiting[1] ? 1 : 2;
  const double newest = kNewest * std::pow(kNewestOfNoise / kNewest, noise_part());
  const double came = (loss - was.last) / was.range, off = came - was.mean * (at - was.from) / was.ahead;
  std::array<float, Experts::kLines> later;
  how_late(was, said_[waiting], kAhead[bucket], at, later);
  experts_.judge(bucket, said_[waiting], later, {.came = came, .off = off, .least = 1e-9, .newest = newest, .declared = bank_.declared() > 0});
  was.due = -1;
}

/// By how much more each line is to have changed at step `at` than where the report was meant to come, `reports` ahead.
void Ensemble::how_late(const PendingForecast& was, const KeptSay& said, double reports, double at, std::array<float, Experts::kLines>& later) const {
  const double usual = (at - was.from) / was.ahead;
  const auto held = [&](double now, double whole) { return static_cast<float>(whole != 0 ? std::clamp(now / whole, 0.0, 2 * usual) : usual); };
  later.fill(static_cast<float>(usual));
  if (std::abs(usual - 1) < kOnTime) return;
  std::array<ShapeBank::Lanes, kShapes> phi;
  ShapeBank::Lanes steps;
  steps.fill(at);
  steps[0] = was.from, steps[1] = was.from + was.ahead;
  bank_.at(steps, phi);
  for (std::size_t s = 0; s < bank_.size(); ++s)
    for (std::size_t r = 0; r < kRates; ++r) later[kFirstShape + r * ShapeFits::kShapes + s] = held(phi[s][2] - phi[s][0], phi[s][1] - phi[s][0]);
  const auto decays = said.decays();
  for (std::size_t f = 0; f < kFree; ++f) {
    const std::array<double, 2> ahead = {reports, reports * usual};
    std::array<double, 2> change;
    FreeCurves::changes(f, {.slope = 1, .decay = decays[f], .level = 0}, ahead, change);
    later[f] = held(change[1], change[0]);
  }
}

void Ensemble::say(const Shapes& shapes, LinesSay& say, std::array<float, ShapeFits::kFits>& amplitude) const {
  fits_.solve(static_cast<float>(1 / range_), amplitude.data(), &say.level[kFirstShape]);
  for (std::size_t b = 0; b < kBuckets; ++b)
    for (std::size_t r = 0; r < kRates; ++r)
      for (std::size_t s = 0; s < ShapeFits::kShapes; ++s) {
        const std::size_t fit = r * ShapeFits::kShapes + s;
        say.change[b][kFirstShape + fit] = std::clamp(amplitude[fit] * shapes.change[b][s], -kSayMost, kSayMost);
      }
  for (std::size_t f = 0; f < kFree; ++f) {
    const FreeCurves::Fit& fit = free_.fits()[f];
    std::array<double, kBuckets> change;
    FreeCurves::changes(f, fit, kAhead, change);
    for (std::size_t b = 0; b < kBuckets; ++b) say.change[b][f] = static_cast<float>(std::clamp<double>(change[b], -kSayMost, kSayMost));
    say.level[f] = fit.level;
  }
  for (float& level : say.level) level = std::clamp(level, -kSayMost, kSayMost);
}

void Ensemble::weigh(const Shapes& shapes) {
  LinesSay said;
  std::array<float, ShapeFits::kFits> amplitude;
  say(shapes, said, amplitude);
  std::array<Opinion, kBuckets> opinion;
  const double smooth = 1 - noise_part();  // where reports are noisy a line need not go through the last one
  experts_.weigh(said, moves_ / range_ / range_ / std::max(smooth * smooth, 1e-3), bank_.declared() > 0, opinion);
  const double noise = std::max(0.0, -together_) / range_ / range_;
  for (std::size_t b = 0; b < kBuckets; ++b) {
    Collapsed& c = now_[b];
    const Opinion& o = opinion[b];
    c.base = o.base;
    for (std::size_t f = 0; f < kFree; ++f) c.free[f] = o.weight[f];
    c.amplitude.fill(0);
    for (std::size_t r = 0; r < kRates; ++r)
      for (std::size_t s = 0; s < ShapeFits::kShapes; ++s) {
        const std::size_t fit = r * ShapeFits::kShapes + s;
        c.amplitude[s] += o.weight[kFirstShape + fit] * amplitude[fit];
      }
    for (std::size_t s = 0; s < bank_.size(); ++s) c.base -= c.amplitude[s] * shapes.now[s];
    // A report's own noise, the experts' quarrel, a share of what is expected to change.
    c.deviation = std::sqrt(kNoiseShare * noise + o.quarrel + kChangeShare * o.mean * o.mean) + 1e-12;
  }
  keep_bands(opinion);
  issue(said, opinion);
}

void Ensemble::keep_bands(const std::array<Opinion, kBuckets>& opinion) {
  const double reports = static_cast<double>(reports_);
  for (std::size_t b = 0; b < kBuckets; ++b) {
    const double deviation = now_[b].deviation * range_;
    log_width_[b] = bands_.quantiles(b);
    for (double& width : log_width_[b]) width += std::log(deviation + 1e-300);
    if (reports_ >= kIssueFrom && bands_.wants(b, reports)) bands_.keep(b, reports, at_, unit_, {loss_, range_ * opinion[b].mean, deviation});
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

double Ensemble::raw_mean(const ShapeBank::Values& phi, double reports, const Between& b) const {
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

Forecast Ensemble::work_out(double steps) const {
  const double reports = steps / unit_;
  const Between b = between(reports);
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
      const Between b = between(reports);
      out[from + i] = forecast(reports, b, loss_ + range_ * (curve[b.low][i] + b.part * (curve[b.high][i] - curve[b.low][i])));
    }
  }
}

/// `raw`: the mean, before it is held within what was seen.
Forecast Ensemble::forecast(double reports, const Between& b, double raw) const {
  const double range = highest_ - lowest_;
  const double mean = std::clamp(raw, lowest_ >= 0 ? std::max(0.0, lowest_ - 2 * range) : lowest_ - 2 * range, highest_ + range);
  Band::Quantiles log_width;
  for (std::size_t q = 0; q < Band::kQuantiles; ++q) log_width[q] = log_width_[b.low][q] + b.part * (log_width_[b.high][q] - log_width_[b.low][q]);
  Forecast out = Forecast::of(mean, log_width);
  if (!(reports > kAhead.back())) return out;
  // Rates that fall in steps and the like are in no report: past the furthest distance that was judged they are allowed for.
  const double beyond = std::log(reports / kAhead.back()), grown = reports > 1e6 ? std::log(1e6 / kAhead.back()) : beyond;
  const double unforeseen = kUnforeseen * range * beyond, foreseen = out.deviation * std::exp(kBeyond * grown);
  out.deviation = std::min(std::sqrt(foreseen * foreseen + unforeseen * unforeseen), 1e16);
  return out;
}

double Ensemble::floor() const { return std::min(end_.mean, level_.mean); }

void Ensemble::issue(const LinesSay& say, const std::array<Opinion, kBuckets>& opinion) {
  if (reports_ < kIssueFrom) return;
  if (said_.empty()) said_.resize(kWaitingAll);
  std::size_t first = 0;
  for (std::size_t b = 0; b < kBuckets; first += kWaiting[b], ++b) {
    const auto begin = waiting_.begin() + static_cast<std::ptrdiff_t>(first), end = begin + static_cast<std::ptrdiff_t>(kWaiting[b]);
    const auto idle = std::find_if(begin, end, [](const PendingForecast& x) { return x.due < 0; });
    const double gap = kAhead[b] / static_cast<double>(kWaiting[b]);
    if (idle == end) continue;
    if (gap > 1 && issued_[b] > 0 && static_cast<double>(reports_ - issued_[b]) < gap) continue;
    issued_[b] = reports_;
    const double ahead = kAhead[b] * unit_;
    *idle = {.from = at_, .due = at_ + ahead - 0.01 * unit_, .last = loss_, .ahead = ahead, .range = range_, .mean = opinion[b].mean};
    said_[static_cast<std::size_t>(idle - waiting_.begin())].keep(say, b, free_.fits());
  }
}

}  // namespace

std::unique_ptr<Predictor> make_ensemble_predictor() { return std::make_unique<Ensemble>(); }

}  // namespace sluice::manager
