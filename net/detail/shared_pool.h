#pragma once
/// The sending side of large frames that do not travel: they are born in a memory file of this process, a message names where they lie, and the receiver maps
/// the file.
///
/// Two memory files (memfd: no name in any folder, gone with the last process that has them): the data, sealed so that nobody else can write to it or change
/// its size; and the control page, a word a loan, that both sides write. A loan is one message's frames in one receiver's hands:
///   free → sent (the sender, before it sends) → held (the receiver, when it takes the message) → free (the receiver, when it released the last frame).
/// The sender keeps the frames alive until the word is free. It takes a loan back by itself only where nobody can be reading: the message never arrived (sent
/// for too long: sent → free, after which a receiver that comes late finds nothing), or the receiver's process is dead. So a block is never written to under a
/// reader, and a lost reader costs memory, at most the pool's size, until its process ends.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "net/frame_memory.h"
#include "net/transport.h"

namespace sluice::net::detail {

inline constexpr std::size_t kPage = 4096;  ///< bytes
/// Frames smaller than this always travel as bytes: headers and keys do, a peer cannot change them after they were checked.
inline constexpr std::size_t kSharedBytesMin = 16 * 1024;

/// A process, told apart from a later one with the same number.
struct ProcessId {
  std::int64_t pid = 0;          ///< 64 bits: records on the wire have no gaps
  std::uint64_t start_time = 0;  ///< clock ticks after boot
  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};
[[nodiscard]] ProcessId this_process();
[[nodiscard]] bool alive(const ProcessId& process);

/// How another process of this host and user finds a pool and knows that it is the right one.
struct PoolName {
  std::uint64_t id[2] = {};  ///< drawn at random
  ProcessId process;
  std::int32_t data_fd = -1;  ///< in that process
  std::int32_t control_fd = -1;
  friend bool operator==(const PoolName&, const PoolName&) = default;
};

enum class LoanState : std::uint64_t { kFree = 0, kSent = 1, kHeld = 2 };
/// A control word: which loan of a slot, and its state. Generations tell a slot's loans apart.
[[nodiscard]] constexpr std::uint64_t loan_word(std::uint64_t generation, LoanState state) { return generation << 2 | static_cast<std::uint64_t>(state); }

inline constexpr std::uint32_t kLoanSlots = 8192;
/// What lies in the control page.
struct PoolControl {
  PoolName name;
  std::uint64_t closed;  ///< 1: the sender has let go of it: nothing is lent from it any more
  alignas(64) std::uint64_t words[kLoanSlots];
};

struct Ticket {
  std::uint32_t slot = 0;
  std::uint64_t generation = 0;
};

/// The two memory files, mapped, and the data's blocks. Every frame shares it, so it outlives the pool where frames do. Any thread.
class SharedBlocks {
 public:
  struct Block {
    std::uint64_t offset = 0;
    std::size_t size = 0;
  };
  SharedBlocks() = default;
  ~SharedBlocks();
  SharedBlocks(const SharedBlocks&) = delete;
  SharedBlocks& operator=(const SharedBlocks&) = delete;

  /// Once, before anything else. Takes `data`, which has its size, over. False where the system lacks something: it does not then.
  [[nodiscard]] bool open(MemoryFile& data);
  /// None when no memory is left. REQUIRES: bytes ≤ data().size().
  [[nodiscard]] std::optional<Block> take(std::size_t bytes);
  void give_back(const Block& block);
  [[nodiscard]] std::span<std::byte> data() const { return data_.bytes(); }
  [[nodiscard]] PoolControl& control() const { return *control_; }
  [[nodiscard]] std::size_t touched() const;
  [[nodiscard]] std::size_t in_use() const;

 private:
  MemoryFile data_;
  int control_fd_ = -1;
  PoolControl* control_ = nullptr;

  mutable std::mutex mutex_;
  std::uint64_t touched_ = 0;                               ///< data below was handed out before
  std::map<std::size_t, std::vector<std::uint64_t>> free_;  ///< block size → offsets, last returned first: it is still in the cache
  std::size_t in_use_ = 0;
};

/// Blocks and loans. Any thread. Frames may outlive it; its loans end with it, and what was lent is then never written again.
class SharedPool {
 public:
  /// `bytes_max`: address space; memory is taken when it is first allocated and kept for reuse. nullptr where the system lacks something: then everything
  /// travels as bytes.
  [[nodiscard]] static std::unique_ptr<SharedPool> make(std::size_t bytes_max);
  /// The same in a file that somebody else may have mapped for writing; sealed here. nullptr: it is still the caller's.
  [[nodiscard]] static std::unique_ptr<SharedPool> make(MemoryFile& data);
  ~SharedPool();
  SharedPool(const SharedPool&) = delete;
  SharedPool& operator=(const SharedPool&) = delete;

  [[nodiscard]] const PoolName& name() const { return blocks_->control().name; }
  /// None when the pool is full.
  [[nodiscard]] std::optional<WritableFrame> allocate(std::size_t bytes, Instant now);
  /// Where the frame starts in the data, if it lies there.
  [[nodiscard]] std::optional<std::uint64_t> offset_of(const Frame& frame) const;
  /// Keeps the owners until `borrower` has released them. None when all slots are lent.
  [[nodiscard]] std::optional<Ticket> lend(std::vector<std::shared_ptr<const void>> owners, const ProcessId& borrower, Instant now);
  /// Ends a loan whose message was not sent.
  void take_back(const Ticket& ticket);
  /// Looks at a few loans, so that what receivers released is noticed by senders that neither allocate nor lend for a while. Next to nothing while nothing is
  /// lent.
  void notice(const Clock& clock);
  /// Looks through all loans now.
  void sweep(Instant now);

  struct Figures {
    std::size_t bytes_touched = 0;  ///< memory taken from the system so far
    std::size_t loans = 0;
    std::size_t blocks = 0;  ///< in use
  };
  [[nodiscard]] Figures figures() const;

 private:
  struct Loan {
    Ticket ticket;
    Instant since;
    ProcessId borrower;
    std::vector<std::shared_ptr<const void>> owners;
  };
  using Owners = std::vector<std::vector<std::shared_ptr<const void>>>;

  explicit SharedPool(std::shared_ptr<SharedBlocks> blocks);
  [[nodiscard]] bool over(const Loan& loan, Instant now);
  /// Looks at `most` loans; what they kept alive goes to `released`, to be dropped without the lock.
  void look(std::size_t most, Instant now, Owners& released);
  [[nodiscard]] std::atomic_ref<std::uint64_t> word(const Ticket& ticket) const { return std::atomic_ref(blocks_->control().words[ticket.slot]); }

  std::shared_ptr<SharedBlocks> blocks_;
  mutable std::mutex mutex_;
  std::vector<Loan> loans_;
  std::atomic<std::size_t> lent_{0};  ///< loans_.size(), to be read without the lock
  std::size_t cursor_ = 0;
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::uint64_t> generations_;
  Instant next_alive_check_{};
};

}  // namespace sluice::net::detail
