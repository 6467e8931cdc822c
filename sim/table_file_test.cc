#include "sim/table_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace sluice::sim {
namespace {

TEST(TableFile, ReadsBackWhatCellsHeldWhateverItIs) {
  const std::vector<std::string> names = {"mlp-3", "a b", "lr=.1,.2", "say \"yes\"", ",", "\"", "", "ä;|"};
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(csv_cell(names[i]), names[i]) << "nothing to be quoted";
  const std::string path = std::filesystem::temp_directory_path() / ("sluice-table-" + std::to_string(::getpid()) + ".csv");
  {
    std::ofstream out(path);
    out << "before,name,after\n";
    for (const std::string& name : names) out << "1," << csv_cell(name) << ",2\n";
  }
  const auto table = read_table(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(table) << table.error().what;
  ASSERT_EQ(table->rows.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(table->rows[i], (std::vector<std::string>{"1", names[i], "2"}));
}

TEST(TableFile, ACellWithTheEndOfALineIsInQuotes) { EXPECT_EQ(csv_cell("a\nb"), "\"a\nb\""); }

}  // namespace
}  // namespace sluice::sim
