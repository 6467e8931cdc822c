#pragma once
/// Small files beside the caches that remember a source file's content hash, so that an unchanged source is not read again. The hash is the truth; a record
/// only saves computing it.

#include <cstdint>
#include <string>

#include "base/result.h"

namespace sluice::worker::data {

/// xxh3 of the file's bytes: from a record in `folder` if the file's identity is the recorded one, else computed and recorded. A record made within 50 ms of
/// the file's last change is not trusted: file systems stamp times coarsely, and a later change could carry the same stamp. Errors: kNotFound, kBadData; a
/// record that can't be written is only missed.
[[nodiscard]] Result<std::uint64_t> content_hash_of(const std::string& folder, const std::string& path);

}  // namespace sluice::worker::data
