#include "cli/data_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cli/detail/table.h"
#include "worker/data/csv_schema.h"

namespace sluice::cli {
namespace {
using nlohmann::json;
using worker::data::CsvColumn;
using worker::data::CsvSchema;
using worker::data::CsvType;

constexpr std::uint32_t kReadRows = 4096;
constexpr std::size_t kShown = 30;  ///< columns, classes, features of a row in the text

std::uint64_t bytes_of(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

std::string bytes_text(double bytes) {
  if (bytes >= 1e9) return fmt::format("{:.2f} GB", bytes / 1e9);
  if (bytes >= 1e6) return fmt::format("{:.1f} MB", bytes / 1e6);
  return bytes >= 1e3 ? fmt::format("{:.1f} kB", bytes / 1e3) : fmt::format("{:.0f} B", bytes);
}

/// What all rows tell.
struct Sums {
  std::uint64_t rows = 0, not_zero = 0;
  std::vector<std::uint64_t> classes;
  double sum = 0, squares = 0, least = INFINITY, most = -INFINITY;

  explicit Sums(const std::shared_ptr<const worker::Dataset>& data) : rows(data->shape().rows), classes(data->shape().classes) {
    worker::BatchReader reader(data);
    for (std::uint64_t first = 0; first < rows; first += kReadRows) {
      const auto batch = reader.read_plain(first, static_cast<std::uint32_t>(std::min<std::uint64_t>(kReadRows, rows - first)));
      const auto values = data->shape().sparse ? batch.values : batch.dense;
      not_zero += values.size() - static_cast<std::uint64_t>(std::count(values.begin(), values.end(), 0.0F));
      for (const float label : batch.labels) add(static_cast<double>(label));
    }
  }
  void add(double label) {
    if (!classes.empty()) {
      ++classes.at(static_cast<std::size_t>(label));
      return;
    }
    const double before = sum / std::max<double>(1, static_cast<double>(seen_));
    sum += label;
    squares += (label - before) * (label - sum / static_cast<double>(++seen_));  // Welford: no difference of large numbers
    least = std::min(least, label);
    most = std::max(most, label);
  }

 private:
  std::uint64_t seen_ = 0;
};

std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text) out += static_cast<unsigned char>(c) < ' ' || c == 127 ? '?' : c;
  return detail::cut(out, 60);
}

const char* type_name(CsvType type) {
  switch (type) {
    case CsvType::kNumber:
      return "number";
    case CsvType::kText:
      return "text";
    case CsvType::kSkipped:
      return "skipped";
    default:
      return "label";
  }
}

json columns_of(const CsvSchema& schema) {
  json out = json::array();
  for (const CsvColumn& column : schema.columns) {
    out.push_back({{"name", printable(column.name)}, {"type", type_name(column.type)}, {"features", column.features()}});
    if (column.type == CsvType::kText) out.back()["hashed"] = column.hashed;
  }
  return out;
}

/// Names of features by their number, as far as the file has any.
class FeatureNames {
 public:
  explicit FeatureNames(const worker::data::Mapping& mapping) : base_(mapping.index_base) {
    if (mapping.schema.empty()) return;
    if (auto schema = worker::data::csv_schema_from_bytes(mapping.schema)) schema_ = std::move(*schema);
  }
  [[nodiscard]] std::string of(std::uint64_t feature) const {
    if (schema_.columns.empty()) return std::to_string(feature + base_);
    const auto next =
        std::upper_bound(schema_.columns.begin(), schema_.columns.end(), feature, [](std::uint64_t f, const CsvColumn& c) { return f < c.first; });
    for (auto column = next; column != schema_.columns.begin();) {
      --column;
      if (column->features() == 0) continue;
      const std::uint64_t at = feature - column->first;
      if (column->type == CsvType::kNumber) return printable(column->name);
      return fmt::format("{}={}", printable(column->name), column->hashed ? fmt::format("#{}", at) : printable(column->categories[at]));
    }
    return "?";
  }

 private:
  CsvSchema schema_;
  std::uint64_t base_;
};

std::string share(double part, double whole) { return fmt::format("{:.1f} %", whole > 0 ? 100 * part / whole : 0); }

}  // namespace

Result<std::string> format_of(const std::vector<std::string>& files) {
  std::string name = files.empty() ? "" : std::filesystem::path(files.front()).filename().string();
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  const auto ends = [&](std::initializer_list<const char*> endings) {
    return std::any_of(endings.begin(), endings.end(), [&](const char* e) { return name.ends_with(e); });
  };
  if (ends({".csv", ".tsv"})) return std::string("csv");
  if (ends({".npy", ".npz"})) return std::string("npy");
  if (ends({"-ubyte", ".idx"})) return std::string("idx");
  if (ends({".libsvm", ".svm", ".svmlight"})) return std::string("libsvm");
  return fail(Errc::kBadConfig, fmt::format("the name '{}' does not tell the format; say --format csv, idx, libsvm or npy", name));
}

json data_info(const proto::DataSpec& spec, const worker::OpenedData& data) {
  const worker::DataShape& shape = data.train->shape();
  const Sums sums(data.train);
  double source_bytes = 0;
  for (const std::string& path : spec.train) source_bytes += static_cast<double>(bytes_of(path));
  const double cells = static_cast<double>(shape.rows) * static_cast<double>(shape.features);
  json out = {{"version", 1},
              {"files", spec.train},
              {"format", spec.format},
              {"bytes", source_bytes},
              {"rows", shape.rows},
              {"bad_rows", data.bad_rows},
              {"first_bad", data.first_bad},
              {"features", shape.features},
              {"sparse", shape.sparse},
              {"not_zero", cells > 0 ? static_cast<double>(sums.not_zero) / cells : 0},
              {"cache", data.train_cache},
              {"cache_bytes", bytes_of(data.train_cache)}};
  if (shape.classes > 0) {
    const auto names = worker::class_names(data.mapping);
    out["classes"] = json::array();
    for (std::size_t c = 0; c < shape.classes; ++c)
      out["classes"].push_back({{"label", printable(c < names.size() ? names[c] : "?")}, {"rows", sums.classes[c]}});
  } else {
    const auto n = static_cast<double>(shape.rows);
    out["targets"] = {{"mean", sums.sum / n}, {"deviation", std::sqrt(sums.squares / n)}, {"least", sums.least}, {"most", sums.most}};
  }
  if (!data.mapping.schema.empty()) {
    if (const auto schema = worker::data::csv_schema_from_bytes(data.mapping.schema)) {
      out["separator"] = std::string(1, schema->separator);
      out["header"] = schema->header;
      out["columns"] = columns_of(*schema);
    }
  }
  return out;
}

std::string info_text(const json& info) {
  const auto rows = info.at("rows").get<double>();
  std::string out = fmt::format("{}: {}, {}\n", fmt::join(info.at("files").get<std::vector<std::string>>(), ", "), info.at("format").get<std::string>(),
                                bytes_text(info.at("bytes").get<double>()));
  out += fmt::format("rows      {:.0f}\n", rows);
  if (const auto bad = info.at("bad_rows").get<std::uint64_t>(); bad > 0)
    out += fmt::format("bad rows  {}, left out; the first: {}\n", bad, info.at("first_bad").get<std::string>());
  out += fmt::format("features  {}, {}; {} of the values are not zero\n", info.at("features").get<std::uint64_t>(),
                     info.at("sparse").get<bool>() ? "sparse" : "dense", share(info.at("not_zero").get<double>(), 1));
  if (info.contains("targets")) {
    const json& t = info.at("targets");
    out += fmt::format("targets   from {:g} to {:g}, mean {:g}, deviation {:g}\n", t.at("least").get<double>(), t.at("most").get<double>(),
                       t.at("mean").get<double>(), t.at("deviation").get<double>());
  } else {
    const json& classes = info.at("classes");
    out += fmt::format("classes   {}\n", classes.size());
    detail::Table table({{"LABEL", detail::Align::kLeft, 40}, {"ROWS"}, {"SHARE"}});
    for (std::size_t i = 0; i < std::min(kShown, classes.size()); ++i) {
      const auto of_class = classes[i].at("rows").get<std::uint64_t>();
      table.add({classes[i].at("label").get<std::string>(), std::to_string(of_class), share(static_cast<double>(of_class), rows)});
    }
    out += table.text();
    if (classes.size() > kShown) out += fmt::format("… and {} more (--json has all)\n", classes.size() - kShown);
  }
  if (info.contains("columns")) {
    const json& columns = info.at("columns");
    const auto separator = info.at("separator").get<std::string>();
    out += fmt::format("columns   {}, separator {}, {}\n", columns.size(), separator == "\t" ? "tab" : "'" + separator + "'",
                       info.at("header").get<bool>() ? "with a header" : "without a header");
    detail::Table table({{"COLUMN", detail::Align::kLeft, 40}, {"TYPE", detail::Align::kLeft}, {"FEATURES"}});
    for (std::size_t i = 0; i < std::min(kShown, columns.size()); ++i) {
      const json& c = columns[i];
      table.add({c.at("name").get<std::string>(), c.at("type").get<std::string>() + (c.value("hashed", false) ? ", hashed" : ""),
                 std::to_string(c.at("features").get<std::uint64_t>())});
    }
    out += table.text();
    if (columns.size() > kShown) out += fmt::format("… and {} more (--json has all)\n", columns.size() - kShown);
  }
  return out + fmt::format("cache     {} ({})\n", info.at("cache").get<std::string>(), bytes_text(info.at("cache_bytes").get<double>()));
}

json data_head(const worker::data::Rows& rows, std::uint64_t count) {
  const FeatureNames names(rows.mapping);
  const auto labels = worker::class_names(rows.mapping);
  const std::size_t width = rows.mapping.features;
  json out = {{"version", 1}, {"bad_rows", rows.bad_rows}, {"first_bad", rows.first_bad}, {"rows", json::array()}};
  for (std::uint64_t row = 0; row < std::min(count, rows.count()); ++row) {
    json features = json::array();
    const auto add = [&](std::uint64_t feature, double value) {
      if (value != 0) features.push_back({{"name", names.of(feature)}, {"value", value}});
    };
    if (rows.sparse) {
      for (std::uint64_t e = rows.offsets[row]; e < rows.offsets[row + 1]; ++e) add(rows.indices[e], static_cast<double>(rows.values[e]));
    } else {
      for (std::size_t f = 0; f < width; ++f) add(f, rows.dense.empty() ? rows.pixels[row * width + f] : static_cast<double>(rows.dense[row * width + f]));
    }
    json label = rows.regression ? json(rows.targets[row]) : json(printable(labels.at(rows.classes[row])));
    out["rows"].push_back({{"label", std::move(label)}, {"features", std::move(features)}});
  }
  return out;
}

std::string head_text(const json& head) {
  detail::Table table({{"LABEL"}, {"FEATURES THAT ARE NOT ZERO", detail::Align::kLeft}});
  for (const json& row : head.at("rows")) {
    const json& label = row.at("label");
    std::string features;
    std::size_t shown = 0;
    for (const json& feature : row.at("features")) {
      if (++shown > kShown) break;
      const auto value = feature.at("value").get<float>();
      const auto name = feature.at("name").get<std::string>();
      features += (shown > 1 ? "  " : "") + (value == 1 && name.find('=') != std::string::npos ? name : fmt::format("{}:{:g}", name, value));
    }
    if (shown > kShown) features += fmt::format("  … {} more", row.at("features").size() - kShown);
    table.add({label.is_string() ? label.get<std::string>() : fmt::format("{:g}", label.get<float>()), features});
  }
  std::string out = table.text();
  if (const auto bad = head.at("bad_rows").get<std::uint64_t>(); bad > 0)
    out += fmt::format("{} bad row{} left out; the first: {}\n", bad, bad == 1 ? "" : "s", head.at("first_bad").get<std::string>());
  return out;
}

}  // namespace sluice::cli
