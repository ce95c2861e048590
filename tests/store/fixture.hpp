// A role's store on a database of its own, in the tests of the store: SQLite in a directory of its own, and PostgreSQL where
// CARTWRIGHT_TEST_POSTGRES names a server (each run makes schemas with a random prefix there and drops them).
#pragma once

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/typed_actor.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "bridges/sql/store.hpp"

namespace cartwright {
std::ostream& boost_test_print_type(std::ostream& out, CommitResult result);
std::ostream& boost_test_print_type(std::ostream& out, PlaceResult result);
std::ostream& boost_test_print_type(std::ostream& out, HandState state);
}  // namespace cartwright

// Boost makes a template of every data case, whose lambdas have linkage: hence a named namespace.
namespace store_test {

using namespace cartwright;
using namespace cartwright::sql;
using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace data = boost::unit_test::data;

constexpr Millis start = 1'780'000'000'000;
constexpr Millis day = 24 * 3'600'000;

/// The URL of a PostgreSQL, or null.
const char* server();
/// The kinds of databases that are tested.
std::vector<std::string> databases();

struct Config : caf::actor_system_config {
  Config();
};

Row row(const std::string& key, std::int64_t version = 1, const std::string& state = "pending");
Transition step(const std::string& key, std::int64_t version = 1, const std::string& status = "pending");
/// A payment.success whose bytes are no text.
std::shared_ptr<const Record> record(const std::string& key, std::int64_t offset);
std::shared_ptr<const std::vector<Outgoing>> outgoing(const std::string& key);
std::shared_ptr<const Placement> placement(std::uint64_t id, const std::string& order, const std::string& key = "",
                                           const std::string& hash = "h", Millis at = start);
using Keys = std::vector<std::string>;
Keys keys_of(const std::vector<Row>& rows);

struct Fixture {
  explicit Fixture(const std::string& kind, RoleId role_id = RoleId::order);

  ~Fixture();

  [[nodiscard]] bool sqlite() const { return url.starts_with("sqlite:"); }
  [[nodiscard]] std::string schema() const { return prefix + "_" + std::string(to_string(role)); }
  [[nodiscard]] fs::path file(const char* ending = ".db") const {
    return dir / (std::string(to_string(role)) + ending);
  }
  StoreOptions options() {
    return {role, url, prefix, [this] { return now.load(); }};
  }
  void prepare(int partitions = 4) { prepared = prepare_store(options(), partitions); }
  void spawn();
  /// Ends the actors and waits for it: as if the process had ended.
  void stop();

  template <class Reply, class Handle, class Message>
  Reply ask(const Handle& to, const Message& message) {
    Reply out;
    self->request(to, 20s, message)
        .receive([&](Reply& reply) { out = std::move(reply); },
                 [&](caf::error& error) { BOOST_FAIL(to_string(error)); });
    return out;
  }

  Taken take(int partition = 0);
  Committed commit(const Turn& turn);
  std::optional<Row> find(const std::string& key);
  std::vector<Transition> history(const std::string& key);
  Product product(const std::string& id);

  /// A turn of a shard that was just taken; every call numbers the next.
  Turn turn(const Taken& taken, int partition = 0);

  /// Runs a statement past the store; the first value of a SELECT.
  std::string sql(const std::string& text);

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

}  // namespace store_test
