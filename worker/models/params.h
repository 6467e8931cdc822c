#pragma once
/// Reads a model's params: a JSON object with known keys. Collects nothing: the first mistake is the error, and names the parameter.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "worker/model.h"

namespace sluice::worker::models {

/// What a model's words say about labels that do not fit it: "this has 3", or that they are targets.
[[nodiscard]] std::string classes_words(const DataShape& shape);

class Params {
 public:
  /// Errors: kBadConfig: not a JSON object, or a key that is not among `known` (names the nearest). `model` is for the words only.
  [[nodiscard]] static Result<Params> parse(const std::string& model, const std::string& json, const std::vector<std::string>& known);

  /// A number in [low, high], or `otherwise` if absent.
  [[nodiscard]] Result<double> number(const std::string& key, double otherwise, double low, double high) const;
  /// A whole number in [low, high], or `otherwise` if absent.
  [[nodiscard]] Result<std::uint32_t> whole(const std::string& key, std::uint32_t otherwise, std::uint32_t low, std::uint32_t high) const;
  /// One of `choices`, or the first of them if absent.
  [[nodiscard]] Result<std::string> choice(const std::string& key, const std::vector<std::string>& choices) const;
  /// A list of 1 … 16 whole numbers in [1, high], or `otherwise` if absent.
  [[nodiscard]] Result<std::vector<std::uint32_t>> sizes(const std::string& key, std::vector<std::uint32_t> otherwise, std::uint32_t high) const;

 private:
  Params(std::string model, nlohmann::json object) : model_(std::move(model)), object_(std::move(object)) {}
  [[nodiscard]] tl::unexpected<Error> wrong(const std::string& key, const std::string& expected) const;
  std::string model_;
  nlohmann::json object_;
};

}  // namespace sluice::worker::models
