/// libFuzzer: any bytes as a run file. What is refused has words, what is read is a bounded tree that the readers of values take without a crash.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/config.h"

namespace {
using namespace sluice::config;

void require(bool holds) {
  if (!holds) std::abort();
}

std::size_t visit(const Node& node) {
  std::size_t count = 1;
  (void)to_number(node), (void)to_count(node), (void)to_duration(node), (void)describe(node);
  for (const auto& item : node.items) count += visit(item);
  for (const auto& entry : node.entries) count += visit(entry.value);
  return count;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Problems problems;
  Node root = parse(text, problems.add_source("fuzz.yaml"), problems);
  require(visit(root) <= kNodesMax + 1);
  (void)to_json(root);
  assign(root, text.substr(0, 64), root.entries.empty() ? Node{} : root.entries.front().value, problems);
  {
    MapReader reader(root, "it", problems);
    (void)reader.count("jobs", 1, 1, 9), (void)reader.positive("data", 1), (void)reader.needed_text("name");
    reader.finish();
  }
  if (!problems.empty()) require(!problems.error().what.empty());
  return 0;
}
