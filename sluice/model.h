#pragma once
/// A model of your own: derive from sluice::plugin::Model, and register it once with SLUICE_PLUGIN (the last line of its source). Nothing but a C++20 compiler
/// is needed: a plug-in is a shared object that a run file names by its path (`model: ./libmine.so`), and its code runs in processes of its own.
///
/// A model is a pure function from (parameters, batch) to (update, loss): no input or output, nothing kept from batch to batch but scratch memory. Parameters
/// live in tables at the servers. What a model throws fails its job with the exception's words.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "sluice/abi.h"

namespace sluice::plugin {

using Key = std::uint64_t;

/// The params, or the data's shape, are not for this model. Throw it from the constructor; Params' own checks do.
class BadParams : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a model is told about its data before it sees any.
struct DataShape {
  std::uint64_t rows = 0;
  std::uint64_t features = 0;
  std::uint32_t classes = 0;  ///< labels are 0 … classes − 1; 0: labels are numbers to come near to
  bool sparse = false;
  std::uint32_t epochs = 1;  ///< the run file's: for models whose tables grow with them
};

/// Examples. Dense: `dense` is rows × features, row-major. Sparse: row i has the entries [offsets[i], offsets[i + 1]) of indices and values.
struct Batch {
  std::uint32_t rows = 0;
  std::uint64_t features = 0;
  std::span<const float> dense;
  std::span<const std::uint64_t> offsets;  ///< rows + 1, from 0; empty when dense
  std::span<const std::uint32_t> indices;
  std::span<const float> values;
  std::span<const float> labels;  ///< rows: class number, or target
};

enum class Kind : std::uint32_t { kDense = 0, kSparse = 1 };
enum class Init : std::uint32_t { kZero = 0, kUniform = 1, kNormal = 2 };  ///< uniform in [−scale, scale); normal with deviation scale
enum class Use : std::uint32_t {
  kParameters = 0,  ///< pulled and pushed to
  kState = 1,       ///< pulled only: its entry of update()'s `out` is empty
  kStatistics = 2,  ///< pushed to only: its entry of update()'s `params` is empty
};
/// Dense: rows × cols floats. Sparse: a row of cols floats for each 64-bit key that a batch names, at most `rows` of them.
struct Table {
  std::string name;
  Kind kind = Kind::kDense;
  std::uint64_t rows = 0;
  std::uint32_t cols = 0;
  Init init = Init::kZero;
  float scale = 0;
  Use use = Use::kParameters;
};

/// One table's values for one batch. Dense: the whole table. Sparse: row i belongs to keys[i].
struct TableView {
  std::span<const float> values;
  std::span<const Key> keys;
};
/// Where to write; the same shape as the view. Contents undefined before; every float must be written.
struct TableUpdate {
  std::span<float> values;
};

struct Losses {
  double loss_sum = 0;      ///< over the batch's examples
  double loss_squares = 0;  ///< sum of each example's loss squared
};
struct Scores {
  std::uint64_t examples = 0;
  double loss_sum = 0;
  double metric_sum = 0;  ///< accuracy: number right; mse: sum of squared errors
};
struct PhaseEnd {
  bool done = false;
  std::string reason;  ///< for a person, where done
};

enum class UpdateKind : std::uint32_t {
  kGradient = 0,    ///< of the batch's mean loss: the job's optimizer applies it
  kDelta = 1,       ///< the change itself: the servers add it up
  kStatistics = 2,  ///< sums over the batch's examples: the servers add them up, finish_phase() makes parameters of them
};

class Model {
 public:
  virtual ~Model() = default;
  /// The same at every call.
  [[nodiscard]] virtual std::vector<Table> tables() const = 0;
  /// Sorted distinct keys that the batch needs of each sparse table, into out[table] (cleared before). Models with dense tables only need not write it.
  virtual void keys(const Batch& /*batch*/, std::vector<std::vector<Key>>& /*out*/) const {}
  /// Writes the update at `params` and returns the batch's losses (regularisation in the gradient, not in the losses). A gradient is of the *mean* loss, losses
  /// are *sums*.
  [[nodiscard]] virtual Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) = 0;
  [[nodiscard]] virtual UpdateKind update_kind() const { return UpdateKind::kGradient; }
  /// How many passes over the data the run file's `epochs` means for a model with phases; 0: it has none. After each, finish_phase() is called once.
  [[nodiscard]] virtual std::uint32_t phases(std::uint32_t /*epochs*/) const { return 0; }
  /// The end of pass `phase` (from 0). `tables`: all of them, whole. `out`: what is to be added to each.
  [[nodiscard]] virtual PhaseEnd finish_phase(std::span<const TableView> /*tables*/, std::uint32_t /*phase*/, std::span<const TableUpdate> /*out*/) {
    return {};
  }
  /// What the model says of each row, labels not looked at: rows × outputs, in its own memory until its next call. One output: the number itself where labels
  /// are numbers, else class 1 where it is above 0. More: the class of the largest.
  [[nodiscard]] virtual std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) = 0;
  /// Whether outputs() speak of the data's labels. Else the largest one's number is the answer, from 0: a cluster, a topic. The same at every call.
  [[nodiscard]] virtual bool predicts_labels() const { return true; }
  /// Held-out scores.
  [[nodiscard]] virtual Scores evaluate(std::span<const TableView> params, const Batch& batch) = 0;
  /// What metric_sum sums.
  [[nodiscard]] virtual std::string metric() const { return "accuracy"; }
};

/// The job's `params`. Each call reads one and checks it; a param that the constructor never asked for is refused by its name. Lives during the constructor.
class Params {
 public:
  Params(std::span<const sluice_param> entries, std::string model) : entries_(entries), model_(std::move(model)) {}
  [[nodiscard]] double number(const std::string& key, double otherwise, double least, double most) const {
    const sluice_param* found = find(key);
    if (found == nullptr) return otherwise;
    if (found->kind != 1 || !(found->numbers[0] >= least && found->numbers[0] <= most)) wrong(*found, "a number from " + words(least) + " to " + words(most));
    return found->numbers[0];
  }
  [[nodiscard]] std::uint32_t whole(const std::string& key, std::uint32_t otherwise, std::uint32_t least, std::uint32_t most) const {
    const sluice_param* found = find(key);
    if (found == nullptr) return otherwise;
    const double value = found->kind == 1 ? found->numbers[0] : -1;
    if (!(value >= least && value <= most && value == std::floor(value)))
      wrong(*found, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return static_cast<std::uint32_t>(value);
  }
  [[nodiscard]] bool flag(const std::string& key, bool otherwise) const {
    const sluice_param* found = find(key);
    if (found == nullptr) return otherwise;
    if (found->kind != 3) wrong(*found, "true or false");
    return found->numbers[0] != 0;
  }
  /// The first choice where none is given.
  [[nodiscard]] std::string choice(const std::string& key, const std::vector<std::string>& choices) const {
    const sluice_param* found = find(key);
    if (found == nullptr) return choices.front();
    std::string listed;
    for (const auto& choice : choices) {
      if (found->kind == 2 && choice == found->text) return choice;
      listed += (listed.empty() ? "one of " : ", ") + choice;
    }
    wrong(*found, listed);
  }
  [[nodiscard]] std::vector<double> numbers(const std::string& key, std::vector<double> otherwise) const {
    const sluice_param* found = find(key);
    if (found == nullptr) return otherwise;
    if (found->kind != 4) wrong(*found, "a list of numbers");
    return {found->numbers, found->numbers + found->count};
  }
  /// Anything else: its JSON, to be read by what you like; empty: not given.
  [[nodiscard]] std::string json(const std::string& key) const {
    const sluice_param* found = find(key);
    return found == nullptr ? std::string() : found->json;
  }
  /// Throws if there is a param that was never asked for.
  void finish() const {
    for (const auto& entry : entries_) {
      if (std::find(asked_.begin(), asked_.end(), entry.key) != asked_.end()) continue;
      std::string known;
      for (const auto& key : asked_) known += (known.empty() ? "" : ", ") + key;
      throw BadParams("unknown parameter '" + std::string(entry.key) + "' of model '" + model_ + "'; " + (known.empty() ? "it has none" : "known: " + known));
    }
  }

 private:
  [[nodiscard]] const sluice_param* find(const std::string& key) const {
    if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) asked_.push_back(key);
    for (const auto& entry : entries_) {
      if (key == entry.key) return &entry;
    }
    return nullptr;
  }
  [[noreturn]] void wrong(const sluice_param& entry, const std::string& expected) const {
    throw BadParams("'" + std::string(entry.key) + "' under params of model '" + model_ + "' must be " + expected + ", not " + entry.json);
  }
  [[nodiscard]] static std::string words(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", value);
    return text;
  }

  std::span<const sluice_param> entries_;
  std::string model_;
  mutable std::vector<std::string> asked_;
};

/// The name that SLUICE_PLUGIN gives a class.
template <class T>
struct NameOf;

/// The ABI's functions over a class. No exception leaves them.
template <class T>
struct Glue {
  struct Object {
    std::unique_ptr<T> model;
    std::string metric;
    bool predicts_labels = true;
    std::vector<TableView> views;
    std::vector<TableUpdate> updates;
    std::vector<std::vector<Key>> keys;
  };
  static Object& of(sluice_model* model) { return *reinterpret_cast<Object*>(model); }
  static void say(sluice_error* error, const char* words) {
    std::strncpy(error->text, words, sizeof error->text - 1);
    error->text[sizeof error->text - 1] = '\0';
  }
  template <class F>
  static sluice_status guarded(sluice_error* error, F f) noexcept {
    try {
      f();
      return SLUICE_OK;
    } catch (const BadParams& wrong) {
      say(error, wrong.what());
      return SLUICE_BAD_PARAMS;
    } catch (const std::bad_alloc&) {
      say(error, "out of memory");
      return SLUICE_NO_MEMORY;
    } catch (const std::exception& wrong) { say(error, wrong.what()); } catch (...) {
      say(error, "it threw something that is no std::exception");
    }
    return SLUICE_FAILED;
  }
  static Batch batch_of(const sluice_batch& b) {
    Batch out;
    out.rows = static_cast<std::uint32_t>(b.rows);
    out.features = b.features;
    if (b.offsets == nullptr) {
      out.dense = {b.dense, b.rows * b.features};
    } else {
      out.offsets = {b.offsets, b.rows + 1};
      out.indices = {b.indices, b.offsets[b.rows]};
      out.values = {b.values, b.offsets[b.rows]};
    }
    out.labels = {b.labels, b.rows};
    return out;
  }
  static void take(Object& object, const sluice_view* views, std::uint32_t tables, const sluice_update* updates) {
    object.views.clear();
    object.updates.clear();
    for (std::uint32_t t = 0; t < tables; ++t) {
      object.views.push_back({{views[t].values, views[t].floats}, {views[t].keys, views[t].key_count}});
      if (updates != nullptr) object.updates.push_back({{updates[t].values, updates[t].floats}});
    }
  }

  static sluice_status make(const sluice_param* params, std::uint64_t count, const sluice_shape* shape, sluice_model** out, sluice_error* error) noexcept;
  static void destroy(sluice_model* model) noexcept { delete reinterpret_cast<Object*>(model); }
  static sluice_status tables(sluice_model* model, sluice_table* out, std::uint32_t room, std::uint32_t* count, sluice_error* error) noexcept {
    return guarded(error, [&] {
      const std::vector<Table> tables = of(model).model->tables();
      *count = static_cast<std::uint32_t>(tables.size());
      for (std::size_t t = 0; t < tables.size() && t < room; ++t) {
        const Table& from = tables[t];
        sluice_table to = {};
        if (from.name.size() >= sizeof to.name) throw std::length_error("the name of table '" + from.name + "' is longer than 63 bytes");
        std::memcpy(to.name, from.name.data(), from.name.size());
        to.rows = from.rows;
        to.cols = from.cols;
        to.kind = static_cast<std::uint32_t>(from.kind);
        to.init = static_cast<std::uint32_t>(from.init);
        to.scale = from.scale;
        to.use = static_cast<std::uint32_t>(from.use);
        out[t] = to;
      }
    });
  }
  static std::uint32_t update_kind(sluice_model* model) noexcept { return static_cast<std::uint32_t>(of(model).model->update_kind()); }
  static sluice_status phases(sluice_model* model, std::uint32_t epochs, std::uint32_t* out, sluice_error* error) noexcept {
    return guarded(error, [&] { *out = of(model).model->phases(epochs); });
  }
  static sluice_status keys(sluice_model* model, const sluice_batch* batch, sluice_take_keys take, void* to, sluice_error* error) noexcept {
    return guarded(error, [&] {
      Object& object = of(model);
      for (auto& keys : object.keys) keys.clear();
      object.model->keys(batch_of(*batch), object.keys);
      for (std::size_t t = 0; t < object.keys.size(); ++t) {
        if (!object.keys[t].empty()) take(to, static_cast<std::uint32_t>(t), object.keys[t].data(), object.keys[t].size());
      }
    });
  }
  static sluice_status update(sluice_model* model, const sluice_view* params, std::uint32_t tables, const sluice_batch* batch, const sluice_update* out,
                              sluice_losses* losses, sluice_error* error) noexcept {
    return guarded(error, [&] {
      Object& object = of(model);
      take(object, params, tables, out);
      const Losses got = object.model->update(object.views, batch_of(*batch), object.updates);
      *losses = {got.loss_sum, got.loss_squares};
    });
  }
  static sluice_status finish_phase(sluice_model* model, const sluice_view* views, std::uint32_t count, std::uint32_t phase, const sluice_update* out,
                                    sluice_phase_end* end, sluice_error* error) noexcept {
    return guarded(error, [&] {
      Object& object = of(model);
      take(object, views, count, out);
      const PhaseEnd got = object.model->finish_phase(object.views, phase, object.updates);
      *end = {};
      end->done = got.done ? 1 : 0;
      std::memcpy(end->reason, got.reason.data(), std::min(got.reason.size(), sizeof end->reason - 1));
    });
  }
  static sluice_status outputs(sluice_model* model, const sluice_view* params, std::uint32_t tables, const sluice_batch* batch, const float** values,
                               std::uint64_t* floats, sluice_error* error) noexcept {
    return guarded(error, [&] {
      Object& object = of(model);
      take(object, params, tables, nullptr);
      const std::span<const float> got = object.model->outputs(object.views, batch_of(*batch));
      *values = got.data();
      *floats = got.size();
    });
  }
  static sluice_status evaluate(sluice_model* model, const sluice_view* params, std::uint32_t tables, const sluice_batch* batch, sluice_scores* scores,
                                sluice_error* error) noexcept {
    return guarded(error, [&] {
      Object& object = of(model);
      take(object, params, tables, nullptr);
      const Scores got = object.model->evaluate(object.views, batch_of(*batch));
      *scores = {got.examples, got.loss_sum, got.metric_sum};
    });
  }
  static std::uint32_t predicts_labels(sluice_model* model) noexcept { return of(model).predicts_labels ? 1 : 0; }
  static const char* metric(sluice_model* model) noexcept { return of(model).metric.c_str(); }
};

template <class T>
sluice_status Glue<T>::make(const sluice_param* params, std::uint64_t count, const sluice_shape* shape, sluice_model** out, sluice_error* error) noexcept {
  return guarded(error, [&] {
    const Params read({params, count}, NameOf<T>::value);
    auto object = std::make_unique<Object>();
    object->model = std::make_unique<T>(read, DataShape{shape->rows, shape->features, shape->classes, shape->sparse != 0, shape->epochs});
    read.finish();
    object->metric = object->model->metric();
    object->predicts_labels = object->model->predicts_labels();
    object->keys.resize(object->model->tables().size());
    *out = reinterpret_cast<sluice_model*>(object.release());
  });
}

/// What SLUICE_PLUGIN exports.
template <class T>
constexpr sluice_plugin describe(const char* name, const char* version) {
  return {SLUICE_ABI_MAGIC,
          SLUICE_ABI_VERSION,
          sizeof(sluice_plugin),
          sizeof(sluice_error),
          sizeof(sluice_shape),
          sizeof(sluice_batch),
          sizeof(sluice_table),
          sizeof(sluice_view),
          sizeof(sluice_update),
          sizeof(sluice_losses),
          sizeof(sluice_scores),
          sizeof(sluice_phase_end),
          sizeof(sluice_param),
          0,
          name,
          version,
          &Glue<T>::make,
          &Glue<T>::destroy,
          &Glue<T>::tables,
          &Glue<T>::update_kind,
          &Glue<T>::phases,
          &Glue<T>::keys,
          &Glue<T>::update,
          &Glue<T>::finish_phase,
          &Glue<T>::outputs,
          &Glue<T>::evaluate,
          &Glue<T>::predicts_labels,
          &Glue<T>::metric};
}

}  // namespace sluice::plugin

/// Once in a plug-in, outside of any namespace: CLASS has a constructor from (const Params&, const DataShape&). NAME: 1 to 64 of a-z 0-9 . _ -. VERSION: for
/// people, may be "".
#define SLUICE_PLUGIN(CLASS, NAME, VERSION)                                               \
  template <>                                                                             \
  struct sluice::plugin::NameOf<CLASS> {                                                  \
    static constexpr const char* value = NAME;                                            \
  };                                                                                      \
  extern "C" __attribute__((visibility("default"))) const sluice_plugin sluice_plugin_v1; \
  extern "C" constinit const sluice_plugin sluice_plugin_v1 = sluice::plugin::describe<CLASS>(NAME, VERSION)
