#pragma once
/// A broken invariant of our own: stays on in release, prints where and aborts. Never for a peer's bytes or a user's file (those are `Result`).

namespace sluice {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;
}  // namespace sluice

#define SLUICE_ASSERT(expression) (static_cast<bool>(expression) ? void(0) : ::sluice::assertion_failed(#expression, __FILE__, __LINE__))
