#include "server/detail/table_host.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/metrics.h"
#include "net/payload.h"
#include "server/detail/table_host_parts.h"

namespace sluice::server {

using proto::Outcome;
using proto::TableKind;

TableHost::TableHost(TableHostOptions options, const EndedJobs& ended, std::shared_ptr<MemoryBudget> budget, net::Transport& transport)
    : options_(options), ended_(ended), budget_(std::move(budget)), transport_(transport), pool_(transport) {}
TableHost::~TableHost() = default;

namespace {

constexpr std::size_t kTextMax = 512;  // of a refusal's words

void say(std::string& text, const std::string& words) {
  if (text.empty()) text = words.substr(0, kTextMax);
}

proto::Section answer_to(const proto::Section& asked) {
  proto::Section answer;
  answer.table = asked.table;
  answer.shard = asked.shard;
  answer.sequence = asked.sequence;
  return answer;
}

/// Every section refused for the same reason.
std::vector<proto::Section> all(const std::vector<proto::Section>& sections, Outcome outcome) {
  std::vector<proto::Section> answers;
  answers.reserve(sections.size());
  for (const auto& section : sections) {
    answers.push_back(answer_to(section));
    answers.back().outcome = outcome;
  }
  return answers;
}

/// One lane serves many clients: where it owns none of what was asked, the whole message is refused, with the newer table or the request to come back.
Reply not_mine(const proto::Envelope& envelope, const View& view) {
  if (envelope.ring > view.version()) return behind(fmt::format("slot table {} here, {} there", view.version().value, envelope.ring.value));
  return {proto::Refused{proto::RefusalKind::kWrongOwner, "wrong_owner", "not the owner of these hash slots", view.encoded()}, {}};
}

}  // namespace

Result<TableHost::Job*> TableHost::find_job(const proto::Envelope& envelope) {
  if (envelope.job.value == 0) return fail(Errc::kRejected, "no job is named");
  if (ended_.contains(envelope.job)) return fail(Errc::kNotFound, fmt::format("job {} has ended", envelope.job.value));
  const auto it = jobs_.find(envelope.job);
  if (it == jobs_.end() || it->second.generation < envelope.generation) return nullptr;
  if (it->second.generation > envelope.generation) {
    return fail(Errc::kRejected, fmt::format("generation {} of job {} is over; it is at {}", envelope.generation, envelope.job.value, it->second.generation));
  }
  return &it->second;
}

TableHost::Table* TableHost::find_table(Job* job, TableId id) {
  return job == nullptr || id.value >= job->tables.size() ? nullptr : job->tables[id.value].get();
}

Result<TableHost::Job*> TableHost::open_job(const proto::Envelope& envelope) {
  const auto known = find_job(envelope);
  if (!known || *known != nullptr) return known;
  if (jobs_.size() >= kJobsMax) return fail(Errc::kFull, "too many jobs");
  forget(envelope.job);  // an older generation's tables are gone
  Job& job = jobs_[envelope.job];
  job.generation = envelope.generation;
  return &job;
}

Reply TableHost::create(const proto::Envelope& envelope, const proto::CreateTables& request, const View& view) {
  const auto known = find_job(envelope);
  if (!known) return refuse(known.error());
  if (auto wait = not_filled(*known)) return std::move(*wait);
  std::vector<std::unique_ptr<Table>> made;
  std::uint64_t bytes = 0;
  for (const auto& spec : request.tables) {
    if (auto ok = proto::validate(spec); !ok) return refuse(ok.error());
    if (const Table* table = find_table(*known, spec.id); table != nullptr) {
      if (table->spec == spec) continue;
      return refuse({Errc::kRejected, fmt::format("job {} has another table with id {}, '{}'", envelope.job.value, spec.id.value, table->spec.name)});
    }
    auto optimizer = make_optimizer(spec.optimizer);
    if (!optimizer) return refuse(optimizer.error());
    const bool sums = !(**builtin_optimizers().find(spec.optimizer.name)).gradient;
    bytes += declared_bytes(spec, **optimizer, envelope.job, view, options_.lane);
    made.push_back(std::make_unique<Table>(Table{spec, std::move(*optimizer), sums, {}}));
  }
  const auto opened = open_job(envelope);
  if (!opened) return refuse(opened.error());
  Job& job = **opened;
  if (!budget_->take(bytes)) {
    const double gb = 1e9, used = static_cast<double>(budget_->used());
    const std::string words = fmt::format(
        "its parameters do not fit: {:.3f} GB of values and optimizer state would be on this lane, and of the server's {:.3f} GB for tables {:.3f} GB are free "
        "(sluice server --memory)",
        static_cast<double>(bytes) / gb, static_cast<double>(budget_->limit()) / gb, (static_cast<double>(budget_->limit()) - used) / gb);
    return refuse({Errc::kUnplaceable, words});
  }
  job.declared_bytes += bytes;
  for (auto& table : made) {
    const std::size_t at = table->spec.id.value;
    if (job.tables.size() <= at) job.tables.resize(at + 1);
    job.tables[at] = std::move(table);
  }
  if (request.start.from.empty() || made.empty()) return {proto::Done{}, {}};
  job.loading = true;
  wanted_.push_back({envelope.job, job.generation, request.start, request.tables});
  return std::move(*not_filled(&job));
}

std::optional<Reply> TableHost::not_filled(const Job* job) {
  if (job == nullptr) return std::nullopt;
  if (job->unreadable) return refuse(*job->unreadable);
  if (job->loading) return behind("the job's first values are being read");
  return std::nullopt;
}

std::uint64_t TableHost::section_bytes(const Table& table, const proto::Section& section, bool push) {
  const bool sparse = table.spec.kind == TableKind::kSparse;
  if (!push) return sparse ? std::uint64_t{section.count} * sizeof(Key) : 0;
  return key_bytes(table, section) + std::uint64_t{section.count} * row_floats(table, section) * sizeof(float);
}

std::size_t TableHost::row_floats(const Table& table, const proto::Section& section) {
  const std::size_t width = table.spec.kind == TableKind::kSparse ? table.spec.cols : 1;
  return section.state ? width + table.optimizer->state_floats(width) : width;
}

std::size_t TableHost::key_bytes(const Table& table, const proto::Section& section) {
  return table.spec.kind == TableKind::kSparse ? std::size_t{section.count} * sizeof(Key) : 0;
}

bool TableHost::locate(Job* job, const std::vector<proto::Section>& sections, std::span<const net::Frame> payload, bool push, Reply& refusal) {
  located_.clear();
  if (sections.size() > proto::kSectionsMax) {
    refusal = refuse({Errc::kMalformed, "too many sections"});
    return false;
  }
  for (const auto& section : sections) {
    Table* table = find_table(job, section.table);
    if (table == nullptr) {  // its width, and with it where later sections begin, can't be known: nothing is applied
      if (push) {
        refusal = {proto::PushReply{all(sections, Outcome::kNoTable), ""}, {}};
      } else {
        refusal = {proto::PullReply{all(sections, Outcome::kNoTable)}, {}};
      }
      return false;
    }
    located_.push_back({table, {}});
  }
  net::PayloadReader reader(payload);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const auto bytes = reader.take(section_bytes(*located_[i].table, sections[i], push));
    if (!bytes || (i + 1 == sections.size() && !reader.at_end())) {
      static Counter& malformed = metrics().counter("server.payloads_malformed");
      malformed.add();
      refusal = refuse(bytes ? Error{Errc::kMalformed, "the payload goes on after its sections"} : bytes.error());
      return false;
    }
    located_[i].bytes = *bytes;
  }
  return true;
}

/// True if the shard is there to be worked on; else the answer's outcome says why not.
bool TableHost::check_place(const proto::Envelope& envelope, const View& view, const Table& table, proto::Section& answer) const {
  if (answer.shard.value >= table.spec.shards()) {
    answer.outcome = Outcome::kRejected;
    return false;
  }
  const HashSlot slot = proto::hash_slot(envelope.job, answer.table, answer.shard);
  if (!view.owns(slot, options_.lane)) {
    answer.outcome = Outcome::kWrongOwner;
    return false;
  }
  answer.term = view.term(slot);
  return true;
}

void TableHost::forget(JobId job) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  dense_bytes_ -= it->second.dense_bytes;
  budget_->give(it->second.declared_bytes + it->second.held_bytes);
  jobs_.erase(it);
}

TableHost::Shard& TableHost::shard_of(Job& job, Table& table, ShardId id, std::uint32_t term) {
  auto& shard = table.shards[id];
  if (!shard) {
    shard = std::make_unique<Shard>();
    if (table.spec.kind == TableKind::kDense) {
      const auto& dense = shard->values.emplace<DenseShard>(table.spec, id, *table.optimizer, pool_);
      job.dense_bytes += dense.floats() * sizeof(float);
      dense_bytes_ += dense.floats() * sizeof(float);
    } else {
      shard->values.emplace<SparseShard>(table.spec, id, *table.optimizer);
    }
    if (const auto first = job.first.find({table.spec.id, id}); first != job.first.end()) {
      const FirstShard& from = first->second;
      if (auto* dense = std::get_if<DenseShard>(&shard->values)) {
        dense->restore(from.values, from.state, from.updates);
      } else {
        std::get<SparseShard>(shard->values).restore(from.keys, from.values, from.state, from.counts);
      }
      job.first.erase(first);
    }
  }
  shard->term = term;
  return *shard;
}

bool TableHost::reply_room(std::size_t times) {
  const std::size_t bound = options_.spare_bytes + dense_bytes_ / 8;
  pool_.trim(bound);
  return pool_.bytes() <= bound * times;
}

void TableHost::push_one(const proto::Push& request, const proto::Envelope& envelope, const Located& located, Shard& shard, proto::Section& answer,
                         std::string& text) {
  const auto sequence = answer.sequence;
  const auto check = shard.log.check(envelope.client, sequence);
  const auto where = [&] { return fmt::format("job {} table '{}' shard {}", envelope.job.value, located.table->spec.name, answer.shard.value); };
  switch (check.verdict) {
    case SequenceLog::Verdict::kGap:
      answer.outcome = Outcome::kGap;
      answer.sequence = check.expected;
      return;
    case SequenceLog::Verdict::kRepeat:
      answer.outcome = check.outcome;
      if (!check.text.empty()) say(text, std::string(check.text));
      return;
    case SequenceLog::Verdict::kForgotten:
      answer.outcome = Outcome::kRejected;
      return say(text, fmt::format("{}: push {} was answered long ago; {} is next", where(), sequence, check.expected));
    case SequenceLog::Verdict::kCrowded:
      answer.outcome = Outcome::kRejected;
      return say(text, fmt::format("{}: too many clients", where()));
    case SequenceLog::Verdict::kApply:
      break;
  }
  const proto::Section& section = request.sections[static_cast<std::size_t>(&located - located_.data())];
  Result<void> applied;
  if (request.batch != 0) {
    applied = hold(request, section, envelope, located, shard);
  } else if (auto* dense = std::get_if<DenseShard>(&shard.values)) {
    applied = dense->apply(request.kind, located.bytes, section.step, section.state);
  } else {
    const std::size_t keys = key_bytes(*located.table, section);
    applied = std::get<SparseShard>(shard.values).apply(request.kind, located.bytes.first(keys), located.bytes.subspan(keys), section.step, section.state);
  }
  answer.outcome = applied ? Outcome::kOk : applied.error().code == Errc::kFull ? Outcome::kFull : Outcome::kRejected;
  std::string words = applied ? "" : fmt::format("{}: {}", where(), applied.error().what).substr(0, kTextMax);
  if (!applied) say(text, words);
  shard.log.record(envelope.client, sequence, answer.outcome, std::move(words));
}

Result<void> TableHost::hold(const proto::Push& request, const proto::Section& section, const proto::Envelope& envelope, const Located& located, Shard& shard) {
  if (!located.table->spec.holds) return fail(Errc::kRejected, "no push of this job is held: it is neither bsp nor does its model have phases");
  HeldUpdate update{request.kind, request.batch, {}, {}, section.state};
  const auto as = request.kind == proto::PushKind::kAverage ? proto::PushKind::kDelta : request.kind;  // what it will be applied as
  const std::size_t keys = key_bytes(*located.table, section) / sizeof(Key);
  update.keys.resize(keys);
  update.values.resize((located.bytes.size() - keys * sizeof(Key)) / sizeof(float));
  if (keys > 0) std::memcpy(update.keys.data(), located.bytes.data(), keys * sizeof(Key));
  if (!update.values.empty()) std::memcpy(update.values.data(), located.bytes.data() + keys * sizeof(Key), update.values.size() * sizeof(float));
  const Bytes values = std::as_bytes(std::span<const float>(update.values));
  auto* dense = std::get_if<DenseShard>(&shard.values);
  if (auto ok =
          dense != nullptr ? dense->check(as, values, section.state) : std::get<SparseShard>(shard.values).prepare(as, update.keys, values, section.state);
      !ok)
    return ok;
  // So what is held is bounded, whatever names clients give themselves.
  Job& job = jobs_.at(envelope.job);
  const std::uint64_t before = shard.held.bytes(envelope.client), bytes = update.bytes();
  if (bytes > before && !budget_->take(bytes - before))
    return fail(Errc::kRejected, "no memory is left to hold the update until its clock ends (sluice server --memory)");
  if (bytes < before) budget_->give(before - bytes);
  job.held_bytes += bytes - before;
  shard.held.hold(envelope.client, std::move(update));
  return {};
}

Result<void> TableHost::apply_held(const proto::Apply& request, const Table& table, Shard& shard) {
  const std::size_t width = table.spec.kind == TableKind::kSparse ? table.spec.cols : 0;
  const auto combined = shard.held.combine(request.slots, table.sums, width, table.optimizer->state_floats(width));
  if (!combined) return fail(combined.error());
  shard.held.clear();
  if (!*combined) return {};
  const auto step = static_cast<std::uint32_t>(request.step);
  const Bytes values = std::as_bytes(std::span<const float>((*combined)->values));
  if (auto* dense = std::get_if<DenseShard>(&shard.values)) return dense->apply((*combined)->kind, values, step, (*combined)->state);
  return std::get<SparseShard>(shard.values).apply((*combined)->kind, std::as_bytes(std::span<const Key>((*combined)->keys)), values, step, (*combined)->state);
}

Reply TableHost::apply(const proto::Envelope& envelope, const proto::Apply& request) {
  const auto job = open_job(envelope);  // also where no push came yet: a late repeat must find that its clock is over
  if (!job) return refuse(job.error());
  if (request.clock < (*job)->clocks_applied) return {proto::Done{}, {}};
  if (request.clock > (*job)->clocks_applied)  // each lane with shards of the job is told of every clock
    return refuse({Errc::kRejected,
                   fmt::format("clock {} of job {} is to be applied, and clock {} never was", request.clock, envelope.job.value, (*job)->clocks_applied)});
  for (const auto& table : (*job)->tables) {
    if (!table) continue;
    for (const auto& [id, shard] : table->shards) {
      if (auto ok = apply_held(request, *table, *shard); !ok) {
        return refuse({ok.error().code, fmt::format("job {} table '{}' shard {}, clock {}: {}", envelope.job.value, table->spec.name, id.value, request.clock,
                                                    ok.error().what)});
      }
    }
  }
  (*job)->clocks_applied = request.clock + 1;
  budget_->give(std::exchange((*job)->held_bytes, 0));
  return {proto::Done{}, {}};
}

Reply TableHost::push(const proto::Envelope& envelope, const proto::Push& request, std::span<const net::Frame> payload, const View& view) {
  if (envelope.client.value == 0) return refuse({Errc::kRejected, "a push needs a client incarnation"});
  const auto job = find_job(envelope);
  if (!job) return refuse(job.error());
  if (auto wait = not_filled(*job)) return std::move(*wait);
  if (!reply_room(2)) return behind("slow readers hold this lane's buffers");
  Reply reply;
  if (!locate(*job, request.sections, payload, true, reply)) return reply;
  proto::PushReply answers;
  std::size_t foreign = 0;
  for (std::size_t i = 0; i < request.sections.size(); ++i) {
    const proto::Section& section = request.sections[i];
    proto::Section& answer = answers.sections.emplace_back(answer_to(section));
    if (!check_place(envelope, view, *located_[i].table, answer)) {
      foreign += answer.outcome == Outcome::kWrongOwner;
      continue;
    }
    Shard& shard = shard_of(**job, *located_[i].table, section.shard, answer.term);
    if (section.term != 0 && section.term != answer.term) {  // 0: the client never pulled
      answer.outcome = Outcome::kStaleTerm;
    } else if (section.codec != 0) {
      answer.outcome = Outcome::kRejected;  // the decoder lets no unknown codec through: a wrong client, whose number is not worth keeping
      say(answers.text, fmt::format("codec {} is not known", section.codec));
    } else {
      push_one(request, envelope, located_[i], shard, answer, answers.text);
    }
    answer.version = shard.version();
  }
  if (foreign > 0 && foreign == request.sections.size()) return not_mine(envelope, view);
  return {std::move(answers), {}};
}

Result<std::optional<net::Frame>> TableHost::pull_one(const Located& located, const Shard& shard, const proto::Section& asked, proto::Section& answer) const {
  if (const auto* dense = std::get_if<DenseShard>(&shard.values)) {
    if (asked.version == dense->version() && asked.term == shard.term) {
      answer.outcome = Outcome::kNotModified;
      return std::nullopt;
    }
    answer.count = static_cast<std::uint32_t>(dense->floats());
    if (!asked.state) return dense->share();
    auto both = transport_.allocate(dense->floats() * sizeof(float) + dense->state_bytes());
    dense->read_with_state(both.floats());
    return std::move(both).finish();
  }
  const auto& sparse = std::get<SparseShard>(shard.values);
  const std::uint64_t floats = std::uint64_t{asked.count} * sparse.row_floats(asked.state);
  if (floats * sizeof(float) > kReplyBytesMax) return fail(Errc::kRejected, "too many rows for one answer");
  auto rows = transport_.allocate(floats * sizeof(float));
  if (auto ok = sparse.read(located.bytes, rows.floats(), asked.state); !ok) return fail(ok.error());
  answer.count = asked.count;
  return std::move(rows).finish();
}

Reply TableHost::pull(const proto::Envelope& envelope, const proto::Pull& request, std::span<const net::Frame> payload, const View& view) {
  const auto job = find_job(envelope);
  if (!job) return refuse(job.error());
  if (auto wait = not_filled(*job)) return std::move(*wait);
  if (!reply_room(1)) return behind("slow readers hold this lane's buffers");
  Reply reply;
  if (!locate(*job, request.sections, payload, false, reply)) return reply;
  proto::PullReply answers;
  net::PayloadWriter writer;
  std::size_t foreign = 0;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < request.sections.size(); ++i) {
    const proto::Section& section = request.sections[i];
    proto::Section& answer = answers.sections.emplace_back(answer_to(section));
    if (!check_place(envelope, view, *located_[i].table, answer)) {
      foreign += answer.outcome == Outcome::kWrongOwner;
      continue;
    }
    const Shard& shard = shard_of(**job, *located_[i].table, section.shard, answer.term);
    answer.version = shard.version();
    const auto values = pull_one(located_[i], shard, section, answer);
    if (!values || (*values && (bytes += (*values)->size()) > kReplyBytesMax)) {
      answer.outcome = Outcome::kRejected;
      answer.count = 0;
    } else if (*values) {
      writer.add(**values);
    }
  }
  if (foreign > 0 && foreign == request.sections.size()) return not_mine(envelope, view);
  auto frames = writer.finish();
  if (frames.size() >= net::kFramesMax) return refuse({Errc::kRejected, fmt::format("the answer has {} frames: ask for fewer shards at once", frames.size())});
  return {std::move(answers), std::move(frames)};
}

void TableHost::expire(const std::function<bool(Incarnation)>& expired) {
  for (auto& [id, job] : jobs_) {
    for (auto& table : job.tables) {
      if (!table) continue;
      for (auto& [shard_id, shard] : table->shards) shard->log.forget(expired);
    }
  }
}

}  // namespace sluice::server
