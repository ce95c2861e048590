// SQLite: a file per role, owned by one process, write-ahead log, full sync. The only place that calls its C API.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <soci/sqlite3/soci-sqlite3.h>

#include "bridges/sql/dialect.hpp"
#include "bridges/sql/log_vfs.hpp"

namespace cartwright::sql {

namespace {

namespace fs = std::filesystem;

constexpr int busy_timeout_ms = 5'000;  // readers and checkpoints hold locks for moments only
constexpr int writer_cache_kib =
    64 * 1024;  // what a large transaction touches has to fit: the index by owner is random
constexpr int reader_cache_kib = 8 * 1024;
// A small log is written over while its pages are still in the page cache. With 64 MiB the kernel was seen to read blocks
// back before it could write into them, which made commits a quarter of a busy node's time.
constexpr int log_pages_max = 2'000;  // 8 MiB: then the writer moves it to the file, and it begins anew

[[noreturn]] void fail(StoreError::Kind kind, const std::string& text) { throw StoreError(kind, text); }

std::string reason() { return std::strerror(errno); }

fs::path directory_of(const StoreOptions& options) {
  const std::string dir = options.url.substr(std::strlen("sqlite:"));
  if (dir.empty())
    fail(StoreError::Kind::misconfigured, "store: DATABASE_URL is \"sqlite:\" without a directory; write sqlite:DIR");
  return dir;
}

fs::path file_of(const StoreOptions& options) {
  return directory_of(options) / (std::string(to_string(options.role)) + ".db");
}

/// A file descriptor. Closed on exec, so that no child process inherits the lock.
class File {
 public:
  File(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

class LockedStore : public PreparedStore {
 public:
  explicit LockedStore(const fs::path& path) : file_(path, O_RDWR | O_CREAT) {
    if (file_.fd() < 0)
      fail(StoreError::Kind::misconfigured,
           "store: cannot open " + path.string() + ": " + reason() + "; check its owner and mode");
    if (::flock(file_.fd(), LOCK_EX | LOCK_NB) != 0)
      fail(StoreError::Kind::locked,
           "store: " + path.string() +
               " is locked: another process has this role's database; stop it, or use another directory");
  }

 private:
  File file_;
};

/// Each connection has one user, its actor: SQLite need not take a mutex in every call (some 5 % of a busy node's time). And a
/// URI names the VFS that a database is opened with. Only before its first use in a process; later calls are refused and do
/// no harm. Whether URIs are understood.
bool configure() {
  static const bool uris = [] {
    sqlite_api::sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    const bool taken = sqlite_api::sqlite3_config(SQLITE_CONFIG_URI, 1) == SQLITE_OK;
    register_log_vfs();
    return taken;
  }();
  return uris;
}

/// A path as the path of a URI (https://www.sqlite.org/uri.html).
std::string escaped(const std::string& path) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '-' || c == '_';
    const auto byte = static_cast<unsigned char>(c);
    if (plain)
      out += c;
    else
      (out += '%').append({digits[byte / 16], digits[byte % 16]});
  }
  return out;
}

class SqliteDialect : public Dialect {
 public:
  explicit SqliteDialect(const StoreOptions& options) : role_(options.role), file_(file_of(options)) {
    configure();
  }

  std::string name() const override { return "sqlite"; }
  std::string where() const override { return file_.string(); }
  Carriage carriage() const override { return {.loops = true, .hex = false}; }
  Texts texts() const override { return sqlite_texts(role_); }
  const char* begin_write() const override {
    return "BEGIN IMMEDIATE";
  }  // SOCI's begin() is deferred and fails at once when busy
  const char* begin_read() const override { return "BEGIN"; }

  std::unique_ptr<soci::session> connect(Access access) override {
    // SQLite would make a new, empty file where the old one is gone: its rows would be missed in silence.
    if (!fs::exists(file_))
      fail(StoreError::Kind::unavailable, "store: " + where() + " does not exist; put it back, or start again");
    const std::string name = configure() ? "file:" + escaped(fs::absolute(file_).string()) + "?vfs=" + log_vfs : where();
    auto session = std::make_unique<soci::session>(soci::sqlite3, "dbname=\"" + name + "\"");
    sqlite_api::sqlite3_busy_timeout(handle(*session), busy_timeout_ms);
    *session << "PRAGMA temp_store = MEMORY";
    *session << "PRAGMA cache_size = -" + std::to_string(access == Access::write ? writer_cache_kib : reader_cache_kib);
    *session << "PRAGMA synchronous = FULL";
    std::string mode;
    *session << "PRAGMA journal_mode = WAL", soci::into(mode);
    expect(mode == "wal", "journal_mode WAL", mode);
    int value = 0;
    *session << "PRAGMA synchronous", soci::into(value);
    expect(value == 2, "synchronous FULL", std::to_string(value));
    *session << "PRAGMA busy_timeout", soci::into(value);
    expect(value == busy_timeout_ms, "busy_timeout", std::to_string(value));
    if (access == Access::read) {
      *session << "PRAGMA query_only = ON";
      *session << "PRAGMA query_only", soci::into(value);
      expect(value == 1, "query_only", std::to_string(value));
    } else {
      pages_ = 0;
      sqlite_api::sqlite3_wal_hook(handle(*session), &SqliteDialect::on_commit,
                                   this);  // takes the place of autocheckpoint
    }
    return session;
  }

  bool has_schema(soci::session& session) override {
    int count = 0;
    session << "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'", soci::into(count);
    return count > 0;
  }

  void create_schema(soci::session&) override {}

  Fault fault(const std::exception& error) const override {
    if (const auto* known = dynamic_cast<const soci::sqlite3_soci_error*>(&error)) {
      const int code = known->result() & 0xff;
      const bool statement_only =
          code == SQLITE_CONSTRAINT || code == SQLITE_MISMATCH || code == SQLITE_TOOBIG || code == SQLITE_ERROR;
      // SQLite's own message names tables and columns; what() would add SOCI's context, which holds the bound values.
      const bool lasting =
          code == SQLITE_NOTADB || code == SQLITE_CORRUPT || code == SQLITE_CANTOPEN || code == SQLITE_READONLY;
      return {known->get_error_message() + " (SQLite code " + std::to_string(known->result()) + ")", !statement_only,
              lasting};
    }
    if (dynamic_cast<const soci::soci_error*>(&error) != nullptr) return {"SOCI cannot use the database", true};
    return {error.what(), dynamic_cast<const StoreError*>(&error) != nullptr};
  }

  void after_commit(soci::session& session) override {
    if (pages_ > log_pages_max)
      sqlite_api::sqlite3_wal_checkpoint_v2(handle(session), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  }

 private:
  static sqlite_api::sqlite3* handle(soci::session& session) {
    return static_cast<soci::sqlite3_session_backend*>(session.get_backend())->conn_;
  }

  /// Called by SQLite within COMMIT, on the writer's thread, with the length of the log.
  static int on_commit(void* self, sqlite_api::sqlite3*, const char*, int pages) {
    static_cast<SqliteDialect*>(self)->pages_ = pages;
    return SQLITE_OK;
  }

  void expect(bool holds, const char* setting, const std::string& found) const {
    if (!holds)
      fail(StoreError::Kind::misconfigured, "store: " + where() + ": " + setting + " was refused (it is " + found +
                                                "); use a directory on a local file system");
  }

  RoleId role_;
  fs::path file_;
  int pages_ = 0;  // in the log
};

}  // namespace

std::unique_ptr<Dialect> make_sqlite(const StoreOptions& options) { return std::make_unique<SqliteDialect>(options); }

std::unique_ptr<PreparedStore> lock_sqlite(const StoreOptions& options) {
  const fs::path dir = directory_of(options);
  std::error_code error;
  if (!fs::exists(dir, error)) {
    if (dir.has_parent_path()) fs::create_directories(dir.parent_path(), error);
    if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST)
      fail(StoreError::Kind::misconfigured, "store: cannot make the directory " + dir.string() + ": " + reason());
  }
  auto lock = std::make_unique<LockedStore>(dir / (std::string(to_string(options.role)) + ".lock"));
  // Made here, because SQLite would make it readable to all; its log takes over the mode.
  const fs::path path = file_of(options);
  const File file(path, O_RDWR | O_CREAT);
  if (file.fd() < 0)
    fail(StoreError::Kind::misconfigured,
         "store: cannot open " + path.string() + ": " + reason() + "; check its owner and mode");
  return lock;
}

}  // namespace cartwright::sql
