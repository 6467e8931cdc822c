#include "worker/data/libsvm_line.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "worker/data/short_decimal.h"

namespace sluice::worker::data {
namespace {

bool blank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f'; }

/// The token at `at`, shortened and printable, for messages.
std::string quoted(const char* at, const char* end) {
  std::string out;
  for (; at < end && !blank(*at) && out.size() < 24; ++at) out += *at >= ' ' && *at < 127 ? *at : '?';
  return "'" + out + "'";
}

/// One line's parser; stops at the first thing wrong and remembers where and what.
class Line {
 public:
  Line(const char* begin, const char* end, const LineRules& rules, Piece& piece) : begin_(begin), at_(begin), end_(end), rules_(rules), piece_(piece) {}

  /// True: a row was added, or there was none. False: wrong() and column() say why; nothing was added.
  bool parse() {
    const std::size_t entries = piece_.indices.size();
    skip_blanks();
    if (at_ == end_ || *at_ == '#') return true;
    std::int64_t label = 0;
    float target = 0;
    if ((rules_.targets ? parse_number(target, "target") : parse_label(label)) && parse_entries()) {
      if (rules_.targets) {
        piece_.targets.push_back(target);
      } else {
        piece_.labels.push_back(label);
      }
      piece_.lengths.push_back(static_cast<std::uint32_t>(piece_.indices.size() - entries));
      return true;
    }
    piece_.indices.resize(entries);
    piece_.values.resize(entries);
    return false;
  }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }
  [[nodiscard]] std::size_t column() const { return static_cast<std::size_t>(at_ - begin_) + 1; }

 private:
  void skip_blanks() {
    while (at_ < end_ && blank(*at_)) ++at_;
  }
  bool fail(std::string what) {
    wrong_ = std::move(what);
    return false;
  }
  /// A sign + is allowed before numbers, though std::from_chars refuses it.
  [[nodiscard]] const char* past_plus() const { return at_ + 1 < end_ && *at_ == '+' && at_[1] != '-' ? at_ + 1 : at_; }
  [[nodiscard]] bool ends_token(const char* p) const { return p == end_ || blank(*p) || *p == '#'; }

  bool parse_label(std::int64_t& label) {
    const char* from = past_plus();
    auto [stop, error] = std::from_chars(from, end_, label);
    if (error != std::errc() || !ends_token(stop)) {
      double number = 0;
      const auto real = std::from_chars(from, end_, number);
      if (real.ec == std::errc() && ends_token(real.ptr) && std::isfinite(number) && number != std::floor(number))
        return fail(fmt::format("label {} is not a whole number; numbers to learn by regression are said by labels: targets", quoted(at_, end_)));
      if (real.ec != std::errc() || !ends_token(real.ptr) || number != std::floor(number) || std::abs(number) > 1e15)
        return fail(fmt::format("label {} is not a whole number", quoted(at_, end_)));
      label = static_cast<std::int64_t>(number);
      stop = real.ptr;
    }
    if (rules_.mapping != nullptr) {
      const auto known = rules_.mapping->class_of(label);
      if (!known) return fail(fmt::format("label {} does not occur in the training data", label));
      label = *known;
    }
    at_ = stop;
    return true;
  }

  bool parse_entries() {
    std::int64_t before = -1;
    for (skip_blanks(); at_ < end_ && *at_ != '#'; skip_blanks()) {
      std::uint64_t index = 0;
      const char* const colon = parse_index(index);
      if (colon == at_ || colon == end_ || *colon != ':') return fail(fmt::format("{} is not index:value", quoted(at_, end_)));
      if (index > rules_.index_max && rules_.mapping == nullptr)
        return fail(fmt::format("index {} is beyond the largest allowed, {}", index, rules_.index_max));
      if (index <= 0xfffffffe && static_cast<std::int64_t>(index) <= before)
        return fail(fmt::format("index {} after {}: indices must increase", index, before));
      before = static_cast<std::int64_t>(std::min<std::uint64_t>(index, 0xfffffffe));
      const char* const entry = at_;
      at_ = colon + 1;
      float value = 0;
      if (!parse_number(value, "value")) return false;
      if (!keep(entry, index, value)) return false;
    }
    return true;
  }

  static bool digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }
  /// The index at `at`, and what follows it; `at` where there is none, or one beyond 64 bits. Short ones, nearly all, without a call.
  const char* parse_index(std::uint64_t& index) const {
    constexpr std::ptrdiff_t kShort = 18;
    const char* p = at_;
    const char* const stop = end_ - at_ > kShort ? at_ + kShort : end_;
    for (; p < stop && digit(*p); ++p) index = index * 10 + static_cast<std::uint64_t>(*p - '0');
    if (p < stop || p == end_) return p;
    const auto number = std::from_chars(at_, end_, index);
    return number.ec == std::errc() ? number.ptr : at_;
  }

  /// `what`: for the words.
  bool parse_number(float& value, const char* what) {
    const char* const from = past_plus();
    if (const char* const end = read_short_decimal(from, end_, value); end != nullptr && ends_token(end)) {
      at_ = end;
      return true;
    }
    auto [stop, error] = std::from_chars(from, end_, value);
    if (error == std::errc::result_out_of_range) {  // too small for a float is zero; too large is an error
      value = std::abs(std::strtod(std::string(from, stop).c_str(), nullptr)) < 1 ? 0.0F : std::numeric_limits<float>::infinity();
      error = {};
    }
    if (error != std::errc() || !ends_token(stop)) return fail(fmt::format("{} {} is not a number", what, quoted(at_, end_)));
    if (!std::isfinite(value)) return fail(fmt::format("{} {} is not a finite number", what, quoted(at_, end_)));
    at_ = stop;
    return true;
  }

  bool keep(const char* entry, std::uint64_t index, float value) {
    if (rules_.mapping != nullptr) {
      if (index < rules_.mapping->index_base) {
        at_ = entry;
        return fail("index 0, but the training data's indices start at 1");
      }
      index -= rules_.mapping->index_base;
      if (index >= rules_.mapping->features) return true;
    }
    piece_.indices.push_back(static_cast<std::uint32_t>(index));
    piece_.values.push_back(value);
    return true;
  }

  const char* const begin_;
  const char* at_;
  const char* const end_;
  const LineRules& rules_;
  Piece& piece_;
  std::string wrong_;
};

}  // namespace

void Piece::clear() {
  labels.clear();
  targets.clear();
  lengths.clear();
  indices.clear();
  values.clear();
  lines = bad_rows = bad_line = 0;
  bad_column = 0;
  bad_what.clear();
}

void parse_lines(std::string_view text, const LineRules& rules, Piece& piece) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    const auto* newline = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
    const char* stop = newline != nullptr ? newline : end;
    const char* const next = newline != nullptr ? newline + 1 : end;
    if (stop > at && stop[-1] == '\r') --stop;
    ++piece.lines;
    Line line(at, stop, rules, piece);
    if (!line.parse() && piece.bad_rows++ == 0) {
      piece.bad_line = piece.lines;
      piece.bad_column = line.column();
      piece.bad_what = line.wrong();
    }
    at = next;
  }
}

}  // namespace sluice::worker::data
