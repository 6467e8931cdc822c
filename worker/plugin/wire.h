#pragma once
/// What a worker's slot and its slot process write into the memory that they share. One call at a time: the worker fills in `Call`, wakes the process, and gets
/// `Reply`. The process believes the worker; the worker copies the reply out and believes nothing in it.
///
/// Three memory files. Work: the page below, then what a call carries and what it brings back; both sides write. Values: the job's dense
/// tables and the dense rows of its batches; only the worker can write to it. Updates: what updates of
/// dense tables are lent to servers from; both sides write.

#include <cstddef>
#include <cstdint>

#include "proto/table_spec.h"
#include "sluice/abi.h"

namespace sluice::worker::plugin {

enum class Op : std::uint32_t { kHello = 0, kOpen, kMake, kKeys, kUpdate, kOutputs, kEvaluate, kPhases, kFinishPhase, kCheck, kMapUpdates };

/// `count` elements from byte `at` of the work file.
struct Place {
  std::uint64_t at = 0;
  std::uint64_t count = 0;
};

struct TableRecord {
  std::uint64_t in_values = 0;  ///< 1: `values` is of the values file
  Place values;                 ///< floats
  Place keys;
  std::uint64_t out_in_updates = 0;  ///< 1: `out` is of the updates file
  std::uint64_t guarded = 0;         ///< 1: a guard of kGuard bytes follows `out`
  Place out;                         ///< floats
};

struct Call {
  std::uint64_t number = 0;  ///< from 1
  Op op = Op::kHello;
  std::uint32_t argument = 0;       ///< epochs, phase; kUpdate: 1: fill `out` with NaN before
  std::uint64_t work_bytes = 0;     ///< of the file: map it so
  std::uint64_t values_bytes = 0;   ///< of the file: 0: there is none yet
  std::uint64_t updates_bytes = 0;  ///< kMapUpdates: of the file, for ever
  std::uint64_t memory_bytes = 0;   ///< kOpen: what the process may have beside
  std::uint64_t digest = 0;         ///< kOpen: of the library's file; 0: any
  Place text;                       ///< kOpen: path; kMake, kCheck: params
  sluice_shape shape = {};
  std::uint64_t rows = 0, features = 0;
  std::uint64_t dense_in_values = 0;  ///< 1: `dense` is of the values file
  Place dense, offsets, indices, entries, labels;
  Place room;  ///< bytes for what comes back beside the reply
  std::uint32_t tables = 0, reserved = 0;
  TableRecord table[proto::kTablesMax];
};

enum class Status : std::uint32_t {
  kOk = SLUICE_OK,
  kFailed = SLUICE_FAILED,
  kBadParams = SLUICE_BAD_PARAMS,
  kNoMemory = SLUICE_NO_MEMORY,
  kNoRoom,   ///< `bytes` do not fit into the room: ask again with more
  kNotOurs,  ///< kOpen: it is no plug-in of this version
  kMissing,  ///< kOpen: it can't be loaded
  kOverrun,  ///< it wrote behind the memory that it was given
};

struct Reply {
  std::uint64_t number = 0;  ///< the call's; 0: ready for the first
  Status status = Status::kOk;
  std::uint32_t kind = 0;   ///< kMake: update kind; kPhases: phases; kFinishPhase: done
  std::uint64_t bytes = 0;  ///< in the room
  std::uint64_t examples = 0;
  double numbers[2] = {};                        ///< loss sum, loss squares or metric sum
  std::uint64_t counts[proto::kTablesMax] = {};  ///< kKeys: of each table
  char text[sizeof(sluice_error::text)] = {};    ///< why not, or what kOpen, kMake and kFinishPhase say
};

struct Page {
  Call call;
  Reply reply;
};
inline constexpr std::size_t kPageBytes = 8192;
static_assert(sizeof(Page) <= kPageBytes);
inline constexpr std::size_t kAlign = 64, kGuard = 64;
inline constexpr unsigned char kGuardByte = 0xA5;

/// A reply's room begins here with kMake: what the model says of itself, and its tables.
struct Made {
  std::uint32_t tables = 0;
  std::uint32_t predicts_labels = 1;  ///< 0 or 1
  char metric[56] = {};
  sluice_table table[proto::kTablesMax];
};

/// Descriptors of a slot process, beside 0, 1 and 2.
enum Descriptor : int { kWorkFd = 3, kValuesFd = 4, kCallFd = 5, kReplyFd = 6, kUpdatesFd = 7, kFirstForeignFd = 8 };

}  // namespace sluice::worker::plugin
