#include "server/detail/control.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/host.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/text.h"

namespace sluice::server {
namespace {

constexpr Duration kBackoffMax = from_ms(3000);
constexpr Duration kAnswerWithin = from_ms(5000);  // of requests that are simply asked again
constexpr std::uint32_t kHeartbeatMsMin = 5, kHeartbeatMsMax = 60'000;

std::string in_seconds(std::uint32_t ms) { return ms % 1000 == 0 ? fmt::format("{} s", ms / 1000) : fmt::format("{} ms", ms); }

}  // namespace

void merge(proto::JobReport& earlier, const proto::JobReport& later) {
  proto::JobReport sum = later;
  sum.window_steps += earlier.window_steps;
  sum.window_examples += earlier.window_examples;
  sum.loss_sum += earlier.loss_sum;
  sum.loss_squares += earlier.loss_squares;
  const auto staleness = [](const proto::JobReport& r) { return r.staleness_mean * static_cast<double>(r.window_steps); };
  if (sum.window_steps > 0) sum.staleness_mean = (staleness(earlier) + staleness(later)) / static_cast<double>(sum.window_steps);
  earlier = std::move(sum);
}

Control::Control(ServerOptions options, std::vector<std::string> lane_addresses, std::vector<std::shared_ptr<LaneInbox>> lanes,
                 std::shared_ptr<ControlInbox> inbox, std::unique_ptr<net::Connection> manager, std::shared_ptr<net::Poller> poller, Clock& clock)
    : options_(std::move(options)),
      lane_addresses_(std::move(lane_addresses)),
      lanes_(std::move(lanes)),
      inbox_(std::move(inbox)),
      poller_(std::move(poller)),
      clock_(clock),
      channel_(std::move(manager), clock, {from_ms(250), 64}) {
  poller_->add(channel_.connection());
}

Control::~Control() { poller_->remove(channel_.connection()); }

proto::Header Control::header(proto::Body body) const {
  proto::Header out;
  out.envelope.ring = version_;
  out.body = std::move(body);
  return out;
}

Result<std::uint64_t> Control::send(proto::Body body, Instant deadline) {
  acted_ = true;  // what was sent may be answered in this very moment: a simulation must not jump to the next timer
  return channel_.request(header(std::move(body)), {}, deadline);
}

Step Control::step() {
  acted_ = channel_.step();
  while (auto completion = channel_.next()) completed(std::move(*completion));
  while (auto message = channel_.next_unasked()) unasked(*message);
  take_news();
  if (!ended()) timers(clock_.now());
  if (!ended()) send_reports();
  return {acted_, std::min(channel_.next_timer(), next_timer())};
}

Instant Control::next_timer() const { return std::min({register_at_, heartbeat_at_, table_at_}); }

void Control::timers(Instant now) {
  if (now >= register_at_) register_now();
  if (now >= heartbeat_at_) {
    // Each heartbeat is news of its own: the one before is given up, not repeated.
    if (heartbeat_request_ != 0) channel_.cancel(heartbeat_request_);
    if (now - answered_at_ > from_ms(5000)) complaints_.warn(now, fmt::format("server '{}': the manager is silent; serving on", options_.name));
    const auto sent = send(proto::Heartbeat{self_.value, proto::Role::kServer, resident_bytes()}, Instant::never());
    heartbeat_request_ = sent ? *sent : 0;
    heartbeat_at_ = now + from_ms(heartbeat_ms_);
  }
  if (now >= table_at_) ask_for_table();
}

void Control::register_now() {
  proto::Register request{proto::Role::kServer, options_.name, boot_id(), kBuild, lane_addresses_, 0};
  const Duration patience = was_member_ ? kAnswerWithin : from_ms(options_.manager_patience_ms);
  const auto sent = send(std::move(request), clock_.now() + patience);
  register_request_ = sent ? *sent : 0;
  register_at_ = sent ? Instant::never() : clock_.now() + backoff_;
}

void Control::registered(const proto::Registered& answer) {
  if (!was_member_) log::info("server '{}': member {} with {} lanes", options_.name, answer.id, lanes_.size());
  was_member_ = true;
  if (self_ != ServerId(answer.id)) version_ = RingVersion(0);  // as another member we own other slots: the lanes must hear it
  self_ = ServerId(answer.id);
  heartbeat_ms_ = std::clamp(answer.heartbeat_ms, kHeartbeatMsMin, kHeartbeatMsMax);
  answered_at_ = clock_.now();
  heartbeat_at_ = answered_at_ + from_ms(heartbeat_ms_);
  register_at_ = Instant::never();
  backoff_ = from_ms(200);
  if (!answer.slot_table.empty()) take_table(answer.slot_table);
}

void Control::fatal(Error error) {
  failed_ = true;
  log::error("server '{}': {}", options_.name, error.what);
  if (options_.on_fatal) options_.on_fatal(error);
}

void Control::registration_failed(const Error& error, bool retry) {
  if (!was_member_ && error.code == Errc::kTimedOut) {
    return fatal({Errc::kCannotConnect, fmt::format("no manager at {} within {}", options_.manager, in_seconds(options_.manager_patience_ms))});
  }
  if (!was_member_ && !retry) return fatal({Errc::kCannotConnect, fmt::format("the manager at {}: {}", options_.manager, error.what)});
  complaints_.warn(clock_.now(), fmt::format("server '{}': could not register again: {}; serving on", options_.name, error.what));
  register_at_ = clock_.now() + backoff_;
  backoff_ = std::min(backoff_ * 2, kBackoffMax);
}

void Control::lost_membership(const std::string& why) {
  if (self_.value == 0) return;
  log::warn("server '{}': no longer a member ({}); registering again", options_.name, why);
  self_ = ServerId(0);
  heartbeat_at_ = Instant::never();
  register_at_ = clock_.now() + backoff_;
}

void Control::heartbeat_answered(const net::Answer& answer) {
  answered_at_ = clock_.now();
  if (const auto* refused = std::get_if<proto::Refused>(&answer.header.body)) return lost_membership(refused->text);
  if (answer.header.envelope.ring > version_) ask_for_table();
}

void Control::completed(net::Completion completion) {
  const std::uint64_t request = completion.request;
  const auto* refused = completion.answer ? std::get_if<proto::Refused>(&completion.answer->header.body) : nullptr;
  if (request == register_request_) {
    register_request_ = 0;
    if (!completion.answer) return registration_failed(completion.answer.error(), false);
    if (refused != nullptr) return registration_failed({Errc::kRejected, refused->text}, refused->kind == proto::RefusalKind::kBehind);
    if (const auto* answer = std::get_if<proto::Registered>(&completion.answer->header.body)) return registered(*answer);
    return registration_failed({Errc::kMalformed, "an unexpected kind of answer"}, false);
  }
  if (request == heartbeat_request_) {
    heartbeat_request_ = 0;
    if (completion.answer) heartbeat_answered(*completion.answer);
  } else if (request == table_request_) {
    table_request_ = 0;
    const auto* table = completion.answer ? std::get_if<proto::SlotTableMessage>(&completion.answer->header.body) : nullptr;
    if (table != nullptr && !table->bytes.empty()) take_table(table->bytes);
    if (wanted_ > version_) table_at_ = clock_.now() + from_ms(100);
  } else if (request == report_request_) {
    report_request_ = 0;
    if (refused != nullptr && refused->kind == proto::RefusalKind::kError) {
      complaints_.warn(clock_.now(), fmt::format("server '{}': a report was refused: {}", options_.name, refused->text));
    }
    const bool again = !completion.answer || (refused != nullptr && refused->kind != proto::RefusalKind::kError);
    if (refused != nullptr && refused->kind == proto::RefusalKind::kNotMember) lost_membership(refused->text);
    if (!again) in_flight_.clear();
  }
}

void Control::take_table(const std::string& bytes) {
  auto table = proto::slot_table_from_bytes(bytes);
  if (!table) {
    static Counter& malformed = metrics().counter("server.slot_tables_malformed");
    malformed.add();
    return complaints_.warn(clock_.now(), fmt::format("server '{}': a slot table from the manager is not valid: {}", options_.name, table.error().what));
  }
  if (!table->made() || table->version <= version_ || self_.value == 0) return;
  version_ = table->version;
  const auto view = std::make_shared<const View>(self_, static_cast<std::uint32_t>(lanes_.size()), std::move(*table));
  for (const auto& lane : lanes_) lane->set_view(view);
}

void Control::ask_for_table() {
  table_at_ = Instant::never();
  if (table_request_ != 0 || self_.value == 0) return;
  const auto sent = send(proto::SlotTableRequest{}, clock_.now() + kAnswerWithin);
  if (sent) table_request_ = *sent;
}

void Control::unasked(const net::Answer& message) {
  const proto::Body& body = message.header.body;
  if (const auto* table = std::get_if<proto::SlotTableMessage>(&body)) return take_table(table->bytes);
  if (const auto* end = std::get_if<proto::EndJob>(&body)) end_job(message.header.envelope.job, end->keep);
  if (const auto* save = std::get_if<proto::SaveJob>(&body)) save_job(message.header.envelope.job, *save);
}

void Control::save_job(JobId job, const proto::SaveJob& order) {
  if (!text::valid_name(order.cut)) return;
  const auto known = saving_.find(job);
  if (!order.folder.empty() && known != saving_.end() && known->second.cut == order.cut) {
    if (known->second.said) job_answer(job, *known->second.said);  // said before: it got lost
    return;
  }
  for (const auto& lane : lanes_) lane->save_job(job, order);
  if (order.folder.empty()) {
    saving_.erase(job);
    job_answer(job, proto::Saved{order.cut, 0, false, 0, 0, {}, {}});
  } else {
    saving_.insert_or_assign(job, Saving{order.cut, std::nullopt});
  }
}

void Control::end_job(JobId job, const std::string& keep) {
  pending_.erase(job);
  saving_.erase(job);
  if (keeping_.contains(job)) return;  // it comes again until it is answered
  const bool all =
      std::all_of(lanes_.begin(), lanes_.end(), [&](const auto& lane) { return lane->end_job(job, options_.models.empty() ? std::string() : keep); });
  if (!all) return;  // a lane's queue is full: unanswered, it comes again
  if (!options_.models.empty() && !keep.empty()) {
    keeping_.insert(job);
  } else {
    job_answer(job, proto::Done{});
  }
}

void Control::job_answer(JobId job, proto::Body answer) {
  proto::Header said = header(std::move(answer));
  said.envelope.job = job;
  (void)channel_.post(std::move(said));
}

void Control::take_news() {
  auto news = inbox_->take();
  if (news.wanted > wanted_) wanted_ = news.wanted;
  if (news.wanted > version_) ask_for_table();
  for (const auto& [job, result] : news.kept) {
    keeping_.erase(job);
    if (!result) log::error("job {} is not kept: {}", job.value, result.error().what);
    job_answer(job, result ? proto::Body(proto::Done{})
                           : proto::Body(proto::Refused{proto::RefusalKind::kError, std::string(name_of(result.error().code)), result.error().what, {}}));
  }
  for (auto& [job, said] : news.saved) {
    const auto it = saving_.find(job);
    if (it == saving_.end() || it->second.cut != said.cut) continue;
    if (it->second.said && !it->second.said->text.empty()) continue;  // one lane's word is enough
    it->second.said = said;
    job_answer(job, std::move(said));
  }
  for (auto& report : news.reports) {
    const auto [it, fresh] = pending_.try_emplace(report.job, report);
    if (!fresh) merge(it->second, report);
  }
}

void Control::send_reports() {
  if (report_request_ != 0 || self_.value == 0) return;
  if (in_flight_.empty()) {
    while (!pending_.empty() && in_flight_.size() < proto::kReportsMax) in_flight_.push_back(std::move(pending_.extract(pending_.begin()).mapped()));
  }
  if (in_flight_.empty()) return;
  const auto sent = send(proto::Report{self_.value, in_flight_}, clock_.now() + kAnswerWithin);
  if (sent) report_request_ = *sent;
}

}  // namespace sluice::server
