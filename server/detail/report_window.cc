#include "server/detail/report_window.h"

#include <algorithm>
#include <cmath>

namespace sluice::server {

void ReportWindow::add(const proto::Commit& commit, std::uint64_t staleness, Instant now) {
  const double mean = commit.loss_sum / static_cast<double>(commit.examples);
  ++steps_;
  examples_ += commit.examples;
  staleness_ += staleness;
  loss_sum_ += commit.loss_sum;
  loss_squares_ += commit.loss_squares;
  batch_means_ += mean;
  batch_mean_squares_ += mean * mean;
  if (first_ == Instant::never()) first_ = now;
  add_slot_seconds(commit.slot_seconds, now);
}

void ReportWindow::add_slot_seconds(double seconds, Instant now) {
  slot_seconds_ += seconds;
  last_ = now;
  touch(false);
}

void ReportWindow::touch(bool at_once) {
  changed_ = true;
  urgent_ = urgent_ || at_once;
}

void ReportWindow::fill(proto::JobReport& report) const {
  report.seconds = seconds();
  report.window_steps = steps_;
  report.window_examples = examples_;
  report.loss_sum = loss_sum_;
  report.loss_squares = loss_squares_;
  report.slot_seconds = slot_seconds_;
  report.staleness_mean = steps_ == 0 ? 0 : static_cast<double>(staleness_) / static_cast<double>(steps_);
}

LossPoint ReportWindow::point(std::uint64_t step, std::uint64_t examples) const {
  const double n = static_cast<double>(steps_);
  const double mean = batch_means_ / n;
  const double variance = std::max(0.0, batch_mean_squares_ / n - mean * mean);  // rounding can make it slightly negative
  return {step, examples, seconds(), loss_sum_ / static_cast<double>(examples_), std::sqrt(variance), examples_};
}

void ReportWindow::close() {
  changed_ = urgent_ = false;
  steps_ = examples_ = staleness_ = 0;
  loss_sum_ = loss_squares_ = batch_means_ = batch_mean_squares_ = 0;
}

}  // namespace sluice::server
