// What an outside client may rely on from the HTTP API, with stand-ins for stores, Redis, Kafka and shards behind it:
// first what bodies are taken for, as tables, then whole requests. Tests look at answers and at what was stored or
// published, never at how long something took.

#define BOOST_TEST_MODULE api
#include "app/api/api.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <array>
#include <future>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <thread>

#include "actors/harden.hpp"
#include "actors/order/rules.hpp"
#include "app/api/requests.hpp"
#include "app/api/views.hpp"
#include "bridges/json/codec.hpp"
#include "bridges/signing/signature.hpp"

namespace {

using namespace cartwright;
using namespace std::chrono_literals;
using Json = nlohmann::json;

// -- the world behind the API
// ------------------------------------------------------------------------------------------

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

const auto& codec() {
  static const auto one = std::make_shared<const json::JsonCodec>(TopicNames(), "cartwright");
  return *one;
}

std::shared_ptr<const Codec> shared_codec() { return {std::shared_ptr<void>(), &codec()}; }

Placed place(World& world, const Place& asked) {
  Placed out;
  world.places.push_back(asked.placements.size());
  for (const auto& placement : asked.placements) {
    if (world.store == World::Store::away) {
      out.results.push_back({placement->id, PlaceResult::unavailable, {}});
      continue;
    }
    const auto result = world.store == World::Store::loses_answers ? PlaceResult::unknown : PlaceResult::placed;
    if (world.orders.contains(placement->row.key)) {  // handed in again
      out.results.push_back({placement->id, result, {}});
      continue;
    }
    if (const auto& answer = placement->answer) {
      const auto [found, fresh] = world.answers.try_emplace(answer->key, *answer);
      if (!fresh) {
        out.results.push_back({placement->id, PlaceResult::known, found->second});
        continue;
      }
    }
    world.orders[placement->row.key] = placement->row;
    world.history[placement->row.key].push_back(placement->transition);
    out.results.push_back({placement->id, result, {}});
  }
  return out;
}

Hand open_hand(World& world, const StockChange& change) {
  Hand hand{change.id, {}, 0, HandState::given, false, false, false, {}, {}};
  if (world.store == World::Store::away) {
    hand.state = HandState::unavailable;
    return hand;
  }
  if (world.store == World::Store::loses_answers) {
    hand.state = HandState::unavailable;
    hand.unknown = true;
    return hand;
  }
  if (change.answer) {
    const auto found = world.answers.find(change.answer->key);
    if (found != world.answers.end()) {
      hand.state = HandState::known;
      hand.stored = found->second;
      return hand;
    }
    world.answers[change.answer->key] = *change.answer;
  }
  auto [it, created] = world.products.try_emplace(change.product.value);
  Product& product = it->second;
  product.id = change.product;
  hand.created = created;
  hand.delta = change.absolute ? change.quantity - (product.stocked - product.sold) : change.delta;
  if (change.name) product.name = *change.name;
  if (change.currency) product.currency = *change.currency;
  if (change.price_minor) product.price_minor = *change.price_minor;
  if (hand.delta < 0)
    hand.state = HandState::asked;
  else
    product.stocked += hand.delta;
  hand.product = product;
  if (change.answer) hand.stored = change.answer;
  world.hands[hand.id] = hand;
  return hand;
}

Hand settle_hand(World& world, const SettleHand& settlement) {
  Hand& hand = world.hands.at(settlement.id);
  if (hand.state == HandState::asked) {
    hand.state = settlement.applied ? HandState::done : HandState::refused;
    if (settlement.applied)
      world.products[hand.product.id.value].stocked += hand.delta;
    else
      hand.why = "available would fall below 0";
    if (!settlement.applied && hand.stored) world.answers.erase(hand.stored->key);
  }
  hand.told = true;
  if (settlement.answer) world.answers[settlement.answer->key] = *settlement.answer;
  return hand;
}

redis::HandSaid change_hand(World& world, const redis::ChangeHand& change) {
  if (!world.gate_open) return {change.id, redis::HandAnswer::unknown, {}};
  auto [known, fresh] = world.said.try_emplace(change.id, redis::HandAnswer::applied);
  if (fresh) {
    auto& counts = world.counts[change.product.value];
    counts.product = change.product;
    if (counts.available + change.delta < 0)
      known->second = redis::HandAnswer::refused;
    else
      counts.available += change.delta, counts.stocked += change.delta;
  }
  return {change.id, known->second, {"run", 1}};
}

/// Locks the world for the time of one handler.
template <class Act>
auto in(const WorldPtr& world, Act act) {
  const std::lock_guard lock(world->mutex);
  return act(*world);
}

StoreActor::behavior_type store(StoreActor::pointer self, WorldPtr world) {
  harden(self);
  return {
      [](const Take&) { return Taken{}; },
      [](const Commit&) { return Committed{}; },
      [](const Load&) { return Loaded{}; },
      [](const FindPlaced&) { return PlacedRows{}; },
      [](const LoadParked&) { return ParkedRecords{}; },
      [](const ReadOutbox&) { return OutboxPage{}; },
      [self, world](const Place& asked) {
        auto promise = self->make_response_promise<Placed>();
        in(world, [&](World& w) {
          if (w.store != World::Store::silent) promise.deliver(place(w, asked));
        });
        return promise;
      },
      [world](const ChangeStock& asked) { return in(world, [&](World& w) { return open_hand(w, asked.change); }); },
      [world](const SettleHand& asked) { return in(world, [&](World& w) { return settle_hand(w, asked); }); },
      [world](const OpenHands&) {
        return in(world, [](World& w) {
          Hands hands{true, {}};
          for (const auto& [id, hand] : w.hands)
            if (!hand.told) hands.hands.push_back(hand);
          return hands;
        });
      },
      [](const ReadIdentity&) { return Identity{}; },
      [](const BeginRebuild&) { return LedgerSnapshot{}; },
      [](const FinishRebuild&) { return Done{}; },
      [](const StoreHealth&) { return Done{}; },
  };
}

ReaderActor::behavior_type reader(ReaderActor::pointer self, WorldPtr world, RoleId role) {
  harden(self);
  auto rows = [role](World& w) -> std::map<std::string, Row>& {
    return role == RoleId::notification ? w.notices : w.orders;
  };
  return {
      [=](const FindRow& asked) {
        return in(world, [&](World& w) {
          const auto found = rows(w).find(asked.key);
          return FoundRow{w.readable, found == rows(w).end() ? std::nullopt : std::optional(found->second)};
        });
      },
      [=](const FindHistory& asked) {
        return in(world, [&](World& w) { return History{w.readable, w.history[asked.order.value]}; });
      },
      [=](const ListRows& asked) {
        return in(world, [&](World& w) {
          Loaded out{w.readable, {}};
          for (auto it = rows(w).rbegin();
               it != rows(w).rend() && out.rows.size() < static_cast<std::size_t>(asked.limit); ++it) {
            const Row& row = it->second;
            const bool fits =
                (asked.state.empty() || row.state == asked.state) && (asked.owner.empty() || row.owner == asked.owner);
            if (fits && (asked.before.empty() || row.key < asked.before)) out.rows.push_back(row);
          }
          return out;
        });
      },
      [=](const ListSetAside& asked) {
        return in(world, [&](World& w) {
          SetAsideRows out{w.readable, {}};
          for (auto it = w.set_aside.upper_bound(asked.after); it != w.set_aside.end() && out.rows.size() < static_cast<std::size_t>(asked.limit); ++it)
            out.rows.push_back(it->second);
          return out;
        });
      },
      [=](const RowsUnder& asked) {
        return in(world, [&](World& w) {
          Loaded out{w.readable, {}};
          for (const auto& [key, row] : rows(w))
            if (key.starts_with(asked.prefix)) out.rows.push_back(row);
          return out;
        });
      },
      [=](const FindProduct& asked) {
        return in(world, [&](World& w) {
          Products out{w.readable, {}};
          if (auto found = w.products.find(asked.product.value); found != w.products.end())
            out.products.push_back(found->second);
          return out;
        });
      },
      [=](const ListProducts& asked) {
        return in(world, [&](World& w) {
          Products out{w.readable, {}};
          for (auto it = w.products.upper_bound(asked.after);
               it != w.products.end() && out.products.size() < static_cast<std::size_t>(asked.limit); ++it)
            out.products.push_back(it->second);
          return out;
        });
      },
      [](const FindAnswer&) { return FoundAnswer{}; },
  };
}

redis::StockActor::behavior_type stock(redis::StockActor::pointer self, WorldPtr world) {
  harden(self);
  return {
      [](const Acts&) {},
      [world](const redis::ReadStock& asked) {
        return in(world, [&](World& w) {
          redis::StockPage page{w.gate_open, {}};
          for (const ProductId& product : asked.products)
            if (auto found = w.counts.find(product.value); w.gate_open && found != w.counts.end())
              page.counts.push_back(found->second);
          return page;
        });
      },
      [world](const redis::ChangeHand& change) { return in(world, [&](World& w) { return change_hand(w, change); }); },
      [](const redis::Announce&) {},
      [](const redis::StockHealth&) { return Done{}; },
  };
}

ProducerActor::behavior_type producer(ProducerActor::pointer self, WorldPtr world) {
  harden(self);
  return {[world](const Publish& asked) {
    in(world, [&](World& w) { w.published.insert(w.published.end(), asked.outgoing->begin(), asked.outgoing->end()); });
  }};
}

/// Puts an order into a state, as its owner would.
void set_state(World& world, const std::string& id, order::State state, std::string_view event) {
  Row& row = world.orders.at(id);
  order::Order order = codec().read_order(row);
  order.state = state;
  order.waits = {};
  order.expires = 0;
  ++order.version;
  order.updated_at += 1;
  row = {row.key,        row.version + 1,  std::string(to_string(state)), row.owner, row.open, 0,
         row.created_at, order.updated_at, codec().write(order)};
  world.history[id].push_back({{id}, order.version, row.state, std::string(event), order.updated_at});
}

ShardActor::behavior_type shard(ShardActor::pointer self, WorldPtr world) {
  harden(self);
  return {
      [](const Batch&) {},
      [](const Decided&) {},
      [](const Outcomes&) {},
      [](const Published&) {},
      [](const Tick&) {},
      [](const Begin&) {},
      [](const Ends&) {},
      [](const LogLost&) {},
      [self, world](const std::string& key, const Command& command) {
        auto promise = self->make_response_promise<CommandReply>();
        in(world, [&](World& w) {
          ++w.commands;
          if (!w.hears_commands) return;
          const auto found = w.orders.find(key);
          CommandReply reply{command.id, 202, ""};
          if (found == w.orders.end())
            reply = {command.id, 404, "there is no order " + key};
          else if (found->second.state != "pending" && found->second.state != "cancelled")
            reply = {command.id, 409, "too late"};
          else if (command.kind == CommandKind::cancel)
            set_state(w, key, order::State::cancelled, "cancel");
          promise.deliver(std::move(reply));
        });
        return promise;
      },
      [](const Revoke&) { return Revoked{}; },
      [](const Describe&) {
        ShardView view;
        view.phase = "idle";
        return view;
      },
  };
}

api::ChargesActor::behavior_type charges(api::ChargesActor::pointer self) {
  harden(self);
  return {[](const api::FindCharges& asked) {
    api::ChargesFound found{true, {}};
    if (asked.order.value == "foreign-1") found.charges.push_back({"foreign-1/charge/1", "txn-1", 990, "charge", 2, 1});
    return found;
  }};
}

// -- a client
// ----------------------------------------------------------------------------------------------------------

struct Got {
  int status = 0;
  std::string type, body;
  std::map<std::string, std::string> headers;
  [[nodiscard]] Json json() const { return Json::parse(body); }
};

http::Request request(const std::string& method, const std::string& target, std::string body,
                      const std::vector<http::Header>& headers) {
  http::Request out{method, target, target.substr(0, target.find('?')), {}, {}, headers, std::move(body)};
  for (std::size_t at = 1; at < out.path.size();) {
    const auto slash = std::min(out.path.find('/', at), out.path.size());
    out.segments.push_back(out.path.substr(at, slash - at));
    at = slash + 1;
    if (at == out.path.size()) out.segments.emplace_back();
  }
  std::string query = target.find('?') == std::string::npos ? "" : target.substr(target.find('?') + 1);
  while (!query.empty()) {
    const std::string pair = query.substr(0, query.find('&'));
    query = query.find('&') == std::string::npos ? "" : query.substr(query.find('&') + 1);
    const auto equals = pair.find('=');
    out.query.emplace_back(pair.substr(0, equals), equals == std::string::npos ? "" : pair.substr(equals + 1));
  }
  return out;
}

struct Fixture {
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  WorldPtr world = std::make_shared<World>();
  api::ApiDeps deps;
  http::Handler handler;

  Fixture() {
    config.set("scheduler.policy", caf::atom("sharing"));
    system = std::make_unique<caf::actor_system>(config);
    deps.order_store = deps.inventory_store = system->spawn(store, world);
    deps.order_reader = deps.inventory_reader = system->spawn(reader, world, RoleId::order);
    deps.notification_reader = system->spawn(reader, world, RoleId::notification);
    deps.stock = system->spawn(stock, world);
    deps.producer = system->spawn(producer, world);
    deps.charges = system->spawn(charges);
    deps.codec = shared_codec();
    deps.clock = [] {
      return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
    };
    deps.random = [random = std::make_shared<std::mt19937_64>(7)] { return (*random)(); };
    deps.owner = [here = ShardActor(system->spawn(shard, world)), w = world](RoleId role, int) {
      const std::lock_guard lock(w->mutex);
      return role == RoleId::order && w->owner_here ? here : ShardActor();
    };
    deps.draining = [w = world] { return in(w, [](World& it) { return it.draining; }); };
    deps.behind = [w = world] { return in(w, [](World& it) { return it.behind; }); };
    deps.readiness = [] {
      return std::vector<std::pair<std::string, std::string>>{{"kafka", ""}, {"stock", "not verified"}};
    };
    deps.metrics = [] { return std::string("orders_total 1\n"); };
    deps.patience = {300ms, 300ms, 300ms};
  }

  ~Fixture() {
    handler = {};
    deps = {};
  }

  std::future<Got> begin(const std::string& method, const std::string& target, std::string body = {},
                         const std::vector<http::Header>& headers = {}) {
    if (!handler) handler = api::make_api(*system, deps);
    auto promise = std::make_shared<std::promise<Got>>();
    http::Responder responder([promise](http::Response response) {
      Got answer{response.status, response.content_type, response.body, {}};
      for (const auto& header : response.headers) answer.headers[header.name] = header.value;
      promise->set_value(std::move(answer));
    });
    handler(request(method, target, std::move(body), headers), std::move(responder));
    return promise->get_future();
  }

  static Got wait(std::future<Got> answer) {
    BOOST_REQUIRE(answer.wait_for(20s) == std::future_status::ready);
    return answer.get();
  }

  Got ask(const std::string& method, const std::string& target, std::string body = {},
          const std::vector<http::Header>& headers = {}) {
    return wait(begin(method, target, std::move(body), headers));
  }

  Got post(const std::string& target, std::string body, std::vector<http::Header> headers = {}) {
    headers.push_back({"Content-Type", "application/json"});
    return ask("POST", target, std::move(body), headers);
  }

  std::string place_one(const std::string& user = "u-1") {
    const Got answer = post("/v1/orders", R"({"product_id":"p-1","quantity":2,"user_id":")" + user + R"("})");
    BOOST_REQUIRE_EQUAL(answer.status, 202);
    return answer.json()["order_id"];
  }
};

void check_problem(const Got& answer, int status) {
  BOOST_TEST(answer.status == status);
  BOOST_TEST(answer.type == "application/problem+json");
  BOOST_TEST(Json::parse(answer.body)["status"] == status);
}

struct BodyCase {
  std::string body;
  int status;  // 0: good
  std::string field;
};

template <class T>
void check_bodies(api::Read<T> (*read)(std::string_view), const std::vector<BodyCase>& cases) {
  for (const BodyCase& each : cases) {
    const auto result = read(each.body);
    const auto* refusal = std::get_if<api::Refusal>(&result);
    BOOST_TEST((refusal ? refusal->status : 0) == each.status, each.body << (refusal ? ": " + refusal->detail : ""));
    if (refusal && !each.field.empty()) BOOST_TEST(refusal->field == each.field, each.body << ": " << refusal->field);
  }
}

std::string nested(int depth) {
  return R"({"product_id":"p","quantity":1,"user_id":"u","x":)" + std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']') + "}";
}

}  // namespace

// -- bodies
// ------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(bodies)

BOOST_AUTO_TEST_CASE(an_order_is_taken_or_refused_for_a_reason) {
  const std::string good = R"("product_id":"p-1","quantity":2,"user_id":"u-1")";
  const std::string big = std::string(2000, 'x');
  check_bodies<Event>(
      api::read_order,
      {{"{" + good + "}", 0, ""},
       {"{" + good + R"(,"unknown":{"a":[1,2,{"b":null}]},"n":1e400,"m":123456789012345678901234567890})", 0, ""},
       {R"({"items":[{"product_id":"a","quantity":1},{"product_id":"a","quantity":1000000,"x":1}],"user_id":"u"})", 0,
        ""},
       {"{" + good + R"(,"payment_token":"tok_ok","ship_to":{"city":"Ulm"},"contact":{},"metadata":{"a":1.50}})", 0,
        ""},
       {"{" + good + R"(,"payment_token":null,"metadata":null})", 0, ""},
       {nested(31), 0, ""},
       // no JSON, or no object
       {"", 400, ""},
       {"{", 400, ""},
       {"[]", 400, ""},
       {"[1,{\"a\":2}]", 400, ""},
       {"1", 400, ""},
       {"\"x\"", 400, ""},
       {"null", 400, ""},
       {"{" + good + "} x", 400, ""},
       {"{" + good + R"(,"x":"\xff"})", 400, ""},
       {"{" + good + ",\"x\":\"\xc3\"}", 400, ""},
       {std::string("{") + good + "}" + '\0', 400, ""},
       {nested(32), 400, ""},
       // contradictions
       {"{" + good + R"(,"quantity":2})", 400, "quantity"},
       {"{" + good + R"(,"x":{"a":1,"a":2}})", 400, "a"},
       {"{" + good + R"(,"\u0075ser_id":"u-1"})", 400, "user_id"},
       {"{" + good + R"(,"items":[{"product_id":"a","quantity":1}]})", 400, "items"},
       {R"({"items":[{"product_id":"a","product_id":"b","quantity":1}],"user_id":"u"})", 400, "product_id"},
       {"{" + good + R"(,"order_id":"o-1"})", 400, "order_id"},
       {"{" + good + R"(,"order_id":null})", 400, "order_id"},
       // values
       {R"({"quantity":2,"user_id":"u-1"})", 422, "product_id"},
       {R"({"product_id":"p","user_id":"u-1"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":2})", 422, "user_id"},
       {"{}", 422, "product_id"},
       {R"({"product_id":"p","quantity":0,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":-1,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":1000001,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":1.0,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":1e2,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":1e400,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":99999999999999999999,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":"2","user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":true,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":[2],"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"","quantity":2,"user_id":"u"})", 422, "product_id"},
       {R"({"product_id":"a b","quantity":2,"user_id":"u"})", 422, "product_id"},
       {R"({"product_id":7,"quantity":2,"user_id":"u"})", 422, "product_id"},
       {R"({"product_id":"p","quantity":2,"user_id":")" + std::string(129, 'u') + R"("})", 422, "user_id"},
       {R"({"items":[],"user_id":"u"})", 422, "items"},
       {R"({"items":{},"user_id":"u"})", 422, "items"},
       {R"({"items":[1],"user_id":"u"})", 422, "items[0]"},
       {R"({"items":[[{"product_id":"a"}]],"user_id":"u"})", 422, "items[0]"},
       {R"({"items":[{"product_id":"a","quantity":1},{"product_id":"a","quantity":1.5}],"user_id":"u"})", 422,
        "items[1].quantity"},
       {"{" + good + R"(,"payment_token":1})", 422, "payment_token"},
       {"{" + good + R"(,"ship_to":"Ulm"})", 422, "ship_to"},
       {"{" + good + R"(,"ship_to":{"a":")" + big + R"("},"contact":{"a":")" + big + R"("},"metadata":{"a":")" + big +
            R"("}})",
        422, "metadata"}});
}

BOOST_AUTO_TEST_CASE(items_are_one_to_a_hundred) {
  for (int count : {1, 100, 101}) {
    std::string items;
    for (int i = 0; i < count; ++i) items += std::string(i ? "," : "") + R"({"product_id":"p","quantity":1})";
    const auto read = api::read_order(R"({"user_id":"u","items":[)" + items + "]}");
    BOOST_TEST(std::holds_alternative<Event>(read) == (count <= 100));
  }
}

BOOST_AUTO_TEST_CASE(opaque_members_are_passed_on_as_they_were_spelled) {
  const auto read = api::read_order(
      R"({"x":[{"ship_to":1}], "ship_to" : {"zip": "01", "n": 1.50},"product_id":"p","quantity":1,"user_id":"u","metadata":{"b":1,"a":2}})");
  const auto& event = std::get<Event>(read);
  BOOST_TEST(event.extras == R"("ship_to":{"zip":"01","n":1.50},"metadata":{"b":1,"a":2})");
  BOOST_TEST(!event.itemised);
  BOOST_TEST(event.lines.size() == 1u);
}

BOOST_AUTO_TEST_CASE(stock_is_taken_or_refused_for_a_reason) {
  check_bodies<StockChange>(
      api::read_stock,
      {{R"({"quantity":0})", 0, ""},
       {R"({"quantity":1000000000,"price_minor":1000000000000,"currency":"EUR","name":"Böck"})", 0, ""},
       {R"({"quantity":-1})", 422, "quantity"},
       {R"({"quantity":1000000001})", 422, "quantity"},
       {R"({"quantity":1.5})", 422, "quantity"},
       {R"({})", 422, "quantity"},
       {R"({"quantity":1,"price_minor":-1})", 422, "price_minor"},
       {R"({"quantity":1,"price_minor":1000000000001})", 422, "price_minor"},
       {R"({"quantity":1,"currency":"eur"})", 422, "currency"},
       {R"({"quantity":1,"currency":"EURO"})", 422, "currency"},
       {R"({"quantity":1,"name":5})", 422, "name"},
       {R"({"quantity":1,"name":")" + std::string(1025, 'n') + R"("})", 422, "name"},
       {R"({"quantity":1,"quantity":1})", 400, "quantity"},
       {"x", 400, ""}});
  check_bodies<StockChange>(api::read_adjustment, {{R"({"delta":-5,"reason":"broken"})", 0, ""},
                                                   {R"({"delta":0,"reason":"x"})", 422, "delta"},
                                                   {R"({"delta":1000000001,"reason":"x"})", 422, "delta"},
                                                   {R"({"delta":5})", 422, "reason"},
                                                   {R"({"delta":5,"reason":""})", 422, "reason"},
                                                   {R"({"reason":"x"})", 422, "delta"}});
}

BOOST_AUTO_TEST_CASE(media_types_keys_tokens_and_sizes) {
  for (const char* good : {"", "application/json", "Application/JSON; charset=UTF-8",
                           "application/json;charset=\"utf-8\"", "application/json; v=1"})
    BOOST_TEST(api::is_json(good), good);
  for (const char* bad : {"text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1",
                          "application/jsonx", "json"})
    BOOST_TEST(!api::is_json(bad), bad);
  for (const char* good : {"application/x-ndjson", "application/ndjson", "application/json"})
    BOOST_TEST(api::is_ndjson(good), good);
  BOOST_TEST(!api::is_ndjson("text/csv"));
  BOOST_TEST(std::get<std::string>(api::read_idempotency_key("abc")) == "abc");
  BOOST_TEST(std::get<std::string>(api::read_idempotency_key(" \"abc\" ")) == "abc");
  BOOST_TEST(std::get<std::string>(api::read_idempotency_key(std::string(255, 'k'))).size() == 255u);
  for (const std::string& bad :
       {std::string(), std::string("\"\""), std::string("a b"), std::string(256, 'k'), std::string("k\xc3\xa4")})
    BOOST_TEST(std::get<api::Refusal>(api::read_idempotency_key(bad)).status == 400);
  for (const char* key : {"a", "ab", "abc", "0190a-~:._"}) {
    const std::string token = api::page_token('o', key);
    BOOST_TEST(api::read_page_token('o', token).value_or("") == key);
    BOOST_TEST(!api::read_page_token('s', token));
  }
  for (const char* bad : {"", "x", "!!!!", "b3g=", "\xff"}) BOOST_TEST(!api::read_page_token('o', bad));
  BOOST_TEST(api::read_page_size("").value_or(0) == 50);
  BOOST_TEST(api::read_page_size("7").value_or(0) == 7);
  BOOST_TEST(api::read_page_size("99999999999999999999").value_or(0) == 1000);
  for (const char* bad : {"0", "-1", "1.5", "x", " 1"}) BOOST_TEST(!api::read_page_size(bad));
  BOOST_TEST(api::lines_of("").size() == 0u);
  BOOST_TEST(api::lines_of("a\n").size() == 1u);
  BOOST_TEST(api::lines_of("a\r\n\nb").size() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()

// -- placing
// -----------------------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_SUITE(placing, Fixture)

BOOST_AUTO_TEST_CASE(an_order_is_durable_and_published_before_its_202) {
  const Got answer = post(
      "/v1/orders", R"({"items":[{"product_id":"a","quantity":1},{"product_id":"b","quantity":3}],"user_id":"u-1"})",
      {{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}});
  BOOST_REQUIRE_EQUAL(answer.status, 202);
  const Json order = answer.json();
  const std::string id = order["order_id"];
  BOOST_TEST(answer.headers.at("Location") == "/v1/orders/" + id);
  BOOST_TEST(order["status"] == "pending");
  BOOST_TEST(order["waiting_for"] == "inventory");
  BOOST_TEST(order["items"].size() == 2u);
  for (const char* name : {"reason", "amount_minor", "currency", "txn_id", "tracking_id"})
    BOOST_TEST(order.at(name).is_null());
  in(world, [&](World& w) {
    const Row& row = w.orders.at(id);
    BOOST_TEST(row.version == 1);
    BOOST_TEST(row.owner == "u-1");
    BOOST_TEST(row.due > row.created_at);
    BOOST_TEST(w.history.at(id).size() == 1u);
  });
  BOOST_TEST(ask("GET", "/v1/orders/" + id).json() == order);
  for (bool there = false; !there; std::this_thread::yield())
    there = in(world, [](World& w) { return !w.published.empty(); });
  in(world, [&](World& w) {
    BOOST_TEST(w.published.size() == 1u);
    BOOST_TEST(w.published[0].topic == "order.placed");
    BOOST_TEST(*w.published[0].key == id);
    const Json placed = Json::parse(*w.published[0].value);
    BOOST_TEST(placed["order_id"] == id);
    BOOST_TEST(placed["product_id"] == "a");
    BOOST_TEST(placed["items"].size() == 2u);
    std::map<std::string, std::string> headers(w.published[0].headers.begin(), w.published[0].headers.end());
    BOOST_TEST(headers.at("traceparent") == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    BOOST_TEST(headers.at("ce_source") == "/cartwright/order");
  });
}

BOOST_AUTO_TEST_CASE(a_wrong_request_is_refused_before_the_store) {
  check_problem(post("/v1/orders", "{"), 400);
  const Got wrong = post("/v1/orders", R"({"product_id":"p","quantity":0,"user_id":"u"})");
  check_problem(wrong, 422);
  BOOST_TEST(wrong.json()["field"] == "quantity");
  check_problem(ask("POST", "/v1/orders", "{}", {{"Content-Type", "text/plain"}}), 415);
  check_problem(post("/v1/orders", "{}", {{"Idempotency-Key", "a b"}}), 400);
  in(world, [](World& w) { BOOST_TEST(w.places.empty()); });
}

BOOST_AUTO_TEST_CASE(a_repeated_key_gets_the_first_answer) {
  const std::string body = R"({"product_id":"p","quantity":1,"user_id":"u"})";
  const Got first = post("/v1/orders", body, {{"Idempotency-Key", "k-1"}});
  const Got again = post("/v1/orders", body, {{"Idempotency-Key", "\"k-1\""}});
  BOOST_TEST(first.status == 202);
  BOOST_TEST(again.status == 202);
  BOOST_TEST(first.body == again.body);
  BOOST_TEST(first.headers.at("Location") == again.headers.at("Location"));
  check_problem(post("/v1/orders", body + " ", {{"Idempotency-Key", "k-1"}}), 422);
  in(world, [](World& w) { BOOST_TEST(w.orders.size() == 1u); });
}

BOOST_AUTO_TEST_CASE(a_store_that_is_away_is_503_and_nothing_is_kept) {
  deps.patience.place = 20s;
  in(world, [](World& w) { w.store = World::Store::away; });
  const std::string body = R"({"product_id":"p","quantity":1,"user_id":"u"})";
  const Got answer = post("/v1/orders", body, {{"Idempotency-Key", "k"}});
  check_problem(answer, 503);
  BOOST_TEST(answer.headers.contains("Retry-After"));
  in(world, [](World& w) { w.store = World::Store::works; });
  BOOST_TEST(post("/v1/orders", body, {{"Idempotency-Key", "k"}}).status == 202);
}

BOOST_AUTO_TEST_CASE(a_commit_whose_answer_is_lost_is_never_said_to_be_refused) {
  deps.patience.place = 20s;
  in(world, [](World& w) { w.store = World::Store::loses_answers; });
  const std::string body = R"({"product_id":"p","quantity":1,"user_id":"u"})";
  auto running = begin("POST", "/v1/orders", body);
  // Longer than a store that is away is waited for; then it is away for as long, which settles nothing.
  std::this_thread::sleep_for(1500ms);
  in(world, [](World& w) { w.store = World::Store::away; });
  std::this_thread::sleep_for(1500ms);
  check_problem(post("/v1/orders", body), 503);  // others do not wait for it, and are refused
  in(world, [](World& w) { w.store = World::Store::works; });
  const Got answer = wait(std::move(running));
  BOOST_REQUIRE_EQUAL(answer.status, 202);
  in(world, [&](World& w) {
    BOOST_TEST(w.orders.size() == 1u);
    BOOST_TEST(w.orders.contains(answer.json()["order_id"].get<std::string>()));
    BOOST_TEST(w.published.size() == 1u);
  });
}

BOOST_AUTO_TEST_CASE(an_order_in_doubt_is_an_unknown_outcome_in_the_end) {
  deps.patience.place = 2s;
  in(world, [](World& w) { w.store = World::Store::loses_answers; });
  const Got answer = post("/v1/orders", R"({"product_id":"p","quantity":1,"user_id":"u"})");
  check_problem(answer, 504);
  in(world, [&](World& w) { BOOST_TEST(w.orders.contains(answer.json()["order_id"].get<std::string>())); });
}

BOOST_AUTO_TEST_CASE(a_silent_store_is_an_unknown_outcome_that_names_the_order) {
  in(world, [](World& w) { w.store = World::Store::silent; });
  const std::string body = R"({"product_id":"p","quantity":1,"user_id":"u"})";
  auto running = begin("POST", "/v1/orders", body, {{"Idempotency-Key", "k"}});
  check_problem(post("/v1/orders", body, {{"Idempotency-Key", "k"}}), 409);
  check_problem(post("/v1/orders", "  " + body, {{"Idempotency-Key", "k"}}), 422);
  const Got answer = wait(std::move(running));
  check_problem(answer, 504);
  BOOST_TEST(valid_id(answer.json()["order_id"].get<std::string>()));
}

BOOST_AUTO_TEST_CASE(many_orders_share_few_transactions) {
  std::vector<std::future<Got>> answers;
  for (int i = 0; i < 2000; ++i)
    answers.push_back(begin("POST", "/v1/orders", R"({"product_id":"p","quantity":1,"user_id":"u"})"));
  std::set<std::string> ids;
  for (auto& answer : answers) {
    const Got got = wait(std::move(answer));
    BOOST_REQUIRE_EQUAL(got.status, 202);
    ids.insert(got.json()["order_id"].get<std::string>());
  }
  BOOST_TEST(ids.size() == 2000u);
}

BOOST_AUTO_TEST_CASE(a_batch_is_answered_line_by_line_in_order) {
  const std::string good = R"({"product_id":"p","quantity":1,"user_id":"u"})";
  const Got answer = ask("POST", "/v1/orders:batch",
                         good + "\n\n{\r\n" + R"({"product_id":"p","quantity":0,"user_id":"u"})" + "\r\n" + good,
                         {{"Content-Type", "application/x-ndjson"}});
  BOOST_REQUIRE_EQUAL(answer.status, 200);
  BOOST_TEST(answer.type == "application/x-ndjson");
  std::vector<Json> lines;
  for (std::string_view line : api::lines_of(answer.body)) lines.push_back(Json::parse(line));
  BOOST_REQUIRE_EQUAL(lines.size(), 5u);
  const int expected[] = {202, 400, 400, 422, 202};
  for (std::size_t i = 0; i < 5; ++i) {
    BOOST_TEST(lines[i]["line"] == i + 1);
    BOOST_TEST(lines[i]["status"] == expected[i]);
    if (expected[i] == 202)
      BOOST_TEST(in(world, [&](World& w) { return w.orders.contains(lines[i]["order_id"].get<std::string>()); }));
    else
      BOOST_TEST((lines[i].contains("title") && lines[i].contains("detail") && !lines[i].contains("order_id")));
  }
  in(world, [](World& w) { BOOST_TEST(w.places.size() == 1u); });
  check_problem(ask("POST", "/v1/orders:batch", good, {{"Content-Type", "text/csv"}}), 415);
  BOOST_TEST(ask("POST", "/v1/orders:batch").status == 200);
}

BOOST_AUTO_TEST_CASE(a_batch_has_a_bound_and_its_key_counts_for_each_line) {
  const std::string good = R"({"product_id":"p","quantity":1,"user_id":"u"})"
                           "\n";
  std::string body;
  for (int i = 0; i < 10'000; ++i) body += good;
  const Got first = ask("POST", "/v1/orders:batch", body, {{"Idempotency-Key", "b"}});
  BOOST_TEST(first.status == 200);
  BOOST_TEST(ask("POST", "/v1/orders:batch", body, {{"Idempotency-Key", "b"}}).body == first.body);
  in(world, [](World& w) { BOOST_TEST(w.orders.size() == 10'000u); });
  check_problem(ask("POST", "/v1/orders:batch", body + good), 413);
  BOOST_TEST(api::body_limit("POST", "/v1/orders:batch") == 8u * 1024 * 1024);
  BOOST_TEST(api::body_limit("POST", "/v1/orders") == 64u * 1024);
}

BOOST_AUTO_TEST_SUITE_END()

// -- orders that are there
// ---------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_SUITE(orders, Fixture)

BOOST_AUTO_TEST_CASE(an_order_is_shown_until_it_changes) {
  const std::string id = place_one();
  const Got first = ask("GET", "/v1/orders/" + id);
  BOOST_TEST(first.status == 200);
  const std::string etag = first.headers.at("ETag");
  const Got same = ask("GET", "/v1/orders/" + id, "", {{"If-None-Match", "\"x\", W/" + etag}});
  BOOST_TEST(same.status == 304);
  BOOST_TEST(same.body.empty());
  in(world, [&](World& w) { set_state(w, id, order::State::cancelled, "expire"); });
  BOOST_TEST(ask("GET", "/v1/orders/" + id, "", {{"If-None-Match", etag}}).status == 200);
  const Json history = ask("GET", "/v1/orders/" + id + "/history").json();
  BOOST_TEST(history["items"].size() == 2u);
  BOOST_TEST(history["items"][0]["event"] == "order.placed");
  BOOST_TEST(history["items"][1]["version"] == 2);
  BOOST_TEST(ask("HEAD", "/v1/orders/" + id).status == 200);
}

BOOST_AUTO_TEST_CASE(what_is_not_known_is_404) {
  in(world, [](World& w) {
    order::Order order;
    order.id.value = "early";
    w.orders["early"] = {"early", 1, "unknown", "", true, 0, 1, 1, codec().write(order)};
  });
  for (const char* target :
       {"/v1/orders/nobody", "/v1/orders/early", "/v1/orders/a%20b", "/v1/orders/nobody/history",
        "/v1/orders/nobody/events", "/v1/orders/nobody/notifications", "/v1/orders/nobody/charges", "/v1/nothing",
        "/v2/orders", "/v1/orders/", "/v1/orders/x/y", "/", "/v1/stock/nothing"})
    check_problem(ask("GET", target), 404);
  check_problem(ask("POST", "/v1/orders/nobody/cancel"), 404);
}

BOOST_AUTO_TEST_CASE(a_reader_that_is_away_is_503) {
  in(world, [](World& w) { w.readable = false; });
  for (const char* target :
       {"/v1/orders/x", "/v1/orders/x/history", "/v1/orders", "/v1/orders/x/events", "/v1/stock/x", "/v1/stock"})
    check_problem(ask("GET", target), 503);
}

BOOST_AUTO_TEST_CASE(a_list_has_every_order_once_page_by_page) {
  std::set<std::string> placed;
  for (int i = 0; i < 7; ++i) placed.insert(place_one(i % 2 ? "odd" : "even"));
  in(world, [](World& w) {
    for (int i = 0; i < 20; ++i) {
      order::Order order;
      order.id.value = "zz-" + std::to_string(i);
      w.orders[order.id.value] = {order.id.value, 1, "unknown", "", true, 0, 1, 1, codec().write(order)};
    }
  });
  std::vector<std::string> listed;
  std::string token;
  do {
    const Json page = ask("GET", "/v1/orders?page_size=3" + (token.empty() ? "" : "&page_token=" + token)).json();
    BOOST_TEST(page["items"].size() <= 3u);
    for (const Json& item : page["items"]) listed.push_back(item["order_id"]);
    token = page["next_page_token"].is_null() ? "" : page["next_page_token"].get<std::string>();
  } while (!token.empty());
  BOOST_TEST(listed.size() == 7u);
  BOOST_TEST(std::set<std::string>(listed.begin(), listed.end()) == placed);
  BOOST_TEST(std::is_sorted(listed.rbegin(), listed.rend()));
  BOOST_TEST(ask("GET", "/v1/orders?status=&user_id=&page_size=&page_token=").json()["items"].size() == 7u);
  BOOST_TEST(ask("GET", "/v1/orders?user_id=odd").json()["items"].size() == 3u);
  BOOST_TEST(ask("GET", "/v1/orders?status=paid").json()["items"].size() == 0u);
  for (const std::string& query : {std::string("page_size=0"), std::string("page_size=x"), std::string("page_token=x"),
                                   std::string("status=unknown"), std::string("status=lost"), "user_id=" + std::string(1025, 'u')})
    check_problem(ask("GET", "/v1/orders?" + query), 400);
}

BOOST_AUTO_TEST_CASE(notices_and_charges_are_shown_also_of_foreign_orders) {
  const std::string id = place_one();
  BOOST_TEST(ask("GET", "/v1/orders/" + id + "/notifications").json()["items"].empty());
  BOOST_TEST(ask("GET", "/v1/orders/" + id + "/charges").json()["items"].empty());
  in(world, [&](World& w) {
    notification::Notice notice;
    notice.order.value = id;
    notice.channels = {{"email"}};
    notice.occasion = "order.placed";
    notice.text = "Thanks.";
    notice.created_at = notice.updated_at = 1'700'000'000'000;
    w.notices[id + "/order.placed"] = {id + "/order.placed",  1,                 "sent",           "", false, 0,
                                       notice.created_at, notice.updated_at, codec().write(notice)};
  });
  const Json notices = ask("GET", "/v1/orders/" + id + "/notifications").json();
  BOOST_TEST(
      notices["items"] ==
      Json::parse(
          R"([{"channel":"email","occasion":"order.placed","text":"Thanks.","at":"2023-11-14T22:13:20.000Z"}])"));
  const Json charge = ask("GET", "/v1/orders/foreign-1/charges").json()["items"][0];
  BOOST_TEST(charge["kind"] == "charge");
  BOOST_TEST(charge["amount_minor"] == 990);
}

BOOST_AUTO_TEST_CASE(a_cancellation_is_the_owners_decision) {
  const std::string id = place_one();
  const Got answer = ask("POST", "/v1/orders/" + id + "/cancel");
  BOOST_TEST(answer.status == 202);
  BOOST_TEST(answer.json()["status"] == "cancelled");
  BOOST_TEST(ask("POST", "/v1/orders/" + id + "/cancel").status == 202);
  in(world, [&](World& w) { set_state(w, id, order::State::paid, "payment.success"); });
  check_problem(ask("POST", "/v1/orders/" + id + "/cancel"), 409);
  const std::string other = place_one();
  BOOST_TEST(ask("POST", "/v1/orders/" + other + "/retry").status == 202);
}

BOOST_AUTO_TEST_CASE(a_silent_owner_leaves_the_request_standing) {
  const std::string id = place_one();
  in(world, [](World& w) { w.hears_commands = false, w.published.clear(); });
  check_problem(ask("POST", "/v1/orders/" + id + "/cancel"), 504);
  for (bool there = false; !there; std::this_thread::yield())
    there = in(world,
               [](World& w) { return !w.published.empty() && w.published.back().topic == "order.cancel.requested"; });
}

BOOST_AUTO_TEST_CASE(an_owner_elsewhere_is_asked_through_the_log) {
  const std::string id = place_one();
  in(world, [](World& w) { w.owner_here = false; });
  check_problem(ask("POST", "/v1/orders/" + id + "/cancel"), 504);  // nobody listens
  deps.patience.command = 20s;
  handler = {};
  auto cancelling = begin("POST", "/v1/orders/" + id + "/cancel");
  in(world, [&](World& w) { set_state(w, id, order::State::cancelled, "order.cancel.requested"); });
  BOOST_TEST(wait(std::move(cancelling)).status == 202);
  in(world, [&](World& w) {
    BOOST_TEST(w.commands == 0);
    set_state(w, id, order::State::shipped, "order.tracking.updated");
  });
  check_problem(ask("POST", "/v1/orders/" + id + "/cancel"), 409);
  check_problem(ask("POST", "/v1/orders/" + id + "/retry"), 503);
}

BOOST_AUTO_TEST_CASE(events_tell_every_change_until_the_end) {
  const std::string id = place_one();
  http::Server server(http::Options{}, handler);
  server.start();
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  const timeval patience{20, 0};
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  BOOST_REQUIRE(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const std::string text = "GET /v1/orders/" + id + "/events HTTP/1.1\r\nHost: x\r\n\r\n";
  BOOST_REQUIRE(send(client, text.data(), text.size(), 0) > 0);
  std::string got;
  auto read = [&] {
    char bytes[4096];
    const auto size = recv(client, bytes, sizeof bytes, 0);
    if (size > 0) got.append(bytes, static_cast<std::size_t>(size));
    return size > 0;
  };
  while (got.find("\"version\":1}\n\n") == std::string::npos && read()) continue;
  in(world, [&](World& w) {
    set_state(w, id, order::State::inventory_reserved, "inventory.reserved");
    set_state(w, id, order::State::paid, "payment.success");
    set_state(w, id, order::State::shipped, "order.tracking.updated");
  });
  while (read()) continue;
  close(client);
  std::vector<std::string> statuses;
  for (std::size_t at = 0; (at = got.find("data: ", at)) != std::string::npos; ++at)
    statuses.push_back(Json::parse(got.substr(at + 6, got.find('\n', at) - at - 6))["status"]);
  BOOST_TEST(statuses == std::vector<std::string>({"pending", "inventory_reserved", "paid", "shipped"}),
             boost::test_tools::per_element());
  BOOST_TEST(got.find("event: order\nid: 4\ndata: {") != std::string::npos);
  BOOST_TEST(ask("GET", "/v1/orders/" + id + "/events", "", {{"Last-Event-ID", "4"}}).status == 204);
}

BOOST_AUTO_TEST_SUITE_END()

// -- stock
// -------------------------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_SUITE(stock_by_hand, Fixture)

BOOST_AUTO_TEST_CASE(a_product_is_made_counted_and_changed) {
  const Got made = ask("PUT", "/v1/stock/p-1", R"({"quantity":10,"price_minor":250,"currency":"EUR","name":"Pen"})");
  BOOST_TEST(made.status == 201);
  BOOST_TEST(made.headers.at("Location") == "/v1/stock/p-1");
  BOOST_TEST(
      made.json() ==
      Json::parse(
          R"({"product_id":"p-1","available":10,"reserved":0,"sold":0,"stocked":10,"price_minor":250,"currency":"EUR","name":"Pen"})"));
  BOOST_TEST(ask("GET", "/v1/stock/p-1").json() == made.json());
  const Got less = ask("PUT", "/v1/stock/p-1", R"({"quantity":4})");
  BOOST_TEST(less.status == 200);
  BOOST_TEST(less.json()["available"] == 4);
  BOOST_TEST(post("/v1/stock/p-1/adjustments", R"({"delta":3,"reason":"found"})").json()["available"] == 7);
  BOOST_TEST(post("/v1/stock/p-1/adjustments", R"({"delta":-7,"reason":"lost"})").json()["stocked"] == 0);
  check_problem(post("/v1/stock/p-1/adjustments", R"({"delta":-1,"reason":"lost"})"), 409);
  check_problem(post("/v1/stock/p-2/adjustments", R"({"delta":1,"reason":"found"})"), 404);
  check_problem(ask("PUT", "/v1/stock/p%20x!", R"({"quantity":4})"), 422);
  check_problem(ask("PUT", "/v1/stock/p-1", R"({"quantity":-4})"), 422);
  check_problem(ask("PUT", "/v1/stock/p-1", R"({"quantity":4})", {{"Content-Type", "text/plain"}}), 415);
}

BOOST_AUTO_TEST_CASE(less_than_is_reserved_is_refused) {
  ask("PUT", "/v1/stock/p-1", R"({"quantity":10})");
  in(world, [](World& w) { w.counts["p-1"].available = 4, w.counts["p-1"].reserved = 6; });
  check_problem(ask("PUT", "/v1/stock/p-1", R"({"quantity":5})"), 409);
  BOOST_TEST(ask("PUT", "/v1/stock/p-1", R"({"quantity":6})").status == 200);
}

BOOST_AUTO_TEST_CASE(a_repeated_adjustment_counts_once) {
  ask("PUT", "/v1/stock/p-1", R"({"quantity":10})");
  const std::string body = R"({"delta":-2,"reason":"lost"})";
  const Got first = post("/v1/stock/p-1/adjustments", body, {{"Idempotency-Key", "a-1"}});
  const Got again = post("/v1/stock/p-1/adjustments", body, {{"Idempotency-Key", "a-1"}});
  BOOST_TEST(first.status == 200);
  BOOST_TEST(again.status == 200);
  BOOST_TEST(first.body == again.body);
  check_problem(post("/v1/stock/p-1/adjustments", R"({"delta":-3,"reason":"lost"})", {{"Idempotency-Key", "a-1"}}),
                422);
  BOOST_TEST(ask("GET", "/v1/stock/p-1").json()["available"] == 8);
  // A refusal is not stored: the same request may succeed later.
  const std::string all = R"({"delta":-9,"reason":"lost"})";
  check_problem(post("/v1/stock/p-1/adjustments", all, {{"Idempotency-Key", "a-2"}}), 409);
  post("/v1/stock/p-1/adjustments", R"({"delta":1,"reason":"found"})");
  BOOST_TEST(post("/v1/stock/p-1/adjustments", all, {{"Idempotency-Key", "a-2"}}).status == 200);
}

BOOST_AUTO_TEST_CASE(a_closed_gate_shows_nothing_and_loses_nothing) {
  ask("PUT", "/v1/stock/p-1", R"({"quantity":10})");
  in(world, [](World& w) { w.gate_open = false; });
  check_problem(ask("GET", "/v1/stock/p-1"), 503);
  check_problem(ask("GET", "/v1/stock"), 503);
  check_problem(ask("PUT", "/v1/stock/p-1", R"({"quantity":15})"), 503);
  const std::string body = R"({"delta":-2,"reason":"lost"})";
  check_problem(post("/v1/stock/p-1/adjustments", body, {{"Idempotency-Key", "a"}}), 503);
  check_problem(post("/v1/stock/p-1/adjustments", body, {{"Idempotency-Key", "a"}}), 409);
  in(world, [](World& w) { w.gate_open = true; });
  // The sweep finishes both.
  for (std::int64_t available = 0; available != 13; std::this_thread::sleep_for(20ms))
    available = in(world, [](World& w) { return w.counts["p-1"].available; });
  for (int status = 0; status != 200; std::this_thread::sleep_for(20ms))
    status = post("/v1/stock/p-1/adjustments", body, {{"Idempotency-Key", "a"}}).status;
  BOOST_TEST(ask("GET", "/v1/stock/p-1").json()["available"] == 13);
}

BOOST_AUTO_TEST_CASE(an_unwritable_ledger_changes_nothing) {
  in(world, [](World& w) { w.store = World::Store::away; });
  check_problem(ask("PUT", "/v1/stock/p-1", R"({"quantity":15})"), 503);
  in(world, [](World& w) { BOOST_TEST(w.counts.empty()); });
}

BOOST_AUTO_TEST_CASE(a_change_that_may_have_been_written_is_504) {
  in(world, [](World& w) { w.store = World::Store::loses_answers; });
  const auto answer = ask("PUT", "/v1/stock/p-1", R"({"quantity":15})");
  check_problem(answer, 504);
  BOOST_TEST(answer.json()["title"] == "Outcome unknown");
}

BOOST_AUTO_TEST_CASE(a_change_waits_for_a_ledger_that_is_away_for_a_moment) {
  deps.patience.hand = 20s;
  in(world, [](World& w) { w.store = World::Store::away; });
  std::thread back([&] {
    std::this_thread::sleep_for(200ms);
    in(world, [](World& w) { w.store = World::Store::works; });
  });
  BOOST_TEST(ask("PUT", "/v1/stock/p-1", R"({"quantity":15})").json()["available"] == 15);
  back.join();
}

BOOST_AUTO_TEST_CASE(orders_that_are_set_aside_are_listed_with_their_reason) {
  in(world, [](World& w) {
    for (const char* id : {"a", "b", "c"}) w.set_aside[id] = {{id, "its actor died", 2, 1'790'000'000'000, 0, false}, 3};
    w.set_aside["b"].quarantine.until = 1'790'000'001'000;
  });
  const Json first = ask("GET", "/v1/parked?page_size=2").json();
  BOOST_TEST(first["items"].size() == 2u);
  BOOST_TEST(first["items"][0]["order_id"] == "a");
  BOOST_TEST(first["items"][0]["reason"] == "its actor died");
  BOOST_TEST(first["items"][0]["restarts"] == 2);
  BOOST_TEST(first["items"][0]["records"] == 3);
  BOOST_TEST(first["items"][0]["next_try"].is_null());
  BOOST_TEST(first["items"][1]["next_try"].is_string());
  const Json second = ask("GET", "/v1/parked?page_size=2&page_token=" + first["next_page_token"].get<std::string>()).json();
  BOOST_TEST(second["items"].size() == 1u);
  BOOST_TEST(second["next_page_token"].is_null());
  BOOST_TEST(ask("GET", "/v1/parked?page_token=x").status == 400);
}

BOOST_AUTO_TEST_CASE(a_list_of_stock_goes_page_by_page) {
  for (int i = 0; i < 5; ++i) ask("PUT", "/v1/stock/p-" + std::to_string(i), R"({"quantity":1})");
  const Json first = ask("GET", "/v1/stock?page_size=3").json();
  BOOST_TEST(first["items"].size() == 3u);
  const Json second =
      ask("GET", "/v1/stock?page_size=3&page_token=" + first["next_page_token"].get<std::string>()).json();
  BOOST_TEST(second["items"].size() == 2u);
  BOOST_TEST(second["next_page_token"].is_null());
  check_problem(ask("GET", "/v1/stock?page_token=" + api::page_token('o', "x")), 400);
}

BOOST_AUTO_TEST_SUITE_END()

// -- the node
// ----------------------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_SUITE(node, Fixture)

BOOST_AUTO_TEST_CASE(health_and_metrics) {
  BOOST_TEST(ask("GET", "/livez").status == 200);
  const Got not_ready = ask("GET", "/readyz");
  check_problem(not_ready, 503);
  BOOST_TEST(not_ready.json()["detail"] == "stock: not verified");
  const Got verbose = ask("GET", "/readyz?verbose");
  BOOST_TEST(verbose.status == 503);
  BOOST_TEST(verbose.body == "[+]kafka ok\n[-]stock not verified\nnot ready\n");
  const Got metrics = ask("GET", "/metrics");
  BOOST_TEST(metrics.type.starts_with("text/plain; version=0.0.4"));
  BOOST_TEST(metrics.body == "orders_total 1\n");
  BOOST_TEST(ask("GET", "/v1/actors").json()["items"].size() == 4u);
}

BOOST_AUTO_TEST_CASE(a_draining_node_takes_no_changes) {
  const std::string id = place_one();
  deps.readiness = {};
  handler = {};
  BOOST_TEST(ask("GET", "/readyz").status == 200);
  in(world, [](World& w) { w.draining = true; });
  check_problem(ask("GET", "/readyz"), 503);
  check_problem(post("/v1/orders", R"({"product_id":"p","quantity":1,"user_id":"u"})"), 503);
  check_problem(ask("PUT", "/v1/stock/p", R"({"quantity":1})"), 503);
  BOOST_TEST(ask("GET", "/v1/orders/" + id).status == 200);
  BOOST_TEST(ask("GET", "/livez").status == 200);
}

BOOST_AUTO_TEST_CASE(a_node_that_is_behind_promises_nothing_more) {
  const std::string id = place_one();
  in(world, [](World& w) { w.behind = true; });
  const Got one = post("/v1/orders", R"({"product_id":"p","quantity":1,"user_id":"u"})");
  check_problem(one, 503);
  BOOST_TEST(one.headers.contains("Retry-After"));
  check_problem(ask("POST", "/v1/orders:batch", R"({"product_id":"p","quantity":1,"user_id":"u"})"), 503);
  BOOST_TEST(in(world, [](World& w) { return w.orders.size(); }) == 1u);
  BOOST_TEST(ask("GET", "/v1/orders/" + id).status == 200);
  in(world, [](World& w) { w.behind = false; });
  BOOST_TEST(post("/v1/orders", R"({"product_id":"p","quantity":1,"user_id":"u"})").status == 202);
}

BOOST_AUTO_TEST_CASE(other_methods_are_405_with_what_is_allowed) {
  const Got answer = ask("DELETE", "/v1/orders");
  check_problem(answer, 405);
  BOOST_TEST(answer.headers.at("Allow") == "GET, HEAD, POST");
  BOOST_TEST(ask("GET", "/v1/orders:batch").headers.at("Allow") == "POST");
  BOOST_TEST(ask("POST", "/livez").status == 405);
  BOOST_TEST(ask("PUT", "/v1/stock").status == 405);
}

BOOST_AUTO_TEST_CASE(a_missing_role_is_named) {
  deps.roles = bit(RoleId::payment);
  deps.order_reader = ReaderActor();
  deps.order_store = StoreActor();
  const Got answer = ask("GET", "/v1/orders/x");
  check_problem(answer, 404);
  BOOST_TEST(answer.json()["role"] == "order");
  BOOST_TEST(ask("GET", "/v1/stock").json()["role"] == "inventory");
  BOOST_TEST(ask("GET", "/v1/orders/x/notifications").json()["role"] == "notification");
  BOOST_TEST(ask("GET", "/v1/orders/x/charges").status == 200);
}

constexpr std::array the_page{
    page::Asset{"/", "text/html", "\"1\"", false, "<html>", "zipped html"},
    page::Asset{"/assets/main-2.js", "text/javascript", "\"2\"", true, "script", "zipped script"}};

BOOST_AUTO_TEST_CASE(the_page_is_served_with_its_headers_and_nothing_else_is) {
  check_problem(ask("GET", "/"), 404);
  handler = {};  // a node with the page
  deps.page = the_page;
  const Got page = ask("GET", "/");
  BOOST_TEST(page.status == 200);
  BOOST_TEST(page.body == "<html>");
  BOOST_TEST(page.headers.at("Cache-Control") == "no-cache");
  BOOST_TEST(page.headers.at("X-Content-Type-Options") == "nosniff");
  BOOST_TEST(page.headers.at("Content-Security-Policy").find("frame-ancestors 'none'") != std::string::npos);
  BOOST_TEST(!page.headers.contains("Content-Encoding"));
  for (const char* coding : {"gzip", "br, GZIP;q=0.5", "*"}) {
    const Got zipped = ask("GET", "/assets/main-2.js", "", {{"Accept-Encoding", coding}});
    BOOST_TEST(zipped.body == "zipped script");
    BOOST_TEST(zipped.headers.at("Content-Encoding") == "gzip");
    BOOST_TEST(zipped.headers.at("Cache-Control").find("immutable") != std::string::npos);
  }
  for (const char* coding : {"br", "gzip;q=0", "gzip; q=0.0", "x-gzip"})
    BOOST_TEST(ask("GET", "/", "", {{"Accept-Encoding", coding}}).body == "<html>");
  BOOST_TEST(ask("GET", "/", "", {{"If-None-Match", "\"0\", W/\"1\""}}).status == 304);
  BOOST_TEST(ask("GET", "/", "", {{"If-None-Match", "\"0\""}}).status == 200);
  for (const char* target : {"/assets/", "/assets/main-3.js", "/assets", "/index.html", "/assets/main-2.js/x"})
    check_problem(ask("GET", target), 404);
  BOOST_TEST(ask("POST", "/").status == 405);
}

BOOST_AUTO_TEST_CASE(tokens_guard_v1_alone) {
  deps.tokens = {"secret-1", "secret-2"};
  deps.page = the_page;
  const Got answer = ask("GET", "/v1/orders");
  check_problem(answer, 401);
  BOOST_TEST(answer.headers.contains("WWW-Authenticate"));
  check_problem(ask("GET", "/v1/orders", "", {{"Authorization", "Bearer secret-3"}}), 401);
  check_problem(ask("GET", "/v1/orders", "", {{"Authorization", "Bearer secret-11"}}), 401);
  check_problem(ask("GET", "/v1/nothing"), 401);
  BOOST_TEST(ask("GET", "/v1/orders", "", {{"Authorization", "bearer secret-2"}}).status == 200);
  for (const char* target : {"/livez", "/metrics", "/", "/openapi.json"}) BOOST_TEST(ask("GET", target).status == 200);
}

BOOST_AUTO_TEST_CASE(a_callback_needs_a_signature_and_no_token) {
  deps.tokens = {"secret-1"};
  deps.owner = [order = deps.owner](RoleId, int partition) { return order(RoleId::order, partition); };
  deps.callback_secrets.payment = {"whsec-0123456789"};
  deps.notes = [] { return std::vector<std::pair<std::string, std::string>>{{"gateway", "is away"}}; };
  in(world, [](World& w) { w.orders["o-1"].state = "pending"; });
  const std::string path = "/v1/callbacks/payment";
  auto call = [&](const std::string& body, const std::string& secret = "whsec-0123456789") {
    return post(path, body, {{"Cartwright-Signature", signing::sign(secret, body, deps.clock() / 1000)}});
  };
  const std::string good = R"({"type":"charge.succeeded","key":"o-1/charge/1","txn_id":"t-1"})";
  check_problem(post(path, good), 401);
  check_problem(call(good, "another-secret-00"), 401);
  check_problem(call("[]"), 400);
  check_problem(call(R"({"type":"shipment.booked","key":"o-1/book/1","tracking_id":"t"})"), 422);
  check_problem(call(R"({"type":"charge.succeeded","key":"o-1/refund/1","txn_id":"t"})"), 422);
  check_problem(call(R"({"type":"charge.succeeded","key":"o-1/charge/1","txn_id":"t","amount":1.5})"), 422);
  BOOST_TEST(in(world, [](World& w) { return w.commands; }) == 0);
  BOOST_TEST(call(good).status == 204);
  BOOST_TEST(in(world, [](World& w) { return w.commands; }) == 1);
  check_problem(call(R"({"type":"charge.failed","key":"nobody/charge/1"})"), 404);
  // Another service's secret is not set: its path takes a token like any other, and says what is missing.
  check_problem(post("/v1/callbacks/shipping", good), 401);
  check_problem(post("/v1/callbacks/shipping", good, {{"Authorization", "Bearer secret-1"}}), 404);
  BOOST_TEST(ask("GET", "/readyz?verbose").body.find("[~]gateway is away") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
