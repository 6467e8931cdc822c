#include "worker/data/csv.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "worker/data/fixtures.h"

namespace sluice::worker::data {
namespace {

using fixtures::Folder;
using testing::ElementsAre;
using testing::HasSubstr;

proto::DataSpec csv_spec(proto::CsvSpec csv = {}, proto::LabelKind labels = proto::LabelKind::kTargets) {
  proto::DataSpec spec;
  spec.format = "csv";
  spec.labels = labels;
  spec.csv = std::move(csv);
  return spec;
}
const proto::DataSpec kOfClasses = csv_spec({}, proto::LabelKind::kClasses);

Result<Rows> parse_csv(const std::string& text, const proto::DataSpec& spec = csv_spec(), const CsvOptions& options = {}) {
  const Folder folder;
  const std::string path = folder.write("rows.csv", text);
  auto file = SourceFile::open(path, SourceFile::Mode::kInflated);
  EXPECT_TRUE(file);
  auto rows = read_csv(*file, path, spec, options, {});
  if (!rows) {
    std::string& what = rows.error().what;
    if (const std::size_t at = what.find(folder.path()); at != std::string::npos) what.erase(at, folder.path().size() + 1);
  }
  return rows;
}
Rows good_csv(const std::string& text, const proto::DataSpec& spec = csv_spec(), const CsvOptions& options = {}) {
  auto rows = parse_csv(text, spec, options);
  EXPECT_TRUE(rows) << rows.error().what;
  return rows ? std::move(*rows) : Rows{};
}
std::string csv_trouble(const std::string& text, const proto::DataSpec& spec = csv_spec(), const CsvOptions& options = {}) {
  const auto rows = parse_csv(text, spec, options);
  return rows ? "none" : rows.error().what;
}

TEST(Csv, NumbersStayAndTextIsOneHot) {
  const Rows rows = good_csv("x,colour,y,price\n1,red,-2.5,10\n2,blue,+3e2,20.5\n3,red,0,-7\n");
  EXPECT_FALSE(rows.sparse);
  EXPECT_TRUE(rows.regression);
  EXPECT_EQ(rows.mapping.features, 4U);  // x, blue, red, y
  EXPECT_THAT(rows.targets, ElementsAre(10, 20.5F, -7));
  EXPECT_THAT(rows.dense, ElementsAre(1, 0, 1, -2.5F, 2, 1, 0, 300, 3, 0, 1, 0));
  EXPECT_EQ(rows.bad_rows, 0U);
}

/// Separator, header, byte-order mark, line ends, quotes and blanks: all the same rows.
TEST(Csv, IsReadHoweverItIsWritten) {
  const Rows plain = good_csv("a,b,c\n1,x y,3\n4,z,6\n");
  for (const std::string& text : {std::string("\xef\xbb\xbf"
                                              "a,b,c\r\n1,x y,3\r\n4,z,6\r\n"),
                                  std::string("a;b;c\n1;x y;3\n4;z;6"), std::string("a\tb\tc\n1\tx y\t3\n4\tz\t6\n"),
                                  std::string("\n\"a\",\"b\",\"c\"\n\n\"1\",\"x y\",\"3\"\n 4 , z,\t6\n \n"), std::string("1|x y|3\n4|z|6\n")}) {
    const Rows rows = good_csv(text);
    EXPECT_EQ(rows.dense, plain.dense) << text;
    EXPECT_EQ(rows.targets, plain.targets) << text;
  }
  EXPECT_EQ(good_csv("1,2,3\n4,5,6\n").targets, (std::vector<float>{3, 6}));
  EXPECT_EQ(good_csv("1,2,3\n4,5,6\n", csv_spec({.header = "yes"})).targets, (std::vector<float>{6}));
  EXPECT_EQ(good_csv("a,b,c\nd,e,f\n", csv_spec({.header = "no"}, proto::LabelKind::kClasses)).count(), 2U);
}

TEST(Csv, ColumnsAreNamedOrNumbered) {
  const std::string text = "id,zip,size,label\n7,100,1.5,0\n8,200,2.5,1\n9,100,3.5,1\n";
  EXPECT_THAT(good_csv(text, csv_spec({.label = "size", .skip = {"id", "4"}})).targets, ElementsAre(1.5F, 2.5F, 3.5F));
  EXPECT_THAT(good_csv(text, csv_spec({.label = "3", .skip = {"id", "label"}})).dense, ElementsAre(100, 200, 100));
  EXPECT_THAT(good_csv(text, csv_spec({.text = {"zip"}, .skip = {"id", "size"}})).dense, ElementsAre(1, 0, 0, 1, 1, 0));
  EXPECT_THAT(csv_trouble(text, csv_spec({.label = "sise"})), HasSubstr("rows.csv: unknown column 'sise'; did you mean 'size'?"));
  EXPECT_THAT(csv_trouble(text, csv_spec({.label = "5"})), HasSubstr("there is no column 5 (label): it has 4"));
  EXPECT_THAT(csv_trouble(text, csv_spec({.label = "id", .skip = {"id"}})), HasSubstr("also under skip"));
  EXPECT_THAT(csv_trouble("a,a,b\n1,2,3\n", csv_spec({.label = "a"})), HasSubstr("two columns are called 'a'"));
}

TEST(Csv, ClassesAreWholeNumbersOrNames) {
  const Rows numbers = good_csv("x,y\n1,-1\n2,7\n3,-1.0\n", kOfClasses);
  EXPECT_THAT(numbers.mapping.labels, ElementsAre(-1, 7));
  EXPECT_THAT(numbers.classes, ElementsAre(0, 1, 0));
  const Rows names = good_csv("x,y\n1,dog\n2,\"cat \"\"x\"\"\"\n3,dog\n", kOfClasses);
  EXPECT_THAT(names.classes, ElementsAre(1, 0, 1));
  EXPECT_THAT(csv_schema_from_bytes(names.mapping.schema)->class_names, ElementsAre("cat \"x\"", "dog"));
  EXPECT_THAT(csv_trouble("x,y\n1,0.5\n2,1.5\n", kOfClasses),
              HasSubstr("labels such as '0.5' in column 'y' are no classes; numbers to learn by regression are said by labels: targets"));
}

/// Each bad row is left out whole, counted, and the first one's place and trouble told.
TEST(Csv, BadRowsAreLeftOutAndTheFirstIsTold) {
  std::string many;
  for (int i = 0; i < 1100; ++i) many += fmt::format("{},word,{}\n", i, i % 2);
  struct Bad {
    const char* line;
    const char* told;
  };
  for (const Bad& bad : {Bad{"1,w", "1101:3: 2 cells in a row of 3 columns"}, Bad{"1,w,0,9", "1101:7: 4 cells in a row of 3 columns"},
                         Bad{"tall,w,0", "1101:1: 'tall' in column 'column 1', whose first rows hold numbers"},
                         Bad{"1e99,w,0", "1101:1: '1e99' in column 'column 1' is not a finite number"},
                         Bad{"-inf,w,0", "1101:1: '-inf' in column 'column 1' is not a finite number"},
                         Bad{" ,w,0", "1101:2: no value in column 'column 1' (missing: zero or missing: mean of the dataset would fill it)"},
                         Bad{"1,NA,0", "1101:3: no value in column 'column 2' (missing: zero or missing: mean of the dataset would fill it)"},
                         Bad{"1,w,", "1101:5: no label in column 'column 3'"},
                         Bad{"1,w,red", "1101:5: label 'red' in column 'column 3' is not a whole number, as those of the first rows are"},
                         Bad{"1,w,1.5", "1101:5: label '1.5' in column 'column 3' is not a whole number, as those of the first rows are"},
                         Bad{"1,\"w\"x,0", "1101:6: text behind the quote that ends a cell (a quote inside is written twice)"},
                         Bad{"1,\"two\nlines\",red", "1102:8: label 'red' in column 'column 3' is not a whole number, as those of the first rows are"}}) {
    const Rows rows = good_csv(many + bad.line + "\n1,word,0\nx,x,x\n", kOfClasses);
    EXPECT_EQ(rows.bad_rows, 2U) << bad.line;
    EXPECT_EQ(rows.first_bad, bad.told) << bad.line;
    EXPECT_EQ(rows.count(), 1101U) << bad.line;
    EXPECT_EQ(rows.dense.size(), rows.count() * rows.mapping.features);
  }
  const Rows targets = good_csv("a,b\n1,2\n1,high\n2,nan\n", csv_spec({.header = "yes"}));
  EXPECT_EQ(targets.first_bad, "3:3: target 'high' in column 'b' is not a number");
  EXPECT_EQ(targets.bad_rows, 2U);
}

TEST(Csv, WhatIsMissingMayBeFilled) {
  const std::string text = "x,c,y\n1,a,1\n,b,2\n5,?,3\nNA,a,4\n";
  EXPECT_EQ(good_csv(text).bad_rows, 3U);
  EXPECT_THAT(good_csv(text, csv_spec({.missing = "zero"})).dense, ElementsAre(1, 1, 0, 0, 0, 1, 5, 0, 0, 0, 1, 0));
  const Rows mean = good_csv(text, csv_spec({.missing = "mean"}));
  EXPECT_THAT(mean.dense, ElementsAre(1, 1, 0, 3, 0, 1, 5, 0, 0, 3, 1, 0));
  const Rows test = good_csv("x,c,y\n,z,9\n", csv_spec({.missing = "mean"}), {.mapping = &mean.mapping});
  EXPECT_THAT(test.dense, ElementsAre(3, 0, 0)) << "the training data's mean and categories";
}

TEST(Csv, TheTestFileFollowsTheTrainingFile) {
  const Rows train = good_csv("x,c,y\n1,a,no\n2,b,yes\n", kOfClasses);
  const CsvOptions follow{.mapping = &train.mapping};
  const Rows test = good_csv("x,c,y\n5,b,yes\n6,new,no\n7,a,maybe\n", kOfClasses, follow);
  EXPECT_THAT(test.dense, ElementsAre(5, 0, 1, 6, 0, 0));
  EXPECT_THAT(test.classes, ElementsAre(1, 0));
  EXPECT_EQ(test.first_bad, "4:5: label 'maybe' does not occur in the training data");
  EXPECT_THAT(csv_trouble("x,d,y\n1,a,no\n", kOfClasses, follow), HasSubstr("column 2 is called 'd', in the training data 'c'"));
  EXPECT_THAT(csv_trouble("x,y\n1,no\n", kOfClasses, follow), HasSubstr("2 columns, but the training data has 3"));
  EXPECT_THAT(csv_trouble("x,c\n1,2.5\n", kOfClasses, follow), HasSubstr("2 columns, but the training data has 3")) << "before labels are looked for in it";
  EXPECT_THAT(csv_trouble("1,a,no\n", kOfClasses, follow), HasSubstr("its first line is no header"));
  const Rows bare = good_csv("1,0\n2,1\n", kOfClasses);
  EXPECT_THAT(good_csv("9,1\n8,5\n", kOfClasses, {.mapping = &bare.mapping}).first_bad, HasSubstr("2:3: label '5' does not occur"));
}

TEST(Csv, ManyFeaturesAreSparseAndVeryManyCategoriesAreHashed) {
  std::string text = "word,x,y\n";
  for (int i = 0; i < 300; ++i) text += fmt::format("w{:03},{},1\n", i, i % 2);
  const Rows sparse = good_csv(text);
  EXPECT_TRUE(sparse.sparse);
  EXPECT_EQ(sparse.mapping.features, 301U);
  EXPECT_EQ(sparse.indices.size(), 450U);  // zeros take no place
  EXPECT_EQ(std::vector<std::uint32_t>(sparse.indices.begin(), sparse.indices.begin() + 3), (std::vector<std::uint32_t>{0, 1, 300}));
  text = "word,y\n";
  for (std::size_t i = 0; i <= kCsvCategoriesMax; ++i) text += fmt::format("w{},1\n", i);
  const Rows hashed = good_csv(text);
  EXPECT_EQ(hashed.mapping.features, 1U << kCsvHashBits);
  EXPECT_EQ(hashed.indices.size(), kCsvCategoriesMax + 1);
  const Rows test = good_csv("word,y\nw77,1\n", csv_spec(), {.mapping = &hashed.mapping});
  EXPECT_EQ(test.indices.at(0), hashed.indices.at(77));
}

TEST(Csv, AHundredThousandColumns) {
  constexpr int kColumns = 100'000;
  std::string text;
  for (int row = 0; row < 3; ++row) {
    for (int c = 0; c < kColumns; ++c) text += c % 1000 == row ? "1," : "0,";
    text += fmt::format("{}\n", row);
  }
  const Rows rows = good_csv(text);
  EXPECT_TRUE(rows.sparse);
  EXPECT_EQ(rows.mapping.features, 100'000U);
  EXPECT_EQ(rows.indices.size(), 300U);
}

TEST(Csv, FilesThatAreNoneAreSaid) {
  EXPECT_THAT(csv_trouble(""), HasSubstr("no rows"));
  EXPECT_THAT(csv_trouble("\n \n"), HasSubstr("no rows"));
  EXPECT_THAT(csv_trouble("a\n1\n"), HasSubstr("one column only"));
  EXPECT_THAT(csv_trouble(std::string("a,b\n\0,2\n", 8)), HasSubstr("rows.csv: holds zero bytes: not a text file"));
  EXPECT_THAT(csv_trouble(std::string("\xff\xfe"
                                      "a\0,\0",
                                      6)),
              HasSubstr("UTF-16"));
  EXPECT_THAT(csv_trouble("a,b\n1,2\n3,\"4\n5,6\n"), HasSubstr("rows.csv:3:3: the quote that opens here is never closed"));
  EXPECT_THAT(csv_trouble("a,b\n" + std::string(5000, 'x'), csv_spec(), {.block_bytes = 512, .record_bytes_max = 1000}),
              HasSubstr("rows.csv:2: a line of more than 1000 bytes"));
  EXPECT_THAT(csv_trouble("a,b\n1,2\n", csv_spec({.skip = {"a"}})), HasSubstr("no column is left"));
}

/// However small the blocks that a file is read in, the rows are the same, and so are the places told.
TEST(Csv, BlocksDoNotChangeWhatIsRead) {
  std::string text = "a,b,c,y\n";
  SeededRng rng(5);
  for (int line = 0; line < 1500; ++line) {
    text += fmt::format("{:.3f},\"w{}{}\",{},k{}\n", rng.uniform(), rng.below(5), rng.below(3) == 0 ? "\n\"\"" : "", rng.below(100), rng.below(4));
    if (line == 1321) text += "bad\n";
  }
  const Rows whole = good_csv(text, kOfClasses);
  EXPECT_EQ(whole.bad_rows, 1U);
  EXPECT_EQ(whole.count(), 1500U);
  for (const std::size_t block : {std::size_t{7}, std::size_t{100}, std::size_t{4096}}) {
    const Rows rows = good_csv(text, kOfClasses, {.block_bytes = block});
    EXPECT_EQ(rows.classes, whole.classes);
    EXPECT_EQ(rows.dense, whole.dense);
    EXPECT_EQ(rows.first_bad, whole.first_bad);
    EXPECT_EQ(rows.mapping.schema, whole.mapping.schema);
  }
}

/// No byte sequence does worse than bad rows or words; what comes of it fits together.
TEST(Csv, ArbitraryBytesNeverCrashIt) {
  SeededRng rng(11);
  static constexpr char kLetters[] = "0123456789.,;\t\"\"\n\n\r -eEab\0\xff";
  constexpr std::string_view kLikely(kLetters, sizeof kLetters - 1);  // the zero byte too
  for (int round = 0; round < 400; ++round) {
    std::string text;
    for (std::uint64_t n = rng.below(200); n > 0; --n) text += kLikely[rng.below(kLikely.size())];
    const auto rows = parse_csv(text, round % 2 == 0 ? csv_spec({.missing = "zero"}) : kOfClasses, {.block_bytes = 1 + rng.below(64)});
    if (!rows) continue;
    EXPECT_EQ(rows->dense.size(), rows->count() * rows->mapping.features);
    EXPECT_EQ(rows->regression, round % 2 == 0);
  }
}

}  // namespace
}  // namespace sluice::worker::data
