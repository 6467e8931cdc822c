#include "worker/plugin/runner.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>

#include "worker/plugin/fake_host.h"
#include "worker/plugin/library.h"
#include "worker/plugin/trial.h"

namespace sluice::worker::plugin {
namespace {

using fixtures::children;
using fixtures::comes_to_hold;
using fixtures::test_plugin;
using testing::HasSubstr;

const DataShape kShape{.rows = 64, .features = 11, .classes = 3};

proto::JobSpec job_of(const std::string& plugin, const std::string& params = "{}") {
  proto::JobSpec spec;
  spec.model = "model";
  spec.params = params;
  if (!plugin.empty()) spec.plugin = {.path = test_plugin(plugin), .digest = *file_digest(test_plugin(plugin))};
  return spec;
}

Wanted wanted() { return std::make_shared<std::atomic<bool>>(false); }

/// Processes of tests before may take a moment to end.
bool begins_without_children() {
  return comes_to_hold([] { return children().empty(); });
}

TEST(Runner, MakesBuiltInModelsInThisProcess) {
  ASSERT_TRUE(begins_without_children());
  Runner runner(wanted());
  proto::JobSpec spec = job_of("");
  spec.model = "softmax";
  EXPECT_TRUE(runner.make(builtin_models(), spec, kShape).has_value());
  EXPECT_TRUE(runner.warm());
  runner.refill();
  EXPECT_THAT(children(), testing::IsEmpty()) << "nobody wants a process";
  spec.model = "sofmax";
  EXPECT_THAT(runner.make(builtin_models(), spec, kShape).error().what, HasSubstr("unknown model 'sofmax'"));
}

/// From the first plug-in's job of any slot on, each slot has a process ready for its next one.
TEST(Runner, AProcessIsReadyAheadOnceOneWasWanted) {
  ASSERT_TRUE(begins_without_children());
  const Wanted shared = wanted();
  Runner runner(shared), other(shared);
  other.refill();
  auto first = runner.make(builtin_models(), job_of("bad"), kShape);
  ASSERT_TRUE(first.has_value()) << first.error().what;
  EXPECT_FALSE(runner.warm()) << "none was ready for the first";
  runner.refill();
  runner.refill();
  other.refill();
  EXPECT_EQ(children().size(), 3U) << "one at work, one ready for each slot";

  // It needs a while to get ready; one that is taken before that is not called warm.
  int pause_ms = 5;
  ASSERT_TRUE(comes_to_hold([&] {
    (void)::poll(nullptr, 0, pause_ms *= 2);
    const auto next = runner.make(builtin_models(), job_of("bad"), kShape);
    const bool warm = next.has_value() && runner.warm();
    runner.refill();
    return warm || pause_ms > 5000;
  }));
  EXPECT_LT(pause_ms, 5000) << "none was ever ready";
  EXPECT_TRUE((*first)->input_memory(3).size() == 3) << "the first job's process is its own";
}

TEST(Runner, AReadyProcessThatWasKilledIsReplaced) {
  Runner runner(wanted());
  ASSERT_TRUE(runner.make(builtin_models(), job_of("bad"), kShape).has_value());
  ASSERT_TRUE(comes_to_hold([] { return children().empty(); }));  // that model is gone, and its process
  runner.refill();
  ASSERT_EQ(children().size(), 1U);
  ::kill(children().front(), SIGKILL);
  ASSERT_TRUE(comes_to_hold([] { return children().empty(); }));
  const auto made = runner.make(builtin_models(), job_of("bad"), kShape);
  ASSERT_TRUE(made.has_value()) << made.error().what;
  EXPECT_FALSE(runner.warm());
}

TEST(Runner, AJobsLimitsAreItsProcesses) {
  Runner runner(wanted());
  auto spec = job_of("bad", R"({"what": "make-loop"})");
  spec.plugin.call_ms = 400;  // of making it too: four times that by the clock
  const auto made = runner.make(builtin_models(), spec, kShape);
  EXPECT_EQ(made.error().code, Errc::kJobFailed);
  EXPECT_THAT(made.error().what, HasSubstr("model 'model' failed: did not answer within 0.4 s"));
  spec.plugin.call_ms = 60'000;
  EXPECT_THROW((void)runner.make(builtin_models(), spec, kShape, [](Duration since) { return since > from_ms(50); }), CallInterrupted);
  EXPECT_TRUE(runner.make(builtin_models(), job_of("bad"), kShape).has_value()) << "the next job has a process of its own";
}

TEST(Runner, WhatIsWrongHasItsCodeAndWords) {
  Runner runner(wanted());
  EXPECT_EQ(runner.make(builtin_models(), job_of("bad", R"({"whta": 1})"), kShape).error().code, Errc::kBadConfig);
  const auto failed = runner.make(builtin_models(), job_of("bad", R"({"what": "make"})"), kShape);
  EXPECT_EQ(failed.error().code, Errc::kJobFailed);
  EXPECT_EQ(failed.error().what, "model 'model' failed: made to fail");
  auto changed = job_of("bad");
  changed.plugin.digest += 1;
  EXPECT_THAT(runner.make(builtin_models(), changed, kShape).error().what, HasSubstr("has changed since its job was submitted"));
  auto gone = job_of("bad");
  gone.plugin.path = test_plugin("nowhere");
  EXPECT_EQ(runner.make(builtin_models(), gone, kShape).error().code, Errc::kNotFound);
  EXPECT_EQ(runner.make(builtin_models(), job_of("odd-VERSION"), kShape).error().code, Errc::kBadConfig);
}

}  // namespace
}  // namespace sluice::worker::plugin
