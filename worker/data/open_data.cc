#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/log.h"
#include "base/registry.h"
#include "base/rng.h"
#include "base/temporary_file.h"
#include "worker/data/cache.h"
#include "worker/data/cache_layout.h"
#include "worker/data/csv.h"
#include "worker/data/dataset.h"
#include "worker/data/idx.h"
#include "worker/data/libsvm.h"
#include "worker/data/mapping.h"
#include "worker/data/npy.h"
#include "worker/data/source_record.h"
#include "worker/data/stored.h"

namespace sluice::worker {
namespace {

constexpr std::uint64_t kHeldOutSeed = 0x68656c64;  // so that the draw is not the shuffle's

using data::Cached;
using data::Mapping;
using data::Rows;
using data::SourceFile;

/// Reads one part (train or test) of a dataset from its opened files.
using Read = std::function<Result<Rows>(std::vector<SourceFile>& files, const std::vector<std::string>& paths, const proto::DataSpec& spec,
                                        const Mapping* mapping, const data::Progress& progress)>;
struct Format {
  std::string files;  ///< what a part consists of, in order, for messages
  std::size_t files_least = 1, files_most = 1;
  bool text = false;  ///< a part of it can be read
  Read read;
};

bool targets(const proto::DataSpec& spec) { return spec.labels == proto::LabelKind::kTargets; }

Registry<Format> formats() {
  Registry<Format> out("data format");
  out.add("csv", {"one file", 1, 1, true, [](auto& files, const auto& paths, const auto& spec, const Mapping* mapping, const auto& progress) {
                    return data::read_csv(files[0], paths[0], spec, {.mapping = mapping}, progress);
                  }});
  out.add("idx", {"[images, labels]", 2, 2, false, [](auto& files, const auto& paths, const auto& spec, const Mapping* mapping, const auto& progress) {
                    return data::read_idx(files[0], paths[0], files[1], paths[1], spec.labels, mapping, progress);
                  }});
  out.add("npy",
          {"[X.npy, y.npy] or one .npz file", 1, 2, false, [](auto& files, const auto& paths, const auto& spec, const Mapping* mapping, const auto& progress) {
             return data::read_npy(files, paths, spec.labels, mapping, progress);
           }});
  out.add("libsvm", {"one file", 1, 1, true, [](auto& files, const auto& paths, const auto& spec, const Mapping* mapping, const auto& progress) {
                       return data::read_libsvm(files[0], paths[0], {.features = spec.features, .targets = targets(spec), .mapping = mapping}, progress);
                     }});
  return out;
}

Result<std::vector<SourceFile>> open_files(const std::vector<std::string>& paths) {
  std::vector<SourceFile> out;
  for (const std::string& path : paths) {
    auto file = SourceFile::open(path, SourceFile::Mode::kInflated);
    if (!file) return fail(file.error());
    out.push_back(std::move(*file));
  }
  return out;
}

Result<void> check_count(const proto::DataSpec& spec, const std::vector<std::string>& paths, const Format& format) {
  if (paths.size() >= format.files_least && paths.size() <= format.files_most) return {};
  return fail(Errc::kBadConfig, fmt::format("data '{}': format {} needs {}, {} named", spec.name, spec.format, format.files, paths.size()));
}

tl::unexpected<Error> too_bad(const std::string& path, std::uint64_t bad_rows, const std::string& first, std::uint64_t allowed) {
  const std::string count = fmt::format("{} bad row{}, {} allowed (max_bad_rows)", bad_rows, bad_rows == 1 ? "" : "s", allowed);
  return fail(Errc::kBadData, fmt::format("{}:{}: {}", path, first, count));
}

/// One part of one dataset, on its way to a cache.
class Part {
 public:
  Part(const proto::DataSpec& spec, const std::vector<std::string>& paths, const Mapping* mapping, const Format& format, const DataOptions& options)
      : spec_(spec), paths_(paths), mapping_(mapping), format_(format), options_(options) {}

  /// The part's rows; two of them where some are held out: those to train on, and those.
  Result<std::vector<Cached>> open(std::uint64_t bad_rows_max) {
    if (auto right = check_count(spec_, paths_, format_); !right) return fail(right.error());
    std::vector<std::uint64_t> hashes;
    for (const std::string& path : paths_) {
      const auto hash = data::content_hash_of(options_.cache_dir, path);
      if (!hash) return fail(named(hash.error()));
      hashes.push_back(*hash);
    }
    auto cached = open_caches(hashes);
    if (!cached && cached.error().code == Errc::kBadData) log::warn("{}; building it again", cached.error().what);
    converted_ = !cached;
    if (!cached) cached = build();
    if (!cached) return cached;
    const Cached& first = cached->front();
    if (first.bad_rows > bad_rows_max) return too_bad(paths_.back(), first.bad_rows, first.first_bad, bad_rows_max);
    if (first.dataset->shape().rows == 0 && first.bad_rows > 0)
      return fail(Errc::kBadData, fmt::format("{}:{}: so all {} rows are bad", paths_.back(), first.first_bad, first.bad_rows));
    if (first.dataset->shape().rows == 0) return fail(Errc::kBadData, fmt::format("{}: no rows", paths_.front()));
    return cached;
  }

  /// Of what open() gave.
  [[nodiscard]] const std::vector<std::string>& cache_files() const { return cache_files_; }
  [[nodiscard]] bool converted() const { return converted_; }

 private:
  [[nodiscard]] Error named(const Error& error) const { return {error.code, fmt::format("data '{}': {}", spec_.name, error.what)}; }
  [[nodiscard]] std::string cache_path(std::uint64_t name) const { return fmt::format("{}/{:016x}.rows", options_.cache_dir, name); }

  [[nodiscard]] bool holds_out() const { return mapping_ == nullptr && spec_.held_out.share > 0; }
  [[nodiscard]] std::size_t cache_count() const { return holds_out() ? 2 : 1; }

  Result<std::vector<Cached>> open_caches(const std::vector<std::uint64_t>& sources) {
    std::vector<Cached> out;
    cache_files_.clear();
    for (std::size_t part = 0; part < cache_count(); ++part) {
      const std::uint64_t name = content_hash(sources, part);
      cache_files_.push_back(cache_path(name));
      auto cached = data::open_cache(cache_files_.back(), name);
      if (!cached) return fail(cached.error());
      out.push_back(std::move(*cached));
    }
    return out;
  }

  /// Of the sources' bytes and everything that shapes the cache, but no path: equal on all hosts. part: 1: the rows held out.
  [[nodiscard]] std::uint64_t content_hash(const std::vector<std::uint64_t>& sources, std::size_t part) const {
    std::string text =
        fmt::format("{} {} {} {} {}", data::kCacheVersion, spec_.format, spec_.features, options_.shuffle_seed, targets(spec_) ? "targets" : "classes");
    if (spec_.format == "csv") {
      const proto::CsvSpec& csv = spec_.csv;
      text += fmt::format("\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}", csv.label, csv.separator, csv.header, csv.missing, fmt::join(csv.text, "\x1e"),
                          fmt::join(csv.skip, "\x1e"));
    }
    for (const std::uint64_t source : sources) text += fmt::format(" {:x}", source);
    if (holds_out()) text += fmt::format(" held out {} {} {}", spec_.held_out.share, spec_.held_out.from, part);
    if (mapping_ != nullptr) {
      text += fmt::format(" test {} {}", mapping_->features, mapping_->index_base);
      for (const std::int64_t label : mapping_->labels) text += fmt::format(" {}", label);
      text += mapping_->schema;
    }
    return XXH3_64bits(text.data(), text.size());
  }

  /// Which rows are held out, increasing.
  [[nodiscard]] std::vector<std::uint64_t> held_out(std::uint64_t rows) const {
    const auto count = static_cast<std::uint64_t>(std::llround(spec_.held_out.share * static_cast<double>(rows)));
    std::vector<std::uint64_t> out(rows);
    std::iota(out.begin(), out.end(), std::uint64_t{0});
    if (spec_.held_out.from == "last") {
      out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(count));
      return out;
    }
    SeededRng rng(mix64(mix64(options_.shuffle_seed, rows), kHeldOutSeed));
    for (std::uint64_t i = 0; i < count; ++i) std::swap(out[i], out[i + rng.below(rows - i)]);
    out.resize(count);
    std::sort(out.begin(), out.end());
    return out;
  }

  Result<void> write(const Rows& rows, const std::vector<std::uint64_t>& sources) {
    const auto write_one = [&](const Rows& part, std::size_t number) {
      const std::uint64_t name = content_hash(sources, number);
      return data::write_cache(cache_path(name), part, options_.shuffle_seed, name);
    };
    if (!holds_out()) return write_one(rows, 0);
    const auto held = held_out(rows.count());
    if (held.empty() || held.size() == rows.count())
      return fail(Errc::kBadData,
                  fmt::format("{}: of {} rows {} would be held out; give another share, or a test file", paths_.front(), rows.count(), held.size()));
    const auto [trained, scored] = data::cut_rows(rows, held);
    if (auto done = write_one(trained, 0); !done) return done;
    return write_one(scored, 1);
  }

  Result<std::vector<Cached>> build() {
    auto opened = open_files(paths_);
    if (!opened) return fail(named(opened.error()));
    std::vector<SourceFile>& files = *opened;
    int told = -10;
    const auto progress = [&](int percent) {
      if (!options_.progress || percent < told + 10) return;
      told = percent;
      options_.progress(fmt::format("converting {}: {} %", paths_.front(), percent));
    };
    const auto rows = format_.read(files, paths_, spec_, mapping_, progress);
    if (!rows) return fail(rows.error());
    if (mapping_ == nullptr && !rows->mapping.schema.empty() && options_.progress) {
      if (const auto schema = data::csv_schema_from_bytes(rows->mapping.schema))
        options_.progress(fmt::format("{}: {}", paths_.front(), data::describe(*schema)));
    }
    std::vector<std::uint64_t> hashes;
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (files[i].changed()) return fail(Errc::kBadData, fmt::format("{}: was changed while it was read", paths_[i]));
      hashes.push_back(files[i].hash());
    }
    if (auto done = write(*rows, hashes); !done) return fail(done.error());
    auto cached = open_caches(hashes);
    if (!cached) return fail(Errc::kIo, fmt::format("{} just after it was written", cached.error().what));
    return cached;
  }

  const proto::DataSpec& spec_;
  const std::vector<std::string>& paths_;
  const Mapping* mapping_;
  const Format& format_;
  const DataOptions& options_;
  std::vector<std::string> cache_files_;
  bool converted_ = false;
};

}  // namespace

Result<OpenedData> open_data(const proto::DataSpec& spec, const DataOptions& options) {
  const auto known = formats();
  const auto format = known.find(spec.format);
  if (!format) return fail(format.error());
  if (auto made = make_private_folder(options.cache_dir); !made) return fail(made.error());
  Part train_part(spec, spec.train, nullptr, **format, options);
  const auto opened = train_part.open(spec.max_bad_rows);
  if (!opened) return fail(opened.error());
  const Cached& train = opened->front();
  OpenedData out;
  out.train = train.dataset;
  out.bad_rows = train.bad_rows;
  out.mapping = train.mapping;
  out.first_bad = train.first_bad;
  out.train_cache = train_part.cache_files().front();
  out.converted = train_part.converted();
  if (opened->size() > 1) {
    out.test = opened->back().dataset;
    out.test_cache = train_part.cache_files().back();
  }
  if (spec.test.empty()) return out;
  Part test_part(spec, spec.test, &train.mapping, **format, options);
  const auto test = test_part.open(spec.max_bad_rows - train.bad_rows);
  if (!test) return fail(test.error());
  out.test = test->front().dataset;
  out.bad_rows += test->front().bad_rows;
  if (train.bad_rows == 0 && test->front().bad_rows > 0) out.first_bad = fmt::format("{}:{}", spec.test.back(), test->front().first_bad);
  out.test_cache = test_part.cache_files().front();
  out.converted = out.converted || test_part.converted();
  return out;
}

Result<data::Rows> preview_data(const proto::DataSpec& spec, std::uint64_t bytes) {
  const auto known = formats();
  const auto format = known.find(spec.format);
  if (!format) return fail(format.error());
  if (auto right = check_count(spec, spec.train, **format); !right) return fail(right.error());
  auto files = open_files(spec.train);
  if (!files) return fail(files.error());
  if ((*format)->text) {
    files->front().stop_after(bytes);
    if (auto rows = (*format)->read(*files, spec.train, spec, nullptr, {}); rows && rows->count() > 0) return rows;
    files = open_files(spec.train);  // a quoted cell may have been cut: then all of it
    if (!files) return fail(files.error());
  }
  return (*format)->read(*files, spec.train, spec, nullptr, {});
}

std::vector<std::string> class_names(const data::Mapping& mapping) {
  if (!mapping.schema.empty()) {
    const auto schema = data::csv_schema_from_bytes(mapping.schema);
    if (schema && !schema->class_names.empty()) return schema->class_names;
  }
  std::vector<std::string> out;
  for (const std::int64_t label : mapping.labels) out.push_back(std::to_string(label));
  return out;
}

Result<std::shared_ptr<const Dataset>> read_in_order(const proto::DataSpec& spec, const data::SavedMapping& as) {
  const auto known = formats();
  const auto format = known.find(spec.format);
  if (!format) return fail(format.error());
  if (auto right = check_count(spec, spec.train, **format); !right) return fail(right.error());
  auto files = open_files(spec.train);
  if (!files) return fail(files.error());
  auto rows = (*format)->read(*files, spec.train, spec, &as.mapping, {});
  if (!rows) return fail(rows.error());
  if (rows->bad_rows > spec.max_bad_rows) return too_bad(spec.train.back(), rows->bad_rows, rows->first_bad, spec.max_bad_rows);
  if (rows->count() == 0) return fail(Errc::kBadData, fmt::format("{}: no rows", spec.train.front()));
  struct Owned {
    Rows rows;
    std::vector<float> labels;
  };
  auto owned = std::make_shared<Owned>(Owned{std::move(*rows), {}});
  const Rows& r = owned->rows;
  owned->labels = r.regression ? r.targets : std::vector<float>(r.classes.begin(), r.classes.end());
  DataShape shape = as.shape;
  shape.rows = owned->labels.size();
  const data::StoredRows stored{owned->labels, r.offsets, r.indices, r.values, r.pixels, r.dense};
  return std::make_shared<data::StoredDataset>(shape, stored, 0, owned);
}

}  // namespace sluice::worker
