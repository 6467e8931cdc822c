#include "cli/report/digest.h"

#include <algorithm>
#include <cmath>

#include "cli/detail/client.h"
#include "cli/detail/table.h"
#include "cli/report/rounded.h"

namespace sluice::cli::report {
namespace {
using detail::Json;
using detail::list;
using detail::number;
using detail::text;

constexpr std::size_t kChangesOfOneMax = 48;  // a decision over a whole cluster has thousands
constexpr std::size_t kRefusedMax = 4;
constexpr std::size_t kSentenceMax = 200;
constexpr std::size_t kLaterBytes = 250;  // what the lines that follow add for each change: its move and its outcome
constexpr int kDigits = 5;

/// A count or a number that JSON may hold as anything.
std::uint64_t whole(const Json& object, const char* key) {
  const double value = number(object, key);
  return std::isfinite(value) && value > 0 && value < 9e15 ? static_cast<std::uint64_t>(value) : 0;
}

Json short_number(const Json& object, const char* key) { return rounded(number(object, key), kDigits); }

/// Parsed without `view`, which is most of the line and of use only where the first submission is looked for.
Json parse(const std::string& line, bool with_view) {
  const Json::parser_callback_t filter = [](int depth, Json::parse_event_t event, Json& key) {
    return !(event == Json::parse_event_t::key && depth == 1 && key == "view");
  };
  return with_view ? Json::parse(line, nullptr, /*allow_exceptions=*/false) : Json::parse(line, filter, /*allow_exceptions=*/false);
}

/// How long the job that waited longest had waited when this was decided, in ms. Older lines say how long, newer ones since when.
double longest_wait_ms(const Json& round) {
  double ns = 0;
  const auto view = round.find("view");
  if (view == round.end() || !view->is_object()) return 0;
  const auto jobs = view->find("jobs");
  if (jobs == view->end() || !jobs->is_object()) return 0;
  for (const auto& job : *jobs) {
    if (!job.is_object()) continue;
    ns = std::max(ns, job.contains("waits_since_ns") ? number(*view, "now_ns") - number(job, "waits_since_ns") : number(job, "waited_ns"));
  }
  return ns / 1e6;
}
}  // namespace

void DigestReader::add(const std::string& line) {
  ++line_;
  const Json parsed = parse(line, /*with_view=*/!begun_);
  if (!parsed.is_object()) {
    if (line.empty()) return;
    if (out_.bad_lines++ == 0) out_.bad_line_first = line_;
    return;
  }
  const std::string kind = text(parsed, "kind");
  if (kind == "round") add_round(parsed);
  if (kind == "moved") add_moved(parsed);
  if (kind == "outcome") add_outcome(parsed);
}

Digest DigestReader::take() {
  for (auto& [id, one] : kept_) out_.decisions.push_back(std::move(one.entry));
  kept_.clear();
  return std::move(out_);
}

std::uint32_t DigestReader::place(const std::string& job) {
  const auto [it, is_new] = places_.try_emplace(job, static_cast<std::uint32_t>(out_.jobs.size()));
  if (is_new) out_.jobs.push_back(job);
  return it->second;
}

double DigestReader::seconds_of(const Json& round) {
  double ms = number(round, "time_ms");
  if (!std::isfinite(ms)) ms = 0;
  if (!begun_) {
    zero_ms_ = ms - longest_wait_ms(round);
    begun_ = true;
    last_ms_ = ms;
  }
  if (ms + shift_ms_ < last_ms_) {  // time_ms counts from the manager's start: another one took over, at a time that is not in the file
    shift_ms_ = last_ms_ - ms;
    ++out_.restarts;
  }
  last_ms_ = ms + shift_ms_;
  return (last_ms_ - zero_ms_) / 1000;
}

void DigestReader::add_round(const Json& round) {
  const double seconds = seconds_of(round);
  out_.end_seconds = seconds;
  out_.slots_max = std::max(out_.slots_max, static_cast<std::uint32_t>(std::min<std::uint64_t>(whole(round, "slots"), 1u << 30)));
  follow_slots(round, seconds);
  if (out_.decisions_total++ % stride_ == 0) keep(entry_of(round, seconds));
}

void DigestReader::follow_slots(const Json& round, double seconds) {
  for (const auto& move : list(round, "moves")) {
    if (!move.is_object()) continue;
    const std::string job = text(move, "to");  // null: idle
    const std::uint32_t to = job.empty() ? kIdle : place(job);
    const auto owner = owners_.try_emplace({text(move, "worker"), static_cast<std::int64_t>(whole(move, "slot"))}, kIdle).first;
    if (owner->second != to) out_.slots.push_back({seconds, owner->second, to});
    owner->second = to;
  }
}

Json DigestReader::entry_of(const Json& round, double seconds) {
  Json changes = Json::array();
  for (const auto& change : list(round, "changes")) {
    if (!change.is_object() || changes.size() >= kChangesOfOneMax) continue;
    Json refused = Json::array();
    for (const auto& other : list(change, "refused")) {
      if (other.is_object() && refused.size() < kRefusedMax)
        refused.push_back({{"job", place(text(other, "job"))}, {"reason", detail::cut(text(other, "reason"), 40)}, {"index", short_number(other, "index")}});
    }
    changes.push_back({{"job", place(text(change, "job"))},
                       {"before", whole(change, "before")},
                       {"after", whole(change, "after")},
                       {"reason", detail::cut(text(change, "reason", "?"), 40)},
                       {"sentence", detail::cut(text(change, "sentence"), kSentenceMax)},
                       {"loss", short_number(change, "loss")},
                       {"remaining", short_number(change, "normalized_loss")},
                       {"with", short_number(change, "drop_with")},
                       {"without", short_number(change, "drop_without")},
                       {"refused", std::move(refused)}});
  }
  Json refused = Json::array();
  for (const auto& other : list(round, "refused")) {
    if (other.is_object() && refused.size() < kRefusedMax)
      refused.push_back({{"job", place(text(other, "job"))},
                         {"reason", detail::cut(text(other, "reason"), 40)},
                         {"sentence", detail::cut(text(other, "sentence"), kSentenceMax)}});
  }
  return {{"id", whole(round, "decision")},
          {"t", std::round(seconds * 1000) / 1000},
          {"trigger", detail::cut(text(round, "trigger", "?"), 40)},
          {"changes_total", list(round, "changes").size()},
          {"changes", std::move(changes)},
          {"refused_total", list(round, "refused").size()},
          {"refused", std::move(refused)}};
}

void DigestReader::keep(Json entry) {
  const std::size_t bytes = entry.dump(-1, ' ', false, Json::error_handler_t::replace).size() + kLaterBytes * entry["changes"].size();
  const auto [it, is_new] = kept_.try_emplace(entry["id"].get<std::uint64_t>());
  if (!is_new) return;  // a number that comes twice is no decision of ours
  it->second = {out_.decisions_total - 1, bytes, std::move(entry)};
  kept_bytes_ += bytes;
  while (kept_bytes_ > bytes_max_ && kept_.size() > 1) {
    stride_ *= 2;
    std::erase_if(kept_, [&](const auto& one) {
      if (one.second.ordinal % stride_ == 0) return false;
      kept_bytes_ -= one.second.bytes;
      return true;
    });
  }
}

DigestReader::Kept* DigestReader::kept(const Json& line) {
  const auto it = kept_.find(whole(line, "decision"));
  return it == kept_.end() ? nullptr : &it->second;
}

void DigestReader::add_moved(const Json& moved) {
  const std::uint32_t job = place(text(moved, "to"));
  ++out_.moved_total;
  ++out_.moved_by_job[job];
  Kept* decision = kept(moved);
  if (decision == nullptr || decision->entry["moved"].size() >= kChangesOfOneMax) return;
  decision->entry["moved"].push_back({{"job", job},
                                      {"worker", detail::cut(text(moved, "worker"), 40)},
                                      {"slot", whole(moved, "slot")},
                                      {"total_ms", short_number(moved, "total_ms")},
                                      {"stall_ms", short_number(moved, "stall_ms")},
                                      {"wait_ms", short_number(moved, "batch_wait_ms")},
                                      {"cold", moved.contains("cold") && moved["cold"] == true}});
}

void DigestReader::add_outcome(const Json& line) {
  Kept* decision = kept(line);
  for (const auto& one : list(line, "jobs")) {
    if (!one.is_object()) continue;
    const Outcome outcome{whole(line, "decision"), place(text(one, "job")), number(one, "predicted_drop"), number(one, "actual_drop")};
    if (!std::isfinite(outcome.predicted) || !std::isfinite(outcome.actual)) continue;
    out_.outcomes.push_back(outcome);
    if (decision == nullptr || decision->entry["outcomes"].size() >= kChangesOfOneMax) continue;
    decision->entry["outcomes"].push_back({{"job", outcome.job},
                                           {"predicted", rounded(outcome.predicted, kDigits)},
                                           {"actual", rounded(outcome.actual, kDigits)},
                                           {"steps", whole(one, "steps")}});
  }
}

}  // namespace sluice::cli::report
