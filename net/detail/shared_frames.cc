#include "net/detail/shared_frames.h"

#include <cstring>

namespace sluice::net::detail {
namespace {

/// No header begins like this: its first number is the count of a Cap'n Proto message's segments less one.
constexpr std::uint64_t kGreetingMagic = 0x31305452'ffffffff;  // "RT01"
constexpr std::uint64_t kLentMagic = 0x3130444c'ffffffff;      // "LD01"

struct GreetingRecord {
  std::uint64_t magic;
  std::uint32_t kind;
  std::uint32_t opened;
  PoolName pool;
};
struct LentRecord {
  std::uint64_t magic;
  std::uint64_t generation;
  std::uint32_t slot;
  std::uint32_t frames;  ///< shared ones, a record each
  PoolName pool;
};
struct PlaceRecord {
  std::uint64_t offset;
  std::uint64_t size;
  std::uint64_t index;  ///< of the frame in the whole message; rising
};

template <class T>
void append(std::string& to, const T& record) {
  to.append(reinterpret_cast<const char*>(&record), sizeof record);
}

std::optional<LentRecord> lent_record(const Message& message) {
  if (message.frames.empty() || message.frames[0].size() < sizeof(LentRecord)) return std::nullopt;
  const auto record = load<LentRecord>(message.frames[0].data());
  return record.magic == kLentMagic ? std::optional(record) : std::nullopt;
}

}  // namespace

Frame encode(const Greeting& greeting) {
  std::string bytes;
  append(bytes, GreetingRecord{kGreetingMagic, static_cast<std::uint32_t>(greeting.kind), greeting.opened ? 1U : 0U, greeting.pool});
  return Frame::from(std::move(bytes));
}

std::optional<Greeting> greeting_of(const Message& message) {
  if (message.frames.size() != 1 || message.frames[0].size() != sizeof(GreetingRecord)) return std::nullopt;
  const auto record = load<GreetingRecord>(message.frames[0].data());
  if (record.magic != kGreetingMagic || record.kind > static_cast<std::uint32_t>(GreetingKind::kConfirm)) return std::nullopt;
  return Greeting{static_cast<GreetingKind>(record.kind), record.opened == 1, record.pool};
}

std::optional<Lent> lend(SharedPool& pool, const Message& message, const ProcessId& borrower, Instant now) {
  std::vector<std::shared_ptr<const void>> owners;
  std::string places;
  Lent out;
  out.message.frames.emplace_back();
  for (std::size_t i = 0; i < message.frames.size(); ++i) {
    const Frame& frame = message.frames[i];
    const auto offset = i > 0 && frame.size() >= kSharedBytesMin ? pool.offset_of(frame) : std::nullopt;
    if (offset) {
      append(places, PlaceRecord{*offset, frame.size(), i});
      owners.push_back(frame.owner());
    } else {
      out.message.frames.push_back(frame);
    }
  }
  if (owners.empty()) return std::nullopt;
  const auto count = static_cast<std::uint32_t>(owners.size());
  const auto ticket = pool.lend(std::move(owners), borrower, now);
  if (!ticket) return std::nullopt;
  out.ticket = *ticket;
  std::string leading;
  append(leading, LentRecord{kLentMagic, ticket->generation, ticket->slot, count, pool.name()});
  leading += places;
  out.message.frames[0] = Frame::from(std::move(leading));
  return out;
}

Borrowed borrow(PeerPools& pools, Message& message) {
  const auto record = lent_record(message);
  if (!record) return Borrowed::kNothing;
  const Bytes leading = message.frames[0].bytes();
  const std::size_t whole = message.frames.size() - 1 + record->frames;
  if (record->frames > kFramesMax || whole > kFramesMax || leading.size() != sizeof(LentRecord) + record->frames * sizeof(PlaceRecord))
    return Borrowed::kUnreadable;
  const auto pool = pools.find(record->pool);
  if (!pool) return Borrowed::kUnreadable;
  std::vector<PlaceRecord> places(record->frames);
  if (!places.empty()) std::memcpy(places.data(), leading.data() + sizeof(LentRecord), places.size() * sizeof(PlaceRecord));
  const std::size_t bytes = pool->data().size();
  std::uint64_t least = 1;  // the header is never shared
  for (const auto& place : places) {
    if (place.index < least || place.index >= whole || place.size > bytes || place.offset > bytes - place.size) return Borrowed::kUnreadable;
    least = place.index + 1;
  }
  std::vector<PeerPool::Place> used;
  for (const auto& place : places) used.push_back({place.offset, place.size});
  const auto owner = PeerPool::take(pool, {record->slot, record->generation}, std::move(used));
  if (!owner) return Borrowed::kLost;
  std::vector<Frame> frames;
  frames.reserve(whole);
  auto place = places.begin();
  for (auto own = message.frames.begin() + 1; frames.size() < whole;) {
    if (place != places.end() && place->index == frames.size()) {
      frames.emplace_back(owner, pool->data().subspan(place->offset, place->size));
      ++place;
    } else {
      frames.push_back(std::move(*own++));
    }
  }
  message.frames = std::move(frames);
  return Borrowed::kAll;
}

}  // namespace sluice::net::detail
