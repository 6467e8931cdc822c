#include "server/lane.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/metrics.h"

namespace sluice::server {
namespace {

constexpr int kMessagesPerStep = 4096;  // the queue is drained, but a flood can't keep timers and news waiting

bool is_for_home(const proto::Body& body) {
  return std::holds_alternative<proto::Join>(body) || std::holds_alternative<proto::Leave>(body) || std::holds_alternative<proto::LeaseRequest>(body) ||
         std::holds_alternative<proto::Commit>(body) || std::holds_alternative<proto::Gate>(body) || std::holds_alternative<proto::EvaluateCommit>(body) ||
         std::holds_alternative<proto::PhaseCommit>(body);
}

}  // namespace

Lane::Lane(LaneOptions options, std::unique_ptr<net::Listener> listener, std::shared_ptr<net::Poller> poller, std::shared_ptr<LaneInbox> inbox,
           std::shared_ptr<ControlInbox> control, std::shared_ptr<KeeperInbox> keeper, std::shared_ptr<MemoryBudget> budget, net::Transport& transport,
           Clock& clock)
    : options_(options),
      clock_(clock),
      poller_(std::move(poller)),
      inbox_(std::move(inbox)),
      control_(std::move(control)),
      keeper_(std::move(keeper)),
      endpoint_(std::move(listener), clock),
      tables_({options.index, options.spare_bytes}, ended_jobs_, std::move(budget), transport),
      homes_(ended_jobs_, from_ms(options.report_ms)),
      applies_(transport, clock, *poller_),
      cuts_({options.index, tables_, homes_, keeper_, control_}, transport, clock, *poller_),
      starts_(options.index, tables_, homes_, transport, clock, *poller_) {
  poller_->add(endpoint_.listener());
}

Lane::~Lane() { poller_->remove(endpoint_.listener()); }

void Lane::end(const LaneInbox::Ended& ended) {
  const JobId job = ended.job;
  if (!ended.keep.empty()) {
    const JobHome* home = homes_.home(job);
    std::optional<proto::SavedJob> saved;
    if (home != nullptr) saved = home->saved();
    if (saved && view_) saved->servers = view_->servers();
    keeper_->offer({job, ended.keep, options_.index, ended_jobs_.contains(job), tables_.release(job), std::move(saved)});
  }
  ended_jobs_.add(job);
  tables_.forget(job);
  homes_.forget(job);
  applies_.forget(job);
  cuts_.forget(job);
  starts_.forget(job);
}

bool Lane::take_news() {
  auto news = inbox_->take();
  for (auto& loaded : news.loaded) {
    if (auto* values = std::get_if<Result<FirstValues>>(&loaded.what)) {
      tables_.fill(loaded.job, loaded.generation, std::move(*values));
    } else {
      homes_.resumed(loaded.job, loaded.generation, std::move(std::get<Result<ResumedHome>>(loaded.what)));
    }
  }
  for (const auto& ended : news.ended) end(ended);
  if (news.view) {
    view_ = std::move(news.view);
    // Refused from here on, for ever; only now may a home lease their chunks to others.
    const auto expired = [this](Incarnation client) { return view_->is_expired(client); };
    tables_.expire(expired);
    homes_.expire(expired);
  }
  for (auto& [job, order] : news.saves)
    if (view_) cuts_.order(job, std::move(order), *view_);  // else it comes again
  return news.view != nullptr || !news.ended.empty() || !news.saves.empty() || !news.loaded.empty();
}

void Lane::read_wanted() {
  for (auto& wanted : tables_.take_wanted())
    keeper_->read({wanted.job, wanted.generation, wanted.start, std::move(wanted.tables), options_.index, view_, inbox_});
  for (auto& wanted : homes_.take_wanted()) keeper_->read({wanted.job, wanted.generation, wanted.start, {}, options_.index, view_, inbox_});
}

bool Lane::receive() {
  int i = 0;
  for (; i < kMessagesPerStep; ++i) {
    auto request = endpoint_.receive();
    if (!request) break;
    bool full = false;
    if (view_ && cuts_.put_off(*request, full)) {
      if (full) send(*request, behind("a checkpoint is being made"));
      continue;
    }
    Reply reply = answer(*request);
    if (!cuts_.hold_back(*request, reply)) send(*request, std::move(reply));
  }
  return i > 0;
}

Step Lane::step() {
  bool progressed = take_news();
  progressed = receive() || progressed;
  progressed = apply_clocks() || progressed;
  if (view_) progressed = starts_.step(*view_) || progressed;
  if (view_) progressed = cuts_.step(*view_) || progressed;
  for (auto& released : cuts_.take_released()) send(released.request, released.reply ? std::move(*released.reply) : answer(released.request));
  read_wanted();
  for (auto& notice : homes_.take_gates()) {
    progressed = true;
    (void)endpoint_.notify(notice.peer, std::move(notice.header));  // one that gets lost is asked for again by the slot that waits
  }
  const Instant again = homes_.report(clock_.now(), [&](const proto::JobReport& report) {
    progressed = true;
    return control_->offer(report);
  });
  return {progressed, std::min({again, applies_.next_timer(), cuts_.next_timer(), starts_.next_timer()})};
}

bool Lane::apply_clocks() {
  bool any = applies_.step();
  for (ApplyTask& task : homes_.take_applies()) {
    any = true;
    ShardLanes lanes = shard_lanes(task.envelope.job, *task.tables, *view_, options_.index);
    task.envelope.ring = view_->version();
    applies_.begin(task.envelope, task.apply, std::move(lanes.others));  // first the others, so that they work meanwhile
    if (!lanes.here) continue;
    const Reply reply = tables_.apply(task.envelope, task.apply);
    const auto* refused = std::get_if<proto::Refused>(&reply.body);
    if (refused == nullptr) continue;
    applies_.forget(task.envelope.job);
    homes_.applied(task.envelope.job, task.apply.clock, Error{Errc::kInternal, refused->text});
  }
  for (const auto& finished : applies_.take_finished()) homes_.applied(finished.job, finished.clock, finished.error);
  return any;
}

Reply Lane::answer_home(const net::Request& request) {
  const proto::Envelope& envelope = request.header.envelope;
  if (!view_->owns(proto::home_slot(envelope.job), options_.index)) {
    if (envelope.ring > view_->version()) return behind(fmt::format("slot table {} here, {} there", view_->version().value, envelope.ring.value));
    return {proto::Refused{proto::RefusalKind::kWrongOwner, "wrong_owner", "not the home of this job", view_->encoded()}, {}};
  }
  return homes_.handle(request.peer, envelope, request.header.body, clock_.now());
}

Reply Lane::answer(const net::Request& request) {
  const proto::Envelope& envelope = request.header.envelope;
  const proto::Body& body = request.header.body;
  if (!view_) return behind("this server has no slot table yet");
  if (envelope.ring > view_->version()) control_->want_table(envelope.ring);
  if (view_->is_expired(envelope.client) && envelope.client.value != 0) {
    return {proto::Refused{proto::RefusalKind::kNotMember, "denied", fmt::format("client {} is expired", envelope.client.value), ""}, {}};
  }
  if (const auto* push = std::get_if<proto::Push>(&body)) {
    const JobHome* home = push->clock == 0 ? nullptr : homes_.home(envelope.job);
    if (home != nullptr && !home->reached(envelope.client, push->clock)) return behind("the commit before it is not here yet");
    return tables_.push(envelope, *push, request.payload, *view_);
  }
  if (const auto* pull = std::get_if<proto::Pull>(&body)) return tables_.pull(envelope, *pull, request.payload, *view_);
  if (is_for_home(body)) return answer_home(request);
  if (const auto* apply = std::get_if<proto::Apply>(&body)) return tables_.apply(envelope, *apply);
  if (const auto* save = std::get_if<proto::SaveJob>(&body)) {
    if (envelope.ring > view_->version()) return behind("an older slot table here");  // who is expired must be known
    return cuts_.mark(envelope, *save);
  }
  if (const auto* tables = std::get_if<proto::CreateTables>(&body)) return tables_.create(envelope, *tables, *view_);
  if (std::holds_alternative<proto::SlotTableRequest>(body)) {
    return {proto::SlotTableMessage{envelope.ring < view_->version() ? view_->encoded() : std::string()}, {}};
  }
  return refuse({Errc::kRejected, "a server does not serve this kind of message"});
}

void Lane::send(const net::Request& request, Reply reply) {
  static Counter& refused = metrics().counter("server.refused");
  if (const auto* refusal = std::get_if<proto::Refused>(&reply.body)) {
    refused.add();
    if (refusal->kind == proto::RefusalKind::kError) {
      refusals_.warn(clock_.now(), fmt::format("lane {}: refused peer {}: {}", options_.index, printable(request.peer.routing_id), refusal->text));
    }
  }
  if (request.header.envelope.request == 0) return;  // nobody waits for an answer
  proto::Header header;
  header.envelope.job = request.header.envelope.job;
  header.envelope.generation = request.header.envelope.generation;
  header.envelope.client = request.header.envelope.client;
  if (view_) header.envelope.ring = view_->version();
  header.body = std::move(reply.body);
  // A peer that is gone, or reads so slowly that its queue is full, asks again: the answer to a repeat is the same.
  (void)endpoint_.reply(request, std::move(header), std::move(reply.payload));
}

}  // namespace sluice::server
