#include "worker/trained_model.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "worker/data/fixtures.h"

namespace sluice::worker {
namespace {
using fixtures::Folder;
using testing::HasSubstr;

/// 5,000 rows of libsvm with labels −1, 7 and 30: more than a block of them.
std::string sparse_text() {
  SeededRng rng(3);
  std::string out;
  for (int row = 0; row < 5000; ++row) {
    const int labels[] = {-1, 7, 30};
    out += std::to_string(labels[rng.below(3)]);
    for (unsigned index = 1 + static_cast<unsigned>(rng.below(20)); index < 200; index += 1 + static_cast<unsigned>(rng.below(60)))
      out += " " + std::to_string(index) + ":" + std::to_string(static_cast<double>(rng.below(100)) / 50);
    out += "\n";
  }
  return out;
}

proto::SavedModel saved(const OpenedData& data, const std::string& path) {
  proto::SavedModel out;
  auto& spec = out.job.spec;
  spec.name = "m", spec.model = "softmax", spec.data.name = "d", spec.data.format = "libsvm", spec.data.train = {path};
  out.job.data = data::to_json({data.mapping, data.train->shape()});
  const DataShape& shape = data.train->shape();
  proto::SavedTable w, b;
  w.spec.name = "w", w.spec.kind = proto::TableKind::kSparse, w.spec.rows = shape.features, w.spec.cols = shape.classes, w.spec.buckets = 1;
  b.spec.id = TableId(1), b.spec.name = "b", b.spec.rows = 1, b.spec.cols = shape.classes;
  SeededRng rng(5);
  const auto number = [&] { return static_cast<float>(rng.below(1000)) / 500 - 1; };
  for (Key key = 0; key < shape.features; key += 2) {  // every second was never pushed to: zeros
    w.keys.push_back(key);
    for (std::uint32_t c = 0; c < shape.classes; ++c) w.values.push_back(number());
  }
  for (std::uint32_t c = 0; c < shape.classes; ++c) b.values.push_back(number());
  out.tables = {w, b};
  return out;
}

class TrainedModelTest : public testing::Test {
 protected:
  TrainedModelTest() : path_(folder_.write("rows", sparse_text())) {
    proto::DataSpec spec;
    spec.name = "d", spec.format = "libsvm", spec.train = {path_};
    auto opened = open_data(spec, {.cache_dir = folder_.path() + "/cache"});
    EXPECT_TRUE(opened) << opened.error().what;
    data_ = *opened;
  }
  const Folder folder_;
  const std::string path_;
  OpenedData data_;
};

TEST_F(TrainedModelTest, PredictsEachRowInTheFilesOrder) {
  const auto model = TrainedModel::load(saved(data_, path_));
  ASSERT_TRUE(model) << model.error().what;
  EXPECT_EQ(model->labels(3), (std::vector<std::string>{"-1", "7", "30"}));
  const auto rows = model->read(model->job().spec.data);
  ASSERT_TRUE(rows) << rows.error().what;
  const Predictions predicted = model->predict(*rows);
  ASSERT_EQ(predicted.outputs, 3u);
  ASSERT_EQ(predicted.scores.size(), 15'000u);
  // By hand: the sum over a row's entries of value × w of its column, and b.
  const auto by = saved(data_, path_);
  BatchReader reader(*rows);
  const Batch batch = reader.read_plain(0, 5000);
  for (std::size_t row = 0; row < 5000; row += 7) {
    for (std::size_t c = 0; c < 3; ++c) {
      double z = static_cast<double>(by.tables[1].values[c]);
      for (std::uint64_t e = batch.offsets[row]; e < batch.offsets[row + 1]; ++e) {
        if (batch.indices[e] % 2 == 0) z += static_cast<double>(batch.values[e] * by.tables[0].values[batch.indices[e] / 2 * 3 + c]);
      }
      ASSERT_NEAR(static_cast<double>(predicted.scores[row * 3 + c]), z, 1e-4) << row;
    }
  }
  std::string lines, wanted;
  const auto parts = model->predict_text(*rows, [](std::span<const float> scores, std::string& out) { out += fmt::format("{} {}\n", scores[0], scores[2]); });
  EXPECT_GT(parts.size(), 1U) << "blocks that several threads write";
  for (const std::string& part : parts) lines += part;
  for (std::size_t row = 0; row < 5000; ++row) wanted += fmt::format("{} {}\n", predicted.scores[row * 3], predicted.scores[row * 3 + 2]);
  EXPECT_EQ(lines, wanted);
  // The file begins with the label of row 0, and the cache's order is another one.
  const std::string text = sparse_text();
  EXPECT_EQ(model->labels(3)[static_cast<std::size_t>(batch.labels[0])], text.substr(0, text.find(' ')));
}

TEST_F(TrainedModelTest, ScoresAreTheSameWhateverTheOrderOfTheRows) {
  const auto model = TrainedModel::load(saved(data_, path_));
  ASSERT_TRUE(model);
  const Scores in_order = model->evaluate(*model->read(model->job().spec.data)), shuffled = model->evaluate(data_.train);
  EXPECT_EQ(in_order.examples, 5000u);
  EXPECT_EQ(in_order.metric_sum, shuffled.metric_sum);
  EXPECT_NEAR(in_order.loss_sum, shuffled.loss_sum, 1e-3);
}

TEST_F(TrainedModelTest, WhatDoesNotFitIsSaid) {
  const auto words = [&](const std::function<void(proto::SavedModel&)>& change) {
    auto model = saved(data_, path_);
    change(model);
    const auto loaded = TrainedModel::load(std::move(model));
    return loaded ? std::string() : loaded.error().what;
  };
  EXPECT_THAT(words([](auto& m) { m.tables.pop_back(); }), HasSubstr("its tables are not those of model 'softmax'"));
  EXPECT_THAT(words([](auto& m) { m.tables[0].spec.cols = 2; }), HasSubstr("its tables are not those"));
  EXPECT_THAT(words([](auto& m) { m.job.spec.model = "sofmax"; }), HasSubstr("softmax"));
  EXPECT_THAT(words([](auto& m) { m.job.data = "{}"; }), HasSubstr("how its training data was read"));
  const auto model = TrainedModel::load(saved(data_, path_));
  auto spec = model->job().spec.data;
  spec.train = {folder_.write("other", "5 1:1\n7 2:1\n")};
  EXPECT_THAT(model->read(spec).error().what, HasSubstr("1 bad row, 0 allowed")) << "a label that the training data does not have";
  spec.max_bad_rows = 1;
  EXPECT_EQ((*model->read(spec))->shape().rows, 1u);
}

TEST(SavedMappingTest, AnyBytesOfASchemaComeBack) {
  data::SavedMapping mapping;
  mapping.shape = {.rows = 9, .features = 4, .classes = 2, .sparse = true};
  mapping.mapping.labels = {-5, 3};
  mapping.mapping.features = 4;
  for (int c = 0; c < 256; ++c) mapping.mapping.schema += static_cast<char>(c);
  const auto back = data::mapping_from_json(data::to_json(mapping));
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(back->mapping.schema, mapping.mapping.schema);
  EXPECT_EQ(back->mapping.labels, mapping.mapping.labels);
  EXPECT_EQ(back->shape.features, 4u);
  EXPECT_FALSE(data::mapping_from_json(R"({"features":1,"classes":2,"sparse":true,"rows":1,"labels":[1],"index_base":0,"schema":""})"));
  EXPECT_FALSE(data::mapping_from_json("[]"));
}

}  // namespace
}  // namespace sluice::worker
