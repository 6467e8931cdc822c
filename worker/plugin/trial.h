#pragma once
/// Made-up rows, and a model with parameters of its own on them: what `model check` tries a plug-in with.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "worker/model.h"

namespace sluice::worker::plugin {

/// Rows drawn by a seed, always the same ones: 11 dense features, or 20 sparse ones of which a row has a few; labels with some relation to them.
class MadeRows {
 public:
  MadeRows(bool sparse, std::uint32_t classes, std::uint32_t rows, std::uint64_t features = 0);
  [[nodiscard]] DataShape shape() const { return shape_; }
  /// Rows [first, first + count), as long as this lives and until the next call.
  [[nodiscard]] Batch batch(std::uint32_t first, std::uint32_t count);
  /// "dense rows, 3 classes".
  [[nodiscard]] std::string words() const;

 private:
  DataShape shape_;
  std::vector<float> dense_, values_, labels_;
  std::vector<std::uint64_t> offsets_, part_;
  std::vector<std::uint32_t> indices_;
};

/// What one call gave.
struct Outcome {
  Losses losses;
  std::vector<std::vector<Key>> keys;
  std::vector<std::vector<float>> updates;  ///< of each table
};

class Trial {
 public:
  /// Throws what tables() throws.
  explicit Trial(std::unique_ptr<Model> model);
  [[nodiscard]] Model& model() { return *model_; }
  [[nodiscard]] const std::vector<TableDecl>& tables() const { return tables_; }
  /// One update; its memory is filled with `fill` before.
  [[nodiscard]] Outcome update(const Batch& batch, float fill);
  [[nodiscard]] Scores evaluate(const Batch& batch);
  [[nodiscard]] std::vector<float> outputs(const Batch& batch);
  [[nodiscard]] Outcome finish_phase(PhaseEnd& end, float fill);
  /// A parameter that an update named: by table and, where sparse, its key.
  [[nodiscard]] float& value(std::size_t table, Key key, std::size_t i);

 private:
  void gather(const Batch& batch, Outcome& out, float fill);

  std::unique_ptr<Model> model_;
  std::vector<TableDecl> tables_;
  std::vector<std::vector<float>> dense_, values_;
  std::map<std::pair<std::size_t, Key>, std::vector<float>> rows_;  ///< of (table, key); made when first seen
  std::vector<TableView> views_;
  std::vector<TableUpdate> targets_;
};

}  // namespace sluice::worker::plugin
