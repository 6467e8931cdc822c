#pragma once
/// Flags of the verbs that talk to a running manager.

#include <CLI/CLI.hpp>
#include <string>

#include "cli/detail/role_process.h"

namespace sluice::cli::detail {

struct ManagerFlags {
  std::string address;  ///< once parsed: as given, or of the cluster that `sluice up` started here; empty if there is neither
  std::string dir;
  bool insecure_tcp = false;

  /// The object must outlive the parse.
  void add_to(CLI::App& verb);
  /// REQUIRES: parsed. Errors: there is no address (says how to name one), kDenied as check_client_address().
  [[nodiscard]] Result<void> check() const;

 private:
  Error nowhere_;  ///< why there is no address
};

/// What --policy is, with every policy's name: for --help.
[[nodiscard]] std::string policy_words();

}  // namespace sluice::cli::detail
