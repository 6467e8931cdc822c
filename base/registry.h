#pragma once
/// Names → makers. Filled explicitly (no registration by global constructors); an unknown name answers with the known ones.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/text.h"

namespace sluice {

/// `Make` is any callable type, e.g. std::function<std::unique_ptr<Policy>(const PolicyOptions&)>. Fill it before threads start; const is then safe to share.
template <class Make>
class Registry {
 public:
  explicit Registry(std::string kind) : kind_(std::move(kind)) {}
  void add(std::string name, Make make) { makers_.insert_or_assign(std::move(name), std::move(make)); }
  /// Errors: kBadConfig "unknown KIND 'x'; did you mean 'y'? known: a, b, c".
  [[nodiscard]] Result<const Make*> find(std::string_view name) const {
    if (auto it = makers_.find(std::string(name)); it != makers_.end()) return &it->second;
    return fail(Errc::kBadConfig, text::unknown_name(kind_, name, names()));
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [name, make] : makers_) out.push_back(name);
    return out;
  }

 private:
  std::string kind_;
  std::map<std::string, Make> makers_;
};

}  // namespace sluice
