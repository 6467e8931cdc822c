#include "net/payload.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace sluice::net {
namespace {

std::string random_text(SeededRng& rng, std::size_t size) {
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(rng.below(256));
  return out;
}
Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }
std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

TEST(Payload, SectionsOfAnySizeComeBackInOrder) {
  SeededRng rng(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> sections;
    PayloadWriter writer;
    for (std::uint64_t n = rng.below(30); n > 0; --n) {
      constexpr std::size_t kSizes[] = {0, 1, 4, 7, 8, 32, 100, PayloadWriter::kCopyBytesMax, PayloadWriter::kCopyBytesMax + 1, 20'000};
      sections.push_back(random_text(rng, kSizes[rng.below(std::size(kSizes))]));
      if (rng.below(2) == 0) {
        writer.add(Frame::from(sections.back()));
      } else {
        writer.add_copy(bytes_of(sections.back()));
      }
    }
    const auto frames = writer.finish();
    PayloadReader reader(frames);
    for (const auto& section : sections) {
      if (rng.below(2) == 0) {
        const auto taken = reader.take(section.size());
        ASSERT_TRUE(taken);
        EXPECT_EQ(text_of(*taken), section);
      } else {
        const auto taken = reader.take_frame(section.size());
        ASSERT_TRUE(taken);
        EXPECT_EQ(text_of(taken->bytes()), section);
      }
    }
    EXPECT_TRUE(reader.at_end());
    EXPECT_FALSE(reader.take(1));
  }
}

TEST(Payload, LargeFramesAreNotCopiedAndSmallOnesShare) {
  const Frame large = Frame::from(std::vector<float>(5000));
  PayloadWriter writer;
  writer.add_copy(bytes_of("abc"));
  writer.add_copy(bytes_of("defgh"));
  writer.add(large);
  const auto frames = writer.finish();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].size(), 8U + 5U);
  EXPECT_EQ(frames[1].data(), large.data());
}

TEST(Payload, ASectionThatIsNotThereIsMalformed) {
  const std::vector<Frame> frames = {Frame::from(std::string(10, 'x')), Frame::from(std::string(100, 'y'))};
  PayloadReader reader(frames);
  EXPECT_TRUE(reader.take(8));
  EXPECT_FALSE(reader.at_end());
  EXPECT_EQ(text_of(*reader.take(3)), "yyy");  // did not fit what was left of the first frame
  const auto wrong = reader.take(1000);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Errc::kMalformed);
  EXPECT_FALSE(PayloadReader(frames).take(SIZE_MAX));
  EXPECT_FALSE(PayloadReader({}).take(1));
  EXPECT_TRUE(PayloadReader({}).take(0));
  EXPECT_TRUE(PayloadReader({}).at_end());
}

}  // namespace
}  // namespace sluice::net
