#include "manager/detail/core.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/log.h"

namespace sluice::manager {
namespace {

constexpr const char* kTableKey = "slot_table";
constexpr const char* kPriorKey = "remaining_prior";
constexpr const char* kMembersKey = "membership";
constexpr const char* kNextIdKey = "next_job_id";
constexpr const char* kJobPrefix = "job/";
constexpr int kRefitAStep = 100;  ///< solver iterations: some tenths of a millisecond
constexpr Duration kStoreAgain = from_ms(1000);
constexpr Duration kSummaryEvery = from_ms(1000), kForgetEvery = from_ms(1000);
constexpr Duration kLeaderFor = from_ms(10'000);

std::string job_key(JobId id) { return fmt::format("{}{:020}", kJobPrefix, id.value); }

RoundOptions round_options(const ManagerOptions& o, Instant began) {
  RoundOptions out;
  out.round = from_ms(o.round_ms);
  out.quantum_min = from_ms(o.quantum_ms_min);
  out.fairness = o.fairness;
  out.began = began;
  return out;
}

/// The kind that a fault's code names; kJobFailed for any other word.
Errc code_of(const std::string& name) {
  for (const Errc code : {Errc::kBadConfig, Errc::kBadData, Errc::kCannotConnect, Errc::kDenied, Errc::kUnplaceable, Errc::kTimedOut, Errc::kInternal,
                          Errc::kNotFound, Errc::kIo})
    if (name == name_of(code)) return code;
  return Errc::kJobFailed;
}

}  // namespace

Core::Core(const ManagerOptions& options, const Clock& clock, std::unique_ptr<Store> store, std::unique_ptr<Policy> policy, MakePredictor predictor)
    : options_(options),
      out_dir_(options.out_dir.empty() ? options.state_dir : options.out_dir),
      clock_(clock),
      began_(clock.now()),
      store_(std::move(store)),
      members_(from_ms(options.suspicion_ms)),
      ring_(options.servers, {.virtual_nodes = options.virtual_nodes, .load_bound = options.load_bound}),
      jobs_(std::move(predictor)),
      rounds_(round_options(options, began_), std::move(policy), jobs_, fleet_),
      outbox_(from_ms(options.heartbeat_ms)),
      checkpoints_(from_ms(options.heartbeat_ms)),
      next_round_(began_) {}

Result<void> Core::open() {
  const auto term = store_->acquire("manager", kLeaderFor);
  if (!term) return fail(term.error());
  term_ = *term;
  if (auto found = restore(); !found) return found;
  std::error_code error;
  if (std::filesystem::create_directories(out_dir_, error); error)
    return fail(Errc::kIo, fmt::format("cannot make the output folder {}: {}", out_dir_, error.message()));
  if (auto opened = log_.open(out_dir_ + "/decisions.jsonl"); !opened) return opened;
  log_.keep_only([this](const std::string& name) { return jobs_.find(name) != nullptr; });
  if (auto opened = losses_.open(out_dir_); !opened) return opened;
  rounds_.resume_after(log_.last_decision());
  decision_ = DecisionId{log_.last_decision()};
  return {};
}

Result<void> Core::restore() {
  const auto stored = store_->list("");
  if (!stored) return fail(stored.error());
  for (const StoreEntry& entry : *stored) {
    revisions_[entry.key] = entry.revision;
    Result<void> taken;
    if (entry.key == kTableKey) taken = ring_.restore(entry.value);
    if (entry.key == kMembersKey) taken = members_.restore(entry.value);
    if (entry.key == kPriorKey) taken = restore_prior(entry.value);
    if (entry.key == kNextIdKey) taken = restore_next_id(entry.value);
    if (entry.key.starts_with(kJobPrefix)) taken = jobs_.restore(entry.value, {clock_.now(), clock_.wall_ms()});
    if (!taken) return fail(Errc::kIo, fmt::format("the state folder {} cannot be read: {}: {}", options_.state_dir, entry.key, taken.error().what));
  }
  if (!jobs_.live().empty()) log::info("{} jobs of an earlier manager go on", jobs_.live().size());
  return {};
}

Result<void> Core::restore_prior(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (RemainingPrior::of_older_build(json)) {
    log::warn("what past jobs taught an older build is left behind: of jobs with more than 256 reports it was wrong");
    return {};
  }
  auto prior = RemainingPrior::from_json(json);
  if (!prior) return fail(prior.error());
  jobs_.set_prior(std::move(*prior));
  return {};
}

Result<void> Core::restore_next_id(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_number_unsigned()) return fail(Errc::kIo, "the next job's id is no number");
  jobs_.go_on_from(json);
  return {};
}

Result<void> Core::put(const std::string& key, const std::string& value) {
  const auto revision = store_->put_if(term_, key, revisions_[key], value);
  if (!revision) return fail(revision.error());
  revisions_[key] = *revision;
  return {};
}

void Core::problem(const std::string& key, const Result<void>& outcome) {
  if (outcome) {
    if (problems_.erase(key) > 0) log::info("{}: well again", key);
    return;
  }
  std::string& words = problems_[key];
  if (words != outcome.error().what) log::error("{}", outcome.error().what);
  words = outcome.error().what;
}

Result<const Member*> Core::join(const proto::Register& body, const net::PeerId& peer, std::uint64_t request) {
  const auto joined = members_.add(body, peer, request, clock_.now());
  if (!joined) return fail(joined.error());
  const Member* member = joined->member;
  if (joined->replaced) lose(*joined->replaced);
  if (members_.take_dirty()) {
    const auto stored = put(kMembersKey, members_.stored());
    problem("membership", stored);
    if (!stored) {
      members_.mark_dirty();
      return fail(stored.error());
    }
  }
  if (!joined->fresh) return member;
  problems_.erase(fmt::format("{}/{}", body.role == proto::Role::kServer ? "server" : "worker", body.name));
  if (body.role == proto::Role::kWorker) {
    fleet_.add(WorkerId{member->id}, member->name, member->slots);
    outbox_.grant(WorkerId{member->id}, decision_);
    log::info("worker {} is there with {} slots", member->name, member->slots);
  } else {
    // It may have missed how jobs ended while it was away.
    for (const auto& [id, job] : jobs_.all())
      if (job.ended()) outbox_.end(id, {ServerId{member->id}}, clock_.now(), keep_of(id));
    log::info("server {} is there with {} lanes ({} of {} servers)", member->name, member->lanes.size(), members_.of(proto::Role::kServer).size(),
              options_.servers);
  }
  check_builds();
  refresh_ring();
  ask_round("membership");
  return member;
}

void Core::check_builds() {
  std::map<std::string, std::string> builds;  // build → a member that runs it
  for (const proto::Role role : {proto::Role::kServer, proto::Role::kWorker})
    for (const auto& [id, member] : members_.of(role)) builds.try_emplace(member.build, member.name);
  if (builds.size() < 2) return problem("builds", {});
  problem("builds", fail(Errc::kCannotConnect, fmt::format("members run different builds: {} runs '{}', {} runs '{}'", builds.begin()->second,
                                                           builds.begin()->first, builds.rbegin()->second, builds.rbegin()->first)));
}

/// A member is no more: under its name or at all.
void Core::lose(const Member& member) {
  if (member.role == proto::Role::kWorker) {
    const WorkerId id{member.id};
    rounds_.lost(member.name, fleet_.remove(id));
    outbox_.forget(id);
    std::erase_if(decided_, [&](const auto& d) { return d.first.worker == id; });
    std::erase_if(moved_, [&](const auto& m) { return m.first.worker == id; });
  } else {
    outbox_.forget(ServerId{member.id});
    checkpoints_.lost(ServerId{member.id}, member.name);
    const std::set<JobId> live = jobs_.live();
    for (const JobId job : live) {
      if (jobs_.fail(job, Errc::kJobFailed, fmt::format("server {} lost", member.name), clock_.now())) ending_.insert(job);
    }
  }
  ask_round("membership");
}

void Core::expire(Instant due) {
  const Instant now = clock_.now();
  if (now - due > from_ms(options_.heartbeat_ms)) {
    log::info("held up for {:.0f} ms", (now - due).ms());
    members_.excuse(now - due);
  }
  const auto gone = members_.expire(now);
  if (gone.empty()) return;
  for (const Member& member : gone) {
    const bool server = member.role == proto::Role::kServer;
    problem(fmt::format("{}/{}", server ? "server" : "worker", member.name),
            fail(Errc::kTimedOut,
                 fmt::format("{} {} lost: not heard for {:.0f} ms", server ? "server" : "worker", member.name, members_.suspicion(member.role).ms())));
    lose(member);
  }
  refresh_ring();
}

void Core::refresh_ring() {
  if (!ring_.update(members_, jobs_.live().empty())) return;
  table_changed_ = true;
  problem("slot table", put(kTableKey, ring_.bytes()));
}

Result<std::vector<JobId>> Core::submit(std::vector<proto::JobSpec> specs) {
  const auto ids = jobs_.submit(std::move(specs), clock_.now());
  if (!ids) return ids;
  if (auto stored = store_jobs(); !stored) {
    // None of them runs: what is stored of them, now or when there is room again, says so.
    for (const JobId id : *ids) (void)jobs_.fail(id, Errc::kIo, fmt::format("could not be stored: {}", stored.error().what), clock_.now());
    return fail(stored.error());
  }
  log::info("{} jobs submitted", ids->size());
  ask_round("job");
  return ids;
}

Result<void> Core::store_jobs() {
  const std::set<JobId> dirty = jobs_.take_dirty();
  Result<void> outcome;
  for (const JobId id : dirty) {
    if (outcome) outcome = put(job_key(id), JobTable::stored(*jobs_.find(id), {clock_.now(), clock_.wall_ms()}));
    if (!outcome) jobs_.mark_dirty(id);
  }
  if (outcome && jobs_.take_prior_dirty()) {
    outcome = put(kPriorKey, jobs_.prior().to_json().dump());
    if (!outcome) jobs_.mark_prior_dirty();
  }
  problem("job table", outcome);
  return outcome;
}

void Core::forget_ended() {
  forget_again_ = clock_.now() + kForgetEvery;
  if (!ring_.waiting_for(members_).empty()) return;  // a server that comes back is told of the ends
  std::vector<JobId> out;
  std::vector<std::pair<std::string, std::uint64_t>> keys;
  for (const JobId id : jobs_.beyond(options_.keep_ended)) {
    if (ending_.contains(id) || outbox_.ending(id) || fleet_.granted(id) > 0) continue;
    out.push_back(id);
    if (const auto stored = revisions_.find(job_key(id)); stored != revisions_.end() && stored->second != 0) keys.emplace_back(*stored);
  }
  if (out.empty()) return;
  Result<void> stored = put(kNextIdKey, nlohmann::json(jobs_.next_id()).dump());
  if (stored) stored = store_->erase_if(term_, keys);
  problem("forgetting jobs", stored);
  if (!stored) return;
  for (const auto& [key, revision] : keys) revisions_.erase(key);
  for (const JobId id : out) {
    const std::string name = jobs_.find(id)->spec.name;
    jobs_.forget(id);
    if (jobs_.find(name) != nullptr) continue;  // another has its name
    log_.forget(name);
    problems_.erase("model of job " + name);
  }
}

void Core::report(ServerId server, const proto::JobReport& report) {
  const Job* job = jobs_.find(report.job);
  if (job == nullptr || job->ended()) {
    // A home that was not told, or was told while its report was under way.
    if (!ending_.contains(report.job)) outbox_.end(report.job, {server}, clock_.now(), keep_of(report.job));
    return;
  }
  losses_.add(*job, report, clock_.now());
  const News news = jobs_.report(report, clock_.now());
  if (news == News::kFinished) {
    log::info("job {}: done after {} steps", job->spec.name, job->step);
    ending_.insert(report.job);
  }
  if (news == News::kEvaluating || news == News::kFinished || news == News::kPhase) ask_round("job");
}

void Core::fault(JobId id, std::uint32_t generation, const std::string& worker, const std::string& code, const std::string& words) {
  const Job* job = jobs_.find(id);
  if (job == nullptr || job->generation != generation) return;
  if (!jobs_.fail(id, code_of(code), words, clock_.now())) return;
  log::error("job {} failed on worker {}: {}", job->spec.name, worker, words);
  ending_.insert(id);
  ask_round("job");
}

std::string Core::keep_of(JobId id) const {
  const Job* job = jobs_.find(id);
  return job != nullptr && job->state == JobState::kDone ? job->spec.name : std::string();
}

void Core::not_kept(JobId id, const Member& server, const std::string& words) {
  const Job* job = jobs_.find(id);
  if (job == nullptr) return;
  problem("model of job " + job->spec.name,
          fail(Errc::kIo, fmt::format("the model of job {} is not kept whole: server {}: {}", job->spec.name, server.name, words)));
}

void Core::moved(const proto::Moved& m) {
  const Member* worker = members_.find(proto::Role::kWorker, m.worker);
  const Job* to = jobs_.find(m.to);
  if (worker == nullptr || to == nullptr) return;
  for (const double ms : {m.total_ms, m.batch_wait_ms, m.stall_ms, m.open_ms, m.lease_ms, m.pull_ms, m.gradient_ms})
    if (!(ms >= 0 && ms < 1e9)) return;
  const SlotRef at{WorkerId{m.worker}, m.slot};
  if (const auto seen = moved_.find(at); seen != moved_.end() && seen->second == m) return;  // said twice
  moved_[at] = m;
  const Job* from = jobs_.find(m.from);
  const auto decided = decided_.find(at);
  // A cold move reads the data first: that is paid once a host, and is no cost of moving.
  if (!m.cold) rounds_.moved(m.to, Duration{static_cast<std::int64_t>(m.stall_ms * 1e6)});
  if (m.total_ms > 0) move_ms_.add(m.total_ms);
  stall_ms_.add(m.stall_ms);
  write({{"version", 1},
         {"kind", "moved"},
         {"decision", decided == decided_.end() ? 0 : decided->second.first.value},
         {"worker", worker->name},
         {"slot", m.slot.value},
         {"from", from == nullptr ? nlohmann::json() : nlohmann::json(from->spec.name)},
         {"to", to->spec.name},
         {"total_ms", m.total_ms},
         {"grant_ms", std::max(0.0, m.total_ms - m.batch_wait_ms - m.stall_ms)},
         {"batch_wait_ms", m.batch_wait_ms},
         {"stall_ms", m.stall_ms},
         {"open_ms", m.open_ms},
         {"lease_ms", m.lease_ms},
         {"pull_ms", m.pull_ms},
         {"gradient_ms", m.gradient_ms},
         {"cold", m.cold}},
        "decision log");
}

void Core::write(const nlohmann::json& line, const char* key) { problem(key, log_.write(line)); }

void Core::flush() {
  const Instant now = clock_.now();
  if (summary_due_ && (jobs_.live().empty() || now - summary_at_ >= kSummaryEvery)) write_summary();
  if (losses_.pending()) problem("losses.csv", losses_.flush());
  if (jobs_.dirty() && now >= store_again_ && !store_jobs()) store_again_ = now + kStoreAgain;
  if (now >= forget_again_) forget_ended();
}

// --- rounds --------------------------------------------------------------------------------------------------------------------------------------------------

bool Core::refit_some() { return rounds_.refit(kRefitAStep) > 0; }

bool Core::round_if_due() {
  const Instant now = clock_.now();
  const bool timer = !jobs_.live().empty() && now >= next_round_;
  if (!timer && trigger_.empty()) return false;
  if (timer) next_round_ = std::max(next_round_ + from_ms(options_.round_ms), now + from_ms(options_.round_ms / 2));
  round(now, trigger_.empty() ? "timer" : std::exchange(trigger_, {}));
  return true;
}

void Core::round(Instant now, const std::string& trigger) {
  rounds_.hold(!ring_.waiting_for(members_).empty());
  for (auto line = rounds_.outcome(now); !line.is_null(); line = rounds_.outcome(now)) write(line, "decision log");
  const RoundResult result = rounds_.run(now, term_, trigger);
  const Instant decided = clock_.now();
  if (result.decision != DecisionId{}) {
    write(result.line, "decision log");
    decision_ = result.decision;
    const Instant recorded = clock_.now();
    for (const SlotChange& change : result.changes) {
      if (!fleet_.workers().contains(change.at.worker)) continue;
      decided_[change.at] = {decision_, recorded};
      outbox_.grant(change.at.worker, decision_);
    }
    write({{"version", 1},
           {"kind", "timing"},
           {"decision", decision_.value},
           {"wall_ms", clock_.wall_ms()},
           {"refits", result.refits},
           {"decide_ms", (decided - now).ms()},
           {"write_ms", (recorded - decided).ms()}},
          "decision log");
  }
  round_ms_.add((clock_.now() - now).ms());
  if (ending_.empty()) return;
  std::set<ServerId> servers;
  for (const auto& [id, member] : members_.of(proto::Role::kServer)) servers.insert(ServerId{id});
  for (const JobId id : ending_) {
    outbox_.end(id, servers, now + from_ms(3000), keep_of(id));
    if (const Job* job = jobs_.find(id)) checkpoints_.ended(id, job->reason.empty() ? std::string(name_of(job->state)) : job->reason);
  }
  ending_.clear();
  refresh_ring();
  summary_due_ = true;
}

Instant Core::next_timer() const {
  Instant next = std::min({members_.next_expiry(), outbox_.next_timer(), checkpoints_.next_timer()});
  if (!jobs_.live().empty()) next = std::min(next, next_round_);
  return next;
}

proto::Grant Core::grant_of(WorkerId id) const {
  proto::Grant grant;
  const auto worker = fleet_.workers().find(id);
  if (worker == fleet_.workers().end()) return grant;
  for (std::uint32_t i = 0; i < worker->second.slots.size(); ++i) {
    proto::Assignment& a = grant.assignments.emplace_back();
    a.slot = WorkerSlot{i};
    if (const auto decided = decided_.find({id, a.slot}); decided != decided_.end()) std::tie(a.decision, a.decided_at) = decided->second;
    const Job* job = jobs_.find(worker->second.slots[i]);
    if (job == nullptr) continue;
    a.job = job->id;
    a.generation = job->generation;
    a.spec = job->spec_json;
  }
  return grant;
}

}  // namespace sluice::manager
