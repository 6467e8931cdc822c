#include "server/dedup.h"

#include <algorithm>

#include "base/assert.h"

namespace sluice::server {
namespace {
constexpr auto kByClient = [](const auto& entry, Incarnation client) { return entry.client < client; };
}  // namespace

const SequenceLog::Entry* SequenceLog::find(Incarnation client) const {
  const auto it = std::lower_bound(entries_.begin(), entries_.end(), client, kByClient);
  return it != entries_.end() && it->client == client ? &*it : nullptr;
}

SequenceLog::Check SequenceLog::check(Incarnation client, std::uint64_t sequence) const {
  const Entry* entry = find(client);
  const std::uint64_t last = entry == nullptr ? 0 : entry->last;
  if (entry == nullptr && entries_.size() >= kClientsMax) return {Verdict::kCrowded, 0, proto::Outcome::kRejected, {}};
  if (sequence == last + 1) return {Verdict::kApply, sequence, proto::Outcome::kOk, {}};
  if (sequence > last) return {Verdict::kGap, last + 1, proto::Outcome::kGap, {}};
  if (sequence + kRemembered <= last || sequence == 0) return {Verdict::kForgotten, last + 1, proto::Outcome::kRejected, {}};
  if (entry->refusals) {
    for (const Refusal& refusal : *entry->refusals) {
      if (refusal.sequence == sequence) return {Verdict::kRepeat, last + 1, refusal.outcome, refusal.text};
    }
  }
  return {Verdict::kRepeat, last + 1, proto::Outcome::kOk, {}};
}

void SequenceLog::record(Incarnation client, std::uint64_t sequence, proto::Outcome outcome, std::string text) {
  auto it = std::lower_bound(entries_.begin(), entries_.end(), client, kByClient);
  if (it == entries_.end() || it->client != client) it = entries_.insert(it, Entry{client, 0, nullptr});
  SLUICE_ASSERT(sequence == it->last + 1);
  it->last = sequence;
  if (it->refusals) {
    std::erase_if(*it->refusals, [sequence](const Refusal& refusal) { return refusal.sequence + kRemembered <= sequence; });
    if (it->refusals->empty()) it->refusals.reset();
  }
  if (outcome == proto::Outcome::kOk) return;
  if (!it->refusals) it->refusals = std::make_unique<std::vector<Refusal>>();
  it->refusals->push_back({sequence, outcome, std::move(text)});
}

void SequenceLog::forget(const std::function<bool(Incarnation)>& expired) {
  std::erase_if(entries_, [&expired](const Entry& entry) { return expired(entry.client); });
}

}  // namespace sluice::server
