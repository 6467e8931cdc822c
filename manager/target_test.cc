#include "manager/target.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice::manager {
namespace {

/// A job with a target, of whose held-out rows a score is known after every 100 steps: 1 / (1 + n) after the n-th hundred, or 1 less that.
struct Scored {
  JobTable table{**builtin_predictors().find(kDefaultPredictor)};
  Instant now{1'000'000'000};
  JobId id;

  Scored(const std::string& of, double value) {
    proto::JobSpec spec;
    spec.name = "a";
    spec.model = "softmax";
    spec.batch = 10;
    spec.data = {.name = "data", .format = "libsvm", .train = {"/data/train"}, .test = {"/data/test"}};
    spec.target = proto::TargetSpec{of, value, 0};
    id = (*table.submit({spec}, now))[0];
  }
  void train(int hundreds) {
    for (int n = 1; n <= hundreds; ++n) {
      now = now + from_ms(1000);
      proto::JobReport r;
      r.job = id, r.generation = 1;
      r.step = static_cast<std::uint64_t>(n) * 100, r.examples = r.step * 10, r.examples_total = 40'000;
      r.window_steps = 100, r.window_examples = 1000;
      r.loss_sum = 1000 * (5 + 1.0 / n), r.loss_squares = r.loss_sum * r.loss_sum / 1000;
      r.seconds = n, r.slot_seconds = n;
      r.evaluated = scored_rows, r.evaluated_at_step = r.step;
      r.validation_loss = 1.0 / (1 + n), r.metric = 1 - r.validation_loss, r.metric_name = "accuracy";
      (void)table.report(r, now);
      (void)table.find(id)->predictor->refit();
    }
  }
  std::uint64_t scored_rows = 1000;
  [[nodiscard]] std::optional<double> probability() const { return target_view(*table.find(id), 1, now).probability; }
};

TEST(Target, OfHeldOutScoresIsForetoldFromThoseScores) {
  for (const auto& [of, easy, hard] : {std::tuple("validation_loss", 0.04, 0.001), std::tuple("accuracy", 0.96, 0.999)}) {
    Scored soon(of, easy), never(of, hard);
    for (Scored* job : {&soon, &never}) {
      job->train(1);
      EXPECT_FALSE(job->probability()) << of << ": one scoring says nothing";
      job->train(20);
      ASSERT_TRUE(job->probability()) << of;
    }
    EXPECT_GT(*soon.probability(), 0.5) << of << " will be 1/41 or 40/41 at the end, after 40 hundreds";
    EXPECT_LT(*never.probability(), 0.2) << of;
  }
}

TEST(Target, HowManyRowsWereScoredDoesNotMoveAScoringsStep) {
  Scored few("validation_loss", 0.03), many("validation_loss", 0.03);
  few.scored_rows = 10, many.scored_rows = 100'000;
  few.train(20), many.train(20);
  EXPECT_EQ(few.probability(), many.probability());
}

TEST(Target, OfAScoreThatIsNotMadeIsNotForetold) {
  Scored job("top-5", 0.9);
  job.train(20);
  EXPECT_FALSE(job.probability());
}

}  // namespace
}  // namespace sluice::manager
