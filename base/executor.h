#pragma once
/// The thread seam. Everything that runs is an `Actor`: a state machine that handles what is ready and never blocks. A thread executor gives each actor its own
/// thread; a simulated executor steps all of them in one thread, in an order drawn from a seed.

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"

namespace sluice {

/// What one step did.
struct Step {
  bool progressed = false;          ///< something was handled; call again soon
  Instant next = Instant::never();  ///< the next timer: when to call again if nothing wakes it before
};

class Actor {
 public:
  virtual ~Actor() = default;
  /// Handles what is ready (messages, timers) and returns; never blocks. A slot's step may compute one batch. Always on one thread at a time.
  [[nodiscard]] virtual Step step() = 0;
  /// Blocks until something may be ready, `wake()` is called, or `until` has passed; may return early. Same thread as step(). Never called in a simulation.
  virtual void wait(Instant until) = 0;
  /// Makes a current or the next wait() return at once. Any thread.
  virtual void wake() = 0;
  /// Asks it to come to an orderly end within step() calls (flush, say goodbye). Any thread; idempotent; followed by a wake().
  virtual void stop() = 0;
  /// True once it has ended; it is then destroyed by the executor. Same thread as step().
  [[nodiscard]] virtual bool ended() const = 0;
};

class Executor {
 public:
  virtual ~Executor() = default;
  /// Takes the actor and steps it until it has ended. `name` is the thread's name (15 characters shown). Any thread.
  virtual void start(std::string name, std::unique_ptr<Actor> actor) = 0;
  /// Runs a blocking job (reading files) off the actors' threads; `job` must not throw. A simulation runs it at once, inline.
  virtual void run(std::string name, std::function<void()> job) = 0;
};

/// One thread an actor, one a job. Destruction stops all actors and joins all threads.
class ThreadExecutor final : public Executor {
 public:
  ThreadExecutor();
  ~ThreadExecutor() override;
  void start(std::string name, std::unique_ptr<Actor> actor) override;
  void run(std::string name, std::function<void()> job) override;
  /// Asks all actors to stop. Any thread.
  void stop();
  /// Blocks until every actor has ended and every job has returned.
  void join();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// All actors in the caller's thread. Each pass steps the live actors in an order drawn from the seed; a pass in which nothing progressed moves the clock to
/// the next timer.
class SimExecutor final : public Executor {
 public:
  /// `next_event` gives the time of the next delivery of a simulated transport, or never; may be empty. `step_cost`: simulated time each progressing step
  /// takes.
  SimExecutor(SimClock& clock, std::uint64_t seed, std::function<Instant()> next_event = {}, Duration step_cost = from_us(20));
  ~SimExecutor() override;
  void start(std::string name, std::unique_ptr<Actor> actor) override;
  void run(std::string name, std::function<void()> job) override { (void)name, job(); }
  /// Steps until `done()` holds (checked between steps), or the clock passes `limit`, or nothing can happen any more. True if done() held.
  [[nodiscard]] bool run_until(const std::function<bool()>& done, Instant limit);
  /// Destroys every actor whose name starts with `prefix`, without an orderly end, as SIGKILL would. Call it between runs. Returns how many.
  std::size_t kill(const std::string& prefix);
  void stop_all();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
