#include "worker/detail/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "base/host.h"
#include "base/log.h"
#include "net/channel.h"
#include "worker/detail/events.h"

namespace sluice::worker {
namespace {

constexpr Duration kRegisterDeadline = from_ms(1000);
constexpr Duration kTableDeadline = from_ms(1000);
constexpr Duration kNewsDeadline = from_ms(2000);
constexpr Duration kStopPatience = from_ms(3000);  ///< more than a slot takes

class Control final : public Actor {
 public:
  Control(ControlSetup setup, net::Runtime runtime)
      : setup_(std::move(setup)),
        clock_(runtime.clock),
        channel_(std::move(setup_.manager), runtime.clock),
        started_(runtime.clock.now()),
        register_at_(started_),
        patience_(from_ms(setup_.options.manager_patience_ms)) {
    setup_.poller->add(channel_.connection());
  }
  ~Control() override { setup_.poller->remove(channel_.connection()); }
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  Step step() override;
  void wait(Instant until) override { setup_.poller->wait(until); }
  void wake() override { setup_.poller->wake(); }
  void stop() override {
    stop_wanted_ = true;
    setup_.poller->wake();
  }
  [[nodiscard]] bool ended() const override { return ended_; }

 private:
  enum class Ask { kRegister, kHeartbeat, kTable, kNews };
  struct Sent {
    Ask ask;
    std::uint64_t request = 0;
    std::optional<News> news;
  };

  bool receive();
  void completed(Sent sent, Result<net::Answer>& answer);
  void registered(const proto::Registered& reply);
  void register_refused(const proto::Refused& refusal);
  void expelled(const std::string& why);
  void granted(const proto::Envelope& envelope, const proto::Grant& grant);
  void take_table(const std::string& bytes);
  bool read_inbox();
  bool timers(Instant now);
  bool send(Ask ask, proto::Body body, Instant deadline, std::optional<News> news = std::nullopt);
  bool send_news();
  bool try_to_end(Instant now);
  void fatal(Error error);
  [[nodiscard]] bool member() const { return id_ != 0; }
  [[nodiscard]] bool asked(Ask ask) const {
    return std::any_of(sent_.begin(), sent_.end(), [ask](const Sent& s) { return s.ask == ask; });
  }

  ControlSetup setup_;
  Clock& clock_;
  net::Channel channel_;
  Instant started_, register_at_;
  Duration patience_;
  std::uint32_t register_attempts_ = 0;
  bool ever_member_ = false;

  std::uint32_t id_ = 0;
  std::vector<Incarnation> clients_;
  Duration heartbeat_ = from_ms(200), suspicion_ = from_ms(800);
  Instant heartbeat_at_ = Instant::never();
  Term term_;  ///< the highest pair of a grant
  DecisionId decision_;
  std::shared_ptr<const proto::SlotTable> table_;
  bool table_wanted_ = false;
  Instant table_at_;  ///< not asked before
  std::uint32_t table_attempts_ = 0;

  std::vector<Sent> sent_;
  std::deque<News> news_;
  Instant news_at_;  ///< not sent before
  std::uint32_t news_attempts_ = 0;
  std::uint32_t slots_ended_ = 0;

  std::atomic<bool> stop_wanted_{false};
  std::optional<Instant> stop_at_;
  bool fatal_ = false, ended_ = false;
};

Step Control::step() {
  const Instant now = clock_.now();
  if (stop_wanted_.load() && !stop_at_) {
    stop_at_ = now + kStopPatience;
    for (const auto& slot : setup_.slots) slot->stop();
  }
  bool any = channel_.step();
  any = receive() || any;
  any = read_inbox() || any;
  any = timers(now) || any;
  any = send_news() || any;
  if (stop_at_) any = try_to_end(now) || any;
  Step out{any, channel_.next_timer()};
  if (!member() && !asked(Ask::kRegister) && !fatal_ && !stop_at_) out.next = std::min(out.next, register_at_);
  if (!ever_member_ && !fatal_) out.next = std::min(out.next, started_ + patience_);
  if (member()) {
    out.next = std::min(out.next, heartbeat_at_);
    if (table_wanted_ && !asked(Ask::kTable)) out.next = std::min(out.next, table_at_);
    if (!news_.empty() && news_at_ > now) out.next = std::min(out.next, news_at_);
  }
  if (stop_at_) out.next = std::min(out.next, *stop_at_);
  return out;
}

bool Control::receive() {
  bool any = false;
  while (auto done = channel_.next()) {
    any = true;
    const auto it = std::find_if(sent_.begin(), sent_.end(), [&](const Sent& s) { return s.request == done->request; });
    if (it == sent_.end()) continue;
    Sent sent = std::move(*it);
    sent_.erase(it);
    completed(std::move(sent), done->answer);
  }
  while (auto message = channel_.next_unasked()) {
    any = true;
    if (const auto* grant = std::get_if<proto::Grant>(&message->header.body))
      granted(message->header.envelope, *grant);
    else if (const auto* table = std::get_if<proto::SlotTableMessage>(&message->header.body))
      take_table(table->bytes);
  }
  return any;
}

void Control::completed(Sent sent, Result<net::Answer>& answer) {
  const auto* body = answer ? &answer->header.body : nullptr;
  const auto* refusal = body ? std::get_if<proto::Refused>(body) : nullptr;
  switch (sent.ask) {
    case Ask::kRegister:
      register_at_ = clock_.now() + backoff(register_attempts_++);
      if (!body && answer.error().code != Errc::kTimedOut)
        fatal({answer.error().code, fmt::format("manager at {}: {}", setup_.options.manager, answer.error().what)});
      else if (refusal)
        register_refused(*refusal);
      else if (body && std::holds_alternative<proto::Registered>(*body))
        registered(std::get<proto::Registered>(*body));
      return;
    case Ask::kHeartbeat:
      if (refusal && (refusal->kind == proto::RefusalKind::kNotMember || refusal->kind == proto::RefusalKind::kError)) expelled(refusal->text);
      return;
    case Ask::kTable:
      table_at_ = clock_.now() + backoff(table_attempts_++);
      if (const auto* table = body ? std::get_if<proto::SlotTableMessage>(body) : nullptr) take_table(table->bytes);
      return;
    case Ask::kNews:
      if (body && std::holds_alternative<proto::Done>(*body)) {
        news_attempts_ = 0;
      } else if (refusal && refusal->kind == proto::RefusalKind::kError) {
        log::debug("the manager refused news: {}", refusal->text);
      } else {
        news_at_ = clock_.now() + backoff(news_attempts_++);
        news_.push_front(std::move(*sent.news));
      }
      return;
  }
}

void Control::register_refused(const proto::Refused& refusal) {
  if (refusal.kind != proto::RefusalKind::kError) return;  // later
  const Errc code = refusal.code == name_of(Errc::kDenied) ? Errc::kDenied : Errc::kCannotConnect;
  fatal({code, fmt::format("the manager at {} refused this worker: {}", setup_.options.manager, refusal.text)});
}

void Control::registered(const proto::Registered& reply) {
  if (reply.id == 0 || reply.clients.size() != setup_.slots.size() || reply.heartbeat_ms == 0) {
    return fatal({Errc::kMalformed,
                  fmt::format("the manager at {} registered {} clients for {} slots", setup_.options.manager, reply.clients.size(), setup_.slots.size())});
  }
  id_ = reply.id;
  clients_ = reply.clients;
  heartbeat_ = from_ms(reply.heartbeat_ms);
  suspicion_ = from_ms(std::max<std::int64_t>(reply.suspicion_ms, reply.heartbeat_ms));
  heartbeat_at_ = clock_.now() + heartbeat_;
  ever_member_ = true;
  register_attempts_ = 0;
  term_ = {};
  decision_ = {};
  for (std::size_t i = 0; i < setup_.slots.size(); ++i) setup_.slots[i]->put(clients_[i]);
  take_table(reply.slot_table);
  table_wanted_ = table_wanted_ || !table_;
  log::info("worker '{}' is member {} of the cluster of {}", setup_.options.name, id_, setup_.options.manager);
}

/// No member any more: nothing that is unacknowledged will count, so the slots drop it at once.
void Control::expelled(const std::string& why) {
  if (!member()) return;
  log::warn("worker '{}' lost its membership ({}); registering anew", setup_.options.name, why);
  id_ = 0;
  clients_.clear();
  heartbeat_at_ = Instant::never();
  register_at_ = clock_.now();
  std::erase_if(sent_, [&](Sent& s) {
    channel_.cancel(s.request);
    if (s.news) news_.push_back(std::move(*s.news));
    return true;
  });
  for (const auto& slot : setup_.slots) slot->put(Incarnation{});
}

void Control::granted(const proto::Envelope& envelope, const proto::Grant& grant) {
  if (!member()) return;
  if (std::pair(envelope.manager_term, envelope.decision) < std::pair(term_, decision_)) {
    log::debug("a grant of decision {} came after one of {}: refused", envelope.decision.value, decision_.value);
    return;
  }
  term_ = envelope.manager_term;
  decision_ = envelope.decision;
  for (std::uint32_t i = 0; i < setup_.slots.size(); ++i) {
    const auto it = std::find_if(grant.assignments.begin(), grant.assignments.end(), [&](const auto& a) { return a.slot.value == i; });
    Order order;
    if (it != grant.assignments.end()) order.assignment = *it;
    order.assignment.slot = WorkerSlot(i);
    order.term = term_;
    order.same_host = grant.manager_host == setup_.host && setup_.host != "unknown";
    order.received = clock_.now();
    setup_.slots[i]->put(std::move(order));
  }
  proto::Header done;
  done.envelope.manager_term = term_;
  done.envelope.decision = decision_;
  done.body = proto::Done{};
  (void)channel_.post(std::move(done));  // a lost one only means that the grant is sent again
}

void Control::take_table(const std::string& bytes) {
  if (bytes.empty()) return;
  auto table = proto::slot_table_from_bytes(bytes);
  if (!table) return log::warn("the manager sent a slot table that cannot be read: {}", table.error().what);
  if (!table->made() || (table_ && table->version <= table_->version)) return;
  table_ = std::make_shared<const proto::SlotTable>(std::move(*table));
  table_wanted_ = false;
  table_attempts_ = 0;
  for (const auto& slot : setup_.slots) slot->put(table_);
}

bool Control::read_inbox() {
  auto content = setup_.inbox->take();
  slots_ended_ = content.ended;
  if (content.wanted && (!table_ || table_->version <= *content.wanted)) table_wanted_ = true;
  for (auto& news : content.news) news_.push_back(std::move(news));
  while (news_.size() > ControlInbox::kNewsMax) news_.pop_front();
  for (const Incarnation lost : content.lost) {
    if (std::find(clients_.begin(), clients_.end(), lost) != clients_.end()) expelled("a server refused a slot of it");
  }
  return !content.news.empty() || !content.lost.empty();
}

bool Control::timers(Instant now) {
  if (fatal_) return false;
  if (!ever_member_ && now - started_ >= patience_) {
    fatal({Errc::kCannotConnect, fmt::format("no manager at {} within {:g} s", setup_.options.manager, patience_.seconds())});
    return true;
  }
  if (!member()) {
    if (asked(Ask::kRegister) || now < register_at_ || stop_at_) return false;
    register_at_ = now + backoff(register_attempts_);
    proto::Register body;
    body.role = proto::Role::kWorker;
    body.name = setup_.options.name;
    body.host = setup_.host;
    body.build = kBuild;
    body.slots = static_cast<std::uint32_t>(setup_.slots.size());
    return send(Ask::kRegister, std::move(body), now + kRegisterDeadline);
  }
  bool any = false;
  if (now >= heartbeat_at_) {
    heartbeat_at_ = now + heartbeat_;
    any = send(Ask::kHeartbeat, proto::Heartbeat{id_, proto::Role::kWorker, resident_bytes()}, now + suspicion_);
  }
  if (table_wanted_ && !asked(Ask::kTable) && now >= table_at_) {
    table_at_ = now + backoff(table_attempts_);
    any = send(Ask::kTable, proto::SlotTableRequest{}, now + kTableDeadline) || any;
  }
  return any;
}

bool Control::send(Ask ask, proto::Body body, Instant deadline, std::optional<News> news) {
  proto::Header header;
  header.envelope.manager_term = term_;
  header.envelope.decision = decision_;
  if (table_) header.envelope.ring = table_->version;
  if (news) {
    if (const auto* fault = std::get_if<FaultNews>(&*news)) {
      header.envelope.job = fault->job;
      header.envelope.generation = fault->generation;
    } else {
      header.envelope.job = std::get<proto::Moved>(*news).to;
    }
  }
  header.body = std::move(body);
  const auto request = channel_.request(std::move(header), {}, deadline);
  if (!request) return false;
  sent_.push_back({ask, *request, std::move(news)});
  return true;
}

bool Control::send_news() {
  const Instant now = clock_.now();
  if (!member() || now < news_at_) return false;
  bool any = false;
  while (!news_.empty()) {
    News news = std::move(news_.front());
    news_.pop_front();
    proto::Body body;
    if (auto* moved = std::get_if<proto::Moved>(&news)) {
      moved->worker = id_;
      body = *moved;
    } else {
      const auto& fault = std::get<FaultNews>(news);
      body = proto::JobFault{id_, fault.code, fault.what};
    }
    if (!send(Ask::kNews, std::move(body), now + kNewsDeadline, news)) {
      news_at_ = now + backoff(news_attempts_++);
      news_.push_front(std::move(news));
      break;
    }
    any = true;
  }
  return any;
}

bool Control::try_to_end(Instant now) {
  if (ended_) return false;
  const bool told = news_.empty() && !asked(Ask::kNews);
  const bool orderly = slots_ended_ == setup_.slots.size() && (told || !member());
  ended_ = orderly || now >= *stop_at_;
  return ended_;
}

void Control::fatal(Error error) {
  if (fatal_) return;
  fatal_ = true;
  log::error("worker '{}': {}", setup_.options.name, error.what);
  if (setup_.options.on_fatal) setup_.options.on_fatal(error);
  stop_wanted_ = true;
}

}  // namespace

std::unique_ptr<Actor> make_control(ControlSetup setup, net::Runtime runtime) { return std::make_unique<Control>(std::move(setup), runtime); }

}  // namespace sluice::worker
