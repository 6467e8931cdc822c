#include "cli/detail/orders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/detail/progress.h"
#include "cli/detail/summary.h"

namespace sluice::cli::detail {
namespace {
using testing::HasSubstr;
using testing::Not;

TEST(Orders, NumbersAreNumbersAndTheRestIsLeftToTheManager) {
  const auto got = values_from({"weight=0.5", "slots.min=3", "slots.max=x", "a=", "b=1=2", "c=inf", "d=-1", "e=1e3"});
  ASSERT_TRUE(got) << got.error().what;
  EXPECT_EQ(*got, (Json{{"weight", 0.5}, {"slots.min", 3}, {"slots.max", "x"}, {"a", ""}, {"b", "1=2"}, {"c", "inf"}, {"d", -1}, {"e", 1000.0}}));
}

TEST(Orders, EverythingThatIsNoSettingIsNamed) {
  const auto got = values_from({"weight", "=3", "slots.min=1", "slots.min=2"});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Errc::kBadConfig);
  EXPECT_THAT(got.error().what, HasSubstr("'weight' must be KEY=VALUE"));
  EXPECT_THAT(got.error().what, HasSubstr("'=3' must be"));
  EXPECT_THAT(got.error().what, HasSubstr("'slots.min' is given twice"));
}

TEST(Orders, ACancelledJobIsOverAndARunWithOneIsPartlyDone) {
  EXPECT_TRUE(is_over("cancelled"));
  EXPECT_FALSE(is_over("paused"));
  const auto ended = verdict({{"jobs", {{{"state", "done"}}, {{"state", "cancelled"}}}}});
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Errc::kPartlyDone);
  EXPECT_EQ(ended.error().what, "1 job was cancelled");
  EXPECT_EQ(verdict({{"jobs", {{{"state", "failed"}}, {{"state", "cancelled"}}}}}).error().code, Errc::kJobFailed) << "what failed says more";
}

TEST(Orders, LimitsAreShownWhereAJobHasThem) {
  EXPECT_EQ(limits_text({{"weight", 1}, {"slots_min", 0}, {"slots_max", 1024}}), "");
  EXPECT_EQ(limits_text({{"weight", 2.5}, {"slots_min", 1}, {"slots_max", 4}}), "weight 2.5, slots 1…4");
  EXPECT_EQ(limits_text({{"weight", 1}, {"slots_min", 1}, {"slots_max", 1024}}), "slots 1…");
  const Json plain = {{"job", "a"}, {"weight", 1}, {"slots_min", 0}, {"slots_max", 1024}}, heavy = {{"job", "b"}, {"weight", 3}};
  EXPECT_THAT(live_table({{"jobs", {plain}}}, 200, 10, false), Not(HasSubstr("LIMITS")));
  EXPECT_THAT(live_table({{"jobs", {plain, heavy}}}, 200, 10, false), HasSubstr("weight 3"));
}

}  // namespace
}  // namespace sluice::cli::detail
