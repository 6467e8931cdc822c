#include "manager/detail/in_parts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace sluice::manager {
namespace {

TEST(InParts, EachEntryIsInOnePart) {
  for (const std::size_t count : {0, 1, 63, 255, 256, 257, 1000, 100'000}) {
    std::vector<int> seen(count, 0);
    std::atomic<std::size_t> parts = 0;
    in_parts(count, 64, [&](std::size_t first, std::size_t end) {
      ++parts;
      for (std::size_t i = first; i < end; ++i) ++seen[i];
    });
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<std::ptrdiff_t>(count));
    if (count < 256) {
      EXPECT_EQ(parts, 1U) << count;
    } else {
      EXPECT_GE(parts, 2U) << count;
    }
  }
}

}  // namespace
}  // namespace sluice::manager
