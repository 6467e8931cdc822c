#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/text.h"
#include "cli/detail/checkpoint_folder.h"
#include "cli/detail/client.h"
#include "cli/detail/manager_flags.h"
#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"
#include "net/zmq_transport.h"
#include "proto/saved_cut.h"

namespace sluice::cli {
namespace {
namespace fs = std::filesystem;
using detail::Json;

struct RestoreFlags {
  detail::ManagerFlags manager;
  std::string from, as;
  std::vector<std::string> jobs;
  bool json = false;
};

/// What is submitted in one call: a message may have 4 MiB.
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
struct Piece {
  Json specs = Json::array(), curves = Json::object();
  std::size_t bytes = 0;
  std::string words;
};

/// Those that are wanted: all where none is named. Errors: kNotFound, kBadConfig.
Result<std::vector<detail::CheckpointJob>> wanted(const detail::CheckpointManifest& manifest, const RestoreFlags& flags) {
  std::vector<detail::CheckpointJob> out;
  std::vector<std::string> known;
  for (const auto& job : manifest.jobs) {
    known.push_back(job.name);
    if (flags.jobs.empty() || std::find(flags.jobs.begin(), flags.jobs.end(), job.name) != flags.jobs.end()) out.push_back(job);
  }
  for (const auto& name : flags.jobs)
    if (std::find(known.begin(), known.end(), name) == known.end()) return fail(Errc::kNotFound, text::unknown_name("job of the checkpoint", name, known));
  if (!flags.as.empty() && out.size() != 1) return fail(Errc::kBadConfig, fmt::format("--as gives one job a name; {} are to be restored", out.size()));
  return out;
}

/// Reads all files of the job through. Errors: kBadData.
Result<proto::JobSpec> spec_of(const std::string& folder, const detail::CheckpointManifest& manifest, const detail::CheckpointJob& job, Json& curve,
                               const std::string& name) {
  proto::JobSpec spec = job.spec;
  spec.name = name;
  if (!job.begun) return spec;
  spec.start = {folder + "/" + job.name, true};
  const auto cut = proto::Cut::open(spec.start.from);
  if (!cut) return fail(cut.error());
  if (cut->name() != manifest.cut) return fail(Errc::kBadData, fmt::format("{}: of another checkpoint than {}", spec.start.from, detail::kManifestFile));
  for (const auto& p : cut->home().curve) curve.push_back({p.step, p.examples, p.seconds, p.loss, p.spread, p.weight});
  return spec;
}

Result<void> restore(const RestoreFlags& flags) {
  std::error_code error;
  fs::path path = fs::absolute(flags.from, error).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  const std::string folder = path.string();
  const auto manifest = detail::read_manifest(folder);
  if (!manifest) return tl::unexpected(manifest.error());
  const auto jobs = wanted(*manifest, flags);
  if (!jobs) return tl::unexpected(jobs.error());
  std::vector<Piece> pieces(1);
  for (const auto& job : *jobs) {
    const std::string name = flags.as.empty() ? job.name : flags.as;
    Json curve = Json::array();
    const auto spec = spec_of(folder, *manifest, job, curve, name);
    if (!spec) return tl::unexpected(spec.error());
    std::string text = proto::to_json(*spec);
    if (pieces.back().bytes > kPieceBytes) pieces.emplace_back();
    Piece& piece = pieces.back();
    piece.bytes += text.size() + curve.dump().size();
    piece.specs.push_back(Json::parse(text));
    if (!curve.empty()) piece.curves[name] = std::move(curve);
    piece.words += job.begun ? fmt::format("{}: goes on at step {}\n", name, job.step) : fmt::format("{}: begins\n", name);
  }
  SystemClock clock;
  net::ZmqTransport transport(clock);
  detail::ManagerClient manager(transport, clock, flags.manager.address);
  Json all = Json::array();
  for (Piece& piece : pieces) {
    const auto answer = manager.call("submit", {{"jobs", std::move(piece.specs)}, {"curves", std::move(piece.curves)}}, from_ms(10'000));
    if (!answer && all.empty()) return tl::unexpected(answer.error());
    if (!answer) return fail(Errc::kPartlyDone, fmt::format("{} of {} jobs are submitted; then: {}", all.size(), jobs->size(), answer.error().what));
    for (const auto& job : detail::list(*answer, "jobs")) all.push_back(job);
    if (flags.json) continue;
    if (auto printed = detail::print(piece.words); !printed) return printed;
  }
  return flags.json ? detail::print(Json{{"version", 1}, {"jobs", std::move(all)}}.dump() + "\n") : Result<void>{};
}

}  // namespace

void add_restore(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("restore", "Submits the jobs of a checkpoint again; they go on where they were saved");
  auto flags = std::make_shared<RestoreFlags>();
  verb->add_option("DIR", flags->from, "The checkpoint's folder: all servers must see it under this path until the jobs have begun")->required();
  verb->add_option("JOB", flags->jobs, "Names of its jobs; none: all");
  verb->add_option("--as", flags->as, "Another name, for one job")->check([](const std::string& name) {
    return text::valid_name(name) ? std::string() : std::string("a name is 1 to 64 of a-z 0-9 . _ -");
  });
  flags->manager.add_to(*verb);
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice restore checkpoints/monday");
  verb->callback([flags, &status] {
    auto done = flags->manager.check();
    if (done) done = restore(*flags);
    status = done ? 0 : detail::report(done.error(), flags->json);
  });
}

}  // namespace sluice::cli
