#pragma once
/// Sections ↔ payload frames, by the rule in proto/messages.h: in order, never straddling two frames, each starting at a multiple of 8.

#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "net/transport.h"

namespace sluice::net {

/// Copies small sections together; takes large ones as frames of their own.
class PayloadWriter {
 public:
  static constexpr std::size_t kCopyBytesMax = 4096;
  /// Appends a section's bytes: copied into the shared frame when ≤ kCopyBytesMax and it directly follows other small ones, else its own frame (shared, not
  /// copied).
  void add(const Frame& frame);
  /// Appends a copy of the bytes.
  void add_copy(Bytes bytes);
  [[nodiscard]] std::vector<Frame> finish();

 private:
  void flush();
  std::string small_;
  std::vector<Frame> frames_;
};

/// Walks the sections of untrusted payload frames; bytes may be unaligned. The frames outlive the reader.
class PayloadReader {
 public:
  explicit PayloadReader(std::span<const Frame> frames) : frames_(frames) {}
  /// The next section's bytes. Errors: kMalformed when fewer are left.
  [[nodiscard]] Result<Bytes> take(std::size_t bytes);
  /// Like take, and what keeps those bytes alive.
  [[nodiscard]] Result<Frame> take_frame(std::size_t bytes);
  /// True when every byte was taken (padding aside).
  [[nodiscard]] bool at_end() const;

 private:
  std::span<const Frame> frames_;
  std::size_t frame_ = 0;
  std::size_t offset_ = 0;
};

}  // namespace sluice::net
