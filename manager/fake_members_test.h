#pragma once
/// For tests of the manager alone: servers and workers that are members, train nothing, and say what a test makes up; all in one thread on the in-process
/// transport.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "base/executor.h"
#include "manager/manager.h"
#include "net/channel.h"
#include "net/inproc_transport.h"
#include "proto/slot_table.h"

namespace sluice::manager::test {

/// What "training" did so far, shared by the fakes of one test: slots push steps in, homes report them.
struct World {
  struct Job {
    double steps = 0, slot_seconds = 0;
    std::uint64_t steps_total = 20000;
    std::function<double(double)> loss = [](double step) { return 2 / (1 + step / 1000) + 0.1; };
    std::uint64_t evaluate_left = 3;  ///< evaluate units after training; each needs a slot for 10 ms
    Instant began = Instant::never();
  };
  std::map<JobId, Job> jobs;
  double steps_per_second = 1000;
  std::uint64_t batch = 10;
};

/// What both kinds of member do: register, beat, keep the slot table.
class FakeMember : public Actor {
 public:
  FakeMember(net::Runtime runtime, const std::string& manager, proto::Register self)
      : clock_(runtime.clock), self_(std::move(self)), channel_(*runtime.transport.connect(manager), runtime.clock), beat_at_(runtime.clock.now()) {}

  Step step() override {
    bool any = channel_.step();
    while (auto done = channel_.next()) {
      any = true;
      if (done->answer) take_answer(done->answer->header);
    }
    while (auto said = channel_.next_unasked()) {
      any = true;
      if (const auto* newer = std::get_if<proto::SlotTableMessage>(&said->header.body)) take_table(newer->bytes);
      told(said->header);
    }
    const Instant now = clock_.now();
    if (now >= beat_at_ && !mute) {
      beat_at_ = now + from_ms(200);
      any = true;
      proto::Header h;
      h.envelope.ring = table.version;
      h.body = id == 0 ? proto::Body{self_} : proto::Body{proto::Heartbeat{id, self_.role, 0}};
      (void)channel_.request(std::move(h), {}, now + from_ms(1000));
    }
    any = work(now) || any;
    return {any, std::min({channel_.next_timer(), mute ? Instant::never() : beat_at_, work_at_})};
  }
  void wait(Instant) override {}
  void wake() override {}
  void stop() override { stopped_ = true; }
  [[nodiscard]] bool ended() const override { return stopped_; }

  std::uint32_t id = 0;
  bool mute = false;  ///< says nothing any more, like a stopped process
  std::vector<Incarnation> clients;
  proto::SlotTable table;
  std::vector<proto::Refused> refused;
  Term term;

 protected:
  virtual void told(const proto::Header& header) = 0;
  virtual bool work(Instant now) = 0;
  void post(proto::Header header) {
    if (!mute) (void)channel_.post(std::move(header));
  }
  void ask(proto::Header header) {
    if (!mute) (void)channel_.request(std::move(header), {}, clock_.now() + from_ms(2000));
  }
  void take_table(const std::string& bytes) {
    if (bytes.empty()) return;
    auto read = proto::slot_table_from_bytes(bytes);
    ASSERT_TRUE(read) << read.error().what;
    if (read->version > table.version) table = std::move(*read);
  }
  void take_answer(const proto::Header& header) {
    term = std::max(term, header.envelope.manager_term);
    if (const auto* r = std::get_if<proto::Registered>(&header.body)) {
      id = r->id;
      clients = r->clients;
      take_table(r->slot_table);
    }
    if (const auto* r = std::get_if<proto::Refused>(&header.body)) {
      refused.push_back(*r);
      if (r->kind == proto::RefusalKind::kNotMember) id = 0;
    }
  }

  Clock& clock_;
  proto::Register self_;
  net::Channel channel_;
  Instant beat_at_, work_at_;

 private:
  bool stopped_ = false;
};

class FakeServer final : public FakeMember {
 public:
  FakeServer(net::Runtime runtime, const std::string& manager, const std::string& name, World& world)
      : FakeMember(runtime, manager, {proto::Role::kServer, name, "host", "1", {"inproc://" + name + "-0"}, 0}), world_(world) {}

  std::set<JobId> ended_jobs;
  std::function<void(proto::JobReport&)> twist;  ///< what this server lies about

 private:
  void told(const proto::Header& header) override {
    if (!std::holds_alternative<proto::EndJob>(header.body)) return;
    ended_jobs.insert(header.envelope.job);
    world_.jobs.erase(header.envelope.job);
    proto::Header done;
    done.envelope.job = header.envelope.job;
    post(std::move(done));
  }
  bool work(Instant now) override {
    if (now < work_at_) return false;
    work_at_ = now + from_ms(250);
    if (id == 0 || !table.made()) return false;
    proto::Report report{id, {}};
    for (auto& [job, state] : world_.jobs)
      if (table.at(proto::home_slot(job)).primary == ServerId{id}) add(job, state, now, report);
    if (report.jobs.empty()) return false;
    proto::Header h;
    h.body = std::move(report);
    ask(std::move(h));
    return true;
  }
  void add(JobId job, World::Job& state, Instant now, proto::Report& report) {
    auto& seen = seen_[job];
    proto::JobReport r;
    r.job = job;
    r.generation = 1;
    r.step = std::min(static_cast<std::uint64_t>(state.steps), state.steps_total);
    r.examples = r.step * world_.batch;
    r.examples_total = state.steps_total * world_.batch;
    r.window_steps = r.step - seen;
    r.window_examples = r.window_steps * world_.batch;
    const double loss = state.loss(static_cast<double>(seen + r.step) / 2);
    r.loss_sum = loss * static_cast<double>(r.window_examples);
    r.loss_squares = loss * r.loss_sum * 1.01;
    r.seconds = state.began == Instant::never() ? 0 : (now - state.began).seconds();
    r.slot_seconds = state.slot_seconds;
    if (r.step >= state.steps_total) r.state = state.evaluate_left > 0 ? proto::HomeState::kEvaluating : proto::HomeState::kFinished;
    if (r.state == proto::HomeState::kFinished)
      r.evaluated = 100, r.evaluated_at_step = r.step, r.validation_loss = loss, r.metric = 0.9, r.metric_name = "accuracy";
    if (r.window_steps == 0 && r.state == proto::HomeState::kTraining) return;
    seen = r.step;
    if (twist) twist(r);
    report.jobs.push_back(r);
  }
  World& world_;
  std::map<JobId, std::uint64_t> seen_;
};

class FakeWorker final : public FakeMember {
 public:
  FakeWorker(net::Runtime runtime, const std::string& manager, const std::string& name, std::uint32_t slots, World& world)
      : FakeMember(runtime, manager, {proto::Role::kWorker, name, "host", "1", {}, slots}), world_(world) {}

  proto::Grant grant;
  DecisionId decision;
  std::function<void(const proto::Header&)> on_grant;
  bool deaf = false;  ///< does not acknowledge grants
  void fault(JobId job, const std::string& code, const std::string& words) {
    proto::Header h;
    h.envelope.job = job;
    h.envelope.generation = 1;
    h.body = proto::JobFault{id, code, words};
    ask(std::move(h));
  }

 private:
  void told(const proto::Header& header) override {
    const auto* said = std::get_if<proto::Grant>(&header.body);
    if (said == nullptr) return;
    if (on_grant) on_grant(header);
    if (header.envelope.decision >= decision || header.envelope.manager_term > term) {
      for (std::size_t i = 0; i < said->assignments.size(); ++i) {
        const JobId before = i < grant.assignments.size() ? grant.assignments[i].job : JobId{}, after = said->assignments[i].job;
        if (after != before && after != JobId{}) moved(before, said->assignments[i]);
      }
      grant = *said;
      decision = header.envelope.decision;
    }
    proto::Header done;
    done.envelope.manager_term = header.envelope.manager_term;
    done.envelope.decision = header.envelope.decision;
    if (!deaf) post(std::move(done));
  }
  void moved(JobId from, const proto::Assignment& to) {
    proto::Header h;
    h.envelope.job = to.job;
    h.body = proto::Moved{id, to.slot, from, to.job, 3.0, 1.0, 2.0, false};
    ask(std::move(h));
  }
  bool work(Instant now) override {
    if (now < work_at_) return false;
    const double passed = std::min(0.02, (now - worked_).seconds());
    worked_ = now;
    work_at_ = now + from_ms(10);
    if (mute) return false;
    for (const auto& assignment : grant.assignments) {
      if (assignment.job == JobId{}) continue;
      auto& job = world_.jobs[assignment.job];
      if (job.began == Instant::never()) job.began = now;
      job.slot_seconds += passed;
      if (job.steps < static_cast<double>(job.steps_total))
        job.steps += passed * world_.steps_per_second;
      else if (job.evaluate_left > 0)
        --job.evaluate_left;
    }
    return false;
  }
  World& world_;
  Instant worked_;
};

}  // namespace sluice::manager::test
