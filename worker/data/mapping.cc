#include "worker/data/mapping.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sluice::worker::data {
namespace {

/// A schema holds names out of users' files, in any encoding; JSON is UTF-8. Each byte becomes the character of its number.
std::string characters(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) out += static_cast<char>(0xc0 | byte >> 6);
    out += static_cast<char>(byte < 0x80 ? byte : 0x80 | (byte & 0x3f));
  }
  return out;
}
std::string bytes_of(const std::string& characters) {
  std::string out;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    const auto lead = static_cast<unsigned char>(characters[i]);
    if (lead < 0x80 || i + 1 == characters.size()) {
      out += characters[i];
    } else {
      out += static_cast<char>((lead & 0x3) << 6 | (static_cast<unsigned char>(characters[++i]) & 0x3f));
    }
  }
  return out;
}

}  // namespace

std::string to_json(const SavedMapping& m) {
  return nlohmann::json{{"features", m.shape.features},
                        {"classes", m.shape.classes},
                        {"sparse", m.shape.sparse},
                        {"rows", m.shape.rows},
                        {"labels", m.mapping.labels},
                        {"index_base", m.mapping.index_base},
                        {"schema", characters(m.mapping.schema)}}
      .dump();
}

Result<SavedMapping> mapping_from_json(const std::string& text) try {
  const auto json = nlohmann::json::parse(text);
  SavedMapping out;
  out.shape.features = json.at("features").get<std::uint64_t>();
  out.shape.classes = json.at("classes").get<std::uint32_t>();
  out.shape.sparse = json.at("sparse").get<bool>();
  out.shape.rows = json.at("rows").get<std::uint64_t>();
  out.mapping.features = out.shape.features;
  out.mapping.labels = json.at("labels").get<std::vector<std::int64_t>>();
  out.mapping.index_base = json.at("index_base").get<std::uint32_t>();
  out.mapping.schema = bytes_of(json.at("schema").get<std::string>());
  if (out.mapping.labels.size() != out.shape.classes || !std::is_sorted(out.mapping.labels.begin(), out.mapping.labels.end()))
    return fail(Errc::kBadData, "the labels of its training data are not whole");
  return out;
} catch (const nlohmann::json::exception& e) { return fail(Errc::kBadData, fmt::format("how its training data was read is not there: {}", e.what())); }

}  // namespace sluice::worker::data
