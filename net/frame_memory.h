#pragma once
/// Frames that are born in a memory file of the caller's, which another process of this host writes to: a slot process writes a gradient where it is lent from.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "net/transport.h"

namespace sluice::net {

/// A memory file (memfd: no name in any folder) and a mapping of it for reading and writing. Movable; what it has ends with it.
class MemoryFile {
 public:
  MemoryFile() = default;
  ~MemoryFile();
  MemoryFile(MemoryFile&& other) noexcept { swap(other); }
  MemoryFile& operator=(MemoryFile&& other) noexcept {
    swap(other);
    return *this;
  }
  /// Without bytes. False: the system has none to give.
  [[nodiscard]] bool create();
  /// Its size for ever, and its mapping: address space, memory is taken later. Once. False: the system has none to give.
  [[nodiscard]] bool set_size(std::size_t bytes);
  /// Nobody else can map it for writing from now on; who has done so goes on. REQUIRES: it has its size. False: the system can't.
  [[nodiscard]] bool seal();
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  void swap(MemoryFile& other) noexcept;

  int fd_ = -1;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Memory for frames in such a file. Frames may outlive it. One thread.
class FrameMemory {
 public:
  virtual ~FrameMemory() = default;
  /// As Transport::allocate(), and the `margin` bytes behind the frame belong to it too. None: all of it is in use. Content unspecified.
  [[nodiscard]] virtual std::optional<WritableFrame> allocate(std::size_t bytes, std::size_t margin) = 0;
};

/// What a transport can do beside whose peers may be processes of this host. Any thread.
class FrameMemories {
 public:
  virtual ~FrameMemories() = default;
  /// Takes a file over and seals it. Frames from it are lent to peers that can take them, and travel as bytes to others. Whoever else writes to the file must
  /// have mapped it before, and may change a frame's values under a reader: so never anything but values of one job. nullptr: it can't be lent from, and is
  /// still the caller's.
  [[nodiscard]] virtual std::unique_ptr<FrameMemory> adopt(MemoryFile& file) = 0;
};

}  // namespace sluice::net
