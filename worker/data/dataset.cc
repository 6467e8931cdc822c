#include "worker/data/dataset.h"

#include <algorithm>
#include <numeric>

#include "base/assert.h"
#include "base/rng.h"
#include "worker/data/stored.h"

namespace sluice::worker {
namespace {

void bytes_to_unit(const std::uint8_t* from, std::size_t n, float* into) {
  for (std::size_t i = 0; i < n; ++i) into[i] = static_cast<float>(from[i]) * (1.0F / 255.0F);
}

/// Rows of a large chunk change places in runs of neighbours, which cost one walk to memory instead of one each; the cache as a whole is in random order.
constexpr std::uint32_t kRunRows = 16, kRunsAChunk = 512;

std::uint32_t run_rows(std::uint32_t chunk_rows) { return std::clamp(chunk_rows / kRunsAChunk, 1U, kRunRows); }

/// The run that is copied soon is on its way meanwhile: its first lines.
void fetch(const data::StoredRows& rows, std::uint64_t row) {
  constexpr std::uint64_t kLine = 64 / sizeof(float), kLines = 4;
  const std::uint64_t first = rows.offsets[row], end = std::min<std::uint64_t>(first + kLine * kLines, rows.indices.size());
  for (std::uint64_t at = first; at < end; at += kLine) {
    __builtin_prefetch(rows.indices.data() + at);
    __builtin_prefetch(rows.values.data() + at);
  }
}

/// Which permutation of which chunk.
struct RowOrder {
  std::uint64_t first_row = 0, seed = 0;
  std::uint32_t chunk_rows = 0, epoch = 0;
  friend bool operator==(const RowOrder&, const RowOrder&) = default;
};

}  // namespace

struct BatchReader::Impl {
  std::shared_ptr<const Dataset> keep;
  const data::StoredDataset* dataset;
  RowOrder order{};
  std::vector<std::uint32_t> permutation;  ///< of the chunk named by `order`
  std::span<float> given;                  ///< for dense rows; may be empty
  std::vector<float> dense, labels, values;
  std::vector<std::uint64_t> offsets;
  std::vector<std::uint32_t> indices;

  template <class T>
  static std::span<T> room(std::vector<T>& buffer, std::size_t n) {
    if (buffer.size() < n) buffer.resize(n + n / 4);
    return std::span(buffer).first(n);
  }

  void permute(const RowOrder& wanted) {
    if (wanted == order && !permutation.empty()) return;
    order = wanted;
    const std::uint32_t run = run_rows(wanted.chunk_rows);
    std::vector<std::uint32_t> runs((wanted.chunk_rows + run - 1) / run);
    std::iota(runs.begin(), runs.end(), 0U);
    SeededRng rng(mix64(mix64(wanted.seed, wanted.epoch), wanted.first_row));
    for (std::size_t i = runs.size(); i > 1; --i) std::swap(runs[i - 1], runs[rng.below(i)]);
    permutation.clear();
    for (const std::uint32_t r : runs) {
      for (std::uint32_t row = r * run; row < std::min(wanted.chunk_rows, (r + 1) * run); ++row) permutation.push_back(row);
    }
  }

  Batch gather_sparse(std::uint64_t first_row, std::span<const std::uint32_t> chosen, Batch batch) {
    const data::StoredRows& rows = dataset->rows();
    const std::span<std::uint64_t> ends = room(offsets, chosen.size() + 1);
    ends[0] = 0;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const std::uint64_t row = first_row + chosen[i];
      ends[i + 1] = ends[i] + rows.offsets[row + 1] - rows.offsets[row];
    }
    const std::span<std::uint32_t> columns = room(indices, ends.back());
    const std::span<float> numbers = room(values, ends.back());
    for (std::size_t i = 0, next = 0; i < chosen.size(); i = next) {
      next = i + 1;
      while (next < chosen.size() && chosen[next] == chosen[next - 1] + 1) ++next;
      const std::size_t ahead = next + (next - i);
      if (ahead < chosen.size()) fetch(rows, first_row + chosen[ahead]);
      const std::uint64_t from = rows.offsets[first_row + chosen[i]], n = ends[next] - ends[i];
      std::copy_n(rows.indices.data() + from, n, columns.data() + ends[i]);
      std::copy_n(rows.values.data() + from, n, numbers.data() + ends[i]);
    }
    batch.offsets = ends;
    batch.indices = columns;
    batch.values = numbers;
    return batch;
  }

  Batch gather_dense(std::uint64_t first_row, std::span<const std::uint32_t> chosen, Batch batch) {
    const data::StoredRows& rows = dataset->rows();
    const std::size_t width = dataset->shape().features;
    const std::size_t floats = chosen.size() * width;
    const std::span<float> into = floats <= given.size() ? given.first(floats) : room(dense, floats);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const std::size_t from = (first_row + chosen[i]) * width;
      if (rows.pixels.empty()) {
        std::copy_n(rows.dense.data() + from, width, into.data() + i * width);
      } else {
        bytes_to_unit(rows.pixels.data() + from, width, into.data() + i * width);
      }
    }
    batch.dense = into;
    return batch;
  }
};

BatchReader::BatchReader(std::shared_ptr<const Dataset> dataset) : impl_(std::make_unique<Impl>()) {
  impl_->keep = std::move(dataset);
  impl_->dataset = dynamic_cast<const data::StoredDataset*>(impl_->keep.get());
  SLUICE_ASSERT(impl_->dataset != nullptr);
}
BatchReader::~BatchReader() = default;

void BatchReader::use_memory(std::span<float> memory) { impl_->given = memory; }

Batch BatchReader::read(std::uint64_t first_row, std::uint32_t chunk_rows, std::uint64_t seed, std::uint32_t epoch, std::uint32_t offset, std::uint32_t rows) {
  const DataShape& shape = impl_->dataset->shape();
  SLUICE_ASSERT(offset <= chunk_rows && rows <= chunk_rows - offset && first_row <= shape.rows && chunk_rows <= shape.rows - first_row);
  impl_->permute({first_row, seed, chunk_rows, epoch});
  const std::span<const std::uint32_t> chosen = std::span<const std::uint32_t>(impl_->permutation).subspan(offset, rows);
  const std::span<float> labels = Impl::room(impl_->labels, rows);
  for (std::size_t i = 0; i < rows; ++i) labels[i] = impl_->dataset->rows().labels[first_row + chosen[i]];
  Batch batch;
  batch.rows = rows;
  batch.features = shape.features;
  batch.labels = labels;
  return shape.sparse ? impl_->gather_sparse(first_row, chosen, batch) : impl_->gather_dense(first_row, chosen, batch);
}

Batch BatchReader::read_plain(std::uint64_t first, std::uint32_t rows) {
  const DataShape& shape = impl_->dataset->shape();
  SLUICE_ASSERT(first <= shape.rows && rows <= shape.rows - first);
  const data::StoredRows& stored = impl_->dataset->rows();
  Batch batch;
  batch.rows = rows;
  batch.features = shape.features;
  batch.labels = stored.labels.subspan(first, rows);
  if (!shape.sparse) {
    if (!stored.pixels.empty()) {
      const std::span<float> into = Impl::room(impl_->dense, rows * shape.features);
      bytes_to_unit(stored.pixels.data() + first * shape.features, into.size(), into.data());
      batch.dense = into;
    } else {
      batch.dense = stored.dense.subspan(first * shape.features, rows * shape.features);
    }
    return batch;
  }
  const std::span<std::uint64_t> ends = Impl::room(impl_->offsets, rows + std::size_t{1});
  for (std::size_t i = 0; i <= rows; ++i) ends[i] = stored.offsets[first + i] - stored.offsets[first];
  batch.offsets = ends;
  batch.indices = stored.indices.subspan(stored.offsets[first], ends.back());
  batch.values = stored.values.subspan(stored.offsets[first], ends.back());
  return batch;
}

}  // namespace sluice::worker
