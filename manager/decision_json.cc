#include "manager/decision_json.h"

namespace sluice::manager {

namespace {
constexpr std::size_t kRefusedInEntry = 3;

nlohmann::json refusal(const Refusal& r, const NameOf& name) { return {{"job", name(r.job)}, {"reason", name_of(r.reason)}, {"index", r.index}}; }
}  // namespace

void put_decision(nlohmann::json& entry, const JobDecision& d) {
  entry["share"] = d.share;
  entry["drop_with"] = d.drop_with;
  entry["drop_without"] = d.drop_without;
  entry["deviation"] = d.deviation;
  entry["index"] = d.index;
  entry["marginal_gain"] = d.marginal_gain;
  entry["reason"] = name_of(d.reason);
  entry["sentence"] = d.sentence;
}

nlohmann::json refused_json(const Decision& decision, const NameOf& name) {
  nlohmann::json out = nlohmann::json::array();
  for (const Refusal& r : decision.refused) {
    out.push_back(refusal(r, name));
    out.back()["sentence"] = r.sentence;
  }
  return out;
}

nlohmann::json refused_beside(JobId job, const Decision& decision, const NameOf& name) {
  nlohmann::json out = nlohmann::json::array();
  for (const Refusal& r : decision.refused)
    if (r.job != job && out.size() < kRefusedInEntry) out.push_back(refusal(r, name));
  return out;
}

}  // namespace sluice::manager
