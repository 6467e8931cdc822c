/// The contract of manager/store.h over every store, and what only the durable one promises.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>

#include "manager/store.h"

namespace sluice::manager {
namespace {

std::string fresh_folder() {
  static int number = 0;
  const auto path = std::filesystem::temp_directory_path() / (fmt::format("sluice-store-{}-{}", ::getpid(), number++));
  std::filesystem::remove_all(path);
  return path.string();
}

class Folder {
 public:
  ~Folder() { std::filesystem::remove_all(path); }
  const std::string path = fresh_folder();
};

class StoreContract : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "memory") {
      store = make_memory_store();
    } else {
      auto opened = open_sqlite_store(folder.path);
      ASSERT_TRUE(opened) << opened.error().what;
      store = std::move(*opened);
    }
    const auto acquired = store->acquire("manager", from_ms(1000));
    ASSERT_TRUE(acquired);
    term = *acquired;
  }
  Folder folder;
  std::unique_ptr<Store> store;
  Term term;
};

TEST_P(StoreContract, AKeyIsPutOnlyAtTheRevisionItHas) {
  EXPECT_FALSE(store->get("a")->has_value());
  const auto first = store->put_if(term, "a", 0, "one");
  ASSERT_TRUE(first);
  EXPECT_EQ(store->put_if(term, "a", 0, "two").error().code, Errc::kRejected);
  EXPECT_EQ(store->put_if(term, "a", *first + 1, "two").error().code, Errc::kRejected);
  EXPECT_EQ((*store->get("a"))->value, "one");
  const auto second = store->put_if(term, "a", *first, "two");
  ASSERT_TRUE(second);
  EXPECT_GT(*second, *first);
  EXPECT_EQ(**store->get("a"), (StoreEntry{"a", "two", *second}));
}

TEST_P(StoreContract, KeysAreErasedAllOrNoneAndOnlyAtTheirRevisions) {
  const auto a = store->put_if(term, "a", 0, "one"), b = store->put_if(term, "b", 0, "two");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(store->erase_if(term, {{"a", *a}, {"b", *a}}).error().code, Errc::kRejected);
  EXPECT_EQ(store->erase_if(term, {{"a", *a}, {"c", 1}}).error().code, Errc::kRejected);
  EXPECT_EQ(store->erase_if(Term{term.value + 1}, {{"a", *a}}).error().code, Errc::kRejected);
  EXPECT_EQ(store->list("")->size(), 2U);
  ASSERT_TRUE(store->erase_if(term, {{"a", *a}}));
  EXPECT_FALSE(store->get("a")->has_value());
  EXPECT_EQ((*store->get("b"))->value, "two");
  const auto again = store->put_if(term, "a", 0, "three");
  ASSERT_TRUE(again) << again.error().what;
  EXPECT_GT(*again, *b);
}

TEST_P(StoreContract, AnotherTermThanTheNewestIsRefused) {
  EXPECT_EQ(store->put_if(Term{term.value + 1}, "a", 0, "x").error().code, Errc::kRejected);
  EXPECT_EQ(store->put_if(Term{0}, "a", 0, "x").error().code, Errc::kRejected);
  EXPECT_FALSE(store->get("a")->has_value());
  EXPECT_EQ(*store->acquire("manager", from_ms(1000)), term);
}

TEST_P(StoreContract, ListGivesExactlyThePrefixInOrder) {
  for (const char* key : {"job/2", "job/1", "job0", "jo", "slots"}) ASSERT_TRUE(store->put_if(term, key, 0, key));
  const auto listed = store->list("job/");
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 2U);
  EXPECT_EQ((*listed)[0].key, "job/1");
  EXPECT_EQ((*listed)[1].key, "job/2");
  EXPECT_EQ(store->list("")->size(), 5U);
}

TEST_P(StoreContract, AWatcherThatComesBackSeesTheNewestValueOfEveryChange) {
  std::uint64_t a = *store->put_if(term, "w/a", 0, "1");
  const std::uint64_t seen = a;
  ASSERT_TRUE(store->put_if(term, "w/b", 0, "1"));
  ASSERT_TRUE(store->put_if(term, "other", 0, "1"));
  a = *store->put_if(term, "w/a", a, "2");
  a = *store->put_if(term, "w/a", a, "3");
  const auto changes = store->watch("w/", seen);
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->size(), 2U);
  EXPECT_EQ((*changes)[0].key, "w/b");
  EXPECT_EQ((*changes)[1], (StoreEntry{"w/a", "3", a}));
  EXPECT_TRUE(store->watch("w/", a)->empty());
}

TEST_P(StoreContract, KeysAndValuesAreAnyBytes) {
  const std::string odd("k\0\xff'\"", 5);
  const std::string big(1 << 20, '\xfe');
  ASSERT_TRUE(store->put_if(term, odd, 0, big));
  EXPECT_EQ((*store->get(odd))->value, big);
  EXPECT_EQ(store->list(odd)->size(), 1U);
  ASSERT_TRUE(store->put_if(term, "empty", 0, ""));
  EXPECT_EQ((*store->get("empty"))->value, "");
}

INSTANTIATE_TEST_SUITE_P(AllStores, StoreContract, testing::Values("memory", "sqlite"), [](const auto& p) { return p.param; });

TEST(SqliteStore, WhatWasPutIsThereAfterReopeningUnderAHigherTerm) {
  const Folder folder;
  Term first;
  {
    auto store = *open_sqlite_store(folder.path);
    first = *store->acquire("manager", from_ms(1000));
    ASSERT_TRUE(store->put_if(first, "a", 0, "kept"));
  }
  auto store = *open_sqlite_store(folder.path);
  const Term second = *store->acquire("manager", from_ms(1000));
  EXPECT_GT(second, first);
  const auto entry = **store->get("a");
  EXPECT_EQ(entry.value, "kept");
  EXPECT_EQ(store->put_if(first, "a", entry.revision, "late").error().code, Errc::kRejected);
  EXPECT_GT(*store->put_if(second, "b", 0, "x"), entry.revision);
}

TEST(SqliteStore, ASecondUserOfTheFolderIsToldThePidOfTheFirst) {
  const Folder folder;
  auto store = open_sqlite_store(folder.path);
  ASSERT_TRUE(store);
  const auto second = open_sqlite_store(folder.path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kCannotConnect);
  EXPECT_EQ(second.error().what, "state folder " + folder.path + " is in use by pid " + std::to_string(::getpid()));
  store->reset();
  EXPECT_TRUE(open_sqlite_store(folder.path));
}

TEST(SqliteStore, AFullDiskIsANamedErrorAndChangesNothing) {
  const Folder folder;
  auto store = *open_sqlite_store(folder.path);
  const Term term = *store->acquire("manager", from_ms(1000));
  const std::uint64_t revision = *store->put_if(term, "a", 0, "small");
  // A limit on the size of files makes write() fail as a full disk does.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = 128 << 10;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const auto refused = store->put_if(term, "a", revision, std::string(8 << 20, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kIo);
  EXPECT_NE(refused.error().what.find(folder.path + "/state.db"), std::string::npos) << refused.error().what;
  EXPECT_EQ((*store->get("a"))->value, "small");
  EXPECT_TRUE(store->put_if(term, "a", revision, "room again"));
}

TEST(SqliteStore, AFolderThatCannotBeMadeIsNamed) {
  const auto store = open_sqlite_store("/dev/null/state");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Errc::kIo);
  EXPECT_NE(store.error().what.find("/dev/null/state"), std::string::npos);
}

}  // namespace
}  // namespace sluice::manager
