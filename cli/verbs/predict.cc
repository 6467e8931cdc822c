#include <fmt/format.h>

#include <algorithm>

#include "base/temporary_file.h"
#include "cli/detail/client.h"
#include "cli/detail/model_flags.h"
#include "cli/detail/models.h"
#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {

struct PredictFlags {
  detail::ModelFlags model;
  std::string to;
  bool scores = false, json = false;
};

/// The label as the training file writes it; where there are none the number itself is it.
std::string_view label_of(std::span<const float> scores, const std::vector<std::string>& labels) {
  const auto best = static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  return labels[scores.size() == 1 ? (scores[0] > 0 ? 1 : 0) : best];
}

void append_json(std::span<const float> scores, const std::vector<std::string>& labels, bool with_scores, std::string& out) {
  detail::Json row = labels.empty() ? detail::Json{{"value", scores[0]}} : detail::Json{{"label", label_of(scores, labels)}};
  if (with_scores) row["scores"] = std::vector<float>(scores.begin(), scores.end());
  out += row.dump(-1, ' ', false, detail::Json::error_handler_t::replace);
}

/// One line a row.
void append_line(std::span<const float> scores, const std::vector<std::string>& labels, const PredictFlags& flags, std::string& out) {
  if (flags.json) {
    append_json(scores, labels, flags.scores, out);
  } else {
    if (labels.empty()) {
      fmt::format_to(std::back_inserter(out), "{}", scores[0]);
    } else {
      out += label_of(scores, labels);
    }
    for (std::size_t i = 0; flags.scores && i < scores.size(); ++i) fmt::format_to(std::back_inserter(out), " {}", scores[i]);
  }
  out += '\n';
}

Result<void> predict(const PredictFlags& flags) {
  const auto model = flags.model.load();
  if (!model) return fail(model.error());
  const auto rows = flags.model.rows(*model);
  if (!rows) return fail(rows.error());
  const auto labels = model->labels(model->outputs(*rows));
  const auto parts = model->predict_text(*rows, [&](std::span<const float> scores, std::string& out) { append_line(scores, labels, flags, out); });
  std::string whole;
  for (const std::string& part : parts) {
    if (!flags.to.empty()) {
      whole += part;
    } else if (auto printed = detail::print(part); !printed) {
      return printed;
    }
  }
  return flags.to.empty() ? Result<void>() : write_file(flags.to, whole);
}

}  // namespace

void add_predict(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("predict", "Says what a trained model predicts for each row of a file, in the file's order");
  auto flags = std::make_shared<PredictFlags>();
  flags->model.add_to(*verb, /*needs_data=*/true);
  verb->add_option("--to", flags->to, "File for the predictions (default: standard output)");
  verb->add_flag("--scores", flags->scores, "The model's outputs too, one for each class");
  verb->add_flag("--json", flags->json, "A JSON object a line: label (or value), and scores where asked for");
  verb->footer("Example:\n  sluice predict out/A/jobs/wordnet build/data/wordnet/test.libsvm --to predictions.txt");
  verb->callback([flags, &status] {
    const auto done = detail::guarded([&] { return predict(*flags); });
    status = done ? 0 : detail::report(done.error(), flags->json);
  });
}

}  // namespace sluice::cli
