#include "manager/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <set>

#include "manager/decision_json.h"
#include "manager/placement.h"
#include "manager/round.h"
#include "manager/view_json.h"

namespace sluice::manager {
namespace {

using nlohmann::json;

std::string dumped(const json& line) { return line.dump(-1, ' ', false, json::error_handler_t::replace); }

const JobDecision* decided_of(const Decision& decision, std::uint64_t id) {
  const auto d = std::find_if(decision.jobs.begin(), decision.jobs.end(), [id](const JobDecision& of) { return of.job.value == id; });
  return d == decision.jobs.end() ? nullptr : &*d;
}

bool is_over(const std::string& state) {
  return state == name_of(JobState::kDone) || state == name_of(JobState::kFailed) || state == name_of(JobState::kCancelled);
}

/// The workers' slots as the record tells them.
class RecordedFleet {
 public:
  /// Brings it to where the round began: workers that are gone (those of "lost" moves first), and new ones.
  void begin(const RecordedRound& round) {
    if (round.first) fleet_ = Fleet{};
    std::set<std::string> lost;
    for (const json& move : round.json.at("moves"))
      if (move.value("lost", false)) lost.insert(move.at("worker").get<std::string>());
    std::vector<WorkerId> gone;
    for (const auto& [id, worker] : fleet_.workers()) {
      const auto host = std::find_if(round.view.hosts.begin(), round.view.hosts.end(), [&, &known = id](const HostView& h) { return h.id == known; });
      if (lost.contains(worker.name) || host == round.view.hosts.end() || host->slots != worker.slots.size()) gone.push_back(id);
    }
    for (const WorkerId id : gone) (void)fleet_.remove(id);
    for (const HostView& host : round.view.hosts)
      if (!fleet_.workers().contains(host.id)) fleet_.add(host.id, host.name, host.slots);
  }
  std::vector<SlotChange> place_all(const Decision& decision, const json& entries) {
    std::map<JobId, std::uint32_t> counts;
    for (const JobId job : fleet_.holders()) counts[job] = 0;
    for (const JobDecision& d : decision.jobs) counts[d.job] = d.slots;
    std::vector<Wanted> wanted;
    for (const auto& [job, slots] : counts) wanted.push_back({job, slots});
    std::vector<SlotChange> changes = place(fleet_, wanted);
    for (const SlotChange& change : changes) {
      fleet_.apply(change);
      const auto from = std::find_if(entries.begin(), entries.end(), [&](const json& e) { return e.at("id") == change.from.value; });
      if (from != entries.end() && is_over(from->at("state"))) fleet_.forget(change.from);
    }
    return changes;
  }
  [[nodiscard]] const Fleet& fleet() const { return fleet_; }

 private:
  Fleet fleet_;
};

/// What a decision says of an entry of "changes", over what was recorded of it.
void decide_entry(json& entry, const Decision& decision, const NameOf& name) {
  const JobDecision* d = decided_of(decision, entry.at("id"));
  if (d == nullptr) return;  // it had ended: no policy's business
  const std::uint32_t before = entry.at("before");
  const std::string said = entry.at("sentence");
  const std::size_t lost = entry.at("reason") == name_of(Reason::kWorkerLost) ? said.find("; ") : std::string::npos;
  entry["after"] = d->slots;
  put_decision(entry, *d);
  if (lost != std::string::npos) {
    entry["reason"] = name_of(Reason::kWorkerLost);
    entry["sentence"] = said.substr(0, lost + 2) + d->sentence;
  }
  entry["refused"] = d->slots > before ? refused_beside(d->job, decision, name) : json::array();
}

/// The line as it would be recorded with this decision: facts as they were, what follows from the decision anew.
json again_line(const RecordedRound& round, const Policy& policy, const Decision& decision, const std::vector<SlotChange>& changes, const Fleet& fleet,
                const std::map<std::uint64_t, std::string>& names) {
  json line = round.json;
  line["price"] = decision.price;
  line["policy"] = policy.name();
  const NameOf name = [&](JobId id) { return json(names.at(id.value)); };
  for (json& entry : line.at("changes")) decide_entry(entry, decision, name);
  // A job that the record says nothing of, though its slots change now.
  for (const SlotChange& c : changes)
    for (const JobId id : {c.from, c.to})
      if (id != JobId{} && std::none_of(line["changes"].begin(), line["changes"].end(), [&](const json& e) { return e.at("id") == id.value; }))
        line["changes"].push_back({{"id", id.value}, {"job", names.contains(id.value) ? names.at(id.value) : "?"}});
  json moves = json::array();
  const auto named = [&](JobId id) { return id == JobId{} || !names.contains(id.value) ? json() : json(names.at(id.value)); };
  for (const SlotChange& c : changes)
    moves.push_back({{"worker", fleet.workers().at(c.at.worker).name}, {"slot", c.at.slot.value}, {"from", named(c.from)}, {"to", named(c.to)}});
  for (const json& move : round.json.at("moves"))
    if (move.value("lost", false)) moves.push_back(move);
  line["moves"] = std::move(moves);
  line["refused"] = refused_json(decision, name);
  return line;
}

Difference difference_of(const RecordedRound& round, const json& again) {
  Difference out{round.line, round.json.at("decision"), "", round.text, dumped(again)};
  const json patch = json::diff(round.json, again);
  if (patch.empty()) return out;
  out.where = patch.front().at("path");
  const json::json_pointer at(out.where);
  out.recorded = round.json.contains(at) ? dumped(round.json.at(at)) : "nothing";
  out.again = patch.front().contains("value") ? dumped(patch.front().at("value")) : "nothing";
  return out;
}

class Replayer {
 public:
  explicit Replayer(const std::string& policy) : wanted_(policy) { out_.policy = policy; }

  Result<void> take(const RecordedRound& round) {
    const std::string recorded = round.json.at("policy");
    auto policy = policy_of(wanted_ == "same" ? recorded : wanted_);
    if (!policy) return fail(policy.error());
    note_version(recorded, round.json.at("policy_version"), **policy);
    const auto memo = (*policy)->make_memo();
    Decision decision = (*policy)->decide(round.view, *memo);
    say_paused(round.view, decision);
    for (const JobView& v : round.view.jobs) names_[v.id.value] = v.name;
    for (const json& entry : round.json.at("changes")) names_.try_emplace(entry.at("id"), entry.at("job"));
    count(round, decision);
    if (wanted_ != "same" || out_.first) return {};
    fleet_.begin(round);
    const auto changes = fleet_.place_all(decision, round.json.at("changes"));
    const json again = again_line(round, **policy, decision, changes, fleet_.fleet(), names_);
    if (dumped(again) != round.text) out_.first = difference_of(round, again);
    return {};
  }
  Replay result() && { return std::move(out_); }

 private:
  Result<const Policy*> policy_of(const std::string& name) {
    auto& policy = policies_[name];
    if (policy != nullptr) return policy.get();
    const auto registry = builtin_policies();
    const auto make = registry.find(name);
    if (!make) return fail(make.error());
    policy = (**make)();
    return policy.get();
  }
  void note_version(const std::string& recorded, std::uint32_t version, const Policy& policy) {
    const std::string said = fmt::format("{} {}", recorded, version);
    if (!std::any_of(out_.recorded_policies.begin(), out_.recorded_policies.end(), [&](const auto& known) { return known == said; })) {
      out_.recorded_policies.push_back(said);
      if (policy.name() == recorded && policy.version() != version)
        out_.versions.push_back(fmt::format("{}: recorded with version {}, this is version {}", recorded, version, policy.version()));
    }
  }
  void count(const RecordedRound& round, const Decision& decision) {
    const double now = (round.view.now - Instant{}).seconds(), passed = out_.rounds == 0 || round.first ? 0 : now - last_;
    out_.seconds += passed;
    for (const auto& [id, slots] : held_)
      out_.jobs[id].recorded_slot_seconds += passed * slots.first, out_.jobs[id].again_slot_seconds += passed * slots.second;
    held_.clear();
    last_ = now;
    ++out_.rounds;
    std::map<std::uint64_t, std::uint32_t> after;
    for (const JobView& v : round.view.jobs) after[v.id.value] = v.slots;
    for (const json& entry : round.json.at("changes")) after[entry.at("id")] = entry.at("after");
    std::uint64_t apart = 0;
    for (const JobDecision& d : decision.jobs) {
      ReplayedJob& job = out_.jobs[d.job.value];
      const std::uint32_t recorded = after[d.job.value];
      job.name = names_.at(d.job.value);
      ++job.rounds;
      job.differing += recorded != d.slots ? 1 : 0;
      apart += d.slots > recorded ? d.slots - recorded : 0;
      held_[d.job.value] = {recorded, d.slots};
    }
    out_.slots_changed += apart;
    out_.differing_rounds += apart > 0 ? 1 : 0;
  }

  std::string wanted_;
  Replay out_;
  std::map<std::string, std::unique_ptr<Policy>> policies_;
  std::map<std::uint64_t, std::string> names_;
  std::map<std::uint64_t, std::pair<std::uint32_t, std::uint32_t>> held_;  ///< by job, since the round before: as recorded, and again
  RecordedFleet fleet_;
  double last_ = 0;
};

}  // namespace

Result<void> read_rounds(const std::string& path, const std::function<Result<void>(const RecordedRound&)>& each) {
  std::ifstream in(path);
  if (!in) return fail(Errc::kNotFound, fmt::format("{}: there is no such file", path));
  json view = json::object();
  std::uint64_t last = 0, term = 0, rounds = 0;
  RecordedRound round;
  const auto bad = [&](const std::string& what) { return fail(Errc::kBadData, fmt::format("{}:{}: {}", path, round.line, what)); };
  while (std::getline(in, round.text)) {
    ++round.line;
    if (in.eof()) return bad("the line is cut: it has no end");
    round.json = json::parse(round.text, nullptr, false);
    if (!round.json.is_object()) return bad("not a JSON object");
    try {
      if (round.json.at("version") != 1) return bad("a line of another version than 1");
      if (round.json.at("kind") != "round") continue;
      const std::uint64_t decision = round.json.at("decision");
      if (last != 0 && decision != last + 1) return bad(fmt::format("decision {} follows {}: lines are missing", decision, last));
      if (last == 0 && decision != 1) return bad(fmt::format("the first decision is {}: lines are missing", decision));
      last = decision;
      round.first = rounds++ == 0 || round.json.at("term") != term;
      term = round.json.at("term");
      if (round.first) view = json::object();
      view.merge_patch(round.json.at("view"));
      auto seen = view_from_json(view);
      if (!seen) return bad(seen.error().what);
      round.view = std::move(*seen);
      if (auto taken = each(round); !taken) return taken;
    } catch (const std::exception& e) { return bad(fmt::format("not a line of a round: {}", e.what())); }
  }
  if (rounds == 0) {
    round.line = std::max<std::size_t>(round.line, 1);
    return bad("there is no round in it");
  }
  return {};
}

Result<Replay> replay(const std::string& path, const std::string& policy) {
  if (policy != "same")
    if (const auto known = builtin_policies().find(policy); !known) return fail(Errc::kBadConfig, fmt::format("{}; or same", known.error().what));
  Replayer replayer(policy);
  if (auto read = read_rounds(path, [&](const RecordedRound& round) { return replayer.take(round); }); !read) return fail(read.error());
  return std::move(replayer).result();
}

}  // namespace sluice::manager
