#pragma once
/// Errors are values. Nothing of ours throws across a room's face; `Result<T>` is either a T or an `Error` that says what is wrong in words a user can act on.

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace sluice {

/// What kind of wrong it is. The kind decides a process's exit status (`exit_code`) and whether a caller may retry.
enum class Errc {
  kJobFailed,      ///< a job failed with its own words (exit 1)
  kBadConfig,      ///< a run file, a flag, an unknown name (exit 2)
  kBadData,        ///< a data file's content (exit 3)
  kCannotConnect,  ///< cannot connect, cannot listen, version mismatch, path taken (exit 4)
  kDenied,         ///< not allowed (exit 5)
  kUnplaceable,    ///< can never be placed (exit 6)
  kTimedOut,       ///< the deadline passed; a retry is safe (exit 7)
  kPartlyDone,     ///< (exit 8)
  kInternal,       ///< our bug (exit 70)
  kInterrupted,    ///< a signal (exit 130)
  kRejected,       ///< a peer understood and said no; a retry will not help (exit 1)
  kNotFound,       ///< no such job, table, key, file (exit 2)
  kFull,           ///< a bounded queue is full; try later (exit 7)
  kMalformed,      ///< a peer's bytes are not a valid message (exit 70)
  kIo,             ///< the operating system refused: disk full, EIO (exit 8)
};

/// The process exit status for an error of this kind (surface contract: 0 ok, 1, 2, … 130).
[[nodiscard]] int exit_code(Errc code) noexcept;
/// A stable lower-case name, e.g. "bad_config"; used on the wire and in JSON.
[[nodiscard]] std::string_view name_of(Errc code) noexcept;
/// The kind of that name; `otherwise` for any other word.
[[nodiscard]] Errc errc_of(std::string_view name, Errc otherwise) noexcept;

struct Error {
  Errc code = Errc::kInternal;
  std::string what;  ///< one sentence for a person: what, where, and if known what to do
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string what) { return tl::unexpected<Error>(Error{code, std::move(what)}); }
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace sluice
