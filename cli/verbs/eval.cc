#include <fmt/format.h>

#include "cli/detail/client.h"
#include "cli/detail/model_flags.h"
#include "cli/detail/print.h"
#include "cli/detail/summary.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {

struct EvalFlags {
  detail::ModelFlags model;
  bool json = false;
};

Result<void> evaluate(const EvalFlags& flags) {
  const auto model = flags.model.load();
  if (!model) return fail(model.error());
  const auto rows = flags.model.rows(*model);
  if (!rows) return fail(rows.error());
  const auto scores = model->evaluate(*rows);
  const double count = static_cast<double>(scores.examples);
  const detail::Json document = {{"version", 1},
                                 {"job", model->job().spec.name},
                                 {"examples", scores.examples},
                                 {"loss", scores.loss_sum / count},
                                 {"metrics", {{model->metric(), scores.metric_sum / count}}}};
  if (flags.json) return detail::print(document.dump() + "\n");
  return detail::print(fmt::format("{} rows: loss {:.4f}, {} {}\n", scores.examples, scores.loss_sum / count, model->metric(), detail::metric_text(document)));
}

}  // namespace

void add_eval(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("eval", "Scores a trained model on labelled rows");
  auto flags = std::make_shared<EvalFlags>();
  flags->model.add_to(*verb, /*needs_data=*/false);
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice eval out/A/jobs/wordnet build/data/wordnet/test.libsvm");
  verb->callback([flags, &status] {
    const auto done = detail::guarded([&] { return evaluate(*flags); });
    status = done ? 0 : detail::report(done.error(), flags->json);
  });
}

}  // namespace sluice::cli
