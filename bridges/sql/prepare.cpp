// Before anything else starts: lock, migrate, compare.

#include "bridges/sql/database.hpp"
#include "bridges/sql/migrations.hpp"

namespace cartwright::sql {

namespace {

class Prepared : public PreparedStore {};

void migrate(Database& database) {
  const StoreOptions& options = database.options();
  Dialect& dialect = database.dialect();
  soci::session& session = database.session();
  dialect.create_schema(session);
  long long version = 0;
  if (dialect.has_schema(session)) session << dialect.texts()[Sql::schema_version].sql, soci::into(version);
  const std::vector<Migration> all = migrations(dialect.name(), options.role);
  if (version > static_cast<long long>(all.size()))
    throw StoreError(
        StoreError::Kind::newer_schema,
        database.explain("opening", "the schema has version " + std::to_string(version) + ", this program knows " +
                                        std::to_string(all.size()) + "; use the newer program"));
  for (const Migration& migration : all) {
    if (migration.version <= version) continue;
    for (const std::string& statement : migration.statements) session << statement;
    long long number = migration.version, at = options.clock();
    session << dialect.texts()[Sql::add_schema_version].sql, soci::use(number), soci::use(at);
  }
}

void compare_partitions(Database& database, int partitions) {
  soci::session& session = database.session();
  const Texts texts = database.dialect().texts();
  long long wanted = partitions, found = 0;
  session << texts[Sql::set_partitions].sql, soci::use(wanted);
  session << texts[Sql::read_partitions].sql, soci::into(found);
  if (found != wanted)
    throw StoreError(
        StoreError::Kind::partitions_differ,
        database.explain("opening", "it was made for " + std::to_string(found) + " partitions, " +
                                        std::to_string(wanted) + " are configured; orders would change their shard"));
}

}  // namespace

std::unique_ptr<PreparedStore> prepare_store(const StoreOptions& options, int partitions) {
  Database database(options, Access::write);
  std::unique_ptr<PreparedStore> prepared;
  if (database.dialect().name() == "sqlite")
    prepared = lock_sqlite(options);
  else
    prepared = std::make_unique<Prepared>();
  try {
    database.connect();
    database.begin();
    migrate(database);
    compare_partitions(database, partitions);
    database.commit();
  } catch (const StoreError&) {
    database.rollback();
    throw;
  } catch (const std::exception& error) {
    const Fault fault = database.fault(error);
    database.rollback();
    throw StoreError(fault.lasting ? StoreError::Kind::misconfigured : StoreError::Kind::unavailable,
                     database.explain("opening", fault.text));
  }
  return prepared;
}

}  // namespace cartwright::sql
