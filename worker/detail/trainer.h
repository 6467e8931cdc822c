#pragma once
/// One slot at one job, from join to the boundary where it may leave: leases, batches, pulls, gradients, pushes, commits, and evaluation leases. One thread.
///
/// The pipeline, for batch c: read and keys → pull → (gate ≥ c) update → push → all acknowledged → commit → acknowledged.
///  - The pull of batch c + 1 follows the push of batch c on the same connections, so it sees that update: a gradient misses what other slots did meanwhile,
///  and
///    nothing of the slot's own. Where reading ahead is measured to be worth it (worker/detail/read_ahead.h) the pull of batch c + 2 follows the push of batch
///    c, batch c + 1 is computed meanwhile, and a gradient misses the slot's own latest update too.
///  - Batch c + 1 is computed while c's commit, or its push too, is under way. It is pushed right behind commit c where both go to one lane, through one
///  connection,
///    so that no shard has c + 1 before the home has c (Push::clock: a push that overtakes its commit is sent away); else once commit c is acknowledged. A
///    slot that dies leaves at most one batch to be applied twice.
///  - ssp: a pull for clock c is issued only once the gate is ≥ c, that is when the slowest slot's clock is ≥ c − s. Values that were asked for after that
///    moment have every update the bound promises, so a prefetched pull is valid by construction, and the one place where a slot waits for others is before a
///    pull. With s = 0 or 1 this leaves no prefetch over the slot's own commits.
///  - The end of a phase is one more lease: all tables are pulled whole, after it was given out, so with every batch of the pass; what finish_phase() writes
///    is pushed to be held, and committed. The pulls of the next pass begin with its leases: none is older than the end's Apply.
///  - bsp: as ssp with s = 0; pushes are acknowledged when they are held, the commit names them, and the gate opens when every shard has applied the clock.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "proto/job_spec.h"
#include "worker/client.h"
#include "worker/detail/data_registry.h"
#include "worker/detail/local_steps.h"
#include "worker/detail/read_ahead.h"
#include "worker/model.h"

namespace sluice::worker {

struct TrainerSetup {
  proto::JobSpec spec;
  std::string spec_json;  ///< as granted
  proto::Envelope envelope;
  std::unique_ptr<Model> model;
  OpenedData data;
  Duration gate_ask = from_ms(500);  ///< while a slot waits at the gate it asks this often whether it rose
};

class Trainer {
 public:
  /// Enters the job at the client and asks to join. The references outlive it. What the model throws becomes fault().
  Trainer(TrainerSetup setup, Client& client, Clock& clock, const DataRegistry& data);

  void take(ClientEvent& event);
  /// Everything that is not computing: commits, pushes, pulls, reading the next batch. True if anything was done.
  bool talk();
  /// Computes at most one batch, if one is ready. True if it did.
  bool work();

  /// Comes to a boundary: begins nothing new, drops what is computed but not pushed, finishes the batch that is pushed.
  void stop();
  [[nodiscard]] bool stopping() const { return stopping_; }
  [[nodiscard]] bool at_boundary() const;
  /// Why the job can't go on here, with the model's or a server's words; the trainer has stopped.
  [[nodiscard]] const std::optional<Error>& fault() const { return fault_; }
  /// The home took us in.
  [[nodiscard]] bool joined() const { return entered_; }
  /// The home said that the job is done.
  [[nodiscard]] bool finished() const { return finished_; }
  /// When the first lease of rows came, and when the first batch's values were there; if they were.
  [[nodiscard]] std::optional<Instant> first_lease() const { return first_lease_; }
  [[nodiscard]] std::optional<Instant> first_pull() const { return first_pull_; }
  /// When the first batch was computed, if it was.
  [[nodiscard]] std::optional<Instant> first_gradient() const { return first_gradient_; }
  /// The data lease to return, 0 = none, and how much of it is committed.
  [[nodiscard]] std::uint64_t lease() const { return lease_.lease; }
  [[nodiscard]] std::uint32_t committed() const { return committed_; }
  [[nodiscard]] Instant next_timer() const;

 private:
  struct Entry {  ///< a batch that is read, or computing
    std::unique_ptr<RowReader> train, test;
    std::span<float> rows;  ///< memory for the batch's dense rows that the model reads without a copy; may be empty
    Batch batch;
    bool evaluate = false, phase = false;
    [[nodiscard]] bool trains() const { return !evaluate && !phase; }
    std::uint64_t clock = 0;
    std::uint32_t end = 0;  ///< offset in the lease after it
    std::vector<std::vector<Key>> keys;
    std::vector<KeySet> sets;
    std::uint64_t pull = 0;
    bool pulled = false;
    std::uint64_t step_read = 0;
  };
  struct Update {  ///< a batch that is computed
    std::vector<ShardUpdate> shards;
    std::uint64_t clock = 0;
    std::uint32_t end = 0, rows = 0;
    std::uint64_t step_read = 0;
    Losses losses;
    std::optional<PhaseEnd> phase;  ///< it is no batch, but the end of one
    std::uint64_t push = 0;
    bool acknowledged = false, redo = false;
  };

  void on_joined(const proto::JoinReply& reply);
  void on_lease(const proto::LeaseReply& lease);
  void on_committed(const proto::CommitReply& reply);
  void share_memory();
  void ask_lease();
  void end_lease();
  bool commit();
  bool push();
  bool prepare();
  bool issue_pull();
  bool wait_at_gate();
  void redo();
  void compute(Entry& entry);
  void finish_phase(Entry& entry);
  net::WritableFrame make_targets(const Entry& entry);
  [[nodiscard]] Losses take_local_steps(Entry& entry, std::span<float> arena);
  void split(net::WritableFrame arena, const Entry& entry, Update update);
  void score(Entry& entry);
  [[nodiscard]] std::vector<TableView> views(Entry& entry) const;
  [[nodiscard]] double take_slot_seconds();
  [[nodiscard]] bool may_read_ahead() const;
  [[nodiscard]] std::uint64_t step_seen() const;
  void fail_with(Error error);
  template <class F>
  void guarded(F f);

  TrainerSetup setup_;
  Client& client_;
  Clock& clock_;
  const DataRegistry& data_;
  const bool state_;          ///< pulls bring and pushes carry the optimizer's state
  const bool bulk_;           ///< bsp: servers hold the pushes until all slots have committed
  bool added_ = false;        ///< the model gives no gradients
  std::uint32_t phases_ = 0;  ///< 0: the model has none

  bool entered_ = false;  ///< the home took us in
  bool joined_ = false;   ///< the join is answered, one way or another
  bool stopping_ = false, finished_ = false, lease_asked_ = false;
  std::uint64_t gate_ = 0, step_ = 0, commit_sequence_ = 0;
  std::uint64_t next_clock_ = 0;                ///< of the next batch to be prepared
  proto::LeaseReply lease_;                     ///< lease 0: none
  std::uint32_t prepared_ = 0, committed_ = 0;  ///< offsets in the lease
  std::optional<Instant> lease_retry_, gate_retry_;

  std::array<Entry, 2> ring_;  ///< entries, oldest at first_
  std::size_t first_ = 0, count_ = 0;
  std::optional<std::uint64_t> early_pull_;  ///< issued with the join
  bool early_pulled_ = false, pull_in_flight_ = false;

  ReadAhead ahead_;
  std::optional<Update> held_, pushed_, committing_;  ///< computed, not pushed; pushed, its commit not sent; its commit not acknowledged
  std::vector<ShardUpdate> spare_;                    ///< memory
  std::vector<std::vector<float>> rows_;              ///< sparse gradients
  std::vector<TableUpdate> targets_;
  LocalSteps local_;
  std::vector<LocalTable> local_tables_;

  Scores scores_;
  bool scored_ = false;  ///< the evaluation lease is being committed
  Instant slot_time_;
  std::optional<Instant> first_lease_, first_pull_, first_gradient_;
  std::optional<Error> fault_;
};

}  // namespace sluice::worker
