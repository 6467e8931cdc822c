#include "proto/saved_home.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "proto/detail/saved_json.h"

namespace sluice::proto {
namespace {
using nlohmann::json;

json piece_json(const SavedPiece& p) { return {p.epoch, p.first_row, p.rows, p.offset}; }

/// A number that is what it says: the library would cut fractions and wrap what is too large. Throws json::exception, std::out_of_range.
template <class T>
T whole(const json& from) {
  const auto value = from.is_number_unsigned() ? from.get<std::uint64_t>() : throw std::out_of_range("a whole number is wanted");
  if (value > std::numeric_limits<T>::max()) throw std::out_of_range("a number is too large");
  return static_cast<T>(value);
}
double finite(const json& from) {
  const double value = from.get<double>();
  if (!std::isfinite(value)) throw std::out_of_range("a number is not finite");
  return value;
}
const json& list(const json& from, std::size_t most) {
  if (!from.is_array() || from.size() > most) throw std::out_of_range("a list is too long, or none");
  return from;
}
SavedPiece piece_of(const json& from) {
  return {whole<std::uint32_t>(from.at(0)), whole<std::uint64_t>(from.at(1)), whole<std::uint32_t>(from.at(2)), whole<std::uint32_t>(from.at(3))};
}
LossPoint point_of(const json& from) {
  return {whole<std::uint64_t>(from.at(0)), whole<std::uint64_t>(from.at(1)), finite(from.at(2)), finite(from.at(3)), finite(from.at(4)),
          whole<std::uint64_t>(from.at(5))};
}

SavedHome home_of(const json& from) {
  SavedHome to;
  to.data_hash = whole<std::uint64_t>(from.at("data_hash")), to.train_rows = whole<std::uint64_t>(from.at("train_rows"));
  to.test_rows = whole<std::uint64_t>(from.at("test_rows")), to.chunk_rows = whole<std::uint32_t>(from.at("chunk_rows"));
  to.step = whole<std::uint64_t>(from.at("step")), to.examples = whole<std::uint64_t>(from.at("examples"));
  to.redone = whole<std::uint64_t>(from.at("redone")), to.clock = whole<std::uint64_t>(from.at("clock"));
  to.seconds = finite(from.at("seconds")), to.slot_seconds = finite(from.at("slot_seconds"));
  to.epochs_done = whole<std::uint32_t>(from.at("epochs_done"));
  for (const json& epoch : list(from.at("open"), kSavedEpochsMax))
    to.open.push_back({whole<std::uint64_t>(epoch.at("handed_out")), whole<std::uint64_t>(epoch.at("committed"))});
  for (const json& piece : list(from.at("returned"), kSavedPiecesMax)) to.returned.push_back(piece_of(piece));
  for (const json& lease : list(from.at("leases"), kSavedPiecesMax)) to.leases.push_back(lease.is_null() ? std::nullopt : std::optional(piece_of(lease)));
  to.phases = whole<std::uint32_t>(from.at("phases")), to.phases_done = whole<std::uint32_t>(from.at("phases_done"));
  to.evaluating = from.at("evaluating").get<bool>();
  to.epochs_evaluated = whole<std::uint32_t>(from.at("epochs_evaluated"));
  to.examples_at_evaluation = whole<std::uint64_t>(from.at("examples_at_evaluation"));
  to.step_at_evaluation = whole<std::uint64_t>(from.at("step_at_evaluation"));
  const json& scores = from.at("scores");
  to.scores = {
      whole<std::uint64_t>(scores.at("examples")), finite(scores.at("loss")),     finite(scores.at("metric")), scores.at("metric_name").get<std::string>(),
      whole<std::uint64_t>(scores.at("step")),     scores.at("final").get<bool>()};
  if (const json& best = from.at("best_score"); !best.is_null()) to.best_score = finite(best);
  to.best_epoch = whole<std::uint32_t>(from.at("best_epoch"));
  to.ended = from.at("ended").get<std::string>();
  for (const json& point : list(from.at("curve"), kSavedPointsMax)) to.curve.push_back(point_of(point));
  return to;
}

}  // namespace

std::string to_json(const SavedHome& home) {
  json open = json::array(), returned = json::array(), leases = json::array(), curve = json::array();
  for (const auto& epoch : home.open) open.push_back({{"handed_out", epoch.next}, {"committed", epoch.committed}});
  for (const auto& piece : home.returned) returned.push_back(piece_json(piece));
  for (const auto& lease : home.leases) leases.push_back(lease ? piece_json(*lease) : json());
  for (const auto& p : home.curve) curve.push_back({p.step, p.examples, p.seconds, p.loss, p.spread, p.weight});
  const json scores = {{"examples", home.scores.examples},       {"loss", home.scores.loss}, {"metric", home.scores.metric},
                       {"metric_name", home.scores.metric_name}, {"step", home.scores.step}, {"final", home.scores.final_one}};
  const json out = {{"data_hash", home.data_hash},
                    {"train_rows", home.train_rows},
                    {"test_rows", home.test_rows},
                    {"chunk_rows", home.chunk_rows},
                    {"step", home.step},
                    {"examples", home.examples},
                    {"redone", home.redone},
                    {"clock", home.clock},
                    {"seconds", home.seconds},
                    {"slot_seconds", home.slot_seconds},
                    {"epochs_done", home.epochs_done},
                    {"open", open},
                    {"returned", returned},
                    {"leases", leases},
                    {"phases", home.phases},
                    {"phases_done", home.phases_done},
                    {"evaluating", home.evaluating},
                    {"epochs_evaluated", home.epochs_evaluated},
                    {"examples_at_evaluation", home.examples_at_evaluation},
                    {"step_at_evaluation", home.step_at_evaluation},
                    {"scores", scores},
                    {"best_score", home.best_score ? json(*home.best_score) : json()},
                    {"best_epoch", home.best_epoch},
                    {"ended", home.ended},
                    {"curve", curve}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<SavedHome> saved_home_from_json(const std::string& text) {
  if (detail::too_deep(text, 8)) return fail(Errc::kBadData, "what its home knew is nested too deep");
  try {
    return home_of(json::parse(text));
  } catch (const json::exception& e) { return fail(Errc::kBadData, fmt::format("what its home knew: {}", e.what())); } catch (const std::out_of_range& e) {
    return fail(Errc::kBadData, fmt::format("what its home knew: {}", e.what()));
  }
}

}  // namespace sluice::proto
