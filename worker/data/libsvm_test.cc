#include "worker/data/libsvm.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "worker/data/fixtures.h"

namespace sluice::worker::data {
namespace {

using fixtures::Folder;

Result<Rows> parse_libsvm(const std::string& text, const LibsvmOptions& options = {}) {
  const Folder folder;
  const std::string path = folder.write("rows", text);
  auto file = SourceFile::open(path, SourceFile::Mode::kInflated);
  EXPECT_TRUE(file);
  return read_libsvm(*file, path, options, {});
}
Rows good(const std::string& text, const LibsvmOptions& options = {}) {
  auto rows = parse_libsvm(text, options);
  EXPECT_TRUE(rows) << rows.error().what;
  return rows ? std::move(*rows) : Rows{};
}

TEST(Libsvm, ReadsRowsWithCommentsBlanksAndAnyLineEnd) {
  const Rows rows = good("# a comment\n\n+1 1:0.5 3:-2e-1  # why\r\n  -1\t2:+3\n-1\n1 4:1E2 #\n \t\n-1 1:.25");
  EXPECT_EQ(rows.bad_rows, 0U) << rows.first_bad;
  EXPECT_EQ(rows.mapping.labels, (std::vector<std::int64_t>{-1, 1}));
  EXPECT_EQ(rows.classes, (std::vector<std::uint32_t>{1, 0, 0, 1, 0}));
  EXPECT_EQ(rows.offsets, (std::vector<std::uint64_t>{0, 2, 3, 3, 4, 5}));
  EXPECT_EQ(rows.indices, (std::vector<std::uint32_t>{0, 2, 1, 3, 0}));
  EXPECT_EQ(rows.values, (std::vector<float>{0.5F, -0.2F, 3, 100, 0.25F}));
  EXPECT_EQ(rows.mapping.features, 4U);
  EXPECT_EQ(rows.mapping.index_base, 1U);
}

TEST(Libsvm, AnIndexZeroAnywhereMeansThatIndicesStartAtZero) {
  const Rows rows = good("5 1:1 4:1\n7 0:1\n");
  EXPECT_EQ(rows.mapping.index_base, 0U);
  EXPECT_EQ(rows.mapping.features, 5U);
  EXPECT_EQ(rows.indices, (std::vector<std::uint32_t>{1, 4, 0}));
}

TEST(Libsvm, LabelsAreAnySetOfWholeNumbers) {
  const Rows rows = good("100 1:1\n-3 1:1\n7.0 1:1\n1e2 1:1\n");
  EXPECT_EQ(rows.mapping.labels, (std::vector<std::int64_t>{-3, 7, 100}));
  EXPECT_EQ(rows.classes, (std::vector<std::uint32_t>{2, 0, 1, 2}));
}

/// Each bad row is left out whole, counted, and the first one's place and trouble told; the good ones stay.
TEST(Libsvm, BadRowsAreLeftOutAndTheFirstIsTold) {
  struct Bad {
    const char* line;
    const char* told;
  };
  for (const Bad& bad :
       {Bad{"x 1:1", "3:1: label 'x' is not a whole number"},
        Bad{"1.5 1:1", "3:1: label '1.5' is not a whole number; numbers to learn by regression are said by labels: targets"},
        Bad{"1 1:1 2", "3:7: '2' is not index:value"}, Bad{"1 1:1 a:2", "3:7: 'a:2' is not index:value"}, Bad{"1 1:1 2:b", "3:9: value 'b' is not a number"},
        Bad{"1 1:1 2:", "3:9: value '' is not a number"}, Bad{"1 1:1 2:3:4", "3:9: value '3:4' is not a number"},
        Bad{"1 3:1 2:1", "3:7: index 2 after 3: indices must increase"}, Bad{"1 3:1 3:1", "3:7: index 3 after 3: indices must increase"},
        Bad{"1 1:nan", "3:5: value 'nan' is not a finite number"}, Bad{"1 1:-inf", "3:5: value '-inf' is not a finite number"},
        Bad{"1 1:1e99", "3:5: value '1e99' is not a finite number"}, Bad{"1 -1:1", "3:3: '-1:1' is not index:value"},
        Bad{"1 99999999999:1", "3:3: index 99999999999 is beyond the largest allowed, 4294967294"},
        Bad{"1 99999999999999999999999:1", "3:3: '99999999999999999999999:' is not index:value"},
        Bad{"99999999999999999999 1:1", "3:1: label '99999999999999999999' is not a whole number"}, Bad{"nan 1:1", "3:1: label 'nan' is not a whole number"}}) {
    const Rows rows = good(fmt::format("1 1:1 5:2\n\n{}\n2 1:3\nrubbish\n", bad.line));
    EXPECT_EQ(rows.bad_rows, 2U) << bad.line;
    EXPECT_EQ(rows.first_bad, bad.told) << bad.line;
    EXPECT_EQ(rows.classes, (std::vector<std::uint32_t>{0, 1}));
    EXPECT_EQ(rows.indices, (std::vector<std::uint32_t>{0, 4, 0}));
  }
}

/// Targets are kept as written; nothing becomes a class; what is no finite number makes a bad row, at its place.
TEST(Libsvm, TargetsAreKeptAsWritten) {
  const Rows rows = good("-1.5 1:1\n2 2:1\n+3e2 1:1\n2 1:1\n", {.targets = true});
  EXPECT_TRUE(rows.regression);
  EXPECT_EQ(rows.targets, (std::vector<float>{-1.5F, 2, 300, 2}));
  EXPECT_TRUE(rows.classes.empty());
  EXPECT_TRUE(rows.mapping.labels.empty());
  EXPECT_EQ(rows.offsets.size(), 5U);
  const Rows test = good("77.5 2:1 9:1\n", {.targets = true, .mapping = &rows.mapping});
  EXPECT_EQ(test.targets, (std::vector<float>{77.5F}));  // a target that the training data lacks is fine
  EXPECT_EQ(test.indices, (std::vector<std::uint32_t>{1}));
  for (const auto& [label, told] : {std::pair{"nan", "2:1: target 'nan' is not a finite number"}, std::pair{"inf", "2:1: target 'inf' is not a finite number"},
                                    std::pair{"1e39", "2:1: target '1e39' is not a finite number"}, std::pair{"red", "2:1: target 'red' is not a number"}}) {
    const Rows left = good(fmt::format("1 1:1\n{} 1:1\n3 1:1\n", label), {.targets = true});
    EXPECT_EQ(left.bad_rows, 1U) << label;
    EXPECT_EQ(left.first_bad, told);
    EXPECT_EQ(left.targets, (std::vector<float>{1, 3}));
  }
}

TEST(Libsvm, ValuesTooSmallForFloatsAreZero) {
  const Rows rows = good("1 1:1e-60 2:-1e-320 3:1e-400\n");
  EXPECT_EQ(rows.bad_rows, 0U) << rows.first_bad;
  for (const float value : rows.values) EXPECT_EQ(std::abs(value), 0.0F);
}

TEST(Libsvm, DeclaredFeaturesBoundTheIndices) {
  const Rows rows = good("1 1:1 3:1\n0 4:1\n", {.features = 3});
  EXPECT_EQ(rows.mapping.features, 3U);
  EXPECT_EQ(rows.bad_rows, 1U);
  const auto zero_based = parse_libsvm("1 0:1 3:1\n0 2:1\n", {.features = 3});
  ASSERT_FALSE(zero_based);
  EXPECT_NE(zero_based.error().what.find("index 3"), std::string::npos);
}

/// A test file follows the training file's labels, columns and first index.
TEST(Libsvm, TestFileFollowsTheTrainingMapping) {
  const Mapping mapping = good("10 2:1\n20 5:1\n").mapping;
  const Rows rows = good("20 1:1 5:2 6:3 4000000000:4 99999999999:5\n10 2:1\n30 1:1\n10 0:1\n", {.mapping = &mapping});
  EXPECT_EQ(rows.classes, (std::vector<std::uint32_t>{1, 0}));
  EXPECT_EQ(rows.indices, (std::vector<std::uint32_t>{0, 4, 1}));
  EXPECT_EQ(rows.mapping.features, 5U);
  EXPECT_EQ(rows.bad_rows, 2U);
  EXPECT_EQ(rows.first_bad, "3:1: label 30 does not occur in the training data");
}

/// However small the blocks that a file is read in, the rows are the same, and so are the line numbers told.
TEST(Libsvm, BlocksDoNotChangeWhatIsRead) {
  std::string text;
  SeededRng rng(5);
  for (int line = 0; line < 500; ++line) {
    text += fmt::format("{}", rng.below(4));
    for (std::uint64_t index = rng.below(3); index < 30; index += 1 + rng.below(9)) text += fmt::format(" {}:{:.3f}", index, rng.uniform());
    text += line == 321 ? " bad\n" : "\n";
  }
  const Rows whole = good(text);
  EXPECT_EQ(whole.first_bad.substr(0, 4), "322:");
  for (const std::size_t block : {std::size_t{7}, std::size_t{100}, std::size_t{4096}}) {
    const Rows rows = good(text, {.block_bytes = block});
    EXPECT_EQ(rows.classes, whole.classes);
    EXPECT_EQ(rows.offsets, whole.offsets);
    EXPECT_EQ(rows.indices, whole.indices);
    EXPECT_EQ(rows.values, whole.values);
    EXPECT_EQ(rows.first_bad, whole.first_bad);
  }
}

TEST(Libsvm, AFileWithoutLinesIsRefusedBeforeItFillsTheMemory) {
  const auto rows = parse_libsvm(std::string(5000, 'x'), {.block_bytes = 512, .line_bytes_max = 1000});
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, Errc::kBadData);
  EXPECT_NE(rows.error().what.find("is this a libsvm file?"), std::string::npos);
}

/// No byte sequence does worse than bad rows.
TEST(Libsvm, ArbitraryBytesNeverCrashIt) {
  SeededRng rng(11);
  constexpr std::string_view kLikely = "0123456789:.+-eE #\n\r\t \0\xffnainf";
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (std::uint64_t n = rng.below(200); n > 0; --n) text += kLikely[rng.below(kLikely.size())];
    const auto rows = parse_libsvm(text, {.block_bytes = 1 + rng.below(64)});
    if (!rows) continue;
    EXPECT_EQ(rows->offsets.size(), rows->classes.size() + 1);
    for (const std::uint32_t index : rows->indices) EXPECT_LT(index, rows->mapping.features);
  }
}

}  // namespace
}  // namespace sluice::worker::data
