#pragma once
/// A plug-in's shared object, loaded into this process: only ever a slot process. Nothing of it is called before its version and sizes have been compared.

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "sluice/abi.h"
#include "worker/model.h"

namespace sluice::worker::plugin {

/// xxh3 of a file's bytes, never 0. Errors: kNotFound, kIo.
[[nodiscard]] Result<std::uint64_t> file_digest(const std::string& path);

/// A data's shape as the ABI has it, and back.
[[nodiscard]] sluice_shape abi_shape(const DataShape& shape);
[[nodiscard]] DataShape data_shape(const sluice_shape& shape);

/// What a model's status and words were, out of a LibraryModel's calls.
class ModelFailure : public std::runtime_error {
 public:
  ModelFailure(sluice_status status, const std::string& words) : std::runtime_error(words), status_(status) {}
  [[nodiscard]] sluice_status status() const { return status_; }

 private:
  sluice_status status_;
};

class Library {
 public:
  /// Errors: kNotFound (no such file), kBadConfig (no shared object, no plug-in, another ABI version), each with what to do. Never unloaded.
  [[nodiscard]] static Result<Library> open(const std::string& path);
  [[nodiscard]] std::string name() const { return table_->name; }
  [[nodiscard]] std::string version() const { return table_->version; }
  /// params: a JSON object. Errors: kBadConfig, with the model's words; kJobFailed: it threw something else.
  [[nodiscard]] Result<std::unique_ptr<Model>> make(const std::string& params, const DataShape& shape) const;

 private:
  explicit Library(const sluice_plugin* table) : table_(table) {}
  const sluice_plugin* table_;
};

}  // namespace sluice::worker::plugin
