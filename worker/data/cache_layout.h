#pragma once
/// Byte layout of a cache file; see cache.h.

#include <array>
#include <cstdint>
#include <optional>
#include <type_traits>

namespace sluice::worker::data {

inline constexpr const char* kWhenFull = "the data cache needs room there; --cache-dir names another folder";

inline constexpr std::uint64_t kCachePage = 4096;
inline constexpr std::uint64_t kCacheBlock = std::uint64_t{1} << 20;
inline constexpr std::uint32_t kCacheVersion = 2;
inline constexpr std::array<char, 8> kCacheMagic = {'S', 'L', 'U', 'I', 'C', 'E', 'D', 'C'};

struct CacheHeader {
  std::array<char, 8> magic = kCacheMagic;
  std::uint32_t version = kCacheVersion;
  std::uint32_t kind = 0;                             ///< of rows: 0 bytes, 1 sparse, 2 floats
  std::uint64_t rows = 0, features = 0, entries = 0;  ///< entries: of all rows; dense: 0
  std::uint32_t classes = 0, index_base = 0;          ///< classes: 0 when the labels are targets
  std::uint64_t bad_rows = 0, first_bad_bytes = 0, schema_bytes = 0;
  std::uint64_t content_hash = 0;
  std::uint64_t blocks_hash = 0;  ///< xxh3 of the block hashes
  std::uint64_t header_hash = 0;  ///< xxh3 of all before
};
static_assert(std::is_trivially_copyable_v<CacheHeader> && sizeof(CacheHeader) == 96);

inline constexpr std::uint32_t kByteRows = 0, kSparseRows = 1, kFloatRows = 2;

/// Where the sections are, from the file's start.
struct CacheLayout {
  std::uint64_t class_values = 0, labels = 0, offsets = 0, indices = 0, values = 0, dense = 0, first_bad = 0, schema = 0;
  std::uint64_t end = 0;     ///< of the sections
  std::uint64_t blocks = 0;  ///< number of block hashes, which follow at `end`
  [[nodiscard]] std::uint64_t file_bytes() const { return end + blocks * 8; }
};

/// None if the header's numbers can't be of a file.
[[nodiscard]] std::optional<CacheLayout> layout_of(const CacheHeader& header);

}  // namespace sluice::worker::data
