#include "cli/detail/checkpoint_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/sealed_text.h"
#include "base/temporary_file.h"
#include "base/text.h"
#include "proto/saved_model.h"

namespace sluice::cli::detail {
namespace {
namespace fs = std::filesystem;

constexpr const char* kSeal = "xxh3_64";
constexpr std::size_t kManifestMax = 64 << 20;

Result<CheckpointJob> job_of(const nlohmann::json& from) {
  auto spec = proto::job_spec_from_older_json(from.at("spec").get<std::string>());
  if (!spec) return fail(spec.error());
  CheckpointJob job{from.at("job").get<std::string>(),    from.at("begun").get<bool>(),          std::move(*spec),
                    from.at("step").get<std::uint64_t>(), from.at("bytes").get<std::uint64_t>(), from.at("pause_ms").get<double>()};
  if (!text::valid_name(job.name)) return fail(Errc::kBadData, "a job's name can't be");
  return job;
}

}  // namespace

Result<void> write_manifest(const std::string& folder, const CheckpointManifest& manifest) {
  nlohmann::json jobs = nlohmann::json::array();
  for (const auto& job : manifest.jobs) {
    jobs.push_back(
        {{"job", job.name}, {"begun", job.begun}, {"spec", proto::to_json(job.spec)}, {"step", job.step}, {"bytes", job.bytes}, {"pause_ms", job.pause_ms}});
  }
  const nlohmann::json document = {{"version", 1}, {"checkpoint", manifest.cut}, {"jobs", std::move(jobs)}, {kSeal, kUnsealed}};
  std::string text = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (!seal(text, kSeal)) return fail(Errc::kInternal, "a manifest without a checksum");
  auto file = TemporaryFile::create(folder);
  if (!file) return fail(file.error());
  if (auto ok = file->append(std::as_bytes(std::span(text))); !ok) return ok;
  if (auto ok = file->sync(); !ok) return ok;
  return file->commit(folder + "/" + kManifestFile);
}

Result<CheckpointManifest> read_manifest(const std::string& folder) {
  const std::string path = folder + "/" + kManifestFile;
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) return fail(Errc::kNotFound, fmt::format("{}: no checkpoint is there ({}: {})", folder, kManifestFile, error.message()));
  if (size > kManifestMax) return fail(Errc::kBadData, fmt::format("{}: too large", path));
  std::ifstream file(path, std::ios::binary);
  std::ostringstream read;
  read << file.rdbuf();
  const std::string text = std::move(read).str();
  if (!sealed(text, kSeal)) return fail(Errc::kBadData, fmt::format("{}: damaged, or not sluice's: its checksum differs", path));
  try {
    const nlohmann::json document = nlohmann::json::parse(text);
    if (document.at("version") != 1) return fail(Errc::kBadData, fmt::format("{}: of another version", path));
    CheckpointManifest out{document.at("checkpoint").get<std::string>(), {}};
    for (const auto& entry : document.at("jobs")) {
      auto job = job_of(entry);
      if (!job) return fail(Errc::kBadData, fmt::format("{}: {}", path, job.error().what));
      out.jobs.push_back(std::move(*job));
    }
    return out;
  } catch (const nlohmann::json::exception& e) { return fail(Errc::kBadData, fmt::format("{}: {}", path, e.what())); }
}

Result<void> check_new(const std::string& folder) {
  std::error_code error;
  const fs::path path = fs::absolute(folder, error).lexically_normal();
  if (fs::exists(path, error)) {
    if (!fs::is_directory(path, error)) return fail(Errc::kBadConfig, fmt::format("{} is no folder", folder));
    if (!fs::is_empty(path, error) || error) return fail(Errc::kBadConfig, fmt::format("{} has files in it: a checkpoint wants a folder of its own", folder));
  }
  const fs::path parent = (path.has_filename() ? path : path.parent_path()).parent_path();
  if (!fs::is_directory(parent, error)) return fail(Errc::kBadConfig, fmt::format("{}: the folder {} is not there", folder, parent.string()));
  return {};
}

Result<std::string> start_path(const std::string& from) {
  std::error_code error;
  const fs::path path = fs::absolute(from, error).lexically_normal();
  const std::string name = path.has_filename() ? path.string() : path.parent_path().string();
  if (fs::is_regular_file(path, error)) {
    if (name.ends_with(".safetensors")) return name;
    return fail(Errc::kBadConfig, fmt::format("{} is no .safetensors file", from));
  }
  if (!fs::is_directory(path, error)) return fail(Errc::kBadConfig, fmt::format("{} is not there", from));
  if (fs::exists(name + "/" + kManifestFile, error)) {
    const auto manifest = read_manifest(name);
    if (!manifest) return fail(Errc::kBadConfig, manifest.error().what);
    std::string jobs;
    const CheckpointJob* only = nullptr;
    for (const auto& job : manifest->jobs) {
      if (!job.begun) continue;
      jobs += (jobs.empty() ? "" : ", ") + job.name;
      only = &job;
    }
    if (only == nullptr) return fail(Errc::kBadConfig, fmt::format("no job of the checkpoint {} had begun", from));
    if (jobs != only->name) return fail(Errc::kBadConfig, fmt::format("the checkpoint {} has several jobs: name one, as {}/JOB: {}", from, from, jobs));
    return name + "/" + only->name;
  }
  if (fs::exists(name + "/model.safetensors", error) || !proto::part_paths(name).empty()) return name;
  return fail(Errc::kBadConfig, fmt::format("{} is neither a checkpoint nor a finished job's folder", from));
}

}  // namespace sluice::cli::detail
