#include "base/result.h"

namespace sluice {

int exit_code(Errc code) noexcept {
  switch (code) {
    case Errc::kJobFailed:
    case Errc::kRejected: return 1;
    case Errc::kBadConfig:
    case Errc::kNotFound: return 2;
    case Errc::kBadData: return 3;
    case Errc::kCannotConnect: return 4;
    case Errc::kDenied: return 5;
    case Errc::kUnplaceable: return 6;
    case Errc::kTimedOut:
    case Errc::kFull: return 7;
    case Errc::kPartlyDone:
    case Errc::kIo: return 8;
    case Errc::kInterrupted: return 130;
    case Errc::kInternal:
    case Errc::kMalformed: return 70;
  }
  return 70;
}

std::string_view name_of(Errc code) noexcept {
  switch (code) {
    case Errc::kJobFailed: return "job_failed";
    case Errc::kBadConfig: return "bad_config";
    case Errc::kBadData: return "bad_data";
    case Errc::kCannotConnect: return "cannot_connect";
    case Errc::kDenied: return "denied";
    case Errc::kUnplaceable: return "unplaceable";
    case Errc::kTimedOut: return "timed_out";
    case Errc::kPartlyDone: return "partly_done";
    case Errc::kInternal: return "internal";
    case Errc::kInterrupted: return "interrupted";
    case Errc::kRejected: return "rejected";
    case Errc::kNotFound: return "not_found";
    case Errc::kFull: return "full";
    case Errc::kMalformed: return "malformed";
    case Errc::kIo: return "io";
  }
  return "internal";
}

Errc errc_of(std::string_view name, Errc otherwise) noexcept {
  for (int i = 0; i <= static_cast<int>(Errc::kIo); ++i)  // the last one
    if (name == name_of(static_cast<Errc>(i))) return static_cast<Errc>(i);
  return otherwise;
}

}  // namespace sluice
