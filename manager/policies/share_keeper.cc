#include "manager/policies/share_keeper.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/assert.h"
#include "manager/policies/claims.h"
#include "manager/policies/root_shares.h"

namespace sluice::manager {
namespace {

std::int64_t whole(double x) { return static_cast<std::int64_t>(x); }

class ShareKeeper final : public Incremental {
 public:
  explicit ShareKeeper(Hearing hearing) : hearing_(hearing) {}

  const Answer* decide(const ClusterView& view, std::uint32_t slots, std::span<const std::uint32_t> changed, bool anew) override {
    if (slots == 0 || view.fairness.strict) return nullptr;
    const std::size_t had = anew ? 0 : flat_.size(), count = view.jobs.size();
    SLUICE_ASSERT(had <= count);
    if (anew) forget();
    resize(count);
    if (anew)
      for (std::size_t i = 0; i < count; ++i) take(view, slots, i);
    else
      for (const std::uint32_t i : changed) take(view, slots, i);
    if (sums_.best > 0 || sums_.min > slots || near_linear(view, slots, stall(), static_cast<double>(sums_.working))) return nullptr;
    park(sums_.others > 0);
    carry_on(view, had);
    if (!anew)
      for (const std::uint32_t i : changed) flat_.held[i] = view.jobs[i].slots;
    weigh(view);
    flat_.decide(slots, {view.now, view.elapsed, view.round});
    answer();
    return &answer_;
  }

  void put(ClusterView& view) const override {
    for (std::size_t i = 0; i < flat_.size(); ++i) {
      JobView& v = view.jobs[i];
      v.rounding = whole(flat_.next_rounding[i]), v.deficit_ns = whole(flat_.next_deficit_ns[i]), v.quantum_since = flat_.next_since[i];
    }
  }
  void put_seen(ClusterView& view) const override {
    for (std::size_t i = 0; i < flat_.size(); ++i) {
      JobView& v = view.jobs[i];
      v.rounding = whole(flat_.rounding[i]), v.deficit_ns = whole(flat_.deficit_ns[i]), v.quantum_since = flat_.since[i];
    }
  }

 private:
  /// Over all jobs.
  struct Sums {
    std::uint64_t min = 0, working = 0, best = 0, others = 0;  ///< others: that can use slots and are not parked
  };

  void forget() {
    flat_.resize(0);
    resize(0);
    sums_ = {};
    stall_known_ = false;
  }
  void resize(std::size_t count) {
    flat_.resize(count);
    for (auto* of : {&weight_, &remaining_, &move_seconds_}) of->resize(count);
    submitted_.resize(count);
    for (auto* of : {&parked_, &best_}) of->resize(count);
  }
  void tally(std::size_t i, std::uint64_t sign) {
    const bool works = flat_.full[i] > 0;
    sums_.min += sign * flat_.min[i];
    sums_.working += works ? sign : 0;
    sums_.best += best_[i] != 0 ? sign : 0;
    sums_.others += works && parked_[i] == 0 ? sign : 0;
  }
  void take(const ClusterView& view, std::uint32_t slots, std::size_t i) {
    const JobView& job = view.jobs[i];
    tally(i, ~std::uint64_t{0});
    const double move_before = flat_.full[i] > 0 ? move_seconds_[i] : 0;
    weight_[i] = job.weight;
    remaining_[i] = remaining_loss(job, hearing_, 0);
    move_seconds_[i] = job.move_cost.seconds();
    submitted_[i] = job.submitted;
    parked_[i] = job.phase == JobPhase::kDiverging ? 1 : 0;
    const std::uint32_t full = std::min({job.slots_max, job.usable, slots});
    best_[i] = job.best && !job.group.empty() && full > 0 ? 1 : 0;
    const std::uint32_t least = std::min(job.slots_min, full);
    flat_.quantum_ns[i] = static_cast<double>(quantum_of(view, job).ns);
    flat_.full[i] = full;
    flat_.min[i] = job.phase == JobPhase::kEvaluating && full > 0 ? std::max(least, 1U) : least;
    flat_.max[i] = parked_[i] != 0 && others_ ? flat_.min[i] : full;
    tally(i, 1);
    stall_known_ = stall_known_ && move_before == (full > 0 ? move_seconds_[i] : 0);
  }
  /// While others can use slots, parked jobs have their minimum.
  void park(bool others) {
    if (std::exchange(others_, others) == others) return;
    for (std::size_t i = 0; i < flat_.size(); ++i) flat_.max[i] = parked_[i] != 0 && others ? flat_.min[i] : flat_.full[i];
  }
  [[nodiscard]] double stall() {
    if (!stall_known_) {
      stall_ = 0;
      for (std::size_t i = 0; i < flat_.size(); ++i)
        if (flat_.full[i] > 0) stall_ += move_seconds_[i];
      stall_known_ = true;
    }
    return stall_;
  }
  /// What the last call decided is what this one begins with; new jobs' is in the view.
  void carry_on(const ClusterView& view, std::size_t had) {
    std::swap(flat_.rounding, flat_.next_rounding);
    std::swap(flat_.deficit_ns, flat_.next_deficit_ns);
    std::swap(flat_.held, flat_.slots);
    std::swap(flat_.since, flat_.next_since);
    for (std::size_t i = had; i < flat_.size(); ++i) {
      const JobView& v = view.jobs[i];
      flat_.rounding[i] = static_cast<float>(v.rounding), flat_.deficit_ns[i] = static_cast<double>(v.deficit_ns), flat_.held[i] = v.slots,
      flat_.since[i] = v.quantum_since;
    }
  }
  // What is written may be anything, the compiler has to think, members too: so locals.
  void weigh(const ClusterView& view) {
    const RootWorth aged(view);
    double* const root = flat_.root.data();
    const double *const weight = weight_.data(), *const remaining = remaining_.data();
    const Instant* const submitted = submitted_.data();
    for (std::size_t i = 0, end = flat_.size(); i < end; ++i) root[i] = std::sqrt(RootWorth::worth(weight[i], remaining[i], aged.ageing(submitted[i], {})));
  }
  void answer() {
    answer_.changes.clear();
    answer_.price = flat_.price();
    answer_.by_index = false;
    const std::uint32_t *const slots = flat_.slots.data(), *const held = flat_.held.data();
    for (std::size_t i = 0, end = flat_.size(); i < end; ++i)
      if (slots[i] != held[i]) answer_.changes.push_back({static_cast<std::uint32_t>(i), slots[i]});
  }

  Hearing hearing_;
  std::vector<double> weight_, remaining_, move_seconds_;
  std::vector<std::uint8_t> parked_, best_;
  std::vector<Instant> submitted_;
  Sums sums_;
  bool others_ = false;
  double stall_ = 0;
  bool stall_known_ = false;
  RootShares flat_;
  Answer answer_;
};

}  // namespace

std::unique_ptr<Incremental> make_share_keeper(Hearing hearing) { return hearing == Hearing::kAttained ? nullptr : std::make_unique<ShareKeeper>(hearing); }

}  // namespace sluice::manager
