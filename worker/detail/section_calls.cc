#include "worker/detail/section_calls.h"

#include <fmt/format.h>

#include <algorithm>

#include "net/payload.h"
#include "worker/detail/events.h"

namespace sluice::worker {
namespace {

constexpr std::size_t kFramesAMessage = 256;
constexpr std::uint64_t kSlotTable = 1;  ///< a kTables call's id: 0 makes the job's tables, this asks for the slot table

/// Appends a section's bytes to a message's frames. Neighbours in memory share a frame without a copy.
void append(std::vector<net::Frame>& frames, const net::Frame& bytes) {
  if (bytes.size() == 0) return;
  if (!frames.empty()) {
    net::Frame& last = frames.back();
    if (last.owner() == bytes.owner() && last.data() + align8(last.size()) == bytes.data()) {
      last = net::Frame(last.owner(), Bytes(last.data(), align8(last.size()) + bytes.size()));
      return;
    }
  }
  frames.push_back(bytes);
}

}  // namespace

void SectionCalls::begin(const proto::Envelope& envelope, std::vector<proto::TableSpec> tables, proto::PushKind kind, proto::StartSpec start) {
  cancel();
  start_ = std::move(start);
  kind_ = kind;
  envelope_ = envelope;
  tables_ = std::move(tables);
  announce_ = false;
}

void SectionCalls::set_tables(std::vector<proto::TableSpec> tables, bool announce) {
  tables_ = std::move(tables);
  announce_ = announce;
}

void SectionCalls::cancel() {
  lanes_.cancel(CallTag::Kind::kSections);
  lanes_.cancel(CallTag::Kind::kTables);
  sent_.clear();
  queue_.clear();
  parked_.clear();
  done_.clear();
  creations_.clear();
  failure_.reset();
  membership_lost_ = want_table_ = slot_table_asked_ = false;
}

void SectionCalls::add_later(SectionOp op) { park(std::move(op), false); }

void SectionCalls::park(SectionOp op, bool newer_table) {
  const Instant due = clock_.now() + backoff(op.attempts);
  ++op.attempts;
  want_table_ = want_table_ || newer_table;
  parked_.push_back({std::move(op), due, newer_table ? lanes_.version() : RingVersion{}});
}

void SectionCalls::release_parked(Instant now) {
  if (parked_.empty()) return;
  std::erase_if(parked_, [&](Parked& p) {
    if (p.op.deadline <= now) {
      fail_with(Errc::kTimedOut, fmt::format("no server took shard {} of table '{}' within {:g} s", p.op.section.shard.value,
                                             tables_[p.op.section.table.value].name, patience_.seconds()));
      return true;
    }
    const bool newer = p.ring.value != 0 && lanes_.version() > p.ring;
    if (p.due > now && !newer) return false;
    queue_.push_back(std::move(p.op));
    return true;
  });
}

SectionCalls::Open& SectionCalls::open_for(std::uint32_t lane, const SectionOp& op) {
  for (auto& open : open_) {
    if (open.lane != lane || open.push != op.push) continue;
    if ((open.batch != op.batch || open.clock != op.clock) && !open.ops.empty()) send(open);  // a message is of one batch
    open.batch = op.batch, open.clock = op.clock;
    return open;
  }
  open_.push_back({lane, op.push, op.batch, op.clock, 0, {}, {}});
  return open_.back();
}

bool SectionCalls::flush() {
  release_parked(clock_.now());
  if (queue_.empty() || failure_) return false;
  std::vector<SectionOp> queue;
  queue.swap(queue_);
  for (auto& op : queue) {
    const auto lane = lanes_.lane_of(op.slot);
    if (!lane) {
      fail_with(lane.error().code, lane.error().what);
      return true;
    }
    Open& open = open_for(*lane, op);
    open.bytes += op.payload.size() + op.reply_floats * sizeof(float);
    append(open.frames, op.payload);
    open.ops.push_back(std::move(op));
    if (open.bytes >= kMessageBytes || open.frames.size() >= kFramesAMessage || open.ops.size() >= proto::kSectionsMax) send(open);
  }
  for (auto& open : open_) {
    if (!open.ops.empty()) send(open);
  }
  queue.clear();
  if (queue_.empty()) queue_.swap(queue);  // keeps the memory
  return true;
}

void SectionCalls::send(Open& open) {
  for (auto& other : open_) {  // a pull reads what was pushed before it
    if (!open.push && other.push && other.lane == open.lane && !other.ops.empty()) send(other);
  }
  if (announce_ && creation(open.lane) == Creation::kNone) send_tables(open.lane, open.ops.front().deadline);
  proto::Header header;
  header.envelope = envelope_;
  header.envelope.ring = lanes_.version();
  std::vector<proto::Section> sections;
  sections.reserve(open.ops.size());
  Instant deadline = Instant::never();
  for (const auto& op : open.ops) {
    sections.push_back(op.section);
    if (open.push) sections.back().term = static_cast<std::uint32_t>(lanes_.table().at(op.slot).term.value);
    deadline = std::min(deadline, op.deadline);
  }
  if (open.push) {
    header.body = proto::Push{kind_, proto::AckLevel::kApplied, std::move(sections), open.batch, open.clock};
  } else {
    header.body = proto::Pull{std::move(sections)};
  }
  const std::uint64_t id = next_id_++;
  const auto ok = lanes_.request(open.lane, std::move(header), std::move(open.frames), deadline, {CallTag::Kind::kSections, id});
  if (ok) {
    sent_.emplace(id, Sent{std::move(open.ops), lanes_.version()});
  } else {
    for (auto& op : open.ops) park(std::move(op), false);  // the lane's queue is full: later
  }
  open.ops.clear();
  open.frames.clear();
  open.bytes = 0;
}

SectionCalls::Creation& SectionCalls::creation(std::uint32_t lane) {
  if (creations_.size() <= lane) creations_.resize(lane + 1, Creation::kNone);
  return creations_[lane];
}

void SectionCalls::send_tables(std::uint32_t lane, Instant deadline) {
  proto::Header header;
  header.envelope = envelope_;
  header.envelope.ring = lanes_.version();
  header.body = proto::CreateTables{tables_, start_};
  // It goes ahead of the sections on the same connection, so that they find the tables.
  if (lanes_.request(lane, std::move(header), {}, deadline, {CallTag::Kind::kTables, 0})) creation(lane) = Creation::kAsked;
}

void SectionCalls::ask_slot_table(std::uint32_t lane) {
  if (slot_table_asked_) return;
  proto::Header header;
  header.envelope = envelope_;
  header.envelope.ring = lanes_.version();
  header.body = proto::SlotTableRequest{};
  if (lanes_.request(lane, std::move(header), {}, deadline(), {CallTag::Kind::kTables, kSlotTable})) slot_table_asked_ = true;
}

void SectionCalls::take(Arrival arrival) {
  if (arrival.tag.kind == CallTag::Kind::kTables && arrival.tag.id == kSlotTable) {
    slot_table_asked_ = false;
    const auto* message = arrival.answer ? std::get_if<proto::SlotTableMessage>(&arrival.answer->header.body) : nullptr;
    if (message == nullptr || message->bytes.empty()) return;
    if (auto table = proto::slot_table_from_bytes(message->bytes)) lanes_.set_table(std::make_shared<const proto::SlotTable>(std::move(*table)));
    return;
  }
  if (arrival.tag.kind == CallTag::Kind::kTables) {
    creation(arrival.lane) = Creation::kAnswered;
    if (!arrival.answer) return;  // timed out: the sections' own deadlines decide
    if (const auto* refusal = std::get_if<proto::Refused>(&arrival.answer->header.body)) {
      if (refusal->kind == proto::RefusalKind::kNotMember) membership_lost_ = true;
      if (refusal->kind == proto::RefusalKind::kError)
        fail_with(code_of(*refusal), fmt::format("{} refused the tables: {}", lanes_.address(arrival.lane), refusal->text));
    }
    return;
  }
  const auto it = sent_.find(arrival.tag.id);
  if (it == sent_.end()) return;
  Sent sent = std::move(it->second);
  sent_.erase(it);
  if (!arrival.answer && arrival.answer.error().code != Errc::kTimedOut) {
    fail_with(arrival.answer.error().code, fmt::format("{}: {}", lanes_.address(arrival.lane), arrival.answer.error().what));
  } else if (!arrival.answer) {
    timed_out(sent.ops, arrival.lane);
  } else if (const auto* refusal = std::get_if<proto::Refused>(&arrival.answer->header.body)) {
    refused(std::move(sent), *refusal, arrival.lane);
  } else if (const auto* pushed = std::get_if<proto::PushReply>(&arrival.answer->header.body); pushed && sent.ops.front().push) {
    answered(std::move(sent), pushed->sections, pushed->text, *arrival.answer, arrival.lane);
  } else if (const auto* pulled = std::get_if<proto::PullReply>(&arrival.answer->header.body); pulled && !sent.ops.front().push) {
    answered(std::move(sent), pulled->sections, {}, *arrival.answer, arrival.lane);
  } else {
    fail_with(Errc::kMalformed, fmt::format("{} answered a push or pull with something else", lanes_.address(arrival.lane)));
  }
}

void SectionCalls::timed_out(const std::vector<SectionOp>& ops, std::uint32_t lane) {
  const auto& op = ops.front();
  fail_with(Errc::kTimedOut, fmt::format("{} did not answer a {} of table '{}' within {:g} s", lanes_.address(lane), op.push ? "push" : "pull",
                                         tables_[op.section.table.value].name, patience_.seconds()));
}

void SectionCalls::refused(Sent sent, const proto::Refused& refusal, std::uint32_t lane) {
  switch (refusal.kind) {
    case proto::RefusalKind::kNotMember:
      membership_lost_ = true;
      return;
    case proto::RefusalKind::kBehind:
      for (auto& op : sent.ops) park(std::move(op), false);
      return;
    case proto::RefusalKind::kWrongOwner:
      if (auto table = proto::slot_table_from_bytes(refusal.slot_table)) lanes_.set_table(std::make_shared<const proto::SlotTable>(std::move(*table)));
      for (auto& op : sent.ops) {
        if (lanes_.version() > sent.ring)
          queue_.push_back(std::move(op));
        else
          park(std::move(op), true);
      }
      return;
    case proto::RefusalKind::kError:
      fail_with(code_of(refusal), fmt::format("{} refused a {}: {}", lanes_.address(lane), sent.ops.front().push ? "push" : "pull", refusal.text));
      return;
  }
}

void SectionCalls::answered(Sent sent, const std::vector<proto::Section>& sections, const std::string& text, const net::Answer& answer, std::uint32_t lane) {
  const auto broken = [&](std::string_view what) { fail_with(Errc::kMalformed, fmt::format("{}: an answer with {}", lanes_.address(lane), what)); };
  if (sections.size() != sent.ops.size()) return broken("another number of sections than were asked");
  net::PayloadReader payload(answer.payload);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    SectionOp& op = sent.ops[i];
    if (sections[i].table != op.section.table || sections[i].shard != op.section.shard) return broken("other shards than were asked");
    SectionDone done;
    if (!op.push && sections[i].outcome == proto::Outcome::kOk) {
      if (sections[i].count != op.reply_count) return broken("another count than was asked");
      auto values = payload.take_frame(op.reply_floats * sizeof(float));
      if (!values) return broken("too few bytes of values");
      done.values = std::move(*values);
    }
    if (!settle(op, sections[i], sent.ring, lane)) continue;
    done.answer = sections[i];
    if (done.answer.outcome != proto::Outcome::kOk) done.text = text;
    done.op = std::move(op);
    done_.push_back(std::move(done));
  }
}

bool SectionCalls::settle(SectionOp& op, const proto::Section& answer, RingVersion ring, std::uint32_t lane) {
  switch (answer.outcome) {
    case proto::Outcome::kNoTable:
      if (creation(lane) != Creation::kAsked) send_tables(lane, op.deadline);
      if (op.attempts == 0) {
        ++op.attempts;
        queue_.push_back(std::move(op));
      } else {
        park(std::move(op), false);
      }
      return false;
    case proto::Outcome::kWrongOwner:
      if (lanes_.version() > ring) {
        queue_.push_back(std::move(op));
      } else {
        park(std::move(op), true);
        ask_slot_table(lane);
      }
      return false;
    case proto::Outcome::kStaleTerm:
      if (op.push) return true;  // the batch is redone
      park(std::move(op), true);
      return false;
    default:
      return true;
  }
}

std::optional<SectionDone> SectionCalls::next() {
  if (done_.empty()) return std::nullopt;
  SectionDone done = std::move(done_.front());
  done_.pop_front();
  return done;
}

void SectionCalls::fail_with(Errc code, std::string what) {
  if (!failure_) failure_ = Error{code, std::move(what)};
}

Instant SectionCalls::next_timer() const {
  Instant next = Instant::never();
  for (const auto& p : parked_) next = std::min(next, std::min(p.due, p.op.deadline));
  return next;
}

}  // namespace sluice::worker
