#include "cli/report/study_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/report/rounded.h"
#include "cli/simulate.h"

namespace sluice::cli::report {
namespace {
using nlohmann::json;
using sim::Sample;

double shown(double value) { return rounded(value, 4); }

/// At most kStudyTimes means over equal parts of the time; the moves so far are the part's last.
json series_of(const std::vector<Sample>& samples) {
  json out;
  for (const char* key : {"t", "loss", "active", "price", "moves", "high", "middle", "low"}) out[key] = json::array();
  if (samples.empty()) return out;
  const double part = std::max(1e-9, samples.back().seconds / static_cast<double>(kStudyTimes));
  for (std::size_t i = 0; i < samples.size();) {
    const double until = (std::floor(samples[i].seconds / part) + 1) * part;
    Sample sum{};
    double active = 0, high = 0, middle = 0, low = 0, n = 0;
    const double from = samples[i].seconds;
    for (; i < samples.size() && (samples[i].seconds < until || n == 0); ++i, ++n) {
      const Sample& s = samples[i];
      sum.normalized_loss += s.normalized_loss, sum.price += s.price, sum.moves = s.moves;
      active += s.active, high += s.high, middle += s.middle, low += s.low;
    }
    out["t"].push_back(shown(from));
    out["loss"].push_back(shown(sum.normalized_loss / n));
    out["price"].push_back(shown(sum.price / n));
    out["moves"].push_back(sum.moves);
    for (const auto& [key, value] : {std::pair("active", active), std::pair("high", high), std::pair("middle", middle), std::pair("low", low)})
      out[key].push_back(shown(value / n));
  }
  return out;
}

/// Of sorted values at most kStudyShares, the first and the last among them.
json quantiles_of(const std::vector<double>& sorted) {
  json out = json::array();
  const std::size_t n = std::min(kStudyShares, sorted.size());
  for (std::size_t i = 0; i < n; ++i) out.push_back(shown(sorted[n == 1 ? 0 : i * (sorted.size() - 1) / (n - 1)]));
  return out;
}

/// What comes: of a path only what it ends in.
std::string arrivals_of(const sim::Scenario& s) {
  const std::size_t colon = s.arrivals.find(':'), slash = s.arrivals.find_last_not_of('/');
  const std::string kind = s.arrivals.substr(0, colon + 1), rest = s.arrivals.substr(colon + 1, slash - colon);
  return kind + rest.substr(rest.rfind('/') + 1);
}

json scenario_of(const sim::Scenario& s) {
  json out = {{"arrivals", arrivals_of(s)},
              {"speed-up", s.speedup.substr(0, s.speedup.find('/'))},
              {"round", fmt::format("{:g} s", s.round.seconds())},
              {"load", s.load > 0 ? fmt::format("{:g}", s.load) : "0.8, or a trace's own"},
              {"noise", fmt::format("{:g}", s.noise)},
              {"move cost", fmt::format("{:g} s", s.move_cost.seconds())},
              {"undeclared", fmt::format("{:g}", s.undeclared)},
              {"failing", fmt::format("{:g}", s.failing)},
              {"fairness", manager::to_text(s.fairness)},
              {"predictor", s.predictor}};
  if (s.arrivals.starts_with("run:"))
    for (const char* own : {"load", "failing"}) out.erase(own);
  if (s.groups > 0) out["groups"] = fmt::format("{}, objective {}", s.groups, s.best ? "best" : "each");
  if (s.host_fails.ns > 0) out["hosts"] = fmt::format("{}, one fails every {:g} s", s.hosts, s.host_fails.seconds());
  return out;
}

}  // namespace

json study_document(const sim::Study& study) {
  const sim::Scenario& scenario = study.scenario;
  json policies = json::array();
  for (const std::string& policy : scenario.policies) {
    json one = {{"name", policy}, {"means", means_of(study, policy)}, {"loss_seconds", json::array()}};
    const sim::Outcome* first = nullptr;
    for (const sim::Outcome& outcome : study.outcomes) {
      if (outcome.policy != policy) continue;
      if (first == nullptr) first = &outcome;
      one["loss_seconds"].push_back(shown(outcome.loss_seconds_per_job));
    }
    const sim::Outcome none;
    const sim::Outcome& seen = first != nullptr ? *first : none;
    one["series"] = series_of(seen.samples);
    one["to_90"] = quantiles_of(seen.to_90);
    one["completion"] = quantiles_of(seen.completion);
    one["prediction_errors"] = quantiles_of(seen.prediction_errors);
    policies.push_back(std::move(one));
  }
  return {{"version", 1},
          {"jobs", study.outcomes.empty() ? scenario.jobs : study.outcomes.front().jobs},
          {"slots", scenario.slots},
          {"curves", study.curves},
          {"seeds", scenario.seed_last - scenario.seed_first + 1},
          {"scenario", scenario_of(scenario)},
          {"measures", measure_names()},
          {"policies", std::move(policies)}};
}

}  // namespace sluice::cli::report
