#pragma once
/// The shards that one lane holds: tables of jobs, made on first touch, pushed to and pulled from. One lane's thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "net/transport.h"
#include "proto/messages.h"
#include "server/dedup.h"
#include "server/dense_shard.h"
#include "server/detail/ended_jobs.h"
#include "server/detail/first_values.h"
#include "server/detail/held_updates.h"
#include "server/detail/keeper.h"
#include "server/detail/memory_budget.h"
#include "server/detail/reply.h"
#include "server/detail/view.h"
#include "server/sparse_shard.h"

namespace sluice::server {

struct TableHostOptions {
  std::uint32_t lane = 0;
  std::size_t spare_bytes = 16u << 20;  ///< buffers beside the values, at most, beyond an eighth of the dense values; see reply_room()
};

class TableHost {
 public:
  static constexpr std::size_t kJobsMax = 1 << 16;
  static constexpr std::uint64_t kReplyBytesMax = std::uint64_t{256} << 20;  ///< values in one answer

  /// `ended` and `transport` outlive it.
  TableHost(TableHostOptions options, const EndedJobs& ended, std::shared_ptr<MemoryBudget> budget, net::Transport& transport);
  ~TableHost();

  /// Each method answers a request whose client is not expired. `view` is the newest.
  /// Refuses tables for which there is no memory (kUnplaceable, with the numbers). Tables that begin with values from a file: behind, until fill().
  [[nodiscard]] Reply create(const proto::Envelope& envelope, const proto::CreateTables& request, const View& view);
  /// Applies every section that is new, this lane's and sound; the others' outcomes say what to do. A payload that does not fit its sections changes nothing at
  /// all.
  [[nodiscard]] Reply push(const proto::Envelope& envelope, const proto::Push& request, std::span<const net::Frame> payload, const View& view);
  /// Applies a clock's (bsp) or phase's held updates of the job to every shard here, once; a repeat changes nothing.
  [[nodiscard]] Reply apply(const proto::Envelope& envelope, const proto::Apply& request);
  [[nodiscard]] Reply pull(const proto::Envelope& envelope, const proto::Pull& request, std::span<const net::Frame> payload, const View& view);

  /// First values that are to be read, each once; then fill().
  struct Wanted {
    JobId job;
    std::uint32_t generation = 0;
    proto::StartSpec start;
    std::vector<proto::TableSpec> tables;
  };
  [[nodiscard]] std::vector<Wanted> take_wanted() { return std::exchange(wanted_, {}); }
  /// They are there, or why not: then all that is asked of the job here is refused with it.
  void fill(JobId job, std::uint32_t generation, Result<FirstValues> first);
  /// The job's tables at this moment, to be read at leisure; values and state are copied only where they are updated meanwhile. That copy is taken from the
  /// memory budget, whole, until `owner` goes. Nothing of an unknown job. Errors: kUnplaceable: there is no memory for it.
  [[nodiscard]] Result<KeptTables> cut(JobId job);

  /// Frees the job's tables.
  void forget(JobId job);
  /// Hands them out instead: nothing is copied, and nobody else has them from here on.
  [[nodiscard]] KeptTables release(JobId job);
  /// Drops the memory of clients for which `expired` holds. Not what is held of them: it may be committed, and then their clock's Apply names it.
  void expire(const std::function<bool(Incarnation)>& expired);
  /// Values of dense shards held here.
  [[nodiscard]] std::size_t dense_bytes() const { return dense_bytes_; }

 private:
  struct Shard;
  struct Table;
  struct Job {
    std::uint32_t generation = 0;
    std::vector<std::unique_ptr<Table>> tables;  ///< by id; null: not made known
    std::size_t dense_bytes = 0;
    std::uint64_t clocks_applied = 0;  ///< or phases
    std::uint64_t declared_bytes = 0;  ///< taken from the budget
    std::uint64_t held_bytes = 0;      ///< of held updates; taken from the budget too
    bool loading = false;              ///< its first values are being read
    std::optional<Error> unreadable;
    FirstValues first;  ///< of shards that nobody asked for yet
  };
  /// A push's or pull's sections beside what they need; the same order.
  struct Located {
    Table* table = nullptr;
    Bytes bytes;
  };

  /// Makes the job, or a later generation of it, known. REQUIRES: find_job() found it in no other generation, or null.
  [[nodiscard]] Result<Job*> open_job(const proto::Envelope& envelope);
  [[nodiscard]] Result<void> hold(const proto::Push& request, const proto::Section& section, const proto::Envelope& envelope, const Located& located,
                                  Shard& shard);
  [[nodiscard]] Result<void> apply_held(const proto::Apply& request, const Table& table, Shard& shard);
  [[nodiscard]] Result<Job*> find_job(const proto::Envelope& envelope);
  [[nodiscard]] static Table* find_table(Job* job, TableId id);
  /// Finds every section's table and payload into located_. False if the message can't be taken apart: `refusal` is the answer, and nothing was changed.
  [[nodiscard]] bool locate(Job* job, const std::vector<proto::Section>& sections, std::span<const net::Frame> payload, bool push, Reply& refusal);
  [[nodiscard]] static std::uint64_t section_bytes(const Table& table, const proto::Section& section, bool push);
  /// Floats of a sparse row, or, dense, floats for each of a shard's, as such a section brings them.
  [[nodiscard]] static std::size_t row_floats(const Table& table, const proto::Section& section);
  /// Bytes of keys before a section's values.
  [[nodiscard]] static std::size_t key_bytes(const Table& table, const proto::Section& section);
  [[nodiscard]] bool check_place(const proto::Envelope& envelope, const View& view, const Table& table, proto::Section& answer) const;
  [[nodiscard]] Shard& shard_of(Job& job, Table& table, ShardId id, std::uint32_t term);
  void push_one(const proto::Push& request, const proto::Envelope& envelope, const Located& located, Shard& shard, proto::Section& answer, std::string& text);
  [[nodiscard]] Result<std::optional<net::Frame>> pull_one(const Located& located, const Shard& shard, const proto::Section& asked,
                                                           proto::Section& answer) const;
  /// None where the job's values are there, or none are wanted.
  [[nodiscard]] static std::optional<Reply> not_filled(const Job* job);
  /// Makes the shards that nobody asked for yet and that don't begin as their tables say.
  void make_all(Job& job);
  [[nodiscard]] KeptTables snapshot(Job& job);
  /// False when slow readers hold so much that more must wait.
  [[nodiscard]] bool reply_room(std::size_t times);

  TableHostOptions options_;
  const EndedJobs& ended_;
  std::shared_ptr<MemoryBudget> budget_;
  net::Transport& transport_;
  BufferPool pool_;
  std::size_t dense_bytes_ = 0;
  std::unordered_map<JobId, Job> jobs_;
  std::vector<Located> located_;  ///< scratch of one message
  std::vector<Wanted> wanted_;
};

}  // namespace sluice::server
