#include "cli/report/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::cli::report {
namespace {
using testing::HasSubstr;
using testing::Not;

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(Page, WholeAndWithoutMarks) {
  const std::string text = page({{"version", 1}});
  EXPECT_TRUE(text.starts_with(kPageBegin));
  EXPECT_TRUE(text.ends_with("</html>\n"));
  EXPECT_THAT(text, HasSubstr(R"(id="data">{"version":1}</script>)"));
  for (const char* mark : {"{{script", "{{style", "{{data"}) EXPECT_THAT(text, Not(HasSubstr(mark)));
}

TEST(Page, ThePolicyForbidsTheNetworkAndNamesTheScriptByItsHash) {
  const std::string text = page({});
  EXPECT_THAT(text, HasSubstr("default-src 'none'; script-src 'sha256-"));
  EXPECT_THAT(text, Not(HasSubstr("unsafe-inline")));
  EXPECT_THAT(std::string(page_parts().script_hash), testing::MatchesRegex("sha256-[A-Za-z0-9+/]{43}="));
  for (const char* outside : {"src=\"", "href=\"", "url(http", "@import", "onclick", "onload", "fetch(", "innerHTML", "eval("})
    EXPECT_THAT(text, Not(HasSubstr(outside)));
}

TEST(Page, NoTextOfTheDataLeavesItsElement) {
  const std::string clean = page({{"name", "x"}});
  for (const char* evil : {"</script><script>alert(1)</script>", "<!--<script>", "{{script}}", "{{data}}", "\xff</SCRIPT >", "]]>"}) {
    const std::string text = page({{"name", evil}});
    EXPECT_EQ(count_of(text, "<"), count_of(clean, "<")) << evil;
    EXPECT_EQ(count_of(text, "'use strict'"), 1u) << evil;
  }
  EXPECT_THAT(page({{"name", "a<b"}}), HasSubstr(R"("a\u003cb")"));
}

}  // namespace
}  // namespace sluice::cli::report
