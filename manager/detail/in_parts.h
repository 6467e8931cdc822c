#pragma once
/// A pass over many jobs on several threads.

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <cstddef>

namespace sluice::manager {

/// `of(first, end)` for parts that together are 0 … count − 1, each of half of `apart` entries at least; of fewer than four times `apart` there is one part, on
/// this thread. Parts are done at the same time, in any order, cut anywhere: what comes out must not depend on that. Returns when all are done.
template <class Of>
void in_parts(std::size_t count, std::size_t apart, const Of& of) {
  if (count < 4 * apart) return of(std::size_t{0}, count);
  // Isolated: while it waits this thread takes no other work, which in a study may be a whole simulation.
  tbb::this_task_arena::isolate(
      [&] { tbb::parallel_for(tbb::blocked_range<std::size_t>(0, count, apart), [&](const auto& part) { of(part.begin(), part.end()); }); });
}

}  // namespace sluice::manager
