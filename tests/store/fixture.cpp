#define BOOST_TEST_MODULE store
#include "tests/store/fixture.hpp"

#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <cstdlib>
#include <random>

namespace cartwright {
std::ostream& boost_test_print_type(std::ostream& out, CommitResult result) { return out << static_cast<int>(result); }
std::ostream& boost_test_print_type(std::ostream& out, PlaceResult result) { return out << static_cast<int>(result); }
std::ostream& boost_test_print_type(std::ostream& out, HandState state) { return out << static_cast<int>(state); }
}  // namespace cartwright

namespace store_test {

const char* server() { return std::getenv("CARTWRIGHT_TEST_POSTGRES"); }

std::vector<std::string> databases() {
  if (server() != nullptr) return {"sqlite", "postgresql"};
  return {"sqlite"};
}

Config::Config() {
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", 2);
}

Row row(const std::string& key, std::int64_t version, const std::string& state) {
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

Transition step(const std::string& key, std::int64_t version, const std::string& status) {
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

std::shared_ptr<const Placement> placement(std::uint64_t id, const std::string& order, const std::string& key,
                                           const std::string& hash, Millis at) {
  Placement out;
  out.id = id;
  out.partition = 2;
  out.row = row(order);
  out.transition = step(order);
  if (!key.empty()) out.answer = StoredAnswer{key, hash, 202, "/v1/orders/" + order, "{}", at};
  return std::make_shared<const Placement>(out);
}

std::vector<std::string> keys_of(const std::vector<Row>& rows) {
  std::vector<std::string> out;
  for (const Row& each : rows) out.push_back(each.key);
  return out;
}

Fixture::Fixture(const std::string& kind, RoleId role_id) : role(role_id) {
  std::random_device random;
  const std::string name = "cartwright-store-" + std::to_string(random());
  dir = fs::temp_directory_path() / name / "a b";
  prefix = "t" + std::to_string(random());
  url = kind == "sqlite" ? "sqlite:" + dir.string() : std::string(server());
  prepare();
  spawn();
}

Fixture::~Fixture() {
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

void Fixture::spawn() {
  store = spawn_store(system, options());
  reader = spawn_reader(system, options());
}

void Fixture::stop() {
  for (const auto& each : {caf::actor_cast<caf::actor>(store), caf::actor_cast<caf::actor>(reader)}) {
    if (!each) continue;
    self->monitor(each);
    self->send_exit(each, caf::exit_reason::user_shutdown);
    self->receive([](const caf::down_msg&) {});
  }
  store = nullptr;
  reader = nullptr;
}

Taken Fixture::take(int partition) { return ask<Taken>(store, Take{{role, partition}, 4}); }

Committed Fixture::commit(const Turn& turn) { return ask<Committed>(store, Commit{std::make_shared<const Turn>(turn)}); }

std::optional<Row> Fixture::find(const std::string& key) { return ask<FoundRow>(reader, FindRow{key}).row; }

std::vector<Transition> Fixture::history(const std::string& key) { return ask<History>(reader, FindHistory{{key}}).transitions; }

Product Fixture::product(const std::string& id) { return ask<Products>(reader, FindProduct{{id}}).products.at(0); }

Turn Fixture::turn(const Taken& taken, int partition) {
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

std::string Fixture::sql(const std::string& text) {
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

}  // namespace store_test

using namespace store_test;

BOOST_AUTO_TEST_CASE(postgresql_is_tested_too) {
  if (server() != nullptr) return;
  BOOST_TEST_MESSAGE("skipped on PostgreSQL: CARTWRIGHT_TEST_POSTGRES is not set");
  BOOST_TEST(std::getenv("CI") == nullptr, "in CI the store is tested on PostgreSQL too: set CARTWRIGHT_TEST_POSTGRES");
}
