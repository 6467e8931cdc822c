#pragma once
/// Scores of the held-out rows, computed by slots in pieces between training leases. One evaluation at a time. While training goes on the pieces see slightly
/// different parameters; the last evaluation of a job begins after the last commit and sees the final ones. One thread.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::server {

struct EvaluatePiece {
  std::uint64_t first_row = 0;
  std::uint32_t rows = 0;
};

struct EvaluationResult {
  std::uint64_t examples = 0;
  double loss = 0;    ///< mean an example
  double metric = 0;  ///< mean an example, e.g. the share that is right
  std::string metric_name;
  std::uint64_t step = 0;  ///< the job's step when it began
  bool final_one = false;  ///< began after the last commit
};

class Evaluation {
 public:
  static constexpr std::uint32_t kPieceRows = 4096;
  explicit Evaluation(std::uint64_t rows) : rows_(rows) {}

  /// REQUIRES: !running(), rows > 0.
  void begin(std::uint64_t step, bool final_one);
  [[nodiscard]] bool running() const { return running_; }
  /// The next piece to lease, or none.
  [[nodiscard]] std::optional<EvaluatePiece> next();
  void give_back(EvaluatePiece piece) { returned_.push_back(piece); }
  /// A piece is scored. True if that was the last: result() is new then.
  bool commit(const EvaluatePiece& piece, double loss_sum, double metric_sum, const std::string& metric);
  /// Of the newest complete evaluation; none has examples == 0.
  [[nodiscard]] const EvaluationResult& result() const { return result_; }
  /// That of the job before it was restored.
  void restore(EvaluationResult result) { result_ = std::move(result); }

 private:
  std::uint64_t rows_;
  bool running_ = false;
  std::uint64_t handed_out_ = 0;
  std::vector<EvaluatePiece> returned_;
  struct Scored {
    double loss = 0, metric = 0;
  };
  std::vector<Scored> scored_;  ///< by piece: added up in their order, whoever is first
  EvaluationResult sums_;
  EvaluationResult result_;
};

}  // namespace sluice::server
