#include "manager/detail/few_digits.h"

#include <gtest/gtest.h>

namespace sluice::manager {
namespace {

TEST(FewDigits, NeverFallsWhereTheNumberRises) {
  for (int power = -60; power < 40; ++power)
    for (const double near : {std::ldexp(1.0, power), std::pow(10.0, power)}) {
      double before = 0;
      for (const double x :
           {near * (1 - 1e-5), near * (1 - 1e-7), std::nextafter(near, 0), near, std::nextafter(near, 2 * near), near * (1 + 1e-7), near * (1 + 1e-5)}) {
        EXPECT_GE(few_digits(x), before) << x;
        EXPECT_NEAR(few_digits(x), x, 1e-5 * x);
        EXPECT_EQ(few_digits(-x), -few_digits(x));
        before = few_digits(x);
      }
    }
}

TEST(FewDigits, SixOfThem) {
  EXPECT_EQ(few_digits(0.123456789), 0.1234568) << "or seven";
  EXPECT_EQ(few_digits(12345678.9), 12345679);
  EXPECT_EQ(few_digits(0), 0);
  EXPECT_TRUE(std::isnan(few_digits(std::nan(""))));
}

}  // namespace
}  // namespace sluice::manager
