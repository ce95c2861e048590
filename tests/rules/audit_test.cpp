// What counts as a difference between ledger, Redis, orders and topics, and who is to mend it.

#include <boost/test/unit_test.hpp>

#include "actors/inventory/audit.hpp"

using namespace cartwright;
using namespace cartwright::inventory;

namespace {

constexpr Millis now = 1'790'000'000'000, long_ago = now - 60'000;

Reservation reservation(State state, std::int64_t quantity = 2, bool told = true) {
  Reservation out;
  out.order = OrderId{"o-1"};
  out.known = true;
  out.state = state;
  out.told = told;
  out.lines = {{ProductId{"desk"}, quantity}};
  out.updated_at = long_ago;
  return out;
}

HeldStock held(Held state, std::int64_t quantity = 2) {
  HeldStock out{state, {}};
  if (state == Held::reserved) out.lines = {{ProductId{"desk"}, quantity}};
  return out;
}

/// A product of 10, of which 3 are reserved and 4 sold, and everybody says so.
ProductBooks right() {
  ProductBooks books;
  books.ledger = Product{.id = ProductId{"desk"}, .name = "Desk", .currency = "EUR", .price_minor = 500, .stocked = 10, .reserved = 3, .sold = 4, .version = 1};
  books.held = 3;
  books.by_hand = 10;
  books.redis = StockNumbers{3, 3, 4, 10, 500, "EUR"};
  return books;
}

std::vector<std::string> kinds(const std::vector<Difference>& found) {
  std::vector<std::string> out;
  for (const Difference& one : found) out.push_back(std::string(to_string(one.kind)) + "/" + std::string(to_string(one.mend)));
  return out;
}
using Kinds = std::vector<std::string>;

std::string one(const std::optional<Difference>& found) {
  return found ? std::string(to_string(found->kind)) + "/" + std::string(to_string(found->mend)) : "none";
}

OrderSays order(std::string status, bool open = false, Millis updated = long_ago) { return {std::move(status), open, updated, now + 5'000}; }

}  // namespace

BOOST_AUTO_TEST_SUITE(audit)

BOOST_AUTO_TEST_CASE(a_product_of_which_all_say_the_same) {
  BOOST_TEST(compare(right()).empty());
}

BOOST_AUTO_TEST_CASE(what_is_under_way_is_no_difference) {
  struct Case {
    const char* what;
    State ledger;
    HeldStock redis;
    std::int64_t reserved, sold, redis_reserved, redis_sold;  // totals of the ledger, counts of Redis
  };
  const Case cases[] = {
      {"asked, not reserved yet", State::reserving, held(Held::none), 3, 4, 3, 4},
      {"asked, reserved, not recorded yet", State::reserving, held(Held::reserved), 3, 4, 5, 4},
      {"asked, refused, not recorded yet", State::reserving, held(Held::failed), 3, 4, 3, 4},
      {"released, not told yet", State::released, held(Held::reserved), 1, 4, 3, 4},
      {"released, told, not recorded yet", State::released, held(Held::released), 1, 4, 1, 4},
      {"sold, not told yet", State::sold, held(Held::reserved), 1, 6, 3, 4},
      {"sold, told, not recorded yet", State::sold, held(Held::sold), 1, 6, 1, 6},
  };
  for (const Case& each : cases) {
    BOOST_TEST_CONTEXT(each.what) {
      ProductBooks books = right();
      books.ledger.reserved = books.held = each.reserved;
      books.ledger.sold = each.sold;
      books.unsettled = {{reservation(each.ledger, 2, false), each.redis}};
      books.redis = StockNumbers{10 - each.redis_reserved - each.redis_sold, each.redis_reserved, each.redis_sold, 10, 500, "EUR"};
      BOOST_TEST(kinds(compare(books)) == Kinds{}, boost::test_tools::per_element());
      books.redis->available += 1;
      BOOST_TEST(kinds(compare(books)) == Kinds{"counters/rebuild"}, boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(changes_by_hand_that_are_under_way) {
  ProductBooks books = right();
  books.ledger.stocked = books.by_hand = 15;
  books.hands = {{5, true, false}};   // given, and Redis has not been told
  BOOST_TEST(compare(books).empty());
  books.hands = {{5, true, true}};
  books.redis->stocked = 15;
  books.redis->available = 8;
  BOOST_TEST(compare(books).empty());
  books = right();
  books.hands = {{-2, false, true}};  // taken from Redis, and not recorded yet
  books.redis->stocked = 8;
  books.redis->available = 1;
  BOOST_TEST(compare(books).empty());
}

BOOST_AUTO_TEST_CASE(redis_that_counts_otherwise_is_rebuilt) {
  ProductBooks books = right();
  books.redis->sold = 5;
  BOOST_TEST(kinds(compare(books)) == Kinds{"counters/rebuild"}, boost::test_tools::per_element());
  books.redis.reset();
  BOOST_TEST(kinds(compare(books)) == Kinds{"counters/rebuild"}, boost::test_tools::per_element());
  books = right();
  books.redis->price_minor = 499;
  BOOST_TEST(kinds(compare(books)) == Kinds{"counters/rebuild"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_ledger_that_contradicts_itself_is_for_a_person) {
  ProductBooks books = right();
  books.held = 2;
  BOOST_TEST(kinds(compare(books)) == Kinds{"ledger/person"}, boost::test_tools::per_element());
  BOOST_TEST(compare(books).front().how.find("UPDATE products SET reserved = 2 WHERE product_id = 'desk'") != std::string::npos);
  books = right();
  books.by_hand = 9;
  BOOST_TEST(kinds(compare(books)) == Kinds{"ledger/person"}, boost::test_tools::per_element());
  // Redis and the rows agree against the totals.
  books = right();
  books.ledger.sold = 5;
  books.sold_by_rows = 4;
  BOOST_TEST((kinds(compare(books)) == Kinds{"ledger/person", "counters/person"}));
  // Rows that retention has deleted are no difference where Redis and the totals agree.
  books = right();
  books.sold_by_rows = 1;
  BOOST_TEST(compare(books).empty());
}

BOOST_AUTO_TEST_CASE(reservations) {
  const Reservation reserved = reservation(State::reserved), reserving = reservation(State::reserving), sold = reservation(State::sold),
                    sold_untold = reservation(State::sold, 2, false), released = reservation(State::released), failed = reservation(State::failed);
  struct Case {
    const Reservation* ledger;
    HeldStock redis;
    const char* wanted;
  };
  const Case cases[] = {
      {nullptr, held(Held::none), "none"},
      {nullptr, held(Held::released), "none"},      // a tombstone
      {nullptr, held(Held::reserved), "reservation/rebuild"},
      {&reserved, held(Held::reserved), "none"},
      {&reserved, held(Held::reserved, 3), "reservation/rebuild"},
      {&reserved, held(Held::none), "reservation/rebuild"},
      {&reserved, held(Held::sold), "reservation/rebuild"},
      {&reserving, held(Held::none), "none"},
      {&reserving, held(Held::reserved), "none"},
      {&sold, held(Held::sold), "none"},
      {&sold, held(Held::none), "none"},            // its key had its time
      {&sold, held(Held::reserved), "reservation/rebuild"},
      {&sold_untold, held(Held::reserved), "none"},
      {&released, held(Held::released), "none"},
      {&released, held(Held::sold), "reservation/rebuild"},
      {&failed, held(Held::failed), "none"},
      {&failed, held(Held::reserved), "reservation/rebuild"},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i)
    BOOST_TEST_CONTEXT("case " << i) BOOST_TEST(one(compare("o-1", cases[i].ledger, cases[i].redis)) == cases[i].wanted);
}

BOOST_AUTO_TEST_CASE(orders_against_the_ledger) {
  const Reservation reserved = reservation(State::reserved), sold = reservation(State::sold), released = reservation(State::released),
                    failed = reservation(State::failed);
  struct Case {
    std::optional<OrderSays> order;
    const Reservation* ledger;
    const char* wanted;
  };
  const Case cases[] = {
      {order("pending", true), nullptr, "none"},
      {order("pending", true), &reserved, "none"},  // asks again
      {order("inventory_reserved", true), &reserved, "none"},
      {order("inventory_reserved", true), nullptr, "order/person"},
      {order("inventory_reserved", true), &released, "order/person"},
      {order("paid", true), &sold, "none"},
      {order("paid", true), &failed, "order/person"},
      {order("shipped"), &sold, "none"},
      {order("shipped"), &reserved, "order/itself"},
      {order("shipped"), nullptr, "order/person"},
      {order("cancelled"), &released, "none"},
      {order("cancelled"), nullptr, "none"},
      {order("cancelled", true), &reserved, "order/itself"},
      {order("payment_failed"), &reserved, "order/itself"},
      {order("cancelled"), &sold, "order/person"},
      {std::nullopt, nullptr, "none"},
      {std::nullopt, &reserved, "order/itself"},
      {std::nullopt, &released, "none"},
      {order("cancelled", true, now - 1'000), &reserved, "none"},  // under way
  };
  for (std::size_t i = 0; i < std::size(cases); ++i)
    BOOST_TEST_CONTEXT("case " << i)
      BOOST_TEST(one(compare("o-1", cases[i].order ? &*cases[i].order : nullptr, cases[i].ledger, now)) == cases[i].wanted);
}

BOOST_AUTO_TEST_CASE(topics_against_orders) {
  auto said = [](std::initializer_list<Topic> topics, Millis at = long_ago) {
    TopicsSay out;
    for (Topic topic : topics) hear(out, topic, "x[0]@1", at);
    return out;
  };
  using enum Topic;
  struct Case {
    TopicsSay topics;
    const char* status;  // null: no such order
    const char* wanted;
  };
  const Case cases[] = {
      {said({order_placed, inventory_reserved, order_shipped}), "shipped", "none"},
      {said({order_placed, inventory_reserved, order_cancelled, inventory_release_requested}), "cancelled", "none"},
      {said({order_placed, inventory_failed}), "cancelled", "none"},
      {said({order_placed, order_shipped}), "cancelled", "topics/person"},
      {said({order_placed, order_shipped}, now - 1'000), "cancelled", "none"},  // under way
      {said({order_placed, inventory_reserved}), "pending", "topics/itself"},
      {said({order_placed, inventory_failed}), "paid", "topics/person"},
      {said({order_placed}), nullptr, "none"},                                   // not a matter of stock
      {said({inventory_reserved}), nullptr, "topics/itself"},
      {said({inventory_reserved, inventory_release_requested}), nullptr, "none"},  // came without its order, and was undone
      {said({order_shipped}), nullptr, "topics/itself"},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    const std::string status = cases[i].status == nullptr ? "" : cases[i].status;
    BOOST_TEST_CONTEXT("case " << i)
      BOOST_TEST(one(compare("o-1", cases[i].topics, cases[i].status == nullptr ? nullptr : &status, now)) == cases[i].wanted);
  }
}

BOOST_AUTO_TEST_CASE(the_same_difference_at_another_moment) {
  const Reservation reserved = reservation(State::reserved);
  auto first = compare("o-1", &reserved, held(Held::none)), second = first;
  second->since += 5;
  BOOST_TEST(same(*first, *second));
  second->says.back().what = "sold";
  BOOST_TEST(!same(*first, *second));
}

BOOST_AUTO_TEST_SUITE_END()
