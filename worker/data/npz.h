#pragma once
/// Arrays out of a NumPy .npz file, a zip archive of .npy files: the only user of libzip.

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sluice::worker::data {

/// The bytes of the archive's file NAME.npy, inflated and held to its checksum; its header is looked at first (read_npy_bytes). `path`: for messages.
/// Errors: kBadData: no archive, damaged, encrypted, no array, or no such one (names those there are).
[[nodiscard]] Result<std::vector<std::byte>> read_npz(Bytes archive, const std::string& path, const std::string& name);

}  // namespace sluice::worker::data
