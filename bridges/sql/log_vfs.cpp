#include "bridges/sql/log_vfs.hpp"

#include <sqlite3.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>

namespace cartwright::sql {
namespace {

constexpr std::size_t gathered_max = 0x1ffff;  // SQLite's own file on Unix writes no more than this in one call

sqlite3_vfs* real_vfs = nullptr;

/// A write-ahead log. SQLite allocates it, and calls nothing but the methods below; the file it stands for lies behind it.
struct LogFile {
  sqlite3_file base;
  std::byte* gathered;
  std::size_t size;     // of what was gathered ...
  sqlite3_int64 begin;  // ... and where in the file it belongs

  [[nodiscard]] sqlite3_file* real() {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<std::byte*>(this) + sizeof(LogFile));
  }
};
static_assert(sizeof(LogFile) % alignof(std::max_align_t) == 0, "the file behind it is aligned");

LogFile& log_of(sqlite3_file* file) { return *reinterpret_cast<LogFile*>(file); }

int write_gathered(LogFile& log) {
  if (log.size == 0) return SQLITE_OK;
  // Also when it fails nothing is kept: the transaction is given up, and its frames must not come into the log later.
  const auto size = static_cast<int>(log.size);
  log.size = 0;
  return log.real()->pMethods->xWrite(log.real(), log.gathered, size, log.begin);
}

/// Calls a method of the real file once everything gathered is in it.
template <auto Method, class... Arguments>
int after_writing(sqlite3_file* file, Arguments... arguments) {
  LogFile& log = log_of(file);
  if (const int result = write_gathered(log); result != SQLITE_OK) return result;
  return (log.real()->pMethods->*Method)(log.real(), arguments...);
}

/// Calls a method of the real file that has nothing to do with its content.
template <auto Method, class... Arguments>
int at_once(sqlite3_file* file, Arguments... arguments) {
  return (log_of(file).real()->pMethods->*Method)(log_of(file).real(), arguments...);
}

int write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 at) {
  LogFile& log = log_of(file);
  const auto size = static_cast<std::size_t>(bytes);
  const bool follows = log.size == 0 || at == log.begin + static_cast<sqlite3_int64>(log.size);
  if (!follows || log.size + size > gathered_max)
    if (const int result = write_gathered(log); result != SQLITE_OK) return result;
  if (size > gathered_max) return log.real()->pMethods->xWrite(log.real(), data, bytes, at);
  if (log.size == 0) log.begin = at;
  std::memcpy(log.gathered + log.size, data, size);
  log.size += size;
  return SQLITE_OK;
}

int close(sqlite3_file* file) {
  LogFile& log = log_of(file);
  const int written = write_gathered(log);
  const int closed = log.real()->pMethods->xClose(log.real());
  delete[] log.gathered;
  return written != SQLITE_OK ? written : closed;
}

// Version 1 has all that a log needs; shared memory and mapping are the database file's.
constexpr sqlite3_io_methods log_methods{
    1, close, after_writing<&sqlite3_io_methods::xRead, void*, int, sqlite3_int64>, write,
    after_writing<&sqlite3_io_methods::xTruncate, sqlite3_int64>, after_writing<&sqlite3_io_methods::xSync, int>,
    after_writing<&sqlite3_io_methods::xFileSize, sqlite3_int64*>, at_once<&sqlite3_io_methods::xLock, int>,
    at_once<&sqlite3_io_methods::xUnlock, int>, at_once<&sqlite3_io_methods::xCheckReservedLock, int*>,
    at_once<&sqlite3_io_methods::xFileControl, int, void*>, at_once<&sqlite3_io_methods::xSectorSize>,
    at_once<&sqlite3_io_methods::xDeviceCharacteristics>, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};

/// A database, or what else SQLite opens, is opened as ever, in the memory that is meant for a log.
int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
  if ((flags & SQLITE_OPEN_WAL) == 0) return real_vfs->xOpen(real_vfs, name, file, flags, out);
  auto* log = new (file) LogFile{};
  log->gathered = new (std::nothrow) std::byte[gathered_max];
  if (log->gathered == nullptr) return SQLITE_NOMEM;
  if (const int result = real_vfs->xOpen(real_vfs, name, log->real(), flags, out); result != SQLITE_OK) {
    if (log->real()->pMethods != nullptr) log->real()->pMethods->xClose(log->real());
    delete[] log->gathered;
    return result;
  }
  log->base.pMethods = &log_methods;
  return SQLITE_OK;
}

}  // namespace

void register_log_vfs() {
  static std::once_flag once;
  std::call_once(once, [] {
    real_vfs = sqlite3_vfs_find(nullptr);
    if (real_vfs == nullptr) return;
    // The rest is the real one's: its functions look at nothing of a VFS but what is copied here.
    static sqlite3_vfs ours = *real_vfs;
    ours.zName = log_vfs;
    ours.szOsFile = static_cast<int>(sizeof(LogFile)) + real_vfs->szOsFile;
    ours.pNext = nullptr;
    ours.xOpen = open;
    sqlite3_vfs_register(&ours, 0);
  });
}

}  // namespace cartwright::sql
