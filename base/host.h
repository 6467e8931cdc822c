#pragma once
/// What a role says of its build, process and host when it registers. Any thread.

#include <cstdint>
#include <string>

namespace sluice {

/// This build, for people. The protocol's own number decides whether processes understand each other (proto::kProtocolVersion).
inline constexpr const char* kBuild = "sluice 0.1.0";

/// Equal for all processes of one running host, so that monotonic times can be compared; "unknown" where the system does not say (then no two hosts are taken
/// for one).
[[nodiscard]] std::string boot_id();
/// Memory that this process may hope for: the host's, or its control group's limit (v1 or v2) where that is less. At least 1.
[[nodiscard]] std::uint64_t host_memory_bytes();
/// Resident memory of this process; 0 if the system does not say.
[[nodiscard]] std::uint64_t resident_bytes();

}  // namespace sluice
