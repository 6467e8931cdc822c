#include "worker/data/source.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/rng.h"
#include "worker/data/fixtures.h"

namespace sluice::worker::data {
namespace {

using fixtures::Folder;

Result<std::string> read_all(const std::string& path, std::size_t step = 1000) {
  auto file = SourceFile::open(path, SourceFile::Mode::kInflated);
  if (!file) return fail(file.error());
  std::string out, buffer(step, '\0');
  for (;;) {
    const auto got = file->read(std::as_writable_bytes(std::span(buffer)));
    if (!got) return fail(got.error());
    if (*got == 0) break;
    out.append(buffer, 0, *got);
  }
  EXPECT_EQ(file->hash(), *hash_file(path));  // of the bytes on disk, however they were read
  EXPECT_FALSE(file->changed());
  return out;
}

std::string some_text(std::size_t n) {
  SeededRng rng(1);
  std::string out;
  while (out.size() < n) out += static_cast<char>('a' + rng.below(16));
  return out;
}

TEST(Source, PlainAndGzipGiveTheSameBytes) {
  const Folder folder;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{999}, std::size_t{1'000'000}}) {
    const std::string text = some_text(size);
    EXPECT_EQ(*read_all(folder.write("plain", text)), text);
    EXPECT_EQ(*read_all(folder.write_gzip("packed", text)), text);
    EXPECT_EQ(*read_all(folder.path() + "/packed", 1 << 21), text);
  }
}

TEST(Source, GzipMembersFollowEachOther) {
  const Folder folder;
  const std::string one = fixtures::read_file(folder.write_gzip("one", "first "));
  const std::string two = fixtures::read_file(folder.write_gzip("two", "second"));
  EXPECT_EQ(*read_all(folder.write("both", one + two)), "first second");
}

TEST(Source, DamagedGzipIsNamedWhereverItIsDamaged) {
  const Folder folder;
  const std::string packed = fixtures::read_file(folder.write_gzip("packed", some_text(3000)));
  for (std::size_t size = 2; size < packed.size(); size += 7) {
    const auto cut = read_all(folder.write("cut", packed.substr(0, size)));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().code, Errc::kBadData);
  }
  for (std::size_t at = 10; at < packed.size(); at += 7) {
    std::string flipped = packed;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    EXPECT_FALSE(read_all(folder.write("flipped", flipped))) << at;
  }
  EXPECT_FALSE(read_all(folder.write("more", packed + "trailing")));
}

TEST(Source, WhatIsNoFileIsSaid) {
  const Folder folder;
  const auto missing = SourceFile::open(folder.path() + "/none", SourceFile::Mode::kStored);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
  EXPECT_NE(missing.error().what.find("/none"), std::string::npos);
  const auto directory = SourceFile::open(folder.path(), SourceFile::Mode::kStored);
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().code, Errc::kBadData);
  const std::string pipe = folder.path() + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(SourceFile::open(pipe, SourceFile::Mode::kStored));  // and does not wait for a writer
}

TEST(Source, AChangeWhileReadingIsNoticed) {
  const Folder folder;
  const std::string path = folder.write("file", "0123456789");
  auto file = SourceFile::open(path, SourceFile::Mode::kStored);
  ASSERT_TRUE(file);
  std::string buffer(100, '\0');
  ASSERT_EQ(*file->read(std::as_writable_bytes(std::span(buffer))), 10U);
  EXPECT_FALSE(file->changed());
  std::ofstream(path) << "other content";
  EXPECT_TRUE(file->changed());
}

}  // namespace
}  // namespace sluice::worker::data
