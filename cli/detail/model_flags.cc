#include "cli/detail/model_flags.h"

#include <fmt/format.h>

#include <filesystem>

#include "cli/detail/data_section.h"
#include "cli/detail/models.h"
#include "cli/detail/print.h"
#include "worker/plugin/library.h"

namespace sluice::cli::detail {

void ModelFlags::add_to(CLI::App& verb, bool needs_data) {
  verb.add_option("MODEL", model, "A job's folder in a run's output (OUT/jobs/NAME), or a model.safetensors")->required();
  auto* files = verb.add_option("DATA", data,
                                needs_data ? "The rows' files, in the form of the model's training data; labels are needed, but any that it knows will do"
                                           : "Labelled rows, in the form of the model's training data (default: the held-out files of its job)");
  if (needs_data) files->required();
  verb.add_option("--plugin", plugin, "Where the plug-in that made the model is now (default: where it was then)");
  verb.add_option("--max-bad-rows", max_bad_rows, "Rows that may be unreadable and are left out")->capture_default_str();
}

Result<worker::TrainedModel> ModelFlags::load() const {
  auto saved = load_model(model);
  if (!saved) return fail(saved.error());
  auto& made_by = saved->job.spec.plugin;
  if (!plugin.empty() && made_by.path.empty())
    return fail(Errc::kBadConfig, fmt::format("{}: '{}' is a built-in model; take --plugin out", model, saved->job.spec.model));
  if (!plugin.empty()) made_by.path = std::filesystem::absolute(plugin).lexically_normal().string();
  if (!made_by.path.empty()) {
    const auto digest = worker::plugin::file_digest(made_by.path);
    if (!digest)
      return fail(digest.error().code,
                  fmt::format("{}: the plug-in that made this model is not there ({}); say where with --plugin", model, digest.error().what));
    if (*digest != made_by.digest)
      note(fmt::format("warning: {} is not the file that trained {}; its tables fit, or you will hear of it", made_by.path, model));
  }
  auto trained = worker::TrainedModel::load(std::move(*saved));
  if (!trained) return fail(trained.error().code, fmt::format("{}: {}", model, trained.error().what));
  return trained;
}

Result<std::shared_ptr<const worker::Dataset>> ModelFlags::rows(const worker::TrainedModel& trained) const {
  proto::DataSpec spec = trained.job().spec.data;
  spec.train = data.empty() ? spec.test : data;
  spec.max_bad_rows = max_bad_rows;
  if (spec.train.empty() && spec.held_out.share > 0)
    return fail(Errc::kBadConfig, "the job's held-out rows are a part of its training files (validation): name a file to score it on");
  if (spec.train.empty()) return fail(Errc::kBadConfig, "the job had no held-out data: name a file to score it on");
  auto rows = trained.read(spec);
  if (!rows) return fail(data_error(rows.error()));
  return rows;
}

Result<void> guarded(const std::function<Result<void>()>& work) {
  try {
    return work();
  } catch (const std::exception& e) { return fail(Errc::kJobFailed, e.what()); }
}

}  // namespace sluice::cli::detail
