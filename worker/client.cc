#include "worker/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace sluice::worker {

Client::Client(const ClientOptions& options, net::Runtime runtime, std::shared_ptr<net::Poller> poller)
    : transport_(runtime.transport),
      poller_(std::move(poller)),
      clock_(runtime.clock),
      lanes_(runtime.transport, clock_, *poller_, net::ChannelOptions{options.retry, 4096}),
      sections_(lanes_, clock_, options.call_deadline),
      homes_(lanes_, clock_, options.call_deadline, events_),
      streams_(sections_),
      parameters_(sections_, runtime.transport) {}

void Client::set_incarnation(Incarnation incarnation) {
  if (incarnation == incarnation_) return;
  leave(0, 0, false);
  homes_.cancel(true);
  streams_.reset();
  incarnation_ = incarnation;
}

bool Client::take_want_table() {
  const bool sections = sections_.take_want_table();
  return homes_.take_want_table() || sections;
}

void Client::enter(const proto::Envelope& envelope, std::vector<proto::TableSpec> tables, proto::PushKind kind, std::vector<TableUse> uses,
                   proto::StartSpec start, bool state) {
  leave(0, 0, false);
  envelope_ = envelope;
  envelope_.client = incarnation_;
  layout_ = make_layout(envelope.job, std::move(tables), std::move(uses), state);
  streams_.enter(envelope.job, envelope.generation, layout_.shards);
  parameters_.enter(layout_);
  restores_ = start.resume;
  sections_.begin(envelope_, layout_.tables, kind, std::move(start));
  placed_ = {};
  entered_ = true;
}

void Client::use_gradients(net::MemoryFile file) {
  auto* const memories = dynamic_cast<net::FrameMemories*>(&transport_);
  if (file.bytes().empty()) return;
  if (memories != nullptr) gradients_ = memories->adopt(file);
  if (!gradients_) unlent_ = std::move(file);
}

net::WritableFrame Client::gradients() const {
  const std::size_t bytes = layout_.arena_floats * sizeof(float) * (layout_.state ? 2 : 1);
  if (gradients_) {
    if (auto frame = gradients_->allocate(bytes, Model::kUpdateMargin)) return std::move(*frame);
  }
  return transport_.allocate(bytes);
}

void Client::join(proto::Join join) {
  joining_ = true;
  homes_.call(envelope_, std::move(join), restores_ ? kRestorePatience : Duration{});
}

void Client::leave(std::uint64_t lease, std::uint32_t offset, bool finished) {
  if (!entered_) return;
  sections_.cancel();
  homes_.cancel(false);
  parameters_.leave();
  gradients_.reset();
  unlent_ = {};
  if (finished)
    streams_.forget(envelope_.job);
  else
    streams_.leave();
  if (joining_) homes_.leave(envelope_, proto::Leave{lease, offset});
  events_.clear();
  entered_ = joining_ = failed_ = false;
}

bool Client::absorb() {
  if (!parameters_.absorb(pulled_)) return false;
  for (const std::uint64_t id : pulled_) events_.emplace_back(PulledEvent{id});
  pulled_.clear();
  return true;
}

namespace {
/// A dense shard's change and its state's as one section.
net::Frame with_state(net::Transport& transport, const net::Frame& arena, const DenseShard& shard, std::uint64_t arena_floats) {
  const std::size_t bytes = shard.floats * sizeof(float);
  auto memory = transport.allocate(2 * bytes);
  std::memcpy(memory.bytes().data(), arena.data() + shard.first * sizeof(float), bytes);
  std::memcpy(memory.bytes().data() + bytes, arena.data() + (arena_floats + shard.first) * sizeof(float), bytes);
  return std::move(memory).finish(2 * bytes);
}

/// Of floats.
bool all_zero(Bytes bytes) {
  const auto* values = reinterpret_cast<const float*>(bytes.data());
  return std::all_of(values, values + bytes.size() / sizeof(float), [](float v) { return v == 0; });
}
}  // namespace

void Client::split(net::WritableFrame arena, std::span<const KeySet> sets, std::span<const std::vector<float>> rows, std::vector<ShardUpdate>& out,
                   SplitOptions options) {
  if (!layout_.dense.empty()) {
    const net::Frame all = std::move(arena).finish();
    std::size_t left = layout_.dense.size();
    for (const auto& shard : layout_.dense) {
      --left;
      if (!options.whole && !layout_.pushed(shard.table.value)) continue;
      const Bytes bytes = all.bytes().subspan(shard.first * sizeof(float), shard.floats * sizeof(float));
      if (options.skip_zeros && (left > 0 || !out.empty()) && all_zero(bytes)) continue;
      auto payload = layout_.state ? with_state(transport_, all, shard, layout_.arena_floats) : net::Frame(all.owner(), bytes);
      out.push_back({shard.table, shard.shard, shard.slot, shard.index, shard.floats, parameters_.version(shard.index), std::move(payload), layout_.state});
    }
  }
  for (std::uint32_t t = 0; t < layout_.tables.size(); ++t) {
    if (!layout_.sparse(t) || sets[t].keys().empty() || !(options.whole || layout_.pushed(t))) continue;
    const KeySet& set = sets[t];
    const std::size_t row_bytes = set.row_floats() * sizeof(float);
    const std::size_t room = set.keys().size() * (sizeof(Key) + row_bytes) + set.buckets() * 8;  // each section begins at a multiple of 8
    auto memory = transport_.allocate(room);
    const std::span<std::byte> bytes = memory.bytes();
    const net::Frame frame = std::move(memory).finish(room);
    std::size_t at = 0;
    for (std::uint32_t b = 0; b < set.buckets(); ++b) {
      const std::size_t n = set.bucket(b).size();
      if (n == 0) continue;
      set.gather_keys(b, bytes.data() + at);
      set.gather(b, rows[t], bytes.data() + at + n * sizeof(Key));
      const std::size_t size = n * (sizeof(Key) + row_bytes);
      const std::uint32_t index = layout_.first_shard[t] + b;
      out.push_back({TableId(t), ShardId(b), layout_.sparse_slots[t][b], index, static_cast<std::uint32_t>(n), parameters_.version(index),
                     net::Frame(frame.owner(), frame.bytes().subspan(at, size)), layout_.state});
      at = align8(at + size);
    }
  }
}

Result<std::uint64_t> Client::push(std::span<const ShardUpdate> updates, std::uint64_t step, bool held, std::uint64_t clock) {
  return streams_.push(updates, static_cast<std::uint32_t>(step), held, clock);
}

bool Client::push_follows_commit() {
  if (!entered_ || failed_ || !lanes_.made()) return false;
  homes_.flush();
  return homes_.all_sent() && on_one_lane();
}

bool Client::on_one_lane() {
  if (placed_ == lanes_.version()) return one_lane_;
  placed_ = lanes_.version();
  const auto home = lanes_.lane_of(proto::home_slot(envelope_.job));
  const auto elsewhere = [&](HashSlot slot) {
    const auto lane = lanes_.lane_of(slot);
    return !home || !lane || *lane != *home;
  };
  one_lane_ = std::none_of(layout_.dense.begin(), layout_.dense.end(), [&](const DenseShard& shard) { return elsewhere(shard.slot); }) &&
              std::all_of(layout_.sparse_slots.begin(), layout_.sparse_slots.end(),
                          [&](const auto& slots) { return std::none_of(slots.begin(), slots.end(), elsewhere); });
  return one_lane_;
}

bool Client::step() {
  const bool received = lanes_.drain();
  if (received) receive();
  return flush() || received;
}

bool Client::flush() {
  bool sent = homes_.flush();
  if (entered_ && !failed_ && lanes_.made()) sent = sections_.flush() || sent;
  if (sections_.failure()) failed(*sections_.failure());
  return sent;
}

void Client::receive() {
  while (auto arrival = lanes_.next()) {
    const auto kind = arrival->tag.kind;
    if (kind == CallTag::Kind::kSections || kind == CallTag::Kind::kTables) {
      sections_.take(std::move(*arrival));
      take_sections();
    } else {
      const std::size_t before = events_.size();
      homes_.take(std::move(*arrival));
      if (events_.size() > before) check_joined(events_.back());
    }
  }
  take_unasked();
}

void Client::take_sections() {
  while (auto done = sections_.next()) {
    if (done->op.push) {
      auto finished = streams_.take(std::move(*done));
      if (!finished) return failed(finished.error());
      if (finished->has_value()) events_.emplace_back(PushedEvent{(*finished)->push, (*finished)->redo});
    } else if (auto ok = parameters_.take(std::move(*done)); !ok) {
      return failed(ok.error());
    }
  }
  if (sections_.membership_lost()) {
    events_.emplace_back(MembershipLostEvent{});
    failed_ = true;
  } else if (sections_.failure()) {
    failed(*sections_.failure());
  }
}

void Client::take_unasked() {
  while (auto message = lanes_.next_unasked()) {
    const auto* gate = std::get_if<proto::Gate>(&message->header.body);
    if (gate == nullptr || !entered_) continue;
    const auto& from = message->header.envelope;
    if (from.job == envelope_.job && from.generation == envelope_.generation && (from.client == incarnation_ || from.client.value == 0))
      events_.emplace_back(GateEvent{gate->clock});
  }
}

void Client::check_joined(ClientEvent& event) {
  const auto* joined = std::get_if<JoinedEvent>(&event);
  if (joined == nullptr) return;
  const auto same = [](const proto::TableSpec& a, const proto::TableSpec& b) {
    return a.id == b.id && a.kind == b.kind && a.rows == b.rows && a.cols == b.cols && a.buckets == b.buckets;
  };
  const auto& theirs = joined->reply.tables;
  if (!std::equal(theirs.begin(), theirs.end(), layout_.tables.begin(), layout_.tables.end(), same)) {
    event = FailedEvent{Error{Errc::kRejected, fmt::format("the job was opened with other tables than this worker's model declares ({} and {})", theirs.size(),
                                                           layout_.tables.size())}};
    return;
  }
  // The home's word on seeds and optimizers is what lanes are told.
  sections_.set_tables(theirs, joined->reply.step == 0);
}

void Client::failed(Error error) {
  if (failed_) return;
  failed_ = true;
  events_.emplace_back(FailedEvent{std::move(error)});
}

std::optional<ClientEvent> Client::next() {
  if (events_.empty()) return std::nullopt;
  ClientEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

Instant Client::next_timer() const {
  Instant next = std::min(lanes_.next_timer(), homes_.next_timer());
  if (entered_ && !failed_) next = std::min(next, sections_.next_timer());
  return clock_.real(next);
}

}  // namespace sluice::worker
