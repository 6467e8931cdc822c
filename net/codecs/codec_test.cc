#include "net/codecs/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/rng.h"
#include "proto/messages.h"

namespace sluice::net {
namespace {

/// What every codec promises, for every registered name.
class CodecContract : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Codec> codec_ = (**codecs().find(GetParam()))();
};

TEST_P(CodecContract, IsKnownByItsNameAndNumber) {
  EXPECT_EQ(codec_->name(), GetParam());
  EXPECT_LE(codec_->number(), proto::kCodecMax);
  const auto found = codec_of(codec_->number());
  ASSERT_TRUE(found);
  EXPECT_EQ((*found)->name(), GetParam());
}

TEST_P(CodecContract, RoundTripsWithinItsStatedError) {
  SeededRng rng(1);
  for (const std::size_t count : {0, 1, 3, 64, 1000, 4097}) {
    std::vector<float> values(count);
    for (float& v : values) v = static_cast<float>((rng.uniform() - 0.5) * std::pow(10, static_cast<double>(rng.below(12)) - 6));
    double largest = 0;
    for (const float v : values) largest = std::max(largest, std::abs(static_cast<double>(v)));
    std::vector<std::byte> bytes(codec_->bytes(count) + 1);
    const std::span<std::byte> odd = std::span(bytes).subspan(1);  // unaligned
    codec_->encode(values, odd);
    std::vector<float> back(count);
    ASSERT_TRUE(codec_->decode(odd, back));
    for (std::size_t i = 0; i < count; ++i) ASSERT_NEAR(back[i], values[i], codec_->relative_error() * largest);
  }
}

TEST_P(CodecContract, AnyBytesAreReadOrRefused) {
  SeededRng rng(2);
  for (int round = 0; round < 2000; ++round) {
    std::vector<float> values(rng.below(100));
    std::vector<std::byte> bytes(rng.below(2) == 0 ? codec_->bytes(values.size()) : rng.below(500));
    for (auto& b : bytes) b = static_cast<std::byte>(rng.below(256));
    const auto result = codec_->decode(bytes, values);
    if (!result) {
      EXPECT_EQ(result.error().code, Errc::kMalformed);
    } else {
      EXPECT_EQ(bytes.size(), codec_->bytes(values.size()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Each, CodecContract, ::testing::ValuesIn(codecs().names()), [](const auto& name) { return name.param; });

TEST(Codecs, EveryNumberThatTheWireAllowsIsOneCodec) {
  std::set<std::string_view> names;
  for (unsigned number = 0; number <= proto::kCodecMax; ++number) {
    const auto codec = codec_of(static_cast<std::uint8_t>(number));
    ASSERT_TRUE(codec);
    EXPECT_EQ((*codec)->number(), number);
    names.insert((*codec)->name());
  }
  EXPECT_EQ(names.size(), codecs().names().size());
  EXPECT_FALSE(codec_of(proto::kCodecMax + 1));
}

}  // namespace
}  // namespace sluice::net
