/// What is stored of a job, and jobs of an earlier manager.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "manager/job_table.h"

namespace sluice::manager {
namespace {

constexpr double kAgeMost = 1e8;  ///< seconds: more is a wrong clock

void restore_scores(Job& job, const nlohmann::json& record) {
  job.step = record.value("step", std::uint64_t{0});
  job.examples = record.value("examples", std::uint64_t{0});
  job.examples_total = record.value("examples_total", std::uint64_t{0});
  job.slot_seconds = record.value("slot_seconds", 0.0);
  job.reports = record.value("reports", std::uint64_t{0});
  job.first_loss = record.value("first_loss", 0.0);
  job.loss = record.value("loss", 0.0);
  job.best_loss = record.value("best_loss", 0.0);
  job.moves_in = record.value("moves_in", std::uint64_t{0});
  job.evaluated = record.value("evaluated", std::uint64_t{0});
  job.evaluated_at_step = record.value("evaluated_at_step", std::uint64_t{0});
  job.validation_loss = record.value("validation_loss", 0.0);
  job.metric = record.value("metric", 0.0);
  job.metric_name = record.value("metric_name", "");
}

Outcome stored_outcome(const nlohmann::json& record) {
  Outcome out{record.value("final_loss", record.value("loss", 0.0)),
              record.value("best_level", record.value("best_loss", 0.0)),
              record.value("loss_seconds", record.value("ended_seconds", 0.0)),
              {}};
  if (const double to_90 = record.value("seconds_to_90", -1.0); to_90 >= 0) out.seconds_to_90 = to_90;
  return out;
}

}  // namespace

std::string JobTable::stored(const Job& job, StoredAt at) {
  nlohmann::json record = {{"version", 1},
                           {"id", job.id.value},
                           {"spec", job.spec_json},
                           {"weight", job.spec.weight},
                           {"slots_min", job.spec.slots_min},
                           {"slots_max", job.spec.slots_max},
                           {"generation", job.generation},
                           {"state", name_of(job.state)},
                           {"code", name_of(job.code)},
                           {"reason", job.reason},
                           {"age_seconds", (at.now - job.submitted).seconds()},
                           {"wall_ms", at.wall_ms},
                           {"ended_seconds", job.ended_seconds.value_or(-1)},
                           {"step", job.step},
                           {"examples", job.examples},
                           {"examples_total", job.examples_total},
                           {"slot_seconds", job.slot_seconds},
                           {"reports", job.reports},
                           {"first_loss", job.first_loss},
                           {"loss", job.loss},
                           {"best_loss", job.best_loss},
                           {"moves_in", job.moves_in},
                           {"evaluated", job.evaluated},
                           {"evaluated_at_step", job.evaluated_at_step},
                           {"validation_loss", job.validation_loss},
                           {"metric", job.metric},
                           {"metric_name", job.metric_name}};
  if (job.ended()) {
    const Outcome came = job.outcome(at.now);
    record["final_loss"] = came.final_loss, record["best_level"] = came.best_loss, record["loss_seconds"] = came.loss_seconds;
    record["seconds_to_90"] = came.seconds_to_90.value_or(-1);
  }
  return record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<void> JobTable::restore(const std::string& record, StoredAt at) {
  try {
    return restore_json(nlohmann::json::parse(record), at);
  } catch (const nlohmann::json::exception& e) { return sluice::fail(Error{Errc::kIo, fmt::format("a stored job is damaged: {}", e.what())}); }
}

Result<void> JobTable::restore_json(const nlohmann::json& json, StoredAt at) {
  if (!json.is_object() || json.value("version", 0) != 1) return sluice::fail(Error{Errc::kIo, "a stored job is not a record of this version"});
  auto spec = proto::job_spec_from_older_json(json.value("spec", ""));  // an older build may have stored it
  if (!spec) return sluice::fail(Error{Errc::kIo, fmt::format("a stored job has a bad spec: {}", spec.error().what)});
  const JobId id{json.value("id", std::uint64_t{0})};
  Job& job = jobs_[id];
  job.id = id;
  by_id_[id] = &job;
  job.spec = std::move(*spec);
  job.spec_json = proto::to_json(job.spec);
  job.spec.weight = json.value("weight", job.spec.weight);
  job.spec.slots_min = json.value("slots_min", job.spec.slots_min);
  job.spec.slots_max = json.value("slots_max", job.spec.slots_max);
  job.generation = json.value("generation", 1U);
  // It was stored when it last changed, which of a job that trains is long ago: it has grown older since.
  const double since = static_cast<double>(at.wall_ms - json.value("wall_ms", at.wall_ms)) / 1000;
  job.submitted = Instant{at.now.ns - from_seconds(std::clamp(json.value("age_seconds", 0.0) + std::max(0.0, since), 0.0, kAgeMost)).ns};
  job.reason = json.value("reason", "");
  names_[job.spec.name] = id;
  if (!job.spec.group.empty()) ++groups_[job.spec.group].known;
  next_id_ = std::max(next_id_, id.value + 1);
  const std::string state = json.value("state", "waiting");
  if (state != "done" && state != "failed" && state != "cancelled") {
    if (state == "paused") job.state = JobState::kPaused;
    job.reason.clear();
    begin(job);
    return {};
  }
  job.state = state == "done" ? JobState::kDone : state == "failed" ? JobState::kFailed : JobState::kCancelled;
  for (const Errc code :
       {Errc::kBadConfig, Errc::kBadData, Errc::kCannotConnect, Errc::kDenied, Errc::kUnplaceable, Errc::kTimedOut, Errc::kInternal, Errc::kIo})
    if (json.value("code", "") == name_of(code)) job.code = code;
  job.ended_seconds = json.value("ended_seconds", 0.0);
  ended_.push_back(id);
  restore_scores(job, json);
  job.came_to_ = stored_outcome(json);
  if (!job.spec.group.empty() && job.reports > 0) improve_group(job), ended_in_group(job);
  return {};
}

}  // namespace sluice::manager
