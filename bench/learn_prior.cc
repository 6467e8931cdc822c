/// What a new manager knows of jobs (manager/remaining_prior_shipped.cc): learnt from recorded runs, by the same code that learns while it runs. Usage:
/// learn_prior OUT… > manager/remaining_prior_shipped.cc, OUT being a run's folder (run.json, summary.json, losses.csv); or --json, to look at it.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

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

nlohmann::json read_json(const std::string& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in, nullptr, false);
}

int run(const std::vector<std::string>& folders, bool as_json) {
  manager::RemainingPrior prior;
  std::size_t jobs = 0;
  for (const std::string& folder : folders) {
    const nlohmann::json asked = read_json(folder + "/run.json"), came = read_json(folder + "/summary.json");
    if (!asked.is_object() || !came.is_object() || !asked.contains("jobs") || !came.contains("jobs")) {
      fmt::print(stderr, "error: {}: no run.json and summary.json of a run\n", folder);
      return 3;
    }
    std::map<std::string, std::string> models;
    for (const auto& job : asked["jobs"]) models[job.value("name", "")] = job.value("model", "");
    const auto points = points_of(folder + "/losses.csv");
    for (const auto& job : came["jobs"]) {
      const auto found = points.find(job.value("job", ""));
      if (job.value("state", "") != "done" || found == points.end() || found->second.empty()) continue;
      jobs += prior.learn(models[found->first], found->second, static_cast<double>(found->second.back().step)) ? 1 : 0;
    }
  }
  fmt::print(stderr, "{} jobs learnt from\n", jobs);
  nlohmann::json json = prior.to_json();
  shorten(json);
  if (as_json) {
    fmt::print("{}\n", json.dump(1));
    return 0;
  }
  fmt::print(
      "/// Made by bench/learn_prior out of recorded runs (docs/predictors.md has the command): {} jobs. Not to be edited.\n#include "
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
  std::vector<std::string> folders;
  bool as_json = false;
  CLI::App app{"Learns from recorded runs how losses fall, by model."};
  app.add_option("runs", folders, "folders of runs")->required();
  app.add_flag("--json", as_json);
  CLI11_PARSE(app, argc, argv);
  return sluice::bench::run(folders, as_json);
}
