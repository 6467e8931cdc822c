#include "proto/saved_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>

#include "base/safetensors.h"

namespace sluice::proto {
namespace {
namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

TableSpec dense_table() {
  TableSpec table;
  table.id = TableId(0);
  table.name = "w";
  table.rows = 2;
  table.cols = 40'000;  // two shards, the second short
  return table;
}
TableSpec sparse_table() {
  TableSpec table;
  table.id = TableId(1);
  table.name = "v";
  table.kind = TableKind::kSparse;
  table.rows = 1000;
  table.cols = 2;
  table.buckets = 2;
  table.init = {InitKind::kNormal, 0.5F};
  return table;
}
SavedJob job() {
  JobSpec spec;
  spec.name = "m";
  spec.model = "fm";
  spec.data.name = "d";
  spec.data.format = "libsvm";
  spec.data.train = {"/d/train"};
  return {JobId(7), spec, R"({"classes":2})", 120};
}

class SavedModelTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_);
    std::iota(values_.begin(), values_.end(), 0.0F);
  }
  void TearDown() override { fs::remove_all(folder_); }
  [[nodiscard]] std::string path(const std::string& server) const { return (folder_ / part_name(server)).string(); }
  /// The dense shards on different servers, each with a bucket of the sparse table.
  void write_parts() {
    const TableSpec tables[] = {dense_table(), sparse_table()};
    const SavedShard first[] = {{TableId(0), ShardId(0), {}, {}, std::span(values_).first(kShardFloats)}, {TableId(1), ShardId(1), {9, 4}, {1, 2, 3, 4}, {}}};
    const SavedShard second[] = {{TableId(0), ShardId(1), {}, {}, std::span(values_).subspan(kShardFloats)}, {TableId(1), ShardId(0), {5}, {5, 6}, {}}};
    const SavedJob home = job();
    ASSERT_TRUE(write_part(path("a"), JobId(7), tables, first, nullptr));
    ASSERT_TRUE(write_part(path("b"), JobId(7), tables, second, &home));
  }

  const fs::path folder_ = fs::temp_directory_path() / ("sluice-model-" + std::to_string(::getpid()));
  std::vector<float> values_ = std::vector<float>(80'000);
};

TEST_F(SavedModelTest, PartsMakeTheWholeAndTheFileGivesItBack) {
  write_parts();
  const auto joined = join_parts(part_paths(folder_.string()));
  ASSERT_TRUE(joined) << joined.error().what;
  const std::string file = (folder_ / "model.safetensors").string();
  ASSERT_TRUE(write_model(file, *joined));
  const auto read = read_model(file);
  ASSERT_TRUE(read) << read.error().what;
  for (const SavedModel* model : {&*joined, &*read}) {
    EXPECT_EQ(model->job.spec, job().spec);
    EXPECT_EQ(model->job.step, 120u);
    EXPECT_EQ(model->job.data, R"({"classes":2})");
    ASSERT_EQ(model->tables.size(), 2u);
    EXPECT_EQ(model->tables[0].values, values_);
    EXPECT_THAT(model->tables[1].keys, ElementsAre(4, 5, 9));
    EXPECT_THAT(model->tables[1].values, ElementsAre(3, 4, 5, 6, 1, 2));
    EXPECT_EQ(model->tables[1].spec.init, sparse_table().init) << "rows that were never pushed to are their first values";
  }
}

TEST_F(SavedModelTest, WhatIsMissingOrTwiceOrOfAnotherJobIsTold) {
  write_parts();
  const auto words = [&](const std::vector<std::string>& paths) {
    const auto joined = join_parts(paths);
    return joined ? std::string() : joined.error().what;
  };
  EXPECT_THAT(words({path("b")}), HasSubstr("shards of table 'w' are in no part"));
  const TableSpec sparse[] = {sparse_table(), dense_table()};
  const SavedShard rest[] = {{TableId(0), ShardId(1), {}, {}, std::span(values_).subspan(kShardFloats)}};
  const SavedJob home = job();
  ASSERT_TRUE(write_part(path("rest"), JobId(7), std::span(sparse).subspan(1), rest, nullptr));
  EXPECT_THAT(words({path("a"), path("rest")}), HasSubstr("the part of the job's home is missing"));
  ASSERT_TRUE(write_part(path("rest"), JobId(7), std::span(sparse).subspan(1), {}, &home));
  EXPECT_THAT(words({path("a"), path("rest"), path("a")}), HasSubstr("is in two parts"));
  EXPECT_THAT(words({path("a"), path("b"), path("b")}), HasSubstr("is in two parts"));
  EXPECT_THAT(words({}), HasSubstr("no parts"));
  const TableSpec tables[] = {dense_table(), sparse_table()};
  ASSERT_TRUE(write_part(path("c"), JobId(8), tables, {}, nullptr));
  EXPECT_THAT(words({path("a"), path("b"), path("c")}), HasSubstr("shards of table 'w' are in no part")) << "the newest job of that name counts";
  EXPECT_THAT(words({path("c")}), HasSubstr("shards of table 'w' are in no part")) << "before memory is taken for them";
  EXPECT_THAT(read_model(path("a")).error().what, HasSubstr("not a model that sluice wrote"));
  EXPECT_EQ(read_model((folder_ / "none").string()).error().code, Errc::kNotFound);
}

TEST_F(SavedModelTest, APartThatAServerOfTheTableDidNotWriteIsMissed) {
  write_parts();
  const TableSpec tables[] = {dense_table(), sparse_table()};
  const SavedShard second[] = {{TableId(0), ShardId(1), {}, {}, std::span(values_).subspan(kShardFloats)}};
  SavedJob home = job();
  home.servers = {"a", "b", "c"};
  ASSERT_TRUE(write_part(path("b"), JobId(7), tables, second, &home));
  const auto joined = join_parts(part_paths(folder_.string()));
  ASSERT_FALSE(joined) << "rows of a sparse table may be there";
  EXPECT_THAT(joined.error().what, HasSubstr("the part of server c (c.part.safetensors) is missing"));
  ASSERT_TRUE(write_part(path("c"), JobId(7), {}, {}, nullptr));
  EXPECT_TRUE(join_parts(part_paths(folder_.string())));
}

TEST_F(SavedModelTest, AModelOfAnOlderVersionIsReadWithDefaults) {
  const std::string path = (folder_ / "old.safetensors").string();
  const std::string job = R"({"id":3,"data":{},"step":5,"spec":{"name":"m","model":"fm","params":"{}","gone":1,"data":{"name":"d","format":"libsvm",)"
                          R"("train":["/t"]},"optimizer":{"name":"adam","numbers":{"lr":0.5}}}})";
  auto writer = safetensors::Writer::create(path, {}, {{"sluice", "model 1"}, {"tables", "[]"}, {"job", job}});
  ASSERT_TRUE(writer && writer->commit());
  const auto model = read_model(path);
  ASSERT_TRUE(model) << model.error().what;
  EXPECT_EQ(model->job.spec.optimizer.number("lr", 0), 0.5);
  EXPECT_EQ(model->job.spec.batch, JobSpec{}.batch);
}

TEST_F(SavedModelTest, WhatAPeerSaidOfItsDataIsAnObjectOrNothing) {
  for (const std::string& text : {std::string("[1]"), std::string("{"), std::string(), std::string(2'000'000, '['), "{\"a\":" + std::string(1'000'000, '[')}) {
    SavedJob said = job();
    said.data = text;
    SavedModel model{said, {}};
    const std::string file = (folder_ / "m.safetensors").string();
    ASSERT_TRUE(write_model(file, model));
    EXPECT_EQ(read_model(file)->job.data, "{}");
  }
}

TEST_F(SavedModelTest, ACutOrFlippedPartIsNeverRead) {
  write_parts();
  const auto size = fs::file_size(path("a"));
  fs::resize_file(path("a"), size - 1);
  const auto joined = join_parts(part_paths(folder_.string()));
  ASSERT_FALSE(joined);
  EXPECT_EQ(joined.error().code, Errc::kBadData);
  EXPECT_THAT(joined.error().what, HasSubstr(path("a")));
}

}  // namespace
}  // namespace sluice::proto
