/// The limit of this machine for a model without any server: one loop a thread, each on its own parameters, all at once. Prints JSON.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <barrier>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "worker/data/dataset.h"
#include "worker/kernels.h"
#include "worker/local_trainer.h"

namespace sluice {
namespace {

struct Options {
  std::string root = "/usr/share/datasets/fashion-mnist/";
  std::string cache = "build/bench-cache";
  std::string params = R"({"hidden":[256]})";
  std::uint32_t threads = 2;
  std::uint32_t batch = 128;
  std::uint64_t batches = 2500;
  std::uint64_t warm_batches = 200;
};

int run(const Options& options) {
  proto::DataSpec spec;
  spec.name = "fashion";
  spec.format = "idx";
  spec.train = {options.root + "train-images-idx3-ubyte.gz", options.root + "train-labels-idx1-ubyte.gz"};
  const auto data = worker::open_data(spec, {options.cache, 1, {}});
  if (!data) {
    fmt::print(stderr, "error: {}\n", data.error().what);
    return exit_code(data.error().code);
  }
  const auto models = worker::builtin_models();
  const auto make = models.find("mlp");
  const SystemClock clock;
  std::vector<double> rates(options.threads);
  std::barrier start(static_cast<std::ptrdiff_t>(options.threads));
  ThreadExecutor executor;
  for (std::uint32_t t = 0; t < options.threads; ++t) {
    executor.run(fmt::format("bare-{}", t), [&, t] {
      worker::use_one_blas_thread();
      auto model = (**make)(options.params, data->train->shape());
      if (!model) return;
      worker::LocalOptions local;
      local.batch = options.batch;
      local.lr = 0.05F;
      local.seed = t + 1;
      worker::LocalTrainer trainer(std::move(*model), data->train, local);
      trainer.train(options.warm_batches);
      start.arrive_and_wait();
      const Instant began = clock.now();
      const auto examples = trainer.train(options.batches);
      rates[t] = static_cast<double>(examples) / (clock.now() - began).seconds();
    });
  }
  executor.join();
  double sum = 0;
  for (const double rate : rates) sum += rate;
  fmt::print("{{\"threads\":{},\"batch\":{},\"examples_per_s\":{:.0f}}}\n", options.threads, options.batch, sum);
  return sum > 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  sluice::Options options;
  CLI::App app{"Trains an MLP on Fashion-MNIST in bare loops: the machine's limit for bench/run."};
  app.add_option("--root", options.root, "folder of the IDX files, with a final slash");
  app.add_option("--cache", options.cache, "folder of the data cache");
  app.add_option("--params", options.params, "the model's parameters, JSON");
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 256));
  app.add_option("--batch", options.batch)->check(CLI::Range(1, 100000));
  app.add_option("--batches", options.batches, "measured batches a thread");
  CLI11_PARSE(app, argc, argv);
  return sluice::run(options);
}
