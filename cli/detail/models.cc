#include "cli/detail/models.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/temporary_file.h"

namespace sluice::cli::detail {
namespace {
namespace fs = std::filesystem;

Result<void> write_whole(const std::string& path, std::initializer_list<Bytes> pieces) {
  auto file = TemporaryFile::create(fs::path(path).parent_path().string());
  if (!file) return fail(file.error());
  for (const Bytes piece : pieces) {
    if (auto ok = file->append(piece); !ok) return ok;
  }
  return file->commit(path);
}

/// NEP 1: magic, version, the length of a Python literal padded so that the data begins at a multiple of 64.
Result<void> write_array(const std::string& path, const char* type, const std::vector<std::uint64_t>& shape, Bytes data) {
  std::string sides;
  for (const std::uint64_t side : shape) sides += fmt::format("{}, ", side);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, sides);
  constexpr std::size_t kBefore = 10;
  header.append(63 - (kBefore + header.size()) % 64, ' ');
  header += '\n';
  std::string start("\x93NUMPY\x01\x00", 8);
  start += static_cast<char>(header.size() % 256);
  start += static_cast<char>(header.size() / 256);
  start += header;
  return write_whole(path, {std::as_bytes(std::span(start)), data});
}

}  // namespace

std::string job_yaml(const proto::SavedJob& job) {
  auto document = nlohmann::json::parse(proto::to_json(job.spec));
  document["params"] = nlohmann::json::parse(job.spec.params, nullptr, /*allow_exceptions=*/false);
  const nlohmann::json whole = {
      {"version", 1}, {"id", job.id.value}, {"steps", job.step}, {"data_shape", nlohmann::json::parse(job.data)}, {"job", std::move(document)}};
  return "# What the model beside was trained as.\n" + config::to_yaml(whole.dump());
}

Result<void> join_model(const std::string& folder) {
  const auto parts = proto::part_paths(folder);
  const auto model = proto::join_parts(parts);
  if (!model) return fail(model.error());
  if (auto ok = proto::write_model(folder + "/model.safetensors", *model); !ok) return ok;
  const std::string yaml = job_yaml(model->job);
  if (auto ok = write_file(folder + "/job.yaml", yaml); !ok) return ok;
  for (const auto& part : parts) fs::remove(part);
  return {};
}

Result<proto::SavedModel> load_model(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return proto::read_model(path);
  const std::string file = path + "/model.safetensors";
  if (fs::exists(file, error)) return proto::read_model(file);
  const auto parts = proto::part_paths(path);
  if (parts.empty()) return fail(Errc::kNotFound, fmt::format("{}: neither model.safetensors nor servers' parts of a model are there", path));
  return proto::join_parts(parts);
}

Result<void> write_npy(const std::string& folder, const proto::SavedModel& model) {
  for (const auto& table : model.tables) {
    const bool sparse = table.spec.kind == proto::TableKind::kSparse;
    const std::string base = folder + "/" + table.spec.name;
    const std::uint64_t rows = sparse ? table.keys.size() : table.spec.rows;
    auto ok = write_array(base + (sparse ? ".values.npy" : ".npy"), "<f4", {rows, table.spec.cols}, std::as_bytes(std::span(table.values)));
    if (ok && sparse) ok = write_array(base + ".keys.npy", "<u8", {rows}, std::as_bytes(std::span(table.keys)));
    if (!ok) return ok;
  }
  return {};
}

}  // namespace sluice::cli::detail
