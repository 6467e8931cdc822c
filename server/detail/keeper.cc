#include "server/detail/keeper.h"

#include <algorithm>
#include <utility>

#include "base/temporary_file.h"

namespace sluice::server {

void KeeperInbox::offer(KeptPiece piece) {
  {
    const std::lock_guard lock(mutex_);
    pieces_.push_back(std::move(piece));
  }
  poller_->wake();
}

std::vector<KeptPiece> KeeperInbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(pieces_, {});
}

Keeper::Keeper(std::string models, std::string server, std::uint32_t lanes, std::shared_ptr<KeeperInbox> inbox, std::shared_ptr<ControlInbox> control,
               std::shared_ptr<net::Poller> poller)
    : models_(std::move(models)),
      server_(std::move(server)),
      lanes_(lanes),
      inbox_(std::move(inbox)),
      control_(std::move(control)),
      poller_(std::move(poller)) {}

Step Keeper::step() {
  auto pieces = inbox_->take();
  for (auto& piece : pieces) {
    const JobId job = piece.job;
    auto& waiting = waiting_[job];
    waiting.push_back(std::move(piece));
    if (waiting.size() < lanes_) continue;
    // Lanes that had handed it over before have nothing now: the file is there, or was refused.
    const bool repeated = std::any_of(waiting.begin(), waiting.end(), [](const KeptPiece& p) { return p.repeated; });
    control_->kept(job, repeated ? Result<void>{} : write(waiting));
    waiting_.erase(job);
  }
  return {!pieces.empty(), Instant::never()};
}

Result<void> Keeper::write(const std::vector<KeptPiece>& pieces) const {
  const std::string folder = models_ + "/" + pieces.front().folder;
  if (auto made = make_private_folder(folder); !made) return made;
  std::map<TableId, proto::TableSpec> specs;  // every lane knows those it was told of
  std::vector<proto::SavedShard> shards;
  const proto::SavedJob* home = nullptr;
  for (const KeptPiece& piece : pieces) {
    if (piece.home) home = &*piece.home;
    for (const auto& spec : piece.tables.specs) specs.emplace(spec.id, spec);
    for (const auto& dense : piece.tables.dense) {
      const Bytes bytes = dense.values.bytes();
      shards.push_back({dense.table, dense.shard, {}, {}, {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)}});
    }
    for (const auto& sparse : piece.tables.sparse) {
      auto& shard = shards.emplace_back(proto::SavedShard{sparse.table, sparse.shard, {}, {}, {}});
      sparse.rows->copy_rows(shard.keys, shard.rows);
    }
  }
  std::vector<proto::TableSpec> tables;
  for (const auto& [id, spec] : specs) tables.push_back(spec);
  return proto::write_part(folder + "/" + proto::part_name(server_), pieces.front().job, tables, shards, home);
}

}  // namespace sluice::server
