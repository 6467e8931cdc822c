#include "manager/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "manager/policies/asha.h"
#include "manager/policies/fair.h"
#include "manager/policies/in_order.h"
#include "manager/policies/optimus.h"
#include "manager/policies/share_rule.h"
#include "manager/policies/slaq.h"

namespace sluice::manager {

double rung_step(double declared_steps, std::size_t k) {
  constexpr std::size_t kOfDeclared = 3, kOfSteps = 12;
  constexpr double kFirst = 100;
  if (k >= (declared_steps > 0 ? kOfDeclared : kOfSteps)) return 0;
  const double power = std::pow(kRungFactor, static_cast<double>(k));
  return declared_steps > 0 ? std::max(1.0, declared_steps / 27 * power) : kFirst * power;
}

std::uint32_t slots_of(const ClusterView& view) {
  std::uint32_t slots = 0;
  for (const HostView& host : view.hosts) slots += host.slots;
  return slots;
}

std::optional<Fairness> parse_fairness(const std::string& text) {
  if (text == "strict") return Fairness{.strict = true};
  Fairness out;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.ageing);
  if (error != std::errc() || end != text.data() + text.size() || !(out.ageing >= 0 && out.ageing <= 1)) return std::nullopt;
  return out;
}

std::string to_text(const Fairness& fairness) { return fairness.strict ? "strict" : fmt::format("{}", fairness.ageing); }

std::string_view name_of(Reason reason) {
  switch (reason) {
    case Reason::kShare:
      return "share";
    case Reason::kTurn:
      return "turn";
    case Reason::kTurnOver:
      return "turn_over";
    case Reason::kWaitingTurn:
      return "waiting_turn";
    case Reason::kFirstReports:
      return "first_reports";
    case Reason::kLargestDrop:
      return "largest_drop";
    case Reason::kSmallerDrop:
      return "smaller_drop";
    case Reason::kQuantum:
      return "quantum";
    case Reason::kFinishFirst:
      return "finish_first";
    case Reason::kMinimum:
      return "minimum";
    case Reason::kParked:
      return "parked";
    case Reason::kSpare:
      return "spare";
    case Reason::kNoSlots:
      return "no_slots";
    case Reason::kWorkerLost:
      return "worker_lost";
    case Reason::kEnded:
      return "ended";
    case Reason::kPaused:
      return "paused";
    case Reason::kCancelled:
      return "cancelled";
    case Reason::kResumed:
      return "resumed";
    case Reason::kChanged:
      return "changed";
  }
  return "share";
}

PolicyRegistry builtin_policies() {
  PolicyRegistry registry("policy");
  registry.add("fair", [] { return make_fair_policy(); });
  registry.add("asha", [] { return make_asha_policy(); });
  registry.add("fifo", [] { return make_fifo_policy(); });
  registry.add("las", [] { return make_share_rule("las", Hearing::kAttained); });
  registry.add("optimus", [] { return make_optimus_policy(); });
  registry.add("progress", [] { return make_share_rule("progress", Hearing::kProgress); });
  registry.add("sluice", [] { return make_share_rule("sluice", Hearing::kLoss); });
  registry.add("slaq", [] { return make_slaq_policy(); });
  registry.add("slaq-maxmin", [] { return make_slaq_maxmin_policy(); });
  registry.add("srtf", [] { return make_srtf_policy(); });
  return registry;
}

}  // namespace sluice::manager
