// The rules as tables: every (state, happening) pair of the order, and the decisions of the other roles.

#define BOOST_TEST_MODULE rules
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <set>

#include "actors/inventory/rules.hpp"
#include "actors/money.hpp"
#include "actors/notification/rules.hpp"
#include "actors/order/rules.hpp"
#include "actors/payment/rules.hpp"
#include "actors/shipping/rules.hpp"

using namespace cartwright;

namespace {

constexpr Millis now = 1'790'000'000'000;
const Settings settings;

Input record(Topic topic, std::function<void(Event&)> fill = {}) {
  auto made = std::make_shared<Record>();
  made->topic = topic;
  made->key = "o-1";
  made->value = "{\"order_id\":\"o-1\",\"n\":" + std::to_string(static_cast<int>(topic)) + "}";
  made->event.topic = topic;
  made->event.order = OrderId{"o-1"};
  made->event.user = UserId{"u-1"};
  made->event.lines = {{ProductId{"apple"}, 2}};
  if (topic == Topic::payment_success || topic == Topic::payment_refunded) {
    made->event.txn = TxnId{"txn-1"};
    made->event.amount = 500;
  }
  if (topic == Topic::inventory_reserved) made->event.amount = 500;
  if (topic == Topic::order_tracking_updated) made->event.tracking = TrackingId{"track-1"};
  if (fill) fill(made->event);
  return std::shared_ptr<const Record>(made);
}

Change feed(order::Order& order, const Input& input, Millis at = now, const Settings& with = settings) {
  Change change;
  order::digest(order, input, with, at, change);
  return change;
}

/// An order in `state`, brought there by the events that bring orders there.
order::Order order_in(order::State state) {
  using order::State;
  order::Order order;
  if (state == State::unknown) return order;
  feed(order, record(Topic::order_placed));
  if (state == State::pending) return order;
  if (state == State::cancelled) {
    feed(order, record(Topic::order_cancel_requested));
    return order;
  }
  feed(order, record(Topic::inventory_reserved));
  if (state == State::inventory_reserved) return order;
  if (state == State::payment_failed) {
    feed(order, record(Topic::payment_failed));
    return order;
  }
  if (state == State::refunded) {
    feed(order, record(Topic::order_cancel_requested));
    feed(order, record(Topic::payment_refunded));
    return order;
  }
  feed(order, record(Topic::payment_success));
  if (state == State::paid) return order;
  feed(order, record(Topic::order_tracking_updated));
  if (state == State::shipped) return order;
  feed(order, record(Topic::order_delivered));
  return order;
}

std::multiset<std::string> published(const Change& change) {
  std::multiset<std::string> topics;
  for (const Event& event : change.publish) topics.insert(std::string(to_string(event.topic)));
  return topics;
}

using Published = std::multiset<std::string>;
using order::State;

}  // namespace

BOOST_AUTO_TEST_SUITE(the_order)

struct Row {
  State from;
  Topic topic;
  State to;
  Published published;
  std::size_t kept;
};

std::ostream& operator<<(std::ostream& out, const Row& row) {
  return out << to_string(row.from) << " + " << to_string(row.topic);
}

const Published nothing;
const Published stock_back{"order.cancelled", "inventory.release.requested"};
const Published all_back{"order.cancelled", "inventory.release.requested", "payment.refund.requested"};
const Published no_stock{"order.cancelled", "notification.send"};
const Published no_money{"notification.send", "inventory.release.requested"};

// Every pair of a state and a topic the order role reads. contract.md section 2 and design.md rules 5 and 6 say why.
const std::vector<Row> rows{
    {State::unknown, Topic::order_placed, State::pending, nothing, 0},
    {State::unknown, Topic::inventory_reserved, State::unknown, nothing, 1},
    {State::unknown, Topic::inventory_failed, State::unknown, nothing, 1},
    {State::unknown, Topic::payment_success, State::unknown, nothing, 1},
    {State::unknown, Topic::payment_failed, State::unknown, nothing, 1},
    {State::unknown, Topic::order_tracking_updated, State::unknown, nothing, 1},
    {State::unknown, Topic::order_delivered, State::unknown, nothing, 1},
    {State::unknown, Topic::order_cancel_requested, State::unknown, nothing, 1},
    {State::unknown, Topic::inventory_released, State::unknown, nothing, 1},
    {State::unknown, Topic::payment_refunded, State::unknown, nothing, 1},
    {State::unknown, Topic::payment_refund_failed, State::unknown, nothing, 1},
    {State::unknown, Topic::order_status_requested, State::unknown, nothing, 1},

    {State::pending, Topic::order_placed, State::pending, nothing, 0},
    {State::pending, Topic::inventory_reserved, State::inventory_reserved, {"payment.initiated"}, 0},
    {State::pending, Topic::inventory_failed, State::cancelled, no_stock, 0},
    {State::pending, Topic::payment_success, State::pending, nothing, 1},
    {State::pending, Topic::payment_failed, State::payment_failed, no_money, 0},
    {State::pending, Topic::order_tracking_updated, State::pending, nothing, 1},
    {State::pending, Topic::order_delivered, State::pending, nothing, 1},
    {State::pending, Topic::order_cancel_requested, State::cancelled, stock_back, 0},
    {State::pending, Topic::inventory_released, State::pending, nothing, 0},
    {State::pending, Topic::payment_refunded, State::pending, nothing, 0},
    {State::pending, Topic::payment_refund_failed, State::pending, nothing, 0},
    {State::pending, Topic::order_status_requested, State::pending, {"order.placed"}, 0},

    {State::inventory_reserved, Topic::order_placed, State::inventory_reserved, nothing, 0},
    {State::inventory_reserved, Topic::inventory_reserved, State::inventory_reserved, nothing, 0},
    {State::inventory_reserved, Topic::inventory_failed, State::inventory_reserved, nothing, 0},
    {State::inventory_reserved, Topic::payment_success, State::paid, {"order.shipped"}, 0},
    {State::inventory_reserved, Topic::payment_failed, State::payment_failed, no_money, 0},
    {State::inventory_reserved, Topic::order_tracking_updated, State::inventory_reserved, nothing, 1},
    {State::inventory_reserved, Topic::order_delivered, State::inventory_reserved, nothing, 1},
    {State::inventory_reserved, Topic::order_cancel_requested, State::cancelled, all_back, 0},
    {State::inventory_reserved, Topic::inventory_released, State::inventory_reserved, nothing, 0},
    {State::inventory_reserved, Topic::payment_refunded, State::inventory_reserved, nothing, 0},
    {State::inventory_reserved, Topic::payment_refund_failed, State::inventory_reserved, nothing, 0},
    {State::inventory_reserved, Topic::order_status_requested, State::inventory_reserved, {"order.placed"}, 0},

    {State::paid, Topic::order_placed, State::paid, nothing, 0},
    {State::paid, Topic::inventory_reserved, State::paid, nothing, 0},
    {State::paid, Topic::inventory_failed, State::paid, nothing, 0},
    {State::paid, Topic::payment_success, State::paid, nothing, 0},
    {State::paid, Topic::payment_failed, State::paid, nothing, 0},
    {State::paid, Topic::order_tracking_updated, State::shipped, nothing, 0},
    {State::paid, Topic::order_delivered, State::paid, nothing, 1},
    {State::paid, Topic::order_cancel_requested, State::paid, nothing, 0},
    {State::paid, Topic::inventory_released, State::paid, nothing, 0},
    {State::paid, Topic::payment_refunded, State::paid, nothing, 0},
    {State::paid, Topic::payment_refund_failed, State::paid, nothing, 0},
    {State::paid, Topic::order_status_requested, State::paid, {"order.shipped"}, 0},

    {State::shipped, Topic::order_placed, State::shipped, nothing, 0},
    {State::shipped, Topic::inventory_reserved, State::shipped, nothing, 0},
    {State::shipped, Topic::inventory_failed, State::shipped, nothing, 0},
    {State::shipped, Topic::payment_success, State::shipped, nothing, 0},
    {State::shipped, Topic::payment_failed, State::shipped, nothing, 0},
    {State::shipped, Topic::order_tracking_updated, State::shipped, nothing, 0},
    {State::shipped, Topic::order_delivered, State::delivered, nothing, 0},
    {State::shipped, Topic::order_cancel_requested, State::shipped, nothing, 0},
    {State::shipped, Topic::inventory_released, State::shipped, nothing, 0},
    {State::shipped, Topic::payment_refunded, State::shipped, nothing, 0},
    {State::shipped, Topic::payment_refund_failed, State::shipped, nothing, 0},
    {State::shipped, Topic::order_status_requested, State::shipped, {"order.shipped"}, 0},

    {State::delivered, Topic::order_placed, State::delivered, nothing, 0},
    {State::delivered, Topic::inventory_reserved, State::delivered, nothing, 0},
    {State::delivered, Topic::inventory_failed, State::delivered, nothing, 0},
    {State::delivered, Topic::payment_success, State::delivered, nothing, 0},
    {State::delivered, Topic::payment_failed, State::delivered, nothing, 0},
    {State::delivered, Topic::order_tracking_updated, State::delivered, nothing, 0},
    {State::delivered, Topic::order_delivered, State::delivered, nothing, 0},
    {State::delivered, Topic::order_cancel_requested, State::delivered, nothing, 0},
    {State::delivered, Topic::inventory_released, State::delivered, nothing, 0},
    {State::delivered, Topic::payment_refunded, State::delivered, nothing, 0},
    {State::delivered, Topic::payment_refund_failed, State::delivered, nothing, 0},
    {State::delivered, Topic::order_status_requested, State::delivered, {"order.shipped"}, 0},

    {State::cancelled, Topic::order_placed, State::cancelled, nothing, 0},
    {State::cancelled, Topic::inventory_reserved, State::cancelled, nothing, 0},
    {State::cancelled, Topic::inventory_failed, State::cancelled, nothing, 0},
    {State::cancelled, Topic::payment_success, State::cancelled, {"payment.refund.requested"}, 0},
    {State::cancelled, Topic::payment_failed, State::cancelled, nothing, 0},
    {State::cancelled, Topic::order_tracking_updated, State::cancelled, nothing, 0},
    {State::cancelled, Topic::order_delivered, State::cancelled, nothing, 0},
    {State::cancelled, Topic::order_cancel_requested, State::cancelled, nothing, 0},
    {State::cancelled, Topic::inventory_released, State::cancelled, nothing, 0},
    {State::cancelled, Topic::payment_refunded, State::cancelled, nothing, 0},
    {State::cancelled, Topic::payment_refund_failed, State::cancelled, nothing, 0},
    {State::cancelled, Topic::order_status_requested, State::cancelled, {"inventory.release.requested"}, 0},

    {State::payment_failed, Topic::order_placed, State::payment_failed, nothing, 0},
    {State::payment_failed, Topic::inventory_reserved, State::payment_failed, nothing, 0},
    {State::payment_failed, Topic::inventory_failed, State::payment_failed, nothing, 0},
    {State::payment_failed, Topic::payment_success, State::payment_failed, {"payment.refund.requested"}, 0},
    {State::payment_failed, Topic::payment_failed, State::payment_failed, nothing, 0},
    {State::payment_failed, Topic::order_tracking_updated, State::payment_failed, nothing, 0},
    {State::payment_failed, Topic::order_delivered, State::payment_failed, nothing, 0},
    {State::payment_failed, Topic::order_cancel_requested, State::payment_failed, nothing, 0},
    {State::payment_failed, Topic::inventory_released, State::payment_failed, nothing, 0},
    {State::payment_failed, Topic::payment_refunded, State::payment_failed, nothing, 0},
    {State::payment_failed, Topic::payment_refund_failed, State::payment_failed, nothing, 0},
    {State::payment_failed, Topic::order_status_requested, State::payment_failed, {"inventory.release.requested"}, 0},

    {State::refunded, Topic::order_placed, State::refunded, nothing, 0},
    {State::refunded, Topic::inventory_reserved, State::refunded, nothing, 0},
    {State::refunded, Topic::inventory_failed, State::refunded, nothing, 0},
    {State::refunded, Topic::payment_success, State::refunded, {"payment.refund.requested"}, 0},
    {State::refunded, Topic::payment_failed, State::refunded, nothing, 0},
    {State::refunded, Topic::order_tracking_updated, State::refunded, nothing, 0},
    {State::refunded, Topic::order_delivered, State::refunded, nothing, 0},
    {State::refunded, Topic::order_cancel_requested, State::refunded, nothing, 0},
    {State::refunded, Topic::inventory_released, State::refunded, nothing, 0},
    {State::refunded, Topic::payment_refunded, State::refunded, nothing, 0},
    {State::refunded, Topic::payment_refund_failed, State::refunded, nothing, 0},
    {State::refunded, Topic::order_status_requested, State::refunded, {"inventory.release.requested"}, 0},
};

BOOST_DATA_TEST_CASE(answers_every_event_in_every_state, boost::unit_test::data::make(rows)) {
  order::Order order = order_in(sample.from);
  BOOST_REQUIRE(to_string(order.state) == to_string(sample.from));
  auto version = order.version;
  Change change = feed(order, record(sample.topic, [&](Event& e) {
    if (sample.from == State::refunded) e.txn = TxnId{"txn-2"};  // the first one is back already
  }));
  BOOST_TEST(to_string(order.state) == to_string(sample.to));
  BOOST_TEST(published(change) == sample.published, boost::test_tools::per_element());
  BOOST_TEST(order.kept.size() == sample.kept);
  BOOST_TEST(order.version - version == static_cast<std::int64_t>(change.transitions.size()));
  for (const Transition& step : change.transitions) BOOST_TEST(step.version == ++version);
}

BOOST_AUTO_TEST_CASE(the_tables_rows_are_all_pairs_of_states_and_topics) {
  std::set<std::pair<State, Topic>> pairs;
  for (const Row& row : rows) pairs.insert({row.from, row.topic});
  std::size_t topics_read = 0;
  for (Topic topic : topics_read_by(RoleId::order)) topics_read += topic == Topic::order_rerouted ? 0u : 1u;
  BOOST_TEST(pairs.size() == order::state_count * topics_read);
  BOOST_TEST(pairs.size() == rows.size());
  BOOST_TEST(order::table().size() == order::state_count * order::happening_count);
}

BOOST_AUTO_TEST_CASE(a_kept_answer_is_digested_when_its_turn_comes_and_is_not_asked_for) {
  order::Order order = order_in(State::pending);
  feed(order, record(Topic::payment_success));
  feed(order, record(Topic::order_tracking_updated));
  Change change = feed(order, record(Topic::inventory_reserved));
  BOOST_TEST(to_string(order.state) == "shipped");
  BOOST_TEST(published(change) == Published{"order.shipped"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(other_lines_than_the_orders_are_no_reservation) {
  order::Order order = order_in(State::pending);
  Change change = feed(order, record(Topic::inventory_reserved, [](Event& e) { e.lines = {{ProductId{"apple"}, 1}}; }));
  BOOST_TEST(to_string(order.state) == "cancelled");
  BOOST_TEST(order.reason == "partial_answer");
  BOOST_TEST(published(change) == stock_back, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_reason_that_is_not_ours_is_an_extra_field_of_a_foreign_inventory) {
  for (auto [said, reason] : {std::pair{"closed on Mondays", "out_of_stock"}, std::pair{"", "out_of_stock"},
                              std::pair{"mixed_currency", "mixed_currency"}}) {
    order::Order order = order_in(State::pending);
    feed(order, record(Topic::inventory_failed, [text = said](Event& e) { e.reason = text; }));
    BOOST_TEST(order.reason == reason);
  }
}

BOOST_AUTO_TEST_CASE(another_amount_than_asked_parks_the_order_for_a_person) {
  order::Order order = order_in(State::inventory_reserved);
  Change change = feed(order, record(Topic::payment_success, [](Event& e) { e.amount = 499; }));
  BOOST_TEST(!change.park.empty());
  BOOST_TEST(change.parked.size() == 1u);
  BOOST_TEST(to_string(order.state) == "inventory_reserved");
}

BOOST_AUTO_TEST_CASE(the_first_of_two_charges_stands_and_the_second_goes_back_once) {
  order::Order order = order_in(State::shipped);
  auto second = record(Topic::payment_success, [](Event& e) { e.txn = TxnId{"txn-2"}; });
  Change change = feed(order, second);
  BOOST_REQUIRE(change.publish.size() == 1u);
  BOOST_TEST(change.publish[0].txn.value == "txn-2");
  BOOST_TEST(feed(order, second).publish.empty());
}

BOOST_AUTO_TEST_CASE(a_charge_and_a_shipment_without_a_number_count) {
  order::Order order = order_in(State::inventory_reserved);
  feed(order, record(Topic::payment_success, [](Event& e) { e.txn = {}; }));
  BOOST_TEST(to_string(order.state) == "paid");
  BOOST_TEST(feed(order, record(Topic::payment_success, [](Event& e) { e.txn = {}; })).park.empty());
  feed(order, record(Topic::order_tracking_updated, [](Event& e) { e.tracking = {}; }));
  BOOST_TEST(to_string(order.state) == "shipped");
}

BOOST_AUTO_TEST_CASE(a_second_charge_without_a_number_is_for_a_person) {
  const auto nameless = record(Topic::payment_success, [](Event& e) { e.txn = {}; });
  order::Order shipped = order_in(State::shipped);
  Change change = feed(shipped, nameless);
  BOOST_TEST(!change.park.empty());
  BOOST_TEST(change.publish.empty());  // a refund that names no charge would give the first one back, too
  order::Order cancelled = order_in(State::cancelled);
  BOOST_TEST(feed(cancelled, nameless).park.empty());  // the first money: all of it is asked back
  BOOST_TEST(feed(cancelled, nameless).park.empty());
  feed(cancelled, record(Topic::payment_refunded, [](Event& e) { e.txn = {}, e.amount = 0; }));
  BOOST_TEST(!feed(cancelled, nameless).park.empty());  // the refund found nothing: this money came after it
}

BOOST_AUTO_TEST_CASE(the_same_id_with_other_content_is_a_dead_letter_and_changes_nothing) {
  order::Order order = order_in(State::paid);
  Change change = feed(order, record(Topic::order_placed, [](Event& e) { e.lines = {{ProductId{"pear"}, 9}}; }));
  BOOST_REQUIRE(change.dead.size() == 1u);
  BOOST_TEST(change.dead[0].cause == "conflict");
  BOOST_TEST(!change.changed);
}

BOOST_AUTO_TEST_CASE(an_order_expires_only_when_the_log_has_been_read) {
  for (State state : {State::pending, State::inventory_reserved}) {
    order::Order order = order_in(state);
    Millis late = now + settings.inventory_ttl + settings.payment_ttl;
    feed(order, Due{false}, late);
    BOOST_TEST(to_string(order.state) == to_string(state));
    feed(order, Due{true}, late);
    BOOST_TEST(to_string(order.state) == "cancelled");
    BOOST_TEST(order.reason == "expired");
  }
}

BOOST_AUTO_TEST_CASE(a_paid_order_does_not_expire) {
  order::Order order = order_in(State::paid);
  feed(order, Due{true}, now + 100 * settings.payment_ttl);
  BOOST_TEST(to_string(order.state) == "paid");
}

BOOST_AUTO_TEST_CASE(a_question_is_asked_again_with_the_same_id_and_a_delay_that_doubles) {
  order::Order order = order_in(State::inventory_reserved);
  Millis at = now;
  for (Millis delay : {30'000, 60'000, 120'000, 240'000, 300'000, 300'000}) {
    BOOST_TEST(feed(order, Due{false}, at + delay - 1).publish.empty());
    Change change = feed(order, Due{false}, at + delay);
    BOOST_REQUIRE(change.publish.size() == 1u);
    BOOST_TEST(change.publish[0].ce_id == "o-1/payment.initiated");
    BOOST_TEST(change.publish[0].ce_time == now);
    at += delay;
  }
}

BOOST_AUTO_TEST_CASE(orphans_are_given_up_undone_and_make_a_late_order_too_late) {
  order::Order order;
  feed(order, record(Topic::inventory_reserved));
  feed(order, record(Topic::payment_success));
  Change change = feed(order, Due{true}, now + settings.orphan_ttl);
  BOOST_TEST(change.dead.size() == 2u);
  BOOST_TEST(published(change) == (Published{"inventory.release.requested", "payment.refund.requested"}), boost::test_tools::per_element());
  feed(order, record(Topic::order_placed), now + settings.orphan_ttl + 1);
  BOOST_TEST(to_string(order.state) == "cancelled");
  BOOST_TEST(order.reason == "too_late");
}

BOOST_AUTO_TEST_CASE(an_order_is_as_old_as_what_was_heard_of_it_first) {
  order::Order order;
  feed(order, record(Topic::inventory_reserved));
  feed(order, record(Topic::order_placed), now + 5'000);
  BOOST_TEST((order.state == order::State::inventory_reserved));
  BOOST_TEST(order.created_at == now);
}

BOOST_AUTO_TEST_CASE(a_cancel_says_what_became_of_it) {
  const std::vector<std::pair<State, int>> answers{
      {State::unknown, 404}, {State::pending, 202}, {State::inventory_reserved, 202}, {State::paid, 409}, {State::shipped, 409},
      {State::delivered, 409}, {State::cancelled, 202}, {State::payment_failed, 409}, {State::refunded, 202}};
  for (auto& [state, status] : answers) {
    order::Order order = order_in(state);
    Change change = feed(order, Command{CommandKind::cancel, 7});
    BOOST_REQUIRE(change.replies.size() == 1u);
    BOOST_TEST(change.replies[0].status == status, "a cancel in " << to_string(state));
  }
}

BOOST_AUTO_TEST_CASE(foreign_roles_are_not_waited_for_beyond_the_nine_topics) {
  Settings with = settings;
  with.foreign = bit(RoleId::inventory) | bit(RoleId::payment);
  order::Order order;
  feed(order, record(Topic::order_placed), now, with);
  feed(order, record(Topic::inventory_reserved), now, with);
  feed(order, record(Topic::payment_failed), now, with);
  BOOST_TEST(to_string(order.state) == "payment_failed");
  BOOST_TEST(order::is_final(order));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(inventory_rules)

Change feed(inventory::Reservation& r, const Input& input, Millis at = now) {
  Change change;
  inventory::digest(r, input, settings, at, change);
  return change;
}

Outcome said(Step step, Answer answer, std::int64_t price = 250, std::string detail = {}) {
  Outcome outcome;
  outcome.key = "o-1";
  outcome.step = step;
  outcome.answer = answer;
  outcome.detail = std::move(detail);
  outcome.currency = "EUR";
  if (answer == Answer::done && step == Step::reserve) outcome.priced = {{{ProductId{"apple"}, 2}, price}};
  return outcome;
}

BOOST_AUTO_TEST_CASE(redis_is_asked_before_an_answer_is_given) {
  inventory::Reservation r;
  Change placed = feed(r, record(Topic::order_placed));
  BOOST_TEST(placed.publish.empty());
  BOOST_REQUIRE(placed.acts.size() == 1u);
  BOOST_TEST(to_string(placed.acts[0].step) == "reserve");
  Change reserved = feed(r, said(Step::reserve, Answer::done));
  BOOST_REQUIRE(reserved.publish.size() == 1u);
  BOOST_TEST(*reserved.publish[0].amount == 500);
  BOOST_TEST(reserved.totals.at(0).reserved == 2);
}

BOOST_AUTO_TEST_CASE(a_shortage_is_answered_once_more_in_the_same_words) {
  inventory::Reservation r;
  feed(r, record(Topic::order_placed));
  feed(r, said(Step::reserve, Answer::refused, 0, "out_of_stock"));
  Change again = feed(r, record(Topic::order_placed));
  BOOST_TEST(published(again) == Published{"inventory.failed"}, boost::test_tools::per_element());
  BOOST_TEST(again.acts.empty());
}

BOOST_AUTO_TEST_CASE(what_gives_back_is_in_the_ledger_before_redis_is_told) {
  inventory::Reservation r;
  feed(r, record(Topic::order_placed));
  feed(r, said(Step::reserve, Answer::done));
  Change released = feed(r, record(Topic::inventory_release_requested));
  BOOST_TEST(to_string(r.state) == "released");
  BOOST_TEST(!r.told);
  BOOST_TEST(released.totals.at(0).reserved == -2);
  BOOST_TEST(published(released) == Published{"inventory.released"}, boost::test_tools::per_element());
  feed(r, said(Step::release, Answer::done));
  BOOST_TEST(r.told);
  // A repeated request is answered by what is true now.
  BOOST_TEST(published(feed(r, record(Topic::order_placed))) == Published{"inventory.failed"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_release_that_comes_first_leaves_a_tombstone) {
  inventory::Reservation r;
  Change change = feed(r, record(Topic::inventory_release_requested));
  BOOST_TEST(to_string(r.state) == "released");
  BOOST_TEST(to_string(change.acts.at(0).step) == "release");
  BOOST_TEST(published(feed(r, record(Topic::order_placed))) == Published{"inventory.failed"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_sale_counts_once) {
  inventory::Reservation r;
  feed(r, record(Topic::order_placed));
  feed(r, said(Step::reserve, Answer::done));
  Change sold = feed(r, record(Topic::order_shipped));
  BOOST_TEST(sold.totals.at(0).sold == 2);
  BOOST_TEST(feed(r, record(Topic::order_shipped)).totals.empty());
  BOOST_TEST(feed(r, record(Topic::inventory_release_requested)).publish.empty());
}

// Two shards may have one row: one of them read the order where a foreign client put it. The other's row is an old one then.
BOOST_AUTO_TEST_CASE(a_sale_of_what_is_still_being_reserved_is_kept_until_it_is) {
  inventory::Reservation r;
  feed(r, record(Topic::order_placed));
  Change kept = feed(r, record(Topic::order_shipped));
  BOOST_TEST(kept.changed);  // else it is not compared with the store, and nobody reads the record again
  BOOST_TEST(kept.totals.empty());
  BOOST_TEST(!feed(r, record(Topic::order_shipped)).changed);
  Change sold = feed(r, said(Step::reserve, Answer::done));
  BOOST_TEST(published(sold) == Published{"inventory.reserved"}, boost::test_tools::per_element());
  BOOST_TEST(to_string(r.state) == "sold");
  std::int64_t reserved = 0, gone = 0;
  for (const auto& total : sold.totals) reserved += total.reserved, gone += total.sold;
  BOOST_TEST(reserved == 0);
  BOOST_TEST(gone == 2);
  BOOST_TEST(to_string(sold.acts.at(0).step) == "sell");
}

BOOST_AUTO_TEST_CASE(an_amount_that_no_integer_can_name_is_refused_and_given_back) {
  inventory::Reservation r;
  feed(r, record(Topic::order_placed));
  Change change = feed(r, said(Step::reserve, Answer::done, limits::amount_max));
  BOOST_TEST(published(change) == Published{"inventory.failed"}, boost::test_tools::per_element());
  BOOST_TEST(to_string(change.acts.at(0).step) == "release");
  BOOST_TEST(change.totals.empty());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(payment_rules)

Change feed(payment::Charge& c, const Input& input, Millis at = now) {
  Change change;
  payment::digest(c, input, settings, at, change);
  return change;
}

Outcome said(Step step, Answer answer) {
  Outcome outcome;
  outcome.key = "o-1";
  outcome.step = step;
  outcome.answer = answer;
  outcome.reference = "txn-1";
  return outcome;
}

Input initiated() { return record(Topic::payment_initiated, [](Event& e) { e.amount = 500; }); }

BOOST_AUTO_TEST_CASE(unknown_is_not_failed_and_is_asked_again_with_the_same_key) {
  payment::Charge c;
  Change first = feed(c, initiated());
  BOOST_TEST(feed(c, said(Step::charge, Answer::unknown)).publish.empty());
  Change again = feed(c, Due{}, now + settings.act_first);
  BOOST_REQUIRE(again.acts.size() == 1u);
  BOOST_TEST(again.acts[0].attempt == first.acts.at(0).attempt);
  BOOST_TEST(again.acts[0].key == first.acts.at(0).key);
  BOOST_TEST(published(feed(c, said(Step::charge, Answer::done))) == Published{"payment.success"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_charge_that_succeeds_after_a_refund_was_asked_for_goes_back) {
  payment::Charge c;
  feed(c, initiated());
  BOOST_TEST(feed(c, record(Topic::payment_refund_requested, [](Event& e) { e.txn = {}; e.amount = {}; })).publish.empty());
  Change charged = feed(c, said(Step::charge, Answer::done));
  BOOST_TEST(charged.publish.empty());
  BOOST_TEST(to_string(charged.acts.at(0).step) == "refund");
  BOOST_TEST(published(feed(c, said(Step::refund, Answer::done))) == (Published{"payment.refunded", "notification.send"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_refund_that_comes_first_takes_nothing_for_ever) {
  payment::Charge c;
  Change closed = feed(c, record(Topic::payment_refund_requested, [](Event& e) { e.txn = {}; }));
  BOOST_TEST(*closed.publish.at(0).amount == 0);
  Change late = feed(c, initiated());
  BOOST_TEST(late.acts.empty());
  BOOST_TEST(published(late) == Published{"payment.refunded"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_refund_absorbs) {
  payment::Charge c;
  feed(c, initiated());
  feed(c, said(Step::charge, Answer::done));
  auto request = record(Topic::payment_refund_requested, [](Event& e) { e.txn = {}; });
  BOOST_TEST(feed(c, request).acts.size() == 1u);
  BOOST_TEST(feed(c, request).acts.empty());
  feed(c, said(Step::refund, Answer::done));
  Change again = feed(c, request);
  BOOST_TEST(again.acts.empty());
  BOOST_TEST(published(again) == Published{"payment.refunded"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_decline_is_final) {
  payment::Charge c;
  feed(c, initiated());
  BOOST_TEST(published(feed(c, said(Step::charge, Answer::refused))) == Published{"payment.failed"}, boost::test_tools::per_element());
  BOOST_TEST(feed(c, Due{}, now + 1'000'000).acts.empty());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(shipping_and_notices)

BOOST_AUTO_TEST_CASE(one_tracking_number_whatever_is_asked_again) {
  shipping::Shipment s;
  Change change;
  shipping::digest(s, record(Topic::order_shipped), settings, now, change);
  BOOST_TEST(change.acts.size() == 1u);
  Outcome booked;
  booked.step = Step::book;
  booked.answer = Answer::done;
  booked.reference = "track-1";
  shipping::digest(s, booked, settings, now, change);
  booked.reference = "track-2";
  shipping::digest(s, booked, settings, now, change);
  Change again;
  shipping::digest(s, record(Topic::order_shipped), settings, now, again);
  BOOST_TEST(again.publish.at(0).tracking.value == "track-1");
}

BOOST_AUTO_TEST_CASE(one_occasion_is_one_notice_with_the_exact_message_whichever_record_comes_first) {
  auto of = [](const Input& input) { return std::get<std::shared_ptr<const Record>>(input)->event; };
  Event topic = of(record(Topic::inventory_failed));
  Event send = of(record(Topic::notification_send, [](Event& e) {
    e.message = "Order cancelled due to insufficient stock.";
    e.occasion = "inventory.failed";
  }));
  BOOST_TEST(notification::key_of(topic) == notification::key_of(send));
  for (const Event& first : {topic, send}) {
    notification::Notice notice;
    auto made = std::make_shared<Record>();
    made->event = first;
    Change change;
    notification::digest(notice, std::shared_ptr<const Record>(made), settings, now, change);
    BOOST_TEST(notice.text == "Order cancelled due to insufficient stock.");
  }
}

BOOST_AUTO_TEST_CASE(an_order_cancelled_for_lack_of_stock_is_told_by_inventory_failed_alone) {
  Event cancelled;
  cancelled.topic = Topic::order_cancelled;
  cancelled.order = OrderId{"o-1"};
  cancelled.reason = "out_of_stock";
  BOOST_TEST(notification::key_of(cancelled).empty());
  cancelled.reason = "requested";
  BOOST_TEST(notification::key_of(cancelled) == "o-1/order.cancelled");
}

BOOST_AUTO_TEST_CASE(a_bare_notice_is_its_own_by_its_text) {
  Event a, b;
  a.topic = b.topic = Topic::notification_send;
  a.order = b.order = OrderId{"o-1"};
  a.message = "one";
  b.message = "two";
  BOOST_TEST(notification::key_of(a) != notification::key_of(b));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(values)

BOOST_AUTO_TEST_CASE(an_outbox_text_is_read_back_to_the_letter) {
  std::vector<Outgoing> records{
      {"order.placed", "o-1", "{}", {{"ce_specversion", "1.0"}, {"ce_id", "o-1/order.placed"}, {"ce_type", "order.placed"}, {"content-type", "application/json"}}, "o-1"},
      {"x.dlq", {}, {}, {{"dlq_cause", "=odd"}, {"dlq_topic", "="}}, ""},
      {"t", "=o", std::string("\0:5:\n", 5), {{"v-long", "=t"}, {"ce_source", "/cartwright/order"}}, "o"},
      {"order.shipped", "other", "v", {{"ce_id", "o/else"}}, "o"}};
  for (Outgoing& record : records)
    if (record.topic == "order.placed") record.key = "o-1";
  BOOST_TEST((unpack(pack(records)) == records));
  BOOST_CHECK_THROW(static_cast<void>(unpack("12:short")), std::logic_error);
}

BOOST_AUTO_TEST_CASE(ids_rise_also_within_a_millisecond_and_when_the_clock_steps_back) {
  Millis clock = now;
  UuidSource source([&] { return clock; }, [n = std::uint64_t{1}]() mutable { return n = n * 6364136223846793005u + 1442695040888963407u; });
  std::string last;
  for (int i = 0; i < 10'000; ++i) {
    if (i == 5'000) clock -= 60'000;
    if (i % 1'000 == 0) ++clock;
    std::string id = source.next();
    BOOST_REQUIRE(last < id);
    BOOST_REQUIRE(id[14] == '7');
    BOOST_REQUIRE(valid_id(id));
    last = id;
  }
}

BOOST_AUTO_TEST_CASE(murmur2_is_the_java_clients) {
  const std::vector<std::pair<std::string, std::int32_t>> vectors{
      {"21", -973932308}, {"foobar", -790332482}, {"a-little-bit-long-string", -985981536}, {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971}, {"abc", 479470107}};
  for (auto& [text, hash] : vectors) BOOST_TEST(static_cast<std::int32_t>(murmur2(text)) == hash);
}

BOOST_AUTO_TEST_CASE(money_has_no_value_beyond_2_to_53) {
  BOOST_TEST(*times(3, 4) == 12);
  BOOST_TEST(!times(limits::amount_max, 2));
  BOOST_TEST(!times(std::int64_t{1} << 62, 4));
  BOOST_TEST(!plus(limits::amount_max, 1));
}

BOOST_AUTO_TEST_CASE(the_topics_are_the_contracts) {
  BOOST_TEST(topics_read_by(RoleId::order).size() == 13u);
  BOOST_TEST(topics_read_by(RoleId::inventory).size() == 4u);
  BOOST_TEST(topics_read_by(RoleId::payment).size() == 2u);
  BOOST_TEST(topics_read_by(RoleId::shipping).size() == 1u);
  BOOST_TEST(topics_read_by(RoleId::notification).size() == 12u);
  for (const TopicInfo& row : topics()) BOOST_TEST((topic_named(row.name) == row.topic));
}

BOOST_AUTO_TEST_SUITE_END()
