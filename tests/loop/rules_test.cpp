// The sixteen rules of the design, each shown once, by name, in a world where nothing goes wrong but what the test makes go wrong. Rules
// 15 and 16 are those of the clients of Kafka and SQLite: tests/kafka, tests/store and end_to_end/node_edges have them.

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <functional>

#include "actors/limits.hpp"
#include "tests/loop/world.hpp"

using namespace cartwright;
using namespace cartwright::loop;

namespace {

Options calm() {
  Options options;
  options.seed = 1;
  options.faults = false;
  return options;
}

std::vector<Line> two_apples() { return {{ProductId{"apple"}, 2}}; }

std::size_t written(const World& world, Topic topic, const OrderId& order) {
  std::size_t n = 0;
  for (const Written& record : world.log.ever()) n += record.topic == world.log.name(topic) && record.order == order ? 1u : 0u;
  return n;
}

bool ends(World& world, const Plan& plan, const std::string& status) {
  return world.run_until([&] { return world.status(plan.id) == status; }, 4'000);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rules)

BOOST_AUTO_TEST_CASE(rule_01_an_accepted_order_is_in_the_store_and_reaches_its_end) {
  World world(calm());
  Plan& plan = world.plan(two_apples());
  world.place(plan);
  BOOST_TEST(plan.accepted);
  BOOST_TEST(world.stores[RoleId::order].rows.contains(plan.id.value));
  BOOST_TEST(ends(world, plan, "shipped"));
}

BOOST_AUTO_TEST_CASE(rule_02_nothing_is_done_before_it_is_durable) {
  World world(calm());
  Plan& plan = world.plan(two_apples());
  world.place(plan);
  BOOST_TEST(ends(world, plan, "shipped"));  // each act and each record was compared with the store: World::check_durable
  BOOST_TEST(world.hits().find("rule 2: acted on what was committed")->second >= 4u);
}

BOOST_AUTO_TEST_CASE(rule_03_a_doors_record_that_was_never_written_is_written_by_the_owner) {
  World world(calm());
  Plan& plan = world.plan(two_apples());
  world.place(plan);
  world.log.lose({});  // before anybody has read a record: nobody can notice
  BOOST_TEST(ends(world, plan, "shipped"));
  auto& history = world.stores[RoleId::order].history[plan.id.value];
  for (std::size_t i = 0; i < history.size(); ++i) BOOST_TEST(history[i].version == static_cast<std::int64_t>(i) + 1);
}

BOOST_AUTO_TEST_CASE(rule_04_the_same_charge_is_asked_for_by_the_same_key) {
  World world(calm());
  Plan& plan = world.plan(two_apples(), "tok_error");
  world.place(plan);
  BOOST_TEST(ends(world, plan, "shipped"));
  BOOST_TEST(world.gateway.charges[plan.id.value] == 1);
  BOOST_TEST(world.gateway.keys.size() == 1u);
  BOOST_TEST(world.gateway.keys.begin()->second.asked >= 3);
}

BOOST_AUTO_TEST_CASE(rule_05_a_gateway_that_does_not_answer_has_not_refused) {
  World world(calm());
  Plan& plan = world.plan(two_apples(), "tok_timeout");
  world.place(plan);
  BOOST_TEST(ends(world, plan, "shipped"));
  BOOST_TEST(world.gateway.net[plan.id.value] == 10);
}

BOOST_AUTO_TEST_CASE(rule_06_an_answer_before_its_question_is_kept_and_the_question_is_not_asked) {
  World world(calm());
  Plan& plan = world.plan(two_apples(), "tok_ok", false);
  Event paid;
  paid.topic = Topic::payment_success;
  paid.order = plan.id;
  paid.txn.value = "early";
  paid.amount = 10;
  world.append(world.codec().write(paid));
  world.run_until([&] { return world.stores[RoleId::order].rows.contains(plan.id.value); });
  world.place(plan);
  BOOST_TEST(ends(world, plan, "shipped"));
  BOOST_TEST(written(world, Topic::payment_initiated, plan.id) == 0u);
  BOOST_TEST(world.gateway.charges.empty());
}

BOOST_AUTO_TEST_CASE(rule_07_a_release_that_comes_first_leaves_a_tombstone) {
  World world(calm());
  Plan& plan = world.plan(two_apples(), "tok_ok", false);
  Event release;
  release.topic = Topic::inventory_release_requested;
  release.order = plan.id;
  world.append(world.codec().write(release));
  BOOST_TEST(world.run_until([&] { return world.redis.orders[plan.id.value].state == "released"; }));
  world.place(plan);
  BOOST_TEST(ends(world, plan, "cancelled"));
  BOOST_TEST(world.redis.products["apple"].reserved == 0);
  BOOST_TEST(world.redis.products["apple"].available == 10);
}

BOOST_AUTO_TEST_CASE(rule_08_a_redis_that_comes_back_empty_is_rebuilt_before_it_is_asked) {
  World world(calm());
  Plan& first = world.plan(two_apples());
  world.place(first);
  BOOST_TEST(ends(world, first, "shipped"));
  world.flush_redis();
  Plan& second = world.plan(two_apples());
  world.place(second);
  BOOST_TEST(ends(world, second, "shipped"));
  BOOST_TEST(world.run_until([&] { return world.redis.products["apple"].sold == 4; }));
  BOOST_TEST(world.redis.products["apple"].available == 6);
  BOOST_TEST(world.redis.generation > 1);
}

BOOST_AUTO_TEST_CASE(rule_09_a_former_owner_writes_nothing) {
  World world(calm());
  world.run_until([] { return false; }, 20);
  world.rebalance(RoleId::order, World::Fate::zombie);
  Plan& plan = world.plan(two_apples());
  world.place(plan);
  BOOST_TEST(ends(world, plan, "shipped"));
  world.heal();  // the former owners wake, with what they have read
  world.settle();
  BOOST_TEST(world.status(plan.id) == "shipped");
}

BOOST_AUTO_TEST_CASE(rule_09_an_owner_that_was_overtaken_while_it_had_nothing_to_do_finds_out) {
  World world(calm());
  world.run_until([] { return false; }, 20);
  auto& shard = world.stores[RoleId::payment].shards[0];
  const Epoch overtaken = ++shard.epoch;  // somebody took it, read on, and went away again
  world.run_until([&] { return shard.epoch > overtaken; }, 400);
  BOOST_TEST(shard.epoch > overtaken);
}

BOOST_AUTO_TEST_CASE(rule_10_after_a_lost_log_everything_open_reaches_its_end) {
  World world(calm());
  Plan& plan = world.plan(two_apples());
  Plan& unread = world.plan(two_apples());
  world.place(plan);
  BOOST_TEST(ends(world, plan, "inventory_reserved"));
  world.place(unread);
  world.lose_log();
  BOOST_TEST(ends(world, plan, "shipped"));
  BOOST_TEST(ends(world, unread, "shipped"));
}

BOOST_AUTO_TEST_CASE(rule_10_a_broker_that_lost_everything_is_one_replay_or_two_and_no_storm) {
  World world(calm());
  for (int i = 0; i < 4; ++i) world.place(world.plan({{ProductId{"apple"}, 1}}));
  world.run_until([&] { return std::all_of(world.plans().begin(), world.plans().end(), [&](const Plan& p) { return world.status(p.id) == "shipped"; }); });
  auto before = world.log.ever().size();
  world.lose_log();
  world.run_until([] { return false; }, 1'200);  // two minutes
  BOOST_TEST(world.stores[RoleId::order].losses >= 2);  // found topic by topic, shard by shard
  BOOST_TEST(world.log.ever().size() <= 5 * before);
}

BOOST_AUTO_TEST_CASE(rule_11_a_record_that_ends_the_process_is_put_aside_and_the_rest_goes_on) {
  World world(calm());
  Plan& deadly = world.plan(two_apples());
  Plan& other = world.plan(two_apples());
  world.poison_process(deadly.id);
  world.place(deadly);
  world.place(other);
  auto& dead = world.stores[RoleId::inventory].dead;
  BOOST_TEST(world.run_until([&] { return !dead.empty(); }, 6'000));
  BOOST_TEST(dead.at(0).cause.starts_with("crash"));
  BOOST_TEST(dead.at(0).record->event.order.value == deadly.id.value);
  BOOST_TEST(ends(world, other, "shipped"));
}

BOOST_AUTO_TEST_CASE(rule_11_an_order_that_was_set_aside_is_tried_again_by_the_next_owner_of_its_shard) {
  World world(calm());
  Plan& plan = world.plan(two_apples(), "tok_ok", false);
  Plan& other = world.plan(two_apples());
  world.make_ill(plan.id, true);  // its actor dies of whatever it is told
  world.place(plan);
  world.place(other);
  BOOST_TEST(world.run_until([&] { return world.stores[RoleId::order].quarantines.contains(plan.id.value); }));
  BOOST_TEST(ends(world, other, "shipped"));
  world.restart_cleanly();
  world.make_ill(plan.id, false);
  BOOST_TEST(ends(world, plan, "shipped"));
  BOOST_TEST(world.stores[RoleId::order].quarantines.empty());
}

BOOST_AUTO_TEST_CASE(rule_11_an_order_whose_actor_dies_again_and_again_waits_for_a_person) {
  World world(calm());
  Plan& plan = world.plan(two_apples(), "tok_ok", false);
  world.make_ill(plan.id, true);
  world.place(plan);
  auto& aside = world.stores[RoleId::order].quarantines;
  BOOST_TEST(world.run_until([&] { return aside.contains(plan.id.value) && aside.at(plan.id.value).second.until == 0; }));
  BOOST_TEST(aside.at(plan.id.value).second.restarts == 4);
  ShardId shard{RoleId::order, partition_of(plan.id.value, world.settings().partitions)};
  BOOST_TEST(world.view(shard).quarantined == 1u);
  world.make_ill(plan.id, false);
  world.run_until([] { return false; }, 600);
  BOOST_TEST(world.status(plan.id) == "");  // not by itself
  world.retry_by_command(plan);
  BOOST_TEST(ends(world, plan, "shipped"));
  BOOST_TEST(world.view(shard).quarantined == 0u);
}

BOOST_AUTO_TEST_CASE(rule_12_a_wait_without_an_answer_ends_by_time_once_the_log_is_read) {
  World world(calm());
  Plan& plan = world.plan(two_apples(), "tok_never");
  world.place(plan);
  BOOST_TEST(ends(world, plan, "inventory_reserved"));
  world.advance(14 * 60'000);
  world.run_until([] { return false; }, 50);
  BOOST_TEST(world.status(plan.id) == "inventory_reserved");
  world.advance(2 * 60'000);
  BOOST_TEST(ends(world, plan, "cancelled"));
  BOOST_TEST(world.run_until([&] { return world.redis.products["apple"].available == 10; }));
}

/// Eight reservations that expire one after the other; `before` happens half a second before the first does. How long after its expiry
/// the last of them was given back, by the virtual clock.
Millis longest_after_expiry(const std::function<void(World&)>& before) {
  World world(calm());
  std::vector<OrderId> orders;
  for (int i = 0; i < 5; ++i) {
    Plan& plan = world.plan(two_apples(), "tok_never");
    world.place(plan);
    BOOST_TEST(ends(world, plan, "inventory_reserved"));
    orders.push_back(plan.id);
    world.run_until([] { return false; }, i);
  }
  std::map<std::string, Millis> expires, given_back;
  for (const OrderId& order : orders) {
    expires[order.value] = world.codec().read_order(world.stores[RoleId::order].rows[order.value].row).expires;
  }
  Millis first = expires.begin()->second;
  for (const auto& [order, at] : expires) first = std::min(first, at);
  world.advance(first - 500 - world.now());
  before(world);
  Millis longest = 0;
  BOOST_TEST(world.run_until([&] {
    for (const OrderId& order : orders)
      if (world.redis.orders[order.value].state == "released" && given_back.emplace(order.value, world.now()).second) {
        BOOST_TEST(world.now() >= expires[order.value]);
        longest = std::max(longest, world.now() - expires[order.value]);
      }
    return given_back.size() == orders.size();
  }, 200));
  return longest;
}

BOOST_AUTO_TEST_CASE(rule_12_a_reservation_is_given_back_within_a_second_of_its_expiry) {
  BOOST_TEST(longest_after_expiry([](World&) {}) < 1'000);
}

BOOST_AUTO_TEST_CASE(rule_12_also_when_the_node_was_killed_just_before) {
  BOOST_TEST(longest_after_expiry([](World& world) { world.crash_node(0); }) < 1'000);
}

BOOST_AUTO_TEST_CASE(rule_12_many_deadlines_at_one_moment_are_taken_in_turns_of_a_bounded_size) {
  World world(calm());
  world.store_away(RoleId::inventory, true);  // nobody answers for the stock
  const auto many = static_cast<std::size_t>(world.settings().partitions) * (2 * limits::turn_dues_max + 200);
  for (std::size_t i = 0; i < many; ++i) world.place(world.plan({{ProductId{"apple"}, 1}}, "tok_ok", false));
  const auto& orders = world.stores[RoleId::order].rows;
  const auto all_are = [&](const char* state) -> bool {
    return orders.size() == many && std::all_of(orders.begin(), orders.end(), [&](const auto& one) { return one.second.row.state == state; });
  };
  BOOST_TEST(world.run_until([&] { return all_are("pending"); }));
  world.stores[RoleId::order].largest_turn = 0;
  world.advance(world.settings().inventory_ttl + 1'000);
  BOOST_TEST(world.run_until([&] { return all_are("cancelled"); }));
  BOOST_TEST(world.stores[RoleId::order].largest_turn > limits::turn_dues_max / 2);  // they did come at one moment
  BOOST_TEST(world.stores[RoleId::order].largest_turn <= 2 * limits::turn_dues_max);  // what expires, and what is asked again
}

BOOST_AUTO_TEST_CASE(rule_13_a_store_that_cannot_commit_holds_the_turn_and_loses_nothing) {
  World world(calm());
  world.store_away(RoleId::order, true);
  Plan& plan = world.plan(two_apples(), "tok_ok", false);
  world.place(plan);
  world.run_until([] { return false; }, 100);
  BOOST_TEST(world.status(plan.id) == "");
  world.store_away(RoleId::order, false);
  BOOST_TEST(ends(world, plan, "shipped"));
}

BOOST_AUTO_TEST_CASE(rule_14_what_was_speculated_is_forgotten_when_the_commit_fails) {
  World world(calm());
  Plan& plan = world.plan(two_apples());
  world.run_until([] { return false; }, 20);
  world.place(plan);  // the owner reads a record of a row that it takes to be new: its first insert is in conflict
  Plan& bare = world.plan(two_apples(), "tok_ok", false);
  bare.id = plan.id;
  world.place(bare);
  BOOST_TEST(ends(world, plan, "shipped"));
  BOOST_TEST(world.stores[RoleId::order].history[plan.id.value].size() == 4u);
}

BOOST_AUTO_TEST_CASE(a_record_older_than_what_is_remembered_begins_nothing) {
  World world(calm());
  Plan& forgotten = world.plan(two_apples(), "tok_ok", false);
  Plan& known = world.plan(two_apples());
  world.place(known);
  BOOST_TEST(ends(world, known, "shipped"));
  Millis old = world.now() - world.settings().retention - 1;
  Event event;
  event.topic = Topic::order_placed;
  event.order = forgotten.id;
  event.user = UserId{"user"};
  event.lines = forgotten.lines;
  world.log.append(world.codec().write(event), old);
  event.order = known.id;  // of one that is remembered it is a repetition
  world.log.append(world.codec().write(event), old);
  event.topic = Topic::order_delivered;
  event.order = {"01890000-0000-7000-8000-000000000000"};  // its id says when it was placed
  world.log.append(world.codec().write(event), world.now());
  auto& dead = world.stores[RoleId::order].dead;
  BOOST_TEST(world.run_until([&] { return dead.size() == 2; }));
  for (const DeadLetter& letter : dead) BOOST_TEST(letter.cause == "too-old");
  world.run_until([] { return false; }, 50);
  BOOST_TEST(!world.stores[RoleId::order].rows.contains(forgotten.id.value));
  BOOST_TEST(!world.stores[RoleId::inventory].rows.contains(forgotten.id.value));
  BOOST_TEST(world.status(known.id) == "shipped");
  BOOST_TEST(dead.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_clean_stop_publishes_nothing_twice) {
  World world(calm());
  Plan& plan = world.plan(two_apples());
  world.place(plan);
  BOOST_TEST(ends(world, plan, "shipped"));
  world.run_until([] { return false; }, 20);
  auto before = world.log.ever().size();
  world.restart_cleanly();
  world.run_until([] { return false; }, 50);
  BOOST_TEST(world.log.ever().size() == before);
}

BOOST_AUTO_TEST_SUITE_END()
