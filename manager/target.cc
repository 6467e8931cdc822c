#include "manager/target.h"

#include <fmt/format.h>

#include <algorithm>

#include "manager/detail/json_number.h"

namespace sluice::manager {
namespace {

/// Steps a second that it can count on: with what it is entitled to, which may be a part of a slot; with what it has where nothing was decided yet.
double expected_rate(const Job& job, double share) {
  const double slots = share > 0 ? share : job.slots;
  const SpeedUp s = job.rates.speed_up();
  return s.alone > 0 ? s.rate(slots) : job.steps_per_slot_second * slots;
}

void foretell(const Job& job, double share, Instant now, TargetView& out) {
  const double left = job.steps_max() - static_cast<double>(job.step), rate = expected_rate(job, share), age = job.seconds_since_submission(now);
  if (!out.by_seconds && left > 0 && rate > 0) out.by_seconds = age + left / rate;
  const proto::TargetSpec& target = *job.spec.target;
  const bool of_loss = target.of == "loss";
  const Predictor* predictor = of_loss ? job.predictor.get() : job.score_predictor.get();
  if (predictor == nullptr || !predictor->ready() || !out.by_seconds) return;
  double steps = std::max(0.0, *out.by_seconds - age) * rate;
  if (left >= 0 && job.steps_max() > 0) steps = std::min(steps, left);
  // It counts from the newest report or scoring that it has heard.
  steps += of_loss ? job.unheard_steps() : static_cast<double>(job.step - std::min(job.step, job.evaluated_at_step));
  out.probability = predictor->after(steps).probability_below(proto::metric_rises(target.of) ? -target.value : target.value);
}

std::string words(const proto::TargetSpec& target, const TargetView& v) {
  const std::string what = proto::to_text(target);
  if (v.reached) return what + ": reached";
  const std::string by = v.by_seconds ? fmt::format(" by {:.0f} s", *v.by_seconds) : "";
  if (!v.probability) return fmt::format("{}{}: not reached", what, by);
  return fmt::format("{}: reached{} with probability {:.2f}", what, by, *v.probability);
}

}  // namespace

TargetView target_view(const Job& job, double share, Instant now) {
  const proto::TargetSpec& target = *job.spec.target;
  TargetView out;
  if (target.of == "loss" && job.reports > 0) out.now = job.loss;
  if (target.of == "validation_loss" && job.evaluated > 0) out.now = job.validation_loss;
  if (target.of == job.metric_name && job.evaluated > 0) out.now = job.metric;
  out.reached = out.now && proto::reached(target, *out.now);
  if (target.by_seconds > 0) out.by_seconds = target.by_seconds;
  const bool late = out.by_seconds && job.seconds_since_submission(now) > *out.by_seconds;
  if (late)
    out.probability = 0;  // a live job that had reached it in time would have ended
  else if (out.reached || job.ended())
    out.probability = out.reached ? 1 : 0;
  else
    foretell(job, share, now, out);
  return out;
}

nlohmann::json target_json(const Job& job, double share, Instant now) {
  if (!job.spec.target) return nullptr;
  const TargetView v = target_view(job, share, now);
  return {{"of", job.spec.target->of},
          {"value", job.spec.target->value},
          {"by_seconds", number_or_null(v.by_seconds)},
          {"now", number_or_null(v.now)},
          {"reached", v.reached},
          {"probability", number_or_null(v.probability)},
          {"sentence", words(*job.spec.target, v)}};
}

}  // namespace sluice::manager
