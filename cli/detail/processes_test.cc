#include "cli/detail/processes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "cli/detail/children.h"

namespace sluice::cli::detail {
namespace {

TEST(Processes, AProcessIsItsPidItsStartAndTheHostsBoot) {
  const auto self = identify(::getpid());
  ASSERT_TRUE(self);
  EXPECT_TRUE(runs(*self));
  EXPECT_GT(self->start, 0U);
  for (const ProcessId& other : {ProcessId{self->pid, self->start + 1, self->boot}, ProcessId{self->pid, self->start, "another boot"},
                                 ProcessId{::getppid(), self->start + 1, self->boot}, ProcessId{}})
    EXPECT_FALSE(runs(other)) << other.pid;
  EXPECT_FALSE(identify(0));
  EXPECT_FALSE(identify(-1));
  EXPECT_FALSE(identify(1 << 30)) << "above every pid";
}

TEST(Processes, WhoeverHasAnArgumentIsFoundAndAnEndIsAnEnd) {
  // This test's own binary, asked to run nothing for long: a child that waits for its input would end at once, for that is /dev/null.
  const std::string mark = "--gtest_filter=Processes.DISABLED_Sleeper";
  Children children;
  const std::string log = (std::filesystem::temp_directory_path() / "sluice-processes-test.log").string();
  const auto pid = children.start("sleeper", {mark, "--gtest_also_run_disabled_tests"}, log, /*own_session=*/true);
  ASSERT_TRUE(pid) << pid.error().what;
  Signals signals;
  SystemClock clock;
  std::vector<ProcessId> found;
  for (int i = 0; i < 500 && found.empty(); ++i) {
    found = with_arguments({mark, "--gtest_also_run_disabled_tests"});
    (void)signals.wait(from_ms(10));
  }
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].pid, *pid);
  EXPECT_EQ(::getsid(*pid), *pid) << "a session of its own";
  EXPECT_TRUE(with_arguments({mark.substr(0, mark.size() - 1)}).empty()) << "whole arguments only";
  (void)end_all(found, signals, clock, from_ms(2000));
  EXPECT_FALSE(runs(found[0])) << "ended, though nobody has reaped it yet";
  EXPECT_TRUE(with_arguments({mark, "--gtest_also_run_disabled_tests"}).empty());
  std::filesystem::remove(log);
}

/// What the test above starts.
TEST(Processes, DISABLED_Sleeper) {
  Signals signals;
  for (int i = 0; i < 300 && signals.wait(from_ms(100)) != Event::kStop; ++i) {}
}

}  // namespace
}  // namespace sluice::cli::detail
