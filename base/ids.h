#pragma once
/// Ids are types: a JobId can't be passed where a ShardId is wanted. All are plain values, safe to copy and share.

#include <compare>
#include <cstdint>
#include <functional>

namespace sluice {

template <class Tag, class Int>
struct Id {
  using Value = Int;
  Int value{};
  constexpr Id() = default;
  constexpr explicit Id(Int v) : value(v) {}
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

using JobId = Id<struct JobIdTag, std::uint64_t>;              ///< given by the manager, from 1, never reused within a state folder
using TableId = Id<struct TableIdTag, std::uint32_t>;          ///< index of a table within its job
using ShardId = Id<struct ShardIdTag, std::uint32_t>;          ///< index of a shard within its table
using HashSlot = Id<struct HashSlotTag, std::uint16_t>;        ///< 0 … 16383: where a shard or a job home is placed
using ServerId = Id<struct ServerIdTag, std::uint32_t>;        ///< one registered server process, from 1
using WorkerId = Id<struct WorkerIdTag, std::uint32_t>;        ///< one registered worker process, from 1
using Incarnation = Id<struct IncarnationTag, std::uint64_t>;  ///< one client (a worker slot) in one membership; from the manager, never reused; 0 = none
using RingVersion = Id<struct RingVersionTag, std::uint64_t>;  ///< version of the published slot table; 0 = none yet
using Term = Id<struct TermTag, std::uint64_t>;                ///< who may decide: of a manager, or of a shard's primary
using DecisionId = Id<struct DecisionIdTag, std::uint64_t>;    ///< one round's decision, increasing within a manager term
using ChunkId = Id<struct ChunkIdTag, std::uint32_t>;          ///< a contiguous range of a dataset's shuffled rows
using WorkerSlot = Id<struct WorkerSlotTag, std::uint32_t>;    ///< index of a worker slot within its worker: a right to a core

}  // namespace sluice

template <class Tag, class Int>
struct std::hash<sluice::Id<Tag, Int>> {
  std::size_t operator()(const sluice::Id<Tag, Int>& id) const noexcept { return std::hash<Int>{}(id.value); }
};
