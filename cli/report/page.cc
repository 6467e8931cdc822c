#include "cli/report/page.h"

#include <array>
#include <utility>

namespace sluice::cli::report {
namespace {
/// JSON that can stand in a script element: without '<' it can neither end the element nor open a comment. Outside of strings JSON has no '<', and within them
/// \u003c is the same.
std::string script_safe(const nlohmann::json& data) {
  std::string out;
  for (const char c : data.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}
}  // namespace

std::string page(const nlohmann::json& data, const PageParts& parts) {
  const std::string json = script_safe(data);
  const std::array<std::pair<std::string_view, std::string_view>, 5> marks = {{{"{{script}}", parts.script},
                                                                               {"{{style}}", parts.style},
                                                                               {"{{script-hash}}", parts.script_hash},
                                                                               {"{{style-hash}}", parts.style_hash},
                                                                               {"{{data}}", json}}};
  std::string out;
  std::string_view rest = parts.html;
  while (!rest.empty()) {  // from left to right, so that nothing that is put in is looked at again
    std::size_t at = rest.find("{{");
    if (at == std::string_view::npos) at = rest.size();
    out += rest.substr(0, at);
    rest.remove_prefix(at);
    bool is_mark = false;
    for (const auto& [mark, content] : marks) {
      if (!rest.starts_with(mark)) continue;
      out += content;
      rest.remove_prefix(mark.size());
      is_mark = true;
      break;
    }
    if (is_mark || rest.empty()) continue;
    out += rest.substr(0, 2);
    rest.remove_prefix(2);
  }
  return out;
}

}  // namespace sluice::cli::report
