#include "worker/data/source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "base/assert.h"

namespace sluice::worker::data {
namespace {

constexpr std::size_t kInputBytes = 256 * 1024;

FileIdentity identity_of(const struct stat& s) {
  const auto ns = [](const timespec& t) { return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  return {s.st_dev, s.st_ino, static_cast<std::uint64_t>(s.st_size), ns(s.st_mtim), ns(s.st_ctim)};
}

tl::unexpected<Error> refused(const std::string& path, int error) {
  return fail(error == ENOENT || error == ENOTDIR ? Errc::kNotFound : Errc::kBadData, fmt::format("{}: {}", path, std::strerror(error)));
}

}  // namespace

struct SourceFile::Hash {
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state{XXH3_createState()};
  Hash() { SLUICE_ASSERT(state != nullptr && XXH3_64bits_reset(state.get()) == XXH_OK); }
};

struct SourceFile::Inflater {
  z_stream stream{};
  std::vector<std::byte> input = std::vector<std::byte>(kInputBytes);
  bool between_members = false;                                          ///< a member has ended; another may follow
  Inflater() { SLUICE_ASSERT(inflateInit2(&stream, 15 + 16) == Z_OK); }  // 16: gzip only
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream); }
};

SourceFile::SourceFile(std::string path, int fd, const FileIdentity& identity)
    : path_(std::move(path)), fd_(fd), identity_(identity), hash_(std::make_unique<Hash>()) {}
SourceFile::SourceFile(SourceFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      identity_(other.identity_),
      read_(other.read_),
      left_(other.left_),
      hash_(std::move(other.hash_)),
      inflater_(std::move(other.inflater_)) {}
SourceFile& SourceFile::operator=(SourceFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(identity_, other.identity_);
  std::swap(read_, other.read_);
  std::swap(left_, other.left_);
  std::swap(hash_, other.hash_);
  std::swap(inflater_, other.inflater_);
  return *this;
}
SourceFile::~SourceFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<SourceFile> SourceFile::open(const std::string& path, Mode mode) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // not blocking: a named pipe would wait for its writer
  if (fd < 0) return refused(path, errno);
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return fail(Errc::kBadData, fmt::format("{}: not a regular file", path));
  }
  SourceFile file(path, fd, identity_of(status));
  unsigned char magic[2] = {};
  if (mode == Mode::kInflated && ::pread(fd, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b) file.inflater_ = std::make_unique<Inflater>();
  return file;
}

Result<std::size_t> SourceFile::read(std::span<std::byte> into) {
  if (left_ == 0) return 0;
  auto got = inflater_ ? read_inflated(into) : read_stored(into);
  if (!got || *got < left_) {
    left_ -= got && left_ != UINT64_MAX ? *got : 0;
    return got;
  }
  const auto begin = into.begin(), end = begin + static_cast<std::ptrdiff_t>(left_);
  const auto line = std::find(std::make_reverse_iterator(end), std::make_reverse_iterator(begin), std::byte{'\n'});
  left_ = 0;
  return static_cast<std::size_t>((line.base() == begin ? end : line.base()) - begin);
}

Result<std::size_t> SourceFile::read_stored(std::span<std::byte> into) {
  std::size_t got = 0;
  while (got < into.size()) {
    const ssize_t n = ::read(fd_, into.data() + got, into.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return refused(path_, errno);
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  XXH3_64bits_update(hash_->state.get(), into.data(), got);
  read_ += got;
  return got;
}

Result<std::size_t> SourceFile::read_inflated(std::span<std::byte> into) {
  z_stream& z = inflater_->stream;
  const auto room = std::min<std::size_t>(into.size(), std::size_t{1} << 30);  // zlib counts in 32 bits
  z.next_out = reinterpret_cast<Bytef*>(into.data());
  z.avail_out = static_cast<uInt>(room);
  while (z.avail_out > 0) {
    if (z.avail_in == 0) {
      const auto got = read_stored(inflater_->input);
      if (!got) return got;
      if (*got == 0 && inflater_->between_members) break;
      if (*got == 0) return fail(Errc::kBadData, fmt::format("{}: the compressed data is cut off", path_));
      z.next_in = reinterpret_cast<Bytef*>(inflater_->input.data());
      z.avail_in = static_cast<uInt>(*got);
    }
    if (inflater_->between_members) {
      inflateReset(&z);
      inflater_->between_members = false;
    }
    const int status = inflate(&z, Z_NO_FLUSH);
    inflater_->between_members = status == Z_STREAM_END;
    if (status != Z_OK && status != Z_STREAM_END)
      return fail(Errc::kBadData, fmt::format("{}: damaged gzip data near byte {} ({})", path_, read_ - z.avail_in, z.msg != nullptr ? z.msg : "zlib"));
  }
  return room - z.avail_out;
}

std::uint64_t SourceFile::hash() const { return XXH3_64bits_digest(hash_->state.get()); }

bool SourceFile::changed() const {
  struct stat status {};
  return ::fstat(fd_, &status) != 0 || identity_of(status) != identity_ || read_ != identity_.size;
}

int SourceFile::percent() const { return identity_.size == 0 ? 100 : static_cast<int>(std::min<std::uint64_t>(100, read_ * 100 / identity_.size)); }

Result<FileIdentity> identify(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return refused(path, errno);
  if (!S_ISREG(status.st_mode)) return fail(Errc::kBadData, fmt::format("{}: not a regular file", path));
  return identity_of(status);
}

Result<std::uint64_t> hash_file(const std::string& path) {
  auto file = SourceFile::open(path, SourceFile::Mode::kStored);
  if (!file) return fail(file.error());
  std::vector<std::byte> buffer(1 << 20);
  for (;;) {
    const auto got = file->read(buffer);
    if (!got) return fail(got.error());
    if (*got == 0) return file->hash();
  }
}

}  // namespace sluice::worker::data
