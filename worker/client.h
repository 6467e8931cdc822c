#pragma once
/// The asynchronous client of one worker slot: pushes, pulls and the calls to job homes, for one job at a time. Nothing blocks: calls return at once, step()
/// does the work, and what came of it is read with next(). One thread.
///
/// Every call ends: with its event, or with one FailedEvent that names who did not answer or why it was refused.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "net/frame_memory.h"
#include "net/runtime.h"
#include "worker/detail/events.h"
#include "worker/detail/home_calls.h"
#include "worker/detail/key_set.h"
#include "worker/detail/lanes.h"
#include "worker/detail/layout.h"
#include "worker/detail/parameters.h"
#include "worker/detail/push_streams.h"
#include "worker/detail/section_calls.h"
#include "worker/detail/waiting_clock.h"

namespace sluice::worker {

struct ClientOptions {
  Duration call_deadline = from_ms(10'000);  ///< of a push, pull or home call, tries and waits included, the slot's own work not
  Duration retry = from_ms(500);             ///< an unanswered message is sent again after this long
};

struct SplitOptions {
  bool whole = false;       ///< also the tables that batches do not push
  bool skip_zeros = false;  ///< not the dense shards of which nothing changes, but for one: what is pushed is added, and at once
};

class Client {
 public:
  static constexpr Duration kRestorePatience = from_ms(600'000);  ///< of a join, beyond the usual, where the home reads a checkpoint first
  /// The runtime outlives the client; the poller gets its connections.
  Client(const ClientOptions& options, net::Runtime runtime, std::shared_ptr<net::Poller> poller);

  // --- who we are and whom we ask ---
  /// A new membership: abandons everything and forgets all numbers.
  void set_incarnation(Incarnation incarnation);
  [[nodiscard]] Incarnation incarnation() const { return incarnation_; }
  /// Takes a newer slot table over; others are ignored.
  void set_table(std::shared_ptr<const proto::SlotTable> table) { (void)lanes_.set_table(std::move(table)); }
  [[nodiscard]] RingVersion ring() const { return lanes_.version(); }
  [[nodiscard]] bool ready() const { return lanes_.made() && incarnation_.value != 0; }
  /// True once when a server refused us for an old slot table and had no newer one: somebody should ask the manager.
  [[nodiscard]] bool take_want_table();

  // --- one job at a time ---
  /// Begins a job: `envelope` has job, generation, manager term and decision; client and ring are filled in. `tables`: as declared; ids are the positions.
  /// kind: what its pushes carry. uses: what batches do with each table; none: all are parameters. start: where the servers
  /// read the tables' first values from. state: pushes carry, and pulls may bring, the optimizer's state (Layout::state).
  void enter(const proto::Envelope& envelope, std::vector<proto::TableSpec> tables, proto::PushKind kind = proto::PushKind::kGradient,
             std::vector<TableUse> uses = {}, proto::StartSpec start = {}, bool state = false);
  /// The job's dense values live in `memory`, of layout().arena_floats floats, until leave() or the next enter(); empty: in memory of our own. Right after
  /// enter(), before anything is pulled.
  void use_memory(std::span<float> memory) { parameters_.use(memory); }
  /// gradients() come from `file` until leave() or the next enter(), while it has any, if the transport can lend from it. Right after enter().
  void use_gradients(net::MemoryFile file);
  [[nodiscard]] bool entered() const { return entered_; }
  [[nodiscard]] const Layout& layout() const { return layout_; }
  /// False while this client's leave of that job is not acknowledged: joining now could be undone by it.
  [[nodiscard]] bool may_join(JobId job) const { return !homes_.leaving(job); }
  /// Answer: JoinedEvent. Ends in a failure when the job's tables are not those of enter(). A job that has taken no step gets its tables made by us.
  void join(proto::Join join);
  void lease() { homes_.call(envelope_, proto::LeaseRequest{}); }
  void commit(const proto::Commit& commit) { homes_.call(envelope_, commit); }
  void evaluated(proto::EvaluateCommit commit) { homes_.call(envelope_, std::move(commit)); }
  void phase_ended(proto::PhaseCommit commit) { homes_.call(envelope_, std::move(commit)); }
  void ask_gate() { homes_.call(envelope_, proto::Gate{}); }
  /// Ends the job here: what is unanswered is abandoned, and a leave goes out in the background if the job was joined. `finished`: the job is over, its push
  /// numbers are forgotten.
  void leave(std::uint64_t lease, std::uint32_t offset, bool finished);
  /// True when no leave is on its way any more.
  [[nodiscard]] bool quiet() const { return !homes_.leaving_any(); }

  // --- values ---
  /// Fetches the dense tables and the rows of `sets` (one per table), which must stay in place until PulledEvent or leave(). Returns the pull's number.
  /// Of a pull with state the sets have rows of layout().row_floats().
  [[nodiscard]] std::uint64_t pull(std::span<KeySet> sets, PullOptions options = {}) { return parameters_.pull(sets, options); }
  /// Forgets the pulls under way: no events come.
  void cancel_pulls() { parameters_.cancel(); }
  /// A dense table as last absorbed; valid until the next step() or absorb().
  [[nodiscard]] std::span<const float> dense(std::size_t table) const { return parameters_.dense(table); }
  /// Its optimizer's state, as last pulled with it; a float for each value.
  [[nodiscard]] std::span<const float> dense_state(std::size_t table) const { return parameters_.dense_state(table); }
  /// Copies arrived values to their places; PulledEvents follow. Apart from step() so that a slot can send what others wait for first. True if there were any.
  bool absorb();

  /// Memory for a batch's dense gradients: one arena in the order of layout(), sent without a copy; with layout().state a second one behind it, for what
  /// is to be added to the state: then both are copied.
  [[nodiscard]] net::WritableFrame gradients() const;
  /// Cuts one batch's update into shards: dense from `arena` (as written; empty when the job has no dense table), sparse from rows[table] (laid out as
  /// sets[table].rows()). Appends to `out`. Copies the sparse rows only.
  void split(net::WritableFrame arena, std::span<const KeySet> sets, std::span<const std::vector<float>> rows, std::vector<ShardUpdate>& out,
             SplitOptions options = {});
  /// Sends; the push's number. Answer: PushedEvent. `held`: bsp, the end of a phase: the servers keep it under that number, which its commit names. clock: not
  /// 0: it is that clock's batch, and the commit before it is not acknowledged (push_follows_commit()). Errors: kFull.
  [[nodiscard]] Result<std::uint64_t> push(std::span<const ShardUpdate> updates, std::uint64_t step, bool held = false, std::uint64_t clock = 0);
  /// True if the job's home and all its shards are on one lane and nothing asked of the home waits to be sent again: then what is pushed from now on gets there
  /// after the commit that was asked for last. Sends that commit if it has not gone yet.
  [[nodiscard]] bool push_follows_commit();

  // --- the loop ---
  /// The last `time` the caller did not wait for answers (it computed, or its thread was held up): it counts for no deadline. REQUIRES: nothing was
  /// asked in that time, or it would be sent that much later.
  void was_busy(Duration time) { clock_.leave_out(time); }
  /// Receives all that is there, then sends what is new or due. True if anything happened.
  bool step();
  /// Sends what was asked since; step() does it too.
  bool flush();
  [[nodiscard]] std::optional<ClientEvent> next();
  [[nodiscard]] Instant next_timer() const;

 private:
  void receive();
  void take_sections();
  void take_unasked();
  void failed(Error error);
  [[nodiscard]] bool on_one_lane();
  void check_joined(ClientEvent& event);

  net::Transport& transport_;
  std::shared_ptr<net::Poller> poller_;
  WaitingClock clock_;
  Lanes lanes_;
  std::deque<ClientEvent> events_;
  SectionCalls sections_;
  HomeCalls homes_;
  PushStreams streams_;
  Parameters parameters_;
  Incarnation incarnation_;
  proto::Envelope envelope_;
  Layout layout_;
  bool entered_ = false, joining_ = false, failed_ = false;
  bool restores_ = false;  ///< the job's home has a checkpoint to read before it answers a join
  RingVersion placed_;     ///< the slot table that one_lane_ was read from; 0: none
  bool one_lane_ = false;
  std::vector<std::uint64_t> pulled_;  ///< scratch
  std::unique_ptr<net::FrameMemory> gradients_;
  net::MemoryFile unlent_;  ///< keeps its place in memory, by which the model would know it
};

}  // namespace sluice::worker
