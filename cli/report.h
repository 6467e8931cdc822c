#pragma once
/// report.html: what happened in a run, or in several side by side, as one page that needs nothing else: no network, no other file. Made from the files of the
/// output folders alone; of a run that goes on or was killed it shows what is there.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace sluice::cli {

struct WrittenReport {
  std::string path;
  std::size_t bytes = 0;
  std::vector<std::string> notes;  ///< what was missing or not valid, and why runs were not compared; for people
};

/// Where a report of these folders goes if nobody says: report.html in the only folder, comparison.html in the first of several.
[[nodiscard]] std::string default_report(const std::vector<std::string>& folders);

/// Reads the folders (at least one) and writes the page to `path`: whole, or not at all. Takes the place of an older report, and of nothing else. Errors:
/// kNotFound (a folder without a run's files), kBadConfig (`path` is no report of ours), kIo naming the file.
[[nodiscard]] Result<WrittenReport> write_report(const std::vector<std::string>& folders, const std::string& path);

/// Writes a page (report/page.h) to `path`: whole, or not at all. `flag`: what chose the path, for messages. Errors: as
/// write_report, but for the folders.
[[nodiscard]] Result<void> write_page(const std::string& path, const std::string& text, const std::string& flag);

}  // namespace sluice::cli
