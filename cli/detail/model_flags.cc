#include "cli/detail/model_flags.h"

#include <fmt/format.h>

#include "cli/detail/models.h"

namespace sluice::cli::detail {

void ModelFlags::add_to(CLI::App& verb, bool needs_data) {
  verb.add_option("MODEL", model, "A job's folder in a run's output (OUT/jobs/NAME), or a model.safetensors")->required();
  auto* files = verb.add_option("DATA", data,
                                needs_data ? "The rows' files, in the form of the model's training data; labels are needed, but any that it knows will do"
                                           : "Labelled rows, in the form of the model's training data (default: the held-out files of its job)");
  if (needs_data) files->required();
  verb.add_option("--max-bad-rows", max_bad_rows, "Rows that may be unreadable and are left out")->capture_default_str();
}

Result<worker::TrainedModel> ModelFlags::load() const {
  auto saved = load_model(model);
  if (!saved) return fail(saved.error());
  auto trained = worker::TrainedModel::load(std::move(*saved));
  if (!trained) return fail(trained.error().code, fmt::format("{}: {}", model, trained.error().what));
  return trained;
}

Result<std::shared_ptr<const worker::Dataset>> ModelFlags::rows(const worker::TrainedModel& trained) const {
  proto::DataSpec spec = trained.job().spec.data;
  spec.train = data.empty() ? spec.test : data;
  spec.max_bad_rows = max_bad_rows;
  if (spec.train.empty()) return fail(Errc::kBadConfig, "the job had no held-out data: name a file to score it on");
  return trained.read(spec);
}

Result<void> guarded(const std::function<Result<void>()>& work) {
  try {
    return work();
  } catch (const std::exception& e) { return fail(Errc::kJobFailed, e.what()); }
}

}  // namespace sluice::cli::detail
