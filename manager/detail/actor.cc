#include "manager/detail/actor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/host.h"
#include "base/log.h"

namespace sluice::manager {
namespace {

using proto::Role;

constexpr int kMessagesAStep = 512;
constexpr std::size_t kChangedMax = 256;
constexpr std::array kOrders = {"cancel", "pause", "resume", "set"};

bool is_order(const std::string& verb) { return std::find(kOrders.begin(), kOrders.end(), verb) != kOrders.end(); }

/// Of a submit: restored jobs' losses so far, by name. Throws nlohmann::json::exception.
std::map<std::string, std::vector<LossPoint>> curves_of(const nlohmann::json& arguments) {
  constexpr std::size_t kPointsMax = 1024;
  std::map<std::string, std::vector<LossPoint>> out;
  const auto curves = arguments.find("curves");
  if (curves == arguments.end()) return out;
  for (const auto& [job, points] : curves->items()) {
    for (const auto& p : points) {
      if (out[job].size() == kPointsMax) break;
      out[job].push_back({p.at(0).get<std::uint64_t>(), p.at(1).get<std::uint64_t>(), p.at(2).get<double>(), p.at(3).get<double>(), p.at(4).get<double>(),
                          p.at(5).get<std::uint64_t>()});
    }
  }
  return out;
}

class ManagerActor final : public Actor {
 public:
  ManagerActor(std::unique_ptr<Core> core, std::unique_ptr<net::Listener> listener, net::Runtime runtime)
      : clock_(runtime.clock), core_(std::move(core)), poller_(runtime.transport.poller()), endpoint_(std::move(listener), runtime.clock), host_(boot_id()) {
    poller_->add(endpoint_.listener());
  }
  ~ManagerActor() override { poller_->remove(endpoint_.listener()); }
  ManagerActor(const ManagerActor&) = delete;
  ManagerActor& operator=(const ManagerActor&) = delete;

  Step step() override;
  void wait(Instant until) override { poller_->wait(until); }
  void wake() override { poller_->wake(); }
  void stop() override {
    stop_wanted_ = true;
    poller_->wake();
  }
  [[nodiscard]] bool ended() const override { return ended_; }

 private:
  [[nodiscard]] proto::Header header(proto::Body body) const;
  void answer(const net::Request& to, proto::Body body);
  void refuse(const net::Request& to, const Error& error, proto::RefusalKind kind = proto::RefusalKind::kError);
  /// A peer that is slow or gone is told again later: all that is sent unasked is idempotent.
  bool tell(const net::PeerId& to, proto::Header what) { return endpoint_.notify(to, std::move(what)).has_value(); }

  void handle(const net::Request& request);
  void on(const net::Request& request, const proto::Register& body);
  void on(const net::Request& request, const proto::Heartbeat& body);
  void on(const net::Request& request, const proto::SlotTableRequest& body);
  void on(const net::Request& request, const proto::Report& body);
  void on(const net::Request& request, const proto::Moved& body);
  void on(const net::Request& request, const proto::JobFault& body);
  void on(const net::Request& request, const proto::Done& body);
  void on(const net::Request& request, const proto::Refused& body);
  void on(const net::Request& request, const proto::Saved& body);
  void on(const net::Request& request, const proto::Call& body);
  template <class Other>
  void on(const net::Request& request, const Other&) {
    if (request.header.envelope.request != 0) refuse(request, {Errc::kMalformed, "a manager has no answer to this kind of message"});
  }
  [[nodiscard]] Result<std::string> call(const proto::Call& call);
  [[nodiscard]] Result<std::string> submit(const nlohmann::json& arguments);
  /// cancel, pause, resume, set.
  [[nodiscard]] Result<nlohmann::json> order(const std::string& verb, const nlohmann::json& arguments);
  /// The member that speaks from this peer. Null: nobody we know.
  [[nodiscard]] const Member* speaker(Role role, const net::PeerId& peer) const;
  bool send_due();
  void publish_table();

  Clock& clock_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<net::Poller> poller_;
  net::Endpoint endpoint_;
  std::string host_;
  std::deque<std::pair<std::pair<net::PeerId, std::uint64_t>, proto::Body>> changed_;  ///< answers to the newest calls that change something
  std::atomic<bool> stop_wanted_{false};
  Instant look_due_ = Instant::never();  ///< when the next step was meant to be at the latest
  bool ended_ = false;
};

Step ManagerActor::step() {
  if (stop_wanted_.load() && !ended_) {
    core_->write_summary();
    core_->flush();
    ended_ = true;
    return {true, Instant::never()};
  }
  bool any = false;
  for (int i = 0; i < kMessagesAStep; ++i) {
    const auto request = endpoint_.receive();
    if (!request) break;
    handle(*request);
    any = true;
  }
  core_->expire(look_due_);
  any = core_->round_if_due() || any;
  any = send_due() || any;
  core_->flush();
  any = core_->refit_some() || any;
  const Step next{any, core_->next_timer()};
  look_due_ = any ? clock_.now() : next.next;
  return next;
}

proto::Header ManagerActor::header(proto::Body body) const {
  proto::Header out;
  out.envelope.manager_term = core_->term();
  out.envelope.decision = core_->decision();
  out.envelope.ring = core_->ring().table().version;
  out.body = std::move(body);
  return out;
}

void ManagerActor::answer(const net::Request& to, proto::Body body) {
  if (to.header.envelope.request == 0) return;
  if (auto sent = endpoint_.reply(to, header(std::move(body))); !sent) log::debug("an answer was not sent: {}", sent.error().what);
}

void ManagerActor::refuse(const net::Request& to, const Error& error, proto::RefusalKind kind) {
  answer(to, proto::Refused{kind, std::string(name_of(error.code)), error.what, {}});
}

void ManagerActor::handle(const net::Request& request) {
  std::visit([&](const auto& body) { on(request, body); }, request.header.body);
}

void ManagerActor::on(const net::Request& request, const proto::Register& body) {
  const auto joined = core_->join(body, request.peer, request.header.envelope.request);
  if (!joined) {
    const bool later = joined.error().code == Errc::kFull || joined.error().code == Errc::kIo;
    return refuse(request, joined.error(), later ? proto::RefusalKind::kBehind : proto::RefusalKind::kError);
  }
  const Member& member = **joined;
  answer(request, proto::Registered{member.id, core_->heartbeat_ms(), core_->suspicion_ms(), member.clients, core_->ring().bytes()});
}

void ManagerActor::on(const net::Request& request, const proto::Heartbeat& body) {
  const Member* member = core_->heartbeat(body, request.peer);
  if (member == nullptr) return refuse(request, {Errc::kDenied, "not a member: register anew"}, proto::RefusalKind::kNotMember);
  answer(request, proto::HeartbeatReply{});
  // A member that missed the newest slot table is told again.
  if (request.header.envelope.ring < core_->ring().table().version) tell(request.peer, header(proto::SlotTableMessage{core_->ring().bytes()}));
}

void ManagerActor::on(const net::Request& request, const proto::SlotTableRequest&) {
  const bool newer = request.header.envelope.ring < core_->ring().table().version;
  answer(request, proto::SlotTableMessage{newer ? core_->ring().bytes() : std::string{}});
}

void ManagerActor::on(const net::Request& request, const proto::Report& body) {
  if (core_->members().find(Role::kServer, body.server) == nullptr)
    return refuse(request, {Errc::kDenied, "not a member: register anew"}, proto::RefusalKind::kNotMember);
  for (const proto::JobReport& job : body.jobs) core_->report(ServerId{body.server}, job);
  answer(request, proto::Done{});
}

void ManagerActor::on(const net::Request& request, const proto::Moved& body) {
  core_->moved(body);
  answer(request, proto::Done{});
}

void ManagerActor::on(const net::Request& request, const proto::JobFault& body) {
  const Member* worker = core_->members().find(Role::kWorker, body.worker);
  if (worker == nullptr) return refuse(request, {Errc::kDenied, "not a member: register anew"}, proto::RefusalKind::kNotMember);
  core_->fault(request.header.envelope.job, request.header.envelope.generation, worker->name, body.code, body.what);
  answer(request, proto::Done{});
}

const Member* ManagerActor::speaker(Role role, const net::PeerId& peer) const {
  for (const auto& [id, member] : core_->members().of(role))
    if (member.peer == peer) return &member;
  return nullptr;
}

/// A grant or the end of a job was heard.
void ManagerActor::on(const net::Request& request, const proto::Done&) {
  const proto::Envelope& envelope = request.header.envelope;
  if (const Member* worker = speaker(Role::kWorker, request.peer)) {
    if (envelope.manager_term == core_->term()) core_->outbox().granted(WorkerId{worker->id}, envelope.decision);
  } else if (const Member* server = speaker(Role::kServer, request.peer)) {
    core_->outbox().ended(envelope.job, ServerId{server->id});
  }
}

/// A server that could not keep a job's values has freed them all the same.
void ManagerActor::on(const net::Request& request, const proto::Refused& body) {
  const Member* server = speaker(Role::kServer, request.peer);
  if (server == nullptr) return;
  core_->not_kept(request.header.envelope.job, *server, body.text);
  core_->outbox().ended(request.header.envelope.job, ServerId{server->id});
}

void ManagerActor::on(const net::Request& request, const proto::Saved& body) {
  if (const Member* server = speaker(Role::kServer, request.peer)) core_->checkpoints().saved(request.header.envelope.job, ServerId{server->id}, body);
}

void ManagerActor::on(const net::Request& request, const proto::Call& body) {
  // A repeat of a call that changed something is answered as the first was: the caller may not have heard it.
  const std::pair key(request.peer, request.header.envelope.request);
  const auto before = std::find_if(changed_.begin(), changed_.end(), [&](const auto& s) { return s.first == key; });
  if (before != changed_.end()) return answer(request, before->second);
  auto json = call(body);
  if (json && json->size() > proto::kTextBytesMax)
    json = fail(Errc::kFull,
                fmt::format("the answer to {} has {} bytes, more than a message may have; ask for one job, or read summary.json", body.verb, json->size()));
  proto::Body said = json ? proto::Body{proto::CallReply{*json}}
                          : proto::Body{proto::Refused{proto::RefusalKind::kError, std::string(name_of(json.error().code)), json.error().what, {}}};
  if (body.verb == "submit" || body.verb == "checkpoint" || is_order(body.verb)) changed_.emplace_back(key, said);
  if (changed_.size() > kChangedMax) changed_.pop_front();
  answer(request, std::move(said));
}

Result<std::string> ManagerActor::call(const proto::Call& call) try {
  const auto text = [](const nlohmann::json& json) { return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); };
  const auto arguments = call.json.empty() ? nlohmann::json::object() : nlohmann::json::parse(call.json);
  if (!arguments.is_object()) return fail(Errc::kBadConfig, fmt::format("the arguments of {} are not a JSON object", call.verb));
  if (call.verb == "submit") return submit(arguments);
  if (call.verb == "ps") return text(core_->ps());
  if (call.verb == "summary") return text(core_->summary());
  if (call.verb == "explain") {
    if (arguments.value("prior", false)) return text(core_->prior());
    const auto job = arguments.find("job");
    const auto answer = core_->explain(job == arguments.end() || job->is_null() ? std::string{} : job->get<std::string>());
    if (!answer) return fail(answer.error());
    return text(*answer);
  }
  if (is_order(call.verb)) {
    const auto answer = order(call.verb, arguments);
    if (!answer) return fail(answer.error());
    return text(*answer);
  }
  if (call.verb == "checkpoint" || call.verb == "checkpoint_status") {
    const auto cut = arguments.value("checkpoint", std::string{});
    const auto answer = call.verb == "checkpoint_status"
                            ? core_->checkpoints().status(cut, arguments.value("job", std::string{}))
                            : core_->checkpoint(arguments.value("jobs", std::vector<std::string>{}), arguments.value("folder", std::string{}), cut);
    if (!answer) return fail(answer.error());
    return text(*answer);
  }
  if (call.verb == "shutdown") {
    log::info("asked to shut down");
    stop_wanted_ = true;
    return text({{"version", 1}});
  }
  return fail(Errc::kBadConfig,
              text::unknown_name("call", call.verb,
                                 {"cancel", "checkpoint", "checkpoint_status", "explain", "pause", "ps", "resume", "set", "shutdown", "submit", "summary"}));
} catch (const nlohmann::json::exception& e) { return fail(Errc::kBadConfig, fmt::format("the arguments of {}: {}", call.verb, e.what())); }

Result<std::string> ManagerActor::submit(const nlohmann::json& arguments) {
  const auto jobs = arguments.find("jobs");
  if (jobs == arguments.end() || !jobs->is_array() || jobs->empty()) return fail(Errc::kBadConfig, "submit needs \"jobs\": a list of one job or more");
  std::vector<proto::JobSpec> specs;
  for (const auto& job : *jobs) {
    auto spec = proto::job_spec_from_json(job.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    if (!spec) return fail(spec.error());
    specs.push_back(std::move(*spec));
  }
  const auto curves = curves_of(arguments);
  const auto ids = core_->submit(specs);
  if (!ids) return fail(ids.error());
  for (std::size_t i = 0; i < ids->size(); ++i)
    if (const auto it = curves.find(specs[i].name); it != curves.end()) core_->remember((*ids)[i], it->second);
  nlohmann::json out = nlohmann::json::array();
  for (std::size_t i = 0; i < ids->size(); ++i) out.push_back({{"job", specs[i].name}, {"id", (*ids)[i].value}});
  return nlohmann::json{{"version", 1}, {"jobs", std::move(out)}}.dump();
}

Result<nlohmann::json> ManagerActor::order(const std::string& verb, const nlohmann::json& arguments) {
  if (verb == "set") {
    if (!arguments.contains("job") || !arguments.contains("values")) return fail(Errc::kBadConfig, R"(set needs "job": a name, and "values": what to change)");
    return core_->set(arguments["job"].get<std::string>(), arguments["values"]);
  }
  const auto names = arguments.value("jobs", std::vector<std::string>{});
  if (names.empty()) return fail(Errc::kBadConfig, fmt::format("{} needs \"jobs\": a list of one name or more", verb));
  return verb == "cancel" ? core_->cancel(names) : verb == "pause" ? core_->pause(names) : core_->resume(names);
}

void ManagerActor::publish_table() {
  const proto::Header table = header(proto::SlotTableMessage{core_->ring().bytes()});
  for (const Role role : {Role::kServer, Role::kWorker})
    for (const auto& [id, member] : core_->members().of(role)) tell(member.peer, table);
}

bool ManagerActor::send_due() {
  bool any = false;
  if (core_->take_table_changed()) {
    publish_table();
    any = true;
  }
  const Instant now = clock_.now();
  for (const WorkerId id : core_->outbox().due_grants(now)) {
    const Member* worker = core_->members().find(Role::kWorker, id.value);
    if (worker == nullptr) continue;
    proto::Grant grant = core_->grant_of(id);
    grant.manager_host = host_;
    tell(worker->peer, header(std::move(grant)));
    any = true;
  }
  for (const auto& [id, job] : core_->outbox().due_ends(now)) {
    const Member* server = core_->members().find(Role::kServer, id.value);
    if (server == nullptr) continue;
    proto::Header end = header(proto::EndJob{core_->outbox().keep(job)});
    end.envelope.job = job;
    tell(server->peer, std::move(end));
    any = true;
  }
  for (auto& order : core_->checkpoints().due(now)) {
    const Member* server = core_->members().find(Role::kServer, order.server.value);
    if (server == nullptr) continue;
    proto::Header save = header(std::move(order.order));
    save.envelope.job = order.job;
    tell(server->peer, std::move(save));
    any = true;
  }
  return any;
}

}  // namespace

std::unique_ptr<Actor> make_manager_actor(std::unique_ptr<Core> core, std::unique_ptr<net::Listener> listener, net::Runtime runtime) {
  return std::make_unique<ManagerActor>(std::move(core), std::move(listener), runtime);
}

}  // namespace sluice::manager
