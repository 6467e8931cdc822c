#include "base/temporary_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

namespace sluice {
namespace {

TEST(TemporaryFile, MayBeReadByWhomTheUmaskSays) {
  const std::string path = testing::TempDir() + "temporary_file_test.txt";
  const mode_t before = ::umask(0027);
  ASSERT_TRUE(write_file(path, "text"));
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640U) << "a model that was exported is for others too";
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace sluice
