// The world behind the HTTP API in its tests: stand-ins for stores, readers, Redis, Kafka and shards that know what
// they are told, and a client that asks the API without a socket. Tests look at answers and at what was stored or
// published, never at how long something took.
#pragma once

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "actors/order/rules.hpp"
#include "app/api/api.hpp"
#include "app/api/requests.hpp"
#include "bridges/json/codec.hpp"
#include "bridges/json/dom.hpp"

namespace cartwright::tests {

using namespace std::chrono_literals;
using json::Json;

/// What the stand-ins know. They run on scheduler threads, the tests on theirs.
struct World {
  std::mutex mutex;
  enum class Store { works, away, silent, loses_answers } store = Store::works;
  bool gate_open = true, hears_commands = true, owner_here = true, draining = false, readable = true, behind = false;
  std::map<std::string, Row> orders, notices;
  std::map<std::string, std::vector<Transition>> history;
  std::map<std::string, StoredAnswer> answers;
  std::map<std::string, Product> products;
  std::map<std::string, Hand> hands;
  std::map<std::string, SetAside> set_aside;
  std::map<std::string, redis::StockCounts> counts;
  std::map<std::string, redis::HandAnswer> said;
  std::vector<Outgoing> published;
  std::vector<std::size_t> places;
  int commands = 0;
};
using WorldPtr = std::shared_ptr<World>;

/// Locks the world for the time of one handler.
template <class Act>
auto in(const WorldPtr& world, Act act) {
  const std::lock_guard lock(world->mutex);
  return act(*world);
}

/// The codec that the API and the stand-ins share.
const json::JsonCodec& codec();

/// Puts an order into a state, as its owner would. The caller holds the world.
void set_state(World& world, const std::string& id, order::State state, std::string_view event);

/// An answer of the API.
struct Got {
  int status = 0;
  std::string type, body;
  std::map<std::string, std::string> headers;
  [[nodiscard]] Json json() const;
};

/// The API over a fresh world, and a client of it.
struct Fixture {
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  WorldPtr world = std::make_shared<World>();
  api::ApiDeps deps;
  http::Handler handler;  // made with the first request: a test may change `deps` before, or drop it to change them later

  Fixture();
  ~Fixture();
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  /// Sends a request; its answer comes later.
  std::future<Got> begin(const std::string& method, const std::string& target, std::string body = {},
                         const std::vector<http::Header>& headers = {});

  /// The answer, or a failure after 20 s.
  static Got wait(std::future<Got> answer);

  /// Returns when `holds(World&)` does; fails after 20 s.
  void await(const std::function<bool(World&)>& holds);

  /// Sends a request and waits for the answer.
  Got ask(const std::string& method, const std::string& target, std::string body = {},
          const std::vector<http::Header>& headers = {});

  /// `ask` of a POST with a body of JSON.
  Got post(const std::string& target, std::string body, std::vector<http::Header> headers = {});

  /// Places an order of two p-1 and returns its id.
  std::string place_one(const std::string& user = "u-1");
};

/// Checks that an answer is a problem (RFC 9457) with that status.
void check_problem(const Got& answer, int status);

}  // namespace cartwright::tests
