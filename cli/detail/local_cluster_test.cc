#include "cli/detail/local_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cli/detail/folders.h"

namespace sluice::cli::detail {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

class LocalClusterTest : public testing::Test {
 protected:
  LocalClusterTest() {
    std::string pattern = (fs::temp_directory_path() / "sluice-local-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    cluster_.options = {.servers = 2, .slots = 3, .policy = "fair", .round_ms = 100, .out = folder_, .stays = true};
    cluster_.sockets = folder_ + "/sockets";
  }
  ~LocalClusterTest() override { fs::remove_all(folder_); }
  std::string folder_;
  LocalCluster cluster_;
};

TEST_F(LocalClusterTest, WhatIsWrittenIsReadAndWhatIsForgottenIsNot) {
  EXPECT_FALSE(read_local_cluster(folder_)->has_value());
  EXPECT_FALSE(read_local_cluster(folder_ + "/none")->has_value());
  const ProcessId self = *identify(::getpid());
  cluster_.roles = {{"manager", self}, {"worker", {self.pid, self.start + 1, self.boot}}};
  ASSERT_TRUE(write_local_cluster(cluster_));
  const auto read = read_local_cluster(folder_);
  ASSERT_TRUE(read && read->has_value());
  EXPECT_EQ((*read)->options.servers, 2U);
  EXPECT_EQ((*read)->options.slots, 3U);
  EXPECT_EQ((*read)->options.policy, "fair");
  EXPECT_EQ((*read)->options.round_ms, 100U);
  EXPECT_EQ((*read)->options.out, folder_);
  EXPECT_EQ((*read)->manager(), cluster_.manager());
  ASSERT_EQ((*read)->roles.size(), 2U);
  // A pid that another process has by now is not the worker.
  ASSERT_EQ((*read)->alive().size(), 1U);
  EXPECT_EQ((*read)->alive()[0].role, "manager");
  EXPECT_EQ(local_manager(folder_), "ipc://" + folder_ + "/sockets/manager.sock");
  forget_local_cluster(**read);
  EXPECT_FALSE(read_local_cluster(folder_)->has_value());
}

TEST_F(LocalClusterTest, AFolderBelowTmpThatAnotherUserMadeIsNotTrusted) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make a folder of another user";
  const auto kept = [](const char* name) { return std::pair(name, ::getenv(name) == nullptr ? std::string() : std::string(::getenv(name))); };
  const auto before = {kept("HOME"), kept("XDG_STATE_HOME")};
  for (const auto& [name, value] : before) ::unsetenv(name);
  const std::string shared = state_folder();
  const bool was_there = fs::exists(shared);
  if (!was_there) {
    fs::create_directories(shared);
    ASSERT_EQ(::chown(shared.c_str(), 12345, 12345), 0);
    EXPECT_EQ(read_local_cluster(shared).error().code, Errc::kDenied);
    ASSERT_EQ(::chown(shared.c_str(), 0, 0), 0);
    EXPECT_TRUE(read_local_cluster(shared));
    fs::remove_all(shared);
  }
  for (const auto& [name, value] : before)
    if (!value.empty()) ::setenv(name, value.c_str(), 1);
  if (was_there) GTEST_SKIP() << shared << " is in use";
}

TEST_F(LocalClusterTest, AManagerThatIsNotThereIsSaidWithWhatToDo) {
  EXPECT_EQ(local_manager(folder_).error().code, Errc::kBadConfig);
  EXPECT_THAT(local_manager(folder_).error().what, HasSubstr("start one here with 'sluice up'"));
  cluster_.roles = {{"manager", {::getpid(), 1, "another boot"}}};
  ASSERT_TRUE(write_local_cluster(cluster_));
  EXPECT_EQ(local_manager(folder_).error().code, Errc::kCannotConnect);
  EXPECT_THAT(local_manager(folder_).error().what, HasSubstr("'sluice up' starts it again"));
}

TEST_F(LocalClusterTest, AFileThatIsNotOursIsLeftAlone) {
  for (const char* text : {"", "{}", "[1]", "{\"version\":2}", R"({"version":1,"servers":"x"})",
                           R"({"version":1,"servers":1,"slots":1,"policy":"fair","round_ms":1,"sockets":"","roles":[1]})"}) {
    std::ofstream(folder_ + "/cluster.json") << text;
    const auto read = read_local_cluster(folder_);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Errc::kBadData);
    EXPECT_THAT(read.error().what, HasSubstr("then remove the file"));
  }
}

TEST_F(LocalClusterTest, OnlyOneMayChangeIt) {
  ClusterLock second;
  {
    ClusterLock first;
    ASSERT_TRUE(first.take(folder_));
    EXPECT_EQ(second.take(folder_).error().code, Errc::kCannotConnect);
  }
  ClusterLock third;
  EXPECT_TRUE(third.take(folder_));
}

TEST_F(LocalClusterTest, OnlySocketsAreEverRemoved) {
  fs::create_directory(cluster_.sockets);
  std::ofstream(cluster_.sockets + "/precious") << "x";
  remove_sockets(cluster_.sockets);
  EXPECT_TRUE(fs::exists(cluster_.sockets + "/precious"));
  fs::remove(cluster_.sockets + "/precious");
  remove_sockets(cluster_.sockets);
  EXPECT_FALSE(fs::exists(cluster_.sockets));
  remove_sockets(cluster_.sockets);
}

TEST_F(LocalClusterTest, SocketsAreInTheClustersFolderUnlessItsPathIsTooLong) {
  EXPECT_EQ(staying_sockets(folder_, 1), folder_ + "/sockets");
  const std::string elsewhere = staying_sockets(folder_ + std::string(80, 'x'), 1);
  EXPECT_THAT(elsewhere, HasSubstr("/sluice-0000000000000001"));
  EXPECT_LE(elsewhere.size() + std::string("/server-64-255.sock").size(), 107u);
}

}  // namespace
}  // namespace sluice::cli::detail
