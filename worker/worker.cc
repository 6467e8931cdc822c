#include "worker/worker.h"

#include <fmt/format.h>

#include "base/host.h"
#include "base/log.h"
#include "base/text.h"
#include "worker/detail/control.h"
#include "worker/slot.h"

namespace sluice::worker {

namespace {
constexpr std::uint32_t kSlotsMax = 1024;

class FileRows final : public RowReader {
 public:
  explicit FileRows(std::shared_ptr<const Dataset> dataset) : reader_(std::move(dataset)) {}
  [[nodiscard]] Batch read(std::uint64_t first_row, std::uint32_t chunk_rows, std::uint64_t seed, std::uint32_t epoch, std::uint32_t offset,
                           std::uint32_t rows) override {
    return reader_.read(first_row, chunk_rows, seed, epoch, offset, rows);
  }
  [[nodiscard]] Batch read_plain(std::uint64_t first, std::uint32_t rows) override { return reader_.read_plain(first, rows); }
  void use_memory(std::span<float> memory) override { reader_.use_memory(memory); }

 private:
  BatchReader reader_;
};

}  // namespace

DataSource file_data(const DataOptions& options) {
  return {[options](const proto::DataSpec& spec) { return open_data(spec, options); },
          [](std::shared_ptr<const Dataset> dataset) { return std::make_unique<FileRows>(std::move(dataset)); }};
}

Result<void> start_worker(const WorkerOptions& options, const ModelRegistry& models, net::Runtime runtime) {
  if (!text::valid_name(options.name)) return fail(Errc::kBadConfig, fmt::format("a worker's name must be 1 to 64 of a-z 0-9 . _ -, not '{}'", options.name));
  if (options.slots < 1 || options.slots > kSlotsMax)
    return fail(Errc::kBadConfig, fmt::format("a worker has 1 to {} slots, not {}", kSlotsMax, options.slots));
  auto manager = runtime.transport.connect(options.manager);
  if (!manager) return fail(manager.error());

  DataOptions data;
  data.cache_dir = options.cache_dir;
  data.progress = [](const std::string& sentence) { log::info("{}", sentence); };
  ControlSetup control;
  control.options = options;
  control.host = boot_id();
  control.manager = std::move(*manager);
  control.poller = runtime.transport.poller();
  control.inbox = std::make_shared<ControlInbox>(control.poller);
  SlotShared shared{std::make_shared<const ModelRegistry>(models), std::make_shared<DataRegistry>(file_data(data), runtime.executor), control.inbox};

  std::vector<std::unique_ptr<Actor>> slots;
  for (std::uint32_t i = 0; i < options.slots; ++i) {
    std::shared_ptr<net::Poller> poller = runtime.transport.poller();
    const auto inbox = std::make_shared<SlotInbox>(poller);
    control.slots.push_back(inbox);
    SlotOptions slot;
    slot.slot = WorkerSlot(i);
    slot.client.call_deadline = from_ms(options.call_deadline_ms);
    slot.client.retry = from_ms(options.retry_ms);
    slots.push_back(make_slot(slot, shared, inbox, std::move(poller), runtime));
  }
  // Threads show 15 characters of a name: what the role is comes last in full, as in "worker-1/slot0".
  runtime.executor.start(options.name + "/ctl", make_control(std::move(control), runtime));
  for (std::uint32_t i = 0; i < options.slots; ++i) runtime.executor.start(fmt::format("{}/slot{}", options.name, i), std::move(slots[i]));
  return {};
}

}  // namespace sluice::worker
