#include "sim/losses_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <string_view>
#include <utility>

#include "sim/table_file.h"

namespace sluice::sim {
namespace {

constexpr double kWholeMax = 9'007'199'254'740'992;  ///< 2^53

/// The numbers behind the job's name. Names in the file have no commas or quotes.
bool take_cells(std::string_view rest, std::array<double, 5>& out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::string_view cell = rest.substr(0, rest.find(','));
    const auto number = to_number(cell);
    if (!number || (cell.size() == rest.size()) != (i + 1 == out.size())) return false;
    out[i] = *number;
    rest.remove_prefix(std::min(rest.size(), cell.size() + 1));
  }
  return true;
}

}  // namespace

Result<void> read_losses(const std::string& path, const std::function<Result<void>(LossRow)>& take) {
  std::ifstream in(path);
  std::string line;
  if (!std::getline(in, line)) return fail(Errc::kNotFound, fmt::format("{}: there is no such file, or it is empty", path));
  if (line != "job,seconds,step,examples,loss,slots") return fail(Errc::kBadData, fmt::format("{}:1: not the header of a losses.csv of this version", path));
  for (std::size_t number = 2; std::getline(in, line); ++number) {
    const std::size_t comma = line.find(',');
    std::array<double, 5> cells{};
    if (comma == std::string::npos || !take_cells(std::string_view(line).substr(comma + 1), cells))
      return fail(Errc::kBadData, fmt::format("{}:{}: not a row of job, seconds, step, examples, loss, slots", path, number));
    const auto [seconds, step, examples, loss, slots] = cells;
    for (const double count : {step, examples, slots})
      if (!(count >= 0 && count <= kWholeMax && count == std::floor(count)))
        return fail(Errc::kBadData, fmt::format("{}:{}: {} is no count of steps, examples or slots", path, number, count));
    LossRow row{line.substr(0, comma), {}, slots, number};
    row.point.seconds = seconds, row.point.loss = loss;
    row.point.step = static_cast<std::uint64_t>(step), row.point.examples = static_cast<std::uint64_t>(examples);
    if (auto taken = take(std::move(row)); !taken) return taken;
  }
  return {};
}

}  // namespace sluice::sim
