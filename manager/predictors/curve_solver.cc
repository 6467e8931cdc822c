#include "manager/predictors/curve_solver.h"

#include <gsl/gsl_blas.h>
#include <gsl/gsl_errno.h>

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace sluice::manager {
namespace {

/// Parameters are squares of what is solved for, so none is ever negative; a start at zero would have no gradient to leave it by.
constexpr double kStartMin = 1e-9;

struct Problem {
  std::span<const double> x, y;
};

int sublinear_f(const gsl_vector* t, void* data, gsl_vector* f) {
  const auto& problem = *static_cast<const Problem*>(data);
  const double a = t->data[0] * t->data[0], b = t->data[1] * t->data[1], c = t->data[2] * t->data[2], d = t->data[3] * t->data[3];
  for (std::size_t i = 0; i < problem.x.size(); ++i) {
    const double x = problem.x[i];
    f->data[i * f->stride] = 1.0 / ((a * x + b) * x + c) + d - problem.y[i];
  }
  return std::isfinite(f->data[0]) && std::isfinite(f->data[(problem.x.size() - 1) * f->stride]) ? GSL_SUCCESS : GSL_EDOM;
}

int sublinear_df(const gsl_vector* t, void* data, gsl_matrix* j) {
  const auto& problem = *static_cast<const Problem*>(data);
  const double* p = t->data;
  for (std::size_t i = 0; i < problem.x.size(); ++i) {
    const double x = problem.x[i];
    const double inverse = 1.0 / ((p[0] * p[0] * x + p[1] * p[1]) * x + p[2] * p[2]);
    const double slope = -2.0 * inverse * inverse;
    double* row = j->data + i * j->tda;
    row[0] = slope * x * x * p[0];
    row[1] = slope * x * p[1];
    row[2] = slope * p[2];
    row[3] = 2.0 * p[3];
  }
  return GSL_SUCCESS;
}

int exponential_f(const gsl_vector* t, void* data, gsl_vector* f) {
  const auto& problem = *static_cast<const Problem*>(data);
  const double amplitude = t->data[0] * t->data[0], rate = t->data[1] * t->data[1], floor = t->data[2] * t->data[2];
  for (std::size_t i = 0; i < problem.x.size(); ++i) f->data[i * f->stride] = amplitude * std::exp(-rate * problem.x[i]) + floor - problem.y[i];
  return std::isfinite(f->data[0]) ? GSL_SUCCESS : GSL_EDOM;
}

int exponential_df(const gsl_vector* t, void* data, gsl_matrix* j) {
  const auto& problem = *static_cast<const Problem*>(data);
  const double* p = t->data;
  for (std::size_t i = 0; i < problem.x.size(); ++i) {
    const double decay = std::exp(-p[1] * p[1] * problem.x[i]);
    double* row = j->data + i * j->tda;
    row[0] = 2.0 * p[0] * decay;
    row[1] = -2.0 * p[1] * problem.x[i] * p[0] * p[0] * decay;
    row[2] = 2.0 * p[2];
  }
  return GSL_SUCCESS;
}

gsl_multifit_nlinear_workspace* workspace(std::size_t parameters) {
  gsl_multifit_nlinear_parameters options = gsl_multifit_nlinear_default_parameters();
  options.trs = gsl_multifit_nlinear_trs_lm;
  options.solver = gsl_multifit_nlinear_solver_cholesky;
  auto* made = gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &options, CurveSolver::kPoints, parameters);
  SLUICE_ASSERT(made != nullptr);
  return made;
}

}  // namespace

double value_at(Family family, const Params& p, double x) {
  if (family == Family::kSublinear) return 1.0 / ((p[0] * x + p[1]) * x + p[2]) + p[3];
  return p[0] * std::exp(-p[1] * x) + p[3];
}

CurveSolver::CurveSolver() {
  gsl_set_error_handler_off();  // its default is to abort; every return code is looked at instead
  double weight = 1;
  for (std::size_t i = kPoints; i-- > 0; weight *= 0.8 * 0.8) weights_[i] = weight;
  sublinear_ = workspace(4);
  exponential_ = workspace(3);
}

CurveSolver::~CurveSolver() {
  gsl_multifit_nlinear_free(sublinear_);
  gsl_multifit_nlinear_free(exponential_);
}

Solution CurveSolver::solve(Family family, std::span<const double> x, std::span<const double> y, const Params& start, int iterations_max) {
  SLUICE_ASSERT(x.size() == kPoints && y.size() == kPoints);
  const bool sublinear = family == Family::kSublinear;
  auto* space = sublinear ? sublinear_ : exponential_;
  Problem problem{x, y};
  gsl_multifit_nlinear_fdf fdf{};
  fdf.f = sublinear ? sublinear_f : exponential_f;
  fdf.df = sublinear ? sublinear_df : exponential_df;
  fdf.n = kPoints;
  fdf.p = sublinear ? 4 : 3;
  fdf.params = &problem;
  const auto root = [&](std::size_t i) { return std::sqrt(std::max(start[i], kStartMin)); };
  std::array<double, 4> begin = sublinear ? std::array{root(0), root(1), root(2), root(3)} : std::array{root(0), root(1), root(3), 0.0};
  const gsl_vector_view from = gsl_vector_view_array(begin.data(), fdf.p);
  const gsl_vector_const_view weights = gsl_vector_const_view_array(weights_.data(), kPoints);
  Solution solution;
  if (gsl_multifit_nlinear_winit(&from.vector, &weights.vector, &fdf, space) != GSL_SUCCESS) return solution;
  int info = 0;
  (void)gsl_multifit_nlinear_driver(static_cast<std::size_t>(iterations_max), 1e-6, 1e-8, 1e-8, nullptr, nullptr, &info, space);
  solution.iterations = std::max(1, static_cast<int>(gsl_multifit_nlinear_niter(space)));
  const gsl_vector* t = gsl_multifit_nlinear_position(space);
  const gsl_vector* residual = gsl_multifit_nlinear_residual(space);
  gsl_blas_ddot(residual, residual, &solution.cost);
  const auto square = [&](std::size_t i) { return gsl_vector_get(t, i) * gsl_vector_get(t, i); };
  solution.params = sublinear ? Params{square(0), square(1), square(2), square(3)} : Params{square(0), square(1), 0, square(2)};
  solution.good = std::isfinite(solution.cost);
  for (const double p : solution.params) solution.good = solution.good && std::isfinite(p);
  solution.good = solution.good && std::isfinite(value_at(family, solution.params, x.back())) && std::isfinite(value_at(family, solution.params, x.back() * 2));
  return solution;
}

}  // namespace sluice::manager
