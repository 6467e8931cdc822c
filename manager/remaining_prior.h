#pragma once
/// What past jobs teach about a new one: how much of a loss is left at which share of the declared steps, by model, and how long jobs of a model take. Learnt
/// from finished jobs, kept in the manager's store, readable as JSON. One thread.

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/loss_curve.h"
#include "base/result.h"

namespace sluice::manager {

class RemainingPrior {
 public:
  /// Shares of the steps at which means are kept: 0, 1/kShares, …, 1; straight lines between.
  static constexpr std::size_t kShares = 64;
  static constexpr std::size_t kFamiliesMax = 256;
  static constexpr std::size_t kTotalsMax = 64;  ///< lengths remembered, a family

  /// Knows nothing: remaining() is 1 − share.
  RemainingPrior() = default;
  /// What this project's own recorded runs gave (docs/predictors.md has the command).
  [[nodiscard]] static RemainingPrior shipped();

  /// A finished job's curve (at least kPointsMin points), which took `total_steps` steps. Its remaining normalised loss is clip((loss − best)/(first − best)),
  /// made never to rise by least squares; curves that never fell are left out. Returns whether it was taken.
  static constexpr std::size_t kPointsMin = 8;
  bool learn(const std::string& family, std::span<const LossPoint> points, double total_steps);

  struct Value {
    double mean = 1;       ///< T(share): in [0, 1], not rising with the share
    double deviation = 0;  ///< between jobs
    double jobs = 0;       ///< how many jobs of the family speak through it (the others' mean counts as kPoolWeight)
  };
  /// REQUIRES: share ≥ 0; above 1 counts as 1. An unknown family is told the mean over all.
  static constexpr double kPoolWeight = 4;
  [[nodiscard]] Value remaining(const std::string& family, double share) const;

  /// The steepest average fall from there, rounded down to a share that means are kept at, to any later one: max (T(share) − T(u)) / (u − share). ≥ 0.
  /// REQUIRES: share ≥ 0.
  [[nodiscard]] double steepest(const std::string& family, double share) const;

  struct Length {
    double steps = 0;
    double jobs = 0;  ///< finished jobs of the family that say so; 0: a guess from how far it has come
  };
  /// How many steps a job that has done `step` ≥ 0 will take in all, where nobody declared it: the median of the family's past lengths above `step`; without
  /// one, twice `step`: who has come so far will about go as far again.
  [[nodiscard]] Length total_steps(const std::string& family, double step) const;

  [[nodiscard]] nlohmann::json to_json() const;
  /// Errors: kIo (not such a record).
  [[nodiscard]] static Result<RemainingPrior> from_json(const nlohmann::json& json);
  /// A record, whole or not, of a build whose loss curves lost how jobs of more than 256 reports began: what it says is wrong.
  [[nodiscard]] static bool of_older_build(const nlohmann::json& json);

 private:
  struct Family {
    double jobs = 0;
    std::vector<double> sum, squares;  ///< kShares + 1 each
    std::vector<double> totals;        ///< newest last
  };
  /// What all families say to one: sums over `jobs` at each share, and the steepest fall from there.
  struct Told {
    double jobs = 0, own = 0;
    std::vector<double> sum, squares, steepest;
  };
  [[nodiscard]] const Told& told(const std::string& family) const;
  std::map<std::string, Family> families_;
  mutable std::map<std::string, Told> told_;  ///< made when asked for; empty after something was learnt
};

}  // namespace sluice::manager
