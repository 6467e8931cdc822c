#pragma once
/// The safetensors file format: a header in JSON that names tensors, then their bytes: no code, readable from NumPy, PyTorch and others
/// (https://github.com/huggingface/safetensors, "Format"). Little-endian, as the machine. Of its types only F32 and U64 are written and read.
/// Checksums over all tensors' bytes (metadata "xxh3_64") and over the header itself ("xxh3_64_header", taken with that field 0) are written, and checked where
/// they are there: a flipped bit that hides one of them is found by open_sealed() only.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sluice::safetensors {

enum class Type : std::uint8_t { kF32, kU64 };

struct Tensor {
  std::string name;
  Type type = Type::kF32;
  std::vector<std::uint64_t> shape;
  /// Of all elements; nothing if that exceeds 2^62.
  [[nodiscard]] std::optional<std::uint64_t> bytes() const;
};
using Metadata = std::map<std::string, std::string>;

/// Writes one file, tensor after tensor; it appears under its name whole or not at all. One thread.
class Writer {
 public:
  /// The file goes to `path`, whose folder exists. Errors: kIo; kBadConfig: two tensors of a name, or too large. REQUIRES: no F32 tensor before a U64 one, so
  /// that each lies aligned (the format allows no gaps).
  [[nodiscard]] static Result<Writer> create(const std::string& path, const std::vector<Tensor>& tensors, Metadata metadata);
  Writer(Writer&&) noexcept;
  ~Writer();
  /// The next bytes, of the tensors one after another, in pieces of any size. Errors: kIo. REQUIRES: no more than the tensors have.
  [[nodiscard]] Result<void> append(Bytes bytes);
  /// REQUIRES: all bytes were appended. `sync`: it is on the disk before it has its name. Errors: kIo.
  [[nodiscard]] Result<void> commit(bool sync = false);

 private:
  struct Impl;
  explicit Writer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A file mapped into memory. Immutable; what it hands out lives as long as it. Any thread.
class File {
 public:
  /// Errors: kNotFound, kIo; kBadData naming the file: not this format, cut off, a type that is not read, another checksum.
  [[nodiscard]] static Result<File> open(const std::string& path);
  /// As open(); kBadData also where a checksum is missing: any change of any byte of what Writer wrote is found.
  [[nodiscard]] static Result<File> open_sealed(const std::string& path);
  File(File&&) noexcept;
  ~File();
  [[nodiscard]] const std::vector<Tensor>& tensors() const;  ///< by name
  [[nodiscard]] const Metadata& metadata() const;
  /// Null if there is none of that name.
  [[nodiscard]] const Tensor* find(const std::string& name) const;
  /// REQUIRES: it is one of tensors().
  [[nodiscard]] Bytes bytes(const Tensor& tensor) const;

 private:
  struct Impl;
  explicit File(std::unique_ptr<Impl> impl);
  [[nodiscard]] static Result<File> read(const std::string& path, bool sealed);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::safetensors
