/// The limit of this machine for sparse logistic regression with AdaGrad without any server: threads that all change one table in shared memory (Hogwild!,
/// Recht et al., NIPS 2011), example by example. Layout: a weight and its sum of squares beside each other (8 bytes a feature, one cache line fetched for
/// both), the cache's rows as they lie (shuffled once, then contiguous; 12 bytes an entry with its value), fetched a few rows ahead; scalar arithmetic, exact
/// exp and sqrt. Prints JSON.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "worker/data/dataset.h"
#include "worker/data/stored.h"

namespace sluice {
namespace {

using worker::data::StoredRows;

struct Options {
  std::string root = "build/data/flights/";
  std::string cache = "build/bench-cache";
  std::uint32_t threads = 2;
  std::uint32_t epochs = 4;
  float rate = 0.2F;
};

constexpr std::uint64_t kTurn = 20000;  ///< rows a thread takes at a time
constexpr std::uint64_t kAhead = 4;     ///< rows whose weights are fetched ahead
constexpr float kEpsilon = 1e-8F;

/// The threads write without agreement: relaxed loads and stores are plain ones to the processor.
struct Weight {
  std::atomic<float> value, squares;
};

class Table {
 public:
  explicit Table(std::uint64_t features) : weights_(features) {}

  [[nodiscard]] float score(const StoredRows& rows, std::uint64_t row) const {
    float z = bias_.value.load(std::memory_order_relaxed);
    for (std::uint64_t e = rows.offsets[row]; e < rows.offsets[row + 1]; ++e)
      z += rows.values[e] * weights_[rows.indices[e]].value.load(std::memory_order_relaxed);
    return z;
  }

  void fetch(const StoredRows& rows, std::uint64_t row) const {
    for (std::uint64_t e = rows.offsets[row]; e < rows.offsets[row + 1]; ++e) __builtin_prefetch(&weights_[rows.indices[e]], 1);
  }

  void step(const StoredRows& rows, std::uint64_t row, float rate) {
    const float error = 1 / (1 + std::exp(-score(rows, row))) - rows.labels[row];
    change(bias_, error, rate);
    for (std::uint64_t e = rows.offsets[row]; e < rows.offsets[row + 1]; ++e) change(weights_[rows.indices[e]], error * rows.values[e], rate);
  }

 private:
  static void change(Weight& weight, float gradient, float rate) {
    const float squares = weight.squares.load(std::memory_order_relaxed) + gradient * gradient;
    weight.squares.store(squares, std::memory_order_relaxed);
    weight.value.store(weight.value.load(std::memory_order_relaxed) - rate * gradient / (std::sqrt(squares) + kEpsilon), std::memory_order_relaxed);
  }

  std::vector<Weight> weights_;
  Weight bias_{};
};

const StoredRows& rows_of(const worker::Dataset& data) { return dynamic_cast<const worker::data::StoredDataset&>(data).rows(); }

double log_loss(const Table& table, const StoredRows& rows) {
  double sum = 0;
  for (std::uint64_t row = 0; row < rows.labels.size(); ++row) {
    const double z = static_cast<double>(table.score(rows, row)), margin = rows.labels[row] > 0 ? z : -z;
    sum += margin > 0 ? std::log1p(std::exp(-margin)) : std::log1p(std::exp(margin)) - margin;
  }
  return sum / static_cast<double>(rows.labels.size());
}

void train(Table& table, const StoredRows& rows, const Options& options, std::atomic<std::uint64_t>& turns) {
  const std::uint64_t count = rows.labels.size(), turns_of_pass = (count + kTurn - 1) / kTurn;
  for (std::uint64_t turn = turns.fetch_add(1); turn < turns_of_pass * options.epochs; turn = turns.fetch_add(1)) {
    const std::uint64_t first = turn % turns_of_pass * kTurn, end = std::min(count, first + kTurn);
    for (std::uint64_t row = first; row < end; ++row) {
      if (row + kAhead < count) table.fetch(rows, row + kAhead);
      table.step(rows, row, options.rate);
    }
  }
}

int run(const Options& options) {
  proto::DataSpec spec;
  spec.name = "flights";
  spec.format = "libsvm";
  spec.train = {options.root + "train.libsvm"};
  spec.test = {options.root + "test.libsvm"};
  const auto data = worker::open_data(spec, {options.cache, 1, {}});
  if (!data) {
    fmt::print(stderr, "error: {}\n", data.error().what);
    return exit_code(data.error().code);
  }
  const StoredRows& rows = rows_of(*data->train);
  Table table(data->train->shape().features);
  const SystemClock clock;
  std::atomic<std::uint64_t> turns = 0;
  const Instant began = clock.now();
  {
    ThreadExecutor executor;
    for (std::uint32_t t = 0; t < options.threads; ++t) executor.run(fmt::format("bare-{}", t), [&] { train(table, rows, options, turns); });
    executor.join();
  }
  const double seconds = (clock.now() - began).seconds();
  fmt::print("{{\"threads\":{},\"epochs\":{},\"rate\":{},\"seconds\":{:.3f},\"examples_per_s\":{:.0f},\"test_log_loss\":{:.5f}}}\n", options.threads,
             options.epochs, options.rate, seconds, static_cast<double>(rows.labels.size()) * options.epochs / seconds, log_loss(table, rows_of(*data->test)));
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  sluice::Options options;
  CLI::App app{"Trains logistic regression on the flights with AdaGrad, threads on one table: the machine's limit for bench/run."};
  app.add_option("--root", options.root, "folder of train.libsvm and test.libsvm, with a final slash");
  app.add_option("--cache", options.cache, "folder of the data cache");
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 256));
  app.add_option("--epochs", options.epochs)->check(CLI::Range(1, 1000));
  app.add_option("--rate", options.rate);
  CLI11_PARSE(app, argc, argv);
  return sluice::run(options);
}
