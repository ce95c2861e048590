// The ledger of stock: changes by hand, the verified Redis, what a rebuild is told, writers beside each other.
#include "tests/store/fixture.hpp"

#include <algorithm>
#include <thread>
#include <utility>

using namespace store_test;

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
