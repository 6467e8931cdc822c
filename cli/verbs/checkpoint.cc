#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/rng.h"
#include "base/temporary_file.h"
#include "cli/detail/checkpoint_folder.h"
#include "cli/detail/client.h"
#include "cli/detail/manager_flags.h"
#include "cli/detail/print.h"
#include "cli/detail/signals.h"
#include "cli/verbs/verbs.h"
#include "net/zmq_transport.h"
#include "proto/saved_cut.h"

namespace sluice::cli {
namespace {
namespace fs = std::filesystem;
using detail::Json;

struct CheckpointFlags {
  detail::ManagerFlags manager;
  std::vector<std::string> jobs;
  std::string to;
  std::uint32_t timeout_s = 3600;
  bool all = false, json = false;
};

/// Where the checkpoint is written until it is whole; gone with this object unless kept.
class SideFolder {
 public:
  explicit SideFolder(std::string path) : path_(std::move(path)) {}
  ~SideFolder() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
  }
  SideFolder(const SideFolder&) = delete;
  SideFolder& operator=(const SideFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

Error failed(const Json& job) {
  return {errc_of(detail::text(job, "code"), Errc::kIo), fmt::format("job '{}' could not be saved: {}", detail::text(job, "job"), detail::text(job, "reason"))};
}

/// Until every job is saved or has failed. Errors: those of all jobs (with --all an end meanwhile is none); kTimedOut, kInterrupted.
Result<Json> wait_for_cut(detail::ManagerClient& manager, const std::string& cut, Clock& clock, const CheckpointFlags& flags) {
  detail::Signals signals;
  const Instant late = clock.now() + from_ms(std::int64_t{1000} * flags.timeout_s);
  for (;;) {
    auto status = manager.call("checkpoint_status", {{"checkpoint", cut}});
    if (!status) return status;
    if (status->value("done", false)) {
      Error errors;
      for (const auto& job : detail::list(*status, "jobs")) {
        const std::string state = detail::text(job, "state");
        if (state != "failed" && (state != "ended" || flags.all)) continue;
        const Error error = failed(job);
        errors = {error.code, errors.what + (errors.what.empty() ? "" : "\n") + error.what};
      }
      if (!errors.what.empty()) return fail(std::move(errors));
      return status;
    }
    if (clock.now() >= late) return fail(Errc::kTimedOut, fmt::format("the checkpoint is not written after {} s (--timeout)", flags.timeout_s));
    if (signals.wait(from_ms(20)) == detail::Event::kStop) return fail(Errc::kInterrupted, "interrupted: no checkpoint was made; the jobs go on");
  }
}

/// Reads every job back and gives the folders their jobs' names. Errors: kBadData, kIo.
Result<detail::CheckpointManifest> check_cut(const std::string& folder, const std::string& cut, const Json& status, detail::ManagerClient& manager) {
  detail::CheckpointManifest out{cut, {}};
  for (const auto& job : detail::list(status, "jobs")) {
    const std::string name = detail::text(job, "job");
    if (detail::text(job, "state") == "ended") continue;
    if (detail::text(job, "state") == "not_begun") {
      const auto asked = manager.call("checkpoint_status", {{"checkpoint", cut}, {"job", name}});
      if (!asked) return tl::unexpected(asked.error());
      const Json entries = detail::list(*asked, "jobs");
      auto spec = proto::job_spec_from_json(entries.empty() ? "" : detail::text(entries[0], "spec"));
      if (!spec) return fail(spec.error());
      out.jobs.push_back({name, false, std::move(*spec), 0, 0, 0});
      continue;
    }
    const std::string at = fmt::format("{}/job-{}", folder, job.value("id", std::uint64_t{0}));
    const auto read = proto::Cut::open(at);
    if (!read) return fail(read.error());
    std::error_code error;
    fs::rename(at, folder + "/" + name, error);
    if (error) return fail(Errc::kIo, fmt::format("{}: {}", at, error.message()));
    out.jobs.push_back({name, true, read->job().spec, read->home().step, read->bytes(), detail::number(job, "pause_ms")});
  }
  return out;
}

Result<void> print_cut(const detail::CheckpointManifest& made, const std::string& to, bool as_json) {
  if (as_json) {
    Json jobs = Json::array();
    for (const auto& job : made.jobs)
      jobs.push_back({{"job", job.name}, {"begun", job.begun}, {"step", job.step}, {"bytes", job.bytes}, {"pause_ms", job.pause_ms}});
    return detail::print(Json{{"version", 1}, {"to", to}, {"jobs", std::move(jobs)}}.dump() + "\n");
  }
  std::string words;
  for (const auto& job : made.jobs) {
    if (job.begun) {
      words += fmt::format("{}: saved at step {}, {:.1f} MB; training stood still for {:.1f} ms\n", job.name, job.step, static_cast<double>(job.bytes) / 1e6,
                           job.pause_ms);
    } else {
      words += fmt::format("{}: has not begun: what was asked for is saved\n", job.name);
    }
  }
  return detail::print(words);
}

Result<void> checkpoint(const CheckpointFlags& flags) {
  if (flags.all != flags.jobs.empty()) return fail(Errc::kBadConfig, "name jobs, or take --all");
  if (auto ok = detail::check_new(flags.to); !ok) return ok;
  std::error_code error;
  fs::path to = fs::absolute(flags.to, error).lexically_normal();
  if (!to.has_filename()) to = to.parent_path();
  const std::string cut = fmt::format("cut-{:016x}", entropy_seed());
  SideFolder side(fmt::format("{}.saving-{}", to.string(), cut));
  SystemClock clock;
  net::ZmqTransport transport(clock);
  detail::ManagerClient manager(transport, clock, flags.manager.address);
  if (auto made = make_private_folder(side.path()); !made) return made;
  if (auto asked = write_file(side.path() + "/checkpoint.request", cut); !asked) return asked;
  if (const auto begun = manager.call("checkpoint", {{"checkpoint", cut}, {"folder", side.path()}, {"jobs", flags.jobs}}, from_ms(10'000)); !begun)
    return tl::unexpected(begun.error());
  const auto status = wait_for_cut(manager, cut, clock, flags);
  if (!status) return tl::unexpected(status.error());
  const auto made = check_cut(side.path(), cut, *status, manager);
  if (!made) return tl::unexpected(made.error());
  if (made->jobs.empty()) return fail(Errc::kNotFound, "all jobs ended meanwhile: there is nothing to save");
  fs::remove(side.path() + "/checkpoint.request", error);
  if (auto written = detail::write_manifest(side.path(), *made); !written) return written;
  if (auto synced = sync_folder(side.path()); !synced) return synced;
  if (std::rename(side.path().c_str(), to.c_str()) != 0)
    return fail(Errc::kIo, fmt::format("{}: the checkpoint can't get its name: {}", to.string(), std::strerror(errno)));
  side.keep();
  if (auto synced = sync_folder(to.parent_path().string()); !synced) return synced;
  return print_cut(*made, to.string(), flags.json);
}

}  // namespace

void add_checkpoint(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("checkpoint", "Saves running jobs as they are at one moment, to be restored later; training goes on");
  auto flags = std::make_shared<CheckpointFlags>();
  verb->add_option("JOB", flags->jobs, "Names of live jobs");
  verb->add_flag("--all", flags->all, "All live jobs");
  verb->add_option("--to", flags->to, "Folder of the checkpoint: not there yet, or empty. All servers must see it under this path")->required();
  verb->add_option("--timeout", flags->timeout_s, "Seconds until the files must be written")->capture_default_str();
  flags->manager.add_to(*verb);
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice checkpoint --all --to checkpoints/monday");
  verb->callback([flags, &status] {
    auto done = flags->manager.check();
    if (done) done = checkpoint(*flags);
    status = done ? 0 : detail::report(done.error(), flags->json);
  });
}

}  // namespace sluice::cli
