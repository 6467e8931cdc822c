#pragma once
/// For tests: trains a model with phases in this process: passes over the rows in batches, statistics added up, finish_phase() after each pass.

#include <gtest/gtest.h>

#include <string>

#include "worker/data/dataset.h"
#include "worker/local_trainer.h"

namespace sluice::worker::fixtures {

class PhaseTrainer {
 public:
  PhaseTrainer(std::unique_ptr<Model> of, std::shared_ptr<const Dataset> rows, std::uint32_t epochs, std::uint32_t batch = 512, std::uint64_t seed = 1)
      : model(std::move(of)), tables(model->tables()), values(first_values(tables, seed)), data_(std::move(rows)), epochs_(epochs), batch_(batch) {}

  /// Passes until the model is done. Returns each pass's mean loss.
  std::vector<double> train() {
    std::vector<double> out;
    while (!end.done && phase < model->phases(epochs_)) out.push_back(pass());
    return out;
  }
  double pass() {
    const double loss = sum_up();
    finish();
    return loss;
  }
  /// A pass without its end.
  double sum_up() {
    double loss = 0;
    BatchReader reader(data_);
    const std::uint64_t rows = data_->shape().rows;
    for (std::uint64_t first = 0; first < rows; first += batch_) {
      const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(batch_, rows - first));
      loss += add(reader.read_plain(first, count)).loss_sum;
    }
    return loss / static_cast<double>(rows);
  }
  Losses add(const Batch& batch) {
    std::vector<std::vector<float>> made;
    const Losses losses = statistics(batch, made);
    for (std::size_t t = 0; t < tables.size(); ++t) {
      for (std::size_t i = 0; i < made[t].size(); ++i) values[t][i] += made[t][i];
    }
    return losses;
  }
  /// What the batch would push to each table.
  Losses statistics(const Batch& batch, std::vector<std::vector<float>>& made) {
    made.resize(tables.size());
    std::vector<TableUpdate> out;
    for (std::size_t t = 0; t < tables.size(); ++t) {
      made[t].assign(tables[t].use == TableUse::kState ? 0 : values[t].size(), std::numeric_limits<float>::quiet_NaN());
      out.push_back({made[t]});
    }
    return model->update(state(), batch, out);
  }
  void finish() {
    std::vector<TableView> all;
    std::vector<std::vector<float>> change;
    std::vector<TableUpdate> out;
    for (const auto& table : values) change.emplace_back(table.size(), std::numeric_limits<float>::quiet_NaN());
    for (std::size_t t = 0; t < tables.size(); ++t) all.push_back({values[t], {}}), out.push_back({change[t]});
    end = model->finish_phase(all, phase++, out);
    for (std::size_t t = 0; t < tables.size(); ++t) {
      for (std::size_t i = 0; i < change[t].size(); ++i) values[t][i] += change[t][i];
    }
  }
  /// What batches are given.
  [[nodiscard]] std::vector<TableView> state() const {
    std::vector<TableView> out;
    for (std::size_t t = 0; t < tables.size(); ++t)
      out.push_back({tables[t].use == TableUse::kStatistics ? std::span<const float>() : std::span<const float>(values[t]), {}});
    return out;
  }
  [[nodiscard]] Scores evaluate(const std::shared_ptr<const Dataset>& rows) {
    BatchReader reader(rows);
    return model->evaluate(state(), reader.read_plain(0, static_cast<std::uint32_t>(rows->shape().rows)));
  }

  std::unique_ptr<Model> model;
  std::vector<TableDecl> tables;
  std::vector<std::vector<float>> values;  ///< of each table
  PhaseEnd end;
  std::uint32_t phase = 0;

 private:
  std::shared_ptr<const Dataset> data_;
  std::uint32_t epochs_, batch_;
};

}  // namespace sluice::worker::fixtures
