#include "cli/detail/data_section.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/text.h"

namespace sluice::cli::detail {
namespace {
namespace fs = std::filesystem;
using config::Kind;
using config::MapReader;
using config::Node;
using config::Problems;

struct Files {
  const std::string& dataset;
  const fs::path& root;
  std::size_t wanted;
  const char* shape;  ///< for messages
};

void look_for(const Node& node, const fs::path& path, const std::string& dataset, Problems& problems) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) {
    problems.add(node.mark, fmt::format("dataset '{}': there is no file {}{}", dataset, path.string(), how_to_get(path.string())), Errc::kBadData);
  } else if (!fs::is_regular_file(status)) {
    problems.add(node.mark, fmt::format("dataset '{}': {} is not a file", dataset, path.string()), Errc::kBadData);
  } else if (::access(path.c_str(), R_OK) != 0) {
    problems.add(node.mark, fmt::format("dataset '{}': {} can't be read: {}", dataset, path.string(), std::strerror(errno)), Errc::kBadData);
  }
}

std::vector<std::string> read_files(const Node* node, const char* key, const Files& files, Problems& problems) {
  std::vector<std::string> out;
  if (node == nullptr) return out;
  const std::vector<Node> one = node->kind == Kind::kScalar ? std::vector<Node>{*node} : std::vector<Node>{};
  const std::vector<Node>& items = node->kind == Kind::kList ? node->items : one;
  if (items.size() != files.wanted) {
    problems.add(node->mark, fmt::format("'{}' of dataset '{}' must be {}", key, files.dataset, files.shape));
    return out;
  }
  for (const auto& item : items) {
    if (item.kind != Kind::kScalar || item.text.empty()) {
      problems.add(item.mark, fmt::format("'{}' of dataset '{}': a file's name is wanted here, not {}", key, files.dataset, config::describe(item)));
      continue;
    }
    const fs::path path = (files.root / item.text).lexically_normal();
    look_for(item, path, files.dataset, problems);
    out.push_back(path.string());
  }
  return out;
}

proto::DataSpec read_dataset(const Node& node, const std::string& name, const std::string& folder, Problems& problems) {
  proto::DataSpec out;
  out.name = name;
  MapReader reader(node, "dataset '" + name + "'", problems);
  out.format = reader.needed_text("format");
  const bool idx = out.format == "idx";
  const bool known = idx || out.format == "libsvm";
  if (out.format == "csv" || out.format == "npy" || out.format == "npz") {
    problems.add(reader.mark("format"), fmt::format("format '{}' is part of the design but not in this version yet; known: idx, libsvm", out.format));
  } else if (!known && !out.format.empty()) {
    problems.add(reader.mark("format"), text::unknown_name("format", out.format, {"idx", "libsvm"}));
  }
  const fs::path root = (fs::path(folder) / reader.text("root")).lexically_normal();
  const Node* train = reader.need("train");
  const Node* test = reader.take("test");
  if (known) {
    const Files files{name, root, idx ? 2u : 1u, idx ? "two files: [images, labels]" : "one file"};
    out.train = read_files(train, "train", files, problems);
    out.test = read_files(test, "test", files, problems);
  }
  out.features = reader.count("features", 0, 0, std::uint64_t{1} << 32);
  if (idx && out.features != 0) problems.add(reader.mark("features"), "'features' is for libsvm files; idx files say it themselves");
  out.max_bad_rows = reader.count("max_bad_rows", 0, 0);
  reader.finish();
  return out;
}
}  // namespace

std::string how_to_get(const std::string& path) {
  if (path.find("datasets/fashion-mnist") != std::string::npos)
    return " (the Debian package dataset-fashion-mnist has it: sudo apt-get install dataset-fashion-mnist)";
  if (path.find("wordnet") != std::string::npos) {
    return " (made from the Debian package wordnet-base: sudo apt-get install wordnet-base, then scripts/run makes it, or python3 examples/data/wordnet.py)";
  }
  return {};
}

std::map<std::string, proto::DataSpec> read_data_section(const Node& node, const std::string& folder, Problems& problems) {
  std::map<std::string, proto::DataSpec> out;
  if (node.kind != Kind::kMap) {
    problems.add(node.mark, fmt::format("'data' must be a map of datasets by name, not {}", config::describe(node)));
    return out;
  }
  for (const auto& [name, mark, value] : node.entries) {
    if (!text::valid_name(name)) problems.add(mark, fmt::format("'{}' is not a name: 1 to 64 of a-z 0-9 . _ -", name.substr(0, 80)));
    out[name] = read_dataset(value, name, folder, problems);
  }
  return out;
}

}  // namespace sluice::cli::detail
