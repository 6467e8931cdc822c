#include "proto/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "proto/detail/random_header.h"

namespace sluice::proto {
namespace {

using ::testing::HasSubstr;

Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }
constexpr std::size_t kKinds = std::variant_size_v<Body>;

TEST(Codec, EveryBodyComesBackAsItWent) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    detail::RandomHeader random(seed);
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      const Header header = random.make(kind);
      ASSERT_EQ(header.body.index(), kind);
      const std::string bytes = encode(header);
      EXPECT_EQ(bytes.size() % 8, 0U);
      const auto back = decode(bytes_of(bytes));
      ASSERT_TRUE(back) << "seed " << seed << " kind " << kind << ": " << back.error().what;
      EXPECT_EQ(*back, header) << "seed " << seed << " kind " << kind;
    }
  }
}

TEST(Codec, ReadsAtAnyAlignment) {
  detail::RandomHeader random(7);
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    const Header header = random.make(kind);
    const std::string bytes = encode(header);
    for (std::size_t shift = 0; shift < 8; ++shift) {
      const std::string moved = std::string(shift, '?') + bytes;
      EXPECT_EQ(decode(bytes_of(moved).subspan(shift)), header);
    }
  }
}

TEST(Codec, ShortenedFramesAreMalformedOrSmallerMessages) {
  detail::RandomHeader random(11);
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    std::string bytes = encode(random.make(kind));
    if (bytes.size() > 4096) bytes.resize(4096);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const std::string cut(bytes.data(), size);  // its own allocation: reading beyond it is a sanitizer's finding
      const auto back = decode(bytes_of(cut));
      EXPECT_TRUE(back || back.error().code == Errc::kMalformed);
      EXPECT_FALSE(back && (size % 8 != 0 || size < 16));
    }
  }
}

TEST(Codec, FlippedBitsNeverCrash) {
  SeededRng rng(5);
  std::size_t refused = 0;
  for (int round = 0; round < 12; ++round) {
    detail::RandomHeader random(rng.next());
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      const std::string good = encode(random.make(kind));
      for (int i = 0; i < 40; ++i) {
        std::string bad = good;
        for (std::uint64_t flips = 1 + rng.below(4); flips > 0; --flips)
          bad[rng.below(std::min<std::size_t>(bad.size(), 600))] ^= static_cast<char>(1 << rng.below(8));
        refused += decode(bytes_of(bad)) ? 0 : 1;
        (void)decode_envelope(bytes_of(bad));
      }
    }
  }
  EXPECT_GT(refused, 1000U);
}

TEST(Codec, RandomBytesNeverCrash) {
  SeededRng rng(6);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(8 * rng.below(40), '\0');
    for (char& c : bytes) c = static_cast<char>(rng.below(rng.below(2) == 0 ? 256 : 4));
    const auto back = decode(bytes_of(bytes));
    EXPECT_TRUE(back || back.error().code == Errc::kMalformed);
  }
}

/// Empty when it can be read.
std::string error_of(const Header& header) {
  const auto back = decode(bytes_of(encode(header)));
  return back ? "" : back.error().what;
}

TEST(Codec, AnotherVersionIsNamedWithOurs) {
  Header header;
  header.envelope.protocol = 7;
  header.envelope.request = 42;
  EXPECT_THAT(error_of(header), HasSubstr("version 7"));
  EXPECT_THAT(error_of(header), HasSubstr(std::to_string(kProtocolVersion) + " (ours)"));
  EXPECT_EQ(decode_envelope(bytes_of(encode(header)))->request, 42U);
}

std::string error_of(Body body) {
  Header header;
  header.body = std::move(body);
  return error_of(header);
}

Push with_section(Section section) { return {PushKind::kGradient, AckLevel::kApplied, {section}}; }

TEST(Codec, SectionsOutOfBoundsAreMalformed) {
  Section section;
  EXPECT_EQ(error_of(with_section(section)), "");
  section.count = kSectionCountMax + 1;
  EXPECT_THAT(error_of(with_section(section)), HasSubstr("values"));
  section = {};
  section.outcome = static_cast<Outcome>(8);
  EXPECT_THAT(error_of(with_section(section)), HasSubstr("outcome 8"));
  section = {};
  section.codec = kCodecMax + 1;
  EXPECT_THAT(error_of(with_section(section)), HasSubstr("codec"));
  EXPECT_THAT(error_of(Pull{std::vector<Section>(kSectionsMax + 1)}), HasSubstr("at most 4096"));
}

TEST(Codec, UnknownEnumsAreMalformed) {
  EXPECT_THAT(error_of(Push{static_cast<PushKind>(3), AckLevel::kApplied, {}}), HasSubstr("push kind 3"));
  EXPECT_THAT(error_of(Push{PushKind::kDelta, static_cast<AckLevel>(9), {}}), HasSubstr("acknowledgement"));
  EXPECT_THAT(error_of(Heartbeat{1, static_cast<Role>(2), 0}), HasSubstr("role"));
  EXPECT_THAT(error_of(Refused{static_cast<RefusalKind>(4), "", "", ""}), HasSubstr("refusal"));
}

TEST(Codec, AClockHasABoundedNumberOfSlotsAndEachABatch) {
  EXPECT_EQ(error_of(Apply{3, 4, {{Incarnation(1), 2, 3}}}), "");
  EXPECT_THAT(error_of(Apply{3, 4, {{Incarnation(1), 0, 3}}}), HasSubstr("batch in an apply is 0"));
  EXPECT_THAT(error_of(Apply{0, 0, std::vector<ApplySlot>(kApplySlotsMax + 1, {Incarnation(1), 1, 1})}), HasSubstr("65537 slots of a clock, at most 65536"));
}

TEST(Codec, NumbersMustBeFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  Commit commit;
  commit.loss_sum = nan;
  EXPECT_THAT(error_of(commit), HasSubstr("loss sum is not a finite"));
  EvaluateCommit evaluate;
  evaluate.metric_sum = infinity;
  EXPECT_THAT(error_of(evaluate), HasSubstr("metric"));
  JobReport report;
  report.staleness_mean = -infinity;
  EXPECT_THAT(error_of(Report{1, {report}}), HasSubstr("staleness"));
}

TEST(Codec, TextsAndListsAreBounded) {
  EXPECT_EQ(error_of(Call{"ps", std::string(kTextBytesMax, 'x')}), "");
  EXPECT_THAT(error_of(Call{"ps", std::string(kTextBytesMax + 1, 'x')}), HasSubstr("longer than"));
  Register member;
  member.lanes.resize(kLanesMax + 1);
  EXPECT_THAT(error_of(member), HasSubstr("lanes"));
  EXPECT_THAT(error_of(CreateTables{std::vector<TableSpec>(kTablesMax + 1)}), HasSubstr("tables"));
  EXPECT_THAT(error_of(CreateTables{std::vector<TableSpec>(1)}), HasSubstr("name"));
}

}  // namespace
}  // namespace sluice::proto
