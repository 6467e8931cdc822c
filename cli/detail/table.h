#pragma once
/// Text tables and numbers for people.

#include <limits>
#include <string>
#include <vector>

namespace sluice::cli::detail {

enum class Align { kLeft, kRight };
struct Column {
  std::string title;
  Align align = Align::kRight;
  std::size_t width_max = 0;  ///< longer cells are cut with '…'; 0: never
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// As many cells as columns.
  void add(std::vector<std::string> cells);
  /// Lines of equal layout, each ended by a newline; the title first.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Characters shown, not bytes (UTF-8).
[[nodiscard]] std::size_t shown_width(const std::string& text);
/// At most `width` characters, the last one '…' if something was cut.
[[nodiscard]] std::string cut(const std::string& text, std::size_t width);

/// What has no value: texts show it as "-".
inline constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
/// "0.3421", "2.31e+05", "-" where it isn't a finite number.
[[nodiscard]] std::string loss_text(double loss);
/// "8.1 s", "-" for negative.
[[nodiscard]] std::string seconds_text(double seconds);
/// "87.3 %".
[[nodiscard]] std::string percent_text(double fraction);
/// "1.2 k", "3.4 M".
[[nodiscard]] std::string rate_text(double per_second);
/// A bar of `width` cells for a fraction from 0 to 1.
[[nodiscard]] std::string bar(double fraction, std::size_t width);

}  // namespace sluice::cli::detail
