#include "worker/detail/trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <exception>

#include "base/assert.h"
#include "base/log.h"
#include "worker/metrics.h"

namespace sluice::worker {

namespace {
proto::PushKind push_kind(const proto::ConsistencySpec& spec, UpdateKind kind) {
  if (kind != UpdateKind::kGradient) return proto::PushKind::kDelta;
  if (spec.local_steps == 0) return proto::PushKind::kGradient;
  return spec.push == proto::LocalPush::kAverage ? proto::PushKind::kAverage : proto::PushKind::kDelta;
}

constexpr std::size_t kDataTextMax = std::size_t{1} << 20;  // of a join: far below what a message may have
constexpr std::uint32_t kScoreRows = 1024;                  ///< rows of one evaluation step: a few ms for the largest built-in models

}  // namespace

template <class F>
void Trainer::guarded(F f) {
  const Instant begun = clock_.now();
  try {
    f();
  } catch (const CallInterrupted& wrong) { fail_with({Errc::kInterrupted, wrong.what()}); } catch (const std::exception& wrong) {
    fail_with({Errc::kJobFailed, fmt::format("model '{}' failed: {}", setup_.spec.model, wrong.what())});
  } catch (...) { fail_with({Errc::kJobFailed, fmt::format("model '{}' threw something that is no std::exception", setup_.spec.model)}); }
  client_.was_busy(clock_.now() - begun);
}

Trainer::Trainer(TrainerSetup setup, Client& client, Clock& clock, const DataRegistry& data)
    : setup_(std::move(setup)),
      client_(client),
      clock_(clock),
      data_(data),
      state_(setup_.spec.consistency.local_steps > 0 && LocalSteps(setup_.spec).has_state()),
      bulk_(setup_.spec.consistency.mode == proto::ConsistencyMode::kBsp),
      local_(setup_.spec),
      slot_time_(clock.now()) {
  std::vector<TableDecl> declared;
  UpdateKind kind = UpdateKind::kGradient;
  std::string problem;
  guarded([&] {
    declared = setup_.model->tables();
    kind = setup_.model->update_kind();
    phases_ = setup_.model->phases(setup_.spec.epochs);
    problem = update_problem(*setup_.model, setup_.spec);
  });
  added_ = kind != UpdateKind::kGradient;
  if (!problem.empty()) fail_with({Errc::kBadConfig, problem});
  const auto optimizer = kind == UpdateKind::kGradient ? optimizer_of(setup_.spec, setup_.data.train->shape().rows) : proto::OptimizerSpec{"add", {}};
  const auto specs = table_specs(declared, setup_.spec.seed, optimizer, bulk_ || phases_ > 0);
  if (!fault_ && (specs.empty() || specs.size() > proto::kTablesMax))
    fail_with({Errc::kJobFailed, fmt::format("model '{}' declares {} tables", setup_.spec.model, specs.size())});
  bool sparse = false;
  for (const auto& spec : specs) {
    if (auto ok = proto::validate(spec); !ok) fail_with({Errc::kJobFailed, fmt::format("model '{}': {}", setup_.spec.model, ok.error().what)});
    sparse = sparse || spec.kind == proto::TableKind::kSparse;
  }
  if (phases_ > 0 && (sparse || kind == UpdateKind::kGradient))
    fail_with({Errc::kJobFailed, fmt::format("model '{}' has phases, and {}", setup_.spec.model, sparse ? "a sparse table" : "gives gradients")});
  if (fault_) return;
  std::vector<TableUse> uses;
  for (const TableDecl& table : declared) uses.push_back(table.use);
  client_.enter(setup_.envelope, specs, push_kind(setup_.spec.consistency, kind), std::move(uses), setup_.spec.start, state_);
  share_memory();
  if (fault_) {
    joined_ = true;  // nothing was begun
    return;
  }
  proto::Join join;
  join.spec = setup_.spec_json;
  join.data_hash = setup_.data.train->content_hash();
  join.train_rows = setup_.data.train->shape().rows;
  join.test_rows = setup_.data.test ? setup_.data.test->shape().rows : 0;
  join.chunk_rows = chunk_rows(join.train_rows, setup_.spec.step_rows());
  join.tables = specs;
  join.phases = phases_;
  join.data = data::to_json({setup_.data.mapping, setup_.data.train->shape()});
  if (join.data.size() > kDataTextMax) {
    log::warn("job {}: how its data was read takes {} bytes, more than are kept: its model can be exported, but not used by predict and eval", setup_.spec.name,
              join.data.size());
    join.data = "{}";
  }
  client_.join(std::move(join));
  rows_.resize(specs.size());
  for (auto& entry : ring_) {
    entry.keys.resize(specs.size());
    entry.sets.resize(specs.size());
  }
  // Without keys to wait for, a gate, a phase that may end first, or files to be read, the values can come while the join is under way.
  if (!sparse && setup_.spec.start.from.empty() && phases_ == 0 && setup_.spec.consistency.mode == proto::ConsistencyMode::kAsp) {
    early_pull_ = client_.pull(ring_[0].sets, {.state = state_});
    pull_in_flight_ = true;
  }
}

/// Values and the rows of both entries go where the model reads them without a copy, and gradients are born where it writes them, if it has such places.
void Trainer::share_memory() {
  constexpr std::uint64_t kAlignFloats = 64 / sizeof(float), kRowsFloatsMax = std::uint64_t{1} << 26;
  const DataShape& shape = setup_.data.train->shape();
  const std::uint64_t values = client_.layout().arena_floats, first = (values + kAlignFloats - 1) / kAlignFloats * kAlignFloats;
  std::uint64_t rows = shape.sparse ? 0 : std::min<std::uint64_t>(setup_.spec.step_rows(), shape.rows) * shape.features;
  rows = rows > kRowsFloatsMax ? 0 : (rows + kAlignFloats - 1) / kAlignFloats * kAlignFloats;
  // Rows of sparse tables come from elsewhere, and a message is lent from one place.
  bool sparse = false;
  for (std::size_t t = 0; t < client_.layout().tables.size(); ++t) sparse = sparse || client_.layout().sparse(t);
  if (values > 0 && !sparse && setup_.spec.consistency.local_steps == 0)
    guarded([&] { client_.use_gradients(setup_.model->update_memory(values * sizeof(float))); });
  const std::span<float> memory = setup_.model->input_memory(first + rows * ring_.size());
  if (memory.empty()) return;
  client_.use_memory(memory.first(values));
  for (std::size_t i = 0; i < ring_.size(); ++i) ring_[i].rows = memory.subspan(first + i * rows, rows);
}

void Trainer::take(ClientEvent& event) {
  if (auto* joined = std::get_if<JoinedEvent>(&event)) {
    on_joined(joined->reply);
  } else if (auto* leased = std::get_if<LeasedEvent>(&event)) {
    lease_asked_ = false;
    on_lease(leased->lease);
  } else if (auto* committed = std::get_if<CommittedEvent>(&event)) {
    on_committed(committed->reply);
  } else if (auto* gate = std::get_if<GateEvent>(&event)) {
    gate_ = std::max(gate_, gate->clock);
    if (lease_retry_) lease_retry_ = clock_.now();  // bsp, phases: work is given out where the gate opens
  } else if (auto* pushed = std::get_if<PushedEvent>(&event)) {
    if (pushed_ && pushed_->push == pushed->push) {
      pushed_->acknowledged = true;
      pushed_->redo = pushed->redo;
    }
  } else if (auto* pulled = std::get_if<PulledEvent>(&event)) {
    pull_in_flight_ = false;
    if (early_pull_ == pulled->pull) early_pulled_ = true;
    for (auto& entry : ring_) {
      if (entry.pull == pulled->pull) entry.pulled = true;
    }
  } else if (auto* failed = std::get_if<FailedEvent>(&event)) {
    // Nothing more will be answered: what is under way is abandoned.
    pushed_.reset();
    committing_.reset();
    lease_asked_ = scored_ = false;
    joined_ = true;
    fail_with(std::move(failed->error));
  }
}

void Trainer::on_joined(const proto::JoinReply& reply) {
  entered_ = joined_ = true;
  next_clock_ = reply.clock;
  gate_ = std::max(gate_, reply.gate);
  step_ = reply.step;
  commit_sequence_ = reply.commit_sequence;
  if (!stopping_) ask_lease();
}

void Trainer::ask_lease() {
  lease_asked_ = true;
  lease_retry_.reset();
  client_.lease();
}

void Trainer::on_lease(const proto::LeaseReply& lease) {
  lease_ = {};
  committed_ = prepared_ = 0;
  scores_ = {};
  const auto& data = lease.kind == proto::LeaseKind::kEvaluate ? setup_.data.test : setup_.data.train;
  if (lease.kind != proto::LeaseKind::kTrain) ahead_.paused();
  switch (lease.kind) {
    case proto::LeaseKind::kWait:
      lease_retry_ = clock_.now() + from_ms(std::clamp<std::int64_t>(lease.retry_ms, 1, 1000));
      return;
    case proto::LeaseKind::kFinished:
      finished_ = true;
      stop();
      return;
    case proto::LeaseKind::kPhase:
      if (lease.lease == 0 || lease.epoch >= phases_)
        return fail_with({Errc::kMalformed, fmt::format("the job home leased phase {} of {}", lease.epoch, phases_)});
      lease_ = lease;
      lease_.rows = 1;  // one thing to do
      if (!first_lease_) first_lease_ = clock_.now();
      return;
    case proto::LeaseKind::kTrain:
    case proto::LeaseKind::kEvaluate:
      break;
  }
  const std::uint64_t rows = data ? data->shape().rows : 0;
  if (lease.lease == 0 || lease.first_row > rows || lease.rows > rows - lease.first_row || lease.offset >= lease.rows) {
    return fail_with({Errc::kMalformed, fmt::format("the job home leased rows {} + {} (from {}) of {}", lease.first_row, lease.rows, lease.offset, rows)});
  }
  lease_ = lease;
  committed_ = prepared_ = lease.offset;
  if (!first_lease_) first_lease_ = clock_.now();
}

void Trainer::on_committed(const proto::CommitReply& reply) {
  step_ = std::max(step_, reply.step);
  gate_ = std::max(gate_, reply.gate);
  if (scored_) {
    scored_ = false;
    end_lease();
  } else if (committing_) {
    committed_ = committing_->end;
    if (!committing_->phase) {
      ++commit_sequence_;
      ahead_.committed(clock_.now(), std::max(0.0, static_cast<double>(reply.step) - 1.0 - static_cast<double>(committing_->step_read)));
    }
    committing_.reset();
    if (committed_ == lease_.rows) end_lease();
  } else {
    return;
  }
  if (reply.has_lease)
    on_lease(reply.lease);
  else if (lease_.lease == 0 && !stopping_)
    ask_lease();
}

void Trainer::end_lease() {
  lease_ = {};
  committed_ = prepared_ = 0;
}

void Trainer::stop() {
  stopping_ = true;
  held_.reset();
  count_ = 0;
  lease_retry_.reset();
  gate_retry_.reset();
}

bool Trainer::at_boundary() const { return stopping_ && joined_ && !pushed_ && !committing_ && !lease_asked_ && !scored_; }

void Trainer::fail_with(Error error) {
  if (!fault_) fault_ = std::move(error);
  stop();
  if (!client_.entered()) joined_ = true;
}

bool Trainer::talk() {
  bool any = commit();
  if (stopping_) return client_.flush() || any;
  if (lease_retry_ && clock_.now() >= *lease_retry_) {
    ask_lease();
    any = true;
  }
  any = push() || any;
  any = issue_pull() || any;
  client_.flush();
  // What follows is done while the answers to what was just sent are on their way.
  while (prepare()) {
    any = true;
    if (issue_pull()) client_.flush();
  }
  return wait_at_gate() || any;
}

bool Trainer::commit() {
  if (!pushed_ || !pushed_->acknowledged || committing_) return false;
  if (pushed_->redo) {
    redo();
    return true;
  }
  committing_ = std::move(pushed_);
  pushed_.reset();
  spare_ = std::move(committing_->shards);  // the servers have it: its memory can carry another gradient
  spare_.clear();
  if (const auto& phase = committing_->phase) {
    client_.phase_ended({lease_.lease, committing_->push, phase->done, phase->reason, take_slot_seconds()});
    return true;
  }
  proto::Commit commit;
  commit.sequence = commit_sequence_;
  commit.clock = committing_->clock;
  commit.lease = lease_.lease;
  commit.offset = committing_->end;
  commit.examples = committing_->rows;
  commit.loss_sum = committing_->losses.loss_sum;
  commit.loss_squares = committing_->losses.loss_squares;
  commit.step_read = committing_->step_read;
  commit.slot_seconds = take_slot_seconds();
  if (bulk_) commit.batch = committing_->push;
  commit.next_lease = committing_->end == lease_.rows && !stopping_;
  client_.commit(commit);
  return true;
}

/// A shard's primary changed under the batch: what was pushed of it never commits; it is computed again from fresh values.
void Trainer::redo() {
  if (!pushed_->phase) next_clock_ = pushed_->clock;
  prepared_ = committed_;
  pushed_.reset();
  held_.reset();
  count_ = 0;
  client_.cancel_pulls();
  early_pull_.reset();
  pull_in_flight_ = false;
}

bool Trainer::push() {
  if (!held_ || pushed_ || (committing_ && !client_.push_follows_commit())) return false;
  const bool held = bulk_ || held_->phase;
  const auto id = client_.push(held_->shards, held_->step_read, held, committing_ && !held ? held_->clock : 0);
  if (!id) return false;  // a shard's window is full: its answers come first
  held_->push = *id;
  pushed_ = std::move(held_);
  held_.reset();
  return true;
}

bool Trainer::prepare() {
  if (stopping_ || count_ == ring_.size() || lease_.lease == 0 || prepared_ >= lease_.rows) return false;
  Entry& entry = ring_[(first_ + count_) % ring_.size()];
  entry.evaluate = lease_.kind == proto::LeaseKind::kEvaluate;
  entry.phase = lease_.kind == proto::LeaseKind::kPhase;
  const std::uint32_t rows = std::min(lease_.rows - prepared_, entry.evaluate ? kScoreRows : setup_.spec.step_rows());
  if (entry.phase) {
    entry.batch = {};
  } else if (entry.evaluate) {
    if (!entry.test) entry.test = data_.reader(setup_.data.test);
    entry.batch = entry.test->read_plain(lease_.first_row + prepared_, rows);
  } else {
    if (!entry.train) {
      entry.train = data_.reader(setup_.data.train);
      entry.train->use_memory(entry.rows);
    }
    entry.batch = entry.train->read(lease_.first_row, lease_.rows, setup_.spec.seed, lease_.epoch, prepared_, rows);
    entry.clock = next_clock_++;
  }
  prepared_ += rows;
  entry.end = prepared_;
  entry.pull = 0;
  entry.pulled = false;
  for (auto& keys : entry.keys) keys.clear();
  if (!entry.phase) guarded([&] { setup_.model->keys(entry.batch, entry.keys); });
  if (fault_) return false;
  const auto& layout = client_.layout();
  for (std::size_t t = 0; t < layout.tables.size(); ++t) {
    if (layout.sparse(t)) entry.sets[t].set(layout.tables[t], entry.keys[t], entry.trains() ? layout.row_floats(t) : layout.tables[t].cols);
  }
  ++count_;
  return true;
}

bool Trainer::issue_pull() {
  // While a gradient waits to be pushed the pull waits too, to go right behind it and see it.
  if (stopping_ || held_) return false;
  for (std::size_t i = 0; i < count_; ++i) {
    Entry& entry = ring_[(first_ + i) % ring_.size()];
    if (entry.pull != 0) continue;
    if (i > 0 && entry.trains() && !may_read_ahead()) return false;
    if (early_pull_) {
      entry.pull = *early_pull_;
      entry.pulled = early_pulled_;
      entry.step_read = step_seen();
      early_pull_.reset();
      continue;
    }
    if (pull_in_flight_ || (entry.trains() && gate_ < entry.clock)) return false;
    entry.pull = client_.pull(entry.sets, {.whole = entry.phase, .state = state_ && entry.trains()});
    entry.step_read = step_seen();
    pull_in_flight_ = true;
    return true;
  }
  return false;
}

/// Local steps begin with the slot's own last change: many batches that miss it would take its step again.
bool Trainer::may_read_ahead() const { return setup_.spec.consistency.local_steps == 0 && ahead_.on(); }

/// The job's step that a pull issued now sees, unless a server had to send a push away: it follows the slot's own pushes on their connections.
std::uint64_t Trainer::step_seen() const { return step_ + (pushed_ && !pushed_->phase ? 1 : 0) + (committing_ && !committing_->phase ? 1 : 0); }

bool Trainer::wait_at_gate() {
  const bool waits = count_ > 0 && !pushed_ && !committing_ && !held_ && ring_[first_].pull == 0 && ring_[first_].trains() && gate_ < ring_[first_].clock;
  if (!waits) {
    gate_retry_.reset();
    return false;
  }
  const Instant now = clock_.now();
  if (gate_retry_ && now < *gate_retry_) return false;
  const bool ask = gate_retry_.has_value();  // the home tells by itself; ask only if it should have
  gate_retry_ = now + setup_.gate_ask;
  if (ask) client_.ask_gate();
  return ask;
}

bool Trainer::work() {
  if (stopping_ || held_ || count_ == 0 || !ring_[first_].pulled) return false;
  if (!first_pull_) first_pull_ = clock_.now();
  if (issue_pull()) client_.flush();
  Entry& entry = ring_[first_];
  if (entry.evaluate)
    score(entry);
  else if (entry.phase)
    finish_phase(entry);
  else
    compute(entry);
  if (!first_gradient_ && !fault_) first_gradient_ = clock_.now();
  if (!fault_) {
    first_ = (first_ + 1) % ring_.size();
    --count_;
    push();
  }
  talk();
  return true;
}

std::vector<TableView> Trainer::views(Entry& entry) const {
  const auto& layout = client_.layout();
  std::vector<TableView> views;
  for (std::size_t t = 0; t < layout.tables.size(); ++t) {
    TableView view;
    const bool values = entry.phase || layout.pulled(t);
    if (layout.sparse(t)) view.keys = entry.sets[t].keys();
    if (values) view.values = layout.sparse(t) ? entry.sets[t].rows() : client_.dense(t);
    views.push_back(view);
  }
  return views;
}

/// Points targets_ at where the entry's update is written: dense tables' into the memory returned.
net::WritableFrame Trainer::make_targets(const Entry& entry) {
  const auto& layout = client_.layout();
  net::WritableFrame arena;
  if (layout.arena_floats > 0) arena = client_.gradients();
  targets_.clear();
  for (std::size_t t = 0; t < layout.tables.size(); ++t) {
    if (!entry.phase && !layout.pushed(t)) {
      targets_.push_back({});
    } else if (layout.sparse(t)) {
      rows_[t].resize(entry.sets[t].rows().size());
      targets_.push_back({rows_[t]});
    } else {
      targets_.push_back({arena.floats().subspan(layout.dense_first[t], layout.tables[t].floats())});
    }
  }
  return arena;
}

/// `update` is computed: it waits to be pushed.
void Trainer::split(net::WritableFrame arena, const Entry& entry, Update update) {
  update.shards = std::move(spare_);
  update.shards.clear();
  client_.split(std::move(arena), entry.sets, rows_, update.shards, {.whole = entry.phase, .skip_zeros = added_ && !bulk_ && !entry.phase});
  update.clock = entry.clock;
  update.end = entry.end;
  update.rows = entry.batch.rows;
  update.step_read = entry.step_read;
  held_ = std::move(update);
}

void Trainer::finish_phase(Entry& entry) {
  auto arena = make_targets(entry);
  Update update;
  guarded([&] { update.phase = setup_.model->finish_phase(views(entry), lease_.epoch, targets_); });
  if (!fault_) split(std::move(arena), entry, std::move(update));
}

Losses Trainer::take_local_steps(Entry& entry, std::span<float> arena) {
  const auto& layout = client_.layout();
  const auto now = views(entry);
  local_tables_.clear();
  for (std::size_t t = 0; t < now.size(); ++t) {
    LocalTable& table = local_tables_.emplace_back(LocalTable{now[t].keys, now[t].values, {}, targets_[t].values, {}});
    if (!state_ || layout.sparse(t)) continue;
    table.state = client_.dense_state(t);
    table.state_change = arena.subspan(layout.arena_floats + layout.dense_first[t], layout.tables[t].floats());
  }
  return local_.run(*setup_.model, local_tables_, entry.batch);
}

void Trainer::compute(Entry& entry) {
  auto arena = make_targets(entry);
  Update update;
  if (setup_.spec.consistency.local_steps > 0) {
    guarded([&] { update.losses = take_local_steps(entry, arena.floats()); });
  } else {
    guarded([&] { update.losses = setup_.model->update(views(entry), entry.batch, targets_); });
  }
  if (!fault_ && !(std::isfinite(update.losses.loss_sum) && std::isfinite(update.losses.loss_squares))) {
    fail_with({Errc::kJobFailed,
               fmt::format("model '{}': the loss is not finite ({}) at clock {}, step {}", setup_.spec.model, update.losses.loss_sum, entry.clock, step_)});
  }
  if (fault_) return;
  const double most = setup_.spec.optimizer.number("clip", 0);
  if (most > 0 && setup_.spec.consistency.local_steps == 0) clip(targets_, most);
  split(std::move(arena), entry, std::move(update));
}

void Trainer::score(Entry& entry) {
  Scores scores;
  guarded([&] { scores = evaluate_with(setup_.spec.validation.metric, *setup_.model, views(entry), entry.batch); });
  if (fault_) return;
  scores_.examples += scores.examples;
  scores_.loss_sum += scores.loss_sum;
  scores_.metric_sum += scores.metric_sum;
  if (entry.end < lease_.rows) return;
  if (!std::isfinite(scores_.loss_sum) || !std::isfinite(scores_.metric_sum)) {
    return fail_with({Errc::kJobFailed, fmt::format("model '{}': the held-out loss is not finite ({})", setup_.spec.model, scores_.loss_sum)});
  }
  proto::EvaluateCommit commit{lease_.lease, scores_.examples, scores_.loss_sum, scores_.metric_sum, {}, take_slot_seconds()};
  guarded([&] { commit.metric = metric_name(setup_.spec.validation.metric, *setup_.model); });
  if (fault_) return;
  client_.evaluated(std::move(commit));
  scored_ = true;
}

double Trainer::take_slot_seconds() {
  const Instant now = clock_.now();
  const Duration since = now - slot_time_;
  slot_time_ = now;
  return since.seconds();
}

Instant Trainer::next_timer() const {
  Instant next = Instant::never();
  if (lease_retry_) next = std::min(next, *lease_retry_);
  if (gate_retry_) next = std::min(next, *gate_retry_);
  return next;
}

}  // namespace sluice::worker
