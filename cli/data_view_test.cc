#include "cli/data_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace sluice::cli {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

class DataView : public testing::Test {
 protected:
  DataView() {
    std::string pattern = (fs::temp_directory_path() / "sluice-data-view-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~DataView() override { fs::remove_all(folder_); }
  proto::DataSpec spec(const std::string& format, const std::string& content) {
    proto::DataSpec out;
    out.name = "data";
    out.format = format;
    out.max_bad_rows = 100;
    out.train = {(folder_ / "rows").string()};
    std::ofstream(out.train[0]) << content;
    return out;
  }
  nlohmann::json info(const proto::DataSpec& of) {
    const auto opened = worker::open_data(of, {.cache_dir = (folder_ / "cache").string()});
    EXPECT_TRUE(opened) << opened.error().what;
    return data_info(of, *opened);
  }
  fs::path folder_;
};

TEST_F(DataView, NamesTellTheFormat) {
  for (const auto& [file, format] :
       {std::pair{"a.csv", "csv"}, {"x/a.tsv.gz", "csv"}, {"X.npy", "npy"}, {"d.npz", "npy"}, {"train-images-idx3-ubyte.gz", "idx"}, {"a.libsvm", "libsvm"}})
    EXPECT_EQ(*format_of({file}), format);
  EXPECT_THAT(format_of({"rows.parquet"}).error().what, HasSubstr("say --format csv, idx, libsvm or npy"));
}

TEST_F(DataView, InfoCountsClassesColumnsAndBadRows) {
  const auto of = spec("csv", "size,colour,kind\n1,red,dog\n0,blue,cat\n3,red,dog\nx,red,dog\n");
  auto csv = of;
  csv.csv.text = {};
  const auto got = info(csv);  // 'size' holds a word among its first rows, so it is text
  EXPECT_EQ(got["columns"][0]["type"], "text");
  csv.train = spec("csv", "size,colour,kind\n1,red,dog\n0,blue,cat\n3,red,dog\n,red,dog\n").train;
  const auto numbers = info(csv);
  EXPECT_EQ(numbers["rows"], 3);
  EXPECT_EQ(numbers["bad_rows"], 1);
  EXPECT_EQ(numbers["columns"][0]["type"], "number");
  EXPECT_EQ(numbers["columns"][1]["features"], 2);
  EXPECT_EQ(numbers["columns"][2]["type"], "label");
  EXPECT_EQ(numbers["classes"], nlohmann::json::parse(R"([{"label":"cat","rows":1},{"label":"dog","rows":2}])"));
  EXPECT_NEAR(numbers["not_zero"].get<double>(), 5.0 / 9, 1e-9);
  const auto text = info_text(numbers);
  for (const char* part :
       {"rows      3\n", "bad rows  1, left out; the first: 5:1: no value in column 'size'", "features  3, dense; 55.6 % of the values are not zero",
        "dog       2  66.7 %", "colour  text           2", "columns   3, separator ',', with a header"})
    EXPECT_THAT(text, HasSubstr(part));
}

TEST_F(DataView, InfoOfTargetsTellsTheirSpread) {
  auto of = spec("libsvm", "1e6 1:1\n1000002 2:1\n1000004 2:3\n");
  of.labels = proto::LabelKind::kTargets;
  const auto got = info(of);
  EXPECT_EQ(got["targets"]["mean"], 1000002.0);
  EXPECT_NEAR(got["targets"]["deviation"].get<double>(), std::sqrt(8.0 / 3), 1e-6);
  EXPECT_EQ(got["targets"]["least"], 1e6);
  EXPECT_THAT(info_text(got), HasSubstr("targets   from 1e+06 to 1e+06, mean 1e+06, deviation 1.63299"));
  EXPECT_EQ(got["sparse"], true);
}

TEST_F(DataView, HeadShowsRowsInTheFilesOrderByName) {
  const auto of = spec("csv", "size,colour,kind\n1,red,dog\n0,blue,cat\n3,red,dog\n");
  const auto rows = worker::preview_data(of, 1 << 20);
  ASSERT_TRUE(rows) << rows.error().what;
  const auto head = data_head(*rows, 2);
  ASSERT_EQ(head["rows"].size(), 2U);
  EXPECT_EQ(head["rows"][0], nlohmann::json::parse(R"({"label":"dog","features":[{"name":"size","value":1.0},{"name":"colour=red","value":1.0}]})"));
  EXPECT_EQ(head["rows"][1], nlohmann::json::parse(R"({"label":"cat","features":[{"name":"colour=blue","value":1.0}]})"));
  EXPECT_THAT(head_text(head), HasSubstr("  dog  size:1  colour=red\n"));
  const auto libsvm = worker::preview_data(spec("libsvm", "7 3:2.5\n-7 1:1\n"), 1 << 20);
  EXPECT_EQ(data_head(*libsvm, 9)["rows"][0], nlohmann::json::parse(R"({"label":"7","features":[{"name":"3","value":2.5}]})"));
}

/// A preview reads whole lines of the file's beginning only.
TEST_F(DataView, APreviewReadsTheBeginning) {
  std::string content;
  for (int i = 0; i < 1000; ++i) content += std::to_string(i % 2) + " 1:" + std::to_string(i) + "\n";
  const auto rows = worker::preview_data(spec("libsvm", content + "rubbish\n"), 100);
  ASSERT_TRUE(rows) << rows.error().what;
  EXPECT_EQ(rows->bad_rows, 0U);
  EXPECT_GT(rows->count(), 8U);
  EXPECT_LT(rows->count(), 20U);
  EXPECT_EQ(rows->values.back(), static_cast<float>(rows->count() - 1));
  const auto quoted = worker::preview_data(spec("csv", "a,b\n1,\"" + std::string(300, 'x') + "\n\"\n2,y\n"), 100);
  ASSERT_TRUE(quoted) << quoted.error().what;
  EXPECT_EQ(quoted->count(), 2U) << "a cell that was cut: all is read";
}

}  // namespace
}  // namespace sluice::cli
