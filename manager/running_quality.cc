#include "manager/running_quality.h"

#include <algorithm>
#include <cmath>

namespace sluice::manager {

void RunningQuality::add(double seconds, double loss, double examples, double smoothed) {
  if (reports_ == 0) first_ = level_ = lowest_ = loss;
  hold(seconds);
  level_ = smoothed;
  if (newest_.empty()) newest_.resize(kBestReports);
  newest_[reports_ % kBestReports] = {loss, std::max(1.0, examples)};
  ++reports_;
  const double mean = mean_of_newest();
  best_ = reports_ > kBestReports ? std::min(best_, mean) : mean;
  if (reports_ > 1 && !(smoothed < lowest_)) return;
  lowest_ = smoothed;
  if (levels_.size() == kLevelsMax) thin();
  levels_.push_back({seconds, smoothed});
}

double RunningQuality::mean_of_newest() const {
  double sum = 0, weights = 0;
  for (std::size_t i = 0; i < std::min(reports_, kBestReports); ++i) sum += newest_[i].weight * newest_[i].loss, weights += newest_[i].weight;
  return sum / weights;
}

/// The level so far lasted until now.
void RunningQuality::hold(double seconds) {
  const double lasted = std::max(0.0, seconds - since_), fall = first_ - level_;
  since_ = std::max(since_, seconds);
  if (!(fall > 0) || !std::isfinite(fall)) {
    above_ += lasted;
    return;
  }
  if (bins_.empty()) bins_.resize(kBins), width_ = 2 * fall / kBins;
  while (fall >= width_ * kBins) {
    for (std::size_t i = 0; i < kBins / 2; ++i) {
      const Bin &a = bins_[2 * i], &b = bins_[2 * i + 1];
      bins_[i] = {a.seconds + b.seconds, a.fall + b.fall};
    }
    std::fill(bins_.begin() + kBins / 2, bins_.end(), Bin{});
    width_ *= 2;
  }
  Bin& bin = bins_[std::min(static_cast<std::size_t>(fall / width_), kBins - 1)];
  bin.seconds += lasted, bin.fall += lasted * fall;
}

/// The best only falls from here on, and 90 % with it: what lies above will not be asked for. Of the others those stay that are well apart.
void RunningQuality::thin() {
  const auto from = std::find_if(levels_.begin(), levels_.end(), [this](const Level& level) { return level.loss <= goal(); });
  levels_.erase(levels_.begin(), from);
  if (levels_.size() <= kLevelsMax / 2) return;
  const double apart = (levels_.front().loss - levels_.back().loss) / (kLevelsMax / 2);
  std::size_t kept = 1;
  for (std::size_t i = 1; i < levels_.size(); ++i)
    if (levels_[i].loss <= levels_[kept - 1].loss - apart) levels_[kept++] = levels_[i];
  levels_.resize(kept);
}

double RunningQuality::best() const { return best_; }

std::optional<double> RunningQuality::seconds_to_90() const { return seconds_to_fraction(levels_, first_, best_, 0.9); }

double RunningQuality::loss_seconds(double until) const {
  const double range = first_ - best_;
  const auto left = [&](double fall) { return range > 0 ? std::clamp(1 - fall / range, 0.0, 1.0) : 1; };
  double sum = above_ + left(first_ - level_) * std::max(0.0, until - since_);
  for (const Bin& bin : bins_)
    if (bin.seconds > 0) sum += left(bin.fall / bin.seconds) * bin.seconds;
  return sum;
}

}  // namespace sluice::manager
