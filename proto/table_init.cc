#include "proto/table_init.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/rng.h"

namespace sluice::proto {
namespace {

/// In [-1, 1): 24 bits, so that the product with a scale never rounds up to the scale itself.
float symmetric_unit(std::uint64_t bits) { return static_cast<float>(bits >> 40) * 0x1.0p-23F - 1.0F; }

/// Box, Muller, Ann. Math. Stat. 1958.
float normal(std::uint64_t base, std::uint64_t index) {
  const double u = unit_double(mix64(base, 2 * index)), v = unit_double(mix64(base, 2 * index + 1));
  return static_cast<float>(std::sqrt(-2 * std::log1p(-u)) * std::cos(2 * std::numbers::pi * v));  // 1 − u is in (0, 1]
}

void fill(const InitSpec& init, std::uint64_t base, std::span<float> out) {
  switch (init.kind) {
    case InitKind::kZero:
      std::fill(out.begin(), out.end(), 0.0F);
      return;
    case InitKind::kUniform:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = init.scale * symmetric_unit(mix64(base, i));
      return;
    case InitKind::kNormal:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = init.scale * normal(base, i);
      return;
  }
}

std::uint64_t table_seed(const TableSpec& spec) { return mix64(spec.seed, spec.id.value); }

}  // namespace

void init_dense(const TableSpec& spec, ShardId shard, std::span<float> out) { fill(spec.init, mix64(table_seed(spec), shard.value), out); }

void init_row(const TableSpec& spec, std::uint64_t key, std::span<float> out) { fill(spec.init, mix64(table_seed(spec), key), out); }

}  // namespace sluice::proto
