#include "proto/saved_cut.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/safetensors.h"
#include "base/temporary_file.h"
#include "proto/detail/saved_json.h"

namespace sluice::proto {
namespace {
using nlohmann::json;
using safetensors::File;
using safetensors::Tensor;
using safetensors::Type;
using safetensors::Writer;

constexpr const char *kCutKind = "sluice", *kCutPart = "cut 1";  // with the version of what is in it
constexpr std::size_t kRowsAtOnce = 4096;

struct CutPiece {
  Tensor tensor;
  std::function<Result<void>(Writer&)> write;
};

std::string cut_name(TableId table, ShardId shard, const char* what) { return fmt::format("{}/{}/{}", table.value, shard.value, what); }

CutPiece whole(std::string name, std::span<const float> floats) {
  return {{std::move(name), Type::kF32, {floats.size()}}, [floats](Writer& to) { return to.append(std::as_bytes(floats)); }};
}

/// A few rows at a time, so that a table is not in memory once more.
template <class T>
CutPiece by_rows(std::string name, Type type, const RowSource& rows, std::size_t width, T* RowTargets::*target) {
  auto write = [&rows, width, target](Writer& to) -> Result<void> {
    std::vector<T> some;
    for (std::size_t first = 0; first < rows.rows(); first += kRowsAtOnce) {
      const std::size_t n = std::min(kRowsAtOnce, rows.rows() - first);
      some.resize(n * width);
      RowTargets targets;
      targets.*target = some.data();
      rows.copy(first, n, targets);
      if (auto ok = to.append(std::as_bytes(std::span(some))); !ok) return ok;
    }
    return {};
  };
  return {{std::move(name), type, {rows.rows(), width}}, std::move(write)};
}

std::vector<CutPiece> pieces_of(const CutPart& part) {
  std::vector<CutPiece> out;
  for (const CutShard& s : part.shards) {
    const auto name = [&](const char* what) { return cut_name(s.table, s.shard, what); };
    if (s.rows == nullptr) {
      out.push_back(whole(name("values"), s.values));
      out.push_back(whole(name("state"), s.state));
      out.push_back({{name("updates"), Type::kU64, {1}}, [updates = s.updates](Writer& to) { return to.append(std::as_bytes(std::span(&updates, 1))); }});
      continue;
    }
    const auto table = std::find_if(part.tables.begin(), part.tables.end(), [&](const TableSpec& spec) { return spec.id == s.table; });
    out.push_back(by_rows<Key>(name("keys"), Type::kU64, *s.rows, 1, &RowTargets::keys));
    out.push_back(by_rows<std::uint64_t>(name("counts"), Type::kU64, *s.rows, 1, &RowTargets::counts));
    out.push_back(by_rows<float>(name("values"), Type::kF32, *s.rows, table->cols, &RowTargets::values));
    out.push_back(by_rows<float>(name("state"), Type::kF32, *s.rows, s.rows->state_floats(), &RowTargets::state));
  }
  // U64 first, so that all lie aligned.
  std::stable_sort(out.begin(), out.end(), [](const CutPiece& a, const CutPiece& b) { return a.tensor.type > b.tensor.type; });
  return out;
}

json optimizers_of(const std::vector<TableSpec>& tables) {
  json out = json::array();
  for (const auto& table : tables) out.push_back({{"name", table.optimizer.name}, {"numbers", table.optimizer.numbers}});
  return out;
}

template <class T>
std::span<const T> as(Bytes bytes) {
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

}  // namespace

Result<std::uint64_t> write_cut_part(const std::string& folder, const std::string& server, const CutPart& part) {
  const auto pieces = pieces_of(part);
  std::vector<Tensor> tensors;
  for (const CutPiece& piece : pieces) tensors.push_back(piece.tensor);
  safetensors::Metadata metadata = {{kCutKind, kCutPart},
                                    {"cut", part.cut},
                                    {"job", std::to_string(part.job.value)},
                                    {"tables", detail::to_json(part.tables).dump()},
                                    {"optimizers", optimizers_of(part.tables).dump()}};
  if (part.home != nullptr) {
    metadata["home_job"] = detail::to_json(*part.home_job).dump();
    metadata["home"] = to_json(*part.home);
  }
  const std::string path = folder + "/" + part_name(server);
  auto writer = Writer::create(path, tensors, std::move(metadata));
  if (!writer) return fail(writer.error());
  for (const CutPiece& piece : pieces) {
    if (auto ok = piece.write(*writer); !ok) return fail(ok.error());
  }
  if (auto ok = writer->commit(/*sync=*/true); !ok) return fail(ok.error());
  if (auto ok = sync_folder(folder); !ok) return fail(ok.error());
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  return error ? 0 : bytes;
}

struct Cut::Impl {
  struct Place {
    const File* file;
    const Tensor *values, *state, *other, *keys;
  };
  std::vector<std::unique_ptr<File>> files;
  std::string name;
  std::optional<SavedJob> job;
  std::optional<SavedHome> home;
  std::vector<TableSpec> tables;
  std::map<std::pair<TableId, ShardId>, Place> shards;
  std::uint64_t bytes = 0;

  Result<void> add(std::unique_ptr<File> file);
  Result<void> add_shard(const File& file, const TableSpec& table, ShardId shard);
  Result<void> add_home(const safetensors::Metadata& metadata);
};
Cut::Cut(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Cut::Cut(Cut&&) noexcept = default;
Cut::~Cut() = default;
const std::string& Cut::name() const { return impl_->name; }
const SavedJob& Cut::job() const { return *impl_->job; }
const SavedHome& Cut::home() const { return *impl_->home; }
const std::vector<TableSpec>& Cut::tables() const { return impl_->tables; }
std::uint64_t Cut::bytes() const { return impl_->bytes; }
std::size_t Cut::parts() const { return impl_->files.size(); }

Result<void> Cut::Impl::add_shard(const File& file, const TableSpec& table, ShardId shard) {
  const auto find = [&](const char* what) { return file.find(cut_name(table.id, shard, what)); };
  const bool sparse = table.kind == TableKind::kSparse;
  const Place place{&file, find("values"), find("state"), find(sparse ? "counts" : "updates"), sparse ? find("keys") : nullptr};
  if (place.values == nullptr && place.state == nullptr && place.other == nullptr && place.keys == nullptr) return {};
  const auto wrong = [&](const char* what) { return fail(Errc::kBadData, fmt::format("shard {} of table '{}' {}", shard.value, table.name, what)); };
  if (place.values == nullptr || place.state == nullptr || place.other == nullptr || (sparse && place.keys == nullptr)) return wrong("is not whole");
  if (place.values->type != Type::kF32 || place.state->type != Type::kF32 || place.other->type != Type::kU64 || (sparse && place.keys->type != Type::kU64))
    return wrong("has numbers of another type");
  const std::size_t floats = file.bytes(*place.values).size() / sizeof(float), state = file.bytes(*place.state).size() / sizeof(float);
  const std::size_t others = file.bytes(*place.other).size() / sizeof(std::uint64_t);
  const std::size_t rows = sparse ? file.bytes(*place.keys).size() / sizeof(Key) : 1;
  const std::size_t wanted = sparse ? rows * table.cols : table.shard_floats(shard);
  if (floats != wanted || others != rows || (floats == 0 ? state != 0 : state % floats != 0)) return wrong("has another size than its table says");
  if (!shards.emplace(std::pair(table.id, shard), place).second) return wrong("is in two parts");
  return {};
}

Result<void> Cut::Impl::add_home(const safetensors::Metadata& metadata) {
  if (home) return fail(Errc::kBadData, "the job's home is in two parts");
  auto said = detail::job_of(json::parse(metadata.at("home_job")));
  if (!said) return fail(said.error());
  auto knew = saved_home_from_json(metadata.at("home"));
  if (!knew) return fail(knew.error());
  job = std::move(*said);
  home = std::move(*knew);
  return {};
}

Result<void> Cut::Impl::add(std::unique_ptr<File> file) {
  const auto& metadata = file->metadata();
  const auto kind = metadata.find(kCutKind);
  if (kind == metadata.end() || kind->second != kCutPart) return fail(Errc::kBadData, "not a part of a checkpoint of this version");
  for (const auto& [key, text] : metadata)
    if (detail::too_deep(text, 16)) return fail(Errc::kBadData, fmt::format("its {} is nested too deep", key));
  if (name.empty()) name = metadata.at("cut");
  if (name != metadata.at("cut")) return fail(Errc::kBadData, "it is of another checkpoint than the parts beside it");
  auto said = detail::tables_of(metadata.at("tables"));
  if (!said) return fail(said.error());
  const json optimizers = json::parse(metadata.at("optimizers"));
  if (optimizers.size() != said->size()) return fail(Errc::kBadData, "its tables and optimizers do not agree");
  for (std::size_t i = 0; i < said->size(); ++i)
    (*said)[i].optimizer = {optimizers.at(i).at("name").get<std::string>(), optimizers.at(i).at("numbers").get<std::map<std::string, double>>()};
  // A lane that nobody had told of the job's tables knew fewer of them.
  for (std::size_t i = 0; i < std::min(said->size(), tables.size()); ++i)
    if (!((*said)[i] == tables[i])) return fail(Errc::kBadData, fmt::format("table '{}' differs between parts", tables[i].name));
  std::size_t tensors = 0;
  for (const TableSpec& table : *said) {
    const std::size_t before = shards.size();
    for (std::uint32_t shard = 0; shard < table.shards(); ++shard)
      if (auto ok = add_shard(*file, table, ShardId{shard}); !ok) return ok;
    tensors += (shards.size() - before) * (table.kind == TableKind::kSparse ? 4 : 3);
  }
  if (tensors != file->tensors().size()) return fail(Errc::kBadData, "it has tensors that are no shard's");
  if (said->size() > tables.size()) tables = std::move(*said);
  if (metadata.contains("home")) {
    if (auto ok = add_home(metadata); !ok) return ok;
  }
  files.push_back(std::move(file));
  return {};
}

bool Cut::there(const std::string& folder) {
  for (const auto& path : part_paths(folder)) {
    const auto file = File::open(path);
    if (!file) continue;
    const auto kind = file->metadata().find(kCutKind);
    return kind != file->metadata().end() && kind->second.starts_with("cut");
  }
  return false;
}

Result<Cut> Cut::open(const std::string& folder) {
  const auto paths = part_paths(folder);
  if (paths.empty()) return fail(Errc::kNotFound, fmt::format("{}: no part of a checkpoint is there", folder));
  auto impl = std::make_unique<Impl>();
  std::set<std::string> names;
  for (const auto& path : paths) {
    auto file = File::open_sealed(path);
    if (!file) return fail(file.error());
    if (auto ok = detail::named(path, [&] { return impl->add(std::make_unique<File>(std::move(*file))); }); !ok) return fail(ok.error());
    names.insert(std::filesystem::path(path).filename().string());
    std::error_code error;
    impl->bytes += std::filesystem::file_size(path, error);
  }
  if (!impl->home) return fail(Errc::kBadData, fmt::format("{}: the part of the job's home is missing", folder));
  for (const std::string& server : impl->job->servers)
    if (!names.contains(part_name(server)))
      return fail(Errc::kBadData, fmt::format("{}: the part of server {} ({}) is missing", folder, server, part_name(server)));
  if (names.size() != impl->job->servers.size())
    return fail(Errc::kBadData, fmt::format("{}: there are parts of servers that are not the checkpoint's", folder));
  return Cut(std::move(impl));
}

std::optional<Cut::Dense> Cut::dense(TableId table, ShardId shard) const {
  const auto it = impl_->shards.find({table, shard});
  if (it == impl_->shards.end()) return std::nullopt;
  const auto& [file, values, state, updates, keys] = it->second;
  return Dense{as<float>(file->bytes(*values)), as<float>(file->bytes(*state)), as<std::uint64_t>(file->bytes(*updates))[0]};
}

std::optional<Cut::Rows> Cut::rows(TableId table, ShardId shard) const {
  const auto it = impl_->shards.find({table, shard});
  if (it == impl_->shards.end()) return std::nullopt;
  const auto& [file, values, state, counts, keys] = it->second;
  return Rows{as<Key>(file->bytes(*keys)), as<std::uint64_t>(file->bytes(*counts)), as<float>(file->bytes(*values)), as<float>(file->bytes(*state))};
}

}  // namespace sluice::proto
