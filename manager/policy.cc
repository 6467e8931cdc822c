#include "manager/policy.h"

#include <fmt/format.h>

#include <charconv>

#include "manager/policies/fair.h"
#include "manager/policies/share_rule.h"
#include "manager/policies/slaq.h"

namespace sluice::manager {

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
  registry.add("las", [] { return make_share_rule("las", Hearing::kAttained); });
  registry.add("progress", [] { return make_share_rule("progress", Hearing::kProgress); });
  registry.add("sluice", [] { return make_share_rule("sluice", Hearing::kLoss); });
  registry.add("slaq", [] { return make_slaq_policy(); });
  return registry;
}

}  // namespace sluice::manager
