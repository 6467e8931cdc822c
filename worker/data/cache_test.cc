#include "worker/data/cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>

#include "base/rng.h"
#include "base/temporary_file.h"
#include "worker/data/cache_layout.h"
#include "worker/data/fixtures.h"

namespace sluice::worker::data {
namespace {

using fixtures::Folder;

Rows sparse_example(std::uint32_t rows) {
  Rows out;
  out.sparse = true;
  out.mapping = {{-1, 1, 9}, rows, 1};
  out.offsets.push_back(0);
  for (std::uint32_t row = 0; row < rows; ++row) {  // row r: class r % 3, entries (r, r) when r is odd
    out.classes.push_back(row % 3);
    if (row % 2 == 1) out.indices.push_back(row), out.values.push_back(static_cast<float>(row));
    out.offsets.push_back(out.indices.size());
  }
  out.bad_rows = 2;
  out.first_bad = "4:1: what";
  return out;
}
Rows dense_example(std::uint32_t rows) {
  Rows out;
  out.mapping = {{0, 1, 2}, 4, 0};
  for (std::uint32_t row = 0; row < rows; ++row) {
    out.classes.push_back(row % 3);
    for (std::uint32_t i = 0; i < 4; ++i) out.pixels.push_back(static_cast<std::uint8_t>(row + i));
  }
  return out;
}

/// A cache holds each row once, whole, with its label; in an order that the seed decides.
TEST(Cache, HoldsEveryRowOnceInTheSeedsOrder) {
  const Folder folder;
  constexpr std::uint32_t kRows = 500;
  std::vector<std::vector<std::uint32_t>> orders;
  for (const std::uint64_t seed : {1U, 1U, 2U}) {
    const std::string path = folder.path() + "/sparse";
    ASSERT_TRUE(write_cache(path, sparse_example(kRows), seed, 77));
    const auto cached = open_cache(path, 77);
    ASSERT_TRUE(cached) << cached.error().what;
    EXPECT_EQ(cached->mapping.labels, (std::vector<std::int64_t>{-1, 1, 9}));
    EXPECT_EQ(cached->mapping.index_base, 1U);
    EXPECT_EQ(cached->bad_rows, 2U);
    EXPECT_EQ(cached->first_bad, "4:1: what");
    EXPECT_EQ(cached->dataset->content_hash(), 77U);
    const DataShape& shape = cached->dataset->shape();
    EXPECT_EQ(shape.rows, kRows);
    EXPECT_EQ(shape.features, kRows);
    EXPECT_EQ(shape.classes, 3U);
    EXPECT_TRUE(shape.sparse);
    BatchReader reader(cached->dataset);
    const Batch all = reader.read_plain(0, kRows);
    std::vector<std::uint32_t> odd;  // rows by their only index
    for (std::uint32_t i = 0; i < kRows; ++i) {
      if (all.offsets[i] == all.offsets[i + 1]) continue;
      odd.push_back(all.indices[all.offsets[i]]);
      EXPECT_EQ(all.values[all.offsets[i]], static_cast<float>(odd.back()));
      EXPECT_EQ(all.labels[i], static_cast<float>(odd.back() % 3));
    }
    orders.push_back(odd);
    std::sort(odd.begin(), odd.end());
    ASSERT_EQ(odd.size(), kRows / 2);
    for (std::uint32_t i = 0; i < odd.size(); ++i) EXPECT_EQ(odd[i], 2 * i + 1);
  }
  EXPECT_EQ(orders[0], orders[1]);
  EXPECT_NE(orders[0], orders[2]);
  EXPECT_FALSE(std::is_sorted(orders[0].begin(), orders[0].end()));
}

TEST(Cache, BytesAreReadAsFractionsOf255) {
  const Folder folder;
  ASSERT_TRUE(write_cache(folder.path() + "/dense", dense_example(200), 1, 5));
  const auto cached = open_cache(folder.path() + "/dense", 5);
  ASSERT_TRUE(cached);
  BatchReader reader(cached->dataset);
  const Batch all = reader.read_plain(0, 200);
  for (std::uint32_t i = 0; i < 200; ++i) {
    const float first = all.dense[4 * i] * 255;
    EXPECT_NEAR(first, std::round(first), 1e-4F);
    EXPECT_EQ(all.labels[i], static_cast<float>(static_cast<int>(std::lround(first)) % 3));
    EXPECT_NEAR(all.dense[4 * i + 3] * 255, first + 3, 1e-4F);
  }
}

/// Rows of floats, and targets as they are: no classes.
TEST(Cache, FloatsAndTargetsComeBackAsTheyWere) {
  const Folder folder;
  Rows rows;
  rows.regression = true;
  rows.mapping.features = 2;
  rows.mapping.schema = "columns";
  for (int i = 0; i < 50; ++i) {
    const auto x = static_cast<float>(i);
    rows.targets.push_back(-x / 3);
    rows.dense.insert(rows.dense.end(), {x, x * x});
  }
  ASSERT_TRUE(write_cache(folder.path() + "/floats", rows, 1, 5));
  const auto cached = open_cache(folder.path() + "/floats", 5);
  ASSERT_TRUE(cached) << cached.error().what;
  EXPECT_EQ(cached->mapping.schema, "columns");
  EXPECT_EQ(cached->dataset->shape().classes, 0U);
  EXPECT_EQ(cached->dataset->shape().rows, 50U);
  BatchReader reader(cached->dataset);
  const Batch all = reader.read_plain(0, 50);
  for (std::uint32_t i = 0; i < 50; ++i) {
    const float x = all.dense[2 * i];
    EXPECT_EQ(all.dense[2 * i + 1], x * x);
    EXPECT_EQ(all.labels[i], -x / 3);
  }
}

/// Any bit flipped anywhere that is read, and any cut, is noticed.
TEST(Cache, DamageAnywhereIsNoticed) {
  const Folder folder;
  const std::string path = folder.path() + "/cache";
  for (const bool sparse : {true, false}) {
    ASSERT_TRUE(write_cache(path, sparse ? sparse_example(25) : dense_example(25), 1, 9));
    ASSERT_TRUE(open_cache(path, 9));
    EXPECT_FALSE(open_cache(path, 10));  // of other data
    const std::string content = fixtures::read_file(path);
    for (std::size_t at = 0; at < content.size(); at += at < kCachePage && at >= sizeof(CacheHeader) ? kCachePage - at : 1) {
      if (at >= sizeof(CacheHeader) && at < kCachePage) continue;  // the rest of the header's page means nothing
      std::string flipped = content;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
      folder.write("flipped", flipped);
      const auto opened = open_cache(folder.path() + "/flipped", 9);
      ASSERT_FALSE(opened) << "byte " << at;
      EXPECT_EQ(opened.error().code, Errc::kBadData);
    }
    for (std::size_t size = 0; size < content.size(); size += 13) {
      folder.write("cut", content.substr(0, size));
      EXPECT_FALSE(open_cache(folder.path() + "/cut", 9)) << size;
    }
    folder.write("long", content + "x");
    EXPECT_FALSE(open_cache(folder.path() + "/long", 9));
  }
}

/// Sections that begin and end in the midst of a block, and damage in the last one.
TEST(Cache, ManyBlocksAreReadAndChecked) {
  const Folder folder;
  const std::string path = folder.path() + "/cache";
  constexpr std::uint32_t kRows = 400'000;  // labels and pixels are 1.6 MB each
  ASSERT_TRUE(write_cache(path, dense_example(kRows), 1, 5));
  const auto cached = open_cache(path, 5);
  ASSERT_TRUE(cached);
  BatchReader reader(cached->dataset);
  std::vector<std::uint32_t> counts(256);
  for (std::uint32_t first = 0; first < kRows; first += 1000) {
    const Batch batch = reader.read_plain(first, 1000);
    for (std::uint32_t i = 0; i < 1000; ++i) ++counts[static_cast<std::size_t>(std::lround(batch.dense[4 * i] * 255))];
  }
  for (std::uint32_t value = 0; value < 256; ++value) EXPECT_EQ(counts[value], kRows / 256 + (value < kRows % 256 ? 1 : 0));
  std::string content = fixtures::read_file(path);
  ASSERT_GT(content.size(), 3 * kCacheBlock);
  content[content.size() - 100] = static_cast<char>(content[content.size() - 100] ^ 1);
  folder.write("damaged", content);
  EXPECT_FALSE(open_cache(folder.path() + "/damaged", 5));
}

TEST(Cache, HeadersOfImpossibleFilesAreRefused) {
  CacheHeader header;
  header.rows = std::uint64_t{1} << 40;
  header.features = std::uint64_t{1} << 40;
  EXPECT_FALSE(layout_of(header));
  header.kind = kSparseRows;
  header.entries = ~std::uint64_t{0};
  EXPECT_FALSE(layout_of(header));
}

/// Runs `write` with files limited to `bytes`: a write beyond fails with an error, as on a full disk.
template <class Write>
auto with_file_limit(std::uint64_t bytes, Write write) {
  rlimit before{};
  EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{bytes, before.rlim_max};
  sigset_t set, kept;  // the signal that comes with the error is held back and then taken away
  sigemptyset(&set);
  sigaddset(&set, SIGXFSZ);
  EXPECT_EQ(::pthread_sigmask(SIG_BLOCK, &set, &kept), 0);
  EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  auto result = write();
  EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  const timespec now{0, 0};
  EXPECT_EQ(::sigtimedwait(&set, nullptr, &now), SIGXFSZ);
  EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, &kept, nullptr), 0);
  return result;
}

TEST(Cache, ADiskThatIsFullIsNamedAndNothingIsLeft) {
  const Folder folder;
  const auto written = with_file_limit(100'000, [&] { return write_cache(folder.path() + "/cache", dense_example(200'000), 1, 5); });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::kIo);
  EXPECT_NE(written.error().what.find(folder.path()), std::string::npos);
  EXPECT_TRUE(folder.list().empty());
}

TEST(Cache, AMissingFolderIsNamed) {
  const auto written = write_cache("/nonexistent/folder/cache", dense_example(2), 1, 5);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::kIo);
}

/// What a killed process left is removed by the next writer; what another one is writing is not.
TEST(TemporaryFile, LeftoversAreRemovedButNotAnothersWork) {
  const Folder folder;
  folder.write(".sluice-part-1-1", "left by a killed process");
  folder.write("kept", "not ours");
  auto other = TemporaryFile::create(folder.path());
  ASSERT_TRUE(other);
  auto mine = TemporaryFile::create(folder.path());
  ASSERT_TRUE(mine);
  EXPECT_EQ(folder.list().size(), 3U);  // other, mine, kept
  ASSERT_TRUE(mine->append(as_bytes_of(std::span<const char>("text", 4))));
  ASSERT_TRUE(mine->commit(folder.path() + "/done"));
  EXPECT_EQ(fixtures::read_file(folder.path() + "/done"), "text");
  ASSERT_TRUE(other->commit(folder.path() + "/done"));
  EXPECT_EQ(folder.list(), (std::vector<std::string>{"done", "kept"}));
}

}  // namespace
}  // namespace sluice::worker::data
