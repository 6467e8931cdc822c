#include "manager/predictors/last.h"

#include <algorithm>
#include <cmath>

namespace sluice::manager {
namespace {

class LastPredictor final : public Predictor {
 public:
  void observe(const LossPoint& point) override {
    if (!(std::abs(point.loss) <= 1e100) || (seen_ > 0 && point.step <= last_.step)) return;
    before_ = last_;
    last_ = point;
    ++seen_;
    lowest_ = seen_ == 1 ? point.loss : std::min(lowest_, point.loss);
    fresh_ = true;
  }
  int refit() override {
    if (!fresh_) return 0;
    fresh_ = false;
    taken_ = seen_;
    if (taken_ < 2) return 1;
    slope_ = (last_.loss - before_.loss) / static_cast<double>(last_.step - before_.step);
    level_ = last_.loss;
    floor_ = std::min(0.0, lowest_);
    return 1;
  }
  Forecast after(double steps) const override {
    const double change = slope_ * steps;
    const double mean = std::isfinite(change) ? std::max(floor_, level_ + change) : level_;
    return {mean, std::abs(slope_) * 0.5 * static_cast<double>(last_.step - before_.step) + std::abs(mean - level_)};
  }
  double floor() const override { return floor_; }
  bool ready() const override { return taken_ >= 2; }
  std::size_t bytes() const override { return sizeof(*this); }

 private:
  LossPoint before_, last_;
  std::uint64_t seen_ = 0, taken_ = 0;
  bool fresh_ = false;
  double lowest_ = 0, slope_ = 0, level_ = 0, floor_ = 0;
};

}  // namespace

std::unique_ptr<Predictor> make_last_predictor() { return std::make_unique<LastPredictor>(); }

}  // namespace sluice::manager
