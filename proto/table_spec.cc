#include "proto/table_spec.h"

#include <bit>
#include <cmath>

#include "base/rng.h"
#include "base/text.h"

namespace sluice::proto {

std::uint32_t TableSpec::shards() const {
  if (kind == TableKind::kSparse) return buckets;
  return static_cast<std::uint32_t>((floats() + kShardFloats - 1) / kShardFloats);
}

std::uint32_t TableSpec::shard_floats(ShardId shard) const {
  if (kind == TableKind::kSparse) return 0;
  const std::uint64_t before = std::uint64_t{shard.value} * kShardFloats;
  const std::uint64_t all = floats();
  if (before >= all) return 0;
  return static_cast<std::uint32_t>(all - before < kShardFloats ? all - before : kShardFloats);
}

ShardId TableSpec::shard_of(std::uint64_t key) const { return shard_of_mixed(mix64(key)); }

namespace {
constexpr std::uint32_t kBucketsMax = 1 << 16;

Result<void> wrong(const TableSpec& spec, const std::string& what) { return fail(Errc::kMalformed, "table '" + spec.name.substr(0, 64) + "': " + what); }
}  // namespace

Result<void> validate(const TableSpec& spec) {
  if (!text::valid_name(spec.name)) return wrong(spec, "name must be 1 to 64 of a-z 0-9 . _ -");
  if (spec.id.value >= kTablesMax) return wrong(spec, "id " + std::to_string(spec.id.value) + " is not below " + std::to_string(kTablesMax));
  if (spec.kind != TableKind::kDense && spec.kind != TableKind::kSparse) return wrong(spec, "unknown kind");
  if (spec.cols < 1 || spec.cols > kTableWidthMax) return wrong(spec, "cols must be 1 to " + std::to_string(kTableWidthMax));
  if (spec.rows < 1 || spec.rows > kTableFloatsMax / spec.cols) return wrong(spec, "rows × cols must be 1 to " + std::to_string(kTableFloatsMax) + " floats");
  if (spec.kind == TableKind::kDense && spec.buckets != 0) return wrong(spec, "a dense table has no buckets");
  if (spec.kind == TableKind::kSparse && (!std::has_single_bit(spec.buckets) || spec.buckets > kBucketsMax)) {
    return wrong(spec, "buckets must be a power of two up to " + std::to_string(kBucketsMax));
  }
  if (static_cast<unsigned>(spec.init.kind) > static_cast<unsigned>(InitKind::kNormal)) return wrong(spec, "unknown initialiser");
  if (!std::isfinite(spec.init.scale) || spec.init.scale < 0) return wrong(spec, "the initialiser's scale must be finite and not negative");
  if (!text::valid_name(spec.optimizer.name)) return wrong(spec, "the optimizer's name must be 1 to 64 of a-z 0-9 . _ -");
  if (spec.optimizer.numbers.size() > kOptimizerNumbersMax) return wrong(spec, "more than 64 optimizer numbers");
  for (const auto& [name, value] : spec.optimizer.numbers) {
    if (!text::valid_name(name)) return wrong(spec, "an optimizer number's name must be 1 to 64 of a-z 0-9 . _ -");
    if (!std::isfinite(value)) return wrong(spec, "optimizer number '" + name + "' is not finite");
  }
  return {};
}

}  // namespace sluice::proto
