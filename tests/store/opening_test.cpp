// Opening a store, and what it does about files and servers that are not as they should be.
#include "tests/store/fixture.hpp"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <sys/stat.h>

#include <fstream>
#include <thread>

using namespace store_test;

namespace store_test {

StoreError::Kind failure(Fixture& f, int partitions = 4) {
  try {
    const auto prepared = prepare_store(f.options(), partitions);
  } catch (const StoreError& error) {
    BOOST_TEST_MESSAGE(error.what());
    return error.kind;
  }
  BOOST_FAIL("it opened");
  return {};
}

}  // namespace store_test

BOOST_AUTO_TEST_CASE(rule_16_a_second_owner_of_the_same_files_is_refused) {
  Fixture f("sqlite");
  BOOST_TEST((failure(f) == StoreError::Kind::locked));
  f.prepared.reset();
  f.prepare();
}

BOOST_AUTO_TEST_CASE(the_files_are_private) {
  Fixture f("sqlite");
  BOOST_TEST(f.take().ok);
  const auto mode = [](const fs::path& path) {
    struct stat found {};
    BOOST_REQUIRE(::stat(path.c_str(), &found) == 0);
    return found.st_mode & 0777U;
  };
  BOOST_TEST(mode(f.dir) == 0700U);
  for (const char* ending : {".db", ".db-wal", ".lock"}) BOOST_TEST(mode(f.file(ending)) == 0600U);
}

BOOST_DATA_TEST_CASE(a_newer_schema_is_refused, data::make(databases()), kind) {
  Fixture f(kind);
  f.prepared.reset();
  f.sql("INSERT INTO schema_version (version, at) VALUES (99, 0)");
  BOOST_TEST((failure(f) == StoreError::Kind::newer_schema));
}

BOOST_DATA_TEST_CASE(another_number_of_partitions_is_refused, data::make(databases()), kind) {
  Fixture f(kind);
  f.prepared.reset();
  BOOST_TEST((failure(f, 8) == StoreError::Kind::partitions_differ));
  BOOST_TEST(!f.ask<Taken>(f.store, Take{{f.role, 0}, 8}).ok);
  f.prepare();
}

BOOST_AUTO_TEST_CASE(a_url_of_another_kind_is_refused) {
  Fixture f("sqlite");
  f.url = "mysql://x";
  BOOST_TEST((failure(f) == StoreError::Kind::misconfigured));
  f.url = "sqlite:";
  BOOST_TEST((failure(f) == StoreError::Kind::misconfigured));
  f.url = "sqlite:/proc/nothing/here";
  BOOST_TEST((failure(f) == StoreError::Kind::misconfigured));
  f.url = "sqlite:" + f.dir.string();
}

BOOST_AUTO_TEST_CASE(a_file_that_is_no_database_needs_a_person) {
  Fixture f("sqlite");
  f.stop();
  f.prepared.reset();
  std::ofstream(f.file()) << std::string(5'000, 'x');
  BOOST_TEST((failure(f) == StoreError::Kind::misconfigured));
}

BOOST_AUTO_TEST_CASE(a_server_that_is_away_may_come_back) {
  Fixture f("sqlite");
  const std::string url = f.url;
  f.url = "postgresql://nobody@127.0.0.1:1/nothing";
  BOOST_TEST((failure(f) == StoreError::Kind::unavailable));
  StoreActor store = spawn_store(f.system, f.options());
  const Taken taken = f.ask<Taken>(store, Take{{f.role, 0}, 4});
  BOOST_TEST(!taken.ok);
  BOOST_TEST(taken.why.find("127.0.0.1") != std::string::npos, taken.why);
  f.url = url;
}

BOOST_AUTO_TEST_CASE(a_missing_file_is_an_outage_that_may_pass) {
  Fixture f("sqlite");
  f.stop();
  fs::rename(f.file(), f.file(".away"));
  f.spawn();
  const Taken taken = f.take();
  BOOST_TEST(!taken.ok);
  BOOST_TEST(taken.why.find("order.db") != std::string::npos, taken.why);
  BOOST_TEST(f.commit(f.turn(taken)).result == CommitResult::unavailable);
  BOOST_TEST(!f.ask<FoundRow>(f.reader, FindRow{"o"}).ok);
  const auto refused = f.ask<Placed>(f.store, Place{{placement(7, "o7")}}).results;
  BOOST_REQUIRE(refused.size() == 1U);
  BOOST_TEST(refused[0].id == 7U);
  BOOST_TEST(refused[0].result == PlaceResult::unavailable);
  BOOST_TEST(!fs::exists(f.file()), "an empty file instead would lose orders in silence");
  fs::rename(f.file(".away"), f.file());
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!f.ask<Done>(f.store, StoreHealth{}).ok && std::chrono::steady_clock::now() < deadline) {
  }
  BOOST_TEST(f.take().ok);
}

BOOST_AUTO_TEST_CASE(a_locked_file_is_an_outage_without_a_trace) {
  Fixture f("sqlite");
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  turn.rows = {row("o1")};
  {
    soci::session other(soci::sqlite3, "dbname=\"" + f.file().string() + "\" timeout=5");
    other << "BEGIN IMMEDIATE";
    const Committed committed = f.commit(turn);
    BOOST_TEST(committed.result == CommitResult::unavailable);
    BOOST_TEST(!committed.why.empty());
    BOOST_TEST(committed.why.find("o1") == std::string::npos, "no values in texts for logs");
    BOOST_TEST(f.ask<FoundRow>(f.reader, FindRow{"o1"}).ok, "readers go on");
    other << "ROLLBACK";
  }
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
}

BOOST_AUTO_TEST_CASE(a_lost_server_connection_is_made_again) {
  if (server() == nullptr) return;
  Fixture f("postgresql");
  const Taken taken = f.take();
  for (int round = 1; round <= 3; ++round) {
    f.sql("SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'cartwright " +
          f.schema() + "'");
    Turn turn = f.turn(taken);
    turn.transitions = {step("o1", round)};
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    Committed committed = f.commit(turn);
    while (committed.result == CommitResult::unavailable && std::chrono::steady_clock::now() < deadline)
      committed = f.commit(turn);
    BOOST_TEST(committed.result == CommitResult::ok);
    while (!f.ask<History>(f.reader, FindHistory{{"o1"}}).ok && std::chrono::steady_clock::now() < deadline) {
    }
    BOOST_TEST(f.history("o1").size() == static_cast<std::size_t>(round));
  }
}
