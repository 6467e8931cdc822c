#include "base/text.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Text, TheNearestNameIsTheOneThatWasMeant) {
  const std::vector<std::string> known{"batch", "epochs", "learning", "lr", "optimizer", "seed"};
  for (const auto& [typed, meant] : std::vector<std::pair<std::string, std::string>>{
           {"bacth", "batch"}, {"epoch", "epochs"}, {"optimiser", "optimizer"}, {"sead", "seed"}, {"learning_rate", "lr"}, {"lr", "lr"}}) {
    EXPECT_EQ(text::nearest(typed, known), meant) << typed;
  }
  EXPECT_EQ(text::nearest("something else", known), std::nullopt);
  EXPECT_EQ(text::nearest(std::string(100'000, 'x'), known), std::nullopt);
  EXPECT_EQ(text::nearest("x", {}), std::nullopt);
}

TEST(Text, AnUnknownNameListsTheKnownOnes) {
  EXPECT_EQ(text::unknown_name("policy", "fare", {"fair", "slaq"}), "unknown policy 'fare'; did you mean 'fair'? known: fair, slaq");
  EXPECT_EQ(text::unknown_name("policy", "zzzzzz", {"fair", "slaq"}), "unknown policy 'zzzzzz'; known: fair, slaq");
}

TEST(Text, ANameIsNeverAPath) {
  for (const auto* good : {"a", "mlp-3", "x_1.y", "0", "..."}) EXPECT_TRUE(text::valid_name(good)) << good;
  for (const auto* bad : {"", ".", "..", "a/b", "A", "a b", "ä", "a\n"}) EXPECT_FALSE(text::valid_name(bad)) << bad;
  EXPECT_TRUE(text::valid_name(std::string(64, 'a')));
  EXPECT_FALSE(text::valid_name(std::string(65, 'a')));
}

TEST(Text, PrintableLeavesNothingThatSteersATerminal) {
  EXPECT_EQ(text::printable("a\x1b[31mb\x07\r\n\tc\x7f é"), "a?[31mb??\n\tc? é");
  EXPECT_EQ(text::printable(std::string_view("\0x", 2)), "?x");
  EXPECT_EQ(text::printable("a\xc2\x9b"
                            "b"),
            "a?b")
      << "the other CSI";
  EXPECT_EQ(text::printable("a\xba"
                            "b\xe2\x82"),
            "a?b??")
      << "no UTF-8";
  EXPECT_EQ(text::printable("\xed\xa0\x80\xc0\xaf"), "?????") << "a surrogate, an overlong form";
  EXPECT_EQ(text::printable("€ 😀"), "€ 😀");
}

}  // namespace
}  // namespace sluice
