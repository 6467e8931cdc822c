// A plug-in that does what its param `what` says, some at its third batch, so that work is under way when it goes wrong. Else it is right: class counts are
// learnt by a bias.
#include <sluice/model.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

namespace {
using namespace sluice::plugin;

const std::vector<std::string> kKinds = {"nothing",  "throw",    "throw-int", "nan-loss",   "nan-gradient", "unwritten", "overrun",
                                         "segfault", "abort",    "exit",      "loop",       "sleep",        "allocate",  "print",
                                         "outputs",  "evaluate", "no-tables", "no-columns", "make",         "make-loop", "keys"};

class Bad final : public Model {
 public:
  Bad(const Params& params, const DataShape& shape) : what_(params.choice("what", kKinds)), classes_(shape.classes) {
    if (shape.classes == 0) throw BadParams("model 'bad' learns classes");
    // Other shapes than the data's are tried when the run file is read: only the data's own many rows bring these out.
    if (what_ == "make" && shape.rows > 1) throw std::logic_error("made to fail");
    while (what_ == "make-loop" && shape.rows > 1) keep_busy();
  }
  std::vector<Table> tables() const override {
    if (what_ == "no-tables") return {};
    std::vector<Table> out = {{.name = "b", .rows = 1, .cols = what_ == "no-columns" ? 0 : classes_}};
    if (what_ == "keys") out.push_back({.name = "w", .kind = Kind::kSparse, .rows = 1000, .cols = 1});
    return out;
  }
  void keys(const Batch&, std::vector<std::vector<Key>>& out) const override {
    if (what_ == "keys") out[1] = {5, 3, 3};
  }
  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    if (what_ == "unwritten") return {1, 1};
    Losses losses = right(params[0].values, batch, out[0].values);
    for (std::size_t t = 1; t < out.size(); ++t) std::fill(out[t].values.begin(), out[t].values.end(), 0.0F);
    if (++batches_ >= 3) go_wrong(out[0].values, losses);
    return losses;
  }
  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    outputs_.assign(batch.rows * classes_ + (what_ == "outputs" ? 1 : 0), 0.0F);
    for (std::size_t i = 0; i < batch.rows * classes_; ++i) outputs_[i] = params[0].values[i % classes_];
    return outputs_;
  }
  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    std::vector<float> unused(classes_);
    const Losses losses = right(params[0].values, batch, unused);
    return {batch.rows + (what_ == "evaluate" ? 1U : 0U), losses.loss_sum, 0};
  }

 private:
  void keep_busy() { turns_ = turns_ + 1; }

  // Softmax of the biases alone.
  Losses right(std::span<const float> b, const Batch& batch, std::span<float> gradient) const {
    double sum = 0;
    for (const float x : b) sum += std::exp(static_cast<double>(x));
    std::fill(gradient.begin(), gradient.end(), 0.0F);
    Losses losses;
    for (std::size_t i = 0; i < batch.rows; ++i) {
      const auto label = static_cast<std::size_t>(batch.labels[i]);
      const double loss = std::log(sum) - static_cast<double>(b[label]);
      losses.loss_sum += loss;
      losses.loss_squares += loss * loss;
      for (std::size_t c = 0; c < b.size(); ++c)
        gradient[c] += static_cast<float>((std::exp(static_cast<double>(b[c])) / sum - (c == label ? 1.0 : 0.0)) / static_cast<double>(batch.rows));
    }
    return losses;
  }

  void go_wrong(std::span<float> gradient, Losses& losses) {
    if (what_ == "throw") throw std::runtime_error("the third batch is one too many");
    if (what_ == "throw-int") throw 42;
    if (what_ == "nan-loss") losses.loss_sum = std::numeric_limits<double>::quiet_NaN();
    if (what_ == "nan-gradient") gradient[0] = std::numeric_limits<float>::quiet_NaN();
    if (what_ == "overrun") std::fill(gradient.data(), gradient.data() + gradient.size() + 3, 1.0F);
    if (what_ == "segfault") {
      std::cerr << "about to read what is not there\n" << std::flush;
      *static_cast<volatile int*>(nullptr) = 1;
    }
    if (what_ == "abort") std::abort();
    if (what_ == "exit") std::exit(3);
    while (what_ == "loop") keep_busy();
    while (what_ == "sleep") ::pause();
    if (what_ == "allocate") hoard_.resize(std::size_t{100} << 30);
    if (what_ == "print") {
      for (int i = 0; i < 2000; ++i) std::cout << "line " << i << " on standard output, where nobody should be in its way\n";
      std::cout << std::flush;
    }
  }

  const std::string what_;
  const std::uint32_t classes_;
  int batches_ = 0;
  volatile int turns_ = 0;
  std::vector<float> outputs_;
  std::vector<char> hoard_;
};

}  // namespace

SLUICE_PLUGIN(Bad, "bad", "");
