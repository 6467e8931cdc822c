#include "base/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/assert.h"
#include "base/sealed_text.h"
#include "base/temporary_file.h"

namespace sluice::safetensors {
namespace {
using nlohmann::json;

constexpr const char* kMetadata = "__metadata__";
constexpr const char* kChecksum = "xxh3_64";
constexpr const char* kHeaderChecksum = "xxh3_64_header";
constexpr std::uint64_t kHeaderMax = 100'000'000;  // the format's own bound
constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 62;

const char* name_of(Type type) { return type == Type::kF32 ? "F32" : "U64"; }
std::uint64_t width_of(Type type) { return type == Type::kF32 ? 4 : 8; }
std::optional<Type> type_of(const std::string& name) {
  if (name == "F32") return Type::kF32;
  if (name == "U64") return Type::kU64;
  return std::nullopt;
}

struct HashFree {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};
}  // namespace

std::optional<std::uint64_t> Tensor::bytes() const {
  std::uint64_t n = width_of(type);
  for (const std::uint64_t side : shape) {
    if (side != 0 && n > kBytesMax / side) return std::nullopt;
    n *= side;
  }
  return n;
}

struct Writer::Impl {
  Impl(TemporaryFile to, std::string name) : file(std::move(to)), path(std::move(name)), hash(XXH3_createState()) { XXH3_64bits_reset(hash.get()); }
  TemporaryFile file;
  std::string path;
  std::unique_ptr<XXH3_state_t, HashFree> hash;
  std::string header;           ///< with both checksums 0
  std::size_t data_sum_at = 0;  ///< in it
  std::uint64_t left = 0;       ///< bytes of tensors to come
};
Writer::Writer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Writer::Writer(Writer&&) noexcept = default;
Writer::~Writer() = default;

Result<Writer> Writer::create(const std::string& path, const std::vector<Tensor>& tensors, Metadata metadata) {
  metadata[kChecksum] = metadata[kHeaderChecksum] = kUnsealed;  // of fixed width: written over at the end
  json header = {{kMetadata, metadata}};
  std::uint64_t offset = 0;
  for (const Tensor& tensor : tensors) {
    const auto bytes = tensor.bytes();
    if (!bytes || *bytes > kBytesMax - offset) return fail(Errc::kBadConfig, fmt::format("{}: tensor '{}' is too large", path, tensor.name));
    SLUICE_ASSERT(offset % width_of(tensor.type) == 0);
    if (header.contains(tensor.name)) return fail(Errc::kBadConfig, fmt::format("{}: two tensors are called '{}'", path, tensor.name));
    header[tensor.name] = {{"dtype", name_of(tensor.type)}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + *bytes}}};
    offset += *bytes;
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.append(align8(text.size()) - text.size(), ' ');  // so that tensors are aligned
  auto file = TemporaryFile::create(std::filesystem::path(path).parent_path().string());
  if (!file) return fail(file.error());
  auto impl = std::make_unique<Impl>(std::move(*file), path);
  impl->left = offset;
  impl->data_sum_at = text.find(fmt::format("\"{}\":\"{}\"", kChecksum, kUnsealed)) + std::strlen(kChecksum) + 4;
  const std::uint64_t size = text.size();
  if (auto ok = impl->file.append(std::as_bytes(std::span(&size, 1))); !ok) return fail(ok.error());
  if (auto ok = impl->file.append(std::as_bytes(std::span(text))); !ok) return fail(ok.error());
  impl->header = std::move(text);
  return Writer(std::move(impl));
}

Result<void> Writer::append(Bytes bytes) {
  SLUICE_ASSERT(bytes.size() <= impl_->left);
  impl_->left -= bytes.size();
  XXH3_64bits_update(impl_->hash.get(), bytes.data(), bytes.size());
  return impl_->file.append(bytes);
}

Result<void> Writer::commit(bool sync) {
  SLUICE_ASSERT(impl_->left == 0);
  const std::string sum = fmt::format("{:016x}", XXH3_64bits_digest(impl_->hash.get()));
  impl_->header.replace(impl_->data_sum_at, sum.size(), sum);
  SLUICE_ASSERT(seal(impl_->header, kHeaderChecksum));
  if (auto ok = impl_->file.write_at(8, std::as_bytes(std::span(impl_->header))); !ok) return ok;
  if (sync) {
    if (auto ok = impl_->file.sync(); !ok) return ok;
  }
  return impl_->file.commit(impl_->path);
}

struct File::Impl {
  ~Impl() {
    if (memory != nullptr) ::munmap(memory, size);
  }
  void* memory = nullptr;
  std::size_t size = 0;
  Bytes data;
  std::vector<Tensor> tensors;
  std::vector<std::uint64_t> offsets;
  Metadata metadata;
};
File::File(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
File::File(File&&) noexcept = default;
File::~File() = default;
const std::vector<Tensor>& File::tensors() const { return impl_->tensors; }
const Metadata& File::metadata() const { return impl_->metadata; }

const Tensor* File::find(const std::string& name) const {
  const auto it = std::lower_bound(impl_->tensors.begin(), impl_->tensors.end(), name, [](const Tensor& t, const std::string& n) { return t.name < n; });
  return it != impl_->tensors.end() && it->name == name ? &*it : nullptr;
}

Bytes File::bytes(const Tensor& tensor) const {
  const auto at = static_cast<std::size_t>(&tensor - impl_->tensors.data());
  SLUICE_ASSERT(at < impl_->tensors.size());
  return impl_->data.subspan(impl_->offsets[at], *tensor.bytes());
}

namespace {

/// One entry of the header, and where its bytes begin. Errors: what is wrong with it.
Result<std::pair<Tensor, std::uint64_t>> read_entry(const std::string& name, const json& entry, std::uint64_t bytes) {
  const auto wrong = [&](const std::string& what) { return fail(Errc::kBadData, fmt::format("tensor '{}': {}", name, what)); };
  const auto type = type_of(entry.at("dtype").get<std::string>());
  if (!type) return wrong(fmt::format("of type {}; F32 and U64 are read", entry.at("dtype").dump()));
  Tensor tensor{name, *type, entry.at("shape").get<std::vector<std::uint64_t>>()};
  const auto range = entry.at("data_offsets").get<std::vector<std::uint64_t>>();
  if (range.size() != 2 || range[0] > range[1] || range[1] > bytes) return wrong("its bytes are not in the file: cut off?");
  if (tensor.bytes() != range[1] - range[0]) return wrong("its shape and its bytes do not agree");
  if (range[0] % width_of(*type) != 0) return wrong("its bytes are not aligned");
  return std::pair(std::move(tensor), range[0]);
}

}  // namespace

Result<File> File::open(const std::string& path) { return read(path, false); }
Result<File> File::open_sealed(const std::string& path) { return read(path, true); }

Result<File> File::read(const std::string& path, bool sealed) {
  const auto bad = [&](const std::string& what) { return fail(Errc::kBadData, fmt::format("{}: {}", path, what)); };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(errno == ENOENT ? Errc::kNotFound : Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno)));
  struct stat status {};
  const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  auto impl = std::make_unique<Impl>();
  impl->size = regular ? static_cast<std::size_t>(status.st_size) : 0;
  void* memory = impl->size < 8 ? MAP_FAILED : ::mmap(nullptr, impl->size, PROT_READ, MAP_PRIVATE, fd, 0);
  ::close(fd);
  if (memory == MAP_FAILED) return bad("not a safetensors file");
  impl->memory = memory;
  const Bytes all(static_cast<const std::byte*>(memory), impl->size);
  const auto header_bytes = load<std::uint64_t>(all.data());
  if (header_bytes > kHeaderMax || header_bytes > all.size() - 8) return bad("not a safetensors file, or cut off");
  impl->data = all.subspan(8 + header_bytes);
  const std::string_view text(reinterpret_cast<const char*>(all.data()) + 8, header_bytes);
  try {
    const json header = json::parse(text);
    if (!header.is_object()) return bad("its header is not a JSON object");
    for (const auto& [name, entry] : header.items()) {  // sorted by name
      if (name == kMetadata) {
        impl->metadata = entry.get<Metadata>();
        continue;
      }
      auto read = read_entry(name, entry, impl->data.size());
      if (!read) return bad(read.error().what);
      impl->tensors.push_back(std::move(read->first));
      impl->offsets.push_back(read->second);
    }
  } catch (const json::exception&) { return bad("damaged, or not a safetensors file: its header can't be read"); }
  if (sealed && (!impl->metadata.contains(kChecksum) || !impl->metadata.contains(kHeaderChecksum)))
    return bad("damaged, or not sluice's: a checksum is missing");
  if (impl->metadata.contains(kHeaderChecksum) && !sluice::sealed(text, kHeaderChecksum)) return bad("damaged: its header's checksum differs");
  const auto sum = impl->metadata.find(kChecksum);
  if (sum != impl->metadata.end() && sum->second != fmt::format("{:016x}", XXH3_64bits(impl->data.data(), impl->data.size())))
    return bad("damaged: its checksum differs");
  return File(std::move(impl));
}

}  // namespace sluice::safetensors
