#include "cli/detail/manager_flags.h"

#include <fmt/format.h>

#include "cli/detail/local_cluster.h"
#include "manager/policy.h"

namespace sluice::cli::detail {

void ManagerFlags::add_to(CLI::App& verb) {
  verb.add_option("--manager", address, "The manager's address, e.g. ipc:///run/sluice/manager.sock (default: of the cluster that sluice up started)")
      ->envname("SLUICE_MANAGER");
  verb.add_option("--dir", dir, "Folder that sluice up was given; goes before --manager");
  verb.add_flag("--insecure-tcp", insecure_tcp, "Allow a tcp:// address, which has no keys in this version");
  verb.parse_complete_callback([this] {
    if (!address.empty() && dir.empty()) return;
    auto found = local_manager(dir);
    address = found ? *found : std::string{};
    if (!found) nowhere_ = std::move(found.error());
  });
}

Result<void> ManagerFlags::check() const {
  if (address.empty()) return fail(nowhere_);
  return check_client_address(address, insecure_tcp);
}

std::string policy_words() {
  const auto names = manager::builtin_policies().names();
  return fmt::format("Who gets how many worker slots: {} or {}", fmt::join(names.begin(), names.end() - 1, ", "), names.back());
}

}  // namespace sluice::cli::detail
