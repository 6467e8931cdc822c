#include "worker/plugin/process_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "base/assert.h"
#include "worker/plugin/library.h"

namespace sluice::worker::plugin {
namespace {

constexpr std::size_t kUpdates = 8;               ///< that may be on their way or held by servers at once
constexpr std::uint64_t kCopiedUpdateEvery = 64;  ///< the others are written in place, with one guard behind the last table
static_assert(Model::kUpdateMargin >= kGuard);
constexpr std::uint64_t kRoomMax = std::uint64_t{4} << 30;

/// Gives out places in the work file, behind its page.
class Plan {
 public:
  template <class T>
  Place place(std::size_t count) {
    return bytes(count, count * sizeof(T));
  }
  Place floats_with_guard(std::size_t count) { return bytes(count, count * sizeof(float) + kGuard); }
  [[nodiscard]] std::uint64_t end() const { return end_; }

 private:
  Place bytes(std::size_t count, std::size_t size) {
    const std::uint64_t at = (end_ + kAlign - 1) / kAlign * kAlign;
    end_ = at + size;
    return {at, count};
  }
  std::uint64_t end_ = kPageBytes;
};

template <class T>
void write(SharedFile& file, const Place& place, std::span<const T> from) {
  if (!from.empty()) std::memcpy(file.data() + place.at, from.data(), from.size_bytes());
}

Error failure(const Reply& reply, const std::string& name, std::uint64_t memory_bytes) {
  switch (reply.status) {
    case Status::kMissing:
      return {Errc::kNotFound, reply.text};
    case Status::kNotOurs:
      return {Errc::kBadConfig, reply.text};
    case Status::kBadParams:
      return {Errc::kBadConfig, reply.text};
    case Status::kNoMemory:
      return {Errc::kJobFailed, fmt::format("{}; model '{}' may have {} MiB (limits: {{memory_mb: …}} in the run file)", reply.text, name, memory_bytes >> 20)};
    default:
      return {Errc::kJobFailed, reply.text};
  }
}

/// A call whose answer has bytes of unknown number: asked again with more room where it does not fit.
Result<Reply> call_with_room(SlotProcess& process, const std::string& name, Call& call, const Plan& plan, std::uint64_t room,
                             const std::function<void()>& fill_in, const Interrupt& interrupt) {
  for (;;) {
    Plan whole = plan;
    call.room = whole.place<std::byte>(room);
    if (!process.work().grow(whole.end()))
      return fail(Errc::kJobFailed, fmt::format("no memory is left for a batch of model '{}' ({} bytes)", name, whole.end()));
    fill_in();
    auto reply = process.call(call, interrupt);
    if (!reply) return fail(reply.error());
    if (reply->status == Status::kOk && reply->bytes <= room) return reply;
    if (reply->status != Status::kNoRoom) return fail(failure(*reply, name, process.options().memory_bytes));
    if (reply->bytes <= room || reply->bytes > kRoomMax) return fail(Errc::kJobFailed, fmt::format("it wants to answer with {} bytes", reply->bytes));
    room = reply->bytes;
  }
}

Result<Reply> call_with_text(SlotProcess& process, const std::string& name, Call& call, const std::string& text, std::uint64_t room,
                             const Interrupt& interrupt = {}) {
  Plan plan;
  call.text = plan.place<char>(text.size());
  return call_with_room(
      process, name, call, plan, room, [&] { write<char>(process.work(), call.text, text); }, interrupt);
}

struct Shown {
  std::vector<TableDecl> tables;
  UpdateKind kind = UpdateKind::kGradient;
  bool predicts_labels = true;
  std::string metric;
};

Result<Shown> make(SlotProcess& process, const std::string& name, const std::string& params, const DataShape& shape, const Interrupt& interrupt) {
  Call call;
  call.op = Op::kMake;
  call.shape = abi_shape(shape);
  const auto reply = call_with_text(process, name, call, params, sizeof(Made), interrupt);
  if (!reply) return fail(reply.error());
  Made made;
  std::memcpy(&made, process.work().data() + call.room.at, sizeof made);  // a copy: the process may write to its own while it is read
  made.metric[sizeof made.metric - 1] = '\0';
  Shown out{{}, static_cast<UpdateKind>(std::min(reply->kind, 2U)), made.predicts_labels != 0, made.metric};
  if (reply->bytes != sizeof made || made.tables > proto::kTablesMax) return fail(Errc::kJobFailed, "it declares its tables in no way that can be read");
  if (out.metric.empty() || !std::all_of(out.metric.begin(), out.metric.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7f; }))
    return fail(Errc::kJobFailed, "its metric's name is empty or not plain text");
  for (std::uint32_t t = 0; t < made.tables; ++t) {
    sluice_table& from = made.table[t];
    from.name[sizeof from.name - 1] = '\0';
    if (from.kind > 1 || from.init > 2 || from.use > 2) return fail(Errc::kJobFailed, fmt::format("its table {} is not valid", t));
    out.tables.push_back({.name = from.name,
                          .kind = static_cast<proto::TableKind>(from.kind),
                          .rows = from.rows,
                          .cols = from.cols,
                          .init = {static_cast<proto::InitKind>(from.init), from.scale},
                          .use = static_cast<TableUse>(from.use)});
  }
  return out;
}

class ProcessModel final : public Model {
 public:
  ProcessModel(std::unique_ptr<SlotProcess> process, std::string name, Shown shown, Interrupt interrupt)
      : process_(std::move(process)), name_(std::move(name)), shown_(std::move(shown)), interrupt_(std::move(interrupt)) {
    for (const auto& table : shown_.tables) sparse_ = sparse_ || table.kind == proto::TableKind::kSparse;
  }

  [[nodiscard]] std::vector<TableDecl> tables() const override { return shown_.tables; }
  [[nodiscard]] UpdateKind update_kind() const override { return shown_.kind; }
  [[nodiscard]] bool predicts_labels() const override { return shown_.predicts_labels; }
  [[nodiscard]] std::string metric() const override { return shown_.metric; }
  [[nodiscard]] std::uint32_t phases(std::uint32_t epochs) const override;
  void keys(const Batch& batch, std::vector<std::vector<Key>>& out) const override;
  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override;
  PhaseEnd finish_phase(std::span<const TableView> tables, std::uint32_t phase, std::span<const TableUpdate> out) override;
  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override;
  Scores evaluate(std::span<const TableView> params, const Batch& batch) override;
  std::span<float> input_memory(std::uint64_t floats) override;
  net::MemoryFile update_memory(std::size_t bytes) override;

 private:
  [[nodiscard]] std::optional<Place> in_values(std::span<const float> from) const;
  void plan_batch(const Batch& batch, Call& call, Plan& plan) const;
  void write_batch(const Batch& batch, const Call& call) const;
  [[nodiscard]] bool in_updates(std::span<const TableUpdate> out) const;
  void plan_tables(std::span<const TableView> views, std::span<const TableUpdate> out, Call& call, Plan& plan, bool in_place = false) const;
  void write_tables(std::span<const TableView> views, const Call& call) const;
  [[nodiscard]] Reply ask(Call& call, const Plan& plan, std::uint64_t room, const std::function<void()>& fill_in) const;
  void fetch(const Call& call, std::span<const TableUpdate> out) const;

  std::unique_ptr<SlotProcess> process_;
  std::string name_;
  Shown shown_;
  Interrupt interrupt_;
  bool sparse_ = false;
  std::uint64_t updates_made_ = 0;
  std::span<const std::byte> updates_;  ///< memory that the process writes to as well: its place only, it belongs to whoever was given it
  mutable std::uint64_t keys_room_ = 4096;
  std::uint64_t outputs_room_ = 4096;
  std::vector<float> outputs_;
};

/// Where `from` lies in the memory that was given out for what goes in; none: it lies elsewhere.
std::optional<Place> ProcessModel::in_values(std::span<const float> from) const {
  const SharedFile& values = process_->values();
  const auto at = reinterpret_cast<std::uintptr_t>(from.data()), first = reinterpret_cast<std::uintptr_t>(values.data());
  if (values.bytes() == 0 || from.empty() || at < first || at - first >= values.bytes()) return std::nullopt;
  SLUICE_ASSERT(from.size_bytes() <= values.bytes() - (at - first));
  return Place{at - first, from.size()};
}

void ProcessModel::plan_batch(const Batch& batch, Call& call, Plan& plan) const {
  call.rows = batch.rows;
  call.features = batch.features;
  const auto dense = in_values(batch.dense);
  call.dense_in_values = dense ? 1 : 0;
  call.dense = dense ? *dense : plan.place<float>(batch.dense.size());
  call.offsets = plan.place<std::uint64_t>(batch.offsets.size());
  call.indices = plan.place<std::uint32_t>(batch.indices.size());
  call.entries = plan.place<float>(batch.values.size());
  call.labels = plan.place<float>(batch.labels.size());
}

void ProcessModel::write_batch(const Batch& batch, const Call& call) const {
  SharedFile& work = process_->work();
  if (call.dense_in_values == 0) write(work, call.dense, batch.dense);
  write(work, call.offsets, batch.offsets);
  write(work, call.indices, batch.indices);
  write(work, call.entries, batch.values);
  write(work, call.labels, batch.labels);
}

/// All of it lies in the memory that was given out for updates.
bool ProcessModel::in_updates(std::span<const TableUpdate> out) const {
  const auto first = reinterpret_cast<std::uintptr_t>(updates_.data());
  return !updates_.empty() && std::all_of(out.begin(), out.end(), [&](const TableUpdate& each) {
    const auto at = reinterpret_cast<std::uintptr_t>(each.values.data());
    return each.values.empty() || (at >= first && at - first + each.values.size_bytes() <= updates_.size());
  });
}

void ProcessModel::plan_tables(std::span<const TableView> views, std::span<const TableUpdate> out, Call& call, Plan& plan, bool in_place) const {
  SLUICE_ASSERT(views.size() == shown_.tables.size() && views.size() <= proto::kTablesMax);
  call.tables = static_cast<std::uint32_t>(views.size());
  for (std::size_t t = 0; t < views.size(); ++t) {
    TableRecord& record = call.table[t];
    const auto values = in_values(views[t].values);
    record.in_values = values ? 1 : 0;
    record.values = values ? *values : plan.place<float>(views[t].values.size());
    record.keys = plan.place<Key>(views[t].keys.size());
    if (!out.empty() && !in_place) record.out = plan.floats_with_guard(out[t].values.size());
    record.guarded = record.out.count > 0 ? 1 : 0;
  }
  if (!in_place) return;
  TableRecord* last = nullptr;
  for (std::size_t t = 0; t < out.size(); ++t) {
    if (out[t].values.empty()) continue;
    TableRecord& record = call.table[t];
    record.out = {static_cast<std::uint64_t>(std::as_bytes(out[t].values).data() - updates_.data()), out[t].values.size()};
    record.out_in_updates = 1;
    if (last == nullptr || record.out.at > last->out.at) last = &record;
  }
  if (last != nullptr) last->guarded = 1;
}

void ProcessModel::write_tables(std::span<const TableView> views, const Call& call) const {
  for (std::size_t t = 0; t < views.size(); ++t) {
    if (call.table[t].in_values == 0) write(process_->work(), call.table[t].values, views[t].values);
    write(process_->work(), call.table[t].keys, views[t].keys);
  }
}

Reply ProcessModel::ask(Call& call, const Plan& plan, std::uint64_t room, const std::function<void()>& fill_in) const {
  auto reply = call_with_room(*process_, name_, call, plan, room, fill_in, interrupt_);
  if (!reply) throw std::runtime_error(reply.error().what);
  return *reply;
}

/// Out of the process's reach: what is sent on cannot change any more.
void ProcessModel::fetch(const Call& call, std::span<const TableUpdate> out) const {
  for (std::size_t t = 0; t < out.size(); ++t) {
    if (!out[t].values.empty()) std::memcpy(out[t].values.data(), process_->work().data() + call.table[t].out.at, out[t].values.size_bytes());
  }
}

std::uint32_t ProcessModel::phases(std::uint32_t epochs) const {
  Call call;
  call.op = Op::kPhases;
  call.argument = epochs;
  return ask(call, Plan(), 0, [] {}).kind;
}

void ProcessModel::keys(const Batch& batch, std::vector<std::vector<Key>>& out) const {
  if (!sparse_) return;
  Call call;
  call.op = Op::kKeys;
  Plan plan;
  plan_batch(batch, call, plan);
  const Reply reply = ask(call, plan, keys_room_, [&] { write_batch(batch, call); });
  keys_room_ = std::max(keys_room_, reply.bytes);
  std::uint64_t at = 0;
  for (std::size_t t = 0; t < shown_.tables.size(); ++t) {
    const std::uint64_t count = reply.counts[t];
    if (count == 0) continue;
    if (count > reply.bytes / sizeof(Key) - at) throw std::runtime_error("it names more keys than it wrote");
    out[t].resize(count);
    std::memcpy(out[t].data(), process_->work().data() + call.room.at + at * sizeof(Key), count * sizeof(Key));
    at += count;
    const TableDecl& table = shown_.tables[t];
    if (table.kind == proto::TableKind::kDense) throw std::runtime_error(fmt::format("it names keys of table '{}', which is dense", table.name));
    if (std::adjacent_find(out[t].begin(), out[t].end(), std::greater_equal<>()) != out[t].end())
      throw std::runtime_error(fmt::format("its keys of table '{}' are not sorted and distinct", table.name));
  }
}

Losses ProcessModel::update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) {
  Call call;
  call.op = Op::kUpdate;
  call.argument = updates_made_ == 0 ? 1 : 0;  // once: what it forgets to write is NaN, and the servers refuse it
  const bool in_place = updates_made_ % kCopiedUpdateEvery != 0 && in_updates(out);
  Plan plan;
  plan_batch(batch, call, plan);
  plan_tables(params, out, call, plan, in_place);
  const Reply reply = ask(call, plan, 0, [&] {
    write_batch(batch, call);
    write_tables(params, call);
  });
  ++updates_made_;
  if (!in_place) fetch(call, out);
  return {reply.numbers[0], reply.numbers[1]};
}

PhaseEnd ProcessModel::finish_phase(std::span<const TableView> tables, std::uint32_t phase, std::span<const TableUpdate> out) {
  Call call;
  call.op = Op::kFinishPhase;
  call.argument = phase;
  Plan plan;
  plan_tables(tables, out, call, plan);
  const Reply reply = ask(call, plan, 0, [&] { write_tables(tables, call); });
  fetch(call, out);
  return {reply.kind != 0, reply.text};
}

std::span<const float> ProcessModel::outputs(std::span<const TableView> params, const Batch& batch) {
  Call call;
  call.op = Op::kOutputs;
  Plan plan;
  plan_batch(batch, call, plan);
  plan_tables(params, {}, call, plan);
  const Reply reply = ask(call, plan, outputs_room_, [&] {
    write_batch(batch, call);
    write_tables(params, call);
  });
  outputs_room_ = std::max(outputs_room_, reply.bytes);
  const std::uint64_t floats = reply.bytes / sizeof(float);
  if (batch.rows > 0 && (floats == 0 || floats % batch.rows != 0))
    throw std::runtime_error(fmt::format("outputs() gave {} numbers for {} rows", floats, batch.rows));
  outputs_.resize(floats);
  if (floats > 0) std::memcpy(outputs_.data(), process_->work().data() + call.room.at, floats * sizeof(float));
  return outputs_;
}

Scores ProcessModel::evaluate(std::span<const TableView> params, const Batch& batch) {
  Call call;
  call.op = Op::kEvaluate;
  Plan plan;
  plan_batch(batch, call, plan);
  plan_tables(params, {}, call, plan);
  const Reply reply = ask(call, plan, 0, [&] {
    write_batch(batch, call);
    write_tables(params, call);
  });
  if (reply.examples != batch.rows) throw std::runtime_error(fmt::format("evaluate() scored {} of {} rows", reply.examples, batch.rows));
  return {reply.examples, reply.numbers[0], reply.numbers[1]};
}

std::span<float> ProcessModel::input_memory(std::uint64_t floats) {
  SharedFile& values = process_->values();
  SLUICE_ASSERT(values.bytes() == 0);
  if (floats == 0 || !values.grow(floats * sizeof(float) + kAlign)) return {};
  if (!values.seal()) return {};
  return {reinterpret_cast<float*>(values.data()), floats};
}

net::MemoryFile ProcessModel::update_memory(std::size_t bytes) {
  net::MemoryFile file = std::move(process_->updates());
  const std::size_t each = bytes + kUpdateMargin;
  if (bytes == 0 || file.fd() < 0 || !file.set_size(kUpdates * (each + each / 4 + kPageBytes))) return {};
  Call call;
  call.op = Op::kMapUpdates;
  call.updates_bytes = file.bytes().size();
  (void)ask(call, Plan(), 0, [] {});
  updates_ = file.bytes();
  return file;
}

}  // namespace

Result<PluginFacts> open_plugin(SlotProcess& process, const std::string& path, std::uint64_t digest, const Interrupt& interrupt) {
  process.set_name(path);
  Call call;
  call.op = Op::kOpen;
  call.digest = digest;
  call.memory_bytes = process.options().memory_bytes;
  const auto reply = call_with_text(process, path, call, path, 0, interrupt);
  if (!reply)
    return fail(reply.error().code, reply.error().what.starts_with(path) ? reply.error().what : fmt::format("{}: its process {}", path, reply.error().what));
  std::istringstream lines(reply->text);
  PluginFacts out;
  std::getline(lines, out.name);
  std::getline(lines, out.version);
  out.digest = reply->counts[0];
  return out;
}

Result<std::unique_ptr<Model>> make_process_model(std::unique_ptr<SlotProcess> process, const std::string& name, const std::string& params,
                                                  const DataShape& shape, Interrupt interrupt) {
  auto shown = make(*process, name, params, shape, interrupt);
  if (!shown) return fail(shown.error());
  return std::make_unique<ProcessModel>(std::move(process), name, std::move(*shown), std::move(interrupt));
}

Result<UpdateKind> try_model(SlotProcess& process, const std::string& name, const std::string& params, const DataShape& shape) {
  const auto shown = make(process, name, params, shape, {});
  if (!shown) return fail(shown.error());
  return shown->kind;
}

Result<std::string> check_plugin(SlotProcess& process, const std::string& params) {
  Call call;
  call.op = Op::kCheck;
  const auto reply = call_with_text(process, "checked", call, params, 1 << 20);
  if (!reply) return fail(reply.error());
  std::string out(reply->bytes, '\0');
  std::memcpy(out.data(), process.work().data() + call.room.at, out.size());
  return out;
}

}  // namespace sluice::worker::plugin
