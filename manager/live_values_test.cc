#include "manager/live_values.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice::manager {
namespace {

using nlohmann::json;

TEST(LiveValues, WhatIsNotNamedStaysAndWhatIsNamedIsTaken) {
  const LiveValues now{2, 1, 4};
  EXPECT_EQ(with_changes(now, {{"weight", 0.5}}), (LiveValues{0.5, 1, 4}));
  EXPECT_EQ(with_changes(now, {{"slots.min", 0}}), (LiveValues{2, 0, 4}));
  EXPECT_EQ(with_changes(now, {{"slots.max", 1024}, {"slots.min", 5}, {"weight", 3}}), (LiveValues{3, 5, 1024}));
}

TEST(LiveValues, EveryMistakeIsNamedAndNothingIsTakenThen) {
  const auto words = [](const json& changes) {
    const auto got = with_changes({1, 1, 4}, changes);
    EXPECT_FALSE(got) << changes;
    return got ? std::string{} : got.error().what;
  };
  for (const json& bad : {json(0), json(-1), json("two"), json(nullptr), json::array()}) {
    EXPECT_NE(words({{"weight", bad}}).find("weight must be a number above 0"), std::string::npos);
    if (bad != json(0)) { EXPECT_NE(words({{"slots.min", bad}}).find("slots.min must be a whole number from 0 to 1024"), std::string::npos); }
    EXPECT_NE(words({{"slots.max", bad}}).find("slots.max must be a whole number from 1 to 1024"), std::string::npos);
  }
  EXPECT_NE(words({{"slots.max", 1.5}}).find("not 1.5"), std::string::npos);
  EXPECT_NE(words({{"slots.max", 1025}}).find("1024"), std::string::npos);
  EXPECT_NE(words({{"slots.min", 5}}).find("slots.min 5 would be above slots.max 4"), std::string::npos);
  EXPECT_NE(words({{"epochs", 3}}).find("'epochs' cannot be changed while a job lives; what can: slots.max, slots.min, weight"), std::string::npos);
  EXPECT_NE(words({{"wieght", 3}}).find("did you mean 'weight'?"), std::string::npos);
  const std::string both = words({{"batch", 3}, {"weight", -1}});
  EXPECT_NE(both.find("'batch'"), std::string::npos);
  EXPECT_NE(both.find("\nweight"), std::string::npos);
  EXPECT_NE(words(json::object()).find("nothing to change"), std::string::npos);
  EXPECT_NE(words(7).find("nothing to change"), std::string::npos);
}

}  // namespace
}  // namespace sluice::manager
