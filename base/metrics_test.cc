#include "base/metrics.h"

#include <gtest/gtest.h>

#include "base/executor.h"

namespace sluice {
namespace {

TEST(Metrics, ANameIsOneCounterAndReferencesStay) {
  Metrics all;
  Counter& first = all.counter("b");
  for (int i = 0; i < 100; ++i) all.counter("x" + std::to_string(i)).add(2);
  all.counter("b").add();
  first.add(2);
  const auto snapshot = all.snapshot();
  EXPECT_EQ(snapshot.size(), 101U);
  EXPECT_EQ(snapshot.front(), (std::pair<std::string, std::uint64_t>("b", 3)));
}

TEST(Metrics, ManyThreadsCountTogether) {
  Metrics all;
  {
    ThreadExecutor executor;
    for (int t = 0; t < 4; ++t) {
      executor.run("count", [&all] {
        for (int i = 0; i < 1000; ++i) all.counter("n").add();
      });
    }
    executor.join();
  }
  EXPECT_EQ(all.counter("n").value(), 4000U);
}

}  // namespace
}  // namespace sluice
