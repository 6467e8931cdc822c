#include "base/executor.h"

#include <pthread.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "base/rng.h"

namespace sluice {

struct ThreadExecutor::Impl {
  std::mutex mutex;
  bool stopping = false;
  std::list<std::unique_ptr<Actor>> actors;  ///< destroyed in join(), after their threads ended
  std::vector<std::thread> threads;
};

ThreadExecutor::ThreadExecutor() : impl_(std::make_unique<Impl>()) {}

ThreadExecutor::~ThreadExecutor() {
  stop();
  join();
}

namespace {
void run_actor(Actor& actor) {
  while (!actor.ended()) {
    const Step step = actor.step();
    if (!step.progressed && !actor.ended()) actor.wait(step.next);
  }
}
void name_thread(std::thread& thread, const std::string& name) { pthread_setname_np(thread.native_handle(), name.substr(0, 15).c_str()); }
}  // namespace

void ThreadExecutor::start(std::string name, std::unique_ptr<Actor> actor) {
  const std::lock_guard lock(impl_->mutex);
  Actor& ref = *impl_->actors.emplace_back(std::move(actor));
  if (impl_->stopping) ref.stop();
  name_thread(impl_->threads.emplace_back([&ref] { run_actor(ref); }), name);
}

void ThreadExecutor::run(std::string name, std::function<void()> job) {
  const std::lock_guard lock(impl_->mutex);
  name_thread(impl_->threads.emplace_back(std::move(job)), name);
}

void ThreadExecutor::stop() {
  const std::lock_guard lock(impl_->mutex);
  impl_->stopping = true;
  for (auto& actor : impl_->actors) {
    actor->stop();
    actor->wake();
  }
}

void ThreadExecutor::join() {
  for (;;) {
    std::vector<std::thread> threads;
    {
      const std::lock_guard lock(impl_->mutex);
      threads.swap(impl_->threads);
    }
    if (threads.empty()) break;
    for (auto& thread : threads) thread.join();
  }
  const std::lock_guard lock(impl_->mutex);
  impl_->actors.clear();
}

struct SimExecutor::Impl {
  struct Entry {
    std::string name;
    std::unique_ptr<Actor> actor;
    Instant next = Instant::never();
  };
  SimClock& clock;
  SeededRng rng;
  std::function<Instant()> next_event;
  Duration step_cost;
  std::vector<Entry> entries;
  std::vector<Entry> started;  ///< by an actor during a step; joins before the next pass
};

SimExecutor::SimExecutor(SimClock& clock, std::uint64_t seed, std::function<Instant()> next_event, Duration step_cost)
    : impl_(new Impl{clock, SeededRng(seed), std::move(next_event), step_cost, {}, {}}) {}
SimExecutor::~SimExecutor() = default;

void SimExecutor::start(std::string name, std::unique_ptr<Actor> actor) { impl_->started.push_back({std::move(name), std::move(actor), Instant::never()}); }

bool SimExecutor::run_until(const std::function<bool()>& done, Instant limit) {
  auto& s = *impl_;
  while (!done()) {
    if (s.clock.now() > limit) return false;
    for (auto& entry : s.started) s.entries.push_back(std::move(entry));
    s.started.clear();
    for (std::size_t i = s.entries.size(); i > 1; --i) std::swap(s.entries[i - 1], s.entries[s.rng.below(i)]);
    bool progressed = false;
    Instant next = s.next_event ? s.next_event() : Instant::never();
    for (auto& entry : s.entries) {
      const Step step = entry.actor->step();
      entry.next = step.next;
      if (step.progressed) {
        progressed = true;
        s.clock.advance(s.step_cost);
      }
      if (step.next < next) next = step.next;
    }
    std::erase_if(s.entries, [](const auto& entry) { return entry.actor->ended(); });
    if (progressed || !s.started.empty()) continue;
    if (s.next_event) next = std::min(next, s.next_event());
    if (next == Instant::never()) return done();
    s.clock.advance_to(std::max(next, s.clock.now() + Duration{1}));
  }
  return true;
}

std::size_t SimExecutor::kill(const std::string& prefix) {
  for (auto& entry : impl_->started) impl_->entries.push_back(std::move(entry));
  impl_->started.clear();
  return std::erase_if(impl_->entries, [&](const auto& entry) { return entry.name.starts_with(prefix); });
}

void SimExecutor::stop_all() {
  for (auto& entry : impl_->entries) entry.actor->stop();
  for (auto& entry : impl_->started) entry.actor->stop();
}

}  // namespace sluice
