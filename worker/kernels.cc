#include "worker/kernels.h"

#include <cblas.h>

#include <limits>

#include "base/assert.h"

namespace sluice::worker {
namespace {

blasint side(std::size_t n) {
  SLUICE_ASSERT(n <= static_cast<std::size_t>(std::numeric_limits<blasint>::max()));
  return static_cast<blasint>(n);
}

void check(Product s, std::span<const float> a, std::span<const float> b, std::span<const float> c) {
  SLUICE_ASSERT(a.size() == s.m * s.k && b.size() == s.k * s.n && c.size() == s.m * s.n);
}

}  // namespace

void use_one_blas_thread() { openblas_set_num_threads(1); }

void multiply(Product s, std::span<const float> a, std::span<const float> b, std::span<float> c, float alpha, float beta) {
  check(s, a, b, c);
  if (c.empty()) return;
  const blasint m = side(s.m), n = side(s.n), k = side(s.k);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, alpha, a.data(), k, b.data(), n, beta, c.data(), n);
}

void multiply_at_b(Product s, std::span<const float> a, std::span<const float> b, std::span<float> c, float alpha, float beta) {
  check(s, a, b, c);
  if (c.empty()) return;
  const blasint m = side(s.m), n = side(s.n), k = side(s.k);
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, alpha, a.data(), m, b.data(), n, beta, c.data(), n);
}

void multiply_a_bt(Product s, std::span<const float> a, std::span<const float> b, std::span<float> c, float alpha, float beta) {
  check(s, a, b, c);
  if (c.empty()) return;
  const blasint m = side(s.m), n = side(s.n), k = side(s.k);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, alpha, a.data(), k, b.data(), k, beta, c.data(), n);
}

}  // namespace sluice::worker
