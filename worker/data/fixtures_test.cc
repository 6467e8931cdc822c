/// Named so that it is built into the room's tests, not into its library.

#include "worker/data/fixtures.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/assert.h"
#include "base/rng.h"

namespace sluice::worker::fixtures {
namespace {

struct Owned {
  std::vector<float> labels, dense, values;
  std::vector<std::uint64_t> offsets;
  std::vector<std::uint32_t> indices;
};

float draw(SeededRng& rng) { return static_cast<float>(2 * rng.uniform() - 1); }

/// The class whose random weights (fixed by class and feature) fit the row best; with no classes one class's fit, and a little.
class Rule {
 public:
  Rule(std::uint32_t classes, std::uint64_t seed) : scores_(std::max(classes, 1U)), regression_(classes == 0), seed_(seed) {}
  void add(std::uint64_t feature, float value) {
    for (std::uint32_t c = 0; c < scores_.size(); ++c) scores_[c] += (2 * unit_double(mix64(mix64(seed_, feature), c)) - 1) * static_cast<double>(value);
  }
  float label() {
    const auto best = std::max_element(scores_.begin(), scores_.end());
    const auto label = regression_ ? static_cast<float>(scores_[0]) + 0.25F : static_cast<float>(best - scores_.begin());
    std::fill(scores_.begin(), scores_.end(), 0.0);
    return label;
  }

 private:
  std::vector<double> scores_;
  bool regression_;
  std::uint64_t seed_;
};

}  // namespace

std::shared_ptr<const Dataset> dense_rows(std::uint64_t rows, std::uint64_t features, std::uint32_t classes, std::uint64_t seed) {
  auto owned = std::make_shared<Owned>();
  SeededRng rng(seed);
  Rule rule(classes, seed);
  for (std::uint64_t i = 0; i < rows; ++i) {
    for (std::uint64_t f = 0; f < features; ++f) rule.add(f, owned->dense.emplace_back(draw(rng)));
    owned->labels.push_back(rule.label());
  }
  const DataShape shape{rows, features, classes, false};
  data::StoredRows stored;
  stored.labels = owned->labels;
  stored.dense = owned->dense;
  return std::make_shared<data::StoredDataset>(shape, stored, seed, owned);
}

std::shared_ptr<const Dataset> sparse_rows(std::uint64_t rows, std::uint64_t features, std::uint32_t classes, std::uint64_t seed) {
  auto owned = std::make_shared<Owned>();
  SeededRng rng(seed);
  Rule rule(classes, seed);
  owned->offsets.push_back(0);
  for (std::uint64_t i = 0; i < rows; ++i) {
    const std::uint64_t entries = rng.below(7);
    std::vector<std::uint32_t> columns;
    for (std::uint64_t e = 0; e < entries; ++e) columns.push_back(static_cast<std::uint32_t>(rng.below(features) & ~std::uint64_t{1}));
    std::sort(columns.begin(), columns.end());
    columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
    for (const std::uint32_t column : columns) {
      owned->indices.push_back(column);
      rule.add(column, owned->values.emplace_back(draw(rng)));
    }
    owned->labels.push_back(rule.label());
    owned->offsets.push_back(owned->indices.size());
  }
  const DataShape shape{rows, features, classes, true};
  data::StoredRows stored;
  stored.labels = owned->labels;
  stored.offsets = owned->offsets;
  stored.indices = owned->indices;
  stored.values = owned->values;
  return std::make_shared<data::StoredDataset>(shape, stored, seed, owned);
}

std::shared_ptr<const Dataset> pair_rows(std::uint64_t rows, std::uint64_t features, bool sparse, std::uint64_t seed) {
  auto owned = std::make_shared<Owned>();
  SeededRng rng(seed);
  Rule rule(0, seed);
  owned->offsets.push_back(0);
  for (std::uint64_t i = 0; i < rows; ++i) {
    const std::uint64_t side = features / 2, lacks = i % 5 == 4 ? 1 + rng.below(3) : 0;
    std::vector<std::uint32_t> of;
    if (lacks != 1 && lacks != 3) of.push_back(static_cast<std::uint32_t>(rng.below(side)));
    if (lacks < 2) of.push_back(static_cast<std::uint32_t>(side + rng.below(features - side)));
    for (const std::uint32_t feature : of) rule.add(feature, 1);
    for (std::uint64_t f = 0; f < features; ++f) owned->dense.push_back(std::count(of.begin(), of.end(), f) > 0 ? 1.0F : 0.0F);
    owned->indices.insert(owned->indices.end(), of.begin(), of.end());
    owned->values.resize(owned->indices.size(), 1);
    owned->offsets.push_back(owned->indices.size());
    owned->labels.push_back(rule.label());
  }
  data::StoredRows stored;
  stored.labels = owned->labels;
  if (sparse) {
    stored.offsets = owned->offsets;
    stored.indices = owned->indices;
    stored.values = owned->values;
  } else {
    stored.dense = owned->dense;
  }
  return std::make_shared<data::StoredDataset>(DataShape{rows, features, 0, sparse}, stored, seed, owned);
}

Folder::Folder() : path_((std::filesystem::temp_directory_path() / "sluice-test-XXXXXX").string()) { SLUICE_ASSERT(::mkdtemp(path_.data()) != nullptr); }
Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Folder::write(const std::string& name, std::string_view content) const {
  const std::string path = path_ + "/" + name;
  std::filesystem::remove(path);  // a new file: some file systems sync one that is cut and written again
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string Folder::write_gzip(const std::string& name, std::string_view content) const {
  const std::string path = path_ + "/" + name;
  gzFile file = gzopen(path.c_str(), "wb");
  SLUICE_ASSERT(file != nullptr && gzwrite(file, content.data(), static_cast<unsigned>(content.size())) == static_cast<int>(content.size()));
  gzclose(file);
  return path;
}

std::vector<std::string> Folder::list() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string idx_bytes(const std::vector<std::uint32_t>& dimensions, std::string_view content) {
  std::string out{'\0', '\0', '\x08', static_cast<char>(dimensions.size())};
  for (const std::uint32_t size : dimensions) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xff);
  }
  return out.append(content);
}

}  // namespace sluice::worker::fixtures
