#include "base/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/text.h"

namespace sluice::config {

std::uint32_t Problems::add_source(std::string name) {
  sources_.push_back(std::move(name));
  return static_cast<std::uint32_t>(sources_.size() - 1);
}

void Problems::add(const Mark& mark, std::string what, Errc code) {
  const auto same = [&](const Entry& e) {
    return std::tie(e.mark.source, e.mark.line, e.mark.column, e.what) == std::tie(mark.source, mark.line, mark.column, what);
  };
  if (std::none_of(entries_.begin(), entries_.end(), same)) entries_.push_back({mark, std::move(what), code});
}

Error Problems::error() const {
  constexpr std::size_t kShownMax = 50;
  auto sorted = entries_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.mark.source, a.mark.line, a.mark.column) < std::tie(b.mark.source, b.mark.line, b.mark.column);
  });
  Error out{sorted.empty() ? Errc::kInternal : sorted.front().code, {}};
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto& [mark, what, code] = sorted[i];
    if (code == Errc::kBadConfig) out.code = code;
    if (i >= kShownMax) continue;
    if (i > 0) out.what += '\n';
    const std::string& source = mark.source < sources_.size() ? sources_[mark.source] : sources_.at(0);
    out.what += mark.line > 0 ? fmt::format("{}:{}:{}: {}", source, mark.line, mark.column, what) : fmt::format("{}: {}", source, what);
  }
  if (sorted.size() > kShownMax) out.what += fmt::format("\n… and {} more", sorted.size() - kShownMax);
  return out;
}

const Node* Node::find(std::string_view key) const {
  const auto it = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == key; });
  return it == entries.end() ? nullptr : &it->value;
}
Node* Node::find(std::string_view key) { return const_cast<Node*>(std::as_const(*this).find(key)); }

namespace {
/// The whole text as a number of type T, or nothing.
template <class T>
std::optional<T> whole(std::string_view text) {
  T value{};
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}
nlohmann::json json_of(const Node& node) {
  switch (node.kind) {
    case Kind::kNull:
      return nullptr;
    case Kind::kList: {
      auto out = nlohmann::json::array();
      for (const auto& item : node.items) out.push_back(json_of(item));
      return out;
    }
    case Kind::kMap: {
      auto out = nlohmann::json::object();
      for (const auto& entry : node.entries) out[entry.key] = json_of(entry.value);
      return out;
    }
    case Kind::kScalar:
      break;
  }
  if (!node.quoted) {
    if (node.text == "true" || node.text == "false") return node.text == "true";
    if (const auto n = whole<std::int64_t>(node.text)) return *n;
    if (const auto n = to_number(node)) return *n;
  }
  return node.text;
}
}  // namespace

std::optional<double> to_number(const Node& node) {
  if (node.kind != Kind::kScalar || node.quoted) return std::nullopt;
  const auto value = whole<double>(node.text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<std::uint64_t> to_count(const Node& node) {
  if (node.kind != Kind::kScalar || node.quoted) return std::nullopt;
  return whole<std::uint64_t>(node.text);
}

std::optional<Duration> to_duration(const Node& node) {
  if (node.kind != Kind::kScalar) return std::nullopt;
  const std::string_view text = node.text;
  const std::size_t digits = text.find_first_not_of("0123456789.");
  if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
  const std::string_view unit = text.substr(digits);
  const double ns = unit == "us" ? 1e3 : unit == "ms" ? 1e6 : unit == "s" ? 1e9 : unit == "min" ? 6e10 : unit == "h" ? 3.6e12 : 0;
  const auto value = whole<double>(text.substr(0, digits));
  if (!value || ns == 0 || *value < 0 || (*value > 0 && *value * ns < 1) || *value * ns > 9e18) return std::nullopt;
  return Duration{std::llround(*value * ns)};
}

std::string to_json(const Node& node) { return json_of(node).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

std::string describe(const Node& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
    case Kind::kScalar:
      break;
  }
  constexpr std::size_t kShown = 60;
  return fmt::format("'{}{}'", std::string_view(node.text).substr(0, kShown), node.text.size() > kShown ? "…" : "");
}

MapReader::MapReader(const Node& node, std::string where, Problems& problems)
    : node_(node), where_(std::move(where)), problems_(problems), usable_(node.kind == Kind::kMap) {
  if (!usable_) problems_.add(node.mark, fmt::format("{} must be a map of keys and values, not {}", where_, describe(node)));
}

const Node* MapReader::take(std::string_view key) {
  known_.emplace_back(key);
  const Node* value = usable_ ? node_.find(key) : nullptr;
  return value != nullptr && value->kind != Kind::kNull ? value : nullptr;
}

const Node* MapReader::need(std::string_view key) {
  const Node* value = take(key);
  if (value == nullptr && usable_) problems_.add(mark(key), fmt::format("{} needs a value for '{}'", where_, key));
  return value;
}

std::string MapReader::text(std::string_view key, std::string otherwise) {
  const Node* value = take(key);
  if (value == nullptr) return otherwise;
  if (value->kind == Kind::kScalar) return value->text;
  problems_.add(value->mark, fmt::format("'{}' under {} must be a single value, not {}", key, where_, describe(*value)));
  return otherwise;
}

std::string MapReader::needed_text(std::string_view key) { return need(key) == nullptr ? std::string{} : text(key); }

std::uint64_t MapReader::count(std::string_view key, std::uint64_t otherwise, std::uint64_t min, std::uint64_t max) {
  const Node* value = take(key);
  if (value == nullptr) return otherwise;
  const auto n = to_count(*value);
  if (n && *n >= min && *n <= max) return *n;
  const std::string range = max == std::numeric_limits<std::uint64_t>::max() ? fmt::format("of {} or more", min) : fmt::format("from {} to {}", min, max);
  problems_.add(value->mark, fmt::format("'{}' under {} must be a whole number {}, not {}", key, where_, range, describe(*value)));
  return otherwise;
}

double MapReader::positive(std::string_view key, double otherwise) {
  const Node* value = take(key);
  if (value == nullptr) return otherwise;
  const auto n = to_number(*value);
  if (n && *n > 0) return *n;
  problems_.add(value->mark, fmt::format("'{}' under {} must be a number above 0, not {}", key, where_, describe(*value)));
  return otherwise;
}

Duration MapReader::duration(std::string_view key, Duration otherwise, Duration min, Duration max) {
  const Node* value = take(key);
  if (value == nullptr) return otherwise;
  const auto d = to_duration(*value);
  if (d && *d >= min && *d <= max) return *d;
  problems_.add(value->mark, fmt::format("'{}' under {} must be a length of time from {} ms to {:.10g} s, with its unit (500ms, 2s), not {}", key, where_,
                                         min.ms(), max.seconds(), describe(*value)));
  return otherwise;
}

void MapReader::planned(std::initializer_list<std::string_view> keys) {
  for (const auto key : keys) planned_.emplace(key);
}

void MapReader::finish() {
  if (!usable_) return;
  for (const auto& [key, key_mark, value] : node_.entries) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    if (planned_.contains(key)) {
      problems_.add(key_mark, fmt::format("'{}' under {} is part of the design but not in this version yet; take it out", key, where_));
      continue;
    }
    std::string what = fmt::format("unknown key '{}' under {}", key.substr(0, 80), where_);
    if (const auto near = text::nearest(key, known_)) {
      what += fmt::format("; did you mean '{}'?", *near);
    } else {
      what += fmt::format("; known: {}", fmt::join(known_, ", "));
    }
    problems_.add(key_mark, std::move(what));
  }
}

Mark MapReader::mark(std::string_view key) const {
  const Node* value = usable_ ? node_.find(key) : nullptr;
  return value != nullptr ? value->mark : node_.mark;
}

}  // namespace sluice::config
