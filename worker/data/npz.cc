#include "worker/data/npz.h"

#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "base/text.h"
#include "worker/data/npy_array.h"

namespace sluice::worker::data {
namespace {

tl::unexpected<Error> bad_archive(const std::string& path, const std::string& what) { return fail(Errc::kBadData, fmt::format("{}: {}", path, what)); }

std::string zip_words(zip_error_t& error) {
  std::string out = zip_error_strerror(&error);
  zip_error_fini(&error);
  return out;
}

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using Archive = std::unique_ptr<zip_t, Discard>;
using Entry = std::unique_ptr<zip_file_t, Discard>;

/// Names without ".npy".
std::vector<std::string> arrays_of(zip_t* archive) {
  std::vector<std::string> out;
  const zip_int64_t entries = std::min<zip_int64_t>(zip_get_num_entries(archive, 0), 40);
  for (zip_int64_t i = 0; i < entries; ++i) {
    const char* const raw = zip_get_name(archive, static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW);
    std::string name = raw != nullptr ? raw : "?";
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    out.push_back(std::move(name));
  }
  return out;
}

}  // namespace

Result<std::vector<std::byte>> read_npz(Bytes bytes, const std::string& path, const std::string& name) {
  constexpr std::string_view kArray = "\x93NUMPY";
  if (bytes.size() >= kArray.size() && std::memcmp(bytes.data(), kArray.data(), kArray.size()) == 0)
    return bad_archive(path, "an array (.npy) alone, without labels: name two files, the rows' and the labels', or one .npz that holds both");
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  if (source == nullptr) return bad_archive(path, zip_words(error));
  const Archive archive(zip_open_from_source(source, ZIP_RDONLY, &error));
  if (archive == nullptr) {
    zip_source_free(source);
    return bad_archive(path, fmt::format("not a NumPy archive (.npz), or a damaged one: {}", zip_words(error)));
  }
  zip_error_fini(&error);
  if (zip_get_num_entries(archive.get(), 0) == 0) return bad_archive(path, "not a NumPy archive (.npz): it is empty");
  const zip_int64_t at = zip_name_locate(archive.get(), (name + ".npy").c_str(), 0);
  if (at < 0) return bad_archive(path, text::unknown_name("array", name, arrays_of(archive.get())) + "; numpy.savez(file, X=rows, y=labels) names them");
  const Entry entry(zip_fopen_index(archive.get(), static_cast<zip_uint64_t>(at), 0));
  if (entry == nullptr) return bad_archive(path, fmt::format("array '{}' can't be read: {}", name, zip_strerror(archive.get())));
  const auto inflate = [&](std::span<std::byte> into) -> Result<std::size_t> {
    const zip_int64_t got = zip_fread(entry.get(), into.data(), into.size());
    if (got < 0) return bad_archive(path, fmt::format("array '{}' is damaged: {}", name, zip_file_strerror(entry.get())));
    return static_cast<std::size_t>(got);
  };
  return read_npy_bytes(inflate, fmt::format("{}, array {}", path, name));
}

}  // namespace sluice::worker::data
