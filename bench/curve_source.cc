#include "bench/curve_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <sstream>

#include "base/rng.h"
#include "sim/table_file.h"

namespace sluice::bench {
namespace {

Result<void> add_text(const std::string& path, std::vector<LossSeries>& out) {
  const auto text = sim::read_whole(path);
  if (!text) return fail(text.error());
  LossSeries series{std::filesystem::path(path).stem().string(), path, {}, {}, 0};
  std::stringstream in(*text);
  std::size_t at = 0;
  for (std::string line; std::getline(in, line);) {
    if (++at; line.empty()) continue;
    const auto loss = sim::to_number(line);
    if (!loss) return fail(Errc::kBadData, fmt::format("{}:{}: not a finite number", path, at));
    series.steps.push_back(static_cast<double>(series.steps.size() + 1));
    series.losses.push_back(*loss);
  }
  out.push_back(std::move(series));
  return {};
}

/// More tolerant than a scenario's curves (sim/curve_files.h): a run's steps may be missing, and a step said twice counts once.
Result<void> add_table(const std::string& path, std::vector<LossSeries>& out) {
  const auto table = sim::read_table(path);
  if (!table) return fail(table.error());
  const auto either = [&](const char* one, const char* other) { return table->column(one) ? table->column(one) : table->column(other); };
  const auto run = either("run", "job"), loss = either("loss", "validation_loss"), step = table->column("step"), total = table->column("total_steps");
  if (!loss) return fail(Errc::kBadData, fmt::format("{}:1: no column loss or validation_loss", path));
  std::map<std::string, LossSeries> runs;
  for (std::size_t row = 0; row < table->rows.size(); ++row) {
    const auto value = table->number(row, *loss);
    if (!value) return fail(value.error());
    const std::string name = run ? table->rows[row][*run] : path;
    LossSeries& series = runs[name];
    series.name = name, series.family = name.substr(0, name.find('/'));
    const double next = static_cast<double>(series.steps.size() + 1), at = step ? table->number(row, *step).value_or(next) : next;
    if (total) series.total_steps = table->number(row, *total).value_or(series.total_steps);
    if (!series.steps.empty() && at <= series.steps.back()) continue;  // a second report of a step
    series.steps.push_back(at);
    series.losses.push_back(*value);
  }
  for (auto& [name, series] : runs) out.push_back(std::move(series));
  return {};
}

/// c + a/(1 + k/o)^p and what else falls.
struct MadeFamily {
  const char* name;
  bool declared;
  std::function<std::function<double(double)>(Rng&, double n)> make;
};

double between(Rng& rng, double low, double high) { return low + (high - low) * rng.uniform(); }
double log_between(Rng& rng, double low, double high) { return low * std::exp(std::log(high / low) * rng.uniform()); }

const MadeFamily kMade[] = {
    {"made-power", false,
     [](Rng& g, double n) {
       const double c = between(g, 0, 2), a = between(g, 1, 4), p = between(g, 0.25, 1.2), o = log_between(g, n / 200, n / 10);
       return [=](double k) { return c + a * std::pow(1 + k / o, -p); };
     }},
    {"made-exponential", false,
     [](Rng& g, double n) {
       const double c = between(g, 0, 2), a = between(g, 1, 4), t = log_between(g, n / 20, n / 2);
       return [=](double k) { return c + a * std::exp(-k / t); };
     }},
    {"made-two-exponentials", false,
     [](Rng& g, double n) {
       const double c = between(g, 0, 2), a = between(g, 1, 4), b = between(g, 0.2, 2), t = log_between(g, n / 60, n / 15), s = log_between(g, n / 5, n);
       return [=](double k) { return c + a * std::exp(-k / t) + b * std::exp(-k / s); };
     }},
    {"made-one-over-square", false,
     [](Rng& g, double n) {
       const double a = log_between(g, 1, 30) / (n * n), b = log_between(g, 3, 60) / n, c = between(g, 0.3, 1), d = between(g, 0, 2);
       return [=](double k) { return 1 / (a * k * k + b * k + c) + d; };
     }},
    {"made-step-schedule", false,
     [](Rng& g, double n) {
       const double c = between(g, 0.1, 1), a = between(g, 1, 3), t = n / between(g, 15, 40), one = between(g, 0.3, 0.5) * n, two = between(g, 0.6, 0.8) * n;
       const double drop = between(g, 0.2, 0.6);
       return [=](double k) {
         const double later = (k > one ? drop * (1 - std::exp(-(k - one) / t)) : 0) + (k > two ? 0.4 * drop * (1 - std::exp(-(k - two) / t)) : 0);
         return c + 1.4 * drop + a * std::exp(-k / t) - later;
       };
     }},
    {"made-cosine", true,
     [](Rng& g, double n) {
       const double c = between(g, 0.5, 2), a = between(g, 1, 4), p = between(g, 0.3, 0.8), o = n / between(g, 20, 100), d = between(g, 0.2, 0.6);
       return [=](double k) { return c + a * std::pow(1 + k / o, -p) + d * 0.5 * (1 + std::cos(M_PI * k / n)); };
     }},
    {"made-cool-down", true,
     [](Rng& g, double n) {
       const double c = between(g, 1, 3), a = between(g, 2, 6), p = between(g, 0.4, 0.9), o = n / between(g, 20, 100), d = between(g, 0.1, 0.5);
       const double from = between(g, 0.4, 0.8) * n;
       return [=](double k) { return c + d + a * std::pow(1 + k / o, -p) - (k > from ? d * std::pow((k - from) / (n - from), 1.2) : 0); };
     }},
    {"made-rising-again", false,
     [](Rng& g, double n) {
       const double c = between(g, 0.3, 1), a = between(g, 1, 3), t = n / between(g, 8, 20), slope = between(g, 0.1, 0.5) / n;
       return [=](double k) { return c + a * std::exp(-k / t) + slope * std::max(0.0, k - 0.3 * n); };
     }},
    {"made-diverging", false,
     [](Rng& g, double n) {
       const double c = between(g, 0.3, 1), a = between(g, 1, 3), t = n / between(g, 8, 20), from = between(g, 0.4, 0.7) * n;
       return [=](double k) { return c + a * std::exp(-k / t) + (k > from ? 3 * (std::exp(4 * (k - from) / n) - 1) : 0); };
     }},
};

}  // namespace

Result<std::vector<LossSeries>> read_series(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code bad;
    if (!std::filesystem::is_directory(path, bad)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> inside;
    for (const auto& entry : std::filesystem::directory_iterator(path, bad))
      if (const std::string name = entry.path().string(); name.ends_with(".txt") || name.ends_with(".csv") || name.ends_with(".csv.gz")) inside.push_back(name);
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  std::vector<LossSeries> out;
  for (const std::string& path : files) {
    if (auto added = path.ends_with(".txt") ? add_text(path, out) : add_table(path, out); !added) return fail(added.error());
  }
  std::erase_if(out, [](const LossSeries& s) { return s.losses.size() < 10; });
  return out;
}

std::vector<LossSeries> made_series(std::uint64_t seed, std::size_t of_each) {
  SeededRng rng(seed);
  std::vector<LossSeries> out;
  for (const MadeFamily& family : kMade)
    for (std::size_t i = 0; i < of_each; ++i) {
      const double points = std::floor(between(rng, 40, 200)), apart = std::floor(log_between(rng, 1, 200)), n = points * apart;
      const auto loss = family.make(rng, n);
      LossSeries series{family.name, fmt::format("{}/{}", family.name, i), {}, {}, family.declared ? n : 0};
      for (double k = apart; k <= n; k += apart) series.steps.push_back(k), series.losses.push_back(loss(k));
      out.push_back(std::move(series));
    }
  return out;
}

}  // namespace sluice::bench
