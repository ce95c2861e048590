#include <boost/test/unit_test.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bridges/redis/script.hpp"
#include "bridges/redis/stock.hpp"
#include "tests/stock/redis_server.hpp"

// The gate against a real Redis that loses its data in every way it can, and a ledger that fits on a page.

namespace cartwright::redis::test {
namespace {

/// Inventory's ledger: what Redis shall hold, and which instance is verified. Any thread.
struct Ledger {
  std::mutex mutex;
  StockIdentity pair;
  std::int64_t generation = 0;
  bool shut = false;                   // a rebuild has begun and not ended
  int rebuilds = 0;
  std::map<std::string, Product> products;
  std::vector<LedgerSnapshot::Held> held;
  std::vector<std::string> untold;     // changes by hand that are in the totals
  std::vector<std::pair<int, Epoch>> epochs;

  LedgerSnapshot begin() {
    const std::lock_guard lock(mutex);
    shut = true;
    LedgerSnapshot snapshot;
    snapshot.ok = true;
    snapshot.generation = ++generation;
    for (const auto& [id, product] : products) snapshot.products.push_back(product);
    snapshot.held = held;
    snapshot.hands = untold;
    snapshot.epochs = epochs;
    return snapshot;
  }
  Done finish(const FinishRebuild& finished) {
    const std::lock_guard lock(mutex);
    if (!shut || finished.pair.generation != generation) return {false, "a newer generation is being built"};
    shut = false;
    pair = finished.pair;
    ++rebuilds;
    for (const auto& id : finished.hands) std::erase(untold, id);
    return {true, ""};
  }
  Identity identity() {
    const std::lock_guard lock(mutex);
    return {true, shut ? StockIdentity{} : pair};
  }
  int count() {
    const std::lock_guard lock(mutex);
    return rebuilds;
  }
};

caf::behavior ledger_actor(caf::event_based_actor*, Ledger* ledger) {
  return {[=](const ReadIdentity&) { return ledger->identity(); }, [=](const BeginRebuild&) { return ledger->begin(); },
          [=](const FinishRebuild& finished) { return ledger->finish(finished); }};
}

/// The outcomes a shard was told.
struct Heard {
  std::mutex mutex;
  std::vector<Outcome> outcomes;
  std::optional<Outcome> find(const std::string& key, Step step) {
    const std::lock_guard lock(mutex);
    for (const auto& outcome : outcomes)
      if (outcome.key == key && outcome.step == step) return outcome;
    return std::nullopt;
  }
};

caf::behavior shard_actor(caf::event_based_actor*, Heard* heard) {
  return {[=](const Outcomes& told) {
    const std::lock_guard lock(heard->mutex);
    heard->outcomes.insert(heard->outcomes.end(), told.outcomes.begin(), told.outcomes.end());
  }};
}

/// The document of a reservation in this test: the value of its order key.
HeldLines held_of(const std::string& doc) {
  const auto answer = answer_of(doc);
  return {answer.currency, answer.priced};
}

Product product(const std::string& id, std::int64_t stocked, std::int64_t reserved = 0, std::int64_t sold = 0) {
  return {.id = {id}, .name = {}, .currency = "EUR", .price_minor = 250, .stocked = stocked, .reserved = reserved,
          .sold = sold, .version = 1};
}

struct Fixture {
  Fixture() {
    ledger.products = {{"apple", product("apple", 10, 3, 2)}, {"pear", product("pear", 5)}};
    ledger.held = {{"held", reserved_text("EUR", {{{{"apple"}, 3}, 250}})}};
    ledger.epochs = {{0, 4}, {1, 2}};
    store = caf::actor_cast<StoreActor>(system.spawn(ledger_actor, &ledger));
    shard = caf::actor_cast<ShardActor>(system.spawn(shard_actor, &heard));
  }
  ~Fixture() {
    for (const auto& actor : stocks) caf::anon_send_exit(actor, caf::exit_reason::kill);
  }
  StockActor start() {
    StockOptions options;
    options.url = server.url();
    options.prefix = "test";
    options.ledger = store;
    options.held_of = held_of;
    options.clock = [this] { return now.load(); };
    options.on_open = [this] { ++opened; };
    options.look_interval = std::chrono::milliseconds(50);
    stocks.push_back(spawn_stock(system, std::move(options)));
    return stocks.back();
  }
  template <class Answer, class Question>
  Answer ask(const StockActor& stock, Question question) {
    Answer result;
    caf::scoped_actor self(system);
    self->request(stock, std::chrono::seconds(20), std::move(question))
        .receive([&](const Answer& answer) { result = answer; },
                 [&](const caf::error& error) { BOOST_FAIL(to_string(error)); });
    return result;
  }
  StockPage read(const StockActor& stock) { return ask<StockPage>(stock, ReadStock{{{"apple"}, {"pear"}, {"plum"}}}); }
  bool opens(const StockActor& stock) { return eventually([&] { return read(stock).ok; }); }
  bool rebuilt(int times) { return eventually([&] { return ledger.count() >= times; }); }
  void act(const PortActor& stock, const std::string& key, Step step, const std::vector<Line>& lines,
           Epoch epoch = 4) {
    Act one;
    one.key = key;
    one.step = step;
    one.lines = lines;
    caf::anon_send(stock, Acts{shard, ShardId{RoleId::inventory, 0}, epoch, ++now, {one}});
  }
  Outcome outcome(const std::string& key, Step step) {
    BOOST_REQUIRE(eventually([&] { return heard.find(key, step).has_value(); }));
    return *heard.find(key, step);
  }
  HandSaid change(const StockActor& stock, const std::string& id, const std::string& of, std::int64_t delta) {
    return ask<HandSaid>(stock, ChangeHand{id, {of}, delta, 100, "EUR", 2});
  }
  std::string redis(std::initializer_list<std::string_view> words) {
    auto connection = connect(server.url());
    const auto reply = connection.run(words);
    return std::string(reply.value().text());
  }

  std::atomic<Millis> now{1'000};
  RedisServer server;
  Ledger ledger;
  Heard heard;
  std::atomic<int> opened = 0;
  caf::actor_system_config config;
  caf::actor_system system{config};
  StoreActor store;
  ShardActor shard;
  std::vector<StockActor> stocks;
};

const std::vector<StockCounts> as_in_the_ledger{{{"apple"}, 5, 3, 2, 10}, {{"pear"}, 5, 0, 0, 5}};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(gate, Fixture)

BOOST_AUTO_TEST_CASE(an_empty_redis_is_filled_from_the_ledger) {
  redis({"SET", "somebody:else", "stays"});
  redis({"SET", "{test}:order:old", "reserved EUR apple 1 1"});
  const auto stock = start();
  BOOST_REQUIRE(opens(stock));
  BOOST_TEST((read(stock).counts == as_in_the_ledger));
  BOOST_TEST(redis({"GET", "{test}:order:held"}) == "reserved EUR apple 3 250");
  BOOST_TEST(redis({"GET", "{test}:order:old"}).empty());
  BOOST_TEST(redis({"GET", "somebody:else"}) == "stays");
  BOOST_TEST(redis({"HGET", "{test}:meta", "epoch:0"}) == "4");
  BOOST_TEST(redis({"HGET", "{test}:meta", "rebuild"}).empty());
  BOOST_TEST(ask<Done>(stock, StockHealth{}).ok);
  BOOST_TEST(eventually([&] { return opened == 1; }));
}

BOOST_AUTO_TEST_CASE(an_instance_that_is_known_is_not_rebuilt) {
  BOOST_REQUIRE(opens(start()));
  BOOST_REQUIRE(opens(start()));
  BOOST_TEST(ledger.count() == 1);
}

BOOST_AUTO_TEST_CASE(acts_are_answered_with_the_instance_that_did_them) {
  const auto stock = start();
  BOOST_REQUIRE(opens(stock));
  act(stock, "o1", Step::reserve, {{{"apple"}, 2}, {{"pear"}, 1}, {{"apple"}, 1}});
  act(stock, "o2", Step::reserve, {{{"apple"}, 3}});
  act(stock, "o1", Step::sell, {});
  act(stock, "held", Step::release, {});
  act(stock, "o3", Step::release, {});
  act(stock, "late", Step::reserve, {{{"pear"}, 1}}, 3);
  const auto reserved = outcome("o1", Step::reserve);
  BOOST_TEST((reserved.answer == Answer::done));
  BOOST_TEST(reserved.currency == "EUR");
  const std::vector<PricedLine> priced{{{{"apple"}, 2}, 250}, {{{"pear"}, 1}, 250}, {{{"apple"}, 1}, 250}};
  BOOST_TEST((reserved.priced == priced));
  BOOST_TEST((reserved.identity == ledger.identity().pair));
  const auto refused = outcome("o2", Step::reserve);
  BOOST_TEST((refused.answer == Answer::refused));
  BOOST_TEST(refused.detail == "out_of_stock");
  BOOST_TEST((outcome("o1", Step::sell).answer == Answer::done));
  BOOST_TEST((outcome("held", Step::release).answer == Answer::done));
  BOOST_TEST((outcome("o3", Step::release).answer == Answer::done));
  act(stock, "o3", Step::reserve, {{{"pear"}, 1}});
  BOOST_TEST(outcome("o3", Step::reserve).detail == "released");
  BOOST_TEST((read(stock).counts == std::vector<StockCounts>{{{"apple"}, 5, 0, 5, 10}, {{"pear"}, 4, 0, 1, 5}}));
  BOOST_TEST(!heard.find("late", Step::reserve));  // fenced: read() came after it
}

BOOST_AUTO_TEST_CASE(many_orders_for_one_product_are_a_few_calls_first_come_first_served) {
  const auto stock = start();
  BOOST_REQUIRE(opens(stock));
  redis({"CONFIG", "RESETSTAT"});
  Acts acts{shard, ShardId{RoleId::inventory, 0}, 4, ++now, {}};
  const int orders = 200;
  for (int i = 0; i < orders; ++i) {
    Act one;
    one.key = "hot-" + std::to_string(i);
    one.lines = {{{"pear"}, 1}};
    acts.acts.push_back(std::move(one));
  }
  caf::anon_send(stock, std::move(acts));
  for (int i = 0; i < orders; ++i)
    BOOST_TEST((outcome("hot-" + std::to_string(i), Step::reserve).answer == (i < 5 ? Answer::done : Answer::refused)), "order " << i);
  const std::string stats = redis({"INFO", "commandstats"});
  const auto at = stats.find("cmdstat_evalsha:calls=");
  BOOST_REQUIRE(at != std::string::npos);
  const int calls = std::stoi(stats.substr(at + std::string_view("cmdstat_evalsha:calls=").size()));
  BOOST_TEST(calls <= orders / static_cast<int>(call_operations_max) + 1);
  BOOST_TEST((read(stock).counts.back() == StockCounts{{"pear"}, 0, 5, 0, 5}));
}

BOOST_AUTO_TEST_CASE(an_announced_epoch_fences_the_former_owner_also_after_a_rebuild) {
  const auto stock = start();
  BOOST_REQUIRE(opens(stock));
  caf::anon_send(stock, Announce{0, 9});
  for (int round = 1; round <= 2; ++round) {
    act(stock, "former", Step::reserve, {{{"pear"}, 1}}, 8);
    act(stock, "o" + std::to_string(round), Step::reserve, {{{"pear"}, 1}}, 9);
    static_cast<void>(outcome("o" + std::to_string(round), Step::reserve));
    BOOST_TEST(!heard.find("former", Step::reserve));
    redis({"FLUSHALL"});
    BOOST_REQUIRE(rebuilt(round + 1));
    BOOST_REQUIRE(opens(stock));
  }
}

BOOST_AUTO_TEST_CASE(flushall_under_a_living_connection_closes_and_rebuilds) {
  const auto stock = start();
  BOOST_REQUIRE(opens(stock));
  redis({"FLUSHALL"});
  act(stock, "o1", Step::reserve, {{{"pear"}, 1}});
  BOOST_REQUIRE(rebuilt(2));
  BOOST_REQUIRE(opens(stock));
  BOOST_TEST(ledger.identity().pair.generation == 2);
  BOOST_TEST(eventually([&] { return opened == 2; }));
  // Whether the act found the stranger or the look did: a reservation of the flushed instance counts for nothing.
  act(stock, "o2", Step::reserve, {{{"pear"}, 1}});
  BOOST_TEST(outcome("o2", Step::reserve).identity.generation == 2);
}

BOOST_AUTO_TEST_CASE(a_restarted_instance_is_a_stranger_even_with_its_data) {
  const auto stock = start();
  BOOST_REQUIRE(opens(stock));
  const auto before = ledger.identity().pair;
  act(stock, "lost", Step::reserve, {{{"pear"}, 1}});  // never recorded in the ledger
  static_cast<void>(outcome("lost", Step::reserve));
  redis({"SAVE"});
  server.stop(SIGKILL);
  BOOST_TEST(eventually([&] { return !read(stock).ok; }));
  BOOST_TEST(!ask<Done>(stock, StockHealth{}).ok);
  BOOST_TEST((change(stock, "h1", "pear", 1).answer == HandAnswer::unknown));
  server.start();
  BOOST_REQUIRE(rebuilt(2));
  BOOST_REQUIRE(opens(stock));
  BOOST_TEST(ledger.identity().pair.run_id != before.run_id);
  BOOST_TEST((read(stock).counts == as_in_the_ledger));
}

BOOST_AUTO_TEST_CASE(an_old_generation_is_a_stranger) {
  const auto stock = start();
  BOOST_REQUIRE(opens(stock));
  redis({"HSET", "{test}:meta", "generation", "0"});
  BOOST_REQUIRE(rebuilt(2));
  BOOST_REQUIRE(opens(stock));
  // A number from elsewhere that the ledger will not reach in a lifetime does not keep the gate shut.
  redis({"HSET", "{test}:meta", "generation", "900000000", "epoch:0", "900000000"});
  BOOST_REQUIRE(rebuilt(3));
  BOOST_REQUIRE(opens(stock));
  BOOST_TEST(redis({"HGET", "{test}:meta", "epoch:0"}) == "4");
}

BOOST_AUTO_TEST_CASE(changes_by_hand_are_absorbed_also_across_a_rebuild) {
  const auto stock = start();
  BOOST_REQUIRE(opens(stock));
  BOOST_TEST((change(stock, "h1", "plum", 7).answer == HandAnswer::applied));
  const auto again = change(stock, "h1", "plum", 7);
  BOOST_TEST((again.answer == HandAnswer::applied));
  BOOST_TEST((again.identity == ledger.identity().pair));
  BOOST_TEST((change(stock, "h2", "pear", -6).answer == HandAnswer::refused));
  BOOST_TEST((read(stock).counts.back() == StockCounts{{"plum"}, 7, 0, 0, 7}));
  {
    const std::lock_guard lock(ledger.mutex);  // the ledger has counted it, and has not heard that Redis knows
    ledger.products["plum"] = product("plum", 7);
    ledger.untold = {"h1"};
  }
  redis({"FLUSHALL"});
  BOOST_REQUIRE(rebuilt(2));
  BOOST_REQUIRE(opens(stock));
  BOOST_TEST((change(stock, "h1", "plum", 7).answer == HandAnswer::applied));
  BOOST_TEST((read(stock).counts.back() == StockCounts{{"plum"}, 7, 0, 0, 7}));
  BOOST_TEST(ledger.untold.empty());
}

BOOST_AUTO_TEST_CASE(nothing_is_read_while_the_ledger_does_not_open_the_gate) {
  {
    const std::lock_guard lock(ledger.mutex);
    ledger.products["apple"].reserved = 4;  // contradicts what the open reservation holds
  }
  const auto stock = start();
  BOOST_TEST(eventually([&] { return ask<Done>(stock, StockHealth{}).why.find("apple") != std::string::npos; }));
  BOOST_TEST(!read(stock).ok);
  BOOST_TEST(opened == 0);
  {
    const std::lock_guard lock(ledger.mutex);
    ledger.products["apple"].reserved = 3;
  }
  BOOST_TEST(opens(stock));
}

BOOST_AUTO_TEST_CASE(a_redis_that_comes_late_is_waited_for) {
  server.stop(SIGKILL);
  const auto stock = start();
  act(stock, "o1", Step::reserve, {{{"pear"}, 1}});
  BOOST_TEST(eventually([&] { return ask<Done>(stock, StockHealth{}).why.find("connect") != std::string::npos; }));
  server.start();
  BOOST_REQUIRE(opens(stock));
  act(stock, "o2", Step::reserve, {{{"pear"}, 1}});
  BOOST_TEST((outcome("o2", Step::reserve).answer == Answer::done));
  // Decided before the counters were built: its order may be over since. Its shard reads the row again, and asks again.
  BOOST_TEST(!heard.find("o1", Step::reserve));
  act(stock, "o1", Step::reserve, {{{"pear"}, 1}});
  BOOST_TEST((outcome("o1", Step::reserve).answer == Answer::done));
}

BOOST_AUTO_TEST_CASE(a_broken_connection_to_the_same_instance_is_mended_without_building) {
  const auto stock = start();
  BOOST_REQUIRE(opens(stock));
  const auto known = ledger.identity().pair;
  redis({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  BOOST_TEST(eventually([&] {
    act(stock, "o1", Step::reserve, {{{"pear"}, 1}});  // as its shard does; the first call may find the broken connection
    return heard.find("o1", Step::reserve).has_value();
  }));
  BOOST_TEST((outcome("o1", Step::reserve).identity == known));
  BOOST_TEST(ledger.count() == 1);
}

BOOST_AUTO_TEST_CASE(a_ledger_that_knows_no_instance_any_more_closes_the_gate) {
  const auto stock = start();
  BOOST_REQUIRE(opens(stock));
  {
    const std::lock_guard lock(ledger.mutex);  // another node began to build, and died
    ledger.shut = true;
  }
  BOOST_REQUIRE(rebuilt(2));
  BOOST_REQUIRE(opens(stock));
}

BOOST_AUTO_TEST_CASE(nodes_that_rebuild_at_once_agree) {
  for (int i = 0; i < 3'000; ++i) {
    const auto id = "p" + std::to_string(i);
    ledger.products[id] = product(id, 5, 1);
    ledger.held.push_back({"o" + id, reserved_text("EUR", {{{{id}, 1}, 250}})});
  }
  std::vector<StockActor> nodes;
  for (int i = 0; i < 3; ++i) nodes.push_back(start());
  for (int round = 0; round < 3; ++round) {
    for (const auto& node : nodes) BOOST_REQUIRE(opens(node));
    BOOST_REQUIRE(eventually([&] {
      return std::all_of(nodes.begin(), nodes.end(), [&](const auto& node) { return read(node).ok; });
    }));
    std::vector<ProductId> all;
    for (const auto& [id, ignored] : ledger.products) all.push_back({id});
    const auto page = ask<StockPage>(nodes[0], ReadStock{all});
    BOOST_REQUIRE(page.ok);
    BOOST_TEST(page.counts.size() == ledger.products.size());
    for (const auto& counts : page.counts) {
      const auto& wanted = ledger.products[counts.product.value];
      BOOST_REQUIRE((counts == StockCounts{wanted.id, wanted.stocked - wanted.reserved - wanted.sold, wanted.reserved,
                                           wanted.sold, wanted.stocked}));
    }
    BOOST_TEST(redis({"HGET", "{test}:meta", "generation"}) == std::to_string(ledger.identity().pair.generation));
    BOOST_TEST(redis({"GET", "{test}:order:op2999"}) == "reserved EUR p2999 1 250");
    const auto before = ledger.count();
    redis({"FLUSHALL"});
    BOOST_REQUIRE(rebuilt(before + 1));
  }
}

BOOST_AUTO_TEST_CASE(a_redis_that_takes_no_writes_is_unhealthy_until_it_does) {
  const auto stock = start();
  BOOST_REQUIRE(opens(stock));
  redis({"CONFIG", "SET", "maxmemory", "1"});
  act(stock, "o1", Step::reserve, {{{"pear"}, 1}});
  BOOST_TEST(eventually([&] { return !ask<Done>(stock, StockHealth{}).ok; }));
  redis({"CONFIG", "SET", "maxmemory", "0"});
  BOOST_TEST(eventually([&] { return ask<Done>(stock, StockHealth{}).ok; }));
  BOOST_TEST(!heard.find("o1", Step::reserve));
  act(stock, "o1", Step::reserve, {{{"pear"}, 1}});
  BOOST_TEST((outcome("o1", Step::reserve).answer == Answer::done));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace cartwright::redis::test
