#include "server/job_home.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "base/convergence.h"
#include "base/text.h"
#include "server/detail/ends.h"
#include "server/optimizer.h"

namespace sluice::server {
namespace {

using proto::LeaseKind;

constexpr double kSlotSecondsMax = 1e6;  // of one batch: more is a wrong clock
constexpr double kLossMax = 1e100;       // a batch's: sums over a window, and their squares, must stay finite on the wire

bool sane_loss(double sum) { return std::isfinite(sum) && std::abs(sum) <= kLossMax; }

bool sane_seconds(double seconds) { return std::isfinite(seconds) && seconds >= 0 && seconds < kSlotSecondsMax; }

/// A loss falls fastest at first: the first batch, which is the loss of untrained parameters, and steps 4, 16 and 64 are reported at once.
bool is_early(std::uint64_t step) { return step == 1 || step == 4 || step == 16 || step == 64; }

/// Equal but for the seeds: the first join's count.
bool same_tables(const std::vector<proto::TableSpec>& a, std::vector<proto::TableSpec> b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < b.size(); ++i) b[i].seed = a[i].seed;
  return a == b;
}

/// `holds`: what is pushed may have to wait for an Apply.
Result<void> check_tables(const std::vector<proto::TableSpec>& tables, bool holds) {
  if (tables.size() > proto::kTablesMax) return fail(Errc::kRejected, fmt::format("{} tables; at most {}", tables.size(), proto::kTablesMax));
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (tables[i].id.value != i) return fail(Errc::kRejected, fmt::format("table '{}' has id {}, its place is {}", tables[i].name, tables[i].id.value, i));
    if (auto ok = proto::validate(tables[i]); !ok) return ok;
    if (auto ok = check_optimizer(tables[i].optimizer); !ok) return ok;
    if (tables[i].holds != holds) return fail(Errc::kRejected, fmt::format("table '{}' {} hold pushes", tables[i].name, holds ? "must" : "may not"));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<JobHome>> JobHome::open(JobId job, std::uint32_t generation, const proto::Join& join, const ResumedHome* resumed) {
  auto spec = proto::job_spec_from_json(join.spec);
  if (!spec) return fail(spec.error());
  if (join.train_rows == 0) return fail(Errc::kRejected, "no training rows");
  if (join.chunk_rows == 0 || (join.train_rows - 1) / join.chunk_rows >= ChunkSchedule::kChunksMax) {
    return fail(Errc::kRejected, fmt::format("chunks of {} rows for {} rows", join.chunk_rows, join.train_rows));
  }
  if (join.phases > kPhasesMax) return fail(Errc::kRejected, fmt::format("{} phases; at most {}", join.phases, kPhasesMax));
  const bool bsp = spec->consistency.mode == proto::ConsistencyMode::kBsp;
  if (auto ok = check_tables(join.tables, bsp || join.phases > 0); !ok) return fail(ok.error());
  auto home = std::unique_ptr<JobHome>(new JobHome(job, generation, std::move(*spec), join));
  if (resumed != nullptr) {
    if (auto ok = home->resume(*resumed); !ok) return fail(ok.error());
  }
  return home;
}

JobHome::JobHome(JobId job, std::uint32_t generation, proto::JobSpec spec, const proto::Join& join)
    : job_(job),
      generation_(generation),
      spec_(std::move(spec)),
      opened_(join),
      clock_(make_controller(spec_.consistency)),
      schedule_({join.train_rows, join.chunk_rows, join.phases > 0 ? join.phases : spec_.epochs, spec_.seed}),
      evaluation_(join.test_rows),
      started_(spec_.start.from.empty()) {
  phases_.total = join.phases;
  if (phases_.any()) schedule_.open_to(1);
  if (spec_.consistency.mode == proto::ConsistencyMode::kBsp) {
    bsp_.emplace();
    clock_.limit(0);
  }
  window_.touch(true);  // the manager hears at once that the job has begun
}

Result<proto::JoinReply> JobHome::join(Incarnation client, const proto::Join& join) {
  if (broken_) return fail(*broken_);
  if (join.data_hash != opened_.data_hash || join.train_rows != opened_.train_rows || join.test_rows != opened_.test_rows) {
    return fail(Errc::kRejected,
                fmt::format("the data differs from what job {} was opened with: {} + {} rows, content {:016x}; opened with {} + {} rows, {:016x}", job_.value,
                            join.train_rows, join.test_rows, join.data_hash, opened_.train_rows, opened_.test_rows, opened_.data_hash));
  }
  if (join.chunk_rows != opened_.chunk_rows) {
    return fail(Errc::kRejected, fmt::format("chunks of {} rows; job {} was opened with {}", join.chunk_rows, job_.value, opened_.chunk_rows));
  }
  if (join.phases != opened_.phases) return fail(Errc::kRejected, fmt::format("{} phases; job {} was opened with {}", join.phases, job_.value, opened_.phases));
  if (!same_tables(opened_.tables, join.tables)) return fail(Errc::kRejected, fmt::format("the tables differ from those job {} was opened with", job_.value));
  if (!clients_.contains(client) && clients_.size() >= kClientsMax) return fail(Errc::kFull, "too many clients");
  Client& record = clients_[client];
  proto::JoinReply reply;
  reply.clock = clock_.enter(client);
  reply.gate = clock_.tell(client);
  reply.commit_sequence = record.commit_sequence + 1;
  reply.step = step_;
  reply.tables = opened_.tables;
  return reply;
}

void JobHome::take_back(Client& record) {
  if (!record.lease) return;
  if (const Piece* piece = std::get_if<Piece>(&record.lease->work)) {
    schedule_.give_back(*piece);
  } else if (const auto* part = std::get_if<EvaluatePiece>(&record.lease->work)) {
    evaluation_.give_back(*part);
  } else {
    phases_.state = Phases::State::kPass;
  }
  record.lease.reset();
}

void JobHome::take_out(Incarnation client) {
  if (!clock_.has(client)) return;
  take_back(clients_.at(client));
  clock_.leave(client);
  held_.erase(client);
  if (!ended_.empty() && training_over()) window_.touch(true);
}

void JobHome::leave(Incarnation client) {
  take_out(client);
  if (!bsp_ && evaluation_due()) begin_evaluation();  // early stopping waited for its lease
  settle({});
}

void JobHome::expire(const std::function<bool(Incarnation)>& expired) {
  for (auto it = clients_.begin(); it != clients_.end();) {
    if (!expired(it->first)) {
      ++it;
      continue;
    }
    if (!bsp_ && it->second.lease && std::holds_alternative<Piece>(it->second.lease->work)) {  // what bsp holds of it is never applied
      ++redone_;  // it may have pushed a batch, or part of one, that it did not commit
      window_.touch(false);
    }
    take_out(it->first);
    it = clients_.erase(it);
  }
  if (!bsp_ && evaluation_due()) begin_evaluation();
  settle({});
}

proto::LeaseReply JobHome::say(const Lease& lease) {
  proto::LeaseReply reply;
  reply.lease = lease.number;
  if (const Piece* piece = std::get_if<Piece>(&lease.work)) {
    reply.kind = LeaseKind::kTrain;
    reply.epoch = piece->epoch;
    reply.first_row = piece->first_row;
    reply.rows = piece->rows;
    reply.offset = piece->offset;
  } else if (const auto* part = std::get_if<EvaluatePiece>(&lease.work)) {
    reply.kind = LeaseKind::kEvaluate;
    reply.first_row = part->first_row;
    reply.rows = part->rows;
  } else {
    reply.kind = LeaseKind::kPhase;
    reply.epoch = std::get<PhasePiece>(lease.work).phase;
  }
  return reply;
}

proto::LeaseReply JobHome::lease_for(Incarnation client, Client& record) {
  if (!record.lease) {
    if (const auto part = evaluation_.next()) {  // first: it is short, and decisions wait for it
      record.lease = Lease{next_lease_++, *part};
    } else if (phase_due()) {
      record.lease = Lease{next_lease_++, PhasePiece{phases_.done}};
      phases_.state = Phases::State::kLeased;
    } else if (const auto piece = bsp_ || !may_train() ? std::nullopt : schedule_.next()) {
      record.lease = Lease{next_lease_++, *piece};
    }
  }
  if (record.lease && std::holds_alternative<Piece>(record.lease->work)) {
    clock_.resume(client);
  } else {
    clock_.pause(client);
  }
  if (record.lease) return say(*record.lease);
  proto::LeaseReply reply;
  reply.kind = finished() ? LeaseKind::kFinished : LeaseKind::kWait;
  reply.retry_ms = finished() ? 0 : kRetryMs;
  return reply;
}

Result<proto::LeaseReply> JobHome::lease(Incarnation client, Instant now) {
  if (broken_) return fail(*broken_);
  if (!clock_.has(client)) return fail(Errc::kNotFound, fmt::format("client {} is not in job {}: join first", client.value, job_.value));
  if (!started_) {
    proto::LeaseReply wait;
    wait.retry_ms = kRetryMs;
    return wait;
  }
  settle(now);
  return lease_for(client, clients_.at(client));
}

Result<void> JobHome::check(Incarnation client, const Client& record, const proto::Commit& commit) const {
  const Piece* piece = record.lease && record.lease->number == commit.lease ? std::get_if<Piece>(&record.lease->work) : nullptr;
  if (piece == nullptr) return fail(Errc::kRejected, fmt::format("lease {} is not this client's to train on", commit.lease));
  if (commit.examples == 0 || commit.examples > piece->rows - piece->offset || commit.offset != piece->offset + commit.examples) {
    return fail(Errc::kRejected,
                fmt::format("{} examples up to row {} of a lease of {} rows with {} committed", commit.examples, commit.offset, piece->rows, piece->offset));
  }
  if (commit.clock != clock_.clock(client))
    return fail(Errc::kRejected, fmt::format("it ends clock {}, the client is at {}", commit.clock, clock_.clock(client)));
  if (commit.clock > clock_.gate(client)) return fail(Errc::kRejected, fmt::format("clock {} was begun beyond the gate {}", commit.clock, clock_.gate(client)));
  if (!sane_loss(commit.loss_sum) || !sane_loss(commit.loss_squares)) return fail(Errc::kRejected, fmt::format("the loss is {}", commit.loss_sum));
  if (!sane_seconds(commit.slot_seconds)) return fail(Errc::kRejected, fmt::format("{} slot-seconds", commit.slot_seconds));
  if (bsp_ && commit.batch == 0) return fail(Errc::kRejected, "under bsp a commit names the batch that was pushed");
  if (commit.step_read > step_) return fail(Errc::kRejected, fmt::format("it read step {}, the job is at {}", commit.step_read, step_));
  return {};
}

proto::CommitReply JobHome::apply(Incarnation client, Client& record, const proto::Commit& commit, Instant now) {
  window_.add(commit, bsp_ ? 0 : step_ - commit.step_read, now);  // under bsp nothing is stale; a slot's own idea of the step lags
  ++step_;
  examples_ += commit.examples;
  if (bsp_) {
    SLUICE_ASSERT(!bsp_->applying && clock_.job_clock(client) == bsp_->clock);
    bsp_->committed[client] = {client, commit.batch, commit.examples};
  }
  clock_.commit(client);
  if (closed_) held_.insert(client);
  Piece& piece = std::get<Piece>(record.lease->work);
  piece.offset = commit.offset;
  schedule_.commit(piece.epoch, commit.examples);
  if (piece.offset == piece.rows) record.lease.reset();
  if (training_over() || is_early(step_)) window_.touch(true);
  if (!bsp_ && evaluation_due()) begin_evaluation();

  proto::CommitReply reply;
  if (commit.next_lease) {
    reply.has_lease = true;
    reply.lease = lease_for(client, record);
  } else if (!record.lease) {
    clock_.pause(client);
  }
  settle(now);
  reply.gate = clock_.tell(client);
  reply.step = step_;
  return reply;
}

Result<proto::CommitReply> JobHome::commit(Incarnation client, const proto::Commit& commit, Instant now) {
  if (broken_) return fail(*broken_);
  const auto it = clients_.find(client);
  if (it == clients_.end()) return fail(Errc::kNotFound, fmt::format("client {} is not in job {}: join first", client.value, job_.value));
  Client& record = it->second;
  if (commit.sequence == record.commit_sequence && record.last_answer) return *record.last_answer;  // also after it left: its answer may have been lost
  if (!clock_.has(client)) return fail(Errc::kNotFound, fmt::format("client {} has left job {}", client.value, job_.value));
  if (commit.sequence != record.commit_sequence + 1) {
    return fail(Errc::kRejected, fmt::format("commit {} where {} is expected", commit.sequence, record.commit_sequence + 1));
  }
  record.commit_sequence = commit.sequence;
  if (auto ok = check(client, record, commit); !ok) {
    record.last_answer = fail(ok.error());
  } else {
    record.last_answer = apply(client, record, commit, now);
  }
  return *record.last_answer;
}

bool JobHome::any_training() const {
  return !places_.empty() ||
         std::any_of(clients_.begin(), clients_.end(), [](const auto& c) { return c.second.lease && std::holds_alternative<Piece>(c.second.lease->work); });
}

bool JobHome::training_over() const {
  const bool all = phases_.any() ? phases_.done == phases_.total : schedule_.done();
  return all || (!ended_.empty() && !any_training());
}

/// A model with phases is scored between them: then training waits.
bool JobHome::may_train() const { return ended_.empty() && !(phases_.any() && evaluation_.running()); }

bool JobHome::phase_due() const {
  if (!phases_.any() || phases_.state != Phases::State::kPass || !may_train()) return false;
  return schedule_.epochs_done() > phases_.done && (!bsp_ || bsp_->committed.empty());
}

void JobHome::wake_idle() {
  for (const auto& [client, record] : clients_) {
    if (clock_.has(client) && !record.lease) woken_.push_back({client, clock_.tell(client)});
  }
}

std::vector<GateRise> JobHome::take_gate_rises() {
  if (closed_) return {};
  auto rises = clock_.take_rises();
  rises.insert(rises.end(), woken_.begin(), woken_.end());
  woken_.clear();
  return rises;
}

bool JobHome::evaluation_due() const {
  if (opened_.test_rows == 0 || evaluation_.running() || evaluation_.result().final_one) return false;
  if (training_over()) return true;
  if (!ended_.empty()) return false;
  if (phases_.any() && examples_ != phases_.done * opened_.train_rows) return false;  // the next pass is under way
  const auto& wanted = spec_.validation;
  if (wanted.every_steps > 0) return step_ / wanted.every_steps > step_at_evaluation_ / wanted.every_steps;
  if (wanted.every_epochs > 0) return passes_done() / wanted.every_epochs > epochs_evaluated_ / wanted.every_epochs;
  const bool paid_for = epochs_evaluated_ == 0 || (examples_ - examples_at_evaluation_) / kEvaluateRatio >= opened_.test_rows;
  return passes_done() > epochs_evaluated_ && paid_for;
}

void JobHome::judge() {
  const EvaluationResult& scores = evaluation_.result();
  if (scores.final_one || training_over() || !ended_.empty()) return;
  if (spec_.target && spec_.target->of != "loss") {
    const bool own_loss = spec_.target->of == "validation_loss";
    if (own_loss || spec_.target->of == scores.metric_name) end_training(reached_words(*spec_.target, own_loss ? scores.loss : scores.metric, scores.step));
  }
  if (spec_.patience_epochs == 0 || !ended_.empty()) return;
  if (!best_score_ || scores.loss < *best_score_) {
    best_score_ = scores.loss;
    best_epoch_ = epochs_evaluated_;
  } else if (epochs_evaluated_ - best_epoch_ >= spec_.patience_epochs) {
    end_training(fmt::format("stopped early: the held-out loss is {:.6g} after {} epochs, and was {:.6g} after {}; patience: {} epochs", scores.loss,
                             epochs_evaluated_, *best_score_, best_epoch_, spec_.patience_epochs));
  }
}

void JobHome::judge_curve() {
  if (training_over() || !ended_.empty() || !started_) return;
  const auto points = curve_.points();
  if (spec_.target && spec_.target->of == "loss" && points.size() >= kTargetReports) end_training(reached_words(*spec_.target, smoothed_loss(points), step_));
  // Within a pass of a model with phases nothing changes: a level loss says nothing.
  if (ended_.empty() && spec_.stop_converged && !phases_.any()) end_training(converged_words(points));
  if (ended_.empty()) return;
  if (!bsp_ && evaluation_due()) begin_evaluation();
  settle({});
}

void JobHome::end_training(std::string why) {
  if (why.empty()) return;
  ended_ = std::move(why);
  window_.touch(true);
}

void JobHome::begin_evaluation() {
  epochs_evaluated_ = passes_done();  // those that ended while one was running are covered by this one
  examples_at_evaluation_ = examples_;
  step_at_evaluation_ = step_;
  evaluation_.begin(step_, training_over());
}

Result<proto::CommitReply> JobHome::evaluate_commit(Incarnation client, const proto::EvaluateCommit& commit, Instant now) {
  if (broken_) return fail(*broken_);
  if (!clock_.has(client)) return fail(Errc::kNotFound, fmt::format("client {} is not in job {}: join first", client.value, job_.value));
  Client& record = clients_.at(client);
  const proto::CommitReply reply{
      clock_.gate(client), step_, false, {}};  // not counted as told: a client that looks for gates in commits' answers only misses nothing
  const EvaluatePiece* part = record.lease && record.lease->number == commit.lease ? std::get_if<EvaluatePiece>(&record.lease->work) : nullptr;
  if (part == nullptr) return reply;  // counted before
  if (commit.examples != part->rows || !sane_loss(commit.loss_sum) || !sane_loss(commit.metric_sum) || !sane_seconds(commit.slot_seconds)) {
    const auto why =
        fmt::format("{} of {} examples scored, loss sum {}, {} sum {}", commit.examples, part->rows, commit.loss_sum, commit.metric, commit.metric_sum);
    take_back(record);
    return fail(Errc::kRejected, why);
  }
  window_.add_slot_seconds(commit.slot_seconds, now);
  if (evaluation_.commit(*part, commit.loss_sum, commit.metric_sum, commit.metric)) {
    window_.touch(evaluation_.result().final_one);
    judge();
    record.lease.reset();
    if (phases_.any()) wake_idle();
  }
  record.lease.reset();
  if (!bsp_ && evaluation_due()) begin_evaluation();
  settle(now);
  return reply;
}

Result<proto::CommitReply> JobHome::phase_commit(Incarnation client, const proto::PhaseCommit& commit, Instant now) {
  if (broken_) return fail(*broken_);
  if (!clock_.has(client)) return fail(Errc::kNotFound, fmt::format("client {} is not in job {}: join first", client.value, job_.value));
  Client& record = clients_.at(client);
  const proto::CommitReply reply{clock_.gate(client), step_, false, {}};
  if (!record.lease || record.lease->number != commit.lease || !std::holds_alternative<PhasePiece>(record.lease->work)) return reply;  // counted before
  if (commit.batch == 0 || !sane_seconds(commit.slot_seconds)) {
    take_back(record);
    return fail(Errc::kRejected, fmt::format("the end of a phase names batch {}, and took {} slot-seconds", commit.batch, commit.slot_seconds));
  }
  window_.add_slot_seconds(commit.slot_seconds, now);
  record.lease.reset();
  phases_.state = Phases::State::kApplying;
  phases_.last = commit.done;
  phases_.reason = text::printable(commit.reason.substr(0, proto::kReasonBytesMax));
  if (commit.done && phases_.reason.empty()) phases_.reason = "the model's last phase";
  apply_ = proto::Apply{bsp_ ? bsp_->clock : phases_.done - phases_.before, step_, {{client, commit.batch, 1}}};
  if (bsp_) {
    bsp_->applying = true;
    clock_.raise(bsp_->clock + 1);
  }
  return reply;
}

void JobHome::phase_applied() {
  phases_.state = Phases::State::kPass;
  schedule_.open_to(++phases_.done + 1);
  if (phases_.last) ended_ = phases_.reason;
  if (training_over()) window_.touch(true);
}

void JobHome::settle(Instant now) {
  if (!bsp_ || bsp_->applying) return;
  if (!bsp_->committed.empty()) {
    if (clock_.any_working_at(bsp_->clock)) return;
    proto::Apply apply{bsp_->clock, bsp_->step, {}};
    for (const auto& [client, slot] : bsp_->committed) apply.slots.push_back(slot);
    apply_ = std::move(apply);
    bsp_->applying = true;
    clock_.raise(bsp_->clock + 1);  // also where nobody works any more
    return;
  }
  if (bsp_->border || !clock_.any_working()) at_border(now);
}

void JobHome::at_border(Instant now) {
  if (closed_ || !started_ || evaluation_.running()) return;
  if (!give_places(now)) return;
  if (evaluation_due()) {
    if (!any_training()) begin_evaluation();
    return;
  }
  if (!may_train() || !gathered(now)) return;
  bsp_->border = false;
  for (auto& [client, record] : clients_) {
    if (!clock_.has(client) || record.lease) continue;
    const auto piece = schedule_.next();
    if (!piece) return;
    record.lease = Lease{next_lease_++, *piece};
    clock_.resume(client);
  }
}

/// So that all clocks of a job with a fixed number of slots have that number of updates, from the first.
bool JobHome::gathered(Instant now) {
  if (bsp_->begun) return true;
  if (clock_.slots() == 0) return false;
  bsp_->since = std::min(bsp_->since, now == Instant{} ? Instant::never() : now);
  bsp_->begun = clock_.slots() >= spec_.slots_min || (bsp_->since != Instant::never() && now - bsp_->since >= kGather);
  return bsp_->begun;
}

void JobHome::applied(std::uint64_t clock) {
  const bool phase = phases_.state == Phases::State::kApplying;
  if (bsp_ ? !bsp_->applying || bsp_->clock != clock : !phase || phases_.done - phases_.before != clock) return;
  if (phase) phase_applied();
  if (!bsp_) {
    if (evaluation_due()) begin_evaluation();
    return wake_idle();
  }
  bsp_->committed.clear();
  bsp_->applying = false;
  bsp_->border = true;
  bsp_->step = step_;
  ++bsp_->clock;
  if (!closed_) clock_.limit(bsp_->clock);
  if (training_over()) window_.touch(true);
  if (phase) wake_idle();
  settle({});
}

bool JobHome::finished() const {
  if (!started_) return false;
  if (bsp_ && !bsp_->committed.empty()) return false;
  return training_over() && (opened_.test_rows == 0 || evaluation_.result().final_one);
}

Result<proto::Gate> JobHome::gate(Incarnation client) {
  if (broken_) return fail(*broken_);
  if (!clock_.has(client)) return fail(Errc::kNotFound, fmt::format("client {} is not in job {}: join first", client.value, job_.value));
  return proto::Gate{clock_.tell(client)};
}

proto::HomeState JobHome::state() const {
  if (finished()) return proto::HomeState::kFinished;
  return training_over() ? proto::HomeState::kEvaluating : proto::HomeState::kTraining;
}

proto::JobReport JobHome::report() const {
  proto::JobReport report;
  report.job = job_;
  report.generation = generation_;
  report.state = state();
  report.step = step_;
  report.examples = examples_;
  report.examples_total = std::uint64_t{phases_.any() ? phases_.total : spec_.epochs} * opened_.train_rows;
  report.redone_batches = redone_;
  window_.fill(report);
  const EvaluationResult& scores = evaluation_.result();
  report.evaluated = scores.examples;
  report.validation_loss = scores.loss;
  report.metric = scores.metric;
  report.metric_name = scores.metric_name;
  report.evaluated_at_step = scores.step;
  report.ended = ended_;
  return report;
}

void JobHome::report_taken() {
  if (window_.has_steps()) (void)curve_.add(window_.point(step_, examples_));  // a step is new in every window with steps
  window_.close();
  judge_curve();
}

}  // namespace sluice::server
