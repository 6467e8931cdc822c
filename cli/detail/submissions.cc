#include "cli/detail/submissions.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace sluice::cli::detail {

Submissions::Submissions(std::vector<JobPlan> jobs, ManagerClient& manager, Clock& clock, Duration deadline)
    : jobs_(std::move(jobs)), manager_(manager), clock_(clock), deadline_(deadline), answer_({{"version", 1}, {"jobs", Json::array()}}) {
  std::stable_sort(jobs_.begin(), jobs_.end(), [](const JobPlan& a, const JobPlan& b) { return a.submit_after < b.submit_after; });
}

Result<void> Submissions::send_due() {
  if (!begun_) begun_ = clock_.now();
  std::size_t end = sent_;
  Json due = Json::array();
  for (; end < jobs_.size() && *begun_ + jobs_[end].submit_after <= clock_.now(); ++end) due.push_back(Json::parse(proto::to_json(jobs_[end].spec)));
  if (due.empty()) return {};
  const auto submitted = manager_.call("submit", {{"jobs", std::move(due)}}, deadline_);
  if (!submitted && sent_ > 0) return fail(submitted.error().code, fmt::format("{} ({}, which go on)", submitted.error().what, words()));
  if (!submitted) return tl::unexpected(submitted.error());
  for (const auto& job : list(*submitted, "jobs")) answer_["jobs"].push_back(job);
  sent_ = end;
  return {};
}

Instant Submissions::next() const {
  if (left() == 0) return Instant{std::numeric_limits<std::int64_t>::max()};
  return begun_.value_or(clock_.now()) + jobs_[sent_].submit_after;
}

std::string Submissions::words() const {
  return fmt::format("submitted {} job{}{}", sent_, sent_ == 1 ? "" : "s", left() == 0 ? "" : fmt::format(" of {}", jobs_.size()));
}

}  // namespace sluice::cli::detail
