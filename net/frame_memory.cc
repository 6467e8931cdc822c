#include "net/frame_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace sluice::net {

MemoryFile::~MemoryFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
  if (fd_ >= 0) ::close(fd_);
}

void MemoryFile::swap(MemoryFile& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
}

bool MemoryFile::create() {
  fd_ = ::memfd_create("sluice-data", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return fd_ >= 0;
}

bool MemoryFile::set_size(std::size_t bytes) {
  constexpr std::size_t kPage = 4096;
  bytes = (bytes + kPage - 1) / kPage * kPage;
  if (data_ != nullptr || ::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) return false;
  void* const mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd_, 0);
  if (mapped == MAP_FAILED) return false;
  data_ = static_cast<std::byte*>(mapped);
  size_ = bytes;
  (void)::madvise(mapped, bytes, MADV_DONTDUMP);
  return ::fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0;
}

bool MemoryFile::seal() { return ::fcntl(fd_, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0; }

}  // namespace sluice::net
