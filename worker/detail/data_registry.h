#pragma once
/// The datasets that a worker has open, shared by its slots. Opening blocks (it may convert for minutes), so it runs off the slots' threads; a slot that waits
/// is woken.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/executor.h"
#include "worker/data/dataset.h"
#include "worker/detail/inbox.h"

namespace sluice::worker {

/// Reads batches of one dataset for one slot; as BatchReader.
class RowReader {
 public:
  virtual ~RowReader() = default;
  [[nodiscard]] virtual Batch read(std::uint64_t first_row, std::uint32_t chunk_rows, std::uint64_t seed, std::uint32_t epoch, std::uint32_t offset,
                                   std::uint32_t rows) = 0;
  [[nodiscard]] virtual Batch read_plain(std::uint64_t first, std::uint32_t rows) = 0;
  virtual void use_memory(std::span<float> /*memory*/) {}
};

/// Where data comes from: files in production, made-up rows in tests.
struct DataSource {
  std::function<Result<OpenedData>(const proto::DataSpec&)> open;  ///< blocks; any thread; must not throw
  std::function<std::unique_ptr<RowReader>(std::shared_ptr<const Dataset>)> reader;
};
/// open_data() and BatchReader.
[[nodiscard]] DataSource file_data(const DataOptions& options);

/// Any thread. Outlives nothing: jobs under way hold it.
class DataRegistry : public std::enable_shared_from_this<DataRegistry> {
 public:
  DataRegistry(DataSource source, Executor& executor) : source_(std::move(source)), executor_(executor) {}
  using Opened = std::shared_ptr<const Result<OpenedData>>;
  /// The data if it is open; else nullptr, and `waiter` is woken once it is or can't be. A failure is told to those that waited for it; whoever
  /// asks later makes it try again (the file may have been mended).
  [[nodiscard]] Opened get(const proto::DataSpec& spec, const std::shared_ptr<SlotInbox>& waiter);
  [[nodiscard]] std::unique_ptr<RowReader> reader(std::shared_ptr<const Dataset> dataset) const { return source_.reader(std::move(dataset)); }

 private:
  struct Entry {
    proto::DataSpec spec;
    Opened opened;  ///< nullptr while it is being opened
    std::vector<std::shared_ptr<SlotInbox>> waiters;
  };
  void open(const proto::DataSpec& spec);

  DataSource source_;
  Executor& executor_;
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace sluice::worker
