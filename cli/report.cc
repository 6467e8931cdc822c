#include "cli/report.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/temporary_file.h"
#include "cli/compare.h"
#include "cli/report/digest.h"
#include "cli/report/document.h"
#include "cli/report/page.h"

namespace sluice::cli {
namespace {
namespace fs = std::filesystem;

Result<report::RunFiles> read_files(const std::string& folder, std::size_t decision_bytes) {
  report::RunFiles out;
  auto record = load_what_is_there(folder, out.notes);
  if (!record) return tl::unexpected(record.error());
  out.record = std::move(*record);
  const std::string path = folder + "/decisions.jsonl";
  std::ifstream in(path);
  if (!in) out.notes.push_back(fmt::format("{}: {}", path, std::strerror(errno)));
  report::DigestReader reader(decision_bytes);
  for (std::string line; std::getline(in, line);) reader.add(line);
  out.digest = reader.take();
  if (out.digest.bad_lines > 0)
    out.notes.push_back(fmt::format("{}:{}: not a JSON object; {} line{} left out", path, out.digest.bad_line_first, out.digest.bad_lines,
                                    out.digest.bad_lines == 1 ? "" : "s"));
  if (out.digest.restarts > 0)
    out.notes.push_back(fmt::format("{}: the manager was started again {} time{}; the time between is not in the plots", path, out.digest.restarts,
                                    out.digest.restarts == 1 ? "" : "s"));
  for (const auto& job : out.digest.jobs) {
    if (auto& summary = out.record.jobs[job].summary; summary.is_null()) summary = {{"job", job}, {"state", "unfinished"}};
  }
  return out;
}

/// A file that is there is only replaced if it is a report.
Result<void> check_place(const std::string& path, const std::string& flag) {
  std::error_code error;
  if (!fs::exists(path, error)) return {};
  std::string begin(report::kPageBegin.size(), '\0');
  if (std::ifstream in(path, std::ios::binary); fs::is_regular_file(path, error) && in.read(begin.data(), static_cast<std::streamsize>(begin.size()))) {
    if (begin == report::kPageBegin) return {};
  }
  return fail(Errc::kBadConfig, fmt::format("{}: is there already, and is no report; choose another file with {}", path, flag));
}

}  // namespace

std::string default_report(const std::vector<std::string>& folders) {
  return (fs::path(folders.front()) / (folders.size() == 1 ? "report.html" : "comparison.html")).string();
}

Result<WrittenReport> write_report(const std::vector<std::string>& folders, const std::string& path) {
  if (const auto free = check_place(path, "--out"); !free) return tl::unexpected(free.error());
  const report::Limits limits;
  std::vector<report::RunFiles> runs;
  WrittenReport out{path, 0, {}};
  for (const auto& folder : folders) {
    auto run = read_files(folder, limits.decision_bytes / folders.size());
    if (!run) return tl::unexpected(run.error());
    out.notes.insert(out.notes.end(), run->notes.begin(), run->notes.end());
    runs.push_back(std::move(*run));
  }
  const nlohmann::json data = report::document(runs, limits);
  if (const auto why = data["not_compared"].get<std::string>(); !why.empty()) out.notes.push_back("not compared: " + why);
  const std::string text = report::page(data);
  out.bytes = text.size();
  if (const auto written = write_file(path, text); !written) return tl::unexpected(written.error());
  return out;
}

Result<void> write_page(const std::string& path, const std::string& text, const std::string& flag) {
  if (const auto free = check_place(path, flag); !free) return free;
  return write_file(path, text);
}

}  // namespace sluice::cli
