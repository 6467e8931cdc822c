#include "worker/data/idx.h"

#include <gtest/gtest.h>

#include "worker/data/fixtures.h"

namespace sluice::worker::data {
namespace {

using fixtures::Folder;
using fixtures::idx_bytes;

Result<Rows> parse_idx(const std::string& images, const std::string& labels, const Mapping* mapping = nullptr, bool gzip = false,
                       proto::LabelKind kind = proto::LabelKind::kClasses) {
  const Folder folder;
  const std::string image_path = gzip ? folder.write_gzip("images", images) : folder.write("images", images);
  const std::string label_path = gzip ? folder.write_gzip("labels", labels) : folder.write("labels", labels);
  auto image_file = SourceFile::open(image_path, SourceFile::Mode::kInflated), label_file = SourceFile::open(label_path, SourceFile::Mode::kInflated);
  EXPECT_TRUE(image_file && label_file);
  return read_idx(*image_file, image_path, *label_file, label_path, kind, mapping, {});
}
std::string trouble(const std::string& images, const std::string& labels, const Mapping* mapping = nullptr) {
  const auto rows = parse_idx(images, labels, mapping);
  if (rows) return "none";
  EXPECT_EQ(rows.error().code, Errc::kBadData);
  return rows.error().what;
}

const std::string kImages = idx_bytes({3, 2, 2}, "abcdefghijkl");
const std::string kLabels = idx_bytes({3}, std::string("\2\0\1", 3));

TEST(Idx, ReadsImagesAndLabelsPlainAndGzip) {
  for (const bool gzip : {false, true}) {
    const auto rows = parse_idx(kImages, kLabels, nullptr, gzip);
    ASSERT_TRUE(rows) << rows.error().what;
    EXPECT_FALSE(rows->sparse);
    EXPECT_EQ(rows->mapping.features, 4U);
    EXPECT_EQ(rows->mapping.labels.size(), 3U);
    EXPECT_EQ(rows->classes, (std::vector<std::uint32_t>{2, 0, 1}));
    EXPECT_EQ(std::string(rows->pixels.begin(), rows->pixels.end()), "abcdefghijkl");
  }
}

TEST(Idx, EachKindOfDamageIsNamed) {
  const auto has = [](const std::string& what, const std::string& part) { return what.find(part) != std::string::npos ? "" : what; };
  EXPECT_EQ(has(trouble("nonsense", kLabels), "not an IDX image file"), "");
  EXPECT_EQ(has(trouble(kImages, "nonsense"), "not an IDX label file"), "");
  EXPECT_EQ(has(trouble(kImages.substr(0, 3), kLabels), "header is cut off"), "");
  EXPECT_EQ(has(trouble(kImages.substr(0, 10), kLabels), "header is cut off"), "");
  EXPECT_EQ(has(trouble(kImages.substr(0, kImages.size() - 1), kLabels), "names 3 images, there are bytes for 2"), "");
  EXPECT_EQ(has(trouble(kImages + "x", kLabels), "more bytes"), "");
  EXPECT_EQ(has(trouble(kImages, kLabels + "x"), "more bytes"), "");
  EXPECT_EQ(has(trouble(kImages, idx_bytes({2}, "\1\1")), "2 labels for the 3 images"), "");
  EXPECT_EQ(has(trouble(kLabels, kImages), "the order is images, labels"), "");
  EXPECT_EQ(has(trouble(kImages, kImages), "an IDX image file where the labels"), "");
  EXPECT_EQ(has(trouble(idx_bytes({3, 0, 2}, ""), kLabels), "impossible sizes"), "");
  EXPECT_EQ(has(trouble(idx_bytes({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, ""), kLabels), "impossible sizes"), "");
  EXPECT_EQ(has(trouble(idx_bytes({0x10000, 0x100, 0x100}, "few"), kLabels), "cut off"), "");  // claims 4 GiB; no such memory is taken
  std::string floats = kImages;
  floats[2] = '\x0d';
  EXPECT_EQ(has(trouble(floats, kLabels), "element type 0x0d"), "");
}

TEST(Idx, LabelsMayBeTargets) {
  const auto rows = parse_idx(kImages, kLabels, nullptr, false, proto::LabelKind::kTargets);
  ASSERT_TRUE(rows) << rows.error().what;
  EXPECT_EQ(rows->targets, (std::vector<float>{2, 0, 1}));
  EXPECT_EQ(rows->count(), 3U);
  EXPECT_TRUE(rows->mapping.labels.empty());
}

TEST(Idx, TestImagesFollowTheTrainingData) {
  const Mapping mapping = parse_idx(kImages, kLabels)->mapping;
  const auto rows = parse_idx(kImages, idx_bytes({3}, std::string("\0\7\2", 3)), &mapping);
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->classes, (std::vector<std::uint32_t>{0, 2}));
  EXPECT_EQ(std::string(rows->pixels.begin(), rows->pixels.end()), "abcdijkl");
  EXPECT_EQ(rows->bad_rows, 1U);
  EXPECT_EQ(rows->first_bad, "item 1: label 7 is beyond the training data's, 0 to 2");
  EXPECT_NE(trouble(idx_bytes({3, 1, 3}, "abcdefghi"), kLabels, &mapping).find("those of the training data have 4"), std::string::npos);
}

}  // namespace
}  // namespace sluice::worker::data
