#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/clock.h"
#include "base/text.h"
#include "cli/data_view.h"
#include "cli/detail/data_section.h"
#include "cli/detail/folders.h"
#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {
constexpr std::uint64_t kHeadBytes = std::uint64_t{4} << 20;

struct DataFlags {
  std::string action;
  proto::DataSpec spec;
  std::string labels = "classes";
  std::string cache;
  std::uint64_t rows = 10;
  bool json = false;
};

Result<void> check(DataFlags& flags) {
  if (flags.action != "info" && flags.action != "convert" && flags.action != "head")
    return fail(Errc::kBadConfig, text::unknown_name("action", flags.action, {"info", "convert", "head"}));
  const auto known = [](const std::string& key, const std::string& value, const std::vector<std::string>& choices) -> Result<void> {
    if (std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
    return fail(Errc::kBadConfig, text::unknown_name(key, value, choices));
  };
  if (flags.spec.format.empty()) {
    const auto format = format_of(flags.spec.train);
    if (!format) return fail(format.error());
    flags.spec.format = *format;
  }
  if (flags.spec.csv.separator == "tab") flags.spec.csv.separator = "\t";
  if (flags.spec.csv.separator.size() > 1) return fail(Errc::kBadConfig, "--separator must be one character, or tab");
  if (auto right = known("--labels", flags.labels, {"classes", "targets"}); !right) return right;
  if (auto right = known("--header", flags.spec.csv.header, {"auto", "yes", "no"}); !right) return right;
  if (auto right = known("--missing", flags.spec.csv.missing, {"refuse", "zero", "mean"}); !right) return right;
  flags.spec.labels = flags.labels == "targets" ? proto::LabelKind::kTargets : proto::LabelKind::kClasses;
  if (flags.cache.empty()) flags.cache = detail::cache_folder();
  flags.spec.name = "data";
  for (auto* list : {&flags.spec.train, &flags.spec.test}) {
    for (std::string& path : *list) path = std::filesystem::absolute(path).lexically_normal().string();
  }
  return {};
}

/// What the conversion did, for people and as JSON.
std::string converted_text(const DataFlags& flags, const worker::OpenedData& data, double seconds) {
  double bytes = 0;
  for (const auto& path : flags.spec.train) bytes += static_cast<double>(std::filesystem::file_size(path));
  for (const auto& path : flags.spec.test) bytes += static_cast<double>(std::filesystem::file_size(path));
  if (flags.json) {
    const nlohmann::json out = {{"version", 1},
                                {"converted", data.converted},
                                {"cache", data.train_cache},
                                {"test_cache", data.test_cache},
                                {"rows", data.train->shape().rows},
                                {"bad_rows", data.bad_rows},
                                {"bytes", bytes},
                                {"seconds", seconds}};
    return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  std::string out = data.train_cache + "\n";
  if (!data.test_cache.empty()) out += data.test_cache + "\n";
  const std::string bad = data.bad_rows > 0 ? fmt::format(", {} bad left out", data.bad_rows) : "";
  detail::note(data.converted ? fmt::format("{} rows{}; {:.1f} MB in {:.2f} s, {:.0f} MB/s", data.train->shape().rows, bad, bytes / 1e6, seconds,
                                            bytes / 1e6 / std::max(seconds, 1e-6))
                              : fmt::format("{} rows{}; it was there already, opened in {:.2f} s", data.train->shape().rows, bad, seconds));
  return out;
}

Result<std::string> data_verb(DataFlags flags) {
  if (auto right = check(flags); !right) return fail(right.error());
  if (flags.action == "head") {
    flags.spec.test.clear();
    const auto rows = worker::preview_data(flags.spec, kHeadBytes);
    if (!rows) return fail(detail::data_error(rows.error()));
    const auto head = data_head(*rows, flags.rows);
    return flags.json ? head.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n" : head_text(head);
  }
  SystemClock clock;
  const Instant begin = clock.now();
  const auto data = worker::open_data(flags.spec, {.cache_dir = flags.cache});
  if (!data) return fail(detail::data_error(data.error()));
  if (flags.action == "convert") return converted_text(flags, *data, (clock.now() - begin).seconds());
  const auto info = data_info(flags.spec, *data);
  return flags.json ? info.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n" : info_text(info);
}
}  // namespace

void add_data(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("data", "Looks at a dataset: what it is (info), its first rows as they are read (head); makes its cache (convert)");
  auto flags = std::make_shared<DataFlags>();
  flags->spec.max_bad_rows = UINT64_MAX;
  verb->add_option("ACTION", flags->action, "info, convert or head")->required();
  verb->add_option("FILE", flags->spec.train, "The dataset's file, or two: images and labels (idx), rows and labels (npy)")->required();
  verb->add_option("--test", flags->spec.test, "Also the test part, read as the run file's 'test' (convert); twice for two files")->allow_extra_args(false);
  verb->add_option("--format", flags->spec.format, "csv, idx, libsvm or npy (default: what the name tells)");
  verb->add_option("--labels", flags->labels, "classes, or targets for regression (default: classes)");
  verb->add_option("--label", flags->spec.csv.label, "csv: the column to learn, by name or number from 1 (default: the last)");
  verb->add_option("--separator", flags->spec.csv.separator, "csv: one character, or tab (default: found in the first line)");
  verb->add_option("--header", flags->spec.csv.header, "csv: yes, no or auto");
  verb->add_option("--missing", flags->spec.csv.missing, "csv: what stands for missing numbers: zero, mean, or refuse: such rows are bad (default)");
  verb->add_option("--text", flags->spec.csv.text, "csv: columns to take as text though they look like numbers")->delimiter(',')->allow_extra_args(false);
  verb->add_option("--skip", flags->spec.csv.skip, "csv: columns to leave out")->delimiter(',')->allow_extra_args(false);
  verb->add_option("--features", flags->spec.features, "libsvm: number of features (default: found while reading)");
  verb->add_option("--max-bad-rows", flags->spec.max_bad_rows, "Bad rows that are left out before it is an error (default: any number)");
  verb->add_option("--rows", flags->rows, "head: how many (default: 10)");
  verb->add_option("--cache", flags->cache, "Folder of converted data (default: $XDG_CACHE_HOME/sluice or ~/.cache/sluice)");
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice data info diamonds.csv --label price --labels targets");
  verb->callback([flags, &status] {
    const auto text = data_verb(*flags);
    if (!text) {
      status = detail::report(text.error(), flags->json);
      return;
    }
    const auto printed = detail::print(*text);
    status = printed ? 0 : detail::report(printed.error(), flags->json);
  });
}

}  // namespace sluice::cli
