#include "net/detail/shared_pool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstring>
#include <new>

#include "base/assert.h"
#include "base/rng.h"

namespace sluice::net::detail {
namespace {

constexpr std::size_t kLooksPerCall = 32;
constexpr Duration kArrivalMax = from_ms(60'000);  ///< a message that was not taken by then is treated as lost
constexpr Duration kHeldLong = from_ms(5'000);     ///< after this a holder is asked for whether it lives
constexpr Duration kAliveEvery = from_ms(1'000);

/// Rounded up to an eighth of the next power of two, in pages: few sizes, little waste.
std::size_t block_size(std::size_t bytes) {
  const std::size_t step = std::max(kPage, std::bit_ceil(bytes) / 8);
  return (bytes + step - 1) / step * step;
}

/// 0: there is no such living process.
std::uint64_t start_time_of(std::int64_t pid) {
  char path[32], text[1024];
  std::snprintf(path, sizeof path, "/proc/%lld/stat", static_cast<long long>(pid));
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t size = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (size <= 0) return 0;
  text[size] = '\0';
  const char* at = std::strrchr(text, ')');                                      // the program's name may hold anything; field 3 follows it
  if (at == nullptr || at[1] == '\0' || at[2] == 'Z' || at[2] == 'X') return 0;  // dead, its parent has not looked yet
  for (int field = 2; at != nullptr && field < 22; ++field) at = std::strchr(at + 1, ' ');
  return at == nullptr ? 0 : std::strtoull(at, nullptr, 10);
}

}  // namespace

ProcessId this_process() { return {::getpid(), start_time_of(::getpid())}; }

bool alive(const ProcessId& process) { return process.pid > 0 && process.start_time != 0 && start_time_of(process.pid) == process.start_time; }

// --- memory

bool SharedBlocks::open(MemoryFile& data) {
  control_fd_ = ::memfd_create("sluice-control", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (control_fd_ < 0 || ::ftruncate(control_fd_, sizeof(PoolControl)) != 0) return false;
  void* control = ::mmap(nullptr, sizeof(PoolControl), PROT_READ | PROT_WRITE, MAP_SHARED, control_fd_, 0);
  if (control == MAP_FAILED) return false;
  control_ = static_cast<PoolControl*>(control);
  if (!data.seal() || ::fcntl(control_fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return false;
  data_ = std::move(data);
  control_->name = {{entropy_seed(), entropy_seed()}, this_process(), data_.fd(), control_fd_};
  return true;
}

SharedBlocks::~SharedBlocks() {
  if (control_ != nullptr) ::munmap(control_, sizeof(PoolControl));
  if (control_fd_ >= 0) ::close(control_fd_);
}

std::optional<SharedBlocks::Block> SharedBlocks::take(std::size_t bytes) {
  const std::size_t size = block_size(bytes);
  const std::lock_guard lock(mutex_);
  for (auto it = free_.lower_bound(size); it != free_.end() && it->first <= size * 2; ++it) {
    if (it->second.empty()) continue;
    const Block block{it->second.back(), it->first};
    it->second.pop_back();
    ++in_use_;
    return block;
  }
  if (data_.bytes().size() - touched_ < size) return std::nullopt;
  const Block block{touched_, size};
  // Taken from the system here, where there may be none left, and not by a first write, which would be a signal.
  if (::fallocate(data_.fd(), 0, static_cast<off_t>(block.offset), static_cast<off_t>(size)) != 0) return std::nullopt;
  (void)::madvise(data_.bytes().data() + block.offset, size, MADV_POPULATE_WRITE);
  touched_ += size;
  ++in_use_;
  return block;
}

void SharedBlocks::give_back(const Block& block) {
  const std::lock_guard lock(mutex_);
  free_[block.size].push_back(block.offset);
  --in_use_;
}

std::size_t SharedBlocks::touched() const {
  const std::lock_guard lock(mutex_);
  return touched_;
}
std::size_t SharedBlocks::in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

// --- loans

std::unique_ptr<SharedPool> SharedPool::make(std::size_t bytes_max) {
  MemoryFile data;
  return bytes_max >= kSharedBytesMin && data.create() && data.set_size(bytes_max) ? make(data) : nullptr;
}

std::unique_ptr<SharedPool> SharedPool::make(MemoryFile& data) {
  auto blocks = std::make_shared<SharedBlocks>();
  if (!blocks->open(data)) return nullptr;
  return std::unique_ptr<SharedPool>(new SharedPool(std::move(blocks)));
}

SharedPool::~SharedPool() { std::atomic_ref(blocks_->control().closed).store(1, std::memory_order_release); }

SharedPool::SharedPool(std::shared_ptr<SharedBlocks> blocks) : blocks_(std::move(blocks)), generations_(kLoanSlots, 0) {
  for (std::uint32_t slot = kLoanSlots; slot > 0; --slot) free_slots_.push_back(slot - 1);
}

std::optional<WritableFrame> SharedPool::allocate(std::size_t bytes, Instant now) {
  if (bytes > blocks_->data().size()) return std::nullopt;
  std::optional<SharedBlocks::Block> block;
  for (const std::size_t looks : {kLooksPerCall, std::size_t{kLoanSlots}}) {  // at all loans only when nothing is free
    Owners released;
    std::unique_lock lock(mutex_);
    look(looks, now, released);
    lock.unlock();
    released.clear();
    block = blocks_->take(bytes);
    if (block) break;
  }
  if (!block) return std::nullopt;
  std::byte* data = blocks_->data().data() + block->offset;
  std::shared_ptr<void> owner(data, [blocks = blocks_, block = *block](void*) { blocks->give_back(block); });
  return WritableFrame(std::move(owner), std::span(data, bytes));
}

std::optional<std::uint64_t> SharedPool::offset_of(const Frame& frame) const {
  const std::span<std::byte> data = blocks_->data();
  const auto at = reinterpret_cast<std::uintptr_t>(frame.data()), start = reinterpret_cast<std::uintptr_t>(data.data());
  if (at < start || at - start > data.size() || frame.size() > data.size() - (at - start)) return std::nullopt;
  return at - start;
}

std::optional<Ticket> SharedPool::lend(std::vector<std::shared_ptr<const void>> owners, const ProcessId& borrower, Instant now) {
  Owners released;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  look(kLooksPerCall, now, released);
  if (free_slots_.empty()) look(loans_.size(), now, released);
  if (free_slots_.empty()) return std::nullopt;
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  const Ticket ticket{slot, ++generations_[slot]};
  word(ticket).store(loan_word(ticket.generation, LoanState::kSent), std::memory_order_release);
  loans_.push_back({ticket, now, borrower, std::move(owners)});
  lent_.store(loans_.size(), std::memory_order_relaxed);
  return ticket;
}

void SharedPool::take_back(const Ticket& ticket) { word(ticket).store(loan_word(ticket.generation, LoanState::kFree), std::memory_order_release); }

bool SharedPool::over(const Loan& loan, Instant now) {
  std::uint64_t seen = word(loan.ticket).load(std::memory_order_acquire);
  const std::uint64_t free = loan_word(loan.ticket.generation, LoanState::kFree);
  if (seen == free) return true;
  if (now < loan.since + kHeldLong) return false;
  if (seen == loan_word(loan.ticket.generation, LoanState::kSent) && now >= loan.since + kArrivalMax) {
    return word(loan.ticket).compare_exchange_strong(seen, free, std::memory_order_acq_rel);
  }
  if (now < next_alive_check_) return false;
  next_alive_check_ = now + kAliveEvery;
  return !alive(loan.borrower);
}

void SharedPool::look(std::size_t most, Instant now, Owners& released) {
  for (most = std::min(most, loans_.size()); most > 0; --most) {
    if (cursor_ >= loans_.size()) cursor_ = 0;
    Loan& loan = loans_[cursor_];
    if (!over(loan, now)) {
      ++cursor_;
      continue;
    }
    free_slots_.push_back(loan.ticket.slot);
    released.push_back(std::move(loan.owners));
    if (cursor_ + 1 < loans_.size()) loan = std::move(loans_.back());
    loans_.pop_back();
  }
  lent_.store(loans_.size(), std::memory_order_relaxed);
}

void SharedPool::notice(const Clock& clock) {
  if (lent_.load(std::memory_order_relaxed) == 0) return;
  Owners released;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  look(kLooksPerCall, clock.now(), released);
}

void SharedPool::sweep(Instant now) {
  Owners released;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  look(loans_.size(), now, released);
}

SharedPool::Figures SharedPool::figures() const {
  const std::lock_guard lock(mutex_);
  return {blocks_->touched(), loans_.size(), blocks_->in_use()};
}

}  // namespace sluice::net::detail
