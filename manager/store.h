#pragma once
/// Durable key-value state of the manager (job table, slot table, leadership) behind one interface: SQLite today, a replicated store tomorrow. Contract suite:
/// store/contract_test.cc. One thread. Keys are paths such as "job/00000000000000000001"; values are any bytes.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"

namespace sluice::manager {

struct StoreEntry {
  std::string key;
  std::string value;
  std::uint64_t revision = 0;  ///< of the store when this value was put; unique over the whole store, increasing
  friend bool operator==(const StoreEntry&, const StoreEntry&) = default;
};

class Store {
 public:
  virtual ~Store() = default;
  /// Takes or renews leadership `name` for `ttl`. A new leader gets a term higher than any before, a renewal by the same Store object keeps its term. Errors:
  /// kCannotConnect (held by another whose ttl has not run out), kIo.
  [[nodiscard]] virtual Result<Term> acquire(const std::string& name, Duration ttl) = 0;
  /// Puts a value if `term` is still the newest term that acquire() gave out and the key's revision is `revision` (0: the key does not exist). Durable on
  /// return. Returns the new revision. Errors: kRejected (superseded term, other revision: named), kIo (disk full: named; nothing has changed).
  [[nodiscard]] virtual Result<std::uint64_t> put_if(Term term, const std::string& key, std::uint64_t revision, const std::string& value) = 0;
  /// Takes keys out that have these revisions, all of them or none: get() and list() have them no more, and they may be put again as new ones. watch() does not
  /// tell of it. Durable on return. Errors: as put_if(); kRejected also where a key is not there.
  [[nodiscard]] virtual Result<void> erase_if(Term term, const std::vector<std::pair<std::string, std::uint64_t>>& keys) = 0;
  /// Nothing if the key does not exist. Errors: kIo.
  [[nodiscard]] virtual Result<std::optional<StoreEntry>> get(const std::string& key) = 0;
  /// All entries whose key starts with `prefix`, by key. Errors: kIo.
  [[nodiscard]] virtual Result<std::vector<StoreEntry>> list(const std::string& prefix) = 0;
  /// What changed under `prefix` after `from_revision`, by revision: the newest value of each changed key. Never blocks; ask again with the last revision seen.
  /// Errors: kIo.
  [[nodiscard]] virtual Result<std::vector<StoreEntry>> watch(const std::string& prefix, std::uint64_t from_revision) = 0;
};

/// The state of a manager in `folder`/state.db (WAL, synchronous FULL), the folder made if missing (0700). A lock on the folder makes this process its only
/// user while the store lives, so acquire() never waits for anybody's ttl here; every opening of the folder leads to a new term. Errors: kCannotConnect "state
/// folder F is in use by pid N", kIo.
[[nodiscard]] Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& folder);
/// A store that lives as long as the object: for simulations.
[[nodiscard]] std::unique_ptr<Store> make_memory_store();

}  // namespace sluice::manager
