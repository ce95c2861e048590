#pragma once
// Group commit: requests that wait together become one transaction, and each is answered for itself.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bridges/sql/database.hpp"

namespace cartwright::sql {

/// keep: the request's writes stay. undo: they must not.
enum class Verdict : std::uint8_t { keep, undo };

/// What is known of a request that was refused. nothing: it is not stored. perhaps: the connection was lost in the middle of
/// the commit, and it may be stored.
enum class Outlook : std::uint8_t { nothing, perhaps };

/// A request that waits for the next transaction. What it does not need is empty; deliver and refuse it always has.
struct Job {
  std::function<Verdict(Database&)> write;  // in the transaction, perhaps twice
  std::function<void(Database&)> undone;    // after its writes were undone, in the same transaction
  std::function<void(Database&)> read;      // after the commit
  std::function<void()> deliver;
  std::function<void(const std::string& why, Outlook)> refuse;
  std::string failure;  // not empty: refused alone
};

/// Writes all jobs in one transaction, then answers each: writers after the commit, readers after that. Exactly one of
/// deliver and refuse is called for each job, on every path. False: nothing is known to be stored.
///
/// A first pass writes everything in one go. Only when something has to be undone (a conflict, a statement that fails)
/// the transaction is run again with a savepoint per job, so that it takes its own part back and no other.
bool run_group(Database& database, std::vector<Job>& jobs);

/// Does a job that only reads, and answers it; a failure is its own.
void answer(Database& database, Job& job);

}  // namespace cartwright::sql
