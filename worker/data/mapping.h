#pragma once
/// How a training file was read, as text that is kept with a model, so that rows can be read the same way without the training file.

#include <string>

#include "worker/data/rows.h"
#include "worker/model.h"

namespace sluice::worker::data {

struct SavedMapping {
  Mapping mapping;
  DataShape shape;  ///< of the training rows
};

/// {"features":…,"classes":…,"sparse":…,"rows":…,"labels":[…],"index_base":…,"schema":"…"}
[[nodiscard]] std::string to_json(const SavedMapping& mapping);
/// Errors: kBadData: not what to_json() writes.
[[nodiscard]] Result<SavedMapping> mapping_from_json(const std::string& json);

}  // namespace sluice::worker::data
