#include "worker/detail/parameters.h"

#include <cstring>
#include <new>

#include "base/assert.h"

namespace sluice::worker {

namespace {
constexpr std::align_val_t kAlign{64};
}
void Parameters::Free::operator()(float* p) const { ::operator delete[](p, kAlign); }

void Parameters::enter(const Layout& layout) {
  leave();
  layout_ = &layout;
  versions_.assign(layout.shards, Held{});
  if (layout.arena_floats > arena_floats_ || layout.arena_floats * 4 < arena_floats_) {  // a slot keeps its memory from job to job unless it is far too large
    arena_.reset();
    arena_.reset(static_cast<float*>(::operator new[](layout.arena_floats * sizeof(float) + 64, kAlign)));
    arena_floats_ = layout.arena_floats;
  }
  values_ = arena_.get();
  state_.assign(layout.state ? layout.arena_floats : 0, 0);
}

void Parameters::use(std::span<float> memory) {
  if (memory.empty()) return;
  SLUICE_ASSERT(layout_ != nullptr && memory.size() == layout_->arena_floats);
  values_ = memory.data();
}

void Parameters::leave() {
  layout_ = nullptr;
  values_ = nullptr;
  pulls_.clear();
  arrived_.clear();
}

std::span<const float> Parameters::dense(std::size_t table) const { return {values_ + layout_->dense_first[table], layout_->tables[table].floats()}; }

std::span<const float> Parameters::dense_state(std::size_t table) const {
  return std::span(state_).subspan(layout_->dense_first[table], layout_->tables[table].floats());
}

std::uint64_t Parameters::pull(std::span<KeySet> sets, PullOptions options) {
  SLUICE_ASSERT(layout_ != nullptr && (layout_->state || !options.state));
  const std::uint64_t id = next_pull_++;
  const Instant deadline = calls_.deadline();
  Pull pull{0, sets};
  SectionOp op;
  op.tag = id;
  op.deadline = deadline;
  for (const auto& shard : layout_->dense) {
    if (!options.whole && !layout_->pulled(shard.table.value)) continue;
    op.section.table = shard.table;
    op.section.shard = shard.shard;
    const Held& held = versions_[shard.index];
    op.section.version = options.state && !held.state ? 0 : held.version;
    op.section.term = held.term;
    op.section.state = options.state;
    op.slot = shard.slot;
    op.reply_count = shard.floats;
    op.reply_floats = std::size_t{shard.floats} * (options.state ? 2 : 1);
    calls_.add(op);
    ++pull.remaining;
  }
  for (std::uint32_t t = 0; t < layout_->tables.size(); ++t) {
    if (!layout_->sparse(t) || sets[t].keys().empty() || !(options.whole || layout_->pulled(t))) continue;
    const KeySet& set = sets[t];
    auto memory = transport_.allocate(set.keys().size() * sizeof(Key));
    const std::span<std::byte> bytes = memory.bytes();
    for (std::uint32_t b = 0, at = 0; b < set.buckets(); at += static_cast<std::uint32_t>(set.bucket(b).size()), ++b)
      set.gather_keys(b, bytes.data() + at * sizeof(Key));
    const net::Frame frame = std::move(memory).finish(set.keys().size() * sizeof(Key));
    std::size_t at = 0;
    for (std::uint32_t b = 0; b < set.buckets(); ++b) {
      const auto count = static_cast<std::uint32_t>(set.bucket(b).size());
      if (count == 0) continue;
      op.section = {};
      op.section.table = TableId(t);
      op.section.shard = ShardId(b);
      op.section.count = count;
      op.section.state = options.state;
      op.payload = net::Frame(frame.owner(), frame.bytes().subspan(at, count * sizeof(Key)));
      at += count * sizeof(Key);
      op.slot = layout_->sparse_slots[t][b];
      op.reply_count = count;
      op.reply_floats = std::size_t{count} * set.row_floats();
      calls_.add(op);
      ++pull.remaining;
    }
  }
  if (pull.remaining == 0) arrived_.push_back({std::move(op), {}, {}, {}});  // nothing to fetch: complete at the next absorb()
  pulls_.emplace(id, pull);
  return id;
}

Result<void> Parameters::take(SectionDone done) {
  switch (done.answer.outcome) {
    case proto::Outcome::kOk:
    case proto::Outcome::kNotModified:
      arrived_.push_back(std::move(done));
      return {};
    case proto::Outcome::kFull:
      return fail(Errc::kRejected, "table '" + layout_->tables[done.op.section.table.value].name + "' has reached its max_rows");
    case proto::Outcome::kRejected:
      return fail(Errc::kRejected, done.text.empty() ? "the server rejected a pull" : done.text);
    default:
      return fail(Errc::kMalformed, "a pull was answered with outcome " + std::to_string(static_cast<int>(done.answer.outcome)));
  }
}

bool Parameters::absorb(std::vector<std::uint64_t>& pulled) {
  if (arrived_.empty()) return false;
  for (auto& done : arrived_) {
    const auto pull = pulls_.find(done.op.tag);
    if (pull == pulls_.end()) continue;
    if (pull->second.remaining > 0) {
      const auto& section = done.answer;
      const std::uint32_t index = layout_->index(section.table, section.shard);
      if (section.outcome == proto::Outcome::kOk) {
        if (layout_->sparse(section.table.value)) {
          pull->second.sets[section.table.value].scatter(section.shard.value, done.values.data());
        } else {
          const std::uint64_t first = layout_->dense_first[section.table.value] + std::uint64_t{section.shard.value} * proto::kShardFloats;
          const std::size_t bytes = section.count * sizeof(float);
          std::memcpy(values_ + first, done.values.data(), bytes);
          if (done.op.section.state) std::memcpy(state_.data() + first, done.values.data() + bytes, bytes);
        }
        versions_[index] = {section.version, section.term, done.op.section.state};
      }
      --pull->second.remaining;
    }
    if (pull->second.remaining > 0) continue;
    pulled.push_back(pull->first);
    pulls_.erase(pull);
  }
  arrived_.clear();
  return true;
}

}  // namespace sluice::worker
