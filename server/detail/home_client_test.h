#pragma once
/// A job home of a test's shape, and a client of it.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "server/job_home.h"

namespace sluice::server {

inline constexpr JobId kHomeJob{3};

struct Shape {
  std::uint64_t rows = 1000;
  std::uint64_t test_rows = 0;
  std::uint32_t chunk_rows = 128;
  std::uint32_t epochs = 2;
  proto::ConsistencySpec consistency;
  std::uint32_t patience = 0;
  proto::ValidationSpec validation = {};
  std::uint32_t phases = 0;
  std::optional<proto::TargetSpec> target = {};
  bool converged = false;  ///< stop_converged
};

inline proto::Join join_of(const Shape& shape) {
  proto::JobSpec spec;
  spec.name = "j", spec.model = "softmax", spec.data.name = "d", spec.data.format = "idx", spec.data.train = {"/a", "/b"};
  spec.epochs = shape.epochs, spec.consistency = shape.consistency, spec.patience_epochs = shape.patience, spec.validation = shape.validation;
  spec.target = shape.target, spec.stop_converged = shape.converged;
  proto::Join join;
  join.spec = proto::to_json(spec), join.data_hash = 99, join.train_rows = shape.rows, join.test_rows = shape.test_rows, join.chunk_rows = shape.chunk_rows;
  proto::TableSpec table;
  table.name = "w", table.rows = 10, table.cols = 4, table.seed = 5;
  table.holds = shape.phases > 0 || shape.consistency.mode == proto::ConsistencyMode::kBsp;
  join.tables = {table};
  join.phases = shape.phases;
  return join;
}

inline std::unique_ptr<JobHome> open(const Shape& shape) {
  auto home = JobHome::open(kHomeJob, 0, join_of(shape));
  SLUICE_ASSERT(home.has_value());
  return std::move(*home);
}

/// A client that does what a worker slot does, one message at a time, and counts what it was told is committed.
struct Slot {
  Incarnation id;
  bool in = false;
  std::uint64_t clock = 0;
  std::uint64_t gate = 0;
  std::uint64_t sequence = 1;
  proto::LeaseReply lease{};

  void join(JobHome& home, const Shape& shape) { join(home, join_of(shape)); }
  void join(JobHome& home, const proto::Join& body) {
    const auto reply = home.join(id, body);
    ASSERT_TRUE(reply) << reply.error().what;
    in = true, clock = reply->clock, gate = reply->gate, sequence = reply->commit_sequence, lease = {};
  }
  [[nodiscard]] proto::Commit next_commit(std::uint32_t batch, bool next_lease) const {
    proto::Commit commit;
    commit.examples = std::min(batch, lease.rows - lease.offset);
    commit.sequence = sequence, commit.clock = clock, commit.lease = lease.lease, commit.offset = lease.offset + commit.examples;
    commit.loss_sum = 2.0 * commit.examples, commit.loss_squares = 4.0 * commit.examples, commit.slot_seconds = 0.01, commit.next_lease = next_lease;
    return commit;
  }
};

}  // namespace sluice::server
