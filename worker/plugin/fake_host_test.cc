#include "worker/plugin/fake_host.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/assert.h"
#include "worker/plugin/host.h"

namespace sluice::worker::fixtures {
namespace {

using plugin::Call;
using plugin::Made;
using plugin::Op;
using plugin::Page;
using plugin::Reply;
using plugin::Status;

/// What an honest process of a model with one dense table of two floats would say.
void answer(const Call& call, Reply& reply, std::byte* work) {
  if (call.op == Op::kMake) {
    Made made = {};
    made.tables = 1;
    std::strcpy(made.metric, "accuracy");
    std::strcpy(made.table[0].name, "w");
    made.table[0].rows = 1, made.table[0].cols = 2;
    reply.bytes = sizeof made;
    std::memcpy(work + call.room.at, &made, sizeof made);
  }
  if (call.op == Op::kEvaluate) reply.examples = call.rows;
  if (call.op == Op::kOutputs) reply.bytes = call.rows * sizeof(float) <= call.room.count ? call.rows * sizeof(float) : 0;
}

void lie_about(const std::string& lie, const Call& call, Reply& reply, std::byte* work) {
  auto* made = reinterpret_cast<Made*>(work + call.room.at);
  const bool made_now = call.op == Op::kMake;
  if (lie == "number") reply.number += 1;
  if (lie == "status") reply.status = static_cast<Status>(77);
  if (lie == "room") reply.status = Status::kNoRoom, reply.bytes = std::uint64_t{1} << 50;
  if (lie == "no-room") reply.status = Status::kNoRoom, reply.bytes = 1;
  if (lie == "words") {
    reply.status = Status::kFailed;
    std::memset(reply.text, 'x', sizeof reply.text);  // without an end
  }
  if (lie == "made-bytes" && made_now) reply.bytes = 8;
  if (lie == "made-tables" && made_now) made->tables = 1000;
  if (lie == "made-table" && made_now) made->table[0].kind = 9;
  if (lie == "made-name" && made_now) std::memset(made->table[0].name, 'n', sizeof made->table[0].name);
  if (lie == "made-metric" && made_now) std::memset(made->metric, '\n', sizeof made->metric);
  if (lie == "kind" && made_now) reply.kind = 1000;
  if (lie.starts_with("keys") && made_now) made->table[0].kind = 1, made->table[0].rows = 100;
  if (lie == "keys-count" && call.op == Op::kKeys) reply.counts[0] = std::uint64_t{1} << 61, reply.bytes = 16;
  if (lie == "keys-sum" && call.op == Op::kKeys) reply.counts[0] = 3, reply.bytes = 16;
  if (lie == "keys-table" && call.op == Op::kKeys) reply.counts[1] = 1, reply.bytes = 8;
  if (lie == "outputs" && call.op == Op::kOutputs) reply.bytes = 4;
  if (lie == "scores" && call.op == Op::kEvaluate) reply.examples += 1;
}

/// As plugin::serve_slot, but for the truth of its answers.
int serve_lies(const std::string& lie) {
  std::byte* work = nullptr;
  for (;;) {
    std::uint64_t events = 1;
    if (::write(plugin::kReplyFd, &events, sizeof events) != sizeof events) return 0;
    if (lie == "gone") return 0;
    if (::read(plugin::kCallFd, &events, sizeof events) != sizeof events) return 0;
    work = static_cast<std::byte*>(::mmap(nullptr, std::size_t{1} << 20, PROT_READ | PROT_WRITE, MAP_SHARED, plugin::kWorkFd, 0));
    auto* page = reinterpret_cast<Page*>(work);
    Reply reply;
    reply.number = page->call.number;
    answer(page->call, reply, work);
    lie_about(lie, page->call, reply, work);
    page->reply = reply;
  }
}

}  // namespace

std::string test_plugin(const std::string& name) { return std::string(SLUICE_TEST_PLUGINS) + "/lib" + name + ".so"; }

std::unique_ptr<plugin::SlotProcess> honest_process(Duration call_limit) {
  auto started = plugin::SlotProcess::start({.call_limit = call_limit});
  SLUICE_ASSERT(started.has_value());
  return std::move(*started);
}

std::unique_ptr<plugin::SlotProcess> lying_process(const std::string& lie) {
  auto started = plugin::SlotProcess::start({.command = {"/proc/self/exe", "liar", lie}});
  SLUICE_ASSERT(started.has_value());
  return std::move(*started);
}

bool comes_to_hold(const std::function<bool()>& holds) {
  for (int i = 0; i < 1000; ++i) {
    if (holds()) return true;
    (void)::poll(nullptr, 0, 10);
  }
  return holds();
}

std::vector<pid_t> children() {
  std::vector<pid_t> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream stat(entry.path() / "stat");
    std::string text;
    std::getline(stat, text);
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) continue;
    std::istringstream fields(text.substr(name_end + 1));
    char state = 0;
    pid_t parent = 0;
    if (fields >> state >> parent && parent == ::getpid() && state != 'Z') out.push_back(static_cast<pid_t>(std::stol(text)));
  }
  return out;
}

}  // namespace sluice::worker::fixtures

/// The room's tests; or, started by one of them as a slot process, the host of one.
int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[1] : "";
  if (what == "slot-process") return sluice::worker::plugin::serve_slot(static_cast<pid_t>(std::stol(argv[3])));
  if (what == "liar") return sluice::worker::fixtures::serve_lies(argv[2]);
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
