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
  const bool any = !pieces.empty();
  for (auto& piece : pieces) {
    const JobId job = piece.job;
    auto& waiting = waiting_[job];
    waiting.try_emplace(piece.lane, std::move(piece));  // a lane that is told twice has nothing the second time
    if (waiting.size() < lanes_) continue;
    control_->kept(job, keep(job, waiting));
    waiting_.erase(job);
  }
  return {any, Instant::never()};
}

Result<void> Keeper::keep(JobId job, const std::map<std::uint32_t, KeptPiece>& pieces) {
  const bool repeated = std::all_of(pieces.begin(), pieces.end(), [](const auto& p) { return p.second.repeated; });
  if (repeated) {  // the file is there, or was refused
    const auto it = failed_.find(job);
    return it == failed_.end() ? Result<void>{} : fail(it->second);
  }
  auto written = write(pieces);
  if (!written) failed_.insert_or_assign(job, written.error());
  if (failed_.size() > kFailedMax) failed_.erase(failed_.begin());
  return written;
}

Result<void> Keeper::write(const std::map<std::uint32_t, KeptPiece>& pieces) const {
  const std::string folder = models_ + "/" + pieces.begin()->second.folder;
  const std::string path = folder + "/" + proto::part_name(server_);
  const bool nothing = std::all_of(pieces.begin(), pieces.end(), [](const auto& p) { return p.second.tables.specs.empty() && !p.second.home; });
  if (nothing && proto::part_job(path) == pieces.begin()->second.job) return {};  // a process that came anew: what the one before it wrote is the part
  if (auto made = make_private_folder(folder); !made) return made;
  std::map<TableId, proto::TableSpec> specs;  // every lane knows those it was told of
  std::vector<proto::SavedShard> shards;
  const proto::SavedJob* home = nullptr;
  for (const auto& [lane, piece] : pieces) {
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
  return proto::write_part(path, pieces.begin()->second.job, tables, shards, home);
}

}  // namespace sluice::server
