#include "base/registry.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Registry, FindsWhatWasAddedAndAnswersTheUnknownWithTheKnown) {
  Registry<std::function<int()>> registry("model");
  registry.add("mlp", [] { return 1; });
  registry.add("softmax", [] { return 2; });
  registry.add("mlp", [] { return 3; });
  EXPECT_EQ((**registry.find("mlp"))(), 3) << "the later one counts";
  EXPECT_EQ(registry.names(), (std::vector<std::string>{"mlp", "softmax"}));
  const auto unknown = registry.find("sofmax");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::kBadConfig);
  EXPECT_EQ(unknown.error().what, "unknown model 'sofmax'; did you mean 'softmax'? known: mlp, softmax");
}

}  // namespace
}  // namespace sluice
