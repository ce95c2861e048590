#define BOOST_TEST_MODULE api
#include "tests/api/world.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <random>
#include <thread>

#include "actors/harden.hpp"

namespace cartwright::tests {

const json::JsonCodec& codec() {
  static const json::JsonCodec one(TopicNames(), "cartwright");
  return one;
}

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

namespace {

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

}  // namespace

Json Got::json() const {
  Json read = json::parse(body);
  BOOST_REQUIRE(!read.is_discarded());
  return read;
}

Fixture::Fixture() {
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
  deps.patience = {20s, 20s, 20s};  // a test of a silence says how long it listens
}

Fixture::~Fixture() {
  handler = {};
  deps = {};
}

std::future<Got> Fixture::begin(const std::string& method, const std::string& target, std::string body,
                       const std::vector<http::Header>& headers) {
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

Got Fixture::wait(std::future<Got> answer) {
  BOOST_REQUIRE(answer.wait_for(20s) == std::future_status::ready);
  return answer.get();
}

void Fixture::await(const std::function<bool(World&)>& holds) {
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (!in(world, holds)) {
    BOOST_REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::sleep_for(1ms);
  }
}

Got Fixture::ask(const std::string& method, const std::string& target, std::string body,
        const std::vector<http::Header>& headers) {
  return wait(begin(method, target, std::move(body), headers));
}

Got Fixture::post(const std::string& target, std::string body, std::vector<http::Header> headers) {
  headers.push_back({"Content-Type", "application/json"});
  return ask("POST", target, std::move(body), headers);
}

std::string Fixture::place_one(const std::string& user) {
  const Got answer = post("/v1/orders", R"({"product_id":"p-1","quantity":2,"user_id":")" + user + R"("})");
  BOOST_REQUIRE_EQUAL(answer.status, 202);
  return answer.json()["order_id"];
}

void check_problem(const Got& answer, int status) {
  BOOST_TEST(answer.status == status);
  BOOST_TEST(answer.type == "application/problem+json");
  BOOST_TEST(json::parse(answer.body)["status"] == status);
}

}  // namespace cartwright::tests
