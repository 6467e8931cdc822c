#pragma once
/// Flags of the verbs that read a run file, and the file as they change it.

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/detail/signals.h"
#include "cli/run_file.h"

namespace sluice::cli::detail {

struct RunFlags {
  std::string file;
  std::string policy;
  std::string slots;
  std::string servers;
  std::string max_bad_rows;
  std::vector<std::string> sets;
  bool json = false;

  /// Adds FILE, --set, --max-bad-rows and --json; `cluster`: also the flags that say what cluster to start. The object must outlive the parse.
  void add_to(CLI::App& verb, bool cluster = true);
};

/// Reads flags.file; a flag is an override by its own name, so a mistake in it is said as that of a file is. Errors: as read_run_file.
[[nodiscard]] Result<RunFile> read_with_flags(const RunFlags& flags);

/// What would be started: a table, or a JSON document.
[[nodiscard]] std::string plan_text(const RunFile& file, std::uint32_t slots, bool json);

/// Ends when the process that started this one ends, unless it was meant to outlive it (nohup, setsid, a parent that is init).
void follow_starter(Signals& signals);

}  // namespace sluice::cli::detail
