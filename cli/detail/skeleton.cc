#include "cli/detail/skeleton.h"

#include <fmt/format.h>

#include <cctype>
#include <filesystem>

#include "base/temporary_file.h"
#include "base/text.h"

namespace sluice::cli::detail {
namespace {

constexpr const char* kCmake = R"(cmake_minimum_required(VERSION 3.16)
project(@name@ LANGUAGES CXX)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
find_package(sluice REQUIRED)  # where it was installed: -DCMAKE_PREFIX_PATH=…
add_library(@name@ MODULE @name@.cc)
target_link_libraries(@name@ PRIVATE sluice::model)
set_target_properties(@name@ PROPERTIES PREFIX "lib" CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
)";

constexpr const char* kSource =
    R"(// A linear model of numbers, to be changed into yours: loss (x·w + b − label)² / 2, on dense rows. See sluice/model.h for what a model must keep.
#include <sluice/model.h>

namespace {
using namespace sluice::plugin;

class @class@ final : public Model {
 public:
  // Params that are not asked for here are refused. Throw BadParams for data that the model is not for.
  @class@(const Params& params, const DataShape& shape) : features_(shape.features), l2_(static_cast<float>(params.number("l2", 0, 0, 1))) {
    if (shape.sparse || shape.classes != 0) throw BadParams("model '@name@' learns numbers (labels: targets) from dense rows");
  }

  std::vector<Table> tables() const override {
    return {{.name = "w", .rows = features_, .cols = 1, .init = Init::kNormal, .scale = 0.01F}, {.name = "b", .rows = 1, .cols = 1}};
  }

  // The gradient is of the batch's mean loss, every float of `out` is written; the losses are sums.
  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    outputs(params, batch);
    const std::span<float> w = out[0].values, b = out[1].values;
    for (std::size_t f = 0; f < features_; ++f) w[f] = l2_ * params[0].values[f];
    b[0] = 0;
    Losses losses;
    for (std::size_t i = 0; i < batch.rows; ++i) {
      const float off = outputs_[i] - batch.labels[i], share = off / static_cast<float>(batch.rows);
      const float* x = batch.dense.data() + i * features_;
      for (std::size_t f = 0; f < features_; ++f) w[f] += share * x[f];
      b[0] += share;
      const double loss = 0.5 * static_cast<double>(off) * static_cast<double>(off);
      losses.loss_sum += loss;
      losses.loss_squares += loss * loss;
    }
    return losses;
  }

  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    outputs_.assign(batch.rows, params[1].values[0]);
    for (std::size_t i = 0; i < batch.rows; ++i) {
      const float* x = batch.dense.data() + i * features_;
      for (std::size_t f = 0; f < features_; ++f) outputs_[i] += x[f] * params[0].values[f];
    }
    return outputs_;
  }

  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    outputs(params, batch);
    Scores scores{.examples = batch.rows};
    for (std::size_t i = 0; i < batch.rows; ++i) {
      const double off = static_cast<double>(outputs_[i]) - static_cast<double>(batch.labels[i]);
      scores.loss_sum += 0.5 * off * off;
      scores.metric_sum += off * off;
    }
    return scores;
  }
  std::string metric() const override { return "mse"; }

 private:
  const std::size_t features_;
  const float l2_;
  std::vector<float> outputs_;  // scratch
};

}  // namespace

SLUICE_PLUGIN(@class@, "@name@", "0.1");
)";

constexpr const char* kRunFile = R"(# sluice run @name@.yaml
data:
  numbers:
    format: csv
    train: numbers.csv
    labels: targets
jobs:
  - name: @name@
    model: ./build/lib@name@.so
    data: numbers
    validation: {fraction: 0.2}
    params: {l2: 0}
    optimizer: {name: adam, lr: 0.05}
    batch: 32
    epochs: 20
)";

/// 200 rows of y = 3a − 2b + 1, without noise: something to begin with.
std::string numbers() {
  std::string out = "a,b,y\n";
  for (int i = 0; i < 200; ++i) {
    const double a = (i * 37 % 101) / 50.0 - 1, b = (i * 53 % 97) / 48.0 - 1;
    out += fmt::format("{:.3f},{:.3f},{:.3f}\n", a, b, 3 * a - 2 * b + 1);
  }
  return out;
}

std::string filled(std::string text, const std::string& name, const std::string& as_class) {
  for (const auto& [mark, word] : {std::pair<std::string, std::string>("@name@", name), {"@class@", as_class}}) {
    for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos; at += word.size()) text.replace(at, mark.size(), word);
  }
  return text;
}

/// "my-model2" → "MyModel2".
std::string class_of(const std::string& name) {
  std::string out;
  bool upper = true;
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      const bool leading_digit = out.empty() && std::isdigit(static_cast<unsigned char>(c)) != 0;
      if (leading_digit) out = "Model";
      out += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
      upper = false;
    } else {
      upper = true;
    }
  }
  return out.empty() || out == "Model" ? "MyModel" : out;
}

}  // namespace

Result<void> write_skeleton(const std::string& name, const std::string& folder) {
  namespace fs = std::filesystem;
  if (!text::valid_name(name)) return fail(Errc::kBadConfig, fmt::format("a model's name must be 1 to 64 of a-z 0-9 . _ -, not '{}'", name));
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(Errc::kIo, fmt::format("{}: can't be made: {}", folder, error.message()));
  const std::pair<std::string, std::string> files[] = {{"CMakeLists.txt", filled(kCmake, name, class_of(name))},
                                                       {name + ".cc", filled(kSource, name, class_of(name))},
                                                       {name + ".yaml", filled(kRunFile, name, class_of(name))},
                                                       {"numbers.csv", numbers()}};
  for (const auto& [file, content] : files) {
    if (fs::exists(folder + "/" + file)) return fail(Errc::kBadConfig, fmt::format("{}/{} is there already; nothing was written over it", folder, file));
  }
  for (const auto& [file, content] : files) {
    if (auto written = write_file(folder + "/" + file, content); !written) return written;
  }
  return {};
}

}  // namespace sluice::cli::detail
