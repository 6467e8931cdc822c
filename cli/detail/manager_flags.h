#pragma once
/// Flags of the verbs that talk to a running manager.

#include <CLI/CLI.hpp>
#include <string>

#include "cli/detail/role_process.h"

namespace sluice::cli::detail {

struct ManagerFlags {
  std::string address;
  bool insecure_tcp = false;

  /// The object must outlive the parse.
  void add_to(CLI::App& verb, bool required = true) {
    auto* option = verb.add_option("--manager", address, "The manager's address, e.g. ipc:///run/sluice/manager.sock")->envname("SLUICE_MANAGER");
    if (required) option->required();
    verb.add_flag("--insecure-tcp", insecure_tcp, "Allow a tcp:// address, which has no keys in this version");
  }
  [[nodiscard]] Result<void> check() const { return check_client_address(address, insecure_tcp); }
};

}  // namespace sluice::cli::detail
