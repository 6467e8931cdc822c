#include <fmt/format.h>

#include <filesystem>

#include "base/text.h"
#include "cli/detail/client.h"
#include "cli/detail/folders.h"
#include "cli/detail/models.h"
#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {

struct ExportFlags {
  std::string job, out, to, format = "safetensors";
  bool json = false;
};

/// DIR/jobs/JOB of a run's output folder, or DIR/JOB of a server's --models. Errors: kNotFound naming the jobs that are there.
Result<std::string> folder_of(const std::string& out, const std::string& job) {
  std::vector<std::string> known;
  for (const std::string& models : {out + "/jobs", out}) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(models, error)) {
      const std::string name = entry.path().filename().string();
      if (!entry.is_directory(error) || (models == out && (name == "jobs" || name == "logs"))) continue;
      if (name == job) return entry.path().string();
      known.push_back(name);
    }
  }
  if (known.empty()) return fail(Errc::kNotFound, fmt::format("{}: no finished job's model is there", out));
  return fail(Errc::kNotFound, text::unknown_name("finished job", job, known));
}

Result<void> export_model(const ExportFlags& flags) {
  const auto folder = folder_of(flags.out.empty() ? detail::state_folder() : flags.out, flags.job);
  if (!folder) return fail(folder.error());
  const auto model = detail::load_model(*folder);
  if (!model) return fail(model.error());
  std::error_code error;
  std::filesystem::create_directories(flags.to, error);
  if (error) return fail(Errc::kIo, fmt::format("cannot make the folder {}: {}", flags.to, error.message()));
  const auto written = flags.format == "npy" ? detail::write_npy(flags.to, *model) : proto::write_model(flags.to + "/model.safetensors", *model);
  if (!written) return written;
  detail::Json tables = detail::Json::array();
  std::string words;
  for (const auto& table : model->tables) {
    const bool sparse = table.spec.kind == proto::TableKind::kSparse;
    const std::uint64_t rows = sparse ? table.keys.size() : table.spec.rows;
    tables.push_back({{"table", table.spec.name}, {"sparse", sparse}, {"rows", rows}, {"cols", table.spec.cols}});
    words += fmt::format("{}: {} × {}{}\n", table.spec.name, rows, table.spec.cols, sparse ? " (sparse: its keys beside it)" : "");
  }
  const detail::Json document = {{"version", 1},   {"job", flags.job}, {"model", model->job.spec.model}, {"steps", model->job.step},
                                 {"to", flags.to}, {"tables", tables}};
  return detail::print(flags.json ? document.dump() + "\n" : words);
}

}  // namespace

void add_export(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("export", "Writes a finished job's parameters as safetensors or NumPy files");
  auto flags = std::make_shared<ExportFlags>();
  verb->add_option("JOB", flags->job, "The job's name")->required();
  verb->add_option("--out", flags->out, "The run's output folder, or a server's --models folder (default: the folder of sluice up)");
  verb->add_option("--to", flags->to, "Folder for the files, made if missing")->required();
  verb->add_option("--format", flags->format, "safetensors: one file; npy: one file a table")
      ->check(CLI::IsMember({"safetensors", "npy"}))
      ->capture_default_str();
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice export mlp-256 --out out/A --to exported --format npy");
  verb->callback([flags, &status] {
    const auto done = export_model(*flags);
    status = done ? 0 : detail::report(done.error(), flags->json);
  });
}

}  // namespace sluice::cli
