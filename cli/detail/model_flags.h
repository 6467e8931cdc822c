#pragma once
/// What the verbs that use a trained model have in common: the model, and the rows it is used on.

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "worker/trained_model.h"

namespace sluice::cli::detail {

struct ModelFlags {
  std::string model;
  std::vector<std::string> data;
  std::uint64_t max_bad_rows = 0;
  std::string plugin;  ///< path, where the plug-in that made the model is elsewhere now

  /// `needs_data`: DATA must be given; else the held-out files that the job was trained with stand in for it.
  void add_to(CLI::App& verb, bool needs_data);
  /// Errors: kNotFound, kBadData, kBadConfig.
  [[nodiscard]] Result<worker::TrainedModel> load() const;
  /// The rows of DATA, read as the model's training data was. Errors: kBadConfig: none named and none known; as worker::read_in_order().
  [[nodiscard]] Result<std::shared_ptr<const worker::Dataset>> rows(const worker::TrainedModel& trained) const;
};

/// What a model throws becomes kJobFailed with its words.
[[nodiscard]] Result<void> guarded(const std::function<Result<void>()>& work);

}  // namespace sluice::cli::detail
