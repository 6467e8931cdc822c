#include "worker/detail/lanes.h"

#include <algorithm>

namespace sluice::worker {

Lanes::Lanes(net::Transport& transport, Clock& clock, net::Poller& poller, net::ChannelOptions options)
    : transport_(transport), clock_(clock), poller_(poller), options_(options) {}

Lanes::~Lanes() {
  for (auto& lane : lanes_) poller_.remove(lane.channel->connection());
}

bool Lanes::set_table(std::shared_ptr<const proto::SlotTable> table) {
  if (!table || !table->made() || table->version <= version()) return false;
  table_ = std::move(table);
  by_slot_.assign(proto::kHashSlots, -1);
  return true;
}

Result<std::uint32_t> Lanes::lane_of(HashSlot slot) {
  std::int32_t& known = by_slot_[slot.value];
  if (known < 0) {
    const auto lane = connect(table_->lane_address(slot));
    if (!lane) return lane;
    known = static_cast<std::int32_t>(*lane);
  }
  return static_cast<std::uint32_t>(known);
}

Result<std::uint32_t> Lanes::connect(const std::string& address) {
  if (const auto it = by_address_.find(address); it != by_address_.end()) return it->second;
  auto connection = transport_.connect(address);
  if (!connection) return fail(connection.error());
  poller_.add(**connection);
  const auto index = static_cast<std::uint32_t>(lanes_.size());
  lanes_.push_back({address, std::make_unique<net::Channel>(std::move(*connection), clock_, options_), {}});
  by_address_.emplace(address, index);
  return index;
}

Result<void> Lanes::request(std::uint32_t lane, proto::Header header, std::vector<net::Frame> payload, Instant deadline, CallTag tag) {
  const auto number = lanes_[lane].channel->request(std::move(header), std::move(payload), deadline);
  if (!number) return fail(number.error());
  lanes_[lane].calls.emplace(*number, tag);
  return {};
}

void Lanes::cancel(CallTag::Kind kind) {
  for (auto& lane : lanes_) {
    std::erase_if(lane.calls, [&](const auto& call) {
      if (call.second.kind != kind) return false;
      lane.channel->cancel(call.first);
      return true;
    });
  }
}

bool Lanes::drain() {
  bool any = false;
  for (auto& lane : lanes_) any = lane.channel->step() || any;
  return any;
}

std::optional<Arrival> Lanes::next() {
  for (std::uint32_t i = 0; i < lanes_.size(); ++i) {
    while (auto done = lanes_[i].channel->next()) {
      const auto call = lanes_[i].calls.find(done->request);
      if (call == lanes_[i].calls.end()) continue;  // cancelled after it had completed
      const CallTag tag = call->second;
      lanes_[i].calls.erase(call);
      return Arrival{i, tag, std::move(done->answer)};
    }
  }
  return std::nullopt;
}

std::optional<net::Answer> Lanes::next_unasked() {
  for (auto& lane : lanes_) {
    if (auto message = lane.channel->next_unasked()) return message;
  }
  return std::nullopt;
}

Instant Lanes::next_timer() const {
  Instant next = Instant::never();
  for (const auto& lane : lanes_) next = std::min(next, lane.channel->next_timer());
  return next;
}

}  // namespace sluice::worker
