#include "cli/detail/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "base/text.h"

namespace sluice::cli::detail {
namespace {
bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }
}  // namespace

std::size_t shown_width(const std::string& text) { return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_character)); }

std::string cut(const std::string& text, std::size_t width) {
  if (shown_width(text) <= width) return text;
  if (width == 0) return {};
  std::string out;
  std::size_t characters = 0;
  for (const char c : text) {
    if (starts_character(c) && ++characters == width) break;
    out += c;
  }
  return out + "…";
}

void Table::add(std::vector<std::string> cells) {
  SLUICE_ASSERT(cells.size() == columns_.size());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    cells[i] = text::printable(cells[i]);
    if (columns_[i].width_max > 0) cells[i] = cut(cells[i], columns_[i].width_max);
  }
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = shown_width(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, shown_width(row[i]));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](const auto& cell_of) {
    std::string row;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string& cell = cell_of(i);
      const std::string space(widths[i] - shown_width(cell), ' ');
      if (i > 0) row += "  ";
      row += columns_[i].align == Align::kLeft ? cell + space : space + cell;
    }
    row.erase(row.find_last_not_of(' ') + 1);
    out += row;
    out += '\n';
  };
  line([&](std::size_t i) -> const std::string& { return columns_[i].title; });
  for (const auto& row : rows_) line([&](std::size_t i) -> const std::string& { return row[i]; });
  return out;
}

std::string loss_text(double loss) {
  if (!std::isfinite(loss)) return "-";
  return std::abs(loss) < 1e4 ? fmt::format("{:.4f}", loss) : fmt::format("{:.2e}", loss);
}
std::string seconds_text(double seconds) { return std::isfinite(seconds) && seconds >= 0 ? fmt::format("{:.1f} s", seconds) : "-"; }
std::string percent_text(double fraction) { return std::isfinite(fraction) ? fmt::format("{:.1f} %", fraction * 100) : "-"; }
std::string rate_text(double rate) {
  if (!std::isfinite(rate) || rate < 0) return "-";
  if (rate >= 1e6) return fmt::format("{:.1f} M", rate / 1e6);
  return rate >= 1e4 ? fmt::format("{:.1f} k", rate / 1e3) : fmt::format("{:.0f}", rate);
}

std::string bar(double fraction, std::size_t width) {
  const double clipped = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  const auto full = static_cast<std::size_t>(std::lround(clipped * static_cast<double>(width)));
  std::string out;
  for (std::size_t i = 0; i < width; ++i) out += i < full ? "█" : "·";
  return out;
}

}  // namespace sluice::cli::detail
