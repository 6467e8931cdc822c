/// A checkpoint's cut at a job's home, and a home that goes on from one.
#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "server/job_home.h"

namespace sluice::server {
namespace {

std::optional<proto::SavedPiece> saved_piece(const Piece* piece) {
  if (piece == nullptr) return std::nullopt;
  return proto::SavedPiece{piece->epoch, piece->first_row, piece->rows, piece->offset};
}

std::string shape(const proto::TableSpec& table) {
  if (table.kind == proto::TableKind::kSparse) return fmt::format("sparse, {} rows of {} in {} buckets", table.rows, table.cols, table.buckets);
  return fmt::format("{} × {}", table.rows, table.cols);
}

/// Errors: kBadData naming the first difference, but for the seeds.
Result<void> same_model(const std::vector<proto::TableSpec>& there, const std::vector<proto::TableSpec>& here) {
  const auto other = [](const std::string& what) { return fail(Errc::kBadData, "the checkpoint is of another model: " + what); };
  for (std::size_t i = 0; i < std::min(there.size(), here.size()); ++i) {
    const auto &a = there[i], &b = here[i];
    if (a.name != b.name) return other(fmt::format("its table {} is '{}', the job's is '{}'", i, a.name, b.name));
    if (a.kind != b.kind || a.rows != b.rows || a.cols != b.cols || a.buckets != b.buckets)
      return other(fmt::format("table '{}' is {} there and {} here", a.name, shape(a), shape(b)));
    if (!(a.optimizer == b.optimizer))
      return other(fmt::format("table '{}' has optimizer {} there and {} here, or other numbers of it", a.name, a.optimizer.name, b.optimizer.name));
    if (!(a.init == b.init)) return other(fmt::format("table '{}' has other first values", a.name));
  }
  if (there.size() != here.size()) return other(fmt::format("it has {} tables, the job {}", there.size(), here.size()));
  return {};
}

}  // namespace

bool JobHome::at_phase(Incarnation client) const {
  const auto it = clients_.find(client);
  return it != clients_.end() && it->second.lease && std::holds_alternative<PhasePiece>(it->second.lease->work);
}

bool JobHome::waits(Incarnation client) const {
  SLUICE_ASSERT(closed_);
  if (at_phase(client)) return true;  // what it pushed is held; its commit would be applied by some shards before the cut, by others after it
  if (bsp_) return false;             // the gate does it, and nobody waits for an answer
  return held_.contains(client) || !clock_.has(client) || !clock_.may_have_begun(client);
}

bool JobHome::quiet() const {
  SLUICE_ASSERT(closed_);
  if (phases_.state == Phases::State::kApplying) return false;
  if (bsp_ && (bsp_->applying || !bsp_->committed.empty())) return false;
  return std::none_of(clients_.begin(), clients_.end(),
                      [&](const auto& client) { return clock_.has(client.first) && !held_.contains(client.first) && clock_.may_have_begun(client.first); });
}

proto::SavedHome JobHome::cut() const {
  SLUICE_ASSERT(quiet());
  proto::SavedHome out;
  out.data_hash = opened_.data_hash, out.train_rows = opened_.train_rows, out.test_rows = opened_.test_rows, out.chunk_rows = opened_.chunk_rows;
  out.step = step_, out.examples = examples_, out.redone = redone_, out.clock = clock_.minimum();
  out.seconds = window_.seconds(), out.slot_seconds = window_.slot_seconds();
  schedule_.save(out);
  for (const auto& place : places_) out.leases.push_back(saved_piece(place ? &*place : nullptr));  // restored, and nobody was here since
  if (places_.empty()) {
    for (const auto& [client, record] : clients_) {
      if (clock_.has(client)) out.leases.push_back(saved_piece(record.lease ? std::get_if<Piece>(&record.lease->work) : nullptr));
    }
  }
  out.phases = phases_.total, out.phases_done = phases_.done;  // an end that a slot is at begins anew: nothing of it is applied
  out.evaluating = evaluation_.running();
  out.epochs_evaluated = epochs_evaluated_, out.examples_at_evaluation = examples_at_evaluation_, out.step_at_evaluation = step_at_evaluation_;
  const EvaluationResult& scores = evaluation_.result();
  out.scores = {scores.examples, scores.loss, scores.metric, scores.metric_name, scores.step, scores.final_one};
  out.best_score = best_score_, out.best_epoch = best_epoch_, out.ended = ended_;
  out.curve.assign(curve_.points().begin(), curve_.points().end());
  if (window_.has_steps()) out.curve.push_back(window_.point(step_, examples_));
  return out;
}

void JobHome::reopen(Instant now) {
  closed_ = false;
  held_.clear();
  if (!bsp_) return;
  clock_.limit(bsp_->clock);
  settle(now);
}

Result<void> JobHome::resume(const ResumedHome& from) {
  const proto::SavedHome& was = from.home;
  if (was.data_hash != opened_.data_hash || was.train_rows != opened_.train_rows || was.test_rows != opened_.test_rows ||
      was.chunk_rows != opened_.chunk_rows) {
    return fail(Errc::kBadData,
                fmt::format("the data differs from what the checkpoint was trained on: {} + {} rows in chunks of {}, content {:016x}; there {} + {} "
                            "rows in chunks of {}, {:016x}",
                            opened_.train_rows, opened_.test_rows, opened_.chunk_rows, opened_.data_hash, was.train_rows, was.test_rows, was.chunk_rows,
                            was.data_hash));
  }
  if (auto ok = same_model(from.tables, opened_.tables); !ok) return ok;
  if (was.phases != phases_.total)
    return fail(Errc::kBadData, fmt::format("the checkpoint is of another model: it has {} phases, the job {}", was.phases, phases_.total));
  const bool ends = was.epochs_done == was.phases_done + 1 && was.open.empty();  // the pass is over, its end not applied
  if (phases_.any() && (was.phases_done > was.phases || (was.epochs_done != was.phases_done && !ends)))
    return fail(Errc::kBadData, fmt::format("its phases can't be: {} of {} are done after {} passes", was.phases_done, was.phases, was.epochs_done));
  if (auto ok = schedule_.restore(was); !ok) return ok;
  if (was.scores.examples != 0 && was.scores.examples != was.test_rows) return fail(Errc::kBadData, "its scores are of other rows than there are");
  for (std::size_t i = 0; i < from.tables.size(); ++i) opened_.tables[i].seed = from.tables[i].seed;  // of the rows that are not made yet
  phases_.done = phases_.before = was.phases_done;
  if (phases_.any()) schedule_.open_to(phases_.done + 1);
  step_ = was.step, examples_ = was.examples, redone_ = was.redone;
  for (const auto& lease : was.leases)
    places_.push_back(lease ? std::optional(Piece{lease->epoch, lease->first_row, lease->rows, lease->offset}) : std::nullopt);
  const bool any = std::any_of(places_.begin(), places_.end(), [](const auto& place) { return place.has_value(); });
  for (const auto& place : places_)
    if (place && !bsp_) schedule_.give_back(*place);
  if (!any || !bsp_) places_.clear();
  if (bsp_) bsp_->step = step_;
  epochs_evaluated_ = was.epochs_evaluated, examples_at_evaluation_ = std::min(was.examples_at_evaluation, was.examples);
  step_at_evaluation_ = std::min(was.step_at_evaluation, was.step);
  evaluation_.restore({was.scores.examples, was.scores.loss, was.scores.metric, was.scores.metric_name, was.scores.step, was.scores.final_one});
  best_score_ = was.best_score, best_epoch_ = std::min(was.best_epoch, was.epochs_evaluated), ended_ = was.ended;
  window_.restore(was.slot_seconds, was.seconds);
  for (const auto& point : was.curve) (void)curve_.add(point);
  if (was.evaluating && opened_.test_rows > 0) evaluation_.begin(step_, training_over());
  return {};
}

void JobHome::start() {
  started_ = true;
  if (training_over()) window_.touch(true);
}

bool JobHome::give_places(Instant now) {
  if (places_.empty()) return true;
  if (!gathered(now)) return false;
  const auto places = std::exchange(places_, {});
  auto place = places.begin();
  for (auto& [client, record] : clients_) {
    if (place == places.end()) break;
    if (!clock_.has(client)) continue;
    const auto& piece = *place++;
    if (!piece) continue;
    record.lease = Lease{next_lease_++, *piece};
    clock_.resume(client);
  }
  for (; place != places.end(); ++place)  // fewer slots than before
    if (*place) schedule_.give_back(**place);
  return true;
}

}  // namespace sluice::server
