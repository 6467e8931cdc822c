#include "worker/data/csv_schema.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace sluice::worker::data {
namespace {

CsvSchema example_schema() {
  proto::DataSpec spec;
  spec.csv = {.label = "y", .missing = "zero", .skip = {"id"}};
  auto schema = guess_schema("id,x,caf\xe9,y\n1,2,b,dog\n2,3,a,cat\n", ',', "it", spec);
  EXPECT_TRUE(schema) << schema.error().what;
  schema->columns[2].categories = {"a", "b\xff"};
  schema->class_names = {"cat", "dog"};
  schema->columns[1].filler = 2.5;
  schema->lay_out();
  return *schema;
}

/// Also names that are no UTF-8.
TEST(CsvSchema, ComesBackAsItWas) {
  const CsvSchema schema = example_schema();
  const std::string bytes = to_bytes(schema);
  const auto back = csv_schema_from_bytes(bytes);
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(to_bytes(*back), bytes);
  EXPECT_EQ(back->features(), 3U);
  EXPECT_EQ(back->columns[2].name, "caf\xe9");
  EXPECT_EQ(back->columns[2].feature_of("b\xff"), 2U);
  EXPECT_EQ(back->columns[2].feature_of("c"), std::nullopt);
  EXPECT_FALSE(back->refuse_missing);
}

/// A schema comes from a cache or from a model's file: whatever its bytes, it is one that can be used, or none.
TEST(CsvSchema, AnyBytesAreASchemaOrNone) {
  const std::string good = to_bytes(example_schema());
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(csv_schema_from_bytes(good.substr(0, size)));
  SeededRng rng(4);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good;
    for (std::uint64_t n = 1 + rng.below(3); n > 0; --n) bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    const auto schema = csv_schema_from_bytes(bytes);
    if (!schema) continue;
    ASSERT_LT(schema->label, schema->columns.size());
    EXPECT_EQ(schema->columns[schema->label].type, CsvType::kLabel);
    EXPECT_FALSE(describe(*schema).empty());
  }
  CsvSchema unsorted = example_schema();
  unsorted.class_names = {"dog", "cat"};
  EXPECT_FALSE(csv_schema_from_bytes(to_bytes(unsorted)));
  CsvSchema elsewhere = example_schema();
  elsewhere.label = 99;
  EXPECT_FALSE(csv_schema_from_bytes(to_bytes(elsewhere)));
}

TEST(CsvSchema, NumbersAreReadWhole) {
  EXPECT_EQ(csv_number("+1.5"), 1.5F);
  EXPECT_EQ(csv_number("1e-400"), 0.0F);
  for (const char* none : {"", "+", "1x", "+-1", "0x10", "1,5", "--1", "one"}) EXPECT_EQ(csv_number(none), std::nullopt) << none;
  EXPECT_EQ(csv_whole("1e3"), 1000);
  EXPECT_EQ(csv_whole("-2.0"), -2);
  for (const char* none : {"1.5", "nan", "inf", "1e16", ""}) EXPECT_EQ(csv_whole(none), std::nullopt) << none;
  EXPECT_TRUE(is_missing("N/A") && is_missing("") && !is_missing("none") && !is_missing("0"));
}

}  // namespace
}  // namespace sluice::worker::data
