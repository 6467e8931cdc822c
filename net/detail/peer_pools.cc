#include "net/detail/peer_pools.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>

#include "net/detail/fd.h"

namespace sluice::net::detail {
namespace {

constexpr std::size_t kDataBytesMax = std::size_t{1} << 40;
constexpr std::uint32_t kFindsASweep = 256;
constexpr std::uint64_t kMappedBytesMax = std::uint64_t{16} << 20;  ///< of a pool that is used no further, pages stay mapped between messages

/// Opens a peer's descriptor if it is a memory file of ours called `called`. The peer chose the numbers: nothing else may be opened through them.
int open_memory_file(const PoolName& name, int peer_fd, const char* called, int flags) {
  char path[64], target[64];
  std::snprintf(path, sizeof path, "/proc/%lld/fd/%d", static_cast<long long>(name.process.pid), peer_fd);
  const ssize_t size = ::readlink(path, target, sizeof target - 1);
  if (size <= 0) return -1;
  target[size] = '\0';
  const std::string wanted = std::string("/memfd:") + called + " (deleted)";
  return wanted == target ? ::open(path, flags | O_CLOEXEC | O_NONBLOCK) : -1;
}

bool sealed(int fd, int seals) {
  const int has = ::fcntl(fd, F_GET_SEALS);
  return has >= 0 && (has & seals) == seals;
}

std::size_t size_of(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && info.st_uid == ::geteuid() && info.st_size > 0 ? static_cast<std::size_t>(info.st_size) : 0;
}

}  // namespace

std::shared_ptr<PeerPool> PeerPool::open(const PoolName& name) {
  std::shared_ptr<PeerPool> pool(new PeerPool(name));
  return pool->open() ? pool : nullptr;
}

bool PeerPool::open() {
  constexpr int kFixedSize = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  const Fd control(open_memory_file(name_, name_.control_fd, "sluice-control", O_RDWR));
  const Fd data(open_memory_file(name_, name_.data_fd, "sluice-data", O_RDONLY));
  if (control.get() < 0 || data.get() < 0) return false;
  if (!sealed(control.get(), kFixedSize) || !sealed(data.get(), kFixedSize | F_SEAL_FUTURE_WRITE)) return false;
  const std::size_t bytes = size_of(data.get());
  if (size_of(control.get()) != sizeof(PoolControl) || bytes == 0 || bytes > kDataBytesMax) return false;
  void* mapped = ::mmap(nullptr, sizeof(PoolControl), PROT_READ | PROT_WRITE, MAP_SHARED, control.get(), 0);
  if (mapped == MAP_FAILED) return false;
  control_ = static_cast<PoolControl*>(mapped);
  if (!(control_->name == name_)) return false;
  mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, data.get(), 0);
  if (mapped == MAP_FAILED) return false;
  (void)::madvise(mapped, bytes, MADV_DONTDUMP);
  data_ = static_cast<const std::byte*>(mapped);
  data_bytes_ = bytes;
  return true;
}

PeerPool::~PeerPool() {
  if (control_ != nullptr) ::munmap(control_, sizeof(PoolControl));
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), data_bytes_);
}

void PeerPool::unmap(std::span<const Place> places) {
  std::uint64_t end = 0;
  for (const auto& place : places) end = std::max(end, place.offset + place.size);
  std::uint64_t reached = reached_.load(std::memory_order_relaxed);
  while (reached < end && !reached_.compare_exchange_weak(reached, end, std::memory_order_relaxed)) {}
  if (std::max(reached, end) <= kMappedBytesMax) return;
  for (const auto& place : places) {  // a neighbour's page that goes with it comes back when it is read
    const std::uint64_t first = place.offset / kPage * kPage;
    (void)::madvise(const_cast<std::byte*>(data_) + first, place.offset + place.size - first, MADV_DONTNEED);
  }
}

std::shared_ptr<const void> PeerPool::take(const std::shared_ptr<PeerPool>& pool, const Ticket& ticket, std::vector<Place> places) {
  if (ticket.slot >= kLoanSlots) return nullptr;
  std::uint64_t expected = loan_word(ticket.generation, LoanState::kSent);
  const std::uint64_t held = loan_word(ticket.generation, LoanState::kHeld);
  if (!std::atomic_ref(pool->control_->words[ticket.slot]).compare_exchange_strong(expected, held, std::memory_order_acq_rel)) return nullptr;
  auto release = [pool, ticket, used = std::move(places)](const void*) {
    pool->unmap(used);
    std::uint64_t was = loan_word(ticket.generation, LoanState::kHeld);
    const std::uint64_t free = loan_word(ticket.generation, LoanState::kFree);
    (void)std::atomic_ref(pool->control_->words[ticket.slot]).compare_exchange_strong(was, free, std::memory_order_acq_rel);
  };
  return {static_cast<const void*>(pool->data_), std::move(release)};
}

std::shared_ptr<PeerPool> PeerPools::find(const PoolName& name) {
  const std::lock_guard lock(mutex_);
  if (++finds_ % kFindsASweep == 0) std::erase_if(pools_, [&](const auto& pool) { return pool->said_closed() && !(pool->name() == name); });
  const auto known = std::find_if(pools_.begin(), pools_.end(), [&](const auto& pool) { return pool->name() == name; });
  if (known != pools_.end()) return *known;
  std::erase_if(pools_, [](const auto& pool) { return pool->said_closed() || !alive(pool->name().process); });
  if (pools_.size() >= kPoolsMax) return nullptr;
  auto pool = PeerPool::open(name);
  if (pool) pools_.push_back(pool);
  return pool;
}

}  // namespace sluice::net::detail
