#include "server/optimizer.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "server/schedule.h"

namespace sluice::server {

bool all_finite(const UnalignedFloat* values, std::size_t n) {
  using UnalignedBits [[gnu::aligned(1), gnu::may_alias]] = std::uint32_t;
  const UnalignedBits* bits = reinterpret_cast<const UnalignedBits*>(values);  // not auto: deduction drops the type's alignment
  constexpr std::uint32_t kInfinity = 0x7f800000;                              // without its sign, every NaN's and infinity's pattern is at least this
  std::uint32_t bad = 0;
  for (std::size_t i = 0; i < n; ++i) bad |= static_cast<std::uint32_t>((bits[i] & 0x7fffffffU) >= kInfinity);
  return bad == 0;
}

const OptimizerRegistry& builtin_optimizers() {
  static const OptimizerRegistry registry = [] {
    OptimizerRegistry made("optimizer");
    made.add("sgd", sgd_kind());
    made.add("adagrad", adagrad_kind());
    made.add("adam", adam_kind());
    made.add("adamw", adamw_kind());
    made.add("momentum", momentum_kind());
    made.add("nesterov", nesterov_kind());
    made.add("rmsprop", rmsprop_kind());
    made.add("ftrl", ftrl_kind());
    made.add("add", add_kind());
    return made;
  }();
  return registry;
}

namespace {
constexpr double kStepsMax = 4e9;
constexpr NumberRule kClip{"clip", 0, 0, 1e30, false};
constexpr std::array kScheduleNumbers{NumberRule{"schedule.warmup", 0, 0, kStepsMax, true}, NumberRule{"schedule.every", 0, 1, kStepsMax, true},
                                      NumberRule{"schedule.factor", 0.1, 0, 1, false}, NumberRule{"schedule.steps", 0, 0, kStepsMax, true},
                                      NumberRule{"schedule.floor", 0, 0, 1, true}};

/// The kind's own, and what it shares with others.
std::vector<NumberRule> rules_of(const OptimizerKind& kind) {
  std::vector<NumberRule> out = kind.numbers;
  if (kind.gradient) out.push_back(kClip);
  if (kind.scheduled) out.insert(out.end(), kScheduleNumbers.begin(), kScheduleNumbers.end());
  return out;
}

Result<void> check_number(const proto::OptimizerSpec& spec, const OptimizerKind& kind, const std::string& name, double value) {
  std::vector<std::string> known;
  for (const NumberRule& rule : rules_of(kind)) {
    known.emplace_back(rule.name);
    if (rule.name != name) continue;
    const bool low_ok = rule.low_allowed ? value >= rule.low : value > rule.low;
    if (low_ok && value < rule.high) return {};
    return fail(Errc::kBadConfig, fmt::format("{} of optimizer '{}' is {}; it must be {} {} and < {}", name, spec.name, value, rule.low_allowed ? ">=" : ">",
                                              rule.low, rule.high));
  }
  if (!kind.scheduled && name.starts_with("schedule.")) return fail(Errc::kBadConfig, fmt::format("optimizer '{}' takes no schedule", spec.name));
  if (known.empty()) return fail(Errc::kBadConfig, fmt::format("optimizer '{}' takes no numbers, not '{}'", spec.name, name.substr(0, 80)));
  return fail(Errc::kBadConfig, text::unknown_name(fmt::format("number of optimizer '{}'", spec.name), name, known));
}

Result<const OptimizerKind*> checked_kind(const proto::OptimizerSpec& spec) {
  const auto kind = builtin_optimizers().find(spec.name);
  if (!kind) return fail(kind.error());
  for (const auto& [name, value] : spec.numbers) {
    if (auto ok = check_number(spec, **kind, name, value); !ok) return fail(ok.error());
  }
  if (const auto schedule = Schedule::of(spec); !schedule)
    return fail(schedule.error().code, fmt::format("optimizer '{}': {}", spec.name, schedule.error().what));
  return *kind;
}

/// Another optimizer, with the rate of the step.
class Scheduled final : public Optimizer {
 public:
  Scheduled(std::unique_ptr<const Optimizer> optimizer, const Schedule& schedule) : optimizer_(std::move(optimizer)), schedule_(schedule) {}
  [[nodiscard]] std::size_t state_floats(std::size_t n) const override { return optimizer_->state_floats(n); }
  void apply(const UpdateSpan& span, UpdateInfo info) const override {
    info.rate *= schedule_.factor(info.step);
    optimizer_->apply(span, info);
  }

 private:
  const std::unique_ptr<const Optimizer> optimizer_;
  const Schedule schedule_;
};
}  // namespace

Result<void> check_optimizer(const proto::OptimizerSpec& spec) {
  if (auto kind = checked_kind(spec); !kind) return fail(kind.error());
  return {};
}

Result<std::unique_ptr<const Optimizer>> make_optimizer(const proto::OptimizerSpec& spec) {
  const auto kind = checked_kind(spec);
  if (!kind) return fail(kind.error());
  proto::OptimizerSpec full = spec;  // the makers then read every number without knowing defaults
  for (const NumberRule& rule : (*kind)->numbers) full.numbers.try_emplace(std::string(rule.name), rule.otherwise);
  auto made = (*kind)->make(full);
  const auto schedule = Schedule::of(spec);
  if (schedule->constant()) return made;
  return std::make_unique<const Scheduled>(std::move(made), *schedule);
}

}  // namespace sluice::server
