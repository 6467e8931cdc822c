#include "worker/models/params.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace sluice::worker::models {
namespace {
constexpr std::size_t kLayersMax = 16;

std::string listed(const std::vector<std::string>& choices) {
  std::string out = "one of ";
  for (const std::string& choice : choices) out += (&choice == &choices.front() ? "" : ", ") + choice;
  return out;
}
}  // namespace

std::string classes_words(const DataShape& shape) {
  return shape.classes == 0 ? "but the labels of this data are targets, numbers to learn by regression (labels: targets): for those there are linear and ridge"
                            : fmt::format("this has {}", shape.classes);
}

Result<Params> Params::parse(const std::string& model, const std::string& json, const std::vector<std::string>& known) {
  auto object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) return fail(Errc::kBadConfig, fmt::format("params of model '{}' must be an object of parameters", model));
  for (const auto& item : object.items()) {
    if (std::find(known.begin(), known.end(), item.key()) == known.end())
      return fail(Errc::kBadConfig, text::unknown_name(fmt::format("parameter of model '{}':", model), item.key(), known));
  }
  return Params(model, std::move(object));
}

tl::unexpected<Error> Params::wrong(const std::string& key, const std::string& expected) const {
  const std::string found = object_.at(key).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return fail(Errc::kBadConfig, fmt::format("'{}' under params of model '{}' must be {}, not {}", key, model_, expected, found.substr(0, 80)));
}

Result<double> Params::number(const std::string& key, double otherwise, double low, double high) const {
  const auto it = object_.find(key);
  if (it == object_.end()) return otherwise;
  const double value = it->is_number() ? it->get<double>() : high + 1;
  if (!(value >= low && value <= high)) return wrong(key, fmt::format("a number from {} to {}", low, high));
  return value;
}

Result<std::uint32_t> Params::whole(const std::string& key, std::uint32_t otherwise, std::uint32_t low, std::uint32_t high) const {
  const auto it = object_.find(key);
  if (it == object_.end()) return otherwise;
  const std::uint64_t value = it->is_number_unsigned() ? it->get<std::uint64_t>() : std::uint64_t{high} + 1;
  if (value < low || value > high) return wrong(key, fmt::format("a whole number from {} to {}", low, high));
  return static_cast<std::uint32_t>(value);
}

Result<std::string> Params::choice(const std::string& key, const std::vector<std::string>& choices) const {
  const auto it = object_.find(key);
  if (it == object_.end()) return choices.front();
  const std::string value = it->is_string() ? it->get<std::string>() : "";
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) return wrong(key, listed(choices));
  return value;
}

Result<std::vector<std::uint32_t>> Params::sizes(const std::string& key, std::vector<std::uint32_t> otherwise, std::uint32_t high) const {
  const auto it = object_.find(key);
  if (it == object_.end()) return otherwise;
  const std::string expected = fmt::format("a list of 1 to {} whole numbers from 1 to {}, for example [256, 128]", kLayersMax, high);
  if (!it->is_array() || it->empty() || it->size() > kLayersMax) return wrong(key, expected);
  std::vector<std::uint32_t> out;
  for (const auto& element : *it) {
    if (!element.is_number_unsigned() || element.get<std::uint64_t>() < 1 || element.get<std::uint64_t>() > high) return wrong(key, expected);
    out.push_back(element.get<std::uint32_t>());
  }
  return out;
}

}  // namespace sluice::worker::models
