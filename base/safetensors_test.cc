#include "base/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace sluice::safetensors {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

class SafetensorsTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  /// keys: U64 [3], w: F32 [2, 2], none: F32 [0].
  void write() const {
    auto writer = Writer::create(path(), {{"keys", Type::kU64, {3}}, {"w", Type::kF32, {2, 2}}, {"none", Type::kF32, {0}}}, {{"job", "a \"b\" é"}});
    ASSERT_TRUE(writer) << writer.error().what;
    ASSERT_TRUE(writer->append(std::as_bytes(std::span(keys_))));
    ASSERT_TRUE(writer->append(std::as_bytes(std::span(w_)).first(7)));
    ASSERT_TRUE(writer->append(std::as_bytes(std::span(w_)).subspan(7)));
    ASSERT_TRUE(writer->commit());
  }
  [[nodiscard]] std::string path() const { return (folder_ / "m.safetensors").string(); }
  [[nodiscard]] std::string content() const {
    std::ifstream in(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const std::string& bytes) const { std::ofstream(path(), std::ios::binary) << bytes; }

  const fs::path folder_ = fs::temp_directory_path() / ("sluice-safetensors-" + std::to_string(::getpid()));
  const std::vector<std::uint64_t> keys_ = {1, 1ULL << 63, 7};
  const std::vector<float> w_ = {1, -2, 0.5F, 4};
};

TEST_F(SafetensorsTest, WhatWasWrittenIsRead) {
  write();
  const auto file = File::open(path());
  ASSERT_TRUE(file) << file.error().what;
  EXPECT_EQ(file->metadata().at("job"), "a \"b\" é");
  ASSERT_EQ(file->tensors().size(), 3u);
  const Tensor* w = file->find("w");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(w->shape, (std::vector<std::uint64_t>{2, 2}));
  const Bytes bytes = file->bytes(*w);
  EXPECT_EQ(std::memcmp(bytes.data(), w_.data(), bytes.size()), 0);
  EXPECT_EQ(load<std::uint64_t>(file->bytes(*file->find("keys")).data() + 8), 1ULL << 63);
  EXPECT_EQ(file->bytes(*file->find("none")).size(), 0u);
  EXPECT_EQ(file->find("x"), nullptr);
}

TEST_F(SafetensorsTest, NothingAppearsBeforeItIsWhole) {
  auto writer = Writer::create(path(), {{"w", Type::kF32, {4}}}, {});
  ASSERT_TRUE(writer);
  EXPECT_FALSE(fs::exists(path()));
}

TEST_F(SafetensorsTest, EveryFlippedByteAndEveryCutIsTold) {
  write();
  const std::string good = content();
  for (std::size_t at = 0; at < good.size(); ++at) {
    put(good.substr(0, at));
    EXPECT_FALSE(File::open(path())) << "cut at " << at;
  }
  const std::size_t data = good.size() - 40;  // 3 × 8 + 4 × 4
  for (std::size_t at = data; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    put(bad);
    const auto file = File::open(path());
    ASSERT_FALSE(file) << at;
    EXPECT_THAT(file.error().what, HasSubstr("checksum"));
  }
}

TEST_F(SafetensorsTest, BadHeadersAreRefusedInWords) {
  const auto words = [&](const std::string& header, std::size_t data = 16) {
    const std::uint64_t size = header.size();
    put(std::string(reinterpret_cast<const char*>(&size), 8) + header + std::string(data, '\0'));
    const auto file = File::open(path());
    return file ? std::string() : file.error().what;
  };
  EXPECT_EQ(words(R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})"), "") << "without a checksum it is read too";
  EXPECT_THAT(words(R"({"w":{"dtype":"BF16","shape":[8],"data_offsets":[0,16]}})"), HasSubstr("of type \"BF16\""));
  EXPECT_THAT(words(R"({"w":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}})"), HasSubstr("do not agree"));
  EXPECT_THAT(words(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}})"), HasSubstr("do not agree"));
  EXPECT_THAT(words(R"({"w":{"dtype":"F32","shape":[8],"data_offsets":[0,32]}})"), HasSubstr("cut off"));
  EXPECT_THAT(words(R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})"), HasSubstr("cut off"));
  EXPECT_THAT(words(R"({"w":{"dtype":"U64","shape":[1],"data_offsets":[4,12]}})"), HasSubstr("aligned"));
  EXPECT_THAT(words(R"({"w":{"shape":[4],"data_offsets":[0,16]}})"), HasSubstr("can't be read"));
  EXPECT_THAT(words("[1]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(words("{"), HasSubstr("can't be read"));
  EXPECT_EQ(File::open((folder_ / "none").string()).error().code, Errc::kNotFound);
  EXPECT_EQ(File::open(folder_.string()).error().code, Errc::kBadData);
}

}  // namespace
}  // namespace sluice::safetensors
