#include "worker/detail/fake_cluster.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sluice::worker::fake {
namespace {

constexpr Key kShared = 1'000'000;

class MadeUpRows final : public RowReader {
 public:
  [[nodiscard]] Batch read(std::uint64_t first_row, std::uint32_t chunk_rows, std::uint64_t, std::uint32_t, std::uint32_t offset, std::uint32_t rows) override {
    EXPECT_LE(offset + rows, chunk_rows);
    return read_plain(first_row + offset, rows);
  }
  [[nodiscard]] Batch read_plain(std::uint64_t first, std::uint32_t rows) override {
    offsets_ = {0};
    indices_.clear();
    values_.clear();
    labels_.clear();
    for (std::uint64_t r = first; r < first + rows; ++r) {
      indices_.push_back(static_cast<std::uint32_t>(r));
      indices_.push_back(static_cast<std::uint32_t>(kShared + r % 7));
      values_.insert(values_.end(), {1, 2});
      offsets_.push_back(indices_.size());
      labels_.push_back(static_cast<float>(r % 2));
    }
    Batch batch;
    batch.rows = rows;
    batch.features = 2'000'000;
    batch.offsets = offsets_;
    batch.indices = indices_;
    batch.values = values_;
    batch.labels = labels_;
    return batch;
  }

 private:
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint32_t> indices_;
  std::vector<float> values_, labels_;
};

class CountingModel final : public Model {
 public:
  explicit CountingModel(std::shared_ptr<ModelScript> script) : script_(std::move(script)) {}
  [[nodiscard]] std::vector<TableDecl> tables() const override {
    std::vector<TableDecl> out{{"w", proto::TableKind::kDense, script_->dense_floats, 1, {}}, {"b", proto::TableKind::kDense, 1, 3, {}}};
    if (script_->sparse) out.push_back({"rows", proto::TableKind::kSparse, 1'000'000, 2, {}});
    return out;
  }
  void keys(const Batch& batch, std::vector<std::vector<Key>>& out) const override {
    if (!script_->sparse) return;
    const std::set<Key> distinct(batch.indices.begin(), batch.indices.end());
    out[2].assign(distinct.begin(), distinct.end());
  }
  [[nodiscard]] Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    if (script_->before_update) script_->before_update(script_->batches);
    script_->seen.emplace_back(own_++, params[0].values[0]);
    ++script_->batches;
    const float one = script_->gradient_is_nan ? std::nanf("") : 1;
    for (std::size_t t = 0; t < 2; ++t) std::fill(out[t].values.begin(), out[t].values.end(), one);
    if (script_->sparse) {
      std::map<Key, std::pair<float, float>> sums;
      for (std::size_t i = 0; i < batch.indices.size(); ++i) {
        sums[batch.indices[i]].first += 1;
        sums[batch.indices[i]].second += batch.values[i];
      }
      EXPECT_EQ(params[2].keys.size(), sums.size());
      EXPECT_EQ(params[2].values.size(), sums.size() * 2);
      for (std::size_t k = 0; k < params[2].keys.size(); ++k) {
        out[2].values[k * 2] = sums[params[2].keys[k]].first;
        out[2].values[k * 2 + 1] = sums[params[2].keys[k]].second;
        // Every row that was pulled belongs to its key: the second float is the value times the first.
        const float factor = params[2].keys[k] >= kShared ? 2 : 1;
        EXPECT_EQ(params[2].values[k * 2 + 1], factor * params[2].values[k * 2]) << params[2].keys[k];
      }
    }
    const double loss = script_->loss_is_nan ? std::nan("") : 0.5 * batch.rows;
    return {loss, loss};
  }
  std::span<const float> outputs(std::span<const TableView> params, const Batch&) override { return params[0].values; }
  [[nodiscard]] Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    if (script_->before_evaluate) script_->before_evaluate();
    script_->scored += batch.rows;
    return {batch.rows, 1.0 * batch.rows, static_cast<double>(params[0].values[0]) * batch.rows};
  }

 private:
  std::shared_ptr<ModelScript> script_;
  std::uint64_t own_ = 0;
};

class Watched final : public Actor {
 public:
  Watched(std::unique_ptr<Actor> actor, const Clock& clock) : actor_(std::move(actor)), clock_(clock) {}
  Step step() override {
    const Step step = actor_->step();
    if (!step.progressed && !actor_->ended()) { EXPECT_GT(step.next, clock_.now()) << "nothing was done and it wants to be called again at once"; }
    return step;
  }
  void wait(Instant until) override { actor_->wait(until); }
  void wake() override { actor_->wake(); }
  void stop() override { actor_->stop(); }
  [[nodiscard]] bool ended() const override { return actor_->ended(); }

 private:
  std::unique_ptr<Actor> actor_;
  const Clock& clock_;
};

net::InprocOptions with_faults(net::Faults faults, std::uint64_t seed) {
  net::InprocOptions options;
  options.faults = faults;
  options.faults.seed = seed;
  return options;
}

}  // namespace

std::unique_ptr<Actor> watched(std::unique_ptr<Actor> actor, const Clock& clock) { return std::make_unique<Watched>(std::move(actor), clock); }

DataSource made_up_data() {
  return {[](const proto::DataSpec& spec) -> Result<OpenedData> {
            if (spec.name == "missing") return fail(Errc::kBadData, "/no/such/file: no such file");
            OpenedData out;
            out.train = std::make_shared<Rows>(spec.features);
            if (!spec.test.empty()) out.test = std::make_shared<Rows>(50);
            return out;
          },
          [](const std::shared_ptr<const Dataset>&) { return std::make_unique<MadeUpRows>(); }};
}

MakeModel counting_model(std::shared_ptr<ModelScript> script) {
  return [script](const std::string&, const DataShape&) -> Result<std::unique_ptr<Model>> { return std::make_unique<CountingModel>(script); };
}

Cluster::Cluster(const Options& options)
    : transport(clock, with_faults(options.faults, options.seed)),
      executor(clock, options.seed, [this] { return transport.next_delivery(); }),
      models_(std::make_shared<ModelRegistry>("model")) {
  world.lanes = options.lanes;
  world.publish();
  for (std::uint32_t i = 0; i < options.lanes; ++i) executor.start("lane-" + std::to_string(i), make_lane(world, i, transport, clock));
  const net::Runtime runtime{clock, transport, executor, options.seed};
  control = std::make_shared<ControlInbox>(std::shared_ptr<net::Poller>(transport.poller()));
  const SlotShared shared{models_, std::make_shared<DataRegistry>(made_up_data(), executor), control};
  for (std::uint32_t i = 0; i < options.slots; ++i) {
    std::shared_ptr<net::Poller> poller = transport.poller();
    inboxes.push_back(std::make_shared<SlotInbox>(poller));
    SlotOptions slot;
    slot.slot = WorkerSlot(i);
    slot.client.call_deadline = options.call_deadline;
    executor.start("slot-" + std::to_string(i), watched(make_slot(slot, shared, inboxes[i], poller, runtime), clock));
    inboxes[i]->put(Incarnation(100 + i));
    inboxes[i]->put(std::make_shared<const proto::SlotTable>(world.table));
  }
}

Cluster::~Cluster() {
  for (const auto& violation : world.violations) ADD_FAILURE() << violation;
}

void Cluster::add_model(const std::string& name, std::shared_ptr<ModelScript> script) { models_->add(name, counting_model(std::move(script))); }

proto::JobSpec Cluster::job(const std::string& model, std::uint64_t rows, std::uint32_t batch, std::uint32_t epochs) {
  proto::JobSpec spec;
  spec.name = "job";
  spec.model = model;
  spec.data.name = "made-up";
  spec.data.format = "libsvm";
  spec.data.train = {"/made-up"};
  spec.data.test = {"/made-up-test"};
  spec.data.features = rows;
  spec.optimizer.name = "add";
  spec.batch = batch;
  spec.epochs = epochs;
  return spec;
}

void Cluster::order(std::uint32_t slot, JobId job, const proto::JobSpec& spec) {
  Order order;
  order.assignment.slot = WorkerSlot(slot);
  order.assignment.job = job;
  order.assignment.decision = DecisionId(++decision_);
  order.assignment.decided_at = clock.now();
  if (job.value != 0) order.assignment.spec = proto::to_json(spec);
  order.term = Term(1);
  order.same_host = true;
  order.received = clock.now();
  inboxes[slot]->put(std::move(order));
}

bool Cluster::run(const std::function<bool()>& done, double seconds) {
  const Instant limit = clock.now() + from_seconds(seconds);
  const bool ok = executor.run_until(done, limit);
  if (!ok) clock.advance_to(limit);
  return ok;
}

bool Cluster::finished(JobId job) {
  const auto it = world.homes.find(job);
  return it != world.homes.end() && it->second.free.empty() && it->second.out.empty() && it->second.members.empty() && it->second.joins > 0;
}

std::string Cluster::describe(JobId job) {
  const auto it = world.homes.find(job);
  if (it == world.homes.end()) return fmt::format("\njob {}: not open", job.value);
  const Home& h = it->second;
  std::string out = fmt::format("\njob {}: {} commits, {} chunks free, {} out, {} joins, {} leaves", job.value, h.commits.size(), h.free.size(), h.out.size(),
                                h.joins, h.leaves);
  for (const auto& [client, m] : h.members) out += fmt::format("; client {} at {} with lease {}", client.value, m.clock, m.lease.lease);
  for (const auto& fault : news<FaultNews>()) out += "; " + fault.what;
  return out;
}

void Cluster::collect() {
  auto content = control->take();
  for (auto& one : content.news) news_.push_back(std::move(one));
  if (content.wanted) table_wanted = content.wanted;
  lost.insert(lost.end(), content.lost.begin(), content.lost.end());
  slots_ended = content.ended;
}

void Cluster::expect_exactly_once(JobId job, std::uint64_t rows, std::uint32_t epochs) {
  const Home& h = home(job);
  for (std::uint32_t e = 0; e < epochs; ++e) {
    for (std::uint64_t r = 0; r < rows; ++r) {
      const auto it = h.trained.find({e, r});
      ASSERT_TRUE(it != h.trained.end() && it->second == 1) << "epoch " << e << " row " << r;
    }
  }
  const auto steps = static_cast<float>(h.commits.size());
  std::map<Key, float> counts;
  for (const auto& [id, shard] : world.shards) {
    if (std::get<0>(id) != job) continue;
    for (const float v : shard.dense) ASSERT_EQ(v, steps) << "table " << std::get<1>(id).value << " shard " << std::get<2>(id).value;
    for (const auto& [key, row] : shard.rows) counts[key] += row[0];
  }
  if (h.opened.tables.size() < 3) return;
  for (Key r = 0; r < rows; ++r) ASSERT_EQ(counts[r], static_cast<float>(epochs)) << "row " << r;
}

}  // namespace sluice::worker::fake
