#pragma once
/// Finished jobs' models in a run's output folder: jobs/NAME/model.safetensors and jobs/NAME/job.yaml.

#include <string>

#include "base/result.h"
#include "proto/saved_model.h"

namespace sluice::cli::detail {

/// Makes model.safetensors and job.yaml of the parts that servers left in the folder, and removes the parts. Errors: kNotFound, kBadData (which part;
/// they are left then), kIo.
[[nodiscard]] Result<void> join_model(const std::string& folder);

/// The model of a job: of a file, of a job's folder, or of its parts. Errors: kNotFound, kBadData.
[[nodiscard]] Result<proto::SavedModel> load_model(const std::string& path);

/// The job as a run file writes it, in YAML, with what is known of its data.
[[nodiscard]] std::string job_yaml(const proto::SavedJob& job);

/// One .npy file a tensor (NumPy's format 1.0) in `folder`: TABLE.npy, or TABLE.keys.npy and TABLE.values.npy. Errors: kIo.
[[nodiscard]] Result<void> write_npy(const std::string& folder, const proto::SavedModel& model);

}  // namespace sluice::cli::detail
