/// Text → Node: yaml-cpp's event stream with bounds, places and distinct keys; and assignments by dotted path.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/config.h"
#include "base/text.h"

namespace sluice::config {
namespace {

/// Leaves the event stream; the mistake is noted already.
struct Refused {};

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::uint32_t source, Problems& problems) : source_(source), problems_(problems) {}
  [[nodiscard]] Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { (void)place(mark, anchor, Kind::kNull); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse(mark, "aliases are not read here; write the value out"); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    if (key_wanted()) return take_key(mark, anchor, value);
    Node& node = place(mark, anchor, Kind::kScalar);
    node.text = value;
    node.quoted = tag == "!";
    if (tag != "!" && tag != "?" && !tag.empty()) refuse(mark, fmt::format("tags such as {} are not read here", tag));
    // yaml-cpp names plain nulls here or through OnNull, depending on how they are written.
    if (!node.quoted && (value == "null" || value == "~" || value == "Null" || value == "NULL")) node.kind = Kind::kNull, node.text.clear();
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, anchor, Kind::kList);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override { open(mark, anchor, Kind::kMap); }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    Node* node;
    bool has_key = false;    ///< map: a key was read, its value comes next
    bool duplicate = false;  ///< map: that key was there already; its value goes nowhere
    std::string key;
    Mark key_mark;
  };

  [[nodiscard]] Mark mark_of(const YAML::Mark& mark) const { return {source_, mark.line + 1, mark.column + 1}; }
  [[noreturn]] void refuse(const YAML::Mark& mark, std::string what) {
    problems_.add(mark_of(mark), std::move(what));
    throw Refused{};
  }
  [[nodiscard]] bool key_wanted() const { return !open_.empty() && open_.back().node->kind == Kind::kMap && !open_.back().has_key; }
  void count(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) refuse(mark, "anchors are not read here; write the value out where it is used");
    if (++nodes_ > kNodesMax) refuse(mark, fmt::format("more than {} values in one document", kNodesMax));
  }
  void take_key(const YAML::Mark& mark, YAML::anchor_t anchor, const std::string& key) {
    count(mark, anchor);
    Open& map = open_.back();
    map.has_key = true;
    map.key = key;
    map.key_mark = mark_of(mark);
    map.duplicate = map.node->find(key) != nullptr;
    if (map.duplicate) problems_.add(map.key_mark, fmt::format("the key '{}' is there twice", key.substr(0, 80)));
  }
  /// The next value's node in its parent.
  Node& place(const YAML::Mark& mark, YAML::anchor_t anchor, Kind kind) {
    if (key_wanted()) refuse(mark, "a key must be a single word");
    count(mark, anchor);
    Node* node = &root_;
    if (!open_.empty()) {
      Open& parent = open_.back();
      if (parent.node->kind == Kind::kList) {
        node = &parent.node->items.emplace_back();
      } else if (parent.duplicate) {
        node = &dropped_.emplace_back(std::make_unique<Node>()).operator*();
      } else {
        node = &parent.node->entries.emplace_back(Node::Entry{std::move(parent.key), parent.key_mark, {}}).value;
      }
      parent.has_key = false;
    }
    node->kind = kind;
    node->mark = mark_of(mark);
    return *node;
  }
  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Kind kind) {
    if (open_.size() >= static_cast<std::size_t>(kDepthMax)) refuse(mark, fmt::format("more than {} levels deep", kDepthMax));
    Node& node = place(mark, anchor, kind);
    open_.push_back({&node, false, false, {}, {}});
  }
  void close() { open_.pop_back(); }

  std::uint32_t source_;
  Problems& problems_;
  Node root_;
  std::vector<Open> open_;  ///< pointers stay valid: a parent's vector grows only while none of its children is open
  std::vector<std::unique_ptr<Node>> dropped_;
  std::size_t nodes_ = 0;
};

/// Tabs in indentation and control characters: yaml-cpp's own words for them don't help.
bool text_is_clean(std::string_view text, std::uint32_t source, Problems& problems) {
  int line = 1;
  int column = 1;
  bool indentation = true;
  bool clean = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\t' && indentation) {
      problems.add({source, line, column}, "a tab in the indentation; use spaces");
      clean = false;
      indentation = false;  // once a line is enough
    }
    if ((byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f) {
      problems.add({source, line, column}, fmt::format("not text: a byte of value {}", byte));
      return false;
    }
    if (c != ' ') indentation = false;
    ++column;
    if (c == '\n') ++line, column = 1, indentation = true;
  }
  return clean;
}

/// The element of a list that a path's part means, by name or number; null if there is none.
Node* element(Node& list, std::string_view part) {
  for (auto& item : list.items) {
    const Node* name = item.find("name");
    if (name != nullptr && name->kind == Kind::kScalar && name->text == part) return &item;
  }
  Node number;
  number.kind = Kind::kScalar;
  number.text = std::string(part);
  const auto index = to_count(number);
  return index && *index < list.items.size() ? &list.items[*index] : nullptr;
}

void no_element(const Node& list, std::string_view part, const Node& value, Problems& problems) {
  std::vector<std::string> names;
  for (const auto& item : list.items) {
    if (const Node* name = item.find("name")) names.push_back(name->text);
  }
  problems.add(value.mark, text::unknown_name("name", part, names));
}
}  // namespace

Node parse(std::string_view text, std::uint32_t source, Problems& problems) {
  if (text.size() > kDocumentBytesMax) {
    problems.add({source, 0, 0}, fmt::format("larger than {} bytes", kDocumentBytesMax));
    return {};
  }
  if (!text_is_clean(text, source, problems)) return {};
  TreeBuilder builder(source, problems);
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    if (parser.HandleNextDocument(builder)) {
      TreeBuilder rest(source, problems);
      if (parser.HandleNextDocument(rest)) problems.add({source, 0, 0}, "more than one document in the file (a line '---' begins another)");
    }
  } catch (const YAML::Exception& e) {
    const bool placed = e.mark.line >= 0 && !e.mark.is_null();
    problems.add({source, placed ? e.mark.line + 1 : 0, placed ? e.mark.column + 1 : 0}, "not valid YAML: " + e.msg);
    return {};
  } catch (const Refused&) { return {}; }
  return builder.take();
}

Result<std::string> read_text(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return fail(Errc::kNotFound, fmt::format("{}: there is no such file", path));
  if (!std::filesystem::is_regular_file(status)) return fail(Errc::kBadConfig, fmt::format("{}: not a file", path));
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Errc::kIo, fmt::format("{}: can't be opened: {}", path, std::strerror(errno)));
  std::string text(kDocumentBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kDocumentBytesMax) return fail(Errc::kBadConfig, fmt::format("{}: larger than {} bytes", path, kDocumentBytesMax));
  return text;
}

void assign(Node& root, std::string_view path, const Node& node, Problems& problems) {
  const std::size_t dot = path.find('.');
  const std::string_view part = path.substr(0, dot);
  const std::string_view rest = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
  const bool last = dot == std::string_view::npos;
  if (part.empty()) return problems.add(node.mark, "an empty name in the path before '='");
  const auto descend = [&](Node& child) { last ? void(child = node) : assign(child, rest, node, problems); };
  if (root.kind == Kind::kNull) root.kind = Kind::kMap, root.mark = node.mark;
  if (root.kind == Kind::kScalar) return problems.add(node.mark, fmt::format("'{}' is below a single value", part));
  if (part == "*") {
    for (auto& item : root.items) descend(item);
    for (auto& entry : root.entries) descend(entry.value);
    return;
  }
  if (root.kind == Kind::kList) {
    Node* item = element(root, part);
    return item == nullptr ? no_element(root, part, node, problems) : descend(*item);
  }
  Node* child = root.find(part);
  if (child == nullptr) child = &root.entries.emplace_back(Node::Entry{std::string(part), node.mark, {}}).value;
  descend(*child);
}

}  // namespace sluice::config
