#pragma once
/// The cache: one file, mapped into memory, rows shuffled once by a seeded permutation and stored contiguously. Little-endian, as the machine. Layout:
///   header (one 4 KiB page): magic, version, shape, what was left out, content hash, checksums of the header and of the block hashes
///   sections, each at a multiple of 64: class values (i64), labels (f32: class numbers or targets), offsets (u64), indices (u32), values (f32) or dense rows
///   (u8 or f32), the first bad row's words, the schema (rows.h) block hashes: xxh3 of each MiB of the sections
/// Images stay bytes: four times smaller than floats, and a batch's conversion costs less than reading floats from memory would.

#include <cstdint>
#include <memory>
#include <string>

#include "worker/data/dataset.h"
#include "worker/data/rows.h"

namespace sluice::worker::data {

struct Cached {
  std::shared_ptr<const Dataset> dataset;
  Mapping mapping;
  std::uint64_t bad_rows = 0;
  std::string first_bad;
};

/// Writes `rows` in the order of the permutation drawn from `shuffle_seed`, atomically. Errors: kIo.
[[nodiscard]] Result<void> write_cache(const std::string& path, const Rows& rows, std::uint64_t shuffle_seed, std::uint64_t content_hash);
/// Maps a cache and checks every checksum, in parallel (TBB). The file is not changed after it was renamed into place, so the mapping stays valid even when it
/// is unlinked. Errors: kNotFound; kBadData: damaged, cut off, another version, or another content hash than the one expected: build it again.
[[nodiscard]] Result<Cached> open_cache(const std::string& path, std::uint64_t content_hash);

}  // namespace sluice::worker::data
