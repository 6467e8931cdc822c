#pragma once
/// Who among the experts of `ensemble` is believed, at each of three distances. An expert is a line's change from one of three anchors. One thread.

#include <array>
#include <cstddef>
#include <cstdint>

#include "manager/predictors/free_curve.h"
#include "manager/predictors/shape_bank.h"
#include "manager/predictors/shape_fits.h"

namespace sluice::manager {

/// Lines that are fitted to the reports: first the free curves, then, at each forgetting rate, each shape of the bank. An expert is a line whose change is
/// counted from the last report, from the line's own level, or from half-way between. Some places hold no line, so that all loops go by eights.
struct ExpertLayout {
  static constexpr std::size_t kFirstShape = 16, kLines = kFirstShape + ShapeFits::kFits;
  static_assert(kFirstShape >= FreeCurves::kFits && kLines % 8 == 0);
  static constexpr std::size_t kAnchors = 3;
  static constexpr std::array<double, 3> kAhead = {1, 5, 20};  ///< reports ahead, at which experts are judged
  static constexpr std::size_t kBuckets = kAhead.size();
};

/// What all lines say, relative to the last report, in ranges. Places that hold no line may have any finite number.
struct LinesSay : ExpertLayout {
  std::array<std::array<float, kLines>, kBuckets> change{};  ///< of each distance
  std::array<float, kLines> level{};
};

/// The same of one distance, kept until its report comes: in 16 bits each (lanes.h).
struct KeptSay : ExpertLayout {
  std::array<std::uint16_t, kLines> change{}, level{};
  std::array<std::uint16_t, kFirstShape> decay{};  ///< of the free curves
  std::uint32_t fresh = 0;                         ///< a bit for each shape that began since: it has no say
  void keep(const LinesSay& say, std::size_t bucket, const std::array<FreeCurves::Fit, FreeCurves::kFits>& free);
  [[nodiscard]] std::array<float, kFirstShape> decays() const;
  void moved(const ShapeBank::Moves& from);
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
  /// alike. `newest`: what this judgement weighs against all before. `declared`: shapes in steps of all have a say. `later`: what each line's change is
  /// multiplied with, as the report did not come where it was meant to.
  struct Truth {
    double came = 0, off = 0, least = 0, newest = 0;
    bool declared = false;
  };
  void judge(std::size_t bucket, const KeptSay& said, const std::array<float, kLines>& later, const Truth& truth);
  [[nodiscard]] double judged(std::size_t bucket) const { return judged_[bucket].count; }
  /// Opinions for all distances; each leans on the nearer one's judgements while it has few of its own. `moves`: what reports
  /// move by at a time, squared: a line that lies far from the last report, against that, is believed less.
  void weigh(const LinesSay& say, double moves, bool declared, std::array<Opinion, kBuckets>& out) const;
  /// The bank has grown.
  void moved(const ShapeBank::Moves& from);

 private:
  struct Judged {
    std::array<std::array<std::uint16_t, kLines>, kAnchors> error{};  ///< mean squared error, relative to what usual experts made; in 16 bits
    float count = 0;
  };
  struct Priors;
  static const Priors& priors();
  std::array<Judged, kBuckets> judged_;
};

}  // namespace sluice::manager
