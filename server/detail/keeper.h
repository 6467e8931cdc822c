#pragma once
/// Writes what is left of a finished job into a file, on a thread of its own: lanes hand their tables over whole and go on.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "net/transport.h"
#include "proto/saved_model.h"
#include "server/detail/links.h"
#include "server/sparse_shard.h"

namespace sluice::server {

/// A job's tables as one lane had them. Whoever holds it owns them.
struct KeptTables {
  struct Dense {
    TableId table;
    ShardId shard;
    net::Frame values;
  };
  struct Sparse {
    TableId table;
    ShardId shard;
    const SparseShard* rows = nullptr;  ///< `owner` keeps it
  };
  std::vector<proto::TableSpec> specs;
  std::vector<Dense> dense;
  std::vector<Sparse> sparse;
  std::shared_ptr<const void> owner;
};
struct KeptPiece {
  JobId job;
  std::string folder;  ///< text::valid_name
  std::uint32_t lane = 0;
  bool repeated = false;  ///< the lane had handed it over before
  KeptTables tables;
  std::optional<proto::SavedJob> home;
};

/// Lanes → keeper. Any thread. Bounded by the jobs there are: a lane offers each once, and once more for each repeat.
class KeeperInbox {
 public:
  explicit KeeperInbox(std::shared_ptr<net::Poller> poller) : poller_(std::move(poller)) {}
  void offer(KeptPiece piece);
  [[nodiscard]] std::vector<KeptPiece> take();

 private:
  std::shared_ptr<net::Poller> poller_;  ///< the keeper's
  std::mutex mutex_;
  std::vector<KeptPiece> pieces_;
};

/// Collects the pieces of a job from all lanes, writes MODELS/FOLDER/SERVER.part.safetensors, and tells control.
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
  [[nodiscard]] Result<void> write(const std::map<std::uint32_t, KeptPiece>& pieces) const;

  std::string models_, server_;
  std::uint32_t lanes_;
  std::shared_ptr<KeeperInbox> inbox_;
  std::shared_ptr<ControlInbox> control_;
  std::shared_ptr<net::Poller> poller_;
  std::map<JobId, std::map<std::uint32_t, KeptPiece>> waiting_;  ///< by lane; for other lanes' pieces
  std::map<JobId, Error> failed_;                                ///< answered again when the end is said again; the newest kFailedMax
  std::atomic<bool> stopping_{false};
};

}  // namespace sluice::server
