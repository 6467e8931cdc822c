#pragma once
/// Who among the experts of `ensemble` is believed, at each of three distances. An expert is a line's change from one of three anchors. One thread.

#include <array>
#include <cstddef>

#include "manager/predictors/free_curve.h"
#include "manager/predictors/shape_bank.h"

namespace sluice::manager {

/// Lines that are fitted to the reports: first the free curves, then each shape of the bank at each forgetting rate. An expert is a line whose change is
/// counted from the last report, from the line's own level, or from half-way between.
struct ExpertLayout {
  static constexpr std::array<double, 3> kKept = {0.75, 0.92, 0.98};  ///< what a report weighs after one more
  static constexpr std::size_t kRates = kKept.size(), kShapeFits = ShapeBank::kShapes * kRates, kLines = FreeCurves::kFits + kShapeFits;
  static constexpr std::size_t kAnchors = 3;
  static constexpr std::array<double, 3> kAhead = {1, 5, 20};  ///< reports ahead, at which experts are judged
  static constexpr std::size_t kBuckets = kAhead.size();
};

/// What all lines say of one distance, relative to the last report.
struct LinesSay : ExpertLayout {
  std::size_t count = 0;               ///< lines in use: the first so many
  std::array<float, kLines> change{};  ///< NaN: has no say
  std::array<float, kLines> level{};
};

/// Their weighted mean.
struct Opinion : ExpertLayout {
  std::array<float, kLines> weight{};  ///< of each line, over the anchors; all together 1
  double base = 0;                     ///< of the anchors, less the last report
  double mean = 0, quarrel = 0;        ///< at the distance, less the last report; variance between experts
};

class Experts : public ExpertLayout {
 public:
  Experts();
  /// What was said of a report that came in `bucket`: it was `came` above the report before, and the ensemble was `off` from it. Errors below `least` are
  /// alike. `newest`: what this judgement weighs against all before.
  void judge(std::size_t bucket, const LinesSay& said, double came, double off, double least, double newest);
  [[nodiscard]] double judged(std::size_t bucket) const { return judged_[bucket].count; }
  /// Opinions for all distances; each leans on the nearer one's judgements while it has few of its own. `moves`: what reports
  /// move by at a time, squared: a line that lies far from the last report, against that, is believed less.
  void weigh(const std::array<LinesSay, kBuckets>& say, double moves, std::array<Opinion, kBuckets>& out) const;
  /// The bank has grown: shape i is now what `from[i]` says.
  void moved(const std::array<ShapeBank::From, ShapeBank::kShapes>& from);

 private:
  using Errors = std::array<std::array<float, kLines>, kAnchors>;
  struct Judged {
    Errors error{};  ///< mean squared error, relative to what usual experts made
    float count = 0;
  };
  static const std::array<Judged, kBuckets>& nothing_judged();
  std::array<Judged, kBuckets> judged_;
};

}  // namespace sluice::manager
