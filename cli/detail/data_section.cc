#include "cli/detail/data_section.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
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
  std::size_t least, most;  ///< how many
  const char* shape;        ///< for messages
};
/// What a part (train, test) of each format consists of.
struct FormatFiles {
  const char* name;
  std::size_t least, most;
  const char* shape;
};
constexpr FormatFiles kFormats[] = {{"csv", 1, 1, "one file"},
                                    {"idx", 2, 2, "two files: [images, labels]"},
                                    {"libsvm", 1, 1, "one file"},
                                    {"npy", 1, 2, "two files, [X.npy, y.npy], or one .npz file"}};

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
  if (items.size() < files.least || items.size() > files.most) {
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

std::vector<std::string> read_columns(MapReader& reader, const char* key, Problems& problems) {
  std::vector<std::string> out;
  const Node* node = reader.take(key);
  if (node == nullptr) return out;
  const std::vector<Node> one = node->kind == Kind::kScalar ? std::vector<Node>{*node} : std::vector<Node>{};
  for (const Node& item : node->kind == Kind::kList ? node->items : one) {
    if (item.kind != Kind::kScalar || item.text.empty()) {
      problems.add(item.mark, fmt::format("'{}': a column's name or number is wanted here, not {}", key, config::describe(item)));
    } else {
      out.push_back(item.text);
    }
  }
  if (node->kind == Kind::kMap) problems.add(node->mark, fmt::format("'{}' must be a list of columns", key));
  return out;
}

std::string one_of(MapReader& reader, const char* key, const std::vector<std::string>& choices, Problems& problems) {
  std::string value = reader.text(key, choices.front());
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return value;
  problems.add(reader.mark(key), text::unknown_name(fmt::format("'{}'", key), value, choices));
  return choices.front();
}

/// What only CSV files have; said where it is used for others.
void read_csv_keys(MapReader& reader, bool csv, const std::string& format, Problems& problems, proto::CsvSpec& out) {
  for (const char* key : {"label", "separator", "header", "missing", "text", "skip"}) {
    if (reader.take(key) != nullptr && !csv) problems.add(reader.mark(key), fmt::format("'{}' is for csv files; this dataset is of format {}", key, format));
  }
  if (!csv) return;
  out.label = reader.text("label");
  out.separator = reader.text("separator");
  if (out.separator == "tab") out.separator = "\t";
  if (out.separator.size() > 1) problems.add(reader.mark("separator"), fmt::format("'separator' must be one character (or tab), not '{}'", out.separator));
  out.header = one_of(reader, "header", {"auto", "yes", "no"}, problems);
  out.missing = one_of(reader, "missing", {"refuse", "zero", "mean"}, problems);
  out.text = read_columns(reader, "text", problems);
  out.skip = read_columns(reader, "skip", problems);
}

proto::DataSpec read_dataset(const Node& node, const std::string& name, const std::string& folder, Problems& problems) {
  proto::DataSpec out;
  out.name = name;
  MapReader reader(node, "dataset '" + name + "'", problems);
  out.format = reader.needed_text("format");
  const FormatFiles* known = nullptr;
  std::vector<std::string> names;
  for (const FormatFiles& format : kFormats) {
    names.emplace_back(format.name);
    if (out.format == format.name) known = &format;
  }
  if (known == nullptr && !out.format.empty()) problems.add(reader.mark("format"), text::unknown_name("format", out.format, names));
  const fs::path root = (fs::path(folder) / reader.text("root")).lexically_normal();
  const Node* train = reader.need("train");
  const Node* test = reader.take("test");
  if (known != nullptr) {
    const Files files{name, root, known->least, known->most, known->shape};
    out.train = read_files(train, "train", files, problems);
    out.test = read_files(test, "test", files, problems);
  }
  out.features = reader.count("features", 0, 0, std::uint64_t{1} << 32);
  if (out.format != "libsvm" && out.features != 0)
    problems.add(reader.mark("features"), fmt::format("'features' is for libsvm files; {} files say it themselves", out.format));
  out.max_bad_rows = reader.count("max_bad_rows", 0, 0);
  if (one_of(reader, "labels", {"classes", "targets"}, problems) == "targets") out.labels = proto::LabelKind::kTargets;
  read_csv_keys(reader, out.format == "csv" || known == nullptr, out.format, problems, out.csv);
  reader.finish();
  return out;
}
}  // namespace

void read_test_file(const Node& node, const std::string& folder, Problems& problems, proto::DataSpec& data) {
  if (data.train.size() > 1) {
    problems.add(node.mark, fmt::format("dataset '{}' has parts of two files: name the held-out ones under its 'test'", data.name));
    return;
  }
  const fs::path root(folder);
  data.test = read_files(&node, "file", {data.name, root, 1, 1, "one file"}, problems);
}

std::string how_to_get(const std::string& path) {
  if (path.find("datasets/fashion-mnist") != std::string::npos)
    return " (the Debian package dataset-fashion-mnist has it: sudo apt-get install dataset-fashion-mnist)";
  const fs::path folder = fs::path(path).parent_path();
  const std::string name = folder.filename().string();
  if (name == "wordnet")
    return " (made from the Debian package wordnet-base: sudo apt-get install wordnet-base, then scripts/run makes it, or python3 examples/data/wordnet.py)";
  if (folder.parent_path().filename() != "data") return {};  // the examples' own are in build/data/NAME
  if (name == "flights") return fmt::format(" (node examples/data/flights/flights.mjs --out {} makes it; docs/models.md)", folder.string());
  for (const char* other : {"diamonds", "glosses", "ratings", "sections"}) {
    if (name == other) return fmt::format(" (python3 examples/data/{}.py --out {} makes it; docs/models.md)", name, folder.string());
  }
  return {};
}

Error data_error(Error error) {
  if (error.code == Errc::kNotFound) error.code = Errc::kBadData;
  return error;
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
