#include "worker/data/source_record.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <fstream>
#include <optional>

#include "base/temporary_file.h"
#include "worker/data/cache_layout.h"
#include "worker/data/source.h"

namespace sluice::worker::data {
namespace {

constexpr std::int64_t kCoarseNs = 50'000'000;

std::string line_of(const FileIdentity& id) { return fmt::format("{} {} {} {} {}", id.device, id.inode, id.size, id.modified_ns, id.changed_ns); }

std::optional<std::uint64_t> recorded(const std::string& record, const std::string& path, const FileIdentity& id) {
  const auto made = identify(record);
  if (!made || made->modified_ns - id.modified_ns < kCoarseNs || made->modified_ns - id.changed_ns < kCoarseNs) return std::nullopt;
  std::ifstream in(record);
  std::string of, stamp, hash;
  if (!std::getline(in, of) || !std::getline(in, stamp) || !std::getline(in, hash) || of != path || stamp != line_of(id) || hash.size() != 16)
    return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : hash) {
    const auto digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value << 4 | digit;
  }
  return value;
}

void write_record(const std::string& folder, const std::string& record, const std::string& text) {
  auto file = TemporaryFile::create(folder, kWhenFull);
  if (file && file->append(std::as_bytes(std::span(text)))) (void)file->commit(record);
}

}  // namespace

Result<std::uint64_t> content_hash_of(const std::string& folder, const std::string& path) {
  const std::string record = fmt::format("{}/source-{:016x}", folder, XXH3_64bits(path.data(), path.size()));
  const auto before = identify(path);
  if (!before) return fail(before.error());
  if (const auto known = recorded(record, path, *before)) return *known;
  const auto hash = hash_file(path);
  if (!hash) return hash;
  const auto after = identify(path);
  if (after && *after == *before) write_record(folder, record, fmt::format("{}\n{}\n{:016x}\n", path, line_of(*before), *hash));
  return hash;
}

}  // namespace sluice::worker::data
