/// What is read here is what std::from_chars reads, to the bit and to the last character.

#include "worker/data/short_decimal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <string>

#include "base/rng.h"

namespace sluice::worker::data {
namespace {

/// Whether it was read; then as from_chars reads it.
bool reads_as_the_library(const std::string& text) {
  float ours = 0, theirs = 0;
  const char* const end = text.data() + text.size();
  const char* const at = read_short_decimal(text.data(), end, ours);
  if (at == nullptr) return false;
  const auto library = std::from_chars(text.data(), end, theirs);
  EXPECT_EQ(library.ec, std::errc()) << text;
  EXPECT_EQ(library.ptr, at) << text;
  EXPECT_EQ(std::bit_cast<std::uint32_t>(ours), std::bit_cast<std::uint32_t>(theirs)) << text;
  return true;
}

TEST(ShortDecimal, IsWhatTheLibraryReads) {
  SeededRng rng(5);
  std::size_t read = 0;
  for (int i = 0; i < 300000; ++i) {
    std::string text = rng.below(3) == 0 ? "-" : "";
    for (std::uint64_t n = rng.below(9); n > 0; --n) text += static_cast<char>('0' + rng.below(10));
    if (rng.below(4) != 0) text += '.';
    for (std::uint64_t n = rng.below(9); n > 0; --n) text += static_cast<char>('0' + rng.below(10));
    if (rng.below(8) == 0) text += std::string_view(",;e-+. x")[rng.below(8)];
    if (rng.below(8) == 0) text += fmt::format("{}", rng.below(40));
    read += reads_as_the_library(text) ? 1 : 0;
  }
  EXPECT_GT(read, 100000U) << "hardly any was short: this shows little";
}

TEST(ShortDecimal, TheCommonOnesAreAndWhatIsLongerOrNoneIsNot) {
  for (const char* text : {"0", "1", "7 ", "-3", "0.5", "16777216", "1.", ".5", "-0", "-0.0", "0.0000001", "00012", "12,3", "1.2.3"})
    EXPECT_TRUE(reads_as_the_library(text)) << text;
  for (const char* text : {"", "-", ".", "-.", "x", "+1", "nan", "inf", "1e5", "1.5E3", "16777217", "0.12345678901", "123456789012345678", "--1"})
    EXPECT_FALSE(reads_as_the_library(text)) << text;
}

}  // namespace
}  // namespace sluice::worker::data
