#include "server/detail/first_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>

#include "proto/saved_cut.h"
#include "proto/saved_model.h"
#include "server/optimizer.h"
#include "server/sparse_shard.h"

namespace sluice::server {
namespace {

using proto::TableKind;
using proto::TableSpec;
using Owned = std::function<bool(TableId, ShardId)>;

Result<void> finite(const TableSpec& table, std::span<const float> values) {
  if (all_finite(floats_of(std::as_bytes(values)), values.size())) return {};
  return fail(Errc::kBadData, fmt::format("table '{}' has values that are not finite", table.name));
}

std::string shape_of(const TableSpec& table) {
  return table.kind == TableKind::kSparse ? fmt::format("sparse, width {}", table.cols) : fmt::format("{} × {}", table.rows, table.cols);
}

/// The job's tables, by their names. Errors: kBadData naming what does not fit.
Result<std::map<std::string, const TableSpec*>> matched(const std::vector<TableSpec>& there, const std::vector<TableSpec>& here) {
  std::map<std::string, const TableSpec*> out;
  for (const TableSpec& table : there) out[table.name] = &table;
  for (const TableSpec& table : here) {
    const auto it = out.find(table.name);
    if (it == out.end()) return fail(Errc::kBadData, fmt::format("the job's table '{}' is not in it", table.name));
    const TableSpec& saved = *it->second;
    if (saved.kind != table.kind || saved.cols != table.cols || (table.kind == TableKind::kDense && saved.rows != table.rows))
      return fail(Errc::kBadData, fmt::format("table '{}' is {} in it and {} in the job", table.name, shape_of(saved), shape_of(table)));
  }
  if (out.size() != here.size()) {
    for (const TableSpec& table : here) out.erase(table.name);
    return fail(Errc::kBadData, fmt::format("its table '{}' is not one of the job's", out.begin()->first));
  }
  return out;
}

/// Rows on their way to this lane's buckets of one table.
class Buckets {
 public:
  Buckets(const TableSpec& table, const Owned& owned, FirstValues& out) : table_(table), out_(out), owned_(table.shards()) {
    for (std::uint32_t shard = 0; shard < table.shards(); ++shard) owned_[shard] = owned(table.id, ShardId{shard});
  }
  /// state: of `state` floats a row, or empty. counts: or empty.
  void add(std::span<const Key> keys, std::span<const float> values, std::span<const float> state, std::span<const std::uint64_t> counts) {
    const std::size_t width = table_.cols, floats = state.empty() ? 0 : state.size() / keys.size();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const ShardId shard = table_.shard_of(keys[i]);
      if (!owned_[shard.value]) continue;
      FirstShard& to = out_[{table_.id, shard}];
      to.keys.push_back(keys[i]);
      to.values.insert(to.values.end(), values.begin() + static_cast<std::ptrdiff_t>(i * width), values.begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
      to.state.insert(to.state.end(), state.begin() + static_cast<std::ptrdiff_t>(i * floats), state.begin() + static_cast<std::ptrdiff_t>((i + 1) * floats));
      if (!counts.empty()) to.counts.push_back(counts[i]);
    }
  }
  Result<void> check() const {
    for (const auto& [at, shard] : out_) {
      if (at.first != table_.id) continue;
      if (shard.keys.size() > SparseShard::rows_max(table_))
        return fail(Errc::kBadData,
                    fmt::format("table '{}' has {} rows in bucket {}; {} fit", table_.name, shard.keys.size(), at.second.value, SparseShard::rows_max(table_)));
      auto keys = shard.keys;
      std::sort(keys.begin(), keys.end());
      if (std::adjacent_find(keys.begin(), keys.end()) != keys.end()) return fail(Errc::kBadData, fmt::format("table '{}' has a key twice", table_.name));
      if (auto ok = finite(table_, shard.values); !ok) return ok;
      if (auto ok = finite(table_, shard.state); !ok) return ok;
    }
    return {};
  }

 private:
  const TableSpec& table_;
  FirstValues& out_;
  std::vector<bool> owned_;
};

std::vector<float> copied(std::span<const float> from) { return {from.begin(), from.end()}; }

/// With `resume` also the optimizer's state.
Result<FirstValues> of_cut(const proto::Cut& cut, const std::vector<TableSpec>& tables, bool resume, const Owned& owned) {
  const auto named = matched(cut.tables(), tables);
  if (!named) return fail(named.error());
  FirstValues out;
  for (const TableSpec& table : tables) {
    const TableSpec& saved = *named->at(table.name);
    const auto optimizer = make_optimizer(table.optimizer);
    if (!optimizer) return fail(optimizer.error());
    const auto other_state = [&] { return fail(Errc::kBadData, fmt::format("the optimizer's state of table '{}' is of another optimizer", table.name)); };
    if (resume && saved.optimizer.name != table.optimizer.name) return other_state();
    if (table.kind == TableKind::kDense) {
      for (std::uint32_t i = 0; i < table.shards(); ++i) {
        const auto shard = cut.dense(saved.id, ShardId{i});
        if (!shard || !owned(table.id, ShardId{i})) continue;
        if (resume && shard->state.size() != (*optimizer)->state_floats(shard->values.size())) return other_state();
        if (auto ok = finite(table, shard->values); !ok) return fail(ok.error());
        FirstShard& to = out[{table.id, ShardId{i}}];
        to.values = copied(shard->values);
        if (resume) to.state = copied(shard->state), to.updates = shard->updates;
      }
      continue;
    }
    Buckets buckets(table, owned, out);
    for (std::uint32_t i = 0; i < saved.shards(); ++i) {
      const auto rows = cut.rows(saved.id, ShardId{i});
      if (!rows || rows->keys.empty()) continue;
      if (resume && rows->state.size() != rows->keys.size() * (*optimizer)->state_floats(table.cols)) return other_state();
      buckets.add(rows->keys, rows->values, resume ? rows->state : std::span<const float>(), resume ? rows->counts : std::span<const std::uint64_t>());
    }
    if (auto ok = buckets.check(); !ok) return fail(ok.error());
  }
  return out;
}

Result<FirstValues> of_model(const proto::SavedModel& model, const std::vector<TableSpec>& tables, const Owned& owned) {
  std::vector<TableSpec> there;
  for (const auto& table : model.tables) there.push_back(table.spec);
  if (const auto named = matched(there, tables); !named) return fail(named.error());
  FirstValues out;
  for (const TableSpec& table : tables) {
    const auto saved = std::find_if(model.tables.begin(), model.tables.end(), [&](const auto& t) { return t.spec.name == table.name; });
    if (table.kind == TableKind::kDense) {
      if (auto ok = finite(table, saved->values); !ok) return fail(ok.error());
      for (std::uint32_t i = 0; i < table.shards(); ++i) {
        if (!owned(table.id, ShardId{i})) continue;
        out[{table.id, ShardId{i}}].values =
            copied(std::span<const float>(saved->values).subspan(std::size_t{i} * proto::kShardFloats, table.shard_floats(ShardId{i})));
      }
      continue;
    }
    Buckets buckets(table, owned, out);
    buckets.add(saved->keys, saved->values, {}, {});
    if (auto ok = buckets.check(); !ok) return fail(ok.error());
  }
  return out;
}

}  // namespace

Result<FirstValues> read_first_values(const proto::StartSpec& start, const std::vector<TableSpec>& tables, const Owned& owned) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(start.from, error);
  const auto with_path = [&](Result<FirstValues> read) -> Result<FirstValues> {
    if (!read && read.error().what.find(start.from) == std::string::npos) return fail(read.error().code, fmt::format("{}: {}", start.from, read.error().what));
    return read;
  };
  if (start.resume || (folder && proto::Cut::there(start.from))) {
    const auto cut = proto::Cut::open(start.from);
    return cut ? with_path(of_cut(*cut, tables, start.resume, owned)) : fail(cut.error());
  }
  const std::string file = folder ? start.from + "/model.safetensors" : start.from;
  const bool parts = folder && !std::filesystem::exists(file, error);
  const auto model = parts ? proto::join_parts(proto::part_paths(start.from)) : proto::read_model(file);
  return model ? with_path(of_model(*model, tables, owned)) : with_path(fail(model.error()));
}

Result<ResumedHome> read_home(const std::string& folder) {
  auto cut = proto::Cut::open(folder);
  if (!cut) return fail(cut.error());
  return ResumedHome{cut->home(), cut->tables()};
}

}  // namespace sluice::server
