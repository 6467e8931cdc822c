#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <tbb/parallel_for.h>
#include <utime.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "worker/data/fixtures.h"
#include "worker/data/source_record.h"

namespace sluice::worker {
namespace {

using fixtures::Folder;
using fixtures::idx_bytes;

class OpenData : public ::testing::Test {
 protected:
  Folder folder;
  std::vector<std::string> said;
  DataOptions options{.cache_dir = folder.path() + "/state/cache", .progress = [this](const std::string& words) { said.push_back(words); }};

  proto::DataSpec libsvm(const std::string& train, const std::string& test = "") {
    proto::DataSpec spec;
    spec.name = "words";
    spec.format = "libsvm";
    spec.train = {folder.write("train.txt", train)};
    if (!test.empty()) spec.test = {folder.write("test.txt", test)};
    return spec;
  }
  [[nodiscard]] std::vector<std::string> caches() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(options.cache_dir)) {
      if (entry.path().extension() == ".rows") out.push_back(entry.path().string());
    }
    return out;
  }
};

TEST_F(OpenData, ConvertsOnceThenOnlyOpens) {
  const auto spec = libsvm("1 1:1 2:2\n-1 3:3\n1 1:4\n", "1 3:1\n-1 9:9\n");
  const auto first = open_data(spec, options);
  ASSERT_TRUE(first) << first.error().what;
  EXPECT_EQ(first->train->shape().rows, 3U);
  EXPECT_EQ(first->train->shape().classes, 2U);
  EXPECT_EQ(first->test->shape().rows, 2U);
  EXPECT_EQ(first->test->shape().features, first->train->shape().features);
  EXPECT_NE(first->train->content_hash(), first->test->content_hash());
  EXPECT_FALSE(said.empty());
  EXPECT_NE(said[0].find("converting"), std::string::npos);
  struct stat status {};
  ASSERT_EQ(::stat(options.cache_dir.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  said.clear();
  const auto second = open_data(spec, options);
  ASSERT_TRUE(second);
  EXPECT_TRUE(said.empty());
  EXPECT_EQ(second->train->content_hash(), first->train->content_hash());
}

/// The hash is of the content, not of the path; other content or options have another.
TEST_F(OpenData, TheHashIsOfContentAndOptions) {
  const auto spec = libsvm("1 1:1\n2 2:1\n");
  const auto hash = [&](const proto::DataSpec& s, std::uint64_t seed = 1) {
    DataOptions o = options;
    o.shuffle_seed = seed;
    return (*open_data(s, o)).train->content_hash();
  };
  const std::uint64_t original = hash(spec);
  auto moved = spec;
  moved.train = {folder.write("elsewhere.txt", "1 1:1\n2 2:1\n")};
  EXPECT_EQ(hash(moved), original);
  EXPECT_EQ(caches().size(), 1U);
  auto declared = spec;
  declared.features = 7;
  EXPECT_NE(hash(declared), original);
  EXPECT_NE(hash(spec, 2), original);
  auto regression = spec;
  regression.labels = proto::LabelKind::kTargets;
  EXPECT_NE(hash(regression), original);
  folder.write("train.txt", "1 1:1\n2 2:2\n");
  EXPECT_NE(hash(spec), original);
}

TEST_F(OpenData, ADamagedCacheIsBuiltAgain) {
  const auto spec = libsvm("1 1:1\n2 2:1\n");
  ASSERT_TRUE(open_data(spec, options));
  ASSERT_EQ(caches().size(), 1U);
  const std::string name = "state/cache/" + std::filesystem::path(caches()[0]).filename().string();
  const std::string good = fixtures::read_file(caches()[0]);
  std::string flipped = good;
  flipped[4100] = static_cast<char>(flipped[4100] ^ 1);
  for (const std::string& damaged : {good.substr(0, 4200), std::string(), std::string("nothing"), flipped}) {
    std::filesystem::remove(caches()[0]);  // not cut while it may be mapped
    folder.write(name, damaged);
    const auto opened = open_data(spec, options);
    ASSERT_TRUE(opened) << opened.error().what;
    EXPECT_EQ(opened->train->shape().rows, 2U);
    EXPECT_EQ(fixtures::read_file(folder.path() + "/" + name), good);
  }
}

/// max_bad_rows counts the bad rows of both files, also when they come from a cache made under a larger limit.
TEST_F(OpenData, BadRowsAreAllowedUpToTheLimit) {
  auto spec = libsvm("1 1:1\nrubbish\n2 2:1\n", "1 1:1\n3 1:1\n");
  for (int round = 0; round < 2; ++round) {
    spec.max_bad_rows = 2;
    const auto enough = open_data(spec, options);
    ASSERT_TRUE(enough) << enough.error().what;
    EXPECT_EQ(enough->bad_rows, 2U);
    EXPECT_EQ(enough->first_bad, "2:1: label 'rubbish' is not a whole number");
    spec.max_bad_rows = 1;
    const auto in_test = open_data(spec, options);
    ASSERT_FALSE(in_test);
    EXPECT_EQ(in_test.error().code, Errc::kBadData);
    EXPECT_TRUE(in_test.error().what.starts_with(spec.test[0] + ":2:1: label 3")) << in_test.error().what;
    spec.max_bad_rows = 0;
    const auto in_train = open_data(spec, options);
    ASSERT_FALSE(in_train);
    EXPECT_EQ(in_train.error().what, spec.train[0] + ":2:1: label 'rubbish' is not a whole number: 1 bad row, 0 allowed (max_bad_rows)");
  }
}

TEST_F(OpenData, WhereOnlyTheTestPartHasBadRowsItsFirstIsTold) {
  auto spec = libsvm("1 1:1\n2 2:1\n", "1 1:1\n3 1:1\n");
  spec.max_bad_rows = 1;
  const auto data = open_data(spec, options);
  ASSERT_TRUE(data) << data.error().what;
  EXPECT_EQ(data->bad_rows, 1U);
  EXPECT_TRUE(data->first_bad.starts_with(spec.test[0] + ":2:1: label 3")) << data->first_bad;
}

TEST_F(OpenData, MistakesAreNamed) {
  const auto error = [&](const proto::DataSpec& spec) {
    const auto opened = open_data(spec, options);
    return opened ? Error{Errc::kInternal, "none"} : opened.error();
  };
  auto spec = libsvm("1 1:1\n2 2:1\n");
  spec.format = "libsv";
  EXPECT_NE(error(spec).what.find("did you mean 'libsvm'"), std::string::npos);
  spec.format = "idx";
  EXPECT_NE(error(spec).what.find("format idx needs [images, labels], 1 named"), std::string::npos);
  spec.format = "libsvm";
  spec.train = {folder.path() + "/none"};
  EXPECT_EQ(error(spec).code, Errc::kNotFound);
  EXPECT_EQ(error(spec).what, "data 'words': " + folder.path() + "/none: No such file or directory");
  EXPECT_NE(error(libsvm("# nothing\n")).what.find("no rows"), std::string::npos);
  auto all_bad = libsvm("x 1:1\ny 1:1\n");
  all_bad.max_bad_rows = 9;
  EXPECT_EQ(error(all_bad).what, all_bad.train[0] + ":1:1: label 'x' is not a whole number: so all 2 rows are bad");
  options.cache_dir = "/proc/nowhere";
  const auto unwritable = error(libsvm("1 1:1\n2 2:1\n"));
  EXPECT_EQ(unwritable.code, Errc::kIo);
  EXPECT_NE(unwritable.what.find("/proc/nowhere"), std::string::npos);
}

TEST_F(OpenData, ImagesFromGzip) {
  proto::DataSpec spec;
  spec.name = "tiny";
  spec.format = "idx";
  spec.train = {folder.write_gzip("i.gz", idx_bytes({2, 1, 2}, std::string("\0\xff\x33\x66", 4))),
                folder.write_gzip("l.gz", idx_bytes({2}, std::string("\0\1", 2)))};
  spec.test = spec.train;
  const auto opened = open_data(spec, options);
  ASSERT_TRUE(opened) << opened.error().what;
  BatchReader reader(opened->test);
  const Batch batch = reader.read_plain(0, 2);
  const std::uint32_t first = batch.labels[0] == 0 ? 0 : 1;
  EXPECT_FLOAT_EQ(batch.dense[2 * first], 0);
  EXPECT_FLOAT_EQ(batch.dense[2 * first + 1], 1);
  EXPECT_FLOAT_EQ(batch.dense[2 * (1 - first)], 0.2F);
}

/// CSV: the test part follows the training part through the cache as it does without one; every option makes another cache; what was found is told.
TEST_F(OpenData, CsvFollowsItsTrainingPartThroughTheCache) {
  proto::DataSpec spec;
  spec.name = "cars";
  spec.format = "csv";
  spec.train = {folder.write("train.csv", "colour,size,kind\nred,1,a\nblue,2,\"b c\"\nred,3,a\n")};
  spec.test = {folder.write("test.csv", "colour,size,kind\nblue,7,\"b c\"\ngreen,8,a\n")};
  for (int round = 0; round < 2; ++round) {
    const auto opened = open_data(spec, options);
    ASSERT_TRUE(opened) << opened.error().what;
    EXPECT_EQ(opened->train->shape().classes, 2U);
    ASSERT_EQ(opened->test->shape().features, 3U);
    BatchReader reader(opened->test);
    const Batch batch = reader.read_plain(0, 2);
    const std::uint32_t blue = batch.labels[0] == 1 ? 0 : 1;
    EXPECT_EQ(std::vector<float>(batch.dense.begin() + 3 * blue, batch.dense.begin() + 3 * blue + 3), (std::vector<float>{1, 0, 7}));
  }
  EXPECT_TRUE(std::any_of(said.begin(), said.end(), [](const std::string& words) {
    return words.find("3 columns: 1 numbers, 1 text (categories: 'colour' 2); label 'kind'") != std::string::npos;
  }));
  spec.test.clear();
  const std::size_t before = caches().size();
  std::vector<proto::CsvSpec> others(4);
  others[0].label = "colour";
  others[1].missing = "zero";
  others[2].skip = {"size"};
  others[3].text = {"size"};
  for (const proto::CsvSpec& csv : others) {
    spec.csv = csv;
    EXPECT_TRUE(open_data(spec, options));
  }
  EXPECT_EQ(caches().size(), before + others.size());
}

/// Rows held out are the last ones or drawn, each row is in one part only, the draw is the same each time, and the parts come from the cache the next time.
TEST_F(OpenData, RowsAreHeldOutOfTheTrainingFiles) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += fmt::format("{} 1:{}\n", i % 2, i + 1);
  auto spec = libsvm(text);
  const auto rows_of = [](const std::shared_ptr<const Dataset>& data) {
    BatchReader reader(data);
    const Batch all = reader.read_plain(0, static_cast<std::uint32_t>(data->shape().rows));
    std::vector<float> out(all.values.begin(), all.values.end());
    std::sort(out.begin(), out.end());
    return out;
  };
  for (const char* from : {"last", "random"}) {
    spec.held_out = {0.1, from};
    const auto first = open_data(spec, options);
    ASSERT_TRUE(first) << first.error().what;
    const auto trained = rows_of(first->train), scored = rows_of(first->test);
    EXPECT_EQ(trained.size(), 900U);
    EXPECT_EQ(scored.size(), 100U);
    std::vector<float> both = trained;
    both.insert(both.end(), scored.begin(), scored.end());
    std::sort(both.begin(), both.end());
    EXPECT_EQ(std::unique(both.begin(), both.end()), both.end()) << "no row is in both parts";
    EXPECT_EQ(scored.front() == 901, std::string(from) == "last");
    said.clear();
    const auto again = open_data(spec, options);
    EXPECT_TRUE(said.empty());
    EXPECT_EQ(rows_of(again->test), scored);
    EXPECT_NE(again->train->content_hash(), again->test->content_hash());
  }
  EXPECT_EQ(caches().size(), 4U);
  auto few = libsvm("1 1:1\n2 2:1\n3 1:1\n");
  few.held_out = {0.1, "random"};
  EXPECT_NE(open_data(few, options).error().what.find("of 3 rows 0 would be held out"), std::string::npos);
}

TEST_F(OpenData, ManyConvertingAtOnceAllSucceed) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += std::to_string(i % 3) + " " + std::to_string(1 + i % 50) + ":1\n";
  const auto spec = libsvm(text);
  options.progress = {};
  std::vector<std::uint64_t> rows(8);
  tbb::parallel_for(std::size_t{0}, rows.size(), [&](std::size_t i) {
    const auto opened = open_data(spec, options);
    rows[i] = opened ? opened->train->shape().rows : 0;
  });
  EXPECT_EQ(rows, std::vector<std::uint64_t>(8, 2000));
  EXPECT_EQ(caches().size(), 1U);
}

/// A source rewritten in the same instant, in the same size, under the same modification time is still noticed.
TEST_F(OpenData, AQuickRewriteIsNoticed) {
  const auto spec = libsvm("1 1:1\n2 2:1\n");
  struct stat before {};
  ASSERT_EQ(::stat(spec.train[0].c_str(), &before), 0);
  const auto first = open_data(spec, options);
  std::ofstream(spec.train[0]) << "1 1:1\n2 2:9\n";  // the same inode
  const timespec times[2] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, spec.train[0].c_str(), times, 0), 0);
  const auto second = open_data(spec, options);
  EXPECT_NE(first->train->content_hash(), second->train->content_hash());
}

/// A record saves reading the file as long as the file's identity is the recorded one, and only then.
TEST_F(OpenData, ARecordIsUsedOnlyForTheSameFile) {
  const std::string path = folder.write("file", "content");
  const auto real = data::content_hash_of(folder.path(), path);
  ASSERT_TRUE(real);
  std::string record;
  for (const std::string& name : folder.list()) record = name.starts_with("source-") ? name : record;
  ASSERT_FALSE(record.empty());
  std::string text = fixtures::read_file(folder.path() + "/" + record);
  text.replace(text.size() - 17, 16, "00000000000000ff");  // a false hash shows whether the record was believed
  const auto forge = [&](std::time_t made) {
    folder.write(record, text);
    const utimbuf times{made, made};
    ASSERT_EQ(::utime((folder.path() + "/" + record).c_str(), &times), 0);
  };
  forge(4'000'000'000);  // made long after the file's last change
  EXPECT_EQ(*data::content_hash_of(folder.path(), path), 0xffU);
  forge(1'000'000'000);  // made too early to be believed
  EXPECT_EQ(*data::content_hash_of(folder.path(), path), *real);
  forge(4'000'000'000);
  const utimbuf touched{1'000'000'000, 1'000'000'000};
  ASSERT_EQ(::utime(path.c_str(), &touched), 0);
  EXPECT_EQ(*data::content_hash_of(folder.path(), path), *real);
}

}  // namespace
}  // namespace sluice::worker
