#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "manager/store.h"

namespace sluice::manager {
namespace {

/// An advisory lock on a file; the kernel lets go of it when the process ends, however it ends.
class FolderLock {
 public:
  FolderLock() = default;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] Result<void> take(const std::string& folder) {
    const std::string path = folder + "/manager.lock";
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0) return fail(Errc::kIo, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      char text[32] = {};
      const ssize_t n = ::pread(fd_, text, sizeof text - 1, 0);
      const std::string pid = n > 0 ? std::string(text, static_cast<std::size_t>(n)) : "(unknown)";
      return fail(Errc::kCannotConnect, fmt::format("state folder {} is in use by pid {}", folder, pid));
    }
    const std::string pid = std::to_string(::getpid());
    if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, pid.data(), pid.size(), 0) < 0)
      return fail(Errc::kIo, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
    return {};
  }

 private:
  int fd_ = -1;
};

/// One prepared statement in use; resets it when done.
class Query {
 public:
  explicit Query(sqlite3_stmt* statement) : statement_(statement) {}
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Query& bind(int at, const std::string& text) {
    sqlite3_bind_blob64(statement_, at, text.data(), text.size(), SQLITE_TRANSIENT);
    return *this;
  }
  Query& bind(int at, std::uint64_t number) {
    sqlite3_bind_int64(statement_, at, static_cast<sqlite3_int64>(number));
    return *this;
  }
  int step() { return sqlite3_step(statement_); }
  [[nodiscard]] std::string text(int column) const {
    const void* data = sqlite3_column_blob(statement_, column);
    const int size = sqlite3_column_bytes(statement_, column);
    return data == nullptr ? std::string{} : std::string(static_cast<const char*>(data), static_cast<std::size_t>(size));
  }
  [[nodiscard]] std::uint64_t number(int column) const { return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column)); }

 private:
  sqlite3_stmt* statement_;
};

/// The smallest string above every string with this prefix; empty: there is none.
std::string prefix_end(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

class SqliteStore final : public Store {
 public:
  ~SqliteStore() override {
    for (sqlite3_stmt* s : {get_, list_, watch_, put_, erase_, meta_get_, meta_put_}) sqlite3_finalize(s);
    sqlite3_close(db_);
  }

  Result<void> open(const std::string& folder) {
    folder_ = folder;
    std::error_code error;
    if (std::filesystem::create_directories(folder, error); error)
      return fail(Errc::kIo, fmt::format("cannot make the state folder {}: {}", folder, error.message()));
    ::chmod(folder.c_str(), 0700);
    if (auto locked = lock_.take(folder); !locked) return locked;
    const std::string path = folder + "/state.db";
    if (sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK) return io("open");
    const char* schema =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE IF NOT EXISTS entries(key BLOB PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE INDEX IF NOT EXISTS by_revision ON entries(revision);"
        "CREATE TABLE IF NOT EXISTS meta(name BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;";
    if (sqlite3_exec(db_, schema, nullptr, nullptr, nullptr) != SQLITE_OK) return io("set up");
    const std::pair<sqlite3_stmt**, const char*> statements[] = {
        {&get_, "SELECT key, value, revision FROM entries WHERE key = ?1"},
        {&list_, "SELECT key, value, revision FROM entries WHERE key >= ?1 AND (?2 = x'' OR key < ?2) ORDER BY key"},
        {&watch_, "SELECT key, value, revision FROM entries WHERE revision > ?3 AND key >= ?1 AND (?2 = x'' OR key < ?2) ORDER BY revision"},
        {&put_, "INSERT INTO entries(key, value, revision) VALUES(?1, ?2, ?3) ON CONFLICT(key) DO UPDATE SET value = ?2, revision = ?3"},
        {&erase_, "DELETE FROM entries WHERE key = ?1 AND revision = ?2"},
        {&meta_get_, "SELECT number FROM meta WHERE name = ?1"},
        {&meta_put_, "INSERT INTO meta(name, number) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET number = ?2"}};
    for (const auto& [statement, sql] : statements)
      if (sqlite3_prepare_v2(db_, sql, -1, statement, nullptr) != SQLITE_OK) return io("prepare");
    return {};
  }

  Result<Term> acquire(const std::string& name, Duration) override {
    (void)name;  // the folder's lock is the leadership; one term serves all names
    if (term_.value != 0) return term_;
    const auto before = meta("term");
    if (!before) return fail(before.error());
    Query put(meta_put_);
    if (put.bind(1, std::string("term")).bind(2, *before + 1).step() != SQLITE_DONE) return io("write to");
    return term_ = Term{*before + 1};
  }

  Result<std::uint64_t> put_if(Term term, const std::string& key, std::uint64_t revision, const std::string& value) override {
    if (term != term_ || term.value == 0) return fail(Errc::kRejected, fmt::format("the term {} is superseded by {}", term.value, term_.value));
    const auto now = get(key);
    if (!now) return fail(now.error());
    const std::uint64_t held = *now ? (*now)->revision : 0;
    if (held != revision) return fail(Errc::kRejected, fmt::format("{} has revision {}, not {}", key, held, revision));
    if (sqlite3_exec(db_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) != SQLITE_OK) return io("write to");
    const auto done = put(key, value);
    if (!done) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
    return done;
  }

  Result<void> erase_if(Term term, const std::vector<std::pair<std::string, std::uint64_t>>& keys) override {
    if (term != term_ || term.value == 0) return fail(Errc::kRejected, fmt::format("the term {} is superseded by {}", term.value, term_.value));
    if (sqlite3_exec(db_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) != SQLITE_OK) return io("write to");
    Result<void> done;
    for (const auto& [key, revision] : keys)
      if (done) done = erase(key, revision);
    if (done && sqlite3_exec(db_, "COMMIT", nullptr, nullptr, nullptr) != SQLITE_OK) done = io("write to");
    if (!done) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
    return done;
  }

  Result<std::optional<StoreEntry>> get(const std::string& key) override {
    Query query(get_);
    const int code = query.bind(1, key).step();
    if (code == SQLITE_DONE) return std::nullopt;
    if (code != SQLITE_ROW) return io("read");
    return StoreEntry{query.text(0), query.text(1), query.number(2)};
  }
  Result<std::vector<StoreEntry>> list(const std::string& prefix) override {
    Query query(list_);
    query.bind(1, prefix).bind(2, prefix_end(prefix));
    return rows(query);
  }
  Result<std::vector<StoreEntry>> watch(const std::string& prefix, std::uint64_t from_revision) override {
    Query query(watch_);
    query.bind(1, prefix).bind(2, prefix_end(prefix)).bind(3, from_revision);
    return rows(query);
  }

 private:
  [[nodiscard]] tl::unexpected<Error> io(std::string_view doing) const {
    return fail(Errc::kIo, fmt::format("cannot {} {}/state.db: {}", doing, folder_, db_ != nullptr ? sqlite3_errmsg(db_) : "out of memory"));
  }
  Result<std::uint64_t> meta(const std::string& name) {
    Query query(meta_get_);
    const int code = query.bind(1, name).step();
    if (code == SQLITE_DONE) return std::uint64_t{0};
    if (code != SQLITE_ROW) return io("read");
    return query.number(0);
  }
  /// Within a transaction; the caller rolls back on an error.
  Result<std::uint64_t> put(const std::string& key, const std::string& value) {
    const auto last = meta("revision");
    if (!last) return last;
    const std::uint64_t next = *last + 1;
    Query count(meta_put_);
    if (count.bind(1, std::string("revision")).bind(2, next).step() != SQLITE_DONE) return io("write to");
    Query entry(put_);
    if (entry.bind(1, key).bind(2, value).bind(3, next).step() != SQLITE_DONE) return io("write to");
    if (sqlite3_exec(db_, "COMMIT", nullptr, nullptr, nullptr) != SQLITE_OK) return io("write to");
    return next;
  }
  /// Within a transaction; the caller rolls back on an error.
  Result<void> erase(const std::string& key, std::uint64_t revision) {
    Query query(erase_);
    if (query.bind(1, key).bind(2, revision).step() != SQLITE_DONE) return io("write to");
    if (sqlite3_changes(db_) == 1) return {};
    return fail(Errc::kRejected, fmt::format("{} has not revision {}, or is not there", key, revision));
  }
  Result<std::vector<StoreEntry>> rows(Query& query) {
    std::vector<StoreEntry> out;
    int code = query.step();
    for (; code == SQLITE_ROW; code = query.step()) out.push_back({query.text(0), query.text(1), query.number(2)});
    if (code != SQLITE_DONE) return io("read");
    return out;
  }

  FolderLock lock_;
  std::string folder_;
  sqlite3* db_ = nullptr;
  sqlite3_stmt *get_ = nullptr, *list_ = nullptr, *watch_ = nullptr, *put_ = nullptr, *erase_ = nullptr, *meta_get_ = nullptr, *meta_put_ = nullptr;
  Term term_{0};
};

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& folder) {
  auto store = std::make_unique<SqliteStore>();
  if (auto opened = store->open(folder); !opened) return fail(opened.error());
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace sluice::manager
