#include "worker/kernels.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "base/rng.h"

namespace sluice::worker {
namespace {

std::vector<float> numbers(std::size_t n, std::uint64_t seed) {
  SeededRng rng(seed);
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(rng.uniform() - 0.5);
  return out;
}

/// All three products equal plain loops over the sizes' shapes, whatever alpha and beta.
TEST(Kernels, ProductsEqualPlainLoops) {
  use_one_blas_thread();
  for (const Product s : {Product{1, 1, 1}, Product{3, 5, 7}, Product{128, 10, 33}, Product{17, 64, 2}}) {
    const auto a = numbers(s.m * s.k, 1), b = numbers(s.k * s.n, 2), c = numbers(s.m * s.n, 3);
    std::vector<float> a_transposed(a.size()), b_transposed(b.size());
    for (std::size_t i = 0; i < s.m; ++i) {
      for (std::size_t j = 0; j < s.k; ++j) a_transposed[j * s.m + i] = a[i * s.k + j];
    }
    for (std::size_t i = 0; i < s.k; ++i) {
      for (std::size_t j = 0; j < s.n; ++j) b_transposed[j * s.k + i] = b[i * s.n + j];
    }
    auto plain = c, with_a = c, with_b = c;
    multiply(s, a, b, plain, 2, 0.5F);
    multiply_at_b(s, a_transposed, b, with_a, 2, 0.5F);
    multiply_a_bt(s, a, b_transposed, with_b, 2, 0.5F);
    for (std::size_t i = 0; i < s.m; ++i) {
      for (std::size_t j = 0; j < s.n; ++j) {
        double sum = 0;
        for (std::size_t l = 0; l < s.k; ++l) sum += static_cast<double>(a[i * s.k + l]) * static_cast<double>(b[l * s.n + j]);
        const double expected = 2 * sum + 0.5 * static_cast<double>(c[i * s.n + j]);
        EXPECT_NEAR(static_cast<double>(plain[i * s.n + j]), expected, 1e-5);
        EXPECT_NEAR(static_cast<double>(with_a[i * s.n + j]), expected, 1e-5);
        EXPECT_NEAR(static_cast<double>(with_b[i * s.n + j]), expected, 1e-5);
      }
    }
  }
}

TEST(Kernels, BetaZeroIgnoresWhatWasThere) {
  const auto a = numbers(6, 1), b = numbers(6, 2);
  std::vector<float> c(4, std::numeric_limits<float>::quiet_NaN());
  multiply({2, 2, 3}, a, b, c);
  for (const float x : c) EXPECT_EQ(x, x);
}

}  // namespace
}  // namespace sluice::worker
