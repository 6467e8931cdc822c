/// A job's tables as files want them: handed over at its end, shared at a checkpoint's cut, filled from a file.
#include <fmt/format.h>

#include "server/detail/table_host_parts.h"

namespace sluice::server {
namespace {

/// Bytes of the memory budget, given back when it goes.
struct Taken {
  Taken(std::shared_ptr<MemoryBudget> from, std::uint64_t n) : budget(std::move(from)), bytes(n) {}
  ~Taken() { budget->give(bytes); }
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;
  std::shared_ptr<MemoryBudget> budget;
  std::uint64_t bytes;
};

}  // namespace

void TableHost::fill(JobId id, std::uint32_t generation, Result<FirstValues> first) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end() || it->second.generation != generation || !it->second.loading) return;  // it ended meanwhile
  it->second.loading = false;
  if (first) {
    it->second.first = std::move(*first);
  } else {
    it->second.unreadable = first.error();
  }
}

void TableHost::make_all(Job& job) {
  while (!job.first.empty()) {
    const auto [table, shard] = job.first.begin()->first;
    (void)shard_of(job, *job.tables.at(table.value), shard, 0);  // its term comes with the first request
  }
}

KeptTables TableHost::snapshot(Job& job) {
  KeptTables out;
  make_all(job);
  for (const auto& table : job.tables) {
    if (!table) continue;
    out.specs.push_back(table->spec);
    for (const auto& [id, shard] : table->shards) {
      if (auto* dense = std::get_if<DenseShard>(&shard->values)) out.dense.push_back({table->spec.id, id, dense->snapshot()});
      if (auto* sparse = std::get_if<SparseShard>(&shard->values)) out.sparse.push_back({table->spec.id, id, sparse->snapshot()});
    }
  }
  return out;
}

Result<KeptTables> TableHost::cut(JobId id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return KeptTables{};
  Job& job = it->second;
  if (job.unreadable) return fail(*job.unreadable);
  if (job.loading) return fail(Errc::kNotFound, "the job's first values are being read: there is nothing to save yet");
  make_all(job);
  std::uint64_t bytes = 0;
  for (const auto& table : job.tables) {
    if (!table) continue;
    for (const auto& [shard_id, shard] : table->shards) {
      if (const auto* dense = std::get_if<DenseShard>(&shard->values)) bytes += dense->floats() * sizeof(float) + dense->state_bytes();
      if (const auto* sparse = std::get_if<SparseShard>(&shard->values)) bytes += sparse->bytes();
    }
  }
  if (!budget_->take(bytes)) {
    const double gb = 1e9, used = static_cast<double>(budget_->used());
    return fail(
        Errc::kUnplaceable,
        fmt::format("no memory for a checkpoint: {:.3f} GB may have to be copied while it is written, and of the server's {:.3f} GB for tables {:.3f} GB are "
                    "free (sluice server --memory)",
                    static_cast<double>(bytes) / gb, static_cast<double>(budget_->limit()) / gb, (static_cast<double>(budget_->limit()) - used) / gb));
  }
  KeptTables out = snapshot(job);
  out.owner = std::make_shared<const Taken>(budget_, bytes);
  return out;
}

KeptTables TableHost::release(JobId id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return {};
  KeptTables out = snapshot(it->second);
  dense_bytes_ -= it->second.dense_bytes;
  budget_->give(it->second.held_bytes);
  out.owner = std::make_shared<const Taken>(budget_, it->second.declared_bytes);
  jobs_.erase(it);  // what is shared lives on
  return out;
}

}  // namespace sluice::server
