#include "worker/plugin/host.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>

#include "base/result.h"
#include "worker/kernels.h"
#include "worker/plugin/check.h"
#include "worker/plugin/library.h"
#include "worker/plugin/wire.h"

namespace sluice::worker::plugin {
namespace {

constexpr rlim_t kFileBytesMax = 64 << 20;  ///< a model does no output; a log of one is bounded
constexpr rlim_t kFilesMax = 256;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kBoundMemory = false;  // their shadow is larger than any bound
#else
constexpr bool kBoundMemory = true;
#endif

void limit(int what, rlim_t most) {
  const rlimit both{most, most};
  (void)::setrlimit(static_cast<__rlimit_resource>(what), &both);
}

/// Private writable memory of this process, in bytes: what RLIMIT_DATA counts.
std::uint64_t data_bytes() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmData:")) return std::strtoull(line.c_str() + 7, nullptr, 10) * 1024;
  }
  return 0;
}

/// A shared file's bytes in this process, which follow its size.
class Mapped {
 public:
  Mapped(int fd, int protection) : fd_(fd), protection_(protection) {}
  [[nodiscard]] bool fit(std::uint64_t bytes) {
    if (bytes == bytes_) return true;
    if (data_ != nullptr) ::munmap(data_, bytes_);
    data_ = nullptr;
    bytes_ = 0;
    void* const mapped = ::mmap(nullptr, bytes, protection_, MAP_SHARED, fd_, 0);
    if (mapped == MAP_FAILED) return false;
    data_ = static_cast<std::byte*>(mapped);
    bytes_ = bytes;
    return true;
  }
  template <class T>
  [[nodiscard]] T* at(std::uint64_t offset) const {
    return reinterpret_cast<T*>(data_ + offset);
  }
  template <class T>
  [[nodiscard]] std::span<T> span(const Place& place) const {
    return place.count == 0 ? std::span<T>() : std::span<T>(at<T>(place.at), place.count);
  }

 private:
  int fd_, protection_;
  std::byte* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

class Host {
 public:
  Host() : work_(kWorkFd, PROT_READ | PROT_WRITE), values_(kValuesFd, PROT_READ), updates_(kUpdatesFd, PROT_READ | PROT_WRITE) {}
  /// Until the worker closes.
  int serve();

 private:
  void answer(const Call& call, Reply& reply);
  void open(const Call& call, Reply& reply);
  void make(const Call& call, Reply& reply);
  void keys(const Call& call, Reply& reply);
  void update(const Call& call, Reply& reply);
  void outputs(const Call& call, Reply& reply);
  void check(const Call& call, Reply& reply);
  void take_batch(const Call& call);
  void take_tables(const Call& call);
  [[nodiscard]] const Mapped& out_file(const TableRecord& record) const { return record.out_in_updates != 0 ? updates_ : work_; }
  [[nodiscard]] unsigned char* guard_of(const TableRecord& record) const {
    return out_file(record).at<unsigned char>(record.out.at + record.out.count * sizeof(float));
  }
  [[nodiscard]] bool guards_hold(const Call& call) const;
  void into_room(const Call& call, Reply& reply, std::span<const std::byte> bytes) const;
  static void say(Reply& reply, Status status, const std::string& words);

  Mapped work_, values_, updates_;
  std::optional<Library> library_;
  std::string path_;
  std::unique_ptr<Model> model_;
  std::vector<TableDecl> declared_;
  Batch batch_;
  std::vector<TableView> views_;
  std::vector<TableUpdate> out_;
  std::vector<std::vector<Key>> keys_;
};

void Host::say(Reply& reply, Status status, const std::string& words) {
  reply.status = status;
  const std::size_t size = std::min(words.size(), sizeof reply.text - 1);
  std::memcpy(reply.text, words.data(), size);
  reply.text[size] = '\0';
}

int Host::serve() {
  if (!work_.fit(kPageBytes)) return exit_code(Errc::kInternal);
  for (std::uint64_t last = 0;;) {
    std::uint64_t events = 1;
    if (::write(kReplyFd, &events, sizeof events) != sizeof events) return 0;
    ssize_t got = 0;
    while ((got = ::read(kCallFd, &events, sizeof events)) < 0 && errno == EINTR) {}
    if (got != sizeof events) return 0;
    std::atomic_signal_fence(std::memory_order_acquire);  // see SlotProcess::call
    const Call call = work_.at<Page>(0)->call;
    if (call.number != last + 1) return exit_code(Errc::kInternal);
    last = call.number;
    Reply reply;
    reply.number = call.number;
    if (work_.fit(call.work_bytes) && (call.values_bytes == 0 || values_.fit(call.values_bytes))) {
      answer(call, reply);
    } else {
      say(reply, Status::kNoMemory, "out of memory: the batch could not be mapped");
      if (!work_.fit(kPageBytes)) return exit_code(Errc::kInternal);
    }
    work_.at<Page>(0)->reply = reply;
    std::atomic_signal_fence(std::memory_order_release);
  }
}

void Host::answer(const Call& call, Reply& reply) {
  try {
    if (call.op > Op::kOpen && !library_) return say(reply, Status::kFailed, "no plug-in is loaded");
    if (call.op > Op::kMake && call.op != Op::kCheck && !model_) return say(reply, Status::kFailed, "no model is made");
    switch (call.op) {
      case Op::kHello:
        return;
      case Op::kOpen:
        return open(call, reply);
      case Op::kMake:
        return make(call, reply);
      case Op::kKeys:
        return keys(call, reply);
      case Op::kUpdate:
      case Op::kFinishPhase:
        return update(call, reply);
      case Op::kOutputs:
      case Op::kEvaluate:
        return outputs(call, reply);
      case Op::kPhases:
        reply.kind = model_->phases(call.argument);
        return;
      case Op::kCheck:
        return check(call, reply);
      case Op::kMapUpdates:
        if (!updates_.fit(call.updates_bytes)) say(reply, Status::kNoMemory, "out of memory: updates could not be mapped");
        return;
    }
  } catch (const ModelFailure& failed) {
    say(reply, static_cast<Status>(std::clamp(failed.status(), SLUICE_FAILED, SLUICE_NO_MEMORY)), failed.what());
  } catch (const std::bad_alloc&) { say(reply, Status::kNoMemory, "out of memory"); } catch (const std::exception& failed) {
    say(reply, Status::kFailed, failed.what());
  } catch (...) { say(reply, Status::kFailed, "it threw something that is no std::exception"); }
}

void Host::open(const Call& call, Reply& reply) {
  const auto text = work_.span<const char>(call.text);
  path_.assign(text.begin(), text.end());
  const auto digest = file_digest(path_);
  if (!digest) return say(reply, Status::kMissing, digest.error().what);
  if (call.digest != 0 && *digest != call.digest)
    return say(reply, Status::kNotOurs, fmt::format("{}: the plug-in has changed since its job was submitted; submit the job again", path_));
  if (kBoundMemory && call.memory_bytes > 0) limit(RLIMIT_DATA, data_bytes() + call.memory_bytes);
  const auto library = Library::open(path_);
  if (!library) return say(reply, library.error().code == Errc::kNotFound ? Status::kMissing : Status::kNotOurs, library.error().what);
  library_ = *library;
  reply.counts[0] = *digest;
  say(reply, Status::kOk, library_->name() + "\n" + library_->version());
}

void Host::make(const Call& call, Reply& reply) {
  const auto text = work_.span<const char>(call.text);
  model_.reset();
  auto made = library_->make(std::string(text.begin(), text.end()), data_shape(call.shape));
  if (!made) return say(reply, made.error().code == Errc::kBadConfig ? Status::kBadParams : Status::kFailed, made.error().what);
  declared_ = (*made)->tables();
  Made out;
  out.tables = static_cast<std::uint32_t>(declared_.size());
  out.predicts_labels = (*made)->predicts_labels() ? 1 : 0;
  const std::string metric = (*made)->metric();
  std::memcpy(out.metric, metric.data(), std::min(metric.size(), sizeof out.metric - 1));
  for (std::size_t t = 0; t < declared_.size(); ++t) {
    const TableDecl& from = declared_[t];
    sluice_table& to = out.table[t] = {};
    std::memcpy(to.name, from.name.data(), std::min(from.name.size(), sizeof to.name - 1));
    to.rows = from.rows;
    to.cols = from.cols;
    to.kind = static_cast<std::uint32_t>(from.kind);
    to.init = static_cast<std::uint32_t>(from.init.kind);
    to.scale = from.init.scale;
    to.use = static_cast<std::uint32_t>(from.use);
  }
  reply.kind = static_cast<std::uint32_t>((*made)->update_kind());
  into_room(call, reply, std::as_bytes(std::span(&out, 1)));
  if (reply.status == Status::kOk) model_ = std::move(*made);
  keys_.resize(declared_.size());
}

void Host::take_batch(const Call& call) {
  batch_ = {};
  batch_.rows = static_cast<std::uint32_t>(call.rows);
  batch_.features = call.features;
  batch_.dense = call.dense_in_values != 0 ? values_.span<const float>(call.dense) : work_.span<const float>(call.dense);
  batch_.offsets = work_.span<const std::uint64_t>(call.offsets);
  batch_.indices = work_.span<const std::uint32_t>(call.indices);
  batch_.values = work_.span<const float>(call.entries);
  batch_.labels = work_.span<const float>(call.labels);
}

void Host::take_tables(const Call& call) {
  views_.clear();
  out_.clear();
  for (std::uint32_t t = 0; t < call.tables; ++t) {
    const TableRecord& record = call.table[t];
    views_.push_back(
        {record.in_values != 0 ? values_.span<const float>(record.values) : work_.span<const float>(record.values), work_.span<const Key>(record.keys)});
    out_.push_back({out_file(record).span<float>(record.out)});
  }
}

/// A write behind the end of an output shows as a changed guard.
bool Host::guards_hold(const Call& call) const {
  for (std::uint32_t t = 0; t < call.tables; ++t) {
    if (call.table[t].guarded == 0) continue;
    const unsigned char* const guard = guard_of(call.table[t]);
    if (std::any_of(guard, guard + kGuard, [](unsigned char byte) { return byte != kGuardByte; })) return false;
  }
  return true;
}

void Host::into_room(const Call& call, Reply& reply, std::span<const std::byte> bytes) const {
  reply.bytes = bytes.size();
  if (bytes.size() > call.room.count) return say(reply, Status::kNoRoom, "");
  std::copy(bytes.begin(), bytes.end(), work_.at<std::byte>(call.room.at));
}

void Host::keys(const Call& call, Reply& reply) {
  take_batch(call);
  for (auto& keys : keys_) keys.clear();
  model_->keys(batch_, keys_);
  std::vector<Key> all;
  for (std::size_t t = 0; t < keys_.size(); ++t) {
    reply.counts[t] = keys_[t].size();
    all.insert(all.end(), keys_[t].begin(), keys_[t].end());
  }
  into_room(call, reply, std::as_bytes(std::span(all)));
}

void Host::update(const Call& call, Reply& reply) {
  take_batch(call);
  take_tables(call);
  for (std::uint32_t t = 0; t < call.tables; ++t) {
    if (call.table[t].guarded != 0) std::memset(guard_of(call.table[t]), kGuardByte, kGuard);
  }
  if (call.op == Op::kUpdate) {
    if (call.argument == 1) {
      for (const auto& out : out_) std::fill(out.values.begin(), out.values.end(), std::numeric_limits<float>::quiet_NaN());
    }
    const Losses losses = model_->update(views_, batch_, out_);
    reply.numbers[0] = losses.loss_sum;
    reply.numbers[1] = losses.loss_squares;
  } else {
    const PhaseEnd end = model_->finish_phase(views_, call.argument, out_);
    reply.kind = end.done ? 1 : 0;
    say(reply, Status::kOk, end.reason);
  }
  if (!guards_hold(call)) say(reply, Status::kOverrun, "it wrote behind the end of an update's memory");
}

void Host::outputs(const Call& call, Reply& reply) {
  take_batch(call);
  take_tables(call);
  if (call.op == Op::kOutputs) return into_room(call, reply, std::as_bytes(model_->outputs(views_, batch_)));
  const Scores scores = model_->evaluate(views_, batch_);
  reply.examples = scores.examples;
  reply.numbers[0] = scores.loss_sum;
  reply.numbers[1] = scores.metric_sum;
}

void Host::check(const Call& call, Reply& reply) {
  const auto text = work_.span<const char>(call.text);
  const std::string report = check_library(*library_, std::string(text.begin(), text.end()));
  into_room(call, reply, std::as_bytes(std::span(report)));
}

}  // namespace

int serve_slot(pid_t parent) {
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) return exit_code(Errc::kInterrupted);
  (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, kFileBytesMax);
  limit(RLIMIT_NOFILE, kFilesMax);
  use_one_blas_thread();
  if (::fcntl(kWorkFd, F_GETFD) < 0 || ::fcntl(kReplyFd, F_GETFD) < 0) return exit_code(Errc::kBadConfig);
  return Host().serve();
}

}  // namespace sluice::worker::plugin
