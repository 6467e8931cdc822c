#pragma once
/// The pages around a report's and a study's data: page.html with page.css, plots.js and page.js, and study.html with the same and study.js, which the build
/// puts into the binary (cmake/embed_page.cmake).

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace sluice::cli::report {

/// What page_parts.cc.in becomes at configure time.
struct PageParts {
  std::string_view html;  ///< with the marks {{script}}, {{style}}, {{script-hash}}, {{style-hash}}, {{data}}
  std::string_view style;
  std::string_view script;
  std::string_view style_hash;   ///< as a Content-Security-Policy names what may be in the page: sha256-BASE64
  std::string_view script_hash;  ///< so that nothing but this script ever runs in it
};
[[nodiscard]] PageParts page_parts();
/// Of the page of `sluice simulate`: study.html, page.css, plots.js and study.js.
[[nodiscard]] PageParts study_parts();

/// How every page begins: by this a file is known to be one of ours.
inline constexpr std::string_view kPageBegin = "<!doctype html>\n<!-- a report of sluice -->\n";

/// The whole page around `data` (document.h, study_document.h). Texts in it may hold anything: no '<' of theirs reaches the page.
[[nodiscard]] std::string page(const nlohmann::json& data, const PageParts& parts = page_parts());

}  // namespace sluice::cli::report
