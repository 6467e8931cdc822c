#include "proto/saved_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "base/assert.h"
#include "base/safetensors.h"
#include "proto/detail/saved_json.h"

namespace sluice::proto {
namespace {
using detail::job_of;
using detail::named;
using detail::tables_of;
using detail::to_json;
using nlohmann::json;
using safetensors::File;
using safetensors::Tensor;
using safetensors::Type;

constexpr const char* kPartEnd = ".part.safetensors";
constexpr const char *kKind = "sluice", *kPart = "part 1", *kModel = "model 1";  // with the version of what is in it

template <class T>
void append(std::vector<T>& to, Bytes from) {
  const std::size_t before = to.size(), n = from.size() / sizeof(T);
  to.resize(before + n);
  if (n > 0) std::memcpy(to.data() + before, from.data(), n * sizeof(T));
}

struct Piece {
  Tensor tensor;
  Bytes bytes;
};
/// U64 tensors come first, so that all lie aligned.
Result<void> write(const std::string& path, std::vector<Piece> pieces, safetensors::Metadata metadata) {
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.tensor.type > b.tensor.type; });
  std::vector<Tensor> tensors;
  for (const Piece& piece : pieces) tensors.push_back(piece.tensor);
  auto writer = safetensors::Writer::create(path, tensors, std::move(metadata));
  if (!writer) return fail(writer.error());
  for (const Piece& piece : pieces) {
    if (auto ok = writer->append(piece.bytes); !ok) return ok;
  }
  return writer->commit();
}

std::string tensor_name(TableId table, ShardId shard, const char* what) { return fmt::format("{}/{}/{}", table.value, shard.value, what); }

std::optional<std::uint64_t> job_id(const File& part) {
  const auto it = part.metadata().find("job");
  std::uint64_t id = 0;
  if (it == part.metadata().end()) return std::nullopt;
  const char* end = it->second.data() + it->second.size();
  const auto read = std::from_chars(it->second.data(), end, id);
  return read.ec == std::errc() && read.ptr == end ? std::optional(id) : std::nullopt;
}

/// Parts on their way to a model.
class Joined {
 public:
  /// `bytes`: of all tensors of all parts.
  explicit Joined(std::uint64_t bytes) : bytes_(bytes) {}
  Result<void> add(const File& part) {
    const auto& metadata = part.metadata();
    const auto kind = metadata.find(kKind);
    if (kind == metadata.end() || kind->second != kPart) return fail(Errc::kBadData, "not a part of a model of this version");
    const auto tables = tables_of(metadata.at("tables"));
    if (!tables) return fail(tables.error());
    const auto id = metadata.at("job");
    SLUICE_ASSERT(job_.empty() || job_ == id);  // join_parts() adds one job's
    job_ = id;
    if (const auto home = metadata.find("home"); home != metadata.end()) {
      auto job = job_of(json::parse(home->second));
      if (!job) return fail(job.error());
      model_.job = std::move(*job);
      homes_ = true;
    }
    for (const TableSpec& table : *tables) {
      if (const auto ok = add_table(part, table); !ok) return ok;
    }
    return {};
  }
  /// `parts`: the file names of those that were added.
  Result<SavedModel> take(const std::set<std::string>& parts) {
    if (!homes_) return fail(Errc::kBadData, "the part of the job's home is missing");
    for (const std::string& server : model_.job.servers)
      if (!parts.contains(part_name(server))) return fail(Errc::kBadData, fmt::format("the part of server {} ({}) is missing", server, part_name(server)));
    for (std::size_t t = 0; t < model_.tables.size(); ++t) {
      const TableSpec& spec = model_.tables[t].spec;
      if (spec.kind == TableKind::kSparse) {
        sort(model_.tables[t]);
        continue;
      }
      for (std::uint32_t shard = 0; shard < spec.shards(); ++shard)
        if (!seen_.contains({t, shard})) return fail(Errc::kBadData, fmt::format("shard {} of table '{}' is in no part", shard, spec.name));
    }
    return std::move(model_);
  }

 private:
  Result<void> add_table(const File& part, const TableSpec& spec) {
    const std::size_t at = spec.id.value;
    if (model_.tables.size() <= at) model_.tables.resize(at + 1);
    SavedTable& table = model_.tables[at];
    const bool sparse = spec.kind == TableKind::kSparse;
    if (table.spec.cols == 0) {
      table.spec = spec;
      if (!sparse && spec.floats() * sizeof(float) > bytes_) return fail(Errc::kBadData, fmt::format("shards of table '{}' are in no part", spec.name));
      if (!sparse) table.values.resize(spec.floats());
    } else if (!(table.spec == spec)) {
      return fail(Errc::kBadData, fmt::format("table '{}' differs between parts", spec.name));
    }
    for (std::uint32_t shard = 0; shard < spec.shards(); ++shard) {
      const Tensor* values = part.find(tensor_name(spec.id, ShardId{shard}, "values"));
      if (values == nullptr) continue;
      if (!seen_.insert({at, shard}).second) return fail(Errc::kBadData, fmt::format("shard {} of table '{}' is in two parts", shard, spec.name));
      const Bytes bytes = part.bytes(*values);
      if (!sparse) {
        if (values->type != Type::kF32 || bytes.size() != spec.shard_floats(ShardId{shard}) * sizeof(float))
          return fail(Errc::kBadData, fmt::format("shard {} of table '{}' has another size", shard, spec.name));
        std::memcpy(table.values.data() + std::size_t{shard} * kShardFloats, bytes.data(), bytes.size());
        continue;
      }
      const Tensor* keys = part.find(tensor_name(spec.id, ShardId{shard}, "keys"));
      if (keys == nullptr || keys->type != Type::kU64 || part.bytes(*keys).size() / sizeof(Key) * spec.cols * sizeof(float) != bytes.size())
        return fail(Errc::kBadData, fmt::format("shard {} of table '{}': keys and rows do not agree", shard, spec.name));
      append(table.keys, part.bytes(*keys));
      append(table.values, bytes);
    }
    return {};
  }
  static void sort(SavedTable& table) {
    std::vector<std::size_t> order(table.keys.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return table.keys[a] < table.keys[b]; });
    SavedTable sorted;
    const std::size_t cols = table.spec.cols;
    sorted.values.reserve(table.values.size());
    for (const std::size_t i : order) {
      sorted.keys.push_back(table.keys[i]);
      const auto row = table.values.begin() + static_cast<std::ptrdiff_t>(i * cols);
      sorted.values.insert(sorted.values.end(), row, row + static_cast<std::ptrdiff_t>(cols));
    }
    table.keys = std::move(sorted.keys);
    table.values = std::move(sorted.values);
  }

  std::uint64_t bytes_;
  SavedModel model_;
  std::string job_;
  bool homes_ = false;
  std::set<std::pair<std::size_t, std::uint32_t>> seen_;
};

}  // namespace

std::string part_name(const std::string& server) { return server + kPartEnd; }

Result<void> write_part(const std::string& path, JobId job, std::span<const TableSpec> tables, std::span<const SavedShard> shards, const SavedJob* home) {
  std::vector<Piece> pieces;
  std::map<TableId, std::uint32_t> cols;
  for (const TableSpec& table : tables) cols[table.id] = table.cols;
  for (const SavedShard& s : shards) {
    const bool sparse = s.dense.empty();
    const std::span<const float> values = sparse ? std::span<const float>(s.rows) : s.dense;
    pieces.push_back(
        {{tensor_name(s.table, s.shard, "values"), Type::kF32, {values.size() / std::max(1U, cols[s.table]), cols[s.table]}}, std::as_bytes(values)});
    if (!sparse) pieces.back().tensor.shape = {values.size()};
    if (sparse) pieces.push_back({{tensor_name(s.table, s.shard, "keys"), Type::kU64, {s.keys.size()}}, std::as_bytes(std::span(s.keys))});
  }
  safetensors::Metadata metadata = {{kKind, kPart}, {"job", std::to_string(job.value)}, {"tables", to_json(tables).dump()}};
  if (home != nullptr) metadata["home"] = to_json(*home).dump();
  return write(path, std::move(pieces), std::move(metadata));
}

std::optional<JobId> part_job(const std::string& path) {
  const auto file = File::open(path);
  if (!file) return std::nullopt;
  const auto id = job_id(*file);
  return id ? std::optional(JobId(*id)) : std::nullopt;
}

std::vector<std::string> part_paths(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().string().ends_with(kPartEnd)) paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

Result<SavedModel> join_parts(const std::vector<std::string>& paths) {
  if (paths.empty()) return fail(Errc::kNotFound, "there are no parts of a model");
  struct Part {
    std::string path;
    File file;
  };
  std::map<std::uint64_t, std::vector<Part>> jobs;  // of one name, perhaps: the newest, whose id is the largest, counts
  for (const auto& path : paths) {
    auto file = File::open(path);
    if (!file) return fail(file.error());
    const auto id = job_id(*file);
    if (!id) return fail(Errc::kBadData, fmt::format("{}: not a part of a model of this version", path));
    jobs[*id].push_back({path, std::move(*file)});
  }
  const auto& parts = jobs.rbegin()->second;
  std::uint64_t bytes = 0;
  for (const Part& part : parts)
    for (const auto& tensor : part.file.tensors()) bytes += part.file.bytes(tensor).size();
  Joined joined(bytes);
  std::set<std::string> names;
  for (const Part& part : parts) {
    if (const auto ok = named(part.path, [&] { return joined.add(part.file); }); !ok) return fail(ok.error());
    names.insert(std::filesystem::path(part.path).filename().string());
  }
  return named(std::filesystem::path(paths[0]).parent_path().string(), [&] { return joined.take(names); });
}

Result<void> write_model(const std::string& path, const SavedModel& model) {
  std::vector<Piece> pieces;
  std::vector<TableSpec> specs;
  for (const SavedTable& table : model.tables) {
    specs.push_back(table.spec);
    const bool sparse = table.spec.kind == TableKind::kSparse;
    const std::string name = sparse ? table.spec.name + ".values" : table.spec.name;
    pieces.push_back({{name, Type::kF32, {sparse ? table.keys.size() : table.spec.rows, table.spec.cols}}, std::as_bytes(std::span(table.values))});
    if (sparse) pieces.push_back({{table.spec.name + ".keys", Type::kU64, {table.keys.size()}}, std::as_bytes(std::span(table.keys))});
  }
  return write(path, std::move(pieces), {{kKind, kModel}, {"tables", to_json(specs).dump()}, {"job", to_json(model.job).dump()}});
}

Result<SavedModel> read_model(const std::string& path) {
  const auto file = File::open(path);
  if (!file) return fail(file.error());
  return named(path, [&]() -> Result<SavedModel> {
    const auto& metadata = file->metadata();
    const auto kind = metadata.find(kKind);
    if (kind == metadata.end() || kind->second != kModel) return fail(Errc::kBadData, "not a model that sluice wrote, or of another version");
    const auto specs = tables_of(metadata.at("tables"));
    if (!specs) return fail(specs.error());
    auto job = job_of(json::parse(metadata.at("job")));
    if (!job) return fail(job.error());
    SavedModel out{std::move(*job), {}};
    for (const TableSpec& spec : *specs) {
      const bool sparse = spec.kind == TableKind::kSparse;
      const Tensor* values = file->find(sparse ? spec.name + ".values" : spec.name);
      const Tensor* keys = sparse ? file->find(spec.name + ".keys") : nullptr;
      if (values == nullptr || values->type != Type::kF32 || (sparse && (keys == nullptr || keys->type != Type::kU64)))
        return fail(Errc::kBadData, fmt::format("table '{}' is missing", spec.name));
      SavedTable table{spec, {}, {}};
      append(table.values, file->bytes(*values));
      if (keys != nullptr) append(table.keys, file->bytes(*keys));
      if (table.values.size() != (sparse ? table.keys.size() : spec.rows) * spec.cols)
        return fail(Errc::kBadData, fmt::format("table '{}' has another size than it says", spec.name));
      if (!std::is_sorted(table.keys.begin(), table.keys.end())) return fail(Errc::kBadData, fmt::format("the keys of table '{}' are not in order", spec.name));
      out.tables.push_back(std::move(table));
    }
    return out;
  });
}

}  // namespace sluice::proto
