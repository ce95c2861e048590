#pragma once
// A role's store: every decision is durable here before anything acts on it. The application prepares a role's
// database (lock, schema), then spawns its one writer and a reader beside it. What the handles answer is said in
// actors/handles.hpp; that an answer says unavailable means: nothing is known to be stored, hand it in again.

#include <caf/fwd.hpp>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "actors/handles.hpp"

namespace cartwright::sql {

/// What a role's store needs to know.
struct StoreOptions {
  RoleId role = RoleId::order;
  std::string url;                              // `sqlite:DIR`, or `postgresql://...`
  std::string group_prefix;                     // PostgreSQL: the schema is <group_prefix>_<role>
  WallClock clock;                              // ages of answers and of the outbox; any thread
  std::int64_t outbox_replay = 24 * 3'600'000;  // ms: how far a lost log is published again; older turns are deleted
  std::int64_t retention = 90 * 24 * 3'600'000LL;  // ms: rows that have been over for so long are deleted
};

/// Why a database cannot be opened. Only `unavailable` may pass by itself; the others need a person.
class StoreError : public std::runtime_error {
 public:
  enum class Kind : std::uint8_t { locked, newer_schema, partitions_differ, misconfigured, unavailable };
  StoreError(Kind what_kind, const std::string& text) : std::runtime_error(text), kind(what_kind) {}
  const Kind kind;
};

/// A role's database while this process may use it. With SQLite it holds the lock of DIR/<role>.lock, so keep it as
/// long as writer and reader live; with PostgreSQL it holds nothing (epochs fence the writers of several nodes).
class PreparedStore {
 public:
  virtual ~PreparedStore() = default;
};

/// Opens, locks and migrates a role's database before anything else starts. Blocks: on PostgreSQL up to some seconds.
/// Throws StoreError. `partitions` is remembered at the first time and has to stay the same.
[[nodiscard]] std::unique_ptr<PreparedStore> prepare_store(const StoreOptions& options, int partitions);

/// Spawns the writer, a detached actor that owns the connection. It never dies of an outage: it answers `unavailable`
/// and connects again. The turns and placements that wait in its mailbox become one transaction.
[[nodiscard]] StoreActor spawn_store(caf::actor_system& system, StoreOptions options);

/// Spawns a reader, a detached actor with a read-only connection of its own. Lists are cut at `limit`, or at 1,000
/// where the question has none.
[[nodiscard]] ReaderActor spawn_reader(caf::actor_system& system, StoreOptions options);

}  // namespace cartwright::sql
