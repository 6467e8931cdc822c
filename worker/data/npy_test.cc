#include "worker/data/npy.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zip.h>

#include <algorithm>
#include <limits>

#include "base/rng.h"
#include "worker/data/fixtures.h"
#include "worker/data/npy_array.h"

namespace sluice::worker::data {
namespace {

using fixtures::Folder;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto kAsTargets = proto::LabelKind::kTargets;
constexpr auto kAsClasses = proto::LabelKind::kClasses;

template <class T>
std::string raw(const std::vector<T>& numbers, bool swap = false) {
  std::string out;
  for (const T number : numbers) {
    std::string bytes(reinterpret_cast<const char*>(&number), sizeof number);
    if (swap) std::reverse(bytes.begin(), bytes.end());
    out += bytes;
  }
  return out;
}
std::string npy_bytes(const std::string& header, const std::string& elements, int version = 1) {
  std::string text = header + "\n";
  std::string out = "\x93NUMPY" + std::string{static_cast<char>(version), '\0', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  if (version > 1) out += std::string(2, '\0');
  return out + text + elements;
}
std::string array_of(const std::string& type, const std::string& shape, const std::string& elements, bool fortran = false, int version = 1) {
  return npy_bytes(fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': ({}), }}   ", type, fortran ? "True" : "False", shape), elements, version);
}
std::string zip_bytes(const Folder& folder, const std::vector<std::pair<std::string, std::string>>& files, bool packed) {
  const std::string path = folder.path() + "/made.zip";
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  for (const auto& [name, bytes] : files) {
    const zip_int64_t at = zip_file_add(archive, name.c_str(), zip_source_buffer(archive, bytes.data(), bytes.size(), 0), 0);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(at), packed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
  }
  EXPECT_EQ(zip_close(archive), 0);
  return fixtures::read_file(path);
}

Result<Rows> parse_arrays(const std::vector<std::string>& contents, proto::LabelKind kind = kAsTargets, const Mapping* mapping = nullptr) {
  const Folder folder;
  std::vector<SourceFile> files;
  std::vector<std::string> paths;
  for (const std::string& content : contents) {
    paths.push_back(folder.write(contents.size() == 1 ? "d.npz" : paths.empty() ? "X.npy" : "y.npy", content));
    files.push_back(std::move(*SourceFile::open(paths.back(), SourceFile::Mode::kInflated)));
  }
  auto rows = read_npy(files, paths, kind, mapping, {});
  if (!rows) {
    std::string& what = rows.error().what;
    EXPECT_EQ(rows.error().code, Errc::kBadData);
    if (const std::size_t at = what.find(folder.path()); at != std::string::npos) what.erase(at, folder.path().size() + 1);
  }
  return rows;
}
std::string npy_trouble(const std::vector<std::string>& contents, proto::LabelKind kind = kAsTargets, const Mapping* mapping = nullptr) {
  const auto rows = parse_arrays(contents, kind, mapping);
  return rows ? "none" : rows.error().what;
}

const std::string kX = array_of("<f4", "2, 3", raw<float>({1, 2, 3, 4, 5, 6}));
const std::string kY = array_of("<i8", "2,", raw<std::int64_t>({7, -1}));

TEST(Npy, EveryTypeByteOrderAndVersionIsTheSameNumbers) {
  const std::vector<std::string> all = {kX,
                                        array_of("<f8", "2, 3", raw<double>({1, 2, 3, 4, 5, 6})),
                                        array_of(">f8", "2, 3", raw<double>({1, 2, 3, 4, 5, 6}, true)),
                                        array_of(">f4", "2, 3", raw<float>({1, 2, 3, 4, 5, 6}, true)),
                                        array_of("|i1", "2, 3", raw<std::int8_t>({1, 2, 3, 4, 5, 6})),
                                        array_of("|u1", "2, 3", raw<std::uint8_t>({1, 2, 3, 4, 5, 6})),
                                        array_of("<i2", "2, 3", raw<std::int16_t>({1, 2, 3, 4, 5, 6})),
                                        array_of(">u2", "2, 3", raw<std::uint16_t>({1, 2, 3, 4, 5, 6}, true)),
                                        array_of("<i4", "2, 3", raw<std::int32_t>({1, 2, 3, 4, 5, 6})),
                                        array_of("<u4", "2, 3", raw<std::uint32_t>({1, 2, 3, 4, 5, 6})),
                                        array_of("<i8", "2L, 3L", raw<std::int64_t>({1, 2, 3, 4, 5, 6})),
                                        array_of("<u8", "2, 3", raw<std::uint64_t>({1, 2, 3, 4, 5, 6})),
                                        array_of("<f4", "2, 3", raw<float>({1, 4, 2, 5, 3, 6}), true),
                                        array_of("<f4", "2, 3", raw<float>({1, 2, 3, 4, 5, 6}), false, 2),
                                        array_of("<f4", "2, 3", raw<float>({1, 2, 3, 4, 5, 6}), false, 3)};
  for (const std::string& x : all) {
    const auto rows = parse_arrays({x, kY});
    ASSERT_TRUE(rows) << rows.error().what;
    EXPECT_THAT(rows->dense, ElementsAre(1, 2, 3, 4, 5, 6));
    EXPECT_THAT(rows->targets, ElementsAre(7, -1));
    EXPECT_FALSE(rows->sparse);
    EXPECT_EQ(rows->mapping.features, 3U);
  }
}

/// More dimensions are laid flat in C order, whatever the order they are stored in.
TEST(Npy, FortranOrderOfManyDimensionsIsThatOfC) {
  constexpr std::size_t kSizes[3] = {3, 4, 5};
  std::vector<float> c(2 * 60), fortran(2 * 60);
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t a = 0; a < kSizes[0]; ++a) {
      for (std::size_t b = 0; b < kSizes[1]; ++b) {
        for (std::size_t d = 0; d < kSizes[2]; ++d) {
          const std::size_t at = ((i * 3 + a) * 4 + b) * 5 + d;
          c[at] = static_cast<float>(at);
          fortran[i + 2 * (a + 3 * (b + 4 * d))] = static_cast<float>(at);
        }
      }
    }
  }
  const auto of_c = parse_arrays({array_of("<f4", "2, 3, 4, 5", raw(c)), kY}),
             of_fortran = parse_arrays({array_of("<f4", "2, 3, 4, 5", raw(fortran), true), kY});
  ASSERT_TRUE(of_c && of_fortran);
  EXPECT_EQ(of_c->dense, c);
  EXPECT_EQ(of_fortran->dense, c);
}

TEST(Npy, ClassesAreTheDistinctWholeNumbers) {
  const auto rows = parse_arrays({kX, kY}, kAsClasses);
  ASSERT_TRUE(rows) << rows.error().what;
  EXPECT_THAT(rows->mapping.labels, ElementsAre(-1, 7));
  EXPECT_THAT(rows->classes, ElementsAre(1, 0));
  const auto column = parse_arrays({kX, array_of("|b1", "2, 1", std::string("\1\0", 2))}, kAsClasses);
  ASSERT_TRUE(column) << column.error().what;
  EXPECT_THAT(column->classes, ElementsAre(1, 0));
  const auto test = parse_arrays({kX, array_of("<i4", "2,", raw<std::int32_t>({9, 7}))}, kAsClasses, &rows->mapping);
  ASSERT_TRUE(test);
  EXPECT_THAT(test->dense, ElementsAre(4, 5, 6));
  EXPECT_EQ(test->first_bad, "row 0: label 9 does not occur in the training data");
}

TEST(Npy, BadRowsAreLeftOutAndTheFirstIsTold) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const std::string x = array_of("<f8", "4, 2", raw<double>({1, 2, 3, kNan, 1e300, 4, 5, 6}));
  const auto rows = parse_arrays({x, array_of("<f8", "4,", raw<double>({1, 2, 3, 4}))});
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->bad_rows, 2U);
  EXPECT_EQ(rows->first_bad, "row 1: column 1 of X holds nan, not a finite number");
  EXPECT_THAT(rows->dense, ElementsAre(1, 2, 5, 6));
  EXPECT_THAT(rows->targets, ElementsAre(1, 4));
  const std::string y = array_of("<f8", "2,", raw<double>({0.5, kNan}));
  EXPECT_EQ(parse_arrays({kX, y}, kAsClasses)->first_bad, "row 0: label 0.5 is not a whole number; numbers to learn by regression are said by labels: targets");
  EXPECT_EQ(parse_arrays({kX, y})->first_bad, "row 1: target nan is not a finite number");
}

TEST(Npy, ArchivesHoldXAndY) {
  const Folder folder;
  for (const bool packed : {false, true}) {
    const auto rows = parse_arrays({zip_bytes(folder, {{"y.npy", kY}, {"X.npy", kX}}, packed)});
    ASSERT_TRUE(rows) << rows.error().what;
    EXPECT_THAT(rows->dense, ElementsAre(1, 2, 3, 4, 5, 6));
    EXPECT_THAT(rows->targets, ElementsAre(7, -1));
  }
  EXPECT_THAT(npy_trouble({zip_bytes(folder, {{"x.npy", kX}, {"y.npy", kY}}, true)}), HasSubstr("d.npz: unknown array 'X'; did you mean 'x'? known: x, y"));
  EXPECT_THAT(npy_trouble({kX}), HasSubstr("an array (.npy) alone, without labels"));
  EXPECT_THAT(npy_trouble({""}), HasSubstr("not a NumPy archive (.npz)"));
  EXPECT_THAT(npy_trouble({zip_bytes(folder, {{"X.npy", kX.substr(0, kX.size() - 5)}, {"y.npy", kY}}, true)}), HasSubstr("d.npz, array X: cut off"));
  const std::string good = zip_bytes(folder, {{"X.npy", kX}, {"y.npy", kY}}, false);
  for (std::size_t size = 0; size < good.size(); size += 5) EXPECT_NE(npy_trouble({good.substr(0, size)}), "none") << size;
  std::string flipped = good;
  flipped[good.find(raw<float>({3, 4})) + 2] ^= 1;
  EXPECT_THAT(npy_trouble({flipped}), HasSubstr("array 'X' is damaged"));
}

TEST(Npy, WhatIsNotReadIsNamed) {
  EXPECT_THAT(npy_trouble({"", kY}), HasSubstr("X.npy: not a NumPy array (.npy)"));
  for (std::size_t size = 6; size < kX.size(); ++size) EXPECT_THAT(npy_trouble({kX.substr(0, size), kY}), HasSubstr("X.npy: cut off")) << size;
  EXPECT_THAT(npy_trouble({kX.substr(0, kX.size() - 1), kY}), HasSubstr("its header names 2 × 3 of <f4, that are 6 elements; there are 5"));
  EXPECT_THAT(npy_trouble({kX + "x", kY}), HasSubstr("more bytes than"));
  EXPECT_THAT(npy_trouble({kY, kX}), HasSubstr("X.npy: an array of 2 of <i8 where rows × columns are expected (the order is X, y)"));
  EXPECT_THAT(npy_trouble({kX, kX}), HasSubstr("y.npy: an array of 2 × 3 of <f4 where one label a row is expected"));
  EXPECT_THAT(npy_trouble({kX, array_of("<i4", "3,", raw<std::int32_t>({1, 2, 3}))}), HasSubstr("3 labels for the 2 rows"));
  EXPECT_THAT(npy_trouble({array_of("<f4", "0, 3", ""), array_of("<i4", "0,", "")}), HasSubstr("no rows"));
  EXPECT_THAT(npy_trouble({array_of("<f4", "2, 0", ""), kY}), HasSubstr("no columns"));
  EXPECT_THAT(npy_trouble({array_of("|O", "2, 3", "pickle"), kY}), HasSubstr("Python objects, which are never read"));
  for (const char* type : {"<c8", "<U5", "|S3", "<f2", "<f16", "<M8", "<i3", "<f"})
    EXPECT_THAT(npy_trouble({array_of(type, "2, 3", ""), kY}), HasSubstr("elements of type")) << type;
  EXPECT_THAT(npy_trouble({npy_bytes("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", ""), kY}), HasSubstr("named fields"));
  EXPECT_THAT(npy_trouble({array_of("<f4", "2, 3", "", false, 9), kY}), HasSubstr("version 9.0"));
  EXPECT_THAT(npy_trouble({array_of("<f4", "99999999999, 99999999999", ""), kY}), HasSubstr("impossible shape"));
  EXPECT_THAT(npy_trouble({array_of("<f4", "1000000, 100000", "few"), kY}), HasSubstr("cut off")) << "no such memory is taken";
  EXPECT_THAT(npy_trouble({array_of("<f4", "0, 1099511627776", "", true), array_of("<i4", "0,", "")}), HasSubstr("no rows"));
  const Mapping wider{{}, 4, 0};
  EXPECT_THAT(npy_trouble({kX, kY}, kAsTargets, &wider), HasSubstr("rows of 3 columns, but those of the training data have 4"));
}

/// The header is looked at before more is read: junk stops there, and data that go on beyond what it names are read no further than a byte more.
TEST(Npy, NoMoreIsReadThanTheHeaderNames) {
  const auto bytes_read = [](const std::string& begin) {
    std::size_t given = 0;
    const ReadSome endless = [&](std::span<std::byte> into) -> Result<std::size_t> {  // `begin`, then zeros without end
      EXPECT_LT(given, std::size_t{1} << 28);
      if (given >= std::size_t{1} << 28) return 0;
      for (std::byte& b : into) {
        b = given < begin.size() ? static_cast<std::byte>(begin[given]) : std::byte{0};
        ++given;
      }
      return into.size();
    };
    const auto bytes = read_npy_bytes(endless, "it");
    EXPECT_TRUE(!bytes || !parse_npy(*bytes, "it"));
    return given;
  };
  EXPECT_LE(bytes_read("no array"), 65536U);
  EXPECT_LE(bytes_read(kX), 65536U);
  EXPECT_LE(bytes_read("\x93NUMPY" + std::string("\2\0\xff\xff\xff\xff", 6)), 65536U);
  const std::string large = array_of("<f8", "1000, 1000", "");
  EXPECT_EQ(bytes_read(large), large.size() + 8'000'000 + 1);
  EXPECT_THAT(npy_trouble({npy_bytes(std::string(70000, ' '), "", 2), kY}), HasSubstr("X.npy")) << "a header longer than the first bytes";
}

/// Any change of a header's bytes is an array or words about it.
TEST(Npy, MangledArraysNeverCrashIt) {
  SeededRng rng(9);
  constexpr std::string_view kLikely = "{}()[],:'<>|0123456789fiuTrueFalse \n";
  int read = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = rng.below(2) == 0 ? kX : kY;
    for (std::uint64_t n = 1 + rng.below(3); n > 0; --n) bytes[6 + rng.below(bytes.size() - 6)] = kLikely[rng.below(kLikely.size())];
    if (const auto array = parse_npy(std::as_bytes(std::span(bytes)), "it")) {
      ++read;
      std::vector<double> row(array->columns());
      for (std::uint64_t i = 0; i < array->rows(); ++i) array->read_row(i, row);
    }
  }
  EXPECT_GT(read, 100);
}

}  // namespace
}  // namespace sluice::worker::data
