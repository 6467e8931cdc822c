#pragma once
/// ZeroMQ behind the transport seam: ROUTER where it listens, DEALER where it connects, over tcp:// and ipc://. The only place that sets a ZeroMQ option.

#include <cstdint>
#include <memory>

#include "net/frame_memory.h"
#include "net/transport.h"

namespace sluice::net {

struct ZmqOptions {
  std::int64_t message_bytes_max = 64 << 20;  ///< a peer that sends a longer frame is disconnected
  int queue_messages_max = 4096;              ///< per connection and direction; beyond it sends are kFull (a backstop: callers bound themselves by credit)
  int drain_ms = 1000;                        ///< how long a closing process goes on sending what is queued; then the rest is dropped
  int heartbeat_ms = 1000;                    ///< between a connection's own heartbeats
  int heartbeat_timeout_ms = 4000;            ///< a silent peer counts as lost after this long
  /// Address space for frames that ipc peers read in place instead of receiving their bytes; memory is taken as it is used and kept for reuse. 0: everything
  /// travels as bytes.
  std::size_t shared_bytes_max = std::size_t{4} << 30;
};

/// One context with one I/O thread. Outlives its sockets and pollers. listen(), connect() and poller() from any thread.
class ZmqTransport final : public Transport, public FrameMemories {
 public:
  explicit ZmqTransport(Clock& clock, ZmqOptions options = {});
  ~ZmqTransport() override;
  /// ipc: the path must not be in use by a living process (checked by connecting to it; a dead one's socket file is removed) and at most 107 bytes long.
  [[nodiscard]] Result<std::unique_ptr<Listener>> listen(const std::string& address) override;
  [[nodiscard]] Result<std::unique_ptr<Connection>> connect(const std::string& address) override;
  [[nodiscard]] std::unique_ptr<Poller> poller() override;
  /// From 16 KiB on, memory that ipc peers of the same user can map: such a frame is sent without its bytes. For values only: a peer could see later changes,
  /// so never for keys.
  [[nodiscard]] WritableFrame allocate(std::size_t bytes) override;
  [[nodiscard]] std::unique_ptr<FrameMemory> adopt(MemoryFile& file) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::net
