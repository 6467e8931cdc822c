#include "cli/report/groups.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "cli/detail/client.h"
#include "cli/detail/summary.h"
#include "cli/detail/table.h"
#include "cli/report/rounded.h"
#include "manager/quality.h"

namespace sluice::cli::report {
namespace {
using detail::Json;

constexpr std::size_t kGroupNameMax = 80;

/// Whose each of a group's best levels is; empty: nobody's.
std::vector<std::string> leaders_of(const RunRecord& run, const std::vector<std::string>& names, const BestSoFar& best) {
  std::map<std::pair<double, double>, const std::string*> whose;  // by when and what
  for (const auto& name : names) {
    const auto& job = run.jobs.at(name);
    const double since = detail::number(job.summary, "submitted_seconds") - best.begun;
    for (const manager::Level& level : manager::levels_of(job.points))
      if (std::isfinite(level.loss)) whose.try_emplace({since + level.seconds, level.loss}, &name);
  }
  std::vector<std::string> out;
  for (const manager::Level& level : best.levels) {
    const auto found = whose.find({level.seconds, level.loss});
    out.push_back(found == whose.end() ? std::string() : *found->second);
  }
  return out;
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(rounded(value, 6)) : Json(nullptr); }

/// The points that are drawn: an even choice, with the first and the last.
void add_points(const BestSoFar& curve, const std::vector<std::string>& leaders, const std::function<std::uint32_t(const std::string&)>& place_of,
                std::size_t points_max, Json& out) {
  const double range = curve.first_loss - curve.best_loss;
  const std::size_t count = curve.levels.size(), step = std::max<std::size_t>(1, (count + points_max - 1) / points_max);
  Json t = Json::array(), q = Json::array(), leader = Json::array();
  for (std::size_t i = 0; i < count; ++i) {
    if (i % step != 0 && i + 1 != count) continue;
    const double left = range > 0 ? (curve.levels[i].loss - curve.best_loss) / range : 1;
    t.push_back(std::round((curve.begun + curve.levels[i].seconds) * 1000) / 1000);
    q.push_back(std::round(std::clamp(left, 0.0, 4.0) * 1e4) / 1e4);
    leader.push_back(leaders[i].empty() ? Json(nullptr) : Json(place_of(leaders[i])));
  }
  out["t"] = std::move(t), out["q"] = std::move(q), out["leader"] = std::move(leader);
}

}  // namespace

Json groups_of(const RunRecord& run, const std::function<std::uint32_t(const std::string&)>& place_of, const std::map<std::string, GroupComparison>& common,
               std::size_t points_max) {
  std::map<std::string, std::vector<std::string>> groups;
  for (const auto& spec : run.specs) {
    const std::string group = detail::text(spec, "group"), name = detail::text(spec, "name");
    if (!group.empty() && run.jobs.contains(name)) groups[group].push_back(name);
  }
  Json out = Json::array();
  for (const auto& [group, names] : groups) {
    BestSoFar curve = best_so_far(run, names);
    if (const auto of_all = common.find(group); of_all != common.end())
      curve.first_loss = of_all->second.first_loss, curve.best_loss = of_all->second.best_loss;
    const auto seconds_to = [&](double fraction) {
      return number_or_null(manager::seconds_to_fraction(curve.levels, curve.first_loss, curve.best_loss, fraction).value_or(NAN));
    };
    Json entry = {{"group", detail::cut(group, kGroupNameMax)},
                  {"members", names.size()},
                  {"first", number_or_null(curve.first_loss)},
                  {"best", number_or_null(curve.best_loss)},
                  {"seconds_to_90", seconds_to(0.9)},
                  {"seconds_to_95", seconds_to(0.95)},
                  {"loss_seconds", nullptr}};
    if (!curve.levels.empty())
      entry["loss_seconds"] = number_or_null(manager::loss_seconds(curve.levels, curve.first_loss, curve.best_loss, run.wall_seconds - curve.begun));
    add_points(curve, leaders_of(run, names, curve), place_of, std::max<std::size_t>(12, points_max), entry);
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace sluice::cli::report
