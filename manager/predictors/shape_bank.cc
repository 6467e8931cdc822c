#include "manager/predictors/shape_bank.h"

#include <algorithm>
#include <cmath>

namespace sluice::manager {
namespace {

constexpr double kGrowth = 4;
/// Of the scale: offsets a factor kGrowth apart, times a factor 2.
constexpr std::array<double, ShapeBank::kOffsets> kOffsetShares = {1.0 / 32, 1.0 / 8, 1.0 / 2};
constexpr double kLongestTime = 2;

/// sin²(πx/2) = (1 − cos πx)/2 for x in [0, 1], to 1e-15: the sine's series, without a call, so that loops over it become vectors.
inline double half_wave(double x) {
  const double y = 0.5 * M_PI * x, z = -y * y;
  double sum = 1;
  for (int k = 20; k >= 2; k -= 2) sum = 1 + sum * z * (1.0 / (k * (k + 1)));
  return y * sum * (y * sum);
}

}  // namespace

ShapeBank::Values ShapeBank::at(double k) const {
  Values out{};
  out[0] = 1;
  for (std::size_t o = 0; o < kOffsets; ++o) {
    const double x = 1 / (1 + k / (kOffsetShares[o] * scale_)), root = std::sqrt(x);
    double* shape = &out[kFirstPower + o * kExponents];
    shape[0] = std::sqrt(root), shape[1] = root, shape[2] = x, shape[3] = x * x;
  }
  double e = std::exp(-k / (kLongestTime * scale_));
  for (std::size_t i = kTimes; i-- > 0;) {  // the shortest time first in the bank
    out[kFirstTime + i] = e;
    e *= e;
  }
  if (!(total_ > 0)) return out;
  const double left = std::max(0.0, 1 - k / total_);
  double* shape = &out[kFirstDeclared];
  shape[0] = left, shape[1] = left * left, shape[2] = std::sqrt(left), shape[3] = half_wave(left);
  return out;
}

// Operation by operation as above, so that the compiler makes vectors of it and the values are the same to the last bit.
void ShapeBank::at(const Lanes& k, std::array<Lanes, kShapes>& out) const {
  out[0].fill(1);
  for (std::size_t o = 0; o < kOffsets; ++o) {
    Lanes* shape = &out[kFirstPower + o * kExponents];
    const double offset = kOffsetShares[o] * scale_;
    for (std::size_t i = 0; i < kLanes; ++i) shape[2][i] = 1 / (1 + k[i] / offset);
    for (std::size_t i = 0; i < kLanes; ++i) shape[1][i] = std::sqrt(shape[2][i]);
    for (std::size_t i = 0; i < kLanes; ++i) shape[0][i] = std::sqrt(shape[1][i]);
    for (std::size_t i = 0; i < kLanes; ++i) shape[3][i] = shape[2][i] * shape[2][i];
  }
  Lanes e;
  for (std::size_t i = 0; i < kLanes; ++i) e[i] = std::exp(-k[i] / (kLongestTime * scale_));
  for (std::size_t t = kTimes; t-- > 0;) {
    out[kFirstTime + t] = e;
    for (std::size_t i = 0; i < kLanes; ++i) e[i] *= e[i];
  }
  if (!(total_ > 0)) return;
  Lanes* shape = &out[kFirstDeclared];
  for (std::size_t i = 0; i < kLanes; ++i) shape[0][i] = std::max(0.0, 1 - k[i] / total_);
  for (std::size_t i = 0; i < kLanes; ++i) shape[1][i] = shape[0][i] * shape[0][i];
  for (std::size_t i = 0; i < kLanes; ++i) shape[2][i] = std::sqrt(shape[0][i]);
  for (std::size_t i = 0; i < kLanes; ++i) shape[3][i] = half_wave(shape[0][i]);
}

ShapeBank::Moves ShapeBank::grow() {
  scale_ *= kGrowth;
  Moves from;
  for (std::size_t i = 0; i < kShapes; ++i) from[i] = {i, false};
  for (std::size_t i = kFirstPower; i < kFirstTime; ++i) {
    const bool fresh = i + kExponents >= kFirstTime;
    from[i] = {fresh ? i : i + kExponents, fresh};
  }
  for (std::size_t i = kFirstTime; i < kFirstDeclared; ++i) from[i] = {std::min(i + 2, kFirstDeclared - 1), i + 2 >= kFirstDeclared};
  return from;
}

}  // namespace sluice::manager
