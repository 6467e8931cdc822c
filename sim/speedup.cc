#include "sim/speedup.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/assert.h"
#include "sim/table_file.h"

namespace sluice::sim {
namespace {

/// Of each number of slots the best speed: the column speedup, or examples (or steps) a second.
Result<std::map<double, double>> speeds_of(const TableFile& table) {
  auto slots = table.column("slots");
  if (!slots) slots = table.column("num_replicas");
  const auto speed = table.column("speedup"), time = table.column("step_time"), batch = table.column("local_bsz");
  if (!slots || (!speed && !time))
    return fail(Errc::kBadData,
                fmt::format("{}: a table of speed-ups needs the columns slots and speedup, or num_replicas (or slots) and step_time", table.path));
  std::map<double, double> best;
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    const auto n = table.number(row, *slots);
    if (!n) return fail(n.error());
    const auto value = table.number(row, speed ? *speed : *time);
    if (!value) return fail(value.error());
    if (!(*n > 0) || !(*value > 0)) return fail(Errc::kBadData, fmt::format("{}:{}: slots and their speed must be above 0", table.path, table.lines[row]));
    double gained = *value;
    if (!speed) {
      const auto examples = batch ? table.number(row, *batch) : Result<double>(1);
      if (!examples) return fail(examples.error());
      gained = *n * *examples / *value;
    }
    best[*n] = std::max(best[*n], gained);
  }
  return best;
}

}  // namespace

Speedup Speedup::concave(double kappa) {
  SLUICE_ASSERT(kappa >= 0);
  Speedup out;
  out.kappa_ = kappa;
  return out;
}

Result<Speedup> Speedup::parse(const std::string& text) {
  if (text == "linear") return Speedup();
  if (text.starts_with("concave:")) {
    const auto kappa = to_number(std::string_view(text).substr(8));
    if (kappa && *kappa >= 0 && *kappa <= 1) return concave(*kappa);
    return fail(Errc::kBadConfig, fmt::format("speedup '{}': concave needs a number from 0 to 1, such as concave:0.02", text));
  }
  if (!text.starts_with("table:") || text.size() == 6)
    return fail(Errc::kBadConfig, fmt::format("speedup '{}' is none of linear, concave:K and table:FILE", text));
  const auto table = read_table(text.substr(6));
  if (!table) return fail(table.error());
  const auto speeds = speeds_of(*table);
  if (!speeds) return fail(speeds.error());
  Speedup out;
  const auto [slots, speed] = *speeds->begin();
  const double one = speed / slots;  // the smallest measured number of slots is taken for as good as that many single ones
  for (const auto& [n, s] : *speeds) out.table_.push_back({n, s / one});
  return out;
}

double Speedup::at(double n) const {
  if (n <= 0) return 0;
  if (table_.empty()) return n / (1 + kappa_ * std::max(0.0, n - 1));
  Point before{};
  for (const Point& point : table_) {
    if (n <= point.slots) return before.speed + (n - before.slots) / (point.slots - before.slots) * (point.speed - before.speed);
    before = point;
  }
  return table_.back().speed;
}

}  // namespace sluice::sim
