#include "proto/saved_cut.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/rng.h"
#include "base/safetensors.h"

namespace sluice::proto {
namespace {
namespace fs = std::filesystem;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// Rows of width 2, their state as wide.
class SomeRows final : public RowSource {
 public:
  explicit SomeRows(std::vector<Key> keys) : keys_(std::move(keys)) {}
  [[nodiscard]] std::size_t rows() const override { return keys_.size(); }
  [[nodiscard]] std::size_t state_floats() const override { return 2; }
  void copy(std::size_t first, std::size_t n, const RowTargets& to) const override {
    for (std::size_t i = 0; i < n; ++i) {
      const Key key = keys_[first + i];
      const auto value = static_cast<float>(key);
      if (to.keys != nullptr) to.keys[i] = key;
      if (to.counts != nullptr) to.counts[i] = key * 10;
      if (to.values != nullptr) to.values[2 * i] = value, to.values[2 * i + 1] = -value;
      if (to.state != nullptr) to.state[2 * i] = value / 2, to.state[2 * i + 1] = 1;
    }
  }

 private:
  std::vector<Key> keys_;
};

std::vector<TableSpec> cut_tables() {
  TableSpec dense, sparse;
  dense.id = TableId(0), dense.name = "w", dense.rows = 3, dense.cols = 5, dense.seed = 17;
  dense.optimizer = {"adagrad", {{"lr", 0.25}}};
  sparse.id = TableId(1), sparse.name = "v", sparse.kind = TableKind::kSparse, sparse.rows = 100, sparse.cols = 2, sparse.buckets = 2, sparse.seed = 18;
  sparse.optimizer = {"adagrad", {{"lr", 0.5}}};
  return {dense, sparse};
}

SavedHome known() {
  SavedHome home;
  home.data_hash = ~std::uint64_t{0}, home.train_rows = 100, home.test_rows = 10, home.chunk_rows = 20;
  home.step = 12, home.examples = 60, home.redone = 1, home.clock = 6, home.seconds = 1.5, home.slot_seconds = 2.5;
  home.epochs_done = 1;
  home.open = {{3, 33}};
  home.returned = {{1, 20, 20, 5}};
  home.leases = {std::nullopt, SavedPiece{1, 40, 20, 8}};
  home.phases = 4, home.phases_done = 1;
  home.evaluating = true, home.epochs_evaluated = 1, home.examples_at_evaluation = 50, home.step_at_evaluation = 10;
  home.scores = {10, 0.5, 0.75, "accuracy", 10, false};
  home.best_score = 0.25, home.best_epoch = 1, home.ended = "because \"so\"";
  home.curve = {{1, 5, 0.1, 0.7, 0.01, 5}, {12, 60, 1.5, 0.3, 0.02, 55}};
  return home;
}

class SavedCutTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  [[nodiscard]] std::string path(const std::string& server) const { return (folder_ / part_name(server)).string(); }
  [[nodiscard]] SavedJob job(std::vector<std::string> servers) const {
    JobSpec spec;
    spec.name = "m", spec.model = "fm";
    spec.data.name = "d", spec.data.format = "libsvm", spec.data.train = {"/d/train"};
    return {JobId(7), spec, R"({"classes":2})", 12, std::move(servers)};
  }
  /// The dense shard and the home on server a, a bucket of the sparse table on each.
  void write_cut(const std::string& name = "cut-1") {
    const SavedJob said = job({"a", "b"});
    const SavedHome home = known();
    write("a", {name, JobId(7), cut_tables(), {{TableId(0), ShardId(0), values_, state_, 12}, {TableId(1), ShardId(1), {}, {}, 0, &first_}}, &said, &home});
    write("b", {name, JobId(7), cut_tables(), {{TableId(1), ShardId(0), {}, {}, 0, &second_}}, nullptr, nullptr});
  }
  void write(const std::string& server, const CutPart& part) {
    const auto bytes = write_cut_part(folder_.string(), server, part);
    ASSERT_TRUE(bytes) << bytes.error().what;
    EXPECT_EQ(*bytes, fs::file_size(path(server)));
  }
  /// What is wrong with it; empty: nothing.
  [[nodiscard]] std::string words() const {
    const auto cut = Cut::open(folder_.string());
    return cut ? std::string() : cut.error().what;
  }
  [[nodiscard]] std::string content(const std::string& server) const {
    std::ifstream in(path(server), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const std::string& server, const std::string& bytes) const { std::ofstream(path(server), std::ios::binary) << bytes; }

  const fs::path folder_ = fs::temp_directory_path() / ("sluice-cut-" + std::to_string(::getpid()));
  const std::vector<float> values_ = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
  const std::vector<float> state_ = std::vector<float>(15, 0.5F);
  const SomeRows first_{{9, 4}};
  const SomeRows second_{{5}};
};

TEST_F(SavedCutTest, GivesBackWhatWasWritten) {
  write_cut();
  const auto cut = Cut::open(folder_.string());
  ASSERT_TRUE(cut) << cut.error().what;
  EXPECT_EQ(cut->name(), "cut-1");
  EXPECT_EQ(cut->parts(), 2U);
  EXPECT_EQ(cut->job().spec, job({}).spec);
  EXPECT_EQ(cut->job().data, R"({"classes":2})");
  EXPECT_EQ(cut->home(), known());
  EXPECT_EQ(cut->tables(), cut_tables()) << "with seeds and optimizers";
  const auto dense = cut->dense(TableId(0), ShardId(0));
  ASSERT_TRUE(dense);
  EXPECT_EQ(std::vector<float>(dense->values.begin(), dense->values.end()), values_);
  EXPECT_EQ(std::vector<float>(dense->state.begin(), dense->state.end()), state_);
  EXPECT_EQ(dense->updates, 12U);
  const auto rows = cut->rows(TableId(1), ShardId(1));
  ASSERT_TRUE(rows);
  EXPECT_THAT(rows->keys, ElementsAre(9, 4));
  EXPECT_THAT(rows->counts, ElementsAre(90, 40));
  EXPECT_THAT(rows->values, ElementsAre(9, -9, 4, -4));
  EXPECT_THAT(rows->state, ElementsAre(4.5F, 1, 2, 1));
  EXPECT_TRUE(Cut::there(folder_.string()));
}

TEST_F(SavedCutTest, EveryFlippedBitOfEveryByteIsTold) {
  write_cut();
  SeededRng rng(3);
  for (const std::string server : {"a", "b"}) {
    const std::string good = content(server);
    for (std::size_t at = 0; at < good.size(); ++at) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << rng.below(8)));
      put(server, bad);
      const auto cut = Cut::open(folder_.string());
      ASSERT_FALSE(cut) << server << " byte " << at;
      ASSERT_EQ(cut.error().code, Errc::kBadData);
      ASSERT_THAT(cut.error().what, HasSubstr(part_name(server)));
    }
    put(server, good);
  }
  EXPECT_EQ(words(), "");
}

TEST_F(SavedCutTest, EveryCutOffFileAndEveryByteTooManyIsTold) {
  write_cut();
  for (const std::string server : {"a", "b"}) {
    const std::string good = content(server);
    for (std::size_t size = 0; size < good.size(); ++size) {
      put(server, good.substr(0, size));
      ASSERT_NE(words(), "") << server << " cut off at " << size;
    }
    for (const std::size_t more : {1, 4, 8, 4096}) {
      put(server, good + std::string(more, '\0'));
      ASSERT_NE(words(), "") << server << " and " << more << " bytes";
    }
    put(server, good);
  }
  EXPECT_EQ(words(), "");
}

TEST_F(SavedCutTest, SwappedOverwrittenAndZeroedStretchesAreTold) {
  write_cut();
  SeededRng rng(4);
  const std::string good = content("a");
  for (int i = 0; i < 3000; ++i) {
    std::string bad = good;
    const std::size_t n = 1 + rng.below(64), from = rng.below(good.size() - n), to = rng.below(good.size() - n);
    bad.replace(to, n, rng.below(2) == 0 ? std::string(n, '\0') : good.substr(from, n));
    if (bad == good) continue;
    put("a", bad);
    ASSERT_NE(words(), "") << "stretch of " << n << " at " << to;
  }
}

TEST_F(SavedCutTest, MissingDoubleAndForeignPartsAreTold) {
  EXPECT_EQ(Cut::open(folder_.string()).error().code, Errc::kNotFound);
  write_cut();
  const std::string a = content("a"), b = content("b");
  fs::remove(path("b"));
  EXPECT_THAT(words(), HasSubstr("the part of server b (b.part.safetensors) is missing"));
  put("b", b);
  fs::remove(path("a"));
  EXPECT_THAT(words(), HasSubstr("the part of the job's home is missing"));
  put("a", a);
  put("c", b);
  EXPECT_THAT(words(), AnyOf(HasSubstr("is in two parts"), HasSubstr("not the checkpoint's")));
  fs::remove(path("c"));
  EXPECT_EQ(words(), "");
  write_cut("cut-2");
  put("b", b);
  EXPECT_THAT(words(), HasSubstr("another checkpoint"));
}

TEST_F(SavedCutTest, PartsThatDoNotAgreeAreTold) {
  const SavedJob said = job({"a", "b"});
  const SavedHome home = known();
  const auto with = [&](std::vector<TableSpec> tables) {
    write("a", {"cut-1", JobId(7), cut_tables(), {}, &said, &home});
    write("b", {"cut-1", JobId(7), std::move(tables), {}, nullptr, nullptr});
    return words();
  };
  EXPECT_EQ(with(cut_tables()), "");
  EXPECT_EQ(with({cut_tables()[0]}), "") << "a lane that was told of one table only";
  auto tables = cut_tables();
  tables[1].cols = 3;
  EXPECT_THAT(with(tables), HasSubstr("table 'v' differs between parts"));
  tables = cut_tables();
  tables[0].optimizer.numbers["lr"] = 1;
  EXPECT_THAT(with(tables), HasSubstr("table 'w' differs between parts"));
}

TEST_F(SavedCutTest, AFinishedJobsPartIsNoCheckpoint) {
  const SavedJob said = job({"a"});
  auto tables = cut_tables();
  tables.resize(1);
  const SavedShard shards[] = {{TableId(0), ShardId(0), {}, {}, values_}};
  ASSERT_TRUE(write_part(path("a"), JobId(7), tables, shards, &said));
  EXPECT_FALSE(Cut::there(folder_.string()));
  EXPECT_THAT(words(), HasSubstr("not a part of a checkpoint"));
}

TEST_F(SavedCutTest, AnEmptyBucketAndAJobWithoutATouchedShardAreFine) {
  const SavedJob said = job({"a"});
  const SavedHome home;
  const SomeRows none({});
  write("a", {"cut-1", JobId(7), cut_tables(), {{TableId(1), ShardId(0), {}, {}, 0, &none}}, &said, &home});
  const auto cut = Cut::open(folder_.string());
  ASSERT_TRUE(cut) << cut.error().what;
  EXPECT_FALSE(cut->dense(TableId(0), ShardId(0)));
  EXPECT_EQ(cut->rows(TableId(1), ShardId(0))->keys.size(), 0U);
  EXPECT_EQ(cut->home(), home);
}

TEST(SavedHome, AnyJsonIsReadOrRefusedInWords) {
  const std::string good = to_json(known());
  ASSERT_TRUE(saved_home_from_json(good));
  EXPECT_EQ(*saved_home_from_json(good), known());
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{{"\"step\":12", "\"step\":-12"},
                                                                                 {"\"step\":12", "\"step\":1.5"},
                                                                                 {"\"step\":12", "\"step\":\"12\""},
                                                                                 {"\"epochs_done\":1", "\"epochs_done\":4294967296"},
                                                                                 {"\"seconds\":1.5", "\"seconds\":null"},
                                                                                 {"\"open\":[", "\"open\":7,\"x\":["},
                                                                                 {"\"evaluating\":true", "\"evaluating\":1"}}) {
    std::string bad = good;
    const auto at = bad.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    bad.replace(at, from.size(), to);
    const auto read = saved_home_from_json(bad);
    ASSERT_FALSE(read) << to;
    EXPECT_EQ(read.error().code, Errc::kBadData);
  }
  SeededRng rng(8);
  for (int i = 0; i < 20'000; ++i) {
    std::string bad = good;
    for (std::uint64_t n = 1 + rng.below(4); n > 0; --n) bad[rng.below(bad.size())] = static_cast<char>(rng.below(256));
    (void)saved_home_from_json(bad);  // no crash
  }
  EXPECT_FALSE(saved_home_from_json(std::string(100'000, '[')));
  EXPECT_FALSE(saved_home_from_json(""));
}

}  // namespace
}  // namespace sluice::proto
