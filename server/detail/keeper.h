#pragma once
/// Files of a server, on a thread of its own: writes what is left of a finished job, and a server's part of a checkpoint; reads a job's first values. Lanes
/// hand over what they have, or ask, and go on.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "net/transport.h"
#include "proto/saved_cut.h"
#include "proto/saved_model.h"
#include "server/dense_shard.h"
#include "server/detail/links.h"
#include "server/sparse_shard.h"

namespace sluice::server {

/// A job's tables as one lane had them, whole or at the moment of a cut. Whoever holds it owns them.
struct KeptTables {
  struct Dense {
    TableId table;
    ShardId shard;
    DenseSnapshot values;
  };
  struct Sparse {
    TableId table;
    ShardId shard;
    std::shared_ptr<const SparseSnapshot> rows;
  };
  std::vector<proto::TableSpec> specs;
  std::vector<Dense> dense;
  std::vector<Sparse> sparse;
  std::shared_ptr<const void> owner;  ///< of what they took from the memory budget; of a finished job the tables themselves
};
struct KeptPiece {
  JobId job;
  std::string folder;  ///< text::valid_name
  std::uint32_t lane = 0;
  bool repeated = false;  ///< the lane had handed it over before
  KeptTables tables;
  std::optional<proto::SavedJob> home;
};

/// One lane's piece of a cut.
struct CutPiece {
  JobId job;
  proto::SaveJob order;
  std::uint32_t lane = 0;
  KeptTables tables;
  /// Of the lane that has the job's home.
  struct Home {
    proto::SavedJob job;
    proto::SavedHome home;
    std::vector<proto::TableSpec> tables;  ///< as the job was opened: lanes know those that somebody asked them for
    double pause_ms = 0;
  };
  std::optional<Home> home;
};
/// A lane's wish to have read what a job begins with: its shards' values, or (tables empty) its home.
struct LoadWish {
  JobId job;
  std::uint32_t generation = 0;
  proto::StartSpec start;
  std::vector<proto::TableSpec> tables;
  std::uint32_t lane = 0;
  std::shared_ptr<const View> view;
  std::shared_ptr<LaneInbox> to;
};

/// Lanes → keeper. Any thread. Bounded by the jobs there are: a lane offers each once, and once more for each repeat; one cut and one
/// wish of each kind a job and lane.
class KeeperInbox {
 public:
  explicit KeeperInbox(std::shared_ptr<net::Poller> poller) : poller_(std::move(poller)) {}
  void offer(KeptPiece piece);
  void save(CutPiece piece);
  void read(LoadWish wish);
  /// A cut is given up: what is here of it goes.
  void drop(JobId job, std::string cut);

  struct News {
    std::vector<KeptPiece> pieces;
    std::vector<CutPiece> cuts;
    std::vector<LoadWish> wishes;
    std::vector<std::pair<JobId, std::string>> dropped;
  };
  [[nodiscard]] News take();

 private:
  std::shared_ptr<net::Poller> poller_;  ///< the keeper's
  std::mutex mutex_;
  News news_;
};

/// Collects the pieces of a job from all lanes, writes MODELS/FOLDER/SERVER.part.safetensors, or the checkpoint's part, and tells control.
class Keeper final : public Actor {
 public:
  Keeper(std::string models, std::string server, std::uint32_t lanes, std::shared_ptr<KeeperInbox> inbox, std::shared_ptr<ControlInbox> control,
         std::shared_ptr<net::Poller> poller);

  [[nodiscard]] Step step() override;
  void wait(Instant until) override { poller_->wait(until); }
  void wake() override { poller_->wake(); }
  void stop() override { stopping_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool ended() const override { return stopping_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kFailedMax = 1024;
  [[nodiscard]] Result<void> keep(JobId job, const std::map<std::uint32_t, KeptPiece>& pieces);
  void save(CutPiece piece);
  [[nodiscard]] Result<std::uint64_t> write_cut(const std::map<std::uint32_t, CutPiece>& pieces) const;
  static void read(const LoadWish& wish);
  [[nodiscard]] Result<void> write(const std::map<std::uint32_t, KeptPiece>& pieces) const;

  std::string models_, server_;
  std::uint32_t lanes_;
  std::shared_ptr<KeeperInbox> inbox_;
  std::shared_ptr<ControlInbox> control_;
  std::shared_ptr<net::Poller> poller_;
  std::map<JobId, std::map<std::uint32_t, KeptPiece>> waiting_;  ///< by lane; for other lanes' pieces
  std::map<JobId, std::map<std::uint32_t, CutPiece>> cuts_;      ///< by lane; all of one cut, the newest
  std::map<JobId, Error> failed_;                                ///< answered again when the end is said again; the newest kFailedMax
  std::atomic<bool> stopping_{false};
};

}  // namespace sluice::server
