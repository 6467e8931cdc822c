#include "worker/plugin/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/clock.h"
#include "base/executor.h"
#include "worker/detail/layout.h"
#include "worker/plugin/trial.h"

namespace sluice::worker::plugin {
namespace {

using Json = nlohmann::json;
constexpr std::uint32_t kRows = 32;
constexpr std::size_t kSlopesPerTable = 100;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// A check's breach, in words.
struct Breach {
  std::string words;
};
[[noreturn]] void breach(std::string words) { throw Breach{std::move(words)}; }

class Case {
 public:
  Case(const Library& library, std::string params, bool sparse, std::uint32_t classes)
      : library_(library), params_(std::move(params)), rows_(sparse, classes, 64) {}
  [[nodiscard]] MadeRows& rows() { return rows_; }
  [[nodiscard]] std::unique_ptr<Model> make() {
    auto made = library_.make(params_, rows_.shape());
    if (!made) breach(made.error().what);
    return std::move(*made);
  }
  /// All checks that suit the model's kind. Returns what the report says of this case; sets `ok` false after a breach.
  [[nodiscard]] Json run(bool& ok);

 private:
  void tables();
  void keys();
  void every_float();
  void finite();
  void repeats();
  void slopes();
  void splits();
  void scores();
  void two_threads();
  void phases();
  [[nodiscard]] double speed();

  const Library& library_;
  std::string params_;
  MadeRows rows_;
};

void Case::tables() {
  const auto model = make();
  const auto declared = model->tables();
  if (declared.empty() || declared.size() > proto::kTablesMax)
    breach(fmt::format("it declares {} tables; 1 to {} are possible", declared.size(), proto::kTablesMax));
  std::set<std::string> names;
  for (const auto& table : declared) {
    if (!names.insert(table.name).second) breach(fmt::format("two tables are called '{}'", table.name));
  }
  for (const auto& spec : table_specs(declared, 1, {})) {
    if (const auto valid = proto::validate(spec); !valid) breach(valid.error().what);
  }
  if (model->metric().empty()) breach("metric() is empty");
}

void Case::keys() {
  Trial trial(make());
  const auto got = trial.update(rows_.batch(0, kRows), 0);
  for (std::size_t t = 0; t < got.keys.size(); ++t) {
    const auto& table = trial.tables()[t];
    if (!got.keys[t].empty() && table.kind == proto::TableKind::kDense) breach(fmt::format("keys() names keys of table '{}', which is dense", table.name));
    if (std::adjacent_find(got.keys[t].begin(), got.keys[t].end(), std::greater_equal<>()) != got.keys[t].end())
      breach(fmt::format("the keys of table '{}' are not sorted and distinct", table.name));
  }
}

/// Filled with two different things before, the update is the same after.
void Case::every_float() {
  Trial trial(make());
  const auto first = trial.update(rows_.batch(0, kRows), 12345.0F), second = trial.update(rows_.batch(0, kRows), -54321.0F);
  for (std::size_t t = 0; t < first.updates.size(); ++t) {
    std::size_t left = 0;
    for (std::size_t i = 0; i < first.updates[t].size(); ++i) left += first.updates[t][i] == 12345.0F && second.updates[t][i] == -54321.0F ? 1 : 0;
    if (left > 0) breach(fmt::format("{} of {} floats of table '{}' are not written by update()", left, first.updates[t].size(), trial.tables()[t].name));
  }
}

void Case::finite() {
  Trial trial(make());
  const auto got = trial.update(rows_.batch(0, kRows), kNan);
  for (std::size_t t = 0; t < got.updates.size(); ++t) {
    if (!std::all_of(got.updates[t].begin(), got.updates[t].end(), [](float g) { return std::isfinite(g); }))
      breach(fmt::format("the update of table '{}' has numbers that are not finite", trial.tables()[t].name));
  }
  if (!std::isfinite(got.losses.loss_sum) || !std::isfinite(got.losses.loss_squares)) breach("the losses are not finite");
  if (got.losses.loss_squares * kRows < got.losses.loss_sum * got.losses.loss_sum * (1 - 1e-6))
    breach("loss_squares is less than it can be for that loss_sum: it is the sum of each example's loss squared");
}

bool same(const Outcome& a, const Outcome& b) {
  return a.updates == b.updates && a.losses.loss_sum == b.losses.loss_sum && a.losses.loss_squares == b.losses.loss_squares;
}

void Case::repeats() {
  Trial used(make()), fresh(make());
  (void)used.update(rows_.batch(20, 40), kNan);
  (void)used.update(rows_.batch(0, 3), kNan);
  (void)used.evaluate(rows_.batch(5, 30));
  const auto first = used.update(rows_.batch(0, kRows), 0), again = used.update(rows_.batch(0, kRows), 0), other = fresh.update(rows_.batch(0, kRows), 0);
  if (!same(first, again)) breach("the same batch gives another update when it is computed again");
  if (!same(first, other)) breach("a batch's update depends on the batches before: something is kept from one to the next");
}

/// Central differences of the mean loss, at some elements of each table. A kink (a hinge, a relu) may be hit now and then.
void Case::slopes() {
  Trial trial(make());
  const Batch batch = rows_.batch(0, kRows);
  const auto at = trial.update(batch, 0);
  constexpr float kStep = 2e-3F;
  for (std::size_t t = 0; t < at.updates.size(); ++t) {
    const std::size_t width = std::max<std::size_t>(at.keys[t].empty() ? at.updates[t].size() : trial.tables()[t].cols, 1);
    const std::size_t stride = std::max<std::size_t>(1, at.updates[t].size() / kSlopesPerTable);
    std::size_t wrong = 0, tried = 0;
    std::string words;
    for (std::size_t g = 0; g < at.updates[t].size(); g += stride, ++tried) {
      float& value = trial.value(t, at.keys[t].empty() ? 0 : at.keys[t][g / width], g % width);
      const float kept = value;
      value = kept + kStep;
      const double above = trial.update(batch, 0).losses.loss_sum;
      value = kept - kStep;
      const double below = trial.update(batch, 0).losses.loss_sum;
      value = kept;
      const double slope = (above - below) / (2.0 * static_cast<double>(kStep)) / batch.rows, given = static_cast<double>(at.updates[t][g]);
      if (std::abs(slope - given) <= 2e-3 + 0.02 * std::abs(slope)) continue;
      if (++wrong == 1)
        words = fmt::format("element {} of table '{}' is {:.6g}, and the mean loss has the slope {:.6g} there", g, trial.tables()[t].name, given, slope);
    }
    if (wrong * 50 > tried)
      breach(fmt::format(
          "the gradient is not that of the mean loss: {} of {} elements tried are off; {} (a gradient with regularisation is checked with its strength 0)",
          wrong, tried, words));
  }
}

/// The whole batch against its parts: gradients weighted by their rows, statistics and losses added up.
void Case::splits() {
  Trial trial(make());
  const bool mean = trial.model().update_kind() == UpdateKind::kGradient;
  const auto whole = trial.update(rows_.batch(0, kRows), 0);
  for (const std::uint32_t part : {16U, 5U, 1U}) {
    std::map<std::pair<std::size_t, std::size_t>, double> sums;
    Losses losses;
    for (std::uint32_t first = 0; first < kRows; first += part) {
      const std::uint32_t rows = std::min(part, kRows - first);
      const auto got = trial.update(rows_.batch(first, rows), 0);
      losses.loss_sum += got.losses.loss_sum;
      losses.loss_squares += got.losses.loss_squares;
      for (std::size_t t = 0; t < got.updates.size(); ++t) {
        const std::size_t width = trial.tables()[t].cols;
        for (std::size_t g = 0; g < got.updates[t].size(); ++g)
          sums[{t, got.keys[t].empty() ? g : got.keys[t][g / width] * width + g % width}] +=
              static_cast<double>(got.updates[t][g]) * (mean ? rows / double{kRows} : 1);
      }
    }
    if (std::abs(losses.loss_sum - whole.losses.loss_sum) > 1e-3 * (1 + std::abs(whole.losses.loss_sum)))
      breach(fmt::format("the losses of a batch's parts add up to {:.6g}, the whole batch's is {:.6g}", losses.loss_sum, whole.losses.loss_sum));
    for (std::size_t t = 0; t < whole.updates.size(); ++t) {
      const std::size_t width = trial.tables()[t].cols;
      for (std::size_t g = 0; g < whole.updates[t].size(); ++g) {
        const double sum = sums[{t, whole.keys[t].empty() ? g : whole.keys[t][g / width] * width + g % width}], all = static_cast<double>(whole.updates[t][g]);
        if (std::abs(sum - all) > 1e-4 + 1e-3 * std::abs(all))
          breach(fmt::format("parts of {} rows give {:.6g} in table '{}' where the whole batch gives {:.6g}", part, sum, trial.tables()[t].name, all));
      }
    }
  }
}

void Case::scores() {
  Trial trial(make());
  Batch batch = rows_.batch(0, kRows);
  const Scores scores = trial.evaluate(batch);
  if (scores.examples != kRows) breach(fmt::format("evaluate() scored {} of {} rows", scores.examples, kRows));
  if (!std::isfinite(scores.loss_sum) || !std::isfinite(scores.metric_sum)) breach("evaluate() gives numbers that are not finite");
  if (trial.model().metric() == "accuracy" && !(scores.metric_sum >= 0 && scores.metric_sum <= kRows))
    breach("its accuracy is not between 0 and the number of rows");
  if (trial.model().update_kind() == UpdateKind::kGradient) {
    const double loss = trial.update(batch, 0).losses.loss_sum;
    if (std::abs(loss - scores.loss_sum) > 1e-3 * (1 + std::abs(loss)))
      breach(fmt::format("evaluate() gives another loss than update() on the same rows: {:.6g} and {:.6g}", scores.loss_sum, loss));
  }
  const auto outputs = trial.outputs(batch);
  if (outputs.empty() || outputs.size() % kRows != 0) breach(fmt::format("outputs() gives {} numbers for {} rows", outputs.size(), kRows));
  const std::vector<float> zeros(kRows, 0.0F);
  batch.labels = zeros;
  if (trial.outputs(batch) != outputs) breach("outputs() looks at the labels");
}

/// Two objects at work at once give what each gives alone.
void Case::two_threads() {
  std::string words[2];
  std::vector<std::unique_ptr<Trial>> trials;
  std::vector<MadeRows> rows(2, rows_);
  for (int i = 0; i < 2; ++i) trials.push_back(std::make_unique<Trial>(make()));
  const auto alone = trials[0]->update(rows[0].batch(0, kRows), 0);
  {
    ThreadExecutor both;
    for (std::size_t i = 0; i < 2; ++i) {
      both.run("try", [&, i] {
        try {
          for (int n = 0; n < 50 && words[i].empty(); ++n) {
            if (!same(trials[i]->update(rows[i].batch(0, kRows), 0), alone))
              words[i] = "two objects that compute at once disturb each other: is there something global?";
          }
        } catch (const std::exception& wrong) { words[i] = wrong.what(); } catch (...) {
          words[i] = "it threw something that is no std::exception";
        }
      });
    }
    both.join();
  }
  for (const auto& word : words) {
    if (!word.empty()) breach(word);
  }
}

void Case::phases() {
  Trial trial(make());
  if (trial.model().phases(3) == 0) {
    if (trial.model().update_kind() == UpdateKind::kStatistics) breach("it gives statistics, but has no phases: nobody makes parameters of them");
    return;
  }
  for (const auto& table : trial.tables()) {
    if (table.kind == proto::TableKind::kSparse) breach(fmt::format("a model with phases has dense tables only, and '{}' is sparse", table.name));
  }
  PhaseEnd end;
  const auto got = trial.finish_phase(end, kNan), again = trial.finish_phase(end, kNan);
  for (std::size_t t = 0; t < got.updates.size(); ++t) {
    if (!std::all_of(got.updates[t].begin(), got.updates[t].end(), [](float g) { return std::isfinite(g); }))
      breach(fmt::format("finish_phase() does not write every float of table '{}', or not finite ones", trial.tables()[t].name));
  }
  if (got.updates != again.updates) breach("finish_phase() gives something else at the same values when it is called again");
}

/// Examples a second of update(), in this process.
double Case::speed() {
  const DataShape shape = rows_.shape();
  MadeRows rows(shape.sparse, shape.classes, kSpeedRows, shape.sparse ? 0 : kSpeedFeatures);
  auto made = library_.make(params_, rows.shape());
  if (!made) breach(made.error().what);
  Trial trial(std::move(*made));
  const SystemClock clock;
  const Batch batch = rows.batch(0, kSpeedRows);
  (void)trial.update(batch, 0);
  const Instant begun = clock.now();
  std::uint64_t batches = 0;
  for (; clock.now() - begun < from_ms(100); ++batches) (void)trial.update(batch, 0);
  return static_cast<double>(batches * kSpeedRows) / (clock.now() - begun).seconds();
}

Json Case::run(bool& ok) {
  Json out = {{"data", rows_.words()}, {"sparse", rows_.shape().sparse}, {"classes", rows_.shape().classes}, {"checks", Json::array()}};
  const auto check = [&](const char* name, const std::function<void()>& f) {
    std::string words;
    try {
      f();
    } catch (const Breach& wrong) { words = wrong.words; } catch (const std::exception& wrong) {
      words = fmt::format("it failed: {}", wrong.what());
    }
    out["checks"].push_back({{"name", name}, {"ok", words.empty()}, {"words", words}});
    ok = ok && words.empty();
    return words.empty();
  };
  if (!check("tables", [&] { tables(); }) || !check("keys", [&] { keys(); })) return out;
  const UpdateKind kind = make()->update_kind();
  check("every float is written", [&] { every_float(); });
  check("numbers are finite", [&] { finite(); });
  check("repeats itself", [&] { repeats(); });
  if (kind == UpdateKind::kGradient) check("gradient against finite differences", [&] { slopes(); });
  if (kind != UpdateKind::kDelta) check("parts of a batch add up", [&] { splits(); });
  check("scores and outputs", [&] { scores(); });
  check("two objects on two threads", [&] { two_threads(); });
  check("phases", [&] { phases(); });
  check("speed", [&] { out["examples_per_s"] = speed(); });
  return out;
}

}  // namespace

std::string check_library(const Library& library, const std::string& params) {
  Json report = {{"cases", Json::array()}, {"refused", Json::array()}};
  bool ok = true;
  for (const bool sparse : {false, true}) {
    for (const std::uint32_t classes : {0U, 2U, 3U}) {
      Case one(library, params, sparse, classes);
      if (const auto made = library.make(params, one.rows().shape()); !made && made.error().code == Errc::kBadConfig) {
        report["refused"].push_back({{"data", one.rows().words()}, {"words", made.error().what}});
        continue;
      }
      report["cases"].push_back(one.run(ok));
    }
  }
  report["ok"] = ok && !report["cases"].empty();
  return report.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice::worker::plugin
