#include "worker/data/cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tbb/parallel_for.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "base/assert.h"
#include "base/rng.h"
#include "base/temporary_file.h"
#include "worker/data/cache_layout.h"
#include "worker/data/stored.h"

namespace sluice::worker::data {
namespace {

/// Writes the sections in order, hashing block by block. Keeps the first error; finish() tells it.
class SectionWriter {
 public:
  explicit SectionWriter(TemporaryFile& file) : file_(file), block_(kCacheBlock) {}
  /// Pads to where a section starts.
  void begin(std::uint64_t offset) {
    static constexpr std::array<std::byte, 64> kZeros{};
    SLUICE_ASSERT(offset >= at_ && offset - at_ < kZeros.size());
    put(std::span(kZeros).first(offset - at_));
  }
  void put(Bytes bytes) {
    at_ += bytes.size();
    while (!bytes.empty()) {
      const std::size_t n = std::min(bytes.size(), kCacheBlock - used_);
      std::memcpy(block_.data() + used_, bytes.data(), n);
      used_ += n;
      bytes = bytes.subspan(n);
      if (used_ == kCacheBlock) flush();
    }
  }
  template <class T>
  void put_value(T value) {
    if (kCacheBlock - used_ <= sizeof value) return put(std::as_bytes(std::span<const T>(&value, 1)));
    std::memcpy(block_.data() + used_, &value, sizeof value);
    used_ += sizeof value;
    at_ += sizeof value;
  }
  /// Writes the rest and the block hashes. Returns their xxh3.
  Result<std::uint64_t> finish() {
    if (used_ > 0) flush();
    if (!written_) return fail(written_.error());
    const Bytes hashes = std::as_bytes(std::span<const std::uint64_t>(hashes_));
    if (auto done = file_.write_at(at_, hashes); !done) return fail(done.error());
    return XXH3_64bits(hashes.data(), hashes.size());
  }

 private:
  void flush() {
    hashes_.push_back(XXH3_64bits(block_.data(), used_));
    if (written_) written_ = file_.write_at(kCachePage + (hashes_.size() - 1) * kCacheBlock, std::span(block_).first(used_));
    used_ = 0;
  }

  TemporaryFile& file_;
  std::uint64_t at_ = kCachePage;
  std::vector<std::byte> block_;
  std::size_t used_ = 0;  ///< of the block
  std::vector<std::uint64_t> hashes_;
  Result<void> written_;
};

std::vector<std::uint64_t> permutation(std::uint64_t rows, std::uint64_t seed) {
  std::vector<std::uint64_t> order(rows);
  std::iota(order.begin(), order.end(), std::uint64_t{0});
  SeededRng rng(mix64(seed, rows));
  for (std::uint64_t i = rows; i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

/// The entries of sparse rows, row by row in that order. Rows lie anywhere: what is copied soon is on its way meanwhile.
template <class T>
void put_rows(SectionWriter& out, const std::vector<T>& entries, const std::vector<std::uint64_t>& offsets, const std::vector<std::uint64_t>& order) {
  constexpr std::size_t kAhead = 16;
  const std::span<const T> all = entries;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i + 2 * kAhead < order.size()) __builtin_prefetch(&offsets[order[i + 2 * kAhead]]);
    if (i + kAhead < order.size()) __builtin_prefetch(all.data() + offsets[order[i + kAhead]]);
    out.put(std::as_bytes(all.subspan(offsets[order[i]], offsets[order[i] + 1] - offsets[order[i]])));
  }
}

void write_sections(SectionWriter& out, const CacheLayout& at, const Rows& rows, const std::vector<std::uint64_t>& order) {
  out.begin(at.class_values);
  out.put(std::as_bytes(std::span<const std::int64_t>(rows.mapping.labels)));
  out.begin(at.labels);
  for (const std::uint64_t row : order) out.put_value(rows.regression ? rows.targets[row] : static_cast<float>(rows.classes[row]));
  if (rows.sparse) {
    const auto length = [&](std::uint64_t row) { return rows.offsets[row + 1] - rows.offsets[row]; };
    out.begin(at.offsets);
    std::uint64_t end = 0;
    out.put_value(end);
    for (const std::uint64_t row : order) out.put_value(end += length(row));
    out.begin(at.indices);
    put_rows(out, rows.indices, rows.offsets, order);
    out.begin(at.values);
    put_rows(out, rows.values, rows.offsets, order);
  } else {
    out.begin(at.dense);
    const std::size_t width = rows.mapping.features;
    for (const std::uint64_t row : order) {
      if (rows.dense.empty()) {
        out.put(std::as_bytes(std::span<const std::uint8_t>(rows.pixels).subspan(row * width, width)));
      } else {
        out.put(std::as_bytes(std::span<const float>(rows.dense).subspan(row * width, width)));
      }
    }
  }
  out.begin(at.first_bad);
  out.put(std::as_bytes(std::span(rows.first_bad)));
  out.begin(at.schema);
  out.put(std::as_bytes(std::span(rows.mapping.schema)));
}

std::uint64_t hash_of(const CacheHeader& header) { return XXH3_64bits(&header, offsetof(CacheHeader, header_hash)); }

/// A mapped file. Immutable.
struct Mapped {
  const std::byte* bytes = nullptr;
  std::uint64_t size = 0;
  Mapped() = default;
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() {
    if (bytes != nullptr) ::munmap(const_cast<std::byte*>(bytes), size);
  }
  template <class T>
  [[nodiscard]] std::span<const T> section(std::uint64_t at, std::uint64_t n) const {
    return {reinterpret_cast<const T*>(bytes + at), n};
  }
};

Result<std::shared_ptr<Mapped>> map_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(errno == ENOENT ? Errc::kNotFound : Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno)));
  auto mapped = std::make_shared<Mapped>();
  struct stat status {};
  if (::fstat(fd, &status) == 0 && status.st_size > 0) {
    mapped->size = static_cast<std::uint64_t>(status.st_size);
    void* const at = ::mmap(nullptr, mapped->size, PROT_READ, MAP_SHARED, fd, 0);
    mapped->bytes = at == MAP_FAILED ? nullptr : static_cast<const std::byte*>(at);
  }
  ::close(fd);
  return mapped;
}

bool blocks_intact(const Mapped& mapped, const CacheLayout& layout) {
  const auto hashes = mapped.section<std::byte>(layout.end, layout.blocks * 8);
  std::atomic<bool> intact{true};
  tbb::parallel_for(std::uint64_t{0}, layout.blocks, [&](std::uint64_t block) {
    const std::uint64_t from = kCachePage + block * kCacheBlock, size = std::min(kCacheBlock, layout.end - from);
    if (XXH3_64bits(mapped.bytes + from, size) != load<std::uint64_t>(hashes.data() + block * 8)) intact = false;
  });
  return intact;
}

}  // namespace

std::optional<CacheLayout> layout_of(const CacheHeader& header) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 44;
  if (header.rows > kMost || header.entries > kMost || header.first_bad_bytes > kMost || header.features > kMost || header.schema_bytes > kMost ||
      header.kind > kFloatRows)
    return std::nullopt;
  const Wide dense = header.kind == kSparseRows ? 0 : static_cast<Wide>(header.rows) * header.features * (header.kind == kFloatRows ? 4 : 1);
  if (dense > kMost) return std::nullopt;
  CacheLayout out;
  std::uint64_t at = kCachePage;
  const auto section = [&at](std::uint64_t bytes) {
    at = (at + 63) & ~std::uint64_t{63};
    return std::exchange(at, at + bytes);
  };
  out.class_values = section(std::uint64_t{header.classes} * 8);
  out.labels = section(header.rows * 4);
  if (header.kind == kSparseRows) {
    out.offsets = section((header.rows + 1) * 8);
    out.indices = section(header.entries * 4);
    out.values = section(header.entries * 4);
  } else {
    out.dense = section(static_cast<std::uint64_t>(dense));
  }
  out.first_bad = section(header.first_bad_bytes);
  out.schema = section(header.schema_bytes);
  out.end = at;
  out.blocks = (at - kCachePage + kCacheBlock - 1) / kCacheBlock;
  return out;
}

Result<void> write_cache(const std::string& path, const Rows& rows, std::uint64_t shuffle_seed, std::uint64_t content_hash) {
  CacheHeader header;
  header.kind = rows.sparse ? kSparseRows : rows.dense.empty() ? kByteRows : kFloatRows;
  header.rows = rows.count();
  header.features = rows.mapping.features;
  header.entries = rows.indices.size();
  header.classes = static_cast<std::uint32_t>(rows.mapping.labels.size());
  header.index_base = rows.mapping.index_base;
  header.bad_rows = rows.bad_rows;
  header.first_bad_bytes = rows.first_bad.size();
  header.schema_bytes = rows.mapping.schema.size();
  header.content_hash = content_hash;
  const auto layout = layout_of(header);
  SLUICE_ASSERT(layout.has_value());
  auto file = TemporaryFile::create(std::filesystem::path(path).parent_path().string(), kWhenFull);
  if (!file) return fail(file.error());
  SectionWriter out(*file);
  write_sections(out, *layout, rows, permutation(header.rows, shuffle_seed));
  const auto blocks_hash = out.finish();
  if (!blocks_hash) return fail(blocks_hash.error());
  header.blocks_hash = *blocks_hash;
  header.header_hash = hash_of(header);
  if (auto done = file->write_at(0, std::as_bytes(std::span(&header, 1))); !done) return done;
  return file->commit(path);
}

Result<Cached> open_cache(const std::string& path, std::uint64_t content_hash) {
  const auto opened = map_file(path);
  if (!opened) return fail(opened.error());
  const Mapped& mapped = **opened;
  const auto damaged = [&path](const char* what) { return fail(Errc::kBadData, fmt::format("data cache {}: {}", path, what)); };
  if (mapped.bytes == nullptr || mapped.size < kCachePage) return damaged("cut off");
  const auto header = load<CacheHeader>(mapped.bytes);
  if (header.magic != kCacheMagic || header.version != kCacheVersion) return damaged("another format or version");
  if (header.header_hash != hash_of(header)) return damaged("its header is damaged");
  if (header.content_hash != content_hash) return damaged("made from other data");
  const auto layout = layout_of(header);
  if (!layout || layout->file_bytes() != mapped.size) return damaged("cut off");
  if (XXH3_64bits(mapped.bytes + layout->end, layout->blocks * 8) != header.blocks_hash || !blocks_intact(mapped, *layout))
    return damaged("its content is damaged");

  Cached out;
  out.mapping.features = header.features;
  out.mapping.index_base = header.index_base;
  const auto labels = mapped.section<std::int64_t>(layout->class_values, header.classes);
  out.mapping.labels.assign(labels.begin(), labels.end());
  out.bad_rows = header.bad_rows;
  const auto words = mapped.section<char>(layout->first_bad, header.first_bad_bytes);
  out.first_bad.assign(words.begin(), words.end());
  const auto schema = mapped.section<char>(layout->schema, header.schema_bytes);
  out.mapping.schema.assign(schema.begin(), schema.end());
  StoredRows rows;
  rows.labels = mapped.section<float>(layout->labels, header.rows);
  if (header.kind == kSparseRows) {
    rows.offsets = mapped.section<std::uint64_t>(layout->offsets, header.rows + 1);
    rows.indices = mapped.section<std::uint32_t>(layout->indices, header.entries);
    rows.values = mapped.section<float>(layout->values, header.entries);
  } else if (header.kind == kFloatRows) {
    rows.dense = mapped.section<float>(layout->dense, header.rows * header.features);
  } else {
    rows.pixels = mapped.section<std::uint8_t>(layout->dense, header.rows * header.features);
  }
  const DataShape shape{header.rows, header.features, header.classes, header.kind == kSparseRows};
  out.dataset = std::make_shared<StoredDataset>(shape, rows, content_hash, *opened);
  return out;
}

}  // namespace sluice::worker::data
