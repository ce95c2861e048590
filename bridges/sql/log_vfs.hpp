#pragma once

namespace cartwright::sql {

/// Registers a VFS under this name that writes a transaction into the write-ahead log in one piece. By itself SQLite writes
/// two pieces for every page, the frame's header and the page: some 22 calls of the kernel for an order, where a few a commit
/// are enough. What is gathered is written before the log is synchronised, read, measured or closed.
///
/// Only for connections with `synchronous = FULL`: there a commit synchronises the log before SQLite tells any reader of its
/// frames. With less, a frame could be told of, and lost with the process, while it is here (https://www.sqlite.org/wal.html,
/// https://www.sqlite.org/vfs.html). Any thread, any number of times.
inline constexpr const char* log_vfs = "cartwright-log";
void register_log_vfs();

}  // namespace cartwright::sql
