/// Costs that everything else is made of: a header, an optimizer's apply beside plain axpy and memcpy, and a large message's round trip. In one run, so that
/// ratios mean something.

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "net/zmq_transport.h"
#include "proto/codec.h"
#include "server/optimizer.h"

namespace sluice {
namespace {

proto::Header push_header(std::uint32_t sections) {
  proto::Push push;
  for (std::uint32_t i = 0; i < sections; ++i) {
    auto& section = push.sections.emplace_back();
    section.shard = ShardId(i);
    section.sequence = 7;
    section.count = 8;
  }
  proto::Header header;
  header.envelope.request = 9;
  header.envelope.job = JobId(3);
  header.envelope.client = Incarnation(11);
  header.body = std::move(push);
  return header;
}

void header_encode(benchmark::State& state) {
  const auto header = push_header(static_cast<std::uint32_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(proto::encode(header));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(header_encode)->Arg(1)->Arg(64);

void header_decode(benchmark::State& state) {
  const std::string bytes = proto::encode(push_header(static_cast<std::uint32_t>(state.range(0))));
  const Bytes frame{reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()};
  for (auto _ : state) benchmark::DoNotOptimize(proto::decode(frame));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(header_decode)->Arg(1)->Arg(64);

/// One dense shard: 64 Ki floats.
constexpr std::size_t kFloats = proto::kShardFloats;

void limit_memcpy(benchmark::State& state) {
  std::vector<float> from(kFloats, 1.0F), to(kFloats);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), kFloats * sizeof(float));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kFloats * sizeof(float)));
}
BENCHMARK(limit_memcpy);

void limit_axpy(benchmark::State& state) {
  std::vector<float> x(kFloats, 1.0F), y(kFloats);
  for (auto _ : state) {
    for (std::size_t i = 0; i < kFloats; ++i) y[i] += 0.01F * x[i];
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kFloats));
}
BENCHMARK(limit_axpy);

void optimizer_apply(benchmark::State& state, const std::string& name) {
  proto::OptimizerSpec spec;
  spec.name = name;
  const auto optimizer = server::make_optimizer(spec);
  if (!optimizer) return state.SkipWithError(optimizer.error().what.c_str());
  std::vector<float> values(kFloats, 0.5F), update(kFloats, 0.001F), memory((*optimizer)->state_floats(kFloats), 1.0F);
  std::uint64_t count = 0;
  for (auto _ : state) {
    const bool finite = server::all_finite(update.data(), kFloats);
    benchmark::DoNotOptimize(finite);
    (*optimizer)->apply({values.data(), values.data(), memory.data(), update.data(), kFloats}, {++count, 0});
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kFloats));
}
BENCHMARK_CAPTURE(optimizer_apply, sgd, "sgd");
BENCHMARK_CAPTURE(optimizer_apply, adagrad, "adagrad");
BENCHMARK_CAPTURE(optimizer_apply, adam, "adam");
BENCHMARK_CAPTURE(optimizer_apply, add, "add");

/// Echoes every message: the other end of a round trip.
class Echo final : public Actor {
 public:
  Echo(net::Transport& transport, std::unique_ptr<net::Listener> listener) : listener_(std::move(listener)), poller_(transport.poller()) {
    poller_->add(*listener_);
  }
  [[nodiscard]] Step step() override {
    auto incoming = listener_->receive();
    if (!incoming) return {};
    (void)listener_->send(incoming->peer, std::move(incoming->message));
    return {.progressed = true, .next = Instant::never()};
  }
  void wait(Instant until) override { poller_->wait(until); }
  void wake() override { poller_->wake(); }
  void stop() override { stopped_ = true; }
  [[nodiscard]] bool ended() const override { return stopped_; }

 private:
  std::unique_ptr<net::Listener> listener_;
  std::unique_ptr<net::Poller> poller_;
  std::atomic<bool> stopped_{false};
};

void ipc_round_trip(benchmark::State& state) {
  SystemClock clock;
  net::ZmqTransport transport(clock);
  const std::string address = "ipc:///tmp/sluice-micro-" + std::to_string(getpid()) + ".sock";
  ThreadExecutor executor;
  auto listener = transport.listen(address);
  auto connection = transport.connect(address);
  if (!listener || !connection) return state.SkipWithError("cannot open the ipc socket");
  executor.start("echo", std::make_unique<Echo>(transport, std::move(*listener)));
  auto poller = transport.poller();
  poller->add(**connection);
  const auto bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    net::Message message;
    message.frames.push_back(net::Frame::from(std::string(64, 'h')));
    message.frames.push_back(net::Frame::from(std::vector<float>(bytes / sizeof(float), 1.0F)));
    (void)(*connection)->send(std::move(message));
    while (!(*connection)->receive()) poller->wait(Instant::never());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
  poller->remove(**connection);
  connection->reset();
  executor.stop();
  executor.join();
}
BENCHMARK(ipc_round_trip)->Arg(32)->Arg(256 << 10)->Arg(4 << 20)->UseRealTime();

}  // namespace
}  // namespace sluice
