#include "server/detail/evaluation.h"

#include <algorithm>

#include "base/assert.h"

namespace sluice::server {

void Evaluation::begin(std::uint64_t step, bool final_one) {
  SLUICE_ASSERT(!running_ && rows_ > 0 && returned_.empty());
  running_ = true;
  handed_out_ = 0;
  sums_ = {};
  scored_.assign((rows_ - 1) / kPieceRows + 1, {});
  sums_.step = step;
  sums_.final_one = final_one;
}

std::optional<EvaluatePiece> Evaluation::next() {
  if (!running_) return std::nullopt;
  if (!returned_.empty()) {
    const EvaluatePiece piece = returned_.back();
    returned_.pop_back();
    return piece;
  }
  if (handed_out_ == rows_) return std::nullopt;
  const EvaluatePiece piece{handed_out_, static_cast<std::uint32_t>(std::min<std::uint64_t>(kPieceRows, rows_ - handed_out_))};
  handed_out_ += piece.rows;
  return piece;
}

bool Evaluation::commit(const EvaluatePiece& piece, double loss_sum, double metric_sum, const std::string& metric) {
  SLUICE_ASSERT(running_);
  sums_.examples += piece.rows;
  scored_[piece.first_row / kPieceRows] = {loss_sum, metric_sum};
  sums_.metric_name = metric;
  if (sums_.examples < rows_) return false;
  running_ = false;
  result_ = sums_;
  for (const Scored& part : scored_) result_.loss += part.loss, result_.metric += part.metric;
  result_.loss /= static_cast<double>(rows_);
  result_.metric /= static_cast<double>(rows_);
  return true;
}

}  // namespace sluice::server
