#include "worker/slot.h"

#include <fmt/format.h>

#include <atomic>

#include "base/log.h"
#include "worker/detail/trainer.h"
#include "worker/kernels.h"

namespace sluice::worker {
namespace {

constexpr Duration kRejoin = from_ms(50);
// A plug-in's call is given up after this long when the slot is to end, or to do something else.
constexpr Duration kStopPatience = from_ms(300), kOrderPatience = from_ms(5000);

/// What a slot's move costs, from the grant to the first gradient.
struct Move {
  JobId from, to;
  Instant decided_at, received, boundary, opened;
  bool same_host = false, cold = false;
};

class Slot final : public Actor {
 public:
  Slot(const SlotOptions& options, const SlotShared& shared, std::shared_ptr<SlotInbox> inbox, std::shared_ptr<net::Poller> poller, net::Runtime runtime)
      : options_(options),
        shared_(shared),
        inbox_(std::move(inbox)),
        poller_(poller),
        runtime_(runtime),
        client_(options.client, runtime, std::move(poller)),
        runner_(shared.plugins) {}

  Step step() override;
  void wait(Instant until) override;
  void wake() override { poller_->wake(); }
  void stop() override { inbox_->stop(); }
  [[nodiscard]] bool ended() const override { return ended_; }

 private:
  enum class Phase { kIdle, kOpening, kRunning };

  bool read_inbox();
  bool handle_events();
  bool change_job();
  void begin(Order order);
  bool open();
  void start(const OpenedData& data);
  void leave();
  void check_trainer();
  void report_move();
  void fault(const Error& error);
  void tell_fault(const Error& error);
  void membership_lost();
  bool try_to_end();
  [[nodiscard]] JobId job() const { return current_ ? current_->assignment.job : JobId{}; }

  SlotOptions options_;
  SlotShared shared_;
  std::shared_ptr<SlotInbox> inbox_;
  std::shared_ptr<net::Poller> poller_;
  net::Runtime runtime_;
  Client client_;

  Phase phase_ = Phase::kIdle;
  std::optional<Order> current_;  ///< being served, or done with (finished, faulted)
  std::optional<Order> next_;     ///< wanted instead
  proto::JobSpec spec_;           ///< of current_
  std::optional<Trainer> trainer_;
  plugin::Runner runner_;
  std::optional<Move> move_;  ///< under way
  bool fault_told_ = false, data_asked_ = false, started_ = false, ended_ = false;
  std::optional<Instant> open_at_;  ///< opening waits till then
  std::optional<Instant> stop_at_;
};

Step Slot::step() {
  if (!started_) {
    started_ = true;
    use_one_blas_thread();
  }
  bool any = read_inbox();
  any = client_.step() || any;
  any = handle_events() || any;
  any = change_job() || any;
  if (phase_ == Phase::kOpening) any = open() || any;
  if (trainer_) {
    // Before talk(), so that commit, push and the next pull leave together: the lane is woken once for the three.
    if (client_.absorb()) any = handle_events() || true;
    if (trainer_) any = trainer_->talk() || any;
    if (trainer_) any = trainer_->work() || any;
    check_trainer();
  }
  if (!move_ && !stop_at_) runner_.refill();
  if (client_.take_want_table()) shared_.control->want_table(client_.ring());
  if (stop_at_) any = try_to_end() || any;
  Step out{any, client_.next_timer()};
  if (trainer_) out.next = std::min(out.next, trainer_->next_timer());
  if (open_at_) out.next = std::min(out.next, *open_at_);
  if (stop_at_ && !ended_) out.next = std::min(out.next, *stop_at_);
  return out;
}

void Slot::wait(Instant until) {
  const Instant due = std::max(until, runtime_.clock.now());
  poller_->wait(until);
  if (const Instant now = runtime_.clock.now(); now > due) client_.was_busy(now - due);  // woken late: a thread that did not run has not waited
}

bool Slot::read_inbox() {
  auto content = inbox_->take();
  if (!content) return false;
  client_.set_table(content->table);
  if (content->incarnation && *content->incarnation != client_.incarnation()) {
    trainer_.reset();
    current_.reset();
    next_.reset();
    move_.reset();
    phase_ = Phase::kIdle;
    client_.set_incarnation(*content->incarnation);
  }
  if (content->order) {
    const auto& wanted = content->order->assignment;
    const auto& now = current_ ? current_->assignment : proto::Assignment{};
    const bool same_job = wanted.job == now.job && wanted.generation == now.generation;
    const bool leaving = trainer_ && trainer_->stopping();  // then the way back is to join again
    const bool over =
        phase_ == Phase::kIdle && now.job.value != 0 && wanted.decision != now.decision;  // done or faulted: only another decision begins it again
    next_.reset();
    if (!same_job || leaving || over) next_ = std::move(content->order);
  }
  if (content->stop && !stop_at_) stop_at_ = runtime_.clock.now() + options_.stop_patience;
  if (stop_at_) next_ = Order{};
  return true;
}

bool Slot::handle_events() {
  bool any = false;
  while (auto event = client_.next()) {
    any = true;
    if (std::holds_alternative<MembershipLostEvent>(*event))
      membership_lost();
    else if (trainer_)
      trainer_->take(*event);
  }
  return any;
}

void Slot::membership_lost() {
  log::warn("slot {}: a server says that this membership has expired; job {} is left", options_.slot.value, job().value);
  const Incarnation lost = client_.incarnation();
  trainer_.reset();
  current_.reset();
  next_.reset();
  move_.reset();
  phase_ = Phase::kIdle;
  client_.set_incarnation(Incarnation{});
  shared_.control->membership_lost(lost);
}

bool Slot::change_job() {
  if (!next_) return false;
  if (trainer_) {
    trainer_->stop();
    if (!trainer_->at_boundary()) return false;
    leave();
  }
  Order order = std::move(*next_);
  next_.reset();
  begin(std::move(order));
  return true;
}

void Slot::leave() {
  client_.leave(trainer_->lease(), trainer_->committed(), trainer_->finished());
  trainer_.reset();
  phase_ = Phase::kIdle;
}

void Slot::begin(Order order) {
  const Instant now = runtime_.clock.now();
  const JobId from = move_ ? move_->from : job();
  const JobId to = order.assignment.job;
  move_.reset();
  current_ = std::move(order);
  fault_told_ = data_asked_ = false;
  open_at_.reset();
  phase_ = Phase::kIdle;
  if (to.value == 0) return;
  if (from != to) move_ = Move{from, to, current_->assignment.decided_at, current_->received, now, now, current_->same_host, false};
  auto spec = proto::job_spec_from_json(current_->assignment.spec);
  if (!spec) return fault(spec.error());
  spec_ = std::move(*spec);
  phase_ = Phase::kOpening;
}

/// Waits for data, for a membership, and for an earlier leave of the same job to be acknowledged.
bool Slot::open() {
  if (open_at_ && runtime_.clock.now() < *open_at_) return false;
  open_at_.reset();
  const auto opened = shared_.data->get(spec_.data, inbox_);
  if (!opened) {
    if (move_) move_->cold = true;
    return !std::exchange(data_asked_, true);
  }
  if (!opened->has_value()) {
    fault(opened->error());
    return true;
  }
  if (!client_.ready() || !client_.may_join(job())) return false;
  start(**opened);
  return true;
}

void Slot::start(const OpenedData& data) {
  Result<std::unique_ptr<Model>> model = fail(Errc::kInternal, "");
  try {
    DataShape shape = data.train->shape();
    shape.epochs = spec_.epochs;
    model = runner_.make(*shared_.models, spec_, shape, [inbox = inbox_, job = job()](Duration since) {
      return (since > kStopPatience && inbox->stopping()) || (since > kOrderPatience && inbox->wants_other_than(job));
    });
  } catch (const CallInterrupted&) {
    move_.reset();
    phase_ = Phase::kIdle;  // what it is to do instead is in the inbox
    return;
  }
  if (move_ && !runner_.warm()) move_->cold = true;
  if (!model) return fault(model.error());
  TrainerSetup setup;
  setup.spec = spec_;
  setup.spec_json = current_->assignment.spec;
  setup.envelope.job = job();
  setup.envelope.generation = current_->assignment.generation;
  setup.envelope.manager_term = current_->term;
  setup.envelope.decision = current_->assignment.decision;
  setup.model = std::move(*model);
  setup.data = data;
  setup.gate_ask = options_.client.retry;
  if (move_) move_->opened = runtime_.clock.now();
  phase_ = Phase::kRunning;
  trainer_.emplace(std::move(setup), client_, runtime_.clock, *shared_.data);
}

void Slot::check_trainer() {
  if (!trainer_) return;
  if (move_ && trainer_->first_gradient()) report_move();
  const auto& fault = trainer_->fault();
  const bool gone = fault && fault->code == Errc::kNotFound;
  const bool interrupted = fault && fault->code == Errc::kInterrupted;  // by another order, or the end
  if (fault && !gone && !interrupted && !fault_told_) {
    fault_told_ = true;
    move_.reset();
    tell_fault(*fault);
  }
  if (!(fault || trainer_->finished()) || !trainer_->at_boundary()) return;
  if (gone) log::info("slot {}: job '{}': {}", options_.slot.value, spec_.name, fault->what);
  const bool again = gone && trainer_->joined();
  leave();
  if (!gone) move_.reset();
  if (!again || stop_at_ || next_) return;
  // The job has ended, or its home took us out: joining again tells which. An ended job refuses the join, and then the slot waits for its next order.
  phase_ = Phase::kOpening;
  open_at_ = runtime_.clock.now() + kRejoin;
}

void Slot::report_move() {
  const Instant at = *trainer_->first_gradient();
  proto::Moved moved;
  moved.slot = options_.slot;
  moved.from = move_->from;
  moved.to = move_->to;
  moved.total_ms = move_->same_host ? (at - move_->decided_at).ms() : 0;
  moved.batch_wait_ms = (move_->boundary - move_->received).ms();
  moved.stall_ms = (at - move_->boundary).ms();
  moved.cold = move_->cold;
  const Instant leased = trainer_->first_lease().value_or(move_->opened), pulled = trainer_->first_pull().value_or(leased);
  moved.open_ms = (move_->opened - move_->boundary).ms();
  moved.lease_ms = (leased - move_->opened).ms();
  moved.pull_ms = (pulled - leased).ms();
  moved.gradient_ms = (at - pulled).ms();
  shared_.control->put(moved);
  move_.reset();
}

/// The job can't run here, found before it was entered.
void Slot::fault(const Error& error) {
  move_.reset();
  phase_ = Phase::kIdle;
  tell_fault(error);
}

void Slot::tell_fault(const Error& error) {
  shared_.control->put(FaultNews{job(), current_->assignment.generation, std::string(name_of(error.code)), error.what});
  log::warn("slot {}: job {} failed: {}", options_.slot.value, job().value, error.what);
}

bool Slot::try_to_end() {
  if (ended_) return false;
  const bool orderly = !trainer_ && !next_ && client_.quiet();
  if (!orderly && runtime_.clock.now() < *stop_at_) return false;
  ended_ = true;
  shared_.control->slot_ended();
  return true;
}

}  // namespace

std::unique_ptr<Actor> make_slot(const SlotOptions& options, const SlotShared& shared, std::shared_ptr<SlotInbox> inbox, std::shared_ptr<net::Poller> poller,
                                 net::Runtime runtime) {
  return std::make_unique<Slot>(options, shared, std::move(inbox), std::move(poller), runtime);
}

}  // namespace sluice::worker
