#pragma once
/// What a job begins with where its spec names a file: values, and where a checkpoint is resumed all that was at the cut. Read on the keeper's thread, for one
/// lane at a time: only what that lane owns is copied, re-cut to its shards and re-hashed to its buckets.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "proto/job_spec.h"
#include "proto/saved_home.h"
#include "proto/table_spec.h"

namespace sluice::server {

/// One shard's beginning. An empty state: fresh.
struct FirstShard {
  std::vector<float> values, state;
  std::uint64_t updates = 0;          ///< dense
  std::vector<Key> keys;              ///< sparse: one a row
  std::vector<std::uint64_t> counts;  ///< sparse: updates of each row; empty: none
};
/// A shard that is not here has its table's own first values.
using FirstValues = std::map<std::pair<TableId, ShardId>, FirstShard>;

struct ResumedHome {
  proto::SavedHome home;
  std::vector<proto::TableSpec> tables;  ///< as they were opened, seeds included
};

/// REQUIRES: start.from is not empty; tables are valid, their optimizers known. Errors: kNotFound, kIo; kBadData naming the file: damaged, not whole, of other
/// shapes or (resume) another optimizer, values that are not finite, more rows than a table takes.
[[nodiscard]] Result<FirstValues> read_first_values(const proto::StartSpec& start, const std::vector<proto::TableSpec>& tables,
                                                    const std::function<bool(TableId, ShardId)>& owned);
/// Of a job in a checkpoint. Errors: as above.
[[nodiscard]] Result<ResumedHome> read_home(const std::string& folder);

}  // namespace sluice::server
