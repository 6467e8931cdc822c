#include <fmt/format.h>
#include <xxhash.h>

#include <functional>

#include "base/log.h"
#include "base/registry.h"
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
  Read read;
};

bool targets(const proto::DataSpec& spec) { return spec.labels == proto::LabelKind::kTargets; }

Registry<Format> formats() {
  Registry<Format> out("data format");
  out.add("csv", {"one file", 1, 1, [](auto& files, const auto& paths, const auto& spec, const Mapping* mapping, const auto& progress) {
                    return data::read_csv(files[0], paths[0], spec, {.mapping = mapping}, progress);
                  }});
  out.add("idx", {"[images, labels]", 2, 2, [](auto& files, const auto& paths, const auto& spec, const Mapping* mapping, const auto& progress) {
                    return data::read_idx(files[0], paths[0], files[1], paths[1], spec.labels, mapping, progress);
                  }});
  out.add("npy", {"[X.npy, y.npy] or one .npz file", 1, 2, [](auto& files, const auto& paths, const auto& spec, const Mapping* mapping, const auto& progress) {
                    return data::read_npy(files, paths, spec.labels, mapping, progress);
                  }});
  out.add("libsvm", {"one file", 1, 1, [](auto& files, const auto& paths, const auto& spec, const Mapping* mapping, const auto& progress) {
                       return data::read_libsvm(files[0], paths[0], {.features = spec.features, .targets = targets(spec), .mapping = mapping}, progress);
                     }});
  return out;
}

Result<void> check_files(const proto::DataSpec& spec, const std::vector<std::string>& paths, const Format& format) {
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

  Result<Cached> open(std::uint64_t bad_rows_max) {
    if (auto fits = check_files(spec_, paths_, format_); !fits) return fail(fits.error());
    std::vector<std::uint64_t> hashes;
    for (const std::string& path : paths_) {
      const auto hash = data::content_hash_of(options_.cache_dir, path);
      if (!hash) return fail(named(hash.error()));
      hashes.push_back(*hash);
    }
    const std::uint64_t name = content_hash(hashes);
    auto cached = data::open_cache(cache_path(name), name);
    if (!cached && cached.error().code == Errc::kBadData) log::warn("{}; building it again", cached.error().what);
    if (!cached) cached = build();
    if (cached && cached->bad_rows > bad_rows_max) return too_bad(paths_.back(), cached->bad_rows, cached->first_bad, bad_rows_max);
    if (cached && cached->dataset->shape().rows == 0) return fail(Errc::kBadData, fmt::format("{}: no rows", paths_.front()));
    return cached;
  }

 private:
  [[nodiscard]] Error named(const Error& error) const { return {error.code, fmt::format("data '{}': {}", spec_.name, error.what)}; }
  [[nodiscard]] std::string cache_path(std::uint64_t name) const { return fmt::format("{}/{:016x}.rows", options_.cache_dir, name); }

  /// Of the sources' bytes and everything that shapes the cache, but no path: equal on all hosts.
  [[nodiscard]] std::uint64_t content_hash(const std::vector<std::uint64_t>& sources) const {
    std::string text =
        fmt::format("{} {} {} {} {}", data::kCacheVersion, spec_.format, spec_.features, options_.shuffle_seed, targets(spec_) ? "targets" : "classes");
    if (spec_.format == "csv") {
      const proto::CsvSpec& csv = spec_.csv;
      text += fmt::format("\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}", csv.label, csv.separator, csv.header, csv.missing, fmt::join(csv.text, "\x1e"),
                          fmt::join(csv.skip, "\x1e"));
    }
    for (const std::uint64_t source : sources) text += fmt::format(" {:x}", source);
    if (mapping_ != nullptr) {
      text += fmt::format(" test {} {}", mapping_->features, mapping_->index_base);
      for (const std::int64_t label : mapping_->labels) text += fmt::format(" {}", label);
      text += mapping_->schema;
    }
    return XXH3_64bits(text.data(), text.size());
  }

  Result<Cached> build() {
    std::vector<SourceFile> files;
    for (const std::string& path : paths_) {
      auto file = SourceFile::open(path, SourceFile::Mode::kInflated);
      if (!file) return fail(named(file.error()));
      files.push_back(std::move(*file));
    }
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
    const std::uint64_t name = content_hash(hashes);
    if (auto done = data::write_cache(cache_path(name), *rows, options_.shuffle_seed, name); !done) return fail(done.error());
    auto cached = data::open_cache(cache_path(name), name);
    if (!cached) return fail(Errc::kIo, fmt::format("{} just after it was written", cached.error().what));
    return cached;
  }

  const proto::DataSpec& spec_;
  const std::vector<std::string>& paths_;
  const Mapping* mapping_;
  const Format& format_;
  const DataOptions& options_;
};

}  // namespace

Result<OpenedData> open_data(const proto::DataSpec& spec, const DataOptions& options) {
  const auto known = formats();
  const auto format = known.find(spec.format);
  if (!format) return fail(format.error());
  if (auto made = make_private_folder(options.cache_dir); !made) return fail(made.error());
  const auto train = Part(spec, spec.train, nullptr, **format, options).open(spec.max_bad_rows);
  if (!train) return fail(train.error());
  OpenedData out;
  out.train = train->dataset;
  out.mapping = data::to_json({train->mapping, train->dataset->shape()});
  out.bad_rows = train->bad_rows;
  if (spec.test.empty()) return out;
  const auto test = Part(spec, spec.test, &train->mapping, **format, options).open(spec.max_bad_rows - train->bad_rows);
  if (!test) return fail(test.error());
  out.test = test->dataset;
  out.bad_rows += test->bad_rows;
  return out;
}

Result<std::shared_ptr<const Dataset>> read_in_order(const proto::DataSpec& spec, const data::SavedMapping& as) {
  const auto known = formats();
  const auto format = known.find(spec.format);
  if (!format) return fail(format.error());
  if (auto fits = check_files(spec, spec.train, **format); !fits) return fail(fits.error());
  std::vector<SourceFile> files;
  for (const std::string& path : spec.train) {
    auto file = SourceFile::open(path, SourceFile::Mode::kInflated);
    if (!file) return fail(file.error());
    files.push_back(std::move(*file));
  }
  auto rows = (*format)->read(files, spec.train, spec, &as.mapping, {});
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
