#pragma once
/// A text file, block by block, for readers that parse whole records of a block in parallel.

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "worker/data/rows.h"
#include "worker/data/source.h"

namespace sluice::worker::data {

/// Calls `take(text, ended)` for each block, and once with `ended` where the file ends; text begins with what was left of the block before. take: a callable
/// that gives a Result of the bytes it is done with, from the beginning of text: all of them where `ended`. Errors: the file's and take's.
template <class Take>
[[nodiscard]] Result<void> read_blocks(SourceFile& file, std::size_t block_bytes, const Progress& progress, Take take) {
  const std::size_t block = std::min<std::size_t>(block_bytes, 4096 + 4 * file.identity().size);  // no more room than a small file needs
  std::string text;
  for (bool ended = false; !ended;) {
    const std::size_t kept = text.size();
    text.resize(kept + block);
    const auto got = file.read(std::as_writable_bytes(std::span(text).subspan(kept)));
    if (!got) return fail(got.error());
    text.resize(kept + *got);
    ended = *got == 0;
    const Result<std::size_t> done = take(std::string_view(text), ended);
    if (!done) return fail(done.error());
    text.erase(0, *done);
    if (progress) progress(file.percent());
  }
  return {};
}

}  // namespace sluice::worker::data
