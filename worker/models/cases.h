#pragma once
/// For tests: every registered model with data that it accepts, its parameters, and what one update gives.

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "base/rng.h"
#include "worker/data/fixtures.h"
#include "worker/data/stored.h"
#include "worker/local_trainer.h"

namespace sluice::worker::fixtures {

struct Case {
  std::string model;
  std::string params;
  bool sparse = false;
  std::uint32_t classes = 2;  ///< 0: targets
  [[nodiscard]] std::string name() const { return model + (sparse ? " sparse " : " dense ") + std::to_string(classes) + " " + params; }
};
inline void PrintTo(const Case& c, std::ostream* out) { *out << c.name(); }

/// Parameters worth a case of their own; a model that is not listed runs with its defaults.
inline std::vector<std::string> variants(const std::string& model) {
  if (model == "mlp") return {R"({"hidden": [7]})", R"({"hidden": [6, 5], "activation": "tanh"})", R"({"hidden": [9, 4], "activation": "relu", "l2": 0.02})"};
  if (model == "ridge") return {R"({"l2": 0.05})"};  // its default is a test of its own
  if (model == "linear" || model == "softmax" || model == "logistic") return {"{}", R"({"l2": 0.05})"};
  if (model == "svm") return {"{}", R"({"l2": 0.05})", R"({"loss": "hinge", "l2": 0.02})"};
  // gamma: so that gradient descent at the reference's rate stays stable; bits: fewer places than features, so that they share.
  if (model == "svm-poly") return {R"({"gamma": 0.1})", R"({"gamma": 0.05, "loss": "hinge", "l2": 0.02})", R"({"gamma": 0.1, "bits": 5})"};
  if (model == "mf") return {"{}", R"({"rank": 3, "l2": 0.05, "init": 0.2})"};
  if (model == "kmeans") return {R"({"k": 5})", R"({"k": 3, "init": "random"})", R"({"k": 1})"};
  if (model == "gbt") return {R"({"depth": 2, "bins": 8})", R"({"depth": 1, "bins": 8, "subsample": 0.5})"};
  if (model == "lda") return {R"({"topics": 3})"};
  if (model == "fm") return {"{}", R"({"rank": 3, "l2": 0.05, "init": 0.2})"};
  return {"{}"};
}

/// Sparse rows whose values are counts, 1 to 3.
inline std::shared_ptr<const Dataset> counted_rows(const std::shared_ptr<const Dataset>& of) {
  const auto& stored = dynamic_cast<const data::StoredDataset&>(*of);
  auto values = std::make_shared<std::vector<float>>(stored.rows().values.begin(), stored.rows().values.end());
  for (float& v : *values) v = 1 + std::floor(3 * std::abs(v) / 1.001F);
  data::StoredRows rows = stored.rows();
  rows.values = *values;
  return std::make_shared<data::StoredDataset>(of->shape(), rows, of->content_hash() + 1,
                                               std::make_shared<std::pair<std::shared_ptr<std::vector<float>>, std::shared_ptr<const Dataset>>>(values, of));
}

inline std::shared_ptr<const Dataset> rows_for(const Case& c, std::uint64_t rows = 64, std::uint64_t seed = 7) {
  if (c.model == "mf" && c.classes == 0) return pair_rows(rows, 20, c.sparse, seed);
  if (c.model == "lda" && c.sparse) return counted_rows(sparse_rows(rows, 20, c.classes, seed));
  return c.sparse ? sparse_rows(rows, 20, c.classes, seed) : dense_rows(rows, 11, c.classes, seed);
}

/// Every registered name with every kind of data that it accepts. A name that accepts none is a case too, so that it fails.
inline std::vector<Case> all_cases() {
  std::vector<Case> out;
  const ModelRegistry models = builtin_models();
  for (const std::string& name : models.names()) {
    for (const std::string& params : variants(name)) {
      const std::size_t before = out.size();
      for (const bool sparse : {false, true}) {
        for (const std::uint32_t classes : {0U, 2U, 3U}) {
          const Case c{name, params, sparse, classes};
          if ((**models.find(name))(params, rows_for(c)->shape())) out.push_back(c);
        }
      }
      if (out.size() == before) out.push_back({name, params, false, 2});
    }
  }
  return out;
}

inline std::unique_ptr<Model> made(const Case& c, const DataShape& shape) {
  auto model = (**builtin_models().find(c.model))(c.params, shape);
  if (!model) ADD_FAILURE() << model.error().what;
  return std::move(*model);
}
/// Those whose models give gradients.
inline std::vector<Case> gradient_cases() {
  std::vector<Case> out = all_cases();
  std::erase_if(out, [](const Case& c) { return made(c, rows_for(c)->shape())->update_kind() != UpdateKind::kGradient; });
  return out;
}
/// Those whose models have phases.
inline std::vector<Case> phase_cases() {
  std::vector<Case> out = all_cases();
  std::erase_if(out, [](const Case& c) { return made(c, rows_for(c)->shape())->phases(3) == 0; });
  return out;
}

/// A model with parameters of its own: small random numbers in every table.
struct Trial {
  std::unique_ptr<Model> model;
  std::vector<TableDecl> tables;
  std::map<std::pair<std::size_t, Key>, std::vector<float>> sparse_rows;  // of (table, key); made when first seen
  std::vector<std::vector<float>> dense;                                  // of each table

  Trial(const Case& c, const DataShape& shape) {
    model = made(c, shape);
    tables = model->tables();
    for (std::size_t t = 0; t < tables.size(); ++t) {
      dense.emplace_back(tables[t].kind == proto::TableKind::kDense ? tables[t].rows * tables[t].cols : 0);
      for (std::size_t i = 0; i < dense[t].size(); ++i) dense[t][i] = number(t, 0, i);
    }
    if (c.model == "gbt" || c.model == "lda") grow(c);
  }
  /// Random numbers are no state that such models come to: some phases make one.
  void grow(const Case& c) {
    const auto data = rows_for(c);
    BatchReader reader(data);
    begin(3);
    for (std::uint32_t phase = 0; phase < 4; ++phase) {
      add(run(reader.read_plain(0, 64)).gradients);
      add(finish_phase(phase));
    }
  }
  static float number(std::size_t table, Key key, std::size_t i) { return static_cast<float>(unit_double(mix64(mix64(table, key), i)) - 0.5); }
  float& value(std::size_t table, Key key, std::size_t i) {
    return tables[table].kind == proto::TableKind::kDense ? dense[table][i] : sparse_rows.at({table, key})[i];
  }

  struct Result {
    Losses losses;
    std::vector<float> outputs;  ///< with `evaluate`
    Scores scores;
    std::vector<std::vector<Key>> keys;
    std::vector<std::vector<float>> gradients;  // of each table, in its view's order
  };
  /// The batch's keys.
  std::vector<std::vector<Key>> keys_of(const Batch& batch) {
    std::vector<std::vector<Key>> keys(tables.size());
    model->keys(batch, keys);
    return keys;
  }
  /// One update (or evaluation) of `batch`; the gradients' memory is filled with NaN before.
  Result run(const Batch& batch, bool evaluate = false) { return run_on(keys_of(batch), batch, evaluate); }
  /// The same with views of these keys; keys_number: theirs.
  Result run_on(std::vector<std::vector<Key>> keys, const Batch& batch, bool evaluate = false, std::uint64_t keys_number = 0) {
    Result out;
    out.keys = std::move(keys);
    std::vector<std::vector<float>> values = dense;
    std::vector<TableView> views;
    std::vector<TableUpdate> updates;
    for (std::size_t t = 0; t < tables.size(); ++t) {
      for (const Key key : out.keys[t]) {
        auto [row, is_new] = sparse_rows.try_emplace({t, key}, tables[t].cols);
        for (std::size_t i = 0; is_new && i < row->second.size(); ++i) row->second[i] = number(t, key, i);
        values[t].insert(values[t].end(), row->second.begin(), row->second.end());
      }
      const bool pushed = tables[t].use != TableUse::kState;
      out.gradients.emplace_back(pushed ? values[t].size() : 0, std::numeric_limits<float>::quiet_NaN());
      if (tables[t].use == TableUse::kStatistics) values[t].clear();
    }
    for (std::size_t t = 0; t < tables.size(); ++t) {
      views.push_back({values[t], out.keys[t], keys_number});
      updates.push_back({out.gradients[t]});
    }
    if (evaluate) {
      out.scores = model->evaluate(views, batch);
      const auto outputs = model->outputs(views, batch);
      out.outputs.assign(outputs.begin(), outputs.end());
    } else {
      out.losses = model->update(views, batch, updates);
    }
    return out;
  }

  /// The end of a phase: what it adds to each table, whose memory is filled with NaN before.
  std::vector<std::vector<float>> finish_phase(std::uint32_t phase, PhaseEnd* end = nullptr) {
    std::vector<std::vector<float>> out;
    std::vector<TableView> views;
    std::vector<TableUpdate> updates;
    for (const auto& values : dense) {
      views.push_back({values, {}});
      out.emplace_back(values.size(), std::numeric_limits<float>::quiet_NaN());
    }
    for (auto& values : out) updates.push_back({values});
    const PhaseEnd said = model->finish_phase(views, phase, updates);
    if (end != nullptr) *end = said;
    return out;
  }
  /// What an update or the end of a phase is to such a model: added.
  void add(const std::vector<std::vector<float>>& updates) {
    for (std::size_t t = 0; t < dense.size(); ++t) {
      for (std::size_t i = 0; i < updates[t].size(); ++i) dense[t][i] += updates[t][i];
    }
  }
  /// The tables as a job begins with them.
  void begin(std::uint64_t seed) {
    for (std::size_t t = 0; t < tables.size(); ++t) {
      for (std::size_t i = 0; i < dense[t].size(); ++i) dense[t][i] = first_value(tables[t].init, seed, t, i);
    }
  }
};

}  // namespace sluice::worker::fixtures
