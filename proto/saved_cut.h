#pragma once
/// A checkpoint's job in files: a folder with one part a server, as each had its shards at the cut, and what the job's home knew in one of them
/// (docs/checkpoints.md has the format). A part carries checksums over every byte; all parts of a job name the same cut and each other's servers, so that
/// nothing missing, damaged or mixed up is taken for whole.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/saved_home.h"
#include "proto/saved_model.h"

namespace sluice::proto {

/// Where rows are copied to, each for as many rows as are asked; null: not wanted.
struct RowTargets {
  Key* keys = nullptr;
  std::uint64_t* counts = nullptr;  ///< updates of each row through the optimizer
  float* values = nullptr;
  float* state = nullptr;
};
/// A sparse bucket's rows that don't change any more. Any thread.
class RowSource {
 public:
  virtual ~RowSource() = default;
  [[nodiscard]] virtual std::size_t rows() const = 0;
  [[nodiscard]] virtual std::size_t state_floats() const = 0;  ///< of a row
  /// REQUIRES: first + n ≤ rows().
  virtual void copy(std::size_t first, std::size_t n, const RowTargets& to) const = 0;
};

/// One shard of a part. What the spans and `rows` point to lives until the part is written.
struct CutShard {
  TableId table;
  ShardId shard;
  std::span<const float> values = {}, state = {};  ///< dense
  std::uint64_t updates = 0;                       ///< dense
  const RowSource* rows = nullptr;                 ///< sparse; null: dense
};
struct CutPart {
  std::string cut;  ///< names the checkpoint: the same in all its parts
  JobId job;
  std::vector<TableSpec> tables;
  std::vector<CutShard> shards;
  const SavedJob* home_job = nullptr;  ///< both where the job's home is, else null
  const SavedHome* home = nullptr;
};
/// Writes FOLDER/SERVER.part.safetensors, synced to the disk; the bytes of it. Errors: kIo.
[[nodiscard]] Result<std::uint64_t> write_cut_part(const std::string& folder, const std::string& server, const CutPart& part);

/// A job's parts, all of them checked: each byte against its checksums, and that none is missing. What it hands out lives as long as it. Immutable; any thread.
class Cut {
 public:
  /// Errors: kNotFound: no part there; kIo; kBadData naming the file and what is wrong.
  [[nodiscard]] static Result<Cut> open(const std::string& folder);
  /// Whether the folder's parts are a checkpoint's, by a look at one of them.
  [[nodiscard]] static bool there(const std::string& folder);
  Cut(Cut&&) noexcept;
  ~Cut();

  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] const SavedJob& job() const;
  [[nodiscard]] const SavedHome& home() const;
  [[nodiscard]] const std::vector<TableSpec>& tables() const;  ///< by id; with seeds and optimizers
  [[nodiscard]] std::uint64_t bytes() const;                   ///< of all files
  [[nodiscard]] std::size_t parts() const;

  struct Dense {
    std::span<const float> values, state;
    std::uint64_t updates = 0;
  };
  /// None: nobody had touched it, it had its first values.
  [[nodiscard]] std::optional<Dense> dense(TableId table, ShardId shard) const;
  struct Rows {
    std::span<const Key> keys;
    std::span<const std::uint64_t> counts;
    std::span<const float> values, state;
  };
  [[nodiscard]] std::optional<Rows> rows(TableId table, ShardId shard) const;

 private:
  struct Impl;
  explicit Cut(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::proto
