#include "cli/report/groups.h"

#include <algorithm>
#include <cmath>
#include <limits>
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
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A group in one run.
struct GroupCurve {
  std::vector<manager::Level> levels;  ///< seconds since the first member's submission
  std::vector<std::string> leaders;    ///< of each level
  double begun = kInfinity;            ///< seconds since the first job's submission
  double first = -kInfinity, best = kInfinity;
};

GroupCurve curve_of(const RunRecord& run, const std::vector<std::string>& names) {
  GroupCurve out;
  const auto submitted = [&](const std::string& name) { return detail::number(run.jobs.at(name).summary, "submitted_seconds"); };
  for (const auto& name : names) out.begun = std::min(out.begun, submitted(name));
  std::vector<manager::GroupMember> members;
  std::map<std::pair<double, double>, const std::string*> whose;  // by when and what
  for (const auto& name : names) {
    const auto& points = run.jobs.at(name).points;
    if (points.empty()) continue;
    members.push_back({submitted(name) - out.begun, points});
    out.first = std::max(out.first, points.front().loss);
    out.best = std::min(out.best, manager::best_level(points));
    for (const manager::Level& level : manager::levels_of(points))
      if (std::isfinite(level.loss)) whose.try_emplace({members.back().since + level.seconds, level.loss}, &name);
  }
  out.levels = manager::best_of(members);
  for (const manager::Level& level : out.levels) {
    const auto found = whose.find({level.seconds, level.loss});
    out.leaders.push_back(found == whose.end() ? std::string() : *found->second);
  }
  return out;
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(rounded(value, 6)) : Json(nullptr); }

/// The points that are drawn: an even choice, with the first and the last.
void add_points(const GroupCurve& curve, const std::function<std::uint32_t(const std::string&)>& place_of, std::size_t points_max, Json& out) {
  const double range = curve.first - curve.best;
  const std::size_t count = curve.levels.size(), step = std::max<std::size_t>(1, (count + points_max - 1) / points_max);
  Json t = Json::array(), q = Json::array(), leader = Json::array();
  for (std::size_t i = 0; i < count; ++i) {
    if (i % step != 0 && i + 1 != count) continue;
    const double left = range > 0 ? (curve.levels[i].loss - curve.best) / range : 1;
    t.push_back(std::round((curve.begun + curve.levels[i].seconds) * 1000) / 1000);
    q.push_back(std::round(std::clamp(left, 0.0, 4.0) * 1e4) / 1e4);
    leader.push_back(curve.leaders[i].empty() ? Json(nullptr) : Json(place_of(curve.leaders[i])));
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
    GroupCurve curve = curve_of(run, names);
    if (const auto of_all = common.find(group); of_all != common.end()) curve.first = of_all->second.first_loss, curve.best = of_all->second.best_loss;
    const auto seconds_to = [&](double fraction) {
      return number_or_null(manager::seconds_to_fraction(curve.levels, curve.first, curve.best, fraction).value_or(NAN));
    };
    Json entry = {{"group", detail::cut(group, kGroupNameMax)},
                  {"members", names.size()},
                  {"first", number_or_null(curve.first)},
                  {"best", number_or_null(curve.best)},
                  {"seconds_to_90", seconds_to(0.9)},
                  {"seconds_to_95", seconds_to(0.95)},
                  {"loss_seconds", nullptr}};
    if (!curve.levels.empty())
      entry["loss_seconds"] = number_or_null(manager::loss_seconds(curve.levels, curve.first, curve.best, run.wall_seconds - curve.begun));
    add_points(curve, place_of, std::max<std::size_t>(12, points_max), entry);
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace sluice::cli::report
