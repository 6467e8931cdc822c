#pragma once
/// What a sweep group has reached so far: ∫ (best loss of the group − best that any member reaches) / (first − that best) dt. One thread.

#include <string>
#include <vector>

#include "sim/track.h"

namespace sluice::sim {

class GroupScore {
 public:
  explicit GroupScore(std::string name) : name_(std::move(name)) {}
  /// `member` outlives it. REQUIRES: before the first advance().
  void add(const Track& member);
  /// All members went on, `seconds` long, to where they are now; the best loss is taken to have fallen evenly. Counts from the first member's arrival.
  void advance(double seconds);
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] double best() const { return best_; }  ///< loss, so far
  [[nodiscard]] GroupResult result() const { return {name_, loss_seconds_}; }

 private:
  std::string name_;
  std::vector<const Track*> members_;
  std::vector<double> seen_;  ///< of each member, how far its curve was looked at
  double first_ = 0, goal_ = 0, best_ = 0;
  double loss_seconds_ = 0;
};

}  // namespace sluice::sim
