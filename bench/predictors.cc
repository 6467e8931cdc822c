/// How well each predictor foretells loss curves: error 1, 5, 10 and 50 reports ahead, how often the truth lies in its bands, time a report, memory a job; with
/// reports as they are and with 1 and 3 % of noise. Prints one JSON object, or a table.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/clock.h"
#include "base/rng.h"
#include "bench/curve_source.h"
#include "manager/predictor.h"

namespace sluice::bench {
namespace {

using nlohmann::json;

constexpr std::array<std::size_t, 4> kHorizons = {1, 5, 10, 50};
constexpr std::array<double, 3> kBands = {0.5, 0.8, 0.9};

struct Error {
  double sum = 0, relative = 0, count = 0;
  std::array<double, kBands.size()> inside{};
  double interval = 0;            ///< scores of the 80 % band
  std::vector<double> relatives;  ///< for the mean without the worst 1 %, as SLAQ's authors give it
  void add(const Error& other) {
    sum += other.sum, interval += other.interval, relative += other.relative, count += other.count;
    for (std::size_t i = 0; i < inside.size(); ++i) inside[i] += other.inside[i];
    relatives.insert(relatives.end(), other.relatives.begin(), other.relatives.end());
  }
};
struct Score {
  std::array<Error, kHorizons.size()> at;
  double microseconds = 0, reports = 0, bytes = 0, curves = 0;
};

double normal(Rng& rng) { return std::sqrt(-2 * std::log(1 - rng.uniform())) * std::cos(2 * M_PI * rng.uniform()); }

struct Options {
  std::vector<std::string> curves, predictors = {"ensemble", "last", "slaq"};
  std::string authors;
  std::vector<double> noises = {0, 0.01, 0.03};
  std::uint64_t seed = 1;
  std::size_t made = 6, from = 5, of_family = 1000;
  bool table = false, undeclared = false, no_made = false;
};

/// Over one curve: a mean of errors each, so that long curves count no more than short ones.
Score judge(manager::Predictor& predictor, const LossSeries& series, double noise, std::uint64_t seed, const Options& options) {
  Score score;
  SeededRng rng(seed);
  const auto [low, high] = std::minmax_element(series.losses.begin(), series.losses.end());
  const double range = *high > *low ? *high - *low : 1;
  std::vector<double> seen = series.losses;
  for (double& loss : seen) loss += noise * range * normal(rng);
  if (!options.undeclared) predictor.declare(series.total_steps);
  const SystemClock clock;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const auto step = static_cast<std::uint64_t>(series.steps[i]);
    const LossPoint point{.step = step, .examples = step * 128, .seconds = series.steps[i], .loss = seen[i], .spread = 0, .weight = 128};
    const Instant began = clock.now();
    predictor.observe(point);
    (void)predictor.refit();
    score.microseconds += (clock.now() - began).ms() * 1000;
    score.reports += 1;
    if (i + 1 < options.from || !predictor.ready()) continue;
    for (std::size_t h = 0; h < kHorizons.size(); ++h) {
      const std::size_t at = i + kHorizons[h];
      if (at >= seen.size()) break;
      const manager::Forecast f = predictor.after(series.steps[at] - series.steps[i]);
      Error& error = score.at[h];
      const double off = std::abs(f.mean - series.losses[at]), relative = off / std::max(std::abs(series.losses[at]), 1e-9);
      error.sum += off / range, error.relative += relative, error.count += 1;
      error.relatives.push_back(relative);
      // Gneiting, Raftery: Strictly Proper Scoring Rules, JASA 102(477), 2007: the width, and 2/(1 − .8) times what lies outside.
      const double half = f.quantile(0.9) - f.mean;
      error.interval += (2 * half + 10 * std::max(0.0, std::abs(seen[at] - f.mean) - half)) / range;
      for (std::size_t b = 0; b < kBands.size(); ++b) error.inside[b] += std::abs(seen[at] - f.mean) <= f.quantile(0.5 + kBands[b] / 2) - f.mean ? 1 : 0;
    }
  }
  score.bytes = static_cast<double>(predictor.bytes());
  score.curves = 1;
  return score;
}

json to_json(const Score& s, const std::string& predictor, const std::string& family, double noise) {
  json out = {{"predictor", predictor},   {"family", family},      {"noise", noise}, {"curves", s.curves}, {"us_per_report", s.microseconds / s.reports},
              {"bytes_per_job", s.bytes}, {"ahead", json::array()}};
  for (std::size_t h = 0; h < kHorizons.size(); ++h) {
    const Error& e = s.at[h];
    if (e.count == 0) continue;
    std::vector<double> sorted = e.relatives;
    std::sort(sorted.begin(), sorted.end());
    const std::size_t kept = std::max<std::size_t>(1, sorted.size() * 99 / 100);
    double mean = 0;
    for (std::size_t i = 0; i < kept; ++i) mean += sorted[i] / static_cast<double>(kept);
    out["ahead"].push_back({{"reports", kHorizons[h]},
                            {"percent_of_range", 100 * e.sum / e.count},
                            {"relative", e.relative / e.count},
                            {"relative_99", mean},
                            {"in_50", e.inside[0] / e.count},
                            {"in_80", e.inside[1] / e.count},
                            {"in_90", e.inside[2] / e.count},
                            {"interval_score_80", 100 * e.interval / e.count},
                            {"forecasts", e.count}});
  }
  return out;
}

/// "Average prediction error for FAMILY/METHOD.log for these iterations [1, 5, 10] are [a, b, c]", as SLAQ's authors printed it.
json authors_of(const std::string& path) {
  json out = json::array();
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const auto from = line.find("for "), slash = line.find('/'), log = line.find(".log"), open = line.rfind('[');
    if (slash == std::string::npos || log == std::string::npos || open == std::string::npos || from == std::string::npos) continue;
    std::stringstream numbers(line.substr(open + 1));
    json errors = json::array();
    double x = 0;
    for (char comma = 0; numbers >> x; numbers >> comma) errors.push_back(x);
    out.push_back({{"family", line.substr(from + 4, slash - from - 4)}, {"method", line.substr(slash + 1, log - slash - 1)}, {"relative_1_5_10", errors}});
  }
  return out;
}

void print_table(const json& result) {
  fmt::print("{:26} {:5} {:9} {:>6} {:>7} {:>7} {:>7}  {:>15} {:>15} {:>15}  {:>6} {:>6}\n", "family", "noise", "predictor", "1", "5", "10", "50",
             "1 in 50/80/90", "10 in 50/80/90", "50 in 50/80/90", "us", "bytes");
  for (const json& r : result["results"]) {
    std::map<int, json> at;
    for (const json& a : r["ahead"]) at[a["reports"]] = a;
    const auto percent = [&](int h) { return at.contains(h) ? fmt::format("{:.3f}", at[h]["percent_of_range"].get<double>()) : "-"; };
    const auto inside = [&](int h) {
      return at.contains(h) ? fmt::format("{:.2f} {:.2f} {:.2f}", at[h]["in_50"].get<double>(), at[h]["in_80"].get<double>(), at[h]["in_90"].get<double>())
                            : "-";
    };
    fmt::print("{:26} {:5} {:9} {:>6} {:>7} {:>7} {:>7}  {:>15} {:>15} {:>15}  {:6.1f} {:6}\n", r["family"].get<std::string>(), r["noise"].get<double>(),
               r["predictor"].get<std::string>(), percent(1), percent(5), percent(10), percent(50), inside(1), inside(10), inside(50),
               r["us_per_report"].get<double>(), r["bytes_per_job"].get<double>());
  }
  for (const json& a : result["authors"])
    fmt::print("authors: {:18} {:28} relative error 1, 5, 10 ahead: {}\n", a["family"].get<std::string>(), a["method"].get<std::string>(),
               a["relative_1_5_10"].dump());
}

int run(const Options& options) {
  std::vector<LossSeries> all;
  if (!options.no_made) all = made_series(options.seed, options.made);
  if (!options.curves.empty()) {
    auto read = read_series(options.curves);
    if (!read) {
      fmt::print(stderr, "error: {}\n", read.error().what);
      return read.error().code == Errc::kNotFound ? 2 : 3;
    }
    std::map<std::string, std::size_t> taken;
    for (LossSeries& s : *read)
      if (taken[s.family]++ < options.of_family) all.push_back(std::move(s));
  }
  const manager::PredictorRegistry registry = manager::builtin_predictors();
  json result = {{"version", 1},
                 {"seed", options.seed},
                 {"from", options.from},
                 {"results", json::array()},
                 {"authors", options.authors.empty() ? json::array() : authors_of(options.authors)}};
  std::vector<std::string> families;
  for (const LossSeries& s : all)
    if (std::find(families.begin(), families.end(), s.family) == families.end()) families.push_back(s.family);
  for (const std::string& family : families)
    for (const double noise : options.noises)
      for (const std::string& name : options.predictors) {
        const auto make = registry.find(name);
        if (!make) {
          fmt::print(stderr, "error: {}\n", make.error().what);
          return 2;
        }
        Score total;
        for (std::size_t i = 0; i < all.size(); ++i) {
          if (all[i].family != family) continue;
          const Score s = judge(*(**make)(), all[i], noise, options.seed * 1000 + i, options);
          for (std::size_t h = 0; h < kHorizons.size(); ++h) total.at[h].add(s.at[h]);
          total.microseconds += s.microseconds, total.reports += s.reports, total.bytes = std::max(total.bytes, s.bytes), total.curves += 1;
        }
        result["results"].push_back(to_json(total, name, family, noise));
      }
  if (options.table)
    print_table(result);
  else
    fmt::print("{}\n", result.dump(1));
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Options options;
  CLI::App app{"How well predictors foretell loss curves. Without --curves: curves made from formulas."};
  app.add_option("--curves", options.curves, "files of curves, or folders of them, on top of the made ones");
  app.add_option("--authors", options.authors, "the errors that SLAQ's authors published, to be shown beside");
  app.add_option("--predictors", options.predictors)->delimiter(',');
  app.add_option("--noise", options.noises, "of reports, as shares of a curve's range")->delimiter(',');
  app.add_option("--seed", options.seed);
  app.add_option("--made", options.made, "made curves of each family");
  app.add_option("--from", options.from, "reports before the first forecast counts")->check(CLI::Range(2, 1000));
  app.add_option("--of-family", options.of_family, "at most so many curves out of files of one family");
  app.add_flag("--no-made", options.no_made, "only the curves of --curves");
  app.add_flag("--undeclared", options.undeclared, "predictors are not told the number of steps");
  app.add_flag("--table", options.table, "a table instead of JSON");
  CLI11_PARSE(app, argc, argv);
  return sluice::bench::run(options);
}
