#include "cli/detail/ends_section.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "base/text.h"

namespace sluice::cli::detail {
namespace {
using config::MapReader;
using config::Node;
using config::Problems;

constexpr Duration kByMin = from_ms(1), kByMax = from_ms(366LL * 86'400'000);

bool has_held_out(const proto::JobSpec& job) { return job.data.format.empty() || !job.data.test.empty() || job.data.held_out.share > 0; }

void need_held_out(const proto::JobSpec& job, const std::string& who, const config::Mark& mark, Problems& problems) {
  if (has_held_out(job)) return;
  problems.add(mark, fmt::format("{}, and dataset '{}' has no held-out rows; give it 'test', or the job 'validation'", who, job.data.name));
}

/// A target's one key that is not `by`, or null after a mistake.
const Node::Entry* aim_of(const Node& node, Problems& problems) {
  const Node::Entry* aim = nullptr;
  int aims = 0;
  for (const auto& entry : node.entries) {
    if (entry.key == "by" || entry.value.kind == config::Kind::kNull) continue;
    aim = &entry;
    ++aims;
  }
  if (aims == 1) return aim;
  problems.add(node.mark, "'target' needs one of loss, validation_loss and a metric such as accuracy, and perhaps 'by', a time: target: {loss: 0.35, by: 60s}");
  return nullptr;
}

}  // namespace

std::optional<std::uint64_t> to_count_of(const std::string& text, const std::string& unit, std::uint64_t most) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view written(end, text.data() + text.size());
  if (error != std::errc() || count == 0 || count > most || (written != unit && written != unit + "s")) return std::nullopt;
  return count;
}

void read_stop(const Node& node, Problems& problems, proto::JobSpec& job) {
  MapReader reader(node, "stop", problems);
  const bool patient = reader.take("patience") != nullptr, converged = reader.take("converged") != nullptr;
  if (patient) {
    const std::string written = reader.text("patience");
    if (const auto epochs = to_count_of(written, "epoch", kEpochsMax)) {
      job.patience_epochs = static_cast<std::uint32_t>(*epochs);
    } else {
      problems.add(reader.mark("patience"),
                   fmt::format("'patience' under stop must be a number of epochs with its unit (3epochs), not '{}'", written.substr(0, 80)));
    }
    need_held_out(job, "stop: patience looks at the held-out loss", node.mark, problems);
  }
  if (converged) {
    const std::string written = reader.text("converged");
    job.stop_converged = written == "yes" || written == "true";
    if (!job.stop_converged && written != "no" && written != "false")
      problems.add(reader.mark("converged"), fmt::format("'converged' under stop must be yes or no, not '{}'", written.substr(0, 80)));
  }
  if (!patient && !converged && node.kind == config::Kind::kMap)
    problems.add(node.mark, "'stop' needs patience (stop: {patience: 3epochs}) or converged (stop: {converged: yes}), or both");
  reader.finish();
}

void read_target(const Node& node, const CheckMetric& check, Problems& problems, proto::JobSpec& job) {
  MapReader reader(node, "target", problems);
  if (node.kind != config::Kind::kMap) return;
  proto::TargetSpec target;
  target.by_seconds = reader.duration("by", {}, kByMin, kByMax).seconds();
  const Node::Entry* aim = aim_of(node, problems);
  if (aim == nullptr) return;
  const auto& [key, key_mark, value] = *aim;
  target.of = key;
  const auto number = config::to_number(value);
  if (!number) return problems.add(value.mark, fmt::format("'{}' under target must be a number, not {}", key.substr(0, 80), config::describe(value)));
  target.value = *number;
  if (key != "loss") need_held_out(job, fmt::format("target: '{}' is of held-out rows", key.substr(0, 80)), key_mark, problems);
  if (key != "loss" && key != "validation_loss") {
    if (const auto known = check(key); !known) return problems.add(key_mark, fmt::format("target: {} (or loss, validation_loss)", known.error().what));
    if (!job.validation.metric.empty() && job.validation.metric != key)
      return problems.add(key_mark,
                          fmt::format("the target is of '{}', and validation.metric is '{}': one of them must be the other", key, job.validation.metric));
    job.validation.metric = key;
  }
  job.target = target;
}

void read_group(MapReader& reader, const std::string& sweep, Problems& problems, proto::JobSpec& job) {
  const bool grouped = reader.take("group") != nullptr, aimed = reader.take("objective") != nullptr;
  if (grouped) {
    job.group = reader.text("group");
    if (!text::valid_name(job.group)) {
      problems.add(reader.mark("group"), fmt::format("'{}' is not a group's name: 1 to 64 of a-z 0-9 . _ -", job.group.substr(0, 80)));
      job.group.clear();
    }
  } else if (aimed) {
    job.group = sweep;
    if (sweep.empty())
      problems.add(reader.mark("objective"), "'objective' is about a group of jobs; give 'group' its name (a sweep's own name is the default)");
  }
  if (!aimed) return;
  const std::string objective = reader.text("objective");
  job.objective = objective == "best" && !job.group.empty() ? proto::Objective::kBest : proto::Objective::kEach;
  if (objective != "best" && objective != "each") problems.add(reader.mark("objective"), text::unknown_name("objective", objective, {"best", "each"}));
}

}  // namespace sluice::cli::detail
