#pragma once
/// What a server says of its process and host. Any thread.

#include <cstdint>
#include <string>

namespace sluice::server {

inline constexpr const char* kBuild = "sluice 0.1.0";

/// Resident memory of this process; 0 if the system does not say.
[[nodiscard]] std::uint64_t resident_bytes();
/// Equal for all processes of one running host; empty if the system does not say.
[[nodiscard]] std::string boot_id();

}  // namespace sluice::server
