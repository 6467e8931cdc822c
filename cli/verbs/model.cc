#include <fmt/format.h>

#include <filesystem>
#include <stdexcept>

#include "base/clock.h"
#include "base/text.h"
#include "cli/detail/client.h"
#include "cli/detail/print.h"
#include "cli/detail/skeleton.h"
#include "cli/verbs/verbs.h"
#include "worker/plugin/check.h"
#include "worker/plugin/process_model.h"
#include "worker/plugin/trial.h"

namespace sluice::cli {
namespace {
using detail::Json;
namespace plugins = worker::plugin;

struct ModelVerbFlags {
  std::string action, target, dir, params = "{}";
  bool json = false;
};

/// The same rows as the check's speed, but through a slot process: examples a second. Throws what went wrong.
double speed_through_process(const std::string& path, const std::string& params, bool sparse, std::uint32_t classes) {
  auto process = plugins::SlotProcess::start({});
  if (!process) throw std::runtime_error(process.error().what);
  if (const auto opened = plugins::open_plugin(**process, path, 0); !opened) throw std::runtime_error(opened.error().what);
  plugins::MadeRows rows(sparse, classes, plugins::kSpeedRows, sparse ? 0 : plugins::kSpeedFeatures);
  auto model = plugins::make_process_model(std::move(*process), "checked", params, rows.shape());
  if (!model) throw std::runtime_error(model.error().what);
  plugins::Trial trial(std::move(*model));
  const SystemClock clock;
  const worker::Batch batch = rows.batch(0, plugins::kSpeedRows);
  (void)trial.update(batch, 0);
  const Instant begun = clock.now();
  std::uint64_t batches = 0;
  for (; clock.now() - begun < from_ms(100); ++batches) (void)trial.update(batch, 0);
  (void)trial.outputs(batch);
  (void)trial.evaluate(batch);
  return static_cast<double>(batches * plugins::kSpeedRows) / (clock.now() - begun).seconds();
}

/// Adds what a slot process makes of one case to its checks.
void add_process_check(Json& one, Json& report, const std::string& path, const std::string& params) {
  std::string words;
  try {
    one["process_examples_per_s"] = speed_through_process(path, params, one.value("sparse", false), one.value("classes", 0U));
  } catch (const std::exception& wrong) {
    words = wrong.what();
    report["ok"] = false;
  }
  one["checks"].push_back({{"name", "through a slot process"}, {"ok", words.empty()}, {"words", words}});
}

Result<Json> report_of(const ModelVerbFlags& flags) {
  if (!Json::parse(flags.params, nullptr, false).is_object()) return fail(Errc::kBadConfig, "--params must be a JSON object, such as '{\"l2\": 0}'");
  const std::string path = std::filesystem::absolute(flags.target).lexically_normal().string();
  auto process = plugins::SlotProcess::start({});
  if (!process) return fail(process.error());
  const auto facts = plugins::open_plugin(**process, path, 0);
  if (!facts) return fail(facts.error());
  const auto text = plugins::check_plugin(**process, flags.params);
  if (!text) return fail(Errc::kJobFailed, fmt::format("{}: its process {}", path, text.error().what));
  Json report = Json::parse(*text, nullptr, false);
  if (!report.is_object()) return fail(Errc::kJobFailed, fmt::format("{}: its process answered nonsense", path));
  report["version"] = 1;
  report["model"] = facts->name;
  report["model_version"] = facts->version;
  report["abi"] = SLUICE_ABI_VERSION;
  report["path"] = path;
  for (auto& one : report["cases"]) {
    if (one.contains("examples_per_s")) add_process_check(one, report, path, flags.params);
  }
  return report;
}

std::string report_text(const Json& report) {
  const auto word = [](const Json& object, const char* key) { return text::printable(object.value(key, std::string())); };
  std::string out = fmt::format("model '{}' {}, plug-in ABI {}\n", word(report, "model"), word(report, "model_version"), report.value("abi", 0U));
  for (const auto& one : report["cases"]) {
    out += fmt::format("{}:\n", word(one, "data"));
    for (const auto& check : one["checks"]) {
      const std::string words = word(check, "words");
      out += fmt::format("  {:4} {}{}\n", check.value("ok", false) ? "ok" : "FAIL", word(check, "name"), words.empty() ? "" : ": " + words);
    }
    if (one.contains("examples_per_s"))
      out += fmt::format("       {:.0f} examples/s here, {:.0f} through a slot process (batches of {})\n", one.value("examples_per_s", 0.0),
                         one.value("process_examples_per_s", 0.0), plugins::kSpeedRows);
  }
  for (const auto& one : report["refused"]) out += fmt::format("not for {}: {}\n", word(one, "data"), word(one, "words"));
  return out;
}

Result<void> check_library_at(const ModelVerbFlags& flags) {
  const auto report = report_of(flags);
  if (!report) return fail(report.error());
  if (auto printed = detail::print(flags.json ? report->dump(-1, ' ', false, Json::error_handler_t::replace) + "\n" : report_text(*report)); !printed)
    return printed;
  if (report->value("ok", false)) return {};
  return fail(Errc::kJobFailed, (*report)["cases"].empty() ? "the model takes none of the data that it was tried with; are the params right?"
                                                           : "the model does not keep its contract; see what FAILed");
}

Result<void> model_verb(const ModelVerbFlags& flags) {
  if (flags.action == "check") return check_library_at(flags);
  if (flags.action != "new") return fail(Errc::kBadConfig, text::unknown_name("action", flags.action, {"check", "new"}));
  const std::string folder = flags.dir.empty() ? flags.target : flags.dir;
  if (auto written = detail::write_skeleton(flags.target, folder); !written) return written;
  detail::note(fmt::format(
      "{0}: a model that builds; change it, then\n  cmake -S {0} -B {0}/build -DCMAKE_PREFIX_PATH=WHERE_SLUICE_IS_INSTALLED\n  cmake --build {0}/build\n"
      "  sluice model check {0}/build/lib{1}.so\n  sluice run {0}/{1}.yaml",
      folder, flags.target));
  return {};
}

}  // namespace

void add_model(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("model", "A plug-in: a skeleton of a new one; whether one keeps the contract of a model");
  auto flags = std::make_shared<ModelVerbFlags>();
  verb->add_option("ACTION", flags->action, "new NAME: writes a skeleton; check LIB: tries a plug-in in a process of its own")->required();
  verb->add_option("TARGET", flags->target, "The model's name, or the plug-in's path")->required();
  verb->add_option("--dir", flags->dir, "new: the folder to write into (default: NAME)");
  verb->add_option("--params", flags->params, "check: the model's params, a JSON object")->capture_default_str();
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Examples:\n  sluice model new mine --dir mine\n  sluice model check mine/build/libmine.so --params '{\"l2\": 0}'");
  verb->callback([flags, &status] {
    const auto done = model_verb(*flags);
    const bool shown = flags->json && !done && done.error().code == Errc::kJobFailed;  // the report says it all
    status = done ? 0 : detail::report(done.error(), flags->json && !shown);
  });
}

}  // namespace sluice::cli
