#include <fmt/format.h>

#include <map>

#include "manager/store.h"

namespace sluice::manager {
namespace {

class MemoryStore final : public Store {
 public:
  Result<Term> acquire(const std::string&, Duration) override {
    if (term_.value == 0) term_ = Term{1};
    return term_;
  }
  Result<std::uint64_t> put_if(Term term, const std::string& key, std::uint64_t revision, const std::string& value) override {
    if (term != term_) return fail(Errc::kRejected, fmt::format("the term {} is superseded by {}", term.value, term_.value));
    const auto it = entries_.find(key);
    const std::uint64_t now = it == entries_.end() ? 0 : it->second.revision;
    if (now != revision) return fail(Errc::kRejected, fmt::format("{} has revision {}, not {}", key, now, revision));
    entries_[key] = {key, value, ++revision_};
    return revision_;
  }
  Result<void> erase_if(Term term, const std::vector<std::pair<std::string, std::uint64_t>>& keys) override {
    if (term != term_) return fail(Errc::kRejected, fmt::format("the term {} is superseded by {}", term.value, term_.value));
    for (const auto& [key, revision] : keys)
      if (const auto it = entries_.find(key); it == entries_.end() || it->second.revision != revision)
        return fail(Errc::kRejected, fmt::format("{} has revision {}, not {}", key, it == entries_.end() ? 0 : it->second.revision, revision));
    for (const auto& [key, revision] : keys) entries_.erase(key);
    return {};
  }
  Result<std::optional<StoreEntry>> get(const std::string& key) override {
    const auto it = entries_.find(key);
    return it == entries_.end() ? std::optional<StoreEntry>{} : it->second;
  }
  Result<std::vector<StoreEntry>> list(const std::string& prefix) override {
    std::vector<StoreEntry> out;
    for (auto it = entries_.lower_bound(prefix); it != entries_.end() && it->first.starts_with(prefix); ++it) out.push_back(it->second);
    return out;
  }
  Result<std::vector<StoreEntry>> watch(const std::string& prefix, std::uint64_t from_revision) override {
    std::map<std::uint64_t, StoreEntry> changed;
    for (const auto& [key, entry] : entries_)
      if (key.starts_with(prefix) && entry.revision > from_revision) changed[entry.revision] = entry;
    std::vector<StoreEntry> out;
    for (auto& [revision, entry] : changed) out.push_back(std::move(entry));
    return out;
  }

 private:
  Term term_{0};
  std::uint64_t revision_ = 0;
  std::map<std::string, StoreEntry> entries_;
};

}  // namespace

std::unique_ptr<Store> make_memory_store() { return std::make_unique<MemoryStore>(); }

}  // namespace sluice::manager
