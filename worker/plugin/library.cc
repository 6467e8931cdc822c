#include "worker/plugin/library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace sluice::worker::plugin {
namespace {

/// What its compiler saw against what ours did; empty: all the same.
std::string abi_problem(const sluice_plugin& p) {
  if (p.magic != SLUICE_ABI_MAGIC) return "its plug-in table is damaged";
  if (p.abi_version != SLUICE_ABI_VERSION)
    return fmt::format("it was built for version {} of the plug-in ABI, and this sluice has version {}: build it again against this sluice's sluice/model.h",
                       p.abi_version, SLUICE_ABI_VERSION);
  const bool sizes = p.plugin_bytes == sizeof(sluice_plugin) && p.error_bytes == sizeof(sluice_error) && p.shape_bytes == sizeof(sluice_shape) &&
                     p.batch_bytes == sizeof(sluice_batch) && p.table_bytes == sizeof(sluice_table) && p.view_bytes == sizeof(sluice_view) &&
                     p.update_bytes == sizeof(sluice_update) && p.losses_bytes == sizeof(sluice_losses) && p.scores_bytes == sizeof(sluice_scores) &&
                     p.phase_end_bytes == sizeof(sluice_phase_end) && p.param_bytes == sizeof(sluice_param);
  if (!sizes) return "its structs have other sizes than this sluice's, though it says the same ABI version: build it again with this machine's compiler";
  const bool whole = p.make && p.destroy && p.tables && p.update_kind && p.phases && p.keys && p.update && p.finish_phase && p.outputs && p.evaluate &&
                     p.predicts_labels && p.metric;
  if (!whole) return "functions of its plug-in table are missing";
  if (p.name == nullptr || p.version == nullptr || !text::valid_name(p.name)) return "its model's name is not 1 to 64 of a-z 0-9 . _ -";
  return {};
}

/// The job's params as the ABI has them. Its strings live as long as it does.
struct FlatParams {
  std::deque<std::string> strings;
  std::deque<std::vector<double>> numbers;
  std::vector<sluice_param> entries;

  explicit FlatParams(const nlohmann::json& object) {
    for (const auto& item : object.items()) {
      const auto& value = item.value();
      sluice_param entry = {};
      entry.key = strings.emplace_back(item.key()).c_str();
      entry.json = strings.emplace_back(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)).c_str();
      std::vector<double> found;
      if (value.is_number()) {
        entry.kind = 1;
        found = {value.get<double>()};
      } else if (value.is_string()) {
        entry.kind = 2;
        entry.text = strings.emplace_back(value.get<std::string>()).c_str();
      } else if (value.is_boolean()) {
        entry.kind = 3;
        found = {value.get<bool>() ? 1.0 : 0.0};
      } else if (value.is_array() && std::all_of(value.begin(), value.end(), [](const auto& element) { return element.is_number(); })) {
        entry.kind = 4;
        for (const auto& element : value) found.push_back(element.template get<double>());
      }
      const auto& kept = numbers.emplace_back(std::move(found));
      entry.numbers = kept.data();
      entry.count = kept.size();
      entries.push_back(entry);
    }
  }
};

class LibraryModel final : public Model {
 public:
  LibraryModel(const sluice_plugin& table, sluice_model* model) : table_(table), model_(model) {
    sluice_error error = {};
    std::vector<sluice_table> tables(proto::kTablesMax);
    std::uint32_t count = 0;
    check(table_.tables(model_, tables.data(), proto::kTablesMax, &count, &error), error);
    if (count > proto::kTablesMax) throw ModelFailure(SLUICE_FAILED, fmt::format("it declares {} tables; at most {}", count, proto::kTablesMax));
    for (std::uint32_t t = 0; t < count; ++t) {
      const sluice_table& from = tables[t];
      if (from.kind > 1 || from.init > 2 || from.use > 2 || std::memchr(from.name, 0, sizeof from.name) == nullptr)
        throw ModelFailure(SLUICE_FAILED, fmt::format("its table {} is not valid", t));
      declared_.push_back({.name = from.name,
                           .kind = static_cast<proto::TableKind>(from.kind),
                           .rows = from.rows,
                           .cols = from.cols,
                           .init = {static_cast<proto::InitKind>(from.init), from.scale},
                           .use = static_cast<TableUse>(from.use)});
    }
  }
  ~LibraryModel() override { table_.destroy(model_); }

  [[nodiscard]] std::vector<TableDecl> tables() const override { return declared_; }
  [[nodiscard]] UpdateKind update_kind() const override { return static_cast<UpdateKind>(std::min(table_.update_kind(model_), 2U)); }
  [[nodiscard]] bool predicts_labels() const override { return table_.predicts_labels(model_) != 0; }
  [[nodiscard]] std::string metric() const override { return table_.metric(model_); }
  [[nodiscard]] std::uint32_t phases(std::uint32_t epochs) const override {
    sluice_error error = {};
    std::uint32_t out = 0;
    check(table_.phases(model_, epochs, &out, &error), error);
    return out;
  }
  void keys(const Batch& batch, std::vector<std::vector<Key>>& out) const override {
    sluice_error error = {};
    const sluice_batch rows = flat(batch);
    const auto take = [](void* to, std::uint32_t table, const std::uint64_t* keys, std::uint64_t count) {
      auto& all = *static_cast<std::vector<std::vector<Key>>*>(to);
      if (table < all.size()) all[table].assign(keys, keys + count);
    };
    check(table_.keys(model_, &rows, take, &out, &error), error);
  }
  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    sluice_error error = {};
    sluice_losses losses = {};
    const sluice_batch rows = flat(batch);
    flatten(params, out);
    check(table_.update(model_, views_.data(), static_cast<std::uint32_t>(views_.size()), &rows, updates_.data(), &losses, &error), error);
    return {losses.loss_sum, losses.loss_squares};
  }
  PhaseEnd finish_phase(std::span<const TableView> tables, std::uint32_t phase, std::span<const TableUpdate> out) override {
    sluice_error error = {};
    sluice_phase_end end = {};
    flatten(tables, out);
    check(table_.finish_phase(model_, views_.data(), static_cast<std::uint32_t>(views_.size()), phase, updates_.data(), &end, &error), error);
    end.reason[sizeof end.reason - 1] = '\0';
    return {end.done != 0, end.reason};
  }
  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    sluice_error error = {};
    const sluice_batch rows = flat(batch);
    const float* values = nullptr;
    std::uint64_t floats = 0;
    flatten(params, {});
    check(table_.outputs(model_, views_.data(), static_cast<std::uint32_t>(views_.size()), &rows, &values, &floats, &error), error);
    return {values, floats};
  }
  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    sluice_error error = {};
    sluice_scores scores = {};
    const sluice_batch rows = flat(batch);
    flatten(params, {});
    check(table_.evaluate(model_, views_.data(), static_cast<std::uint32_t>(views_.size()), &rows, &scores, &error), error);
    return {scores.examples, scores.loss_sum, scores.metric_sum};
  }

 private:
  static void check(sluice_status status, sluice_error& error) {
    error.text[sizeof error.text - 1] = '\0';
    if (status != SLUICE_OK) throw ModelFailure(status, error.text);
  }
  static sluice_batch flat(const Batch& batch) {
    const bool sparse = !batch.offsets.empty();
    return {batch.rows,
            batch.features,
            sparse ? nullptr : batch.dense.data(),
            sparse ? batch.offsets.data() : nullptr,
            sparse ? batch.indices.data() : nullptr,
            sparse ? batch.values.data() : nullptr,
            batch.labels.data()};
  }
  void flatten(std::span<const TableView> views, std::span<const TableUpdate> out) {
    views_.clear();
    updates_.clear();
    for (const auto& view : views) views_.push_back({view.values.data(), view.values.size(), view.keys.data(), view.keys.size()});
    for (const auto& update : out) updates_.push_back({update.values.data(), update.values.size()});
  }

  const sluice_plugin& table_;
  sluice_model* model_;
  std::vector<TableDecl> declared_;
  std::vector<sluice_view> views_;
  std::vector<sluice_update> updates_;
};

}  // namespace

sluice_shape abi_shape(const DataShape& shape) { return {shape.rows, shape.features, shape.classes, shape.sparse ? 1U : 0U, shape.epochs, 0}; }

DataShape data_shape(const sluice_shape& shape) { return {shape.rows, shape.features, shape.classes, shape.sparse != 0, shape.epochs}; }

Result<std::uint64_t> file_digest(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Errc::kNotFound, fmt::format("{}: {}", path, std::strerror(errno)));
  XXH3_state_t* const state = XXH3_createState();
  XXH3_64bits_reset(state);
  char block[1 << 16];
  while (in.read(block, sizeof block) || in.gcount() > 0) XXH3_64bits_update(state, block, static_cast<std::size_t>(in.gcount()));
  const std::uint64_t digest = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  if (in.bad()) return fail(Errc::kIo, fmt::format("{}: can't be read", path));
  return digest == 0 ? 1 : digest;
}

Result<Library> Library::open(const std::string& path) {
  if (!std::ifstream(path)) return fail(Errc::kNotFound, fmt::format("{}: {}", path, std::strerror(errno)));
  // Local and at once: what is missing shows now, and its names meet nobody else's.
  void* const handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* words = ::dlerror();
    const std::string said = words != nullptr ? words : "it can't be loaded";
    return fail(Errc::kBadConfig, said.starts_with(path) ? said : path + ": " + said);
  }
  const auto* table = static_cast<const sluice_plugin*>(::dlsym(handle, SLUICE_PLUGIN_SYMBOL));
  if (table == nullptr)
    return fail(Errc::kBadConfig,
                fmt::format("{}: it has no '{}': a plug-in ends with SLUICE_PLUGIN(Class, \"name\", \"version\")", path, SLUICE_PLUGIN_SYMBOL));
  if (const std::string problem = abi_problem(*table); !problem.empty()) return fail(Errc::kBadConfig, fmt::format("{}: {}", path, problem));
  return Library(table);
}

Result<std::unique_ptr<Model>> Library::make(const std::string& params, const DataShape& shape) const {
  const auto object = nlohmann::json::parse(params, nullptr, false);
  if (!object.is_object()) return fail(Errc::kBadConfig, fmt::format("params of model '{}' must be an object of parameters", name()));
  const FlatParams flat(object);
  const sluice_shape data = abi_shape(shape);
  sluice_model* model = nullptr;
  sluice_error error = {};
  const sluice_status status = table_->make(flat.entries.data(), flat.entries.size(), &data, &model, &error);
  error.text[sizeof error.text - 1] = '\0';
  if (status != SLUICE_OK) return fail(status == SLUICE_BAD_PARAMS ? Errc::kBadConfig : Errc::kJobFailed, error.text);
  if (model == nullptr) return fail(Errc::kJobFailed, "it made no model, and said no reason");
  try {
    return std::make_unique<LibraryModel>(*table_, model);
  } catch (const ModelFailure& wrong) { return fail(Errc::kJobFailed, wrong.what()); }
}

}  // namespace sluice::worker::plugin
