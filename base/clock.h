#pragma once
/// The time seam. Nothing else of ours reads time. Leases, deadlines and decisions use monotonic time only; wall time is for people.

#include <compare>
#include <cstdint>
#include <limits>

namespace sluice {

/// A length of time in nanoseconds.
struct Duration {
  std::int64_t ns = 0;
  [[nodiscard]] constexpr double seconds() const { return static_cast<double>(ns) * 1e-9; }
  [[nodiscard]] constexpr double ms() const { return static_cast<double>(ns) * 1e-6; }
  friend constexpr auto operator<=>(const Duration&, const Duration&) = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }
  friend constexpr Duration operator-(Duration a, Duration b) { return {a.ns - b.ns}; }
  friend constexpr Duration operator*(Duration a, std::int64_t k) { return {a.ns * k}; }
};
[[nodiscard]] constexpr Duration from_ms(std::int64_t ms) { return {ms * 1'000'000}; }
[[nodiscard]] constexpr Duration from_us(std::int64_t us) { return {us * 1'000}; }
[[nodiscard]] constexpr Duration from_seconds(double s) { return {static_cast<std::int64_t>(s * 1e9)}; }

/// A point of monotonic time; comparable only between processes of one host (CLOCK_MONOTONIC) or within one simulation.
struct Instant {
  std::int64_t ns = 0;
  [[nodiscard]] static constexpr Instant never() { return {std::numeric_limits<std::int64_t>::max()}; }
  friend constexpr auto operator<=>(const Instant&, const Instant&) = default;
  friend constexpr Instant operator+(Instant a, Duration d) { return a == never() ? a : Instant{a.ns + d.ns}; }
  friend constexpr Duration operator-(Instant a, Instant b) { return {a.ns - b.ns}; }
};

class Clock {
 public:
  virtual ~Clock() = default;
  /// Monotonic now. Any thread.
  [[nodiscard]] virtual Instant now() const = 0;
  /// Milliseconds since 1970 UTC, for logs and files only; may jump. Any thread.
  [[nodiscard]] virtual std::int64_t wall_ms() const = 0;
};

/// CLOCK_MONOTONIC and CLOCK_REALTIME of this host.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override;
  [[nodiscard]] std::int64_t wall_ms() const override;
};

/// Time that moves only when told. One thread.
class SimClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return now_; }
  [[nodiscard]] std::int64_t wall_ms() const override { return now_.ns / 1'000'000; }
  void advance(Duration d) { now_ = now_ + d; }
  void advance_to(Instant t) { now_ = t > now_ ? t : now_; }

 private:
  Instant now_{1'000'000'000};
};

}  // namespace sluice
