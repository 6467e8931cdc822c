/// What a new manager knows of jobs (manager/remaining_prior_shipped.cc): learnt from recorded runs, by the same code that learns while it runs. Usage:
/// learn_prior FILE.yaml=OUT… > manager/remaining_prior_shipped.cc, OUT being the folder of a run of FILE.yaml; or --json, to look at it.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/run_file.h"
#include "manager/remaining_prior.h"

namespace sluice::bench {
namespace {

/// job,seconds,step,examples,loss,slots. A window's steps are those since the row before.
std::map<std::string, std::vector<LossPoint>> points_of(const std::string& path) {
  std::map<std::string, std::vector<LossPoint>> out;
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::stringstream cells(line);
    std::string job;
    std::getline(cells, job, ',');
    LossPoint p;
    char comma = 0;
    if (!(cells >> p.seconds >> comma >> p.step >> comma >> p.examples >> comma >> p.loss)) continue;
    auto& points = out[job];
    if (!points.empty() && p.step <= points.back().step) continue;
    p.weight = p.examples - (points.empty() ? 0 : std::min(p.examples, points.back().examples));
    points.push_back(p);
  }
  return out;
}

/// Numbers to four decimals: what is known of them, and no more.
void shorten(nlohmann::json& json) {
  if (json.is_number_float()) json = std::round(json.get<double>() * 1e4) / 1e4;
  if (json.is_structured())
    for (auto& inside : json) shorten(inside);
}

int run(const std::vector<std::string>& pairs, bool as_json) {
  manager::RemainingPrior prior;
  std::size_t jobs = 0;
  for (const std::string& pair : pairs) {
    const auto at = pair.find('=');
    const auto file =
        at == std::string::npos ? Result<cli::RunFile>(fail(Errc::kBadConfig, "FILE.yaml=OUT is wanted")) : cli::read_run_file(pair.substr(0, at));
    if (!file) {
      fmt::print(stderr, "error: {}: {}\n", pair, file.error().what);
      return 2;
    }
    const auto points = points_of(pair.substr(at + 1) + "/losses.csv");
    for (const auto& job : file->jobs)
      if (const auto found = points.find(job.name); found != points.end())
        jobs += prior.learn(job.model, found->second, static_cast<double>(found->second.back().step)) ? 1 : 0;
  }
  fmt::print(stderr, "{} jobs learnt from\n", jobs);
  nlohmann::json json = prior.to_json();
  shorten(json);
  if (as_json) {
    fmt::print("{}\n", json.dump(1));
    return 0;
  }
  fmt::print(
      "/// Made by bench/learn_prior out of recorded runs (docs/manager.md has the command): {} jobs. Not to be edited.\n#include "
      "<nlohmann/json.hpp>\n\n#include \"base/assert.h\"\n#include "
      "\"manager/remaining_prior.h\"\n\nnamespace sluice::manager {{\n\nRemainingPrior RemainingPrior::shipped() {{\n  static const auto prior = "
      "from_json(nlohmann::json::parse(\n",
      jobs);
  const std::string text = json.dump();
  for (std::size_t from = 0; from < text.size(); from += 140) fmt::print("      R\"({})\"\n", text.substr(from, 140));
  fmt::print("      ));\n  SLUICE_ASSERT(prior);\n  return *prior;\n}}\n\n}}  // namespace sluice::manager\n");
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  std::vector<std::string> pairs;
  bool as_json = false;
  CLI::App app{"Learns from recorded runs how losses fall, by model."};
  app.add_option("runs", pairs, "FILE.yaml=OUT: a run file and the folder of its run")->required();
  app.add_flag("--json", as_json);
  CLI11_PARSE(app, argc, argv);
  return sluice::bench::run(pairs, as_json);
}
