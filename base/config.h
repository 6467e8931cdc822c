#pragma once
/// Strict configuration (YAML 1.2 through yaml-cpp) with a place for everything: all mistakes of a file are collected, each with file:line:column, what, and
/// what to do. A document is bounded (bytes, nodes, depth) and has no anchors, aliases or tags, so that its size on disk bounds its size in memory.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sluice::config {

inline constexpr std::size_t kDocumentBytesMax = 1u << 20;
inline constexpr std::size_t kNodesMax = 100'000;
inline constexpr int kDepthMax = 32;

/// Where something was written. line and column from 1; line 0: the source as a whole (a flag of the command line, a file that can't be opened).
struct Mark {
  std::uint32_t source = 0;  ///< index into Problems' sources
  int line = 0;
  int column = 0;
};

/// Mistakes found so far. One thread.
class Problems {
 public:
  /// Registers a source (a file's name, or a flag as it was typed); returns its index for marks.
  [[nodiscard]] std::uint32_t add_source(std::string name);
  /// Notes a mistake; the same words at the same place count once.
  void add(const Mark& mark, std::string what, Errc code = Errc::kBadConfig);
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  /// All mistakes, ordered by place, one a line: "sweep.yaml:12:9: unknown key …". Code: that of the gravest (kBadConfig before all others). At most 50 are
  /// shown.
  [[nodiscard]] Error error() const;

 private:
  struct Entry {
    Mark mark;
    std::string what;
    Errc code;
  };
  std::vector<std::string> sources_;
  std::vector<Entry> entries_;
};

enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap };

/// One value of a document, with its place. A plain tree: copies are deep.
struct Node {
  struct Entry;
  Kind kind = Kind::kNull;
  Mark mark;
  std::string text;            ///< scalar: as written, without quotes
  bool quoted = false;         ///< scalar: was in quotes, so it is a string whatever it looks like
  std::vector<Node> items;     ///< list
  std::vector<Entry> entries;  ///< map, in the order written; keys are distinct

  [[nodiscard]] const Node* find(std::string_view key) const;
  [[nodiscard]] Node* find(std::string_view key);
};
struct Node::Entry {
  std::string key;
  Mark mark;  ///< of the key
  Node value;
};

/// Parses one document. On a syntax error, a bound or a duplicate key the mistakes are in `problems`; duplicates keep the first. An empty document is kNull.
/// `source`: from problems.add_source(). Accepts any bytes.
[[nodiscard]] Node parse(std::string_view text, std::uint32_t source, Problems& problems);
/// Reads a file of at most kDocumentBytesMax bytes. Errors: kNotFound, kBadConfig (a folder, too large), kIo.
[[nodiscard]] Result<std::string> read_text(const std::string& path);

/// Numbers as written: decimal or scientific, finite. Nothing else (no hex, no ".inf", no "1_000").
[[nodiscard]] std::optional<double> to_number(const Node& node);
[[nodiscard]] std::optional<std::uint64_t> to_count(const Node& node);
/// "250us", "500ms", "2s", "1.5min": a length of time with its unit, > 0.
[[nodiscard]] std::optional<Duration> to_duration(const Node& node);
/// JSON text of a node: unquoted null, true, false and numbers become such, all else strings. For parts whose meaning is somebody else's (a model's params).
[[nodiscard]] std::string to_json(const Node& node);
/// JSON text as YAML for people: maps a line an entry, lists in one line. REQUIRES: valid JSON.
[[nodiscard]] std::string to_yaml(const std::string& json);
/// "a list", "a map", "'text'", "nothing": for messages.
[[nodiscard]] std::string describe(const Node& node);

/// Sets `node` at a dotted path in `root`, as `--set cluster.slots=4` does; makes maps on the way. A list's element is named by its `name` entry, its number
/// from 0, or `*` for all. Mistakes (no such element, a path through a scalar) go to `problems` at node.mark.
void assign(Node& root, std::string_view path, const Node& node, Problems& problems);

/// Reads one map strictly: what is taken is known, the rest is unknown. Call finish() last.
class MapReader {
 public:
  /// where: how messages call it ("optimizer", "job 'mlp'"). A node that isn't a map is a mistake, and everything in it counts as missing without further
  /// words.
  MapReader(const Node& node, std::string where, Problems& problems);

  /// The value, or null if it isn't there (or is null). Makes the key known.
  [[nodiscard]] const Node* take(std::string_view key);
  /// As take; missing is a mistake.
  [[nodiscard]] const Node* need(std::string_view key);
  /// Scalars; a wrong type or range is a mistake and gives `otherwise`.
  [[nodiscard]] std::string text(std::string_view key, std::string otherwise = {});
  [[nodiscard]] std::string needed_text(std::string_view key);
  [[nodiscard]] std::uint64_t count(std::string_view key, std::uint64_t otherwise, std::uint64_t min,
                                    std::uint64_t max = std::numeric_limits<std::uint64_t>::max());
  /// min is exclusive when it is 0.
  [[nodiscard]] double positive(std::string_view key, double otherwise);
  [[nodiscard]] Duration duration(std::string_view key, Duration otherwise, Duration min, Duration max);
  /// Keys of the design that this version doesn't have: named as such when they are used.
  void planned(std::initializer_list<std::string_view> keys);
  /// Complains about every key that is not known, with the nearest that is.
  void finish();
  /// Place of the value of a key if it is there, else of the map.
  [[nodiscard]] Mark mark(std::string_view key) const;

 private:
  const Node& node_;
  std::string where_;
  Problems& problems_;
  std::vector<std::string> known_;
  std::set<std::string, std::less<>> planned_;
  bool usable_;
};

}  // namespace sluice::config
