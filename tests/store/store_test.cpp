// The store against its real databases: SQLite in a directory of its own, and PostgreSQL where CARTWRIGHT_TEST_POSTGRES
// names a server (each run makes schemas with a random prefix there and drops them).

#define BOOST_TEST_MODULE store
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <sys/stat.h>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/typed_actor.hpp>

#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "bridges/sql/store.hpp"

using namespace cartwright;
using namespace cartwright::sql;
using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace data = boost::unit_test::data;

// Boost makes a template of every data case, whose lambdas have linkage: hence a named namespace.
namespace store_test {

constexpr Millis start = 1'780'000'000'000;
constexpr Millis day = 24 * 3'600'000;

const char* server() { return std::getenv("CARTWRIGHT_TEST_POSTGRES"); }

std::vector<std::string> databases() {
  if (server() != nullptr) return {"sqlite", "postgresql"};
  return {"sqlite"};
}

struct Config : caf::actor_system_config {
  Config() {
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", 2);
  }
};

Row row(const std::string& key, std::int64_t version = 1, const std::string& state = "pending") {
  return {key,
          version,
          state,
          "ann",
          true,
          start + 1'000,
          start,
          start + version,
          "{\"v\":" + std::to_string(version) + "}"};
}

Transition step(const std::string& key, std::int64_t version = 1, const std::string& status = "pending") {
  return {{key}, version, status, "order.placed", start + version};
}

std::shared_ptr<const Record> record(const std::string& key, std::int64_t offset) {
  auto out = std::make_shared<Record>();
  out->topic = Topic::payment_success;
  out->partition = 3;
  out->offset = offset;
  out->timestamp = start;
  out->key = key;
  out->value = std::string("{\"\xff\0\\x\"", 8);  // bytes that are no text
  out->event.topic = Topic::payment_success;
  out->event.ce_id = "ce-" + std::to_string(offset);
  out->event.ce_time = start + offset;
  out->event.traceparent = "00-1-2-01";
  return out;
}

std::shared_ptr<const std::vector<Outgoing>> outgoing(const std::string& key) {
  return std::make_shared<const std::vector<Outgoing>>(std::vector<Outgoing>{
      {"order.placed", key, std::string("\0\xfe\"\\,{}", 7), {{"ce_id", "1"}}, key}, {"t", {}, {}, {}, ""}});
}

/// One role's database, its writer and its reader.
struct Fixture {
  explicit Fixture(const std::string& kind, RoleId role_id = RoleId::order) : role(role_id) {
    std::random_device random;
    const std::string name = "cartwright-store-" + std::to_string(random());
    dir = fs::temp_directory_path() / name / "a b";
    prefix = "t" + std::to_string(random());
    url = kind == "sqlite" ? "sqlite:" + dir.string() : std::string(server());
    prepare();
    spawn();
  }

  ~Fixture() {
    stop();
    prepared.reset();
    try {
      if (sqlite())
        fs::remove_all(dir.parent_path());
      else
        sql("DROP SCHEMA \"" + schema() + "\" CASCADE");
    } catch (const std::exception& error) {
      BOOST_TEST_MESSAGE(error.what());
    }
  }

  [[nodiscard]] bool sqlite() const { return url.starts_with("sqlite:"); }
  [[nodiscard]] std::string schema() const { return prefix + "_" + std::string(to_string(role)); }
  [[nodiscard]] fs::path file(const char* ending = ".db") const {
    return dir / (std::string(to_string(role)) + ending);
  }
  StoreOptions options() {
    return {role, url, prefix, [this] { return now.load(); }};
  }
  void prepare(int partitions = 4) { prepared = prepare_store(options(), partitions); }
  void spawn() {
    store = spawn_store(system, options());
    reader = spawn_reader(system, options());
  }
  /// Ends the actors and waits for it: as if the process had ended.
  void stop() {
    for (const auto& each : {caf::actor_cast<caf::actor>(store), caf::actor_cast<caf::actor>(reader)}) {
      if (!each) continue;
      self->monitor(each);
      self->send_exit(each, caf::exit_reason::user_shutdown);
      self->receive([](const caf::down_msg&) {});
    }
    store = nullptr;
    reader = nullptr;
  }

  template <class Reply, class Handle, class Message>
  Reply ask(const Handle& to, const Message& message) {
    Reply out;
    self->request(to, 20s, message)
        .receive([&](Reply& reply) { out = std::move(reply); },
                 [&](caf::error& error) { BOOST_FAIL(to_string(error)); });
    return out;
  }

  Taken take(int partition = 0) { return ask<Taken>(store, Take{{role, partition}, 4}); }
  Committed commit(const Turn& turn) { return ask<Committed>(store, Commit{std::make_shared<const Turn>(turn)}); }
  std::optional<Row> find(const std::string& key) { return ask<FoundRow>(reader, FindRow{key}).row; }
  std::vector<Transition> history(const std::string& key) {
    return ask<History>(reader, FindHistory{{key}}).transitions;
  }
  Product product(const std::string& id) { return ask<Products>(reader, FindProduct{{id}}).products.at(0); }

  /// A turn of a shard that was just taken; every call numbers the next.
  Turn turn(const Taken& taken, int partition = 0) {
    Turn out;
    out.shard = {role, partition};
    out.epoch = taken.epoch;
    out.number = ++numbers;
    out.sequence = taken.sequence;
    out.published = taken.published;
    out.losses_seen = taken.losses_seen;
    out.at = now;
    return out;
  }

  std::string sql(const std::string& text) {
    soci::session session;
    if (sqlite()) {
      session.open(soci::sqlite3, "dbname=\"" + file().string() + "\"");
    } else {
      // SOCI appends '=' to a URL that has none.
      session.open(soci::postgresql,
                   url + (url.find('?') == std::string::npos ? "?" : "&") + "application_name=store_test");
      session << "SET client_min_messages = warning";
      session << "SET search_path TO \"" + schema() + "\"";
    }
    std::string out;
    soci::indicator indicator = soci::i_ok;
    if (text.starts_with("SELECT"))
      session << text, soci::into(out, indicator);
    else
      session << text;
    return out;
  }

  Config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  RoleId role;
  std::string url, prefix;
  fs::path dir;
  std::atomic<Millis> now = start;
  std::uint64_t numbers = 0;
  std::unique_ptr<PreparedStore> prepared;
  StoreActor store;
  ReaderActor reader;
};

std::vector<std::string> keys_of(const std::vector<Row>& rows) {
  std::vector<std::string> out;
  for (const Row& each : rows) out.push_back(each.key);
  return out;
}

using Keys = std::vector<std::string>;

}  // namespace store_test

using namespace store_test;

namespace cartwright {
std::ostream& boost_test_print_type(std::ostream& out, CommitResult result) { return out << static_cast<int>(result); }
std::ostream& boost_test_print_type(std::ostream& out, PlaceResult result) { return out << static_cast<int>(result); }
std::ostream& boost_test_print_type(std::ostream& out, HandState state) { return out << static_cast<int>(state); }
}  // namespace cartwright

BOOST_AUTO_TEST_CASE(postgresql_is_tested_too) {
  if (server() != nullptr) return;
  BOOST_TEST_MESSAGE("skipped on PostgreSQL: CARTWRIGHT_TEST_POSTGRES is not set");
  BOOST_TEST(std::getenv("CI") == nullptr, "in CI the store is tested on PostgreSQL too: set CARTWRIGHT_TEST_POSTGRES");
}

// ---- shards and turns
// ------------------------------------------------------------------------------------------------

BOOST_DATA_TEST_CASE(taking_a_shard_fences_its_former_owner, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken first = f.take();
  BOOST_TEST(first.ok);
  BOOST_TEST(first.epoch == 1);
  Turn turn = f.turn(first);
  turn.rows = {row("o1")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  const Taken second = f.take();
  BOOST_TEST(second.epoch == 2);
  Turn late = f.turn(first);
  late.rows = {row("o2")};
  BOOST_TEST(f.commit(late).result == CommitResult::fenced);
  BOOST_TEST(!f.find("o2").has_value());
  Turn next = f.turn(second);
  next.rows = {row("o1", 2)};
  BOOST_TEST(f.commit(next).result == CommitResult::ok);
  BOOST_TEST(f.find("o1")->version == 2);
  BOOST_TEST(f.take(1).epoch == 1);
}

BOOST_DATA_TEST_CASE(a_new_owner_is_told_what_is_open, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  Row closed = row("o2");
  closed.open = false;
  turn.rows = {row("o1"), closed};
  turn.next[Topic::order_placed] = {42, 43, 0xffff'ffff'ffff'fff0};
  turn.quarantines = {{"o9", "it \xff died", 2, 5, 6, false}};
  turn.sequence = 7;
  turn.published = 3;
  turn.outgoing = outgoing("o1");
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  const Taken again = f.take();
  BOOST_REQUIRE(again.open.size() == 1);
  BOOST_TEST(again.open[0].key == "o1");
  BOOST_TEST(again.open[0].due == start + 1'000);
  BOOST_TEST((again.next == turn.next));
  BOOST_TEST(again.sequence == 7);
  BOOST_TEST(again.published == 3);
  BOOST_REQUIRE(again.quarantines.size() == 1);
  BOOST_TEST(again.quarantines[0].key == "o9");
  BOOST_TEST(again.quarantines[0].restarts == 2);
  BOOST_REQUIRE(again.unpublished.size() == 1);
  BOOST_TEST(again.unpublished[0].sequence == 7);
  BOOST_TEST((*again.unpublished[0].outgoing == *turn.outgoing));
  BOOST_TEST(f.take(1).open.empty());
}

BOOST_DATA_TEST_CASE(rule_11_starts_without_progress_and_marked_records_are_counted, data::make(databases()), kind) {
  Fixture f(kind);
  BOOST_TEST(f.take().starts == 1);
  BOOST_TEST(f.take().starts == 2);
  BOOST_TEST(f.ask<Taken>(f.store, Take{{f.role, 0}, 4, true}).starts == 2);  // its owner is alive
  const Taken third = f.take();
  BOOST_TEST(third.starts == 3);
  Turn mark = f.turn(third);
  mark.next[Topic::order_placed] = {7, start, 42, 1};
  BOOST_TEST(f.commit(mark).result == CommitResult::ok);
  const Taken fourth = f.take();
  BOOST_TEST(fourth.starts == 4);
  BOOST_TEST(fourth.next.at(Topic::order_placed).tries == 1);
  Turn digested = f.turn(fourth);
  digested.next[Topic::order_placed] = {8, start, 43, 0};
  digested.progress = true;
  BOOST_TEST(f.commit(digested).result == CommitResult::ok);
  const Taken fifth = f.take();
  BOOST_TEST(fifth.starts == 1);
  BOOST_TEST(fifth.next.at(Topic::order_placed).tries == 0);
}

BOOST_DATA_TEST_CASE(a_doors_order_that_nobody_has_read_is_found, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Placement placement;
  placement.id = 1;
  placement.row = row("unread");
  placement.transition = step("unread");
  f.ask<Placed>(f.store, Place{{std::make_shared<const Placement>(placement)}});
  Turn turn = f.turn(taken);
  Row closed = row("closed");
  closed.open = false;
  turn.rows = {closed, row("known")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  Turn next = f.turn(taken);
  next.rows = {row("known", 2)};
  BOOST_TEST(f.commit(next).result == CommitResult::ok);
  const auto found = [&](Millis before, int partition = 0) {
    const auto placed = f.ask<PlacedRows>(f.store, FindPlaced{{f.role, partition}, before});
    BOOST_TEST(placed.ok);
    return placed.open;
  };
  BOOST_TEST(found(start).empty());  // placed just then
  BOOST_TEST(found(start + 1, 1).empty());
  const auto open = found(start + 1);
  BOOST_TEST_REQUIRE(open.size() == 1);
  BOOST_TEST(open[0].key == "unread");
  BOOST_TEST(open[0].due == start + 1'000);
}

BOOST_DATA_TEST_CASE(the_same_turn_twice_is_one, data::make(databases()), kind) {
  Fixture f(kind);
  Turn turn = f.turn(f.take());
  turn.rows = {row("o1")};
  turn.transitions = {step("o1")};
  turn.dead = {{record("k", 1), "poison"}};
  turn.sequence = 1;
  turn.outgoing = outgoing("o1");
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  BOOST_TEST(f.history("o1").size() == 1U);
  BOOST_TEST(f.sql("SELECT COUNT(*) FROM dead_letters") == "1");
  Turn other = turn;
  other.rows = {row("o2")};
  BOOST_TEST(f.commit(other).result == CommitResult::fenced,
             "another content under a committed number is nobody's turn");
}

BOOST_DATA_TEST_CASE(a_commit_whose_result_was_lost_is_found, data::make(databases()), kind) {
  Fixture f(kind);
  Turn turn = f.turn(f.take());
  turn.rows = {row("o1")};
  turn.transitions = {step("o1")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  f.stop();
  f.spawn();
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  BOOST_TEST(f.history("o1").size() == 1U);
}

BOOST_DATA_TEST_CASE(rows_change_by_compare_and_swap, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  turn.rows = {row("o1"), row("o2"), row("o3")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  turn = f.turn(taken);
  turn.rows = {row("o1"), row("o2", 2), row("o3", 3), row("o4"), row("o5", 2)};
  turn.next[Topic::order_placed] = {1, 1, 1};
  const Committed committed = f.commit(turn);
  BOOST_TEST(committed.result == CommitResult::conflict);
  BOOST_TEST(committed.conflicts == (Keys{"o1", "o3", "o5"}), boost::test_tools::per_element());
  BOOST_TEST(f.find("o2")->version == 1);
  BOOST_TEST(!f.find("o4").has_value());
  BOOST_TEST(f.take().next.empty());
}

BOOST_DATA_TEST_CASE(an_update_changes_everything_that_may_change, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  turn.rows = {row("o1"), row("o2"), row("o3")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  turn = f.turn(taken);
  turn.rows = {row("o1", 2, "paid"), row("o2", 2, "shipped"), row("o3", 2, "paid")};
  turn.rows[1].open = false;
  turn.rows[2].owner = "bob";
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  for (const Row& wanted : turn.rows) {
    const Row found = *f.find(wanted.key);
    BOOST_TEST(found.state == wanted.state);
    BOOST_TEST(found.open == wanted.open);
    BOOST_TEST(found.owner == wanted.owner);
    BOOST_TEST(found.doc == wanted.doc);
    BOOST_TEST(found.due == wanted.due);
    BOOST_TEST(found.created_at == start);
    BOOST_TEST(found.updated_at == start + 2);
  }
  BOOST_TEST(f.take().open.size() == 2U);
}

BOOST_DATA_TEST_CASE(a_second_version_n_is_refused, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  turn.transitions = {step("o1"), step("o2")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  turn = f.turn(taken);
  turn.rows = {row("o3")};
  turn.transitions = {step("o3"), step("o2"), step("o1", 2)};
  const Committed committed = f.commit(turn);
  BOOST_TEST(committed.result == CommitResult::conflict);
  BOOST_TEST(committed.conflicts == (Keys{"o2"}), boost::test_tools::per_element());
  BOOST_TEST(f.history("o1").size() == 1U);
  BOOST_TEST(!f.find("o3").has_value());
}

BOOST_DATA_TEST_CASE(a_conflict_takes_back_its_own_turn_only, data::make(databases()), kind) {
  Fixture f(kind);
  Turn first = f.turn(f.take());
  first.rows = {row("taken")};
  BOOST_TEST(f.commit(first).result == CommitResult::ok);
  // A burst from many shards: whatever of it the writer merges, every turn has its own fate.
  constexpr int shards = 40;
  std::vector<Turn> turns;
  for (int i = 1; i <= shards; ++i) {
    Turn turn = f.turn(f.take(i), i);
    turn.rows = {row("o" + std::to_string(i)), row(i % 5 == 0 ? "taken" : "p" + std::to_string(i))};
    turn.transitions = {step("o" + std::to_string(i))};
    if (i % 7 == 0) turn.epoch -= 1;
    turns.push_back(turn);
  }
  std::vector<CommitResult> results(turns.size() + 1);
  using Handle = decltype(f.self->request(f.store, 20s, Commit{}));
  std::vector<Handle> pending;
  for (const Turn& turn : turns)
    pending.push_back(f.self->request(f.store, 20s, Commit{std::make_shared<const Turn>(turn)}));
  for (std::size_t i = 0; i < pending.size(); ++i)
    pending[i].receive([&](Committed& committed) { results[i + 1] = committed.result; },
                       [&](caf::error& error) { BOOST_FAIL(to_string(error)); });
  for (int i = 1; i <= shards; ++i) {
    const CommitResult wanted = i % 7 == 0   ? CommitResult::fenced
                                : i % 5 == 0 ? CommitResult::conflict
                                             : CommitResult::ok;
    BOOST_TEST(results[static_cast<std::size_t>(i)] == wanted, "shard " << i);
    BOOST_TEST(f.find("o" + std::to_string(i)).has_value() == (wanted == CommitResult::ok), "order of shard " << i);
    BOOST_TEST(f.history("o" + std::to_string(i)).empty() == (wanted != CommitResult::ok), "history of shard " << i);
  }
}

BOOST_DATA_TEST_CASE(the_outbox_is_read_from_a_sequence_and_a_moment_on, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  for (int i = 1; i <= 5; ++i) {
    Turn turn = f.turn(taken);
    turn.sequence = i;
    turn.at = start + i;
    if (i != 3) turn.outgoing = outgoing("o" + std::to_string(i));
    BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  }
  const auto sequences = [&](Sequence after, Millis since, int limit) {
    std::vector<Sequence> out;
    for (const OutboxRow& each : f.ask<OutboxPage>(f.store, ReadOutbox{{f.role, 0}, after, since, limit}).rows)
      out.push_back(each.sequence);
    return out;
  };
  BOOST_TEST(sequences(0, 0, 10) == (std::vector<Sequence>{1, 2, 4, 5}), boost::test_tools::per_element());
  BOOST_TEST(sequences(1, 0, 2) == (std::vector<Sequence>{2, 4}), boost::test_tools::per_element());
  BOOST_TEST(sequences(0, start + 4, 10) == (std::vector<Sequence>{4, 5}), boost::test_tools::per_element());
}

BOOST_DATA_TEST_CASE(a_lost_log_puts_the_watermark_back_by_a_day, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  for (int i = 1; i <= 3; ++i) {
    Turn turn = f.turn(taken);
    turn.sequence = turn.published = i;
    turn.at = start + i;
    turn.outgoing = outgoing("o" + std::to_string(i));
    BOOST_TEST(f.commit(turn).losses == 0);
  }
  Turn turn = f.turn(taken);
  turn.sequence = turn.published = 3;
  turn.at = start + 2 + day;
  turn.lost = true;
  turn.losses_seen = 1;
  BOOST_TEST(f.commit(turn).losses == 1);
  BOOST_TEST(f.commit(turn).losses == 1, "handed in twice, lost once");
  const Taken again = f.take();
  BOOST_TEST(again.losses == 1);
  BOOST_TEST(again.losses_seen == 1);
  BOOST_TEST(again.published == 1);
  BOOST_TEST(again.unpublished.size() == 2U);
  // Another shard learns of it with its next turn.
  BOOST_TEST(f.commit(f.turn(f.take(1), 1)).losses == 1);
}

BOOST_DATA_TEST_CASE(what_was_published_a_day_ago_is_deleted, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  for (int i = 1; i <= 3; ++i) {
    Turn turn = f.turn(taken);
    turn.sequence = i;
    turn.published = 2;
    turn.outgoing = outgoing("o");
    BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  }
  f.now += day + 60'001;
  // The writer cleans behind a commit, before it looks at the next request but one.
  for (int i = 0; i < 2; ++i) BOOST_TEST(f.ask<Done>(f.store, StoreHealth{}).ok);
  for (int i = 0; i < 1'000 && f.sql("SELECT COUNT(*) FROM outbox") != "1"; ++i)
    BOOST_TEST(f.ask<Done>(f.store, StoreHealth{}).ok);
  BOOST_TEST(f.sql("SELECT MIN(sequence) FROM outbox") == "3", "what is not published stays");
}

BOOST_DATA_TEST_CASE(what_has_been_over_for_longer_than_the_retention_is_deleted_and_counted, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  const auto write = [&](int first, int last, const std::string& state, bool open) {
    Turn turn = f.turn(taken);
    for (int i = first; i <= last; ++i) {
      Row row;
      row.key = "o" + std::to_string(10'000 + i);
      row.version = 1;
      row.state = state;
      row.open = open;
      row.created_at = row.updated_at = f.now;
      row.doc = "{}";
      turn.rows.push_back(row);
      turn.transitions.push_back({{row.key}, 1, state, "order.placed", f.now});
    }
    BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  };
  write(1, 1'500, "shipped", false);  // more than is looked at in one step
  write(1'501, 1'510, "cancelled", false);
  write(1'511, 1'512, "paid", true);
  Turn aside = f.turn(taken);
  aside.quarantines = {{"o11500", "for a person", 0, f.now, 0, false}};
  BOOST_TEST(f.commit(aside).result == CommitResult::ok);
  f.now += 90 * day - 2 * 3'600'000;
  write(2'000, 2'009, "shipped", false);
  BOOST_TEST(f.sql("SELECT COUNT(*) FROM orders") == "1522", "nothing is old enough yet");
  f.now += 3 * 3'600'000;
  for (int i = 0; i < 1'000 && f.sql("SELECT COUNT(*) FROM orders") != "13"; ++i) {
    BOOST_TEST(f.ask<Done>(f.store, StoreHealth{}).ok);  // the walk begins behind a commit
    std::this_thread::sleep_for(10ms);
  }
  BOOST_TEST(f.sql("SELECT COUNT(*) FROM orders") == "13", "what is open, young or set aside stays");
  BOOST_TEST(f.sql("SELECT COUNT(*) FROM transitions") == "13");
  BOOST_TEST(f.find("o11500").has_value());
  BOOST_TEST(f.find("o11511").has_value());
  BOOST_TEST(f.find("o12000").has_value());
  BOOST_TEST(f.sql("SELECT rows_deleted FROM retired WHERE state = 'shipped'") == "1499");
  BOOST_TEST(f.sql("SELECT rows_deleted FROM retired WHERE state = 'cancelled'") == "10");
}

BOOST_DATA_TEST_CASE(parked_records_wait_in_order, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  turn.parked = {{"o1", record("k", 5)}, {"o2", record("k", 6)}, {"o1", record("k", 4)}};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  const auto parked = [&](const std::string& key) {
    return f.ask<ParkedRecords>(f.store, LoadParked{{f.role, 0}, key});
  };
  const ParkedRecords found = parked("o1");
  BOOST_TEST(found.ok);
  BOOST_REQUIRE(found.records.size() == 2U);
  BOOST_TEST(found.records[0]->offset == 5);
  BOOST_TEST(found.records[1]->offset == 4);
  const auto sent = record("k", 5);
  const Record &in = *sent, &out = *found.records[0];
  BOOST_TEST((in.topic == out.topic && in.partition == out.partition && in.timestamp == out.timestamp));
  BOOST_TEST((in.key == out.key));
  BOOST_TEST((in.value == out.value));
  BOOST_TEST(out.event.ce_id == "ce-5");
  BOOST_TEST(out.event.ce_time == start + 5);
  BOOST_TEST(out.event.traceparent == "00-1-2-01");
  turn = f.turn(taken);
  turn.unparked = {"o1"};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  BOOST_TEST(parked("o1").records.empty());
  BOOST_TEST(parked("o2").records.size() == 1U);
}

BOOST_DATA_TEST_CASE(a_quarantine_is_kept_until_it_is_lifted, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  turn.quarantines = {{"o1", "died", 1, start, start + 1, false}, {"o2", "for a person", 0, start, 0, false}};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  turn = f.turn(taken);
  const auto aside = f.ask<SetAsideRows>(f.reader, ListSetAside{"", 10});
  BOOST_REQUIRE(aside.rows.size() == 2U);
  BOOST_TEST(aside.rows[0].quarantine.key == "o1");
  BOOST_TEST(aside.rows[0].quarantine.until == start + 1);
  BOOST_TEST(aside.rows[1].quarantine.reason == "for a person");
  BOOST_TEST(aside.rows[1].records == 0);
  BOOST_TEST(f.ask<SetAsideRows>(f.reader, ListSetAside{"o1", 10}).rows.size() == 1U);
  BOOST_TEST(f.ask<SetAsideRows>(f.reader, ListSetAside{"", 1}).rows.size() == 1U);
  turn.quarantines = {{"o1", "died again", 2, start, start + 9, false}, {"o2", "", 0, 0, 0, true}};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  const Taken again = f.take();
  BOOST_REQUIRE(again.quarantines.size() == 1U);
  BOOST_TEST(again.quarantines[0].reason == "died again");
  BOOST_TEST(again.quarantines[0].until == start + 9);
}

BOOST_DATA_TEST_CASE(rows_are_loaded_by_key, data::make(databases()), kind) {
  Fixture f(kind);
  Turn turn = f.turn(f.take());
  turn.rows = {row("o1"), row("o2"), row("quote\"back\\slash,{}")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  Loaded loaded = f.ask<Loaded>(f.store, Load{{f.role, 0}, {"o2", "missing", "quote\"back\\slash,{}"}});
  BOOST_TEST(loaded.ok);
  Keys keys = keys_of(loaded.rows);
  std::sort(keys.begin(), keys.end());
  BOOST_TEST(keys == (Keys{"o2", "quote\"back\\slash,{}"}), boost::test_tools::per_element());
}

// ---- placing
// ---------------------------------------------------------------------------------------------------------

namespace store_test {

std::shared_ptr<const Placement> placement(std::uint64_t id, const std::string& order, const std::string& key = "",
                                           const std::string& hash = "h", Millis at = start) {
  Placement out;
  out.id = id;
  out.partition = 2;
  out.row = row(order);
  out.transition = step(order);
  if (!key.empty()) out.answer = StoredAnswer{key, hash, 202, "/v1/orders/" + order, "{}", at};
  return std::make_shared<const Placement>(out);
}

}  // namespace store_test

using namespace store_test;

BOOST_DATA_TEST_CASE(placing_with_a_known_key_returns_the_first_answer, data::make(databases()), kind) {
  Fixture f(kind);
  const auto place = [&](std::vector<std::shared_ptr<const Placement>> all) {
    return f.ask<Placed>(f.store, Place{std::move(all)}).results;
  };
  // o2 and o1 share a key in one message; o3 has none.
  const auto first = place({placement(1, "o1", "k1"), placement(2, "o2", "k1", "other"), placement(3, "o3")});
  BOOST_REQUIRE(first.size() == 3U);
  BOOST_TEST(first[0].result == PlaceResult::placed);
  BOOST_TEST(first[1].result == PlaceResult::known);
  BOOST_TEST(first[1].id == 2U);
  BOOST_TEST(first[1].stored->location == "/v1/orders/o1");
  BOOST_TEST(first[1].stored->request_hash == "h");
  BOOST_TEST(first[2].result == PlaceResult::placed);
  BOOST_TEST(!f.find("o2").has_value());
  BOOST_TEST(f.history("o1").size() == 1U);
  const auto again = place({placement(4, "o4", "k1")});
  BOOST_TEST(again[0].result == PlaceResult::known);
  BOOST_TEST(again[0].stored->status == 202);
  BOOST_TEST(!f.find("o4").has_value());
  // The very same placement, because its answer was lost.
  BOOST_TEST(place({placement(1, "o1", "k1"), placement(3, "o3")})[0].result == PlaceResult::placed);
  BOOST_TEST(f.history("o1").size() == 1U);
  BOOST_TEST(f.take(2).open.size() == 2U);
  BOOST_TEST(f.ask<FoundAnswer>(f.reader, FindAnswer{"k1"}).answer->location == "/v1/orders/o1");
  // After a day the key is free.
  f.now += day;
  BOOST_TEST(!f.ask<FoundAnswer>(f.reader, FindAnswer{"k1"}).answer.has_value());
  BOOST_TEST(place({placement(5, "o5", "k1", "h", f.now)})[0].result == PlaceResult::placed);
  BOOST_TEST(f.ask<FoundAnswer>(f.reader, FindAnswer{"k1"}).answer->location == "/v1/orders/o5");
}

BOOST_DATA_TEST_CASE(placements_of_many_doors_are_answered_each, data::make(databases()), kind) {
  Fixture f(kind);
  using Handle = decltype(f.self->request(f.store, 20s, Place{}));
  std::vector<Handle> pending;
  constexpr std::size_t doors = 200;
  for (std::size_t i = 0; i < doors; ++i) {
    const std::string n = std::to_string(i);
    pending.push_back(f.self->request(
        f.store, 20s,
        Place{{placement(2 * i, "a" + n, "key" + std::to_string(i / 2)), placement(2 * i + 1, "b" + n)}}));
  }
  std::size_t placed = 0;
  for (std::size_t i = 0; i < doors; ++i)
    pending[i].receive(
        [&](Placed& reply) {
          BOOST_REQUIRE(reply.results.size() == 2U);
          BOOST_TEST(reply.results[0].id == 2 * i);
          BOOST_TEST(reply.results[1].id == 2 * i + 1);
          BOOST_TEST(reply.results[1].result == PlaceResult::placed);
          if (reply.results[0].result == PlaceResult::placed) ++placed;
        },
        [&](caf::error& error) { BOOST_FAIL(to_string(error)); });
  BOOST_TEST(placed == doors / 2);
}

// ---- questions
// -------------------------------------------------------------------------------------------------------

BOOST_DATA_TEST_CASE(rows_are_listed_page_by_page, data::make(databases()), kind) {
  Fixture f(kind);
  Turn turn = f.turn(f.take());
  for (int i = 0; i < 9; ++i) {
    Row each = row("o" + std::to_string(i), 1, i % 2 == 0 ? "pending" : "paid");
    each.owner = i % 3 == 0 ? "ann" : "bob";
    turn.rows.push_back(each);
  }
  turn.rows.push_back(row("O:upper"));
  turn.rows.push_back(row("o~tilde"));
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  const auto list = [&](const std::string& state, const std::string& owner, const std::string& before, int limit) {
    return keys_of(f.ask<Loaded>(f.reader, ListRows{state, owner, before, limit}).rows);
  };
  BOOST_TEST(list("", "", "", 3) == (Keys{"o~tilde", "o8", "o7"}), boost::test_tools::per_element());
  BOOST_TEST(list("", "", "o7", 2) == (Keys{"o6", "o5"}), boost::test_tools::per_element());
  BOOST_TEST(list("", "", "o0", 2) == (Keys{"O:upper"}), boost::test_tools::per_element());
  BOOST_TEST(list("paid", "", "", 2) == (Keys{"o7", "o5"}), boost::test_tools::per_element());
  BOOST_TEST(list("", "bob", "o8", 2) == (Keys{"o7", "o5"}), boost::test_tools::per_element());
  BOOST_TEST(list("paid", "ann", "", 9) == (Keys{"o3"}), boost::test_tools::per_element());
  for (const char* state : {"cancelled", "delivered", "shipped"}) BOOST_TEST(list(state, "", "", 9).empty());
  Turn ends = f.turn(f.take());
  ends.rows = {row("o1", 2, "cancelled"), row("o2", 2, "shipped"), row("o4", 2, "cancelled")};
  for (Row& each : ends.rows) each.open = false;
  BOOST_TEST(f.commit(ends).result == CommitResult::ok);
  BOOST_TEST(list("cancelled", "", "", 9) == (Keys{"o4", "o1"}), boost::test_tools::per_element());
  BOOST_TEST(list("cancelled", "", "o4", 9) == (Keys{"o1"}), boost::test_tools::per_element());
  BOOST_TEST(list("shipped", "", "", 9) == (Keys{"o2"}), boost::test_tools::per_element());
  BOOST_TEST(list("pending", "", "o8", 9) == (Keys{"o6", "o0", "O:upper"}), boost::test_tools::per_element());
  const auto under = [&](const std::string& prefix, int limit) {
    return keys_of(f.ask<Loaded>(f.reader, RowsUnder{prefix, limit}).rows);
  };
  BOOST_TEST(under("O", 9) == (Keys{"O:upper"}), boost::test_tools::per_element());
  BOOST_TEST(under("o", 2) == (Keys{"o0", "o1"}), boost::test_tools::per_element());
}

// ---- stock
// -----------------------------------------------------------------------------------------------------------

namespace store_test {

StockChange set_to(const std::string& id, const std::string& product, std::int64_t quantity) {
  StockChange out;
  out.id = id;
  out.product = {product};
  out.absolute = true;
  out.quantity = quantity;
  out.price_minor = 500;
  out.currency = "EUR";
  out.at = start;
  return out;
}

StockChange add(const std::string& id, const std::string& product, std::int64_t delta) {
  StockChange out;
  out.id = id;
  out.product = {product};
  out.delta = delta;
  out.reason = "count";
  out.at = start;
  return out;
}

struct StockFixture : Fixture {
  explicit StockFixture(const std::string& kind) : Fixture(kind, RoleId::inventory) {}
  Hand change(const StockChange& change) { return ask<Hand>(store, ChangeStock{change}); }
  Hand settle(const std::string& id, bool applied, std::optional<StoredAnswer> answer = {}) {
    return ask<Hand>(store, SettleHand{id, applied, pair, std::move(answer)});
  }
  /// Opens the gate for an instance.
  void verify(const std::string& run_id) {
    const LedgerSnapshot ledger = ask<LedgerSnapshot>(store, BeginRebuild{});
    BOOST_TEST(ledger.ok);
    pair = {run_id, ledger.generation};
    BOOST_TEST(ask<Done>(store, FinishRebuild{pair, ledger.hands}).ok);
  }
  Committed move(const Taken& taken, const std::string& product_id, StockDelta delta, const StockIdentity& identity) {
    Turn next = turn(taken);
    delta.product = {product_id};
    next.totals = {delta};
    next.identities = {identity};
    return commit(next);
  }
  StockIdentity pair;
};

}  // namespace store_test

using namespace store_test;

BOOST_DATA_TEST_CASE(changes_by_hand_keep_the_sums, data::make(databases()), kind) {
  StockFixture f(kind);
  f.verify("run");
  Hand hand = f.change(set_to("h1", "p", 10));
  BOOST_TEST(hand.state == HandState::given);
  BOOST_TEST(hand.created);
  BOOST_TEST(!hand.told);
  BOOST_TEST(hand.delta == 10);
  BOOST_TEST(hand.product.stocked == 10);
  BOOST_TEST(hand.product.version == 1);
  // The same id again changes nothing.
  hand = f.change(set_to("h1", "p", 10));
  BOOST_TEST(hand.state == HandState::given);
  BOOST_TEST(hand.created);
  BOOST_TEST(hand.product.stocked == 10);
  BOOST_TEST(f.settle("h1", true).told);
  // 4 reserved, 3 sold: 3 available, 7 on hand.
  const Taken taken = f.take();
  BOOST_TEST(f.move(taken, "p", {{}, 0, 4, 3}, f.pair).result == CommitResult::ok);
  BOOST_TEST(f.product("p").reserved == 4);
  hand = f.change(set_to("h2", "p", 9));
  BOOST_TEST(hand.delta == 2);
  BOOST_TEST(hand.product.stocked == 12);
  BOOST_TEST(hand.product.version == 1);
  BOOST_TEST(!hand.created);
  // Less: Redis is asked first.
  hand = f.change(set_to("h3", "p", 5));
  BOOST_TEST(hand.state == HandState::asked);
  BOOST_TEST(hand.delta == -4);
  BOOST_TEST(f.product("p").stocked == 12);
  BOOST_TEST(f.change(set_to("h3b", "p", 5)).state == HandState::unavailable, "or 4 would be taken twice");
  BOOST_TEST(f.change(set_to("h3c", "q", 5)).state == HandState::given, "another product");
  hand = f.settle("h3", true);
  BOOST_TEST(hand.state == HandState::done);
  BOOST_TEST(hand.product.stocked == 8);
  BOOST_TEST(f.product("p").stocked == 8);
  hand = f.settle("h3", false);
  BOOST_TEST(hand.state == HandState::done, "settled once");
  BOOST_TEST(f.product("p").stocked == 8);
  // 5 on hand, 4 of them reserved.
  hand = f.change(set_to("h4", "p", 3));
  BOOST_TEST(hand.state == HandState::refused);
  BOOST_TEST(!hand.why.empty());
  BOOST_TEST(f.change(set_to("h4", "p", 3)).state == HandState::refused);
  BOOST_TEST(f.change(add("h5", "p", -2)).state == HandState::refused);
  BOOST_TEST(f.change(add("h6", "p", -1)).state == HandState::asked);
  BOOST_TEST(f.settle("h6", false).state == HandState::refused);
  BOOST_TEST(f.product("p").stocked == 8);
  BOOST_TEST(f.change(add("h7", "p", 1'000'000'000)).state == HandState::refused);
  BOOST_TEST(f.change(add("h8", "unknown", -1)).state == HandState::refused);
  BOOST_TEST(f.ask<Products>(f.reader, FindProduct{{"unknown"}}).products.empty());
  // A new price is a new version.
  StockChange dearer = set_to("h9", "p", 5);
  dearer.price_minor = 600;
  hand = f.change(dearer);
  BOOST_TEST(hand.delta == 0);
  BOOST_TEST(hand.product.version == 2);
  BOOST_TEST(f.product("p").price_minor == 600);
  // h1 was told; h2, h3c and h9 were not.
  BOOST_TEST(f.ask<Hands>(f.store, OpenHands{start + 1}).hands.size() == 3U);
  BOOST_TEST(f.ask<Hands>(f.store, OpenHands{start}).hands.empty());
}

BOOST_DATA_TEST_CASE(an_idempotency_key_of_a_change_is_running_until_it_is_settled, data::make(databases()), kind) {
  StockFixture f(kind);
  f.verify("run");
  StockChange change = add("h1", "p", 5);
  change.answer = StoredAnswer{"k", "hash", 0, "", "", start};
  BOOST_TEST(f.change(change).state == HandState::given);
  StockChange repeated = change;
  repeated.id = "h2";
  Hand hand = f.change(repeated);
  BOOST_TEST(hand.state == HandState::known);
  BOOST_TEST(hand.stored->status == 0);
  BOOST_TEST(hand.stored->request_hash == "hash");
  // The node is lost before it could answer: the change is found again, not made again.
  f.now += 60'000;
  hand = f.change(repeated);
  BOOST_TEST(hand.state == HandState::given);
  BOOST_TEST(hand.id == "h1");
  BOOST_TEST(f.product("p").stocked == 5);
  f.settle("h1", true, StoredAnswer{"k", "hash", 200, "", "{\"stocked\":5}", f.now});
  hand = f.change(repeated);
  BOOST_TEST(hand.state == HandState::known);
  BOOST_TEST(hand.stored->status == 200);
  BOOST_TEST(hand.stored->body == "{\"stocked\":5}");
  // What is refused is not stored.
  StockChange shrink = add("h3", "p", -2);
  shrink.answer = StoredAnswer{"k2", "hash", 0, "", "", f.now};
  BOOST_TEST(f.change(shrink).state == HandState::asked);
  BOOST_TEST(f.settle("h3", false).state == HandState::refused);
  BOOST_TEST(!f.ask<FoundAnswer>(f.reader, FindAnswer{"k2"}).answer.has_value());
}

BOOST_DATA_TEST_CASE(a_restock_is_told_to_the_instance_that_is_verified, data::make(databases()), kind) {
  StockFixture f(kind);
  f.verify("run");
  f.change(add("before", "p", 5));
  const LedgerSnapshot ledger = f.ask<LedgerSnapshot>(f.store, BeginRebuild{});
  BOOST_TEST(ledger.hands == std::vector<std::string>{"before"}, boost::test_tools::per_element());
  f.change(add("meanwhile", "p", 3));
  Hand hand = f.settle("meanwhile", true);  // what it was told to is given up
  BOOST_TEST(!hand.told);
  BOOST_TEST(hand.state == HandState::given);
  BOOST_TEST(!f.settle("before", true).told);
  const StockIdentity old = std::exchange(f.pair, {"run", ledger.generation});
  BOOST_TEST(f.ask<Done>(f.store, FinishRebuild{f.pair, ledger.hands}).ok);
  BOOST_TEST(!f.ask<Hand>(f.store, SettleHand{"meanwhile", true, old, {}}).told);
  const Hands open = f.ask<Hands>(f.store, OpenHands{start + 1});
  BOOST_REQUIRE(open.hands.size() == 1U);  // `before` came with the snapshot
  BOOST_TEST(open.hands[0].id == "meanwhile");
  BOOST_TEST(f.settle("meanwhile", true).told);
  BOOST_TEST(f.product("p").stocked == 8);
}

BOOST_DATA_TEST_CASE(outcomes_of_another_instance_are_not_recorded, data::make(databases()), kind) {
  StockFixture f(kind);
  const Taken taken = f.take();
  BOOST_TEST(f.move(taken, "p", {{}, 0, 1, 0}, {"run", 1}).result == CommitResult::conflict, "none is verified yet");
  f.verify("run");
  BOOST_TEST(f.move(taken, "p", {{}, 0, 1, 0}, {"run", 2}).result == CommitResult::conflict);
  const Committed refused = f.move(taken, "p", {{}, 0, 1, 0}, {"other", 1});
  BOOST_TEST(refused.result == CommitResult::conflict);
  BOOST_TEST(refused.conflicts.empty());
  BOOST_TEST(f.move(taken, "p", {{}, 0, 1, 0}, f.pair).result == CommitResult::ok);
  BOOST_TEST(f.product("p").reserved == 1);
  BOOST_TEST(f.change(add("h1", "p", 5)).state == HandState::given);
  BOOST_TEST(f.change(add("h2", "p", -1)).state == HandState::asked);
  const StockIdentity old = f.pair;
  BOOST_TEST(f.ask<LedgerSnapshot>(f.store, BeginRebuild{}).ok);
  BOOST_TEST(f.move(taken, "p", {{}, 0, 1, 0}, old).result == CommitResult::conflict, "the gate is closed");
  BOOST_TEST(f.settle("h2", true).state == HandState::unavailable);
  BOOST_TEST(f.product("p").stocked == 5);
}

BOOST_DATA_TEST_CASE(a_rebuild_is_told_what_redis_shall_hold, data::make(databases()), kind) {
  StockFixture f(kind);
  f.verify("first");
  BOOST_TEST(f.change(set_to("h1", "p", 10)).state == HandState::given);
  BOOST_TEST(f.change(set_to("h2", "q", 3)).state == HandState::given);
  f.settle("h1", true);
  BOOST_TEST(f.change(add("h3", "p", -2)).state == HandState::asked);
  Turn turn = f.turn(f.take(3), 3);
  turn.rows = {row("o1", 1, "reserved"), row("o2", 1, "released"), row("o3", 1, "reserving")};
  turn.totals = {{{"p"}, 0, 1, 0}, {{"r"}, 0, 2, 0}, {{"p"}, 0, 1, 1}};
  turn.identities = {f.pair};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  const LedgerSnapshot ledger = f.ask<LedgerSnapshot>(f.store, BeginRebuild{});
  BOOST_TEST(ledger.ok);
  BOOST_TEST(ledger.generation == 2);
  BOOST_REQUIRE(ledger.products.size() == 3U);
  BOOST_TEST(ledger.products[0].reserved == 2);
  BOOST_TEST(ledger.products[0].sold == 1);
  BOOST_TEST(ledger.products[2].id.value == "r");
  BOOST_TEST(ledger.products[2].stocked == 0);
  BOOST_REQUIRE(ledger.held.size() == 1U);
  BOOST_TEST(ledger.held[0].key == "o1");
  BOOST_TEST(ledger.held[0].doc == "{\"v\":1}");
  BOOST_TEST(ledger.hands == (Keys{"h2"}), boost::test_tools::per_element());
  BOOST_TEST((ledger.epochs == std::vector<std::pair<int, Epoch>>{{3, 1}}));
  BOOST_TEST(f.ask<Identity>(f.store, ReadIdentity{}).pair.run_id.empty());
  BOOST_TEST(!f.ask<Done>(f.store, FinishRebuild{{"second", 1}, {}}).ok, "of an older generation");
  BOOST_TEST(f.ask<Done>(f.store, FinishRebuild{{"second", 2}, ledger.hands}).ok);
  BOOST_TEST((f.ask<Identity>(f.store, ReadIdentity{}).pair == StockIdentity{"second", 2}));
  const std::vector<Hand> open = f.ask<Hands>(f.store, OpenHands{start + 1}).hands;
  BOOST_REQUIRE(open.size() == 1U);
  BOOST_TEST(open[0].id == "h3");
}

BOOST_DATA_TEST_CASE(products_are_listed_page_by_page, data::make(databases()), kind) {
  StockFixture f(kind);
  for (const char* id : {"b", "a", "C", "d"}) BOOST_TEST(f.change(set_to(std::string("h") + id, id, 1)).created);
  const auto list = [&](const std::string& after, int limit) {
    Keys out;
    for (const Product& each : f.ask<Products>(f.reader, ListProducts{after, limit}).products)
      out.push_back(each.id.value);
    return out;
  };
  BOOST_TEST(list("", 2) == (Keys{"C", "a"}), boost::test_tools::per_element());
  BOOST_TEST(list("a", 9) == (Keys{"b", "d"}), boost::test_tools::per_element());
  BOOST_TEST(list("d", 9).empty());
}

// Two writers as two nodes on one server. With SQLite they are two connections, which only a test may have.

BOOST_DATA_TEST_CASE(two_writers_keep_the_sums, data::make(databases()), kind) {
  StockFixture f(kind);
  const std::vector<StoreActor> stores{f.store, spawn_store(f.system, f.options())};
  const std::vector<Taken> taken{f.take(0), f.take(1)};
  constexpr int rounds = 50;
  for (int round = 0; round < rounds; ++round) {
    using Handle = decltype(f.self->request(f.store, 20s, Commit{}));
    std::vector<std::shared_ptr<const Turn>> turns;
    std::vector<Handle> pending;
    for (std::size_t node = 0; node < 2; ++node) {
      Turn turn = f.turn(taken[node], static_cast<int>(node));
      turn.rows = {row("r" + std::to_string(round) + "-" + std::to_string(node))};
      turn.totals = {{{node == 0 ? "p" : "q"}, 0, 1, 0}, {{node == 0 ? "q" : "p"}, 0, 0, 1}};
      turns.push_back(std::make_shared<const Turn>(turn));
      pending.push_back(f.self->request(stores[node], 20s, Commit{turns.back()}));
    }
    for (std::size_t node = 0; node < 2; ++node) {
      Committed committed;
      pending[node].receive([&](Committed& reply) { committed = reply; },
                            [&](caf::error& error) { BOOST_FAIL(to_string(error)); });
      for (int again = 0; committed.result == CommitResult::unavailable && again < 1'000; ++again)
        committed = f.ask<Committed>(stores[node], Commit{turns[node]});
      BOOST_TEST(committed.result == CommitResult::ok, committed.why);
    }
  }
  for (const char* id : {"p", "q"}) {
    BOOST_TEST(f.product(id).reserved == rounds);
    BOOST_TEST(f.product(id).sold == rounds);
  }
}

BOOST_DATA_TEST_CASE(two_writers_place_one_order_for_a_key, data::make(databases()), kind) {
  Fixture f(kind);
  const std::vector<StoreActor> stores{f.store, spawn_store(f.system, f.options())};
  constexpr int rounds = 50;
  int placed = 0;
  for (int round = 0; round < rounds; ++round) {
    using Handle = decltype(f.self->request(f.store, 20s, Place{}));
    std::vector<Handle> pending;
    const std::string n = std::to_string(round);
    for (std::size_t node = 0; node < 2; ++node) {
      // The same two keys, in another order: nodes that wait for each other must not both give up.
      const std::string order = n + "-" + std::to_string(node);
      std::vector<std::shared_ptr<const Placement>> both{placement(1, "a" + order, "a" + n),
                                                         placement(2, "b" + order, "b" + n)};
      if (node == 1) std::swap(both[0], both[1]);
      pending.push_back(f.self->request(stores[node], 20s, Place{both}));
    }
    for (auto& each : pending)
      each.receive(
          [&](Placed& reply) {
            for (const PlacedOne& one : reply.results) {
              BOOST_TEST((one.result != PlaceResult::unavailable));
              if (one.result == PlaceResult::placed) ++placed;
            }
          },
          [&](caf::error& error) { BOOST_FAIL(to_string(error)); });
  }
  BOOST_TEST(placed == 2 * rounds);
  BOOST_TEST(f.sql("SELECT COUNT(*) FROM orders") == std::to_string(2 * rounds));
}

// ---- opening
// ---------------------------------------------------------------------------------------------------------

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

using namespace store_test;

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
