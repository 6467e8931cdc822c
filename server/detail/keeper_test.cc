#include "server/detail/keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "server/detail/harness_test.h"

namespace sluice::server {
namespace {
namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

/// Two lanes that hold a dense table of three shards and a sparse one of four buckets, each pushed to once.
class KeeperTest : public testing::Test {
 protected:
  void SetUp() override {
    harness_.options.lanes = 2;
    harness_.options.models = folder_;
    harness_.start();
    ASSERT_TRUE(harness_.run(2, [&] { return harness_.manager->heard.heartbeats > 2; }));
    client_ = std::make_unique<TestClient>(harness_, Incarnation(1), kJob);
    const std::vector<proto::TableSpec> tables = {dense_spec(0, 2 * proto::kShardFloats + 10), sparse_spec(1, 1000, 2, 4)};
    for (std::uint32_t lane = 0; lane < 2; ++lane) client_->expect<proto::Done>(lane, proto::CreateTables{tables});
    for (std::uint32_t shard = 0; shard < 3; ++shard) {
      const std::uint32_t floats = tables[0].shard_floats(ShardId(shard));
      push(section(0, shard, 1, floats), frame_of(std::vector<float>(floats, static_cast<float>(shard + 1))));
    }
    for (Key key = 0; key < 100; ++key) push(sparse(tables[1], key), sparse_frame({key}, {static_cast<float>(key), -1}));
    proto::JobSpec spec;
    spec.name = "j", spec.model = "m", spec.data.name = "d", spec.data.format = "idx", spec.data.train = {"/a", "/b"};
    proto::Join join;
    join.spec = proto::to_json(spec), join.train_rows = 50, join.chunk_rows = 10, join.tables = tables, join.data = R"({"classes":3})";
    client_->expect<proto::JoinReply>(harness_.home_lane(kJob), join);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void push(proto::Section what, net::Frame payload) {
    proto::Push push;
    push.sections = {what};
    const auto reply = client_->expect<proto::PushReply>(harness_.lane_of(kJob, what.table, what.shard), push, {std::move(payload)});
    ASSERT_EQ(reply.sections.at(0).outcome, proto::Outcome::kOk) << reply.text;
  }
  proto::Section sparse(const proto::TableSpec& table, Key key) {
    const ShardId shard = table.shard_of(key);
    return section(1, shard.value, ++sequences_[shard], 1);
  }
  void end(const std::string& keep) {
    harness_.manager->orders.keep = keep;
    harness_.manager->orders.ended = {kJob};
    ASSERT_TRUE(harness_.run(5, [&] { return harness_.manager->orders.ended.empty(); }));
  }

  const std::string folder_ = (fs::temp_directory_path() / ("sluice-keeper-" + std::to_string(::getpid()))).string();
  Harness harness_;
  std::unique_ptr<TestClient> client_;
  std::map<ShardId, std::uint64_t> sequences_;
};

TEST_F(KeeperTest, AFinishedJobsValuesAreInAFileBeforeTheManagerHearsThatTheyAreFreed) {
  end("j");
  const auto model = proto::join_parts(proto::part_paths(folder_ + "/j"));
  ASSERT_TRUE(model) << model.error().what;
  EXPECT_EQ(model->job.spec.name, "j");
  EXPECT_EQ(model->job.data, R"({"classes":3})");
  const auto& dense = model->tables.at(0).values;
  ASSERT_EQ(dense.size(), 2 * proto::kShardFloats + 10);
  for (std::size_t i = 0; i < dense.size(); ++i) ASSERT_EQ(dense[i], static_cast<float>(i / proto::kShardFloats + 1)) << i;
  const auto& sparse = model->tables.at(1);
  ASSERT_EQ(sparse.keys.size(), 100u);
  for (Key key = 0; key < 100; ++key) {
    EXPECT_EQ(sparse.keys[key], key);
    EXPECT_EQ(sparse.values[2 * key], static_cast<float>(key));
    EXPECT_EQ(sparse.values[2 * key + 1], -1);
  }
  EXPECT_TRUE(harness_.manager->heard.not_kept.empty());
  EXPECT_THAT(client_->expect<proto::Refused>(0, proto::Pull{{section(0, 0, 0, 0)}}).text, HasSubstr("has ended"));
}

TEST_F(KeeperTest, ARepeatIsAnsweredAndWritesNothing) {
  end("j");
  const auto before = fs::last_write_time(folder_ + "/j/" + proto::part_name("s1"));
  end("j");
  EXPECT_EQ(fs::last_write_time(folder_ + "/j/" + proto::part_name("s1")), before);
  EXPECT_TRUE(proto::join_parts(proto::part_paths(folder_ + "/j")));
}

TEST_F(KeeperTest, WhatCanNotBeWrittenIsSaidAndFreedAllTheSame) {
  std::ofstream(folder_ + "/j") << "in the way";
  end("j");
  EXPECT_THAT(harness_.manager->heard.not_kept, ElementsAre(HasSubstr("cannot make the folder")));
  EXPECT_THAT(client_->expect<proto::Refused>(0, proto::Pull{{section(0, 0, 0, 0)}}).text, HasSubstr("has ended"));
}

TEST_F(KeeperTest, AJobThatIsNotToBeKeptLeavesNothing) {
  end("");
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(KeeperTest, OfAJobThatIsNotKnownHereTheSameJobsPartStaysAndAnOlderJobsGoes) {
  const std::string path = folder_ + "/j/" + proto::part_name("s1");
  fs::create_directories(folder_ + "/j");
  const std::vector<proto::TableSpec> tables = {dense_spec(0, 4)};
  const auto end_unknown = [&](JobId job) {
    harness_.manager->orders.keep = "j";
    harness_.manager->orders.ended = {job};
    ASSERT_TRUE(harness_.run(5, [&] { return harness_.manager->orders.ended.empty(); }));
  };
  ASSERT_TRUE(proto::write_part(path, JobId(20), tables, {}, nullptr));
  end_unknown(JobId(20));  // a server that came anew: its predecessor wrote this
  EXPECT_EQ(proto::part_job(path), JobId(20));
  EXPECT_GT(fs::file_size(path), 0u);
  const auto size = fs::file_size(path);
  end_unknown(JobId(21));  // another job of that name, of which nothing was here
  EXPECT_EQ(proto::part_job(path), JobId(21));
  EXPECT_NE(fs::file_size(path), size);
  end_unknown(JobId(20));  // told late, or again: the later job's part is not its to replace
  EXPECT_EQ(proto::part_job(path), JobId(21));
}

}  // namespace
}  // namespace sluice::server
