#include "server/detail/keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/temporary_file.h"

namespace sluice::server {

namespace {

/// The file in a checkpoint's folder that says who asked: see proto::SaveJob.
constexpr const char* kRequestFile = "/checkpoint.request";

Result<void> check_folder(const proto::SaveJob& order) {
  const std::string path = order.folder + kRequestFile;
  std::string said(order.cut.size() + 1, ' ');
  std::ifstream file(path);
  if (!file) return fail(Errc::kIo, fmt::format("{} is not there: the checkpoint's folder must be the same for every server and for the verb", path));
  file.read(said.data(), static_cast<std::streamsize>(said.size()));
  if (file.gcount() != static_cast<std::streamsize>(order.cut.size()) || !said.starts_with(order.cut))
    return fail(Errc::kDenied, fmt::format("{} is of another checkpoint", path));
  return {};
}

}  // namespace

void KeeperInbox::offer(KeptPiece piece) {
  {
    const std::lock_guard lock(mutex_);
    news_.pieces.push_back(std::move(piece));
  }
  poller_->wake();
}

void KeeperInbox::save(CutPiece piece) {
  {
    const std::lock_guard lock(mutex_);
    news_.cuts.push_back(std::move(piece));
  }
  poller_->wake();
}

void KeeperInbox::read(LoadWish wish) {
  {
    const std::lock_guard lock(mutex_);
    news_.wishes.push_back(std::move(wish));
  }
  poller_->wake();
}

void KeeperInbox::drop(JobId job, std::string cut) {
  {
    const std::lock_guard lock(mutex_);
    news_.dropped.emplace_back(job, std::move(cut));
  }
  poller_->wake();
}

KeeperInbox::News KeeperInbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
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
  auto news = inbox_->take();
  const bool any = !news.pieces.empty() || !news.cuts.empty() || !news.wishes.empty() || !news.dropped.empty();
  for (const LoadWish& wish : news.wishes) read(wish);  // first: slots wait for it
  for (auto& piece : news.pieces) {
    const JobId job = piece.job;
    auto& waiting = waiting_[job];
    waiting.try_emplace(piece.lane, std::move(piece));  // a lane that is told twice has nothing the second time
    if (waiting.size() < lanes_) continue;
    control_->kept(job, keep(job, waiting));
    waiting_.erase(job);
  }
  for (const auto& [job, cut] : news.dropped)
    if (const auto it = cuts_.find(job); it != cuts_.end() && it->second.begin()->second.order.cut == cut) cuts_.erase(it);
  for (auto& piece : news.cuts) {
    const bool dropped = std::find(news.dropped.begin(), news.dropped.end(), std::pair(piece.job, piece.order.cut)) != news.dropped.end();
    if (!dropped) save(std::move(piece));
  }
  return {any, Instant::never()};
}

void Keeper::read(const LoadWish& wish) {
  // 'not found' is how a slot hears that its job is over: a file that is not there is bad data.
  const auto said = [](auto read) {
    if (!read && read.error().code == Errc::kNotFound) read.error().code = Errc::kBadData;
    return read;
  };
  if (wish.tables.empty()) return wish.to->loaded({wish.job, wish.generation, said(read_home(wish.start.from))});
  const auto owned = [&](TableId table, ShardId shard) { return wish.view->owns(proto::hash_slot(wish.job, table, shard), wish.lane); };
  wish.to->loaded({wish.job, wish.generation, said(read_first_values(wish.start, wish.tables, owned))});
}

void Keeper::save(CutPiece piece) {
  const JobId job = piece.job;
  auto& pieces = cuts_[job];
  if (!pieces.empty() && pieces.begin()->second.order.cut != piece.order.cut) pieces.clear();  // of an earlier one that was given up
  pieces.try_emplace(piece.lane, std::move(piece));
  if (pieces.size() < lanes_) return;
  proto::Saved said{pieces.begin()->second.order.cut, 0, false, 0, 0, {}, {}};
  for (const auto& [lane, one] : pieces)
    if (one.home) said.home = true, said.pause_ms = one.home->pause_ms, said.step = one.home->home.step;
  const auto written = write_cut(pieces);
  if (written) {
    said.bytes = *written;
  } else {
    said.code = std::string(name_of(written.error().code)), said.text = written.error().what;
  }
  cuts_.erase(job);  // first: what was kept of the tables is free when the manager hears of it
  control_->saved(job, std::move(said));
}

Result<std::uint64_t> Keeper::write_cut(const std::map<std::uint32_t, CutPiece>& pieces) const {
  const proto::SaveJob& order = pieces.begin()->second.order;
  if (auto ok = check_folder(order); !ok) return fail(ok.error());
  proto::CutPart part{order.cut, pieces.begin()->second.job, {}, {}, nullptr, nullptr};
  std::map<TableId, proto::TableSpec> specs;
  for (const auto& [lane, piece] : pieces) {
    if (piece.home) {
      part.home_job = &piece.home->job, part.home = &piece.home->home;
      for (const auto& spec : piece.home->tables) specs.emplace(spec.id, spec);
    }
    for (const auto& spec : piece.tables.specs) specs.emplace(spec.id, spec);
    for (const auto& dense : piece.tables.dense) {
      const Bytes bytes = dense.values.values.bytes();
      part.shards.push_back({dense.table,
                             dense.shard,
                             {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)},
                             {dense.values.state.get(), dense.values.state_floats},
                             dense.values.updates,
                             nullptr});
    }
    for (const auto& sparse : piece.tables.sparse) part.shards.push_back({sparse.table, sparse.shard, {}, {}, 0, sparse.rows.get()});
  }
  for (const auto& [id, spec] : specs) part.tables.push_back(spec);
  const std::string folder = fmt::format("{}/job-{}", order.folder, part.job.value);
  if (auto made = make_private_folder(folder); !made) return fail(made.error());
  return proto::write_cut_part(folder, server_, part);
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
  if (nothing && proto::part_job(path) >= pieces.begin()->second.job)
    return {};  // a process that came anew: the part is that job's, or a later one's of its name
  if (auto made = make_private_folder(folder); !made) return made;
  std::map<TableId, proto::TableSpec> specs;  // every lane knows those it was told of
  std::vector<proto::SavedShard> shards;
  const proto::SavedJob* home = nullptr;
  for (const auto& [lane, piece] : pieces) {
    if (piece.home) home = &*piece.home;
    for (const auto& spec : piece.tables.specs) specs.emplace(spec.id, spec);
    for (const auto& dense : piece.tables.dense) {
      const Bytes bytes = dense.values.values.bytes();
      shards.push_back({dense.table, dense.shard, {}, {}, {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)}});
    }
    for (const auto& sparse : piece.tables.sparse) {
      auto& shard = shards.emplace_back(proto::SavedShard{sparse.table, sparse.shard, {}, {}, {}});
      const std::size_t width = specs.at(sparse.table).cols;
      shard.keys.resize(sparse.rows->rows());
      shard.rows.resize(sparse.rows->rows() * width);
      sparse.rows->copy(0, sparse.rows->rows(), {shard.keys.data(), nullptr, shard.rows.data(), nullptr});
    }
  }
  std::vector<proto::TableSpec> tables;
  for (const auto& [id, spec] : specs) tables.push_back(spec);
  return proto::write_part(path, pieces.begin()->second.job, tables, shards, home);
}

}  // namespace sluice::server
