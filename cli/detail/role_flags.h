#pragma once
/// Flags that every role verb has.

#include <CLI/CLI.hpp>

#include "cli/detail/role_process.h"

namespace sluice::cli::detail {

struct RoleFlags {
  bool insecure_tcp = false;
  bool json = false;
  int parent = 0;
  std::string socket_folder;

  /// The object must outlive the parse.
  void add_to(CLI::App& verb) {
    verb.add_flag("--insecure-tcp", insecure_tcp, "Allow tcp:// addresses, which have no keys in this version");
    verb.add_flag("--json", json, "Log one JSON object a line");
    // For the clusters of `run` and `up`: not for people, so not in the help.
    verb.add_option("--with-parent", parent)->group("");
    verb.add_option("--socket-folder", socket_folder)->group("");
  }
  /// A role gives up on a manager that isn't there after this long, so that it says so within 5 s. What `run` or `up` started may take its time on a machine
  /// that is held up: they see a manager that has ended, and how long a living one may take to answer is their business.
  [[nodiscard]] std::uint32_t manager_patience_ms() const { return parent == 0 && socket_folder.empty() ? 3000 : 30'000; }
  [[nodiscard]] RoleOptions role(const std::string& name) const { return {.role = name, .json_log = json, .parent = parent, .socket_folder = socket_folder}; }
};

}  // namespace sluice::cli::detail
