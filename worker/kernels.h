#pragma once
/// All OpenBLAS use: matrix products for the models. Matrices are row-major, without padding; none of the spans may overlap.

#include <cstddef>
#include <span>

namespace sluice::worker {

/// Makes every product run in its caller's thread: a worker slot is a right to one core. Call once at start, before the slots; cheap to repeat. Any thread.
void use_one_blas_thread();

/// The shape of a product c = a·b: c is m × n, k is summed over.
struct Product {
  std::size_t m = 0, n = 0, k = 0;
};

/// c[m × n] = alpha · a[m × k] · b[k × n] + beta · c. With beta = 0, c need not be initialised. REQUIRES: the spans have these sizes, each side < 2³¹.
void multiply(Product shape, std::span<const float> a, std::span<const float> b, std::span<float> c, float alpha = 1, float beta = 0);
/// c[m × n] = alpha · aᵀ · b + beta · c, with a stored as k × m: gradients of weights (a: inputs, b: deltas, k: the batch's rows).
void multiply_at_b(Product shape, std::span<const float> a, std::span<const float> b, std::span<float> c, float alpha = 1, float beta = 0);
/// c[m × n] = alpha · a · bᵀ + beta · c, with b stored as n × k: deltas carried back through weights.
void multiply_a_bt(Product shape, std::span<const float> a, std::span<const float> b, std::span<float> c, float alpha = 1, float beta = 0);

}  // namespace sluice::worker
