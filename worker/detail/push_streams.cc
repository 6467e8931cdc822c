#include "worker/detail/push_streams.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"

namespace sluice::worker {

void PushStreams::enter(JobId job, std::uint32_t generation, std::uint32_t shards) {
  leave();
  Job& entry = jobs_[job];
  if (entry.generation != generation) entry = Job{generation, {}};
  entry.streams.resize(shards);
  job_ = &entry;
}

void PushStreams::leave() {
  if (job_ == nullptr) return;
  for (auto& stream : job_->streams) {
    if (stream.items.empty()) continue;
    if (stream.abandoned == 0) stream.abandoned = stream.items.front().section.sequence;
    stream.items.clear();
  }
  pushes_.clear();
  job_ = nullptr;
}

void PushStreams::forget(JobId job) {
  leave();
  jobs_.erase(job);
}

void PushStreams::reset() {
  leave();
  jobs_.clear();
}

Result<std::uint64_t> PushStreams::push(std::span<const ShardUpdate> updates, std::uint32_t step, bool held, std::uint64_t clock) {
  SLUICE_ASSERT(job_ != nullptr);
  for (const auto& update : updates) {
    if (job_->streams[update.index].items.size() >= proto::kUnansweredPushesMax) return fail(Errc::kFull, "a shard has too many unanswered pushes");
  }
  const std::uint64_t id = next_push_++;
  pushes_.emplace(id, Open{updates.size(), false});
  const Instant until = calls_.deadline();
  for (const auto& update : updates) {
    Stream& stream = job_->streams[update.index];
    Item item;
    item.section.table = update.table;
    item.section.shard = update.shard;
    item.section.sequence = stream.next++;
    item.section.version = update.version;
    item.section.count = update.count;
    item.section.step = step;
    item.section.state = update.state;
    item.payload = update.payload;
    item.slot = update.slot;
    item.stream = update.index;
    item.push = id;
    item.held = held;
    item.clock = clock;
    item.deadline = until;
    resend(item, false);
    stream.items.push_back(std::move(item));
  }
  return id;
}

void PushStreams::resend(const Item& item, bool later) {
  SectionOp op;
  op.section = item.section;
  op.payload = item.payload;
  op.slot = item.slot;
  op.push = true;
  op.batch = item.held ? item.push : 0;
  op.clock = item.clock;
  op.tag = item.stream;
  op.deadline = item.deadline;
  if (later) {
    op.attempts = item.gaps;
    calls_.add_later(std::move(op));
  } else {
    calls_.add(std::move(op));
  }
}

Result<std::optional<PushStreams::Finished>> PushStreams::take(SectionDone done) {
  std::optional<Finished> none;
  if (job_ == nullptr) return none;
  Stream& stream = job_->streams[done.op.tag];
  const std::uint64_t sequence = done.op.section.sequence;
  if (stream.items.empty() || sequence < stream.items.front().section.sequence) return none;  // answered before: this was sent again needlessly
  const std::uint64_t at = sequence - stream.items.front().section.sequence;
  if (at >= stream.items.size() || stream.items[at].answered) return none;
  Item& item = stream.items[at];
  bool redo = false;
  switch (done.answer.outcome) {
    case proto::Outcome::kOk:
      stream.abandoned = 0;
      break;
    case proto::Outcome::kGap: {
      auto ok = gap(stream, item, done.answer.sequence);
      if (!ok) return fail(ok.error());
      return none;
    }
    case proto::Outcome::kStaleTerm:
      // Not applied and its number not consumed: the batch's next push to this shard takes the number again when the shard asks for it.
      if (stream.abandoned == 0) stream.abandoned = sequence;
      redo = true;
      break;
    case proto::Outcome::kFull:
      return fail(Errc::kRejected, done.text.empty() ? "a sparse table has reached its max_rows" : done.text);
    case proto::Outcome::kRejected:
      return fail(Errc::kRejected, done.text.empty() ? "the server rejected the update" : done.text);
    default:
      return fail(Errc::kMalformed, fmt::format("a push answered with outcome {}", static_cast<int>(done.answer.outcome)));
  }
  item.answered = true;
  const std::uint64_t id = item.push;
  const auto first_open = std::find_if(stream.items.begin(), stream.items.end(), [](const Item& i) { return !i.answered; });
  stream.items.erase(stream.items.begin(), first_open);
  Open& open = pushes_.at(id);
  open.redo = open.redo || redo;
  if (--open.remaining > 0) return none;
  const Finished finished{id, open.redo};
  pushes_.erase(id);
  return std::optional(finished);
}

Result<void> PushStreams::gap(Stream& stream, Item& item, std::uint64_t expected) {
  const std::uint64_t first = stream.items.front().section.sequence;
  const std::uint64_t sequence = item.section.sequence;
  if (expected >= sequence || (expected < first && (stream.abandoned == 0 || expected < stream.abandoned))) {
    return fail(Errc::kInternal, fmt::format("a shard expects push {} where {} were acknowledged and {} was sent", expected, first - 1, sequence));
  }
  const bool again = item.gaps++ > 0;
  std::uint64_t upto = sequence;
  if (expected < first) {
    // A number that was abandoned and never arrived: it was never acknowledged, so it is free to be used again. All that is under way carries numbers that no
    // longer count.
    renumber(stream, expected);
    upto = stream.next;
  }
  for (const auto& i : stream.items) {
    if (i.section.sequence >= expected && i.section.sequence <= upto && !i.answered) resend(i, again);
  }
  return {};
}

void PushStreams::renumber(Stream& stream, std::uint64_t from) {
  for (auto& item : stream.items) item.section.sequence = from++;
  stream.next = from;
  stream.abandoned = 0;
}

}  // namespace sluice::worker
