#pragma once
/// `data:` of a run file: named datasets, their files resolved and looked for.

#include <map>
#include <string>

#include "base/config.h"
#include "proto/job_spec.h"

namespace sluice::cli::detail {

/// folder: relative roots start there (the run file's own folder). Files that aren't there are kBadData, with the Debian package that has them where that is
/// known. A dataset with mistakes is still in the result under its name, so that jobs that use it cause no further words.
[[nodiscard]] std::map<std::string, proto::DataSpec> read_data_section(const config::Node& node, const std::string& folder, config::Problems& problems);

/// `file` of a job's validation: one file, which becomes the job's test part. Formats of two files are refused.
void read_test_file(const config::Node& node, const std::string& folder, config::Problems& problems, proto::DataSpec& data);

/// The same words; a data file that isn't there is bad data to whoever named it, as it is in a run file.
[[nodiscard]] Error data_error(Error error);

/// What to do about a missing file, or nothing: " (sudo apt-get install dataset-fashion-mnist)".
[[nodiscard]] std::string how_to_get(const std::string& path);

}  // namespace sluice::cli::detail
