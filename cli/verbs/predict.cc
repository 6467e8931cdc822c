#include <fmt/format.h>

#include <algorithm>

#include "cli/detail/model_flags.h"
#include "cli/detail/models.h"
#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {

struct PredictFlags {
  detail::ModelFlags model;
  std::string to;
  bool scores = false;
};

/// One line a row: the label as the training file writes it (a number for targets), then the outputs where they are asked for.
void append_row(std::string& out, std::span<const float> scores, const std::vector<std::string>& labels, bool with_scores) {
  if (labels.empty()) {
    fmt::format_to(std::back_inserter(out), "{}", scores[0]);
  } else {
    const auto best = static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
    fmt::format_to(std::back_inserter(out), "{}", labels[scores.size() == 1 ? (scores[0] > 0 ? 1 : 0) : best]);
    for (std::size_t i = 0; with_scores && i < scores.size(); ++i) fmt::format_to(std::back_inserter(out), " {}", scores[i]);
  }
  out += '\n';
}

Result<void> predict(const PredictFlags& flags) {
  const auto model = flags.model.load();
  if (!model) return fail(model.error());
  const auto rows = flags.model.rows(*model);
  if (!rows) return fail(rows.error());
  const auto predicted = model->predict(*rows);
  std::string out;
  const auto labels = model->labels();
  const std::span<const float> scores = predicted.scores;
  for (std::size_t at = 0; at < scores.size(); at += predicted.outputs) append_row(out, scores.subspan(at, predicted.outputs), labels, flags.scores);
  if (flags.to.empty()) return detail::print(out);
  return detail::write_text(flags.to, out);
}

}  // namespace

void add_predict(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("predict", "Says what a trained model predicts for each row of a file, in the file's order");
  auto flags = std::make_shared<PredictFlags>();
  flags->model.add_to(*verb, /*needs_data=*/true);
  verb->add_option("--to", flags->to, "File for the predictions (default: standard output)");
  verb->add_flag("--scores", flags->scores, "The model's outputs for each class behind the label");
  verb->footer("Example:\n  sluice predict out/A/jobs/wordnet build/data/wordnet/test.libsvm --to predictions.txt");
  verb->callback([flags, &status] {
    const auto done = detail::guarded([&] { return predict(*flags); });
    status = done ? 0 : detail::report(done.error(), false);
  });
}

}  // namespace sluice::cli
