#include "manager/membership.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace sluice::manager {
namespace {
constexpr const char* kKinds[] = {"server", "worker"};
constexpr std::size_t kLanesMax = 256;
constexpr std::size_t kAddressMax = 256;
std::size_t at(proto::Role role) { return static_cast<std::size_t>(role); }
}  // namespace

Result<void> Membership::check(const proto::Register& r) const {
  if (!text::valid_name(r.name)) return fail(Errc::kBadConfig, fmt::format("'{}' is not a name: 1 to 64 of a-z, 0-9, '.', '_' and '-'", r.name));
  if (r.role == proto::Role::kWorker && (r.slots == 0 || r.slots > kWorkerSlotsMax))
    return fail(Errc::kBadConfig, fmt::format("worker {} has {} slots; 1 to {} are allowed", r.name, r.slots, kWorkerSlotsMax));
  if (r.role == proto::Role::kServer && (r.lanes.empty() || r.lanes.size() > kLanesMax))
    return fail(Errc::kBadConfig, fmt::format("server {} has {} lanes; 1 to {} are allowed", r.name, r.lanes.size(), kLanesMax));
  for (const std::string& lane : r.lanes)
    if (lane.empty() || lane.size() > kAddressMax)
      return fail(Errc::kBadConfig, fmt::format("server {} has a lane address of {} bytes; 1 to {} are allowed", r.name, lane.size(), kAddressMax));
  return {};
}

std::uint32_t Membership::id_of(proto::Role role, const std::string& name) {
  auto& ids = ids_[at(role)];
  const auto [it, fresh] = ids.try_emplace(name, static_cast<std::uint32_t>(ids.size()) + 1);
  dirty_ = dirty_ || fresh;
  return it->second;
}

Result<Membership::Registration> Membership::add(const proto::Register& r, const net::PeerId& peer, std::uint64_t request, Instant now) {
  if (auto good = check(r); !good) return fail(good.error());
  auto& members = members_[at(r.role)];
  const auto known = ids_[at(r.role)].find(r.name);
  const auto it = known == ids_[at(r.role)].end() ? members.end() : members.find(known->second);
  if (it == members.end()) return Registration{&enroll(r, peer, request, now), true, std::nullopt};
  Member& member = it->second;
  const bool same = member.host == r.host && member.lanes == r.lanes && member.slots == r.slots;
  if (member.peer == peer && request < member.request) return fail(Errc::kFull, "an older registration of this member");
  if (member.peer == peer ? request == member.request || (same && !member.beating) : same && !member.beating) {
    // Nothing was done in the name of these incarnations yet: the answer was lost, or is under way.
    member.peer = peer;
    member.request = request;
    member.heard = now;
    return Registration{&member, false, std::nullopt};
  }
  if (member.peer == peer) {
    Member before = take_out(r.role, member.id);
    return Registration{&enroll(r, peer, request, now), true, std::move(before)};
  }
  if (member.rival != peer) {
    member.rival = peer;
    member.rival_beats = 0;
  }
  // One heartbeat may have been under way when its sender was killed.
  return fail(member.rival_beats >= 2 ? Errc::kDenied : Errc::kFull,
              fmt::format("there is a {} named '{}' already, heard {:.0f} ms ago", kKinds[at(r.role)], r.name, (now - member.heard).ms()));
}

Member& Membership::enroll(const proto::Register& r, const net::PeerId& peer, std::uint64_t request, Instant now) {
  Member member;
  member.role = r.role;
  member.id = id_of(r.role, r.name);
  member.name = r.name;
  member.host = r.host;
  member.build = r.build;
  member.lanes = r.lanes;
  member.slots = r.role == proto::Role::kWorker ? r.slots : 0;
  member.peer = peer;
  member.request = request;
  member.heard = now;
  for (std::uint32_t i = 0; i < member.slots; ++i) {
    member.clients.emplace_back(next_incarnation_++);
    live_.insert(member.clients.back());
  }
  if (next_incarnation_ > reserved_) {
    reserved_ = next_incarnation_ + kReserve;
    dirty_ = true;
  }
  return members_[at(r.role)].insert_or_assign(member.id, std::move(member)).first->second;
}

Member Membership::take_out(proto::Role role, std::uint32_t id) {
  auto node = members_[at(role)].extract(id);
  for (const Incarnation client : node.mapped().clients) live_.erase(client);
  return std::move(node.mapped());
}

const Member* Membership::heartbeat(const proto::Heartbeat& beat, const net::PeerId& peer, Instant now) {
  auto& members = members_[at(beat.role)];
  const auto it = members.find(beat.id);
  if (it == members.end()) return nullptr;
  it->second.peer = peer;
  it->second.heard = now;
  it->second.beating = true;
  ++it->second.rival_beats;
  it->second.resident_bytes = beat.resident_bytes;
  return &it->second;
}

std::vector<Member> Membership::expire(Instant now) {
  std::vector<Member> gone;
  for (const proto::Role role : {proto::Role::kServer, proto::Role::kWorker}) {
    std::vector<std::uint32_t> silent;
    for (auto& [id, member] : members_[at(role)]) {
      member.heard = std::min(member.heard, now);  // who was heard right after a stall has nothing to be excused for
      if (now - member.heard > suspicion(role)) silent.push_back(id);
    }
    for (const std::uint32_t id : silent) gone.push_back(take_out(role, id));
  }
  return gone;
}

void Membership::excuse(Duration stall) {
  for (auto& members : members_)
    for (auto& [id, member] : members) member.heard = member.heard + stall;
}

Instant Membership::next_expiry() const {
  Instant next = Instant::never();
  for (const auto& members : members_)
    for (const auto& [id, member] : members) next = std::min(next, member.heard + suspicion(member.role) + Duration{1});
  return next;
}

const Member* Membership::find(proto::Role role, std::uint32_t id) const {
  const auto it = of(role).find(id);
  return it == of(role).end() ? nullptr : &it->second;
}

Incarnation Membership::expired_floor() const { return live_.empty() ? Incarnation{next_incarnation_} : *live_.begin(); }

std::vector<Incarnation> Membership::expired() const {
  std::vector<Incarnation> out;
  auto alive = live_.begin();
  for (std::uint64_t i = expired_floor().value; i < next_incarnation_; ++i) {
    if (alive != live_.end() && alive->value == i)
      ++alive;
    else
      out.emplace_back(i);
  }
  return out;
}

std::string Membership::stored() const {
  return nlohmann::json{{"version", 1}, {"incarnations", reserved_}, {"servers", ids_[0]}, {"workers", ids_[1]}}.dump();
}

Result<void> Membership::restore(const std::string& record) try {
  const auto json = nlohmann::json::parse(record);
  if (json.at("version") != 1) return fail(Errc::kIo, "the stored membership is of another version");
  reserved_ = json.at("incarnations");
  next_incarnation_ = reserved_;
  ids_[0] = json.at("servers").get<std::map<std::string, std::uint32_t>>();
  ids_[1] = json.at("workers").get<std::map<std::string, std::uint32_t>>();
  return {};
} catch (const nlohmann::json::exception& e) { return fail(Errc::kIo, fmt::format("the stored membership is damaged: {}", e.what())); }

}  // namespace sluice::manager
