#include "worker/data/csv_cells.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace sluice::worker::data {
namespace {

std::vector<std::string> cells_of(std::string_view record, char separator = ',') {
  std::vector<CsvCell> cells;
  CsvTrouble trouble;
  if (!read_cells(record, separator, cells, trouble)) return {"wrong at " + std::to_string(trouble.at) + ": " + trouble.what};
  std::vector<std::string> out;
  std::string room;
  for (const CsvCell& cell : cells) out.emplace_back(meant(cell, room));
  return out;
}
using Cells = std::vector<std::string>;

TEST(CsvCells, AreCutAtSeparatorsOutsideQuotes) {
  EXPECT_EQ(cells_of("a,b,c\n"), (Cells{"a", "b", "c"}));
  EXPECT_EQ(cells_of(" a ,\tb c,\r\n"), (Cells{"a", "b c", ""}));
  EXPECT_EQ(cells_of(R"("a,b", "say ""hi""",5" pipe)"), (Cells{"a,b", R"(say "hi")", R"(5" pipe)"}));
  EXPECT_EQ(cells_of("\"two\nlines\",x\r\n"), (Cells{"two\nlines", "x"}));
  EXPECT_EQ(cells_of("\"\",\"\"\"\""), (Cells{"", "\""}));
  EXPECT_EQ(cells_of("a\tb c\t\t", '\t'), (Cells{"a", "b c", "", ""}));
  EXPECT_EQ(cells_of(","), (Cells{"", ""}));
  for (const char* nothing : {"", "\n", " \r\n", "\t"}) EXPECT_TRUE(cells_of(nothing).empty());
}

TEST(CsvCells, WhatIsWrongHasAPlace) {
  EXPECT_EQ(cells_of("a,\"b\n"), (Cells{"wrong at 2: the quote that opens here is never closed"}));
  EXPECT_EQ(cells_of("\"a\"b,c")[0].substr(0, 11), "wrong at 3:");
}

/// Whatever is in cells, written with quotes and read, it is the same; and records are cut where they were joined, in pieces of any size.
TEST(CsvCells, WhatIsWrittenIsRead) {
  SeededRng rng(3);
  constexpr std::string_view kLikely = "ab,;\"\n\r\t 1.";
  for (int round = 0; round < 300; ++round) {
    std::vector<Cells> rows;
    std::string text;
    std::vector<std::size_t> ends;
    for (std::uint64_t r = 1 + rng.below(8); r > 0; --r) {
      Cells& row = rows.emplace_back(1 + rng.below(5));
      for (std::size_t c = 0; c < row.size(); ++c) {
        for (std::uint64_t n = rng.below(6); n > 0; --n) row[c] += kLikely[rng.below(kLikely.size())];
        text += c == 0 ? "\"" : ",\"";
        for (const char letter : row[c]) text += letter == '"' ? std::string("\"\"") : std::string(1, letter);
        text += '"';
      }
      text += "\r\n";
      ends.push_back(text.size());
    }
    std::size_t from = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      EXPECT_EQ(record_end(text, from, ','), ends[r]) << text;
      EXPECT_EQ(cells_of(std::string_view(text).substr(from, ends[r] - from)), rows[r]);
      from = ends[r];
    }
    std::vector<std::string_view> pieces;
    const std::size_t cut = rng.below(text.size());
    const std::size_t whole = cut_records(std::string_view(text).substr(0, cut), ',', 1 + rng.below(20), pieces);
    std::size_t sum = 0;
    for (const std::string_view piece : pieces) {
      sum += piece.size();
      EXPECT_NE(std::find(ends.begin(), ends.end(), sum), ends.end());
    }
    EXPECT_EQ(sum, whole);
    const auto next = std::upper_bound(ends.begin(), ends.end(), whole);
    EXPECT_TRUE(next != ends.end() && *next > cut) << "a whole record was left";
  }
}

/// Any bytes: a record's cells or words about it, and never beyond the text.
TEST(CsvCells, ArbitraryBytesNeverCrashIt) {
  SeededRng rng(5);
  constexpr std::string_view kLikely("a,\"\n\r \0\xff;", 9);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::uint64_t n = rng.below(40); n > 0; --n) text += kLikely[rng.below(kLikely.size())];
    std::vector<std::string_view> pieces;
    std::size_t whole = cut_records(text, ',', 1 + rng.below(9), pieces);
    ASSERT_LE(whole, text.size());
    EXPECT_EQ(record_end(text, whole, ','), std::string_view::npos) << "the rest is no record";
    if (whole < text.size()) pieces.push_back(std::string_view(text).substr(whole));
    for (const std::string_view piece : pieces) {
      std::vector<CsvCell> cells;
      CsvTrouble trouble;
      std::string room;
      if (!read_cells(piece, ',', cells, trouble)) {
        EXPECT_LT(trouble.at, piece.size());
        continue;
      }
      for (const CsvCell& cell : cells) EXPECT_LE(meant(cell, room).size(), piece.size());
    }
  }
}

}  // namespace
}  // namespace sluice::worker::data
