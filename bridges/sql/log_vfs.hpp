#pragma once

namespace cartwright::sql {

/// Has SQLite write a transaction into its write-ahead log in one piece, for every database that this process opens from
/// now on. By itself SQLite writes two pieces for every page, the frame's header and the page: some 22 calls of the kernel
/// for an order, where one a commit is enough. What is gathered is written before the log is synchronised, read, measured or
/// closed, and so before SQLite tells any reader of the frames (https://www.sqlite.org/wal.html, https://www.sqlite.org/vfs.html).
/// Any thread; once, and before the first database is opened.
void gather_log_writes();

}  // namespace cartwright::sql
