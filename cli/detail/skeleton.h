#pragma once
/// `sluice model new`: a plug-in that builds and keeps the contract, to be changed into one's own.

#include <string>

#include "base/result.h"

namespace sluice::cli::detail {

/// Writes CMakeLists.txt, NAME.cc and NAME.yaml into `folder`, which is made. Errors: kBadConfig (the name), kIo (a file is there already, or can't be
/// written).
[[nodiscard]] Result<void> write_skeleton(const std::string& name, const std::string& folder);

}  // namespace sluice::cli::detail
