// The doors' side of the store: orders are placed, and questions answered.
#include "tests/store/fixture.hpp"

#include <algorithm>

using namespace store_test;

BOOST_DATA_TEST_CASE(placing_with_a_known_key_returns_the_first_answer, data::make(databases()), kind) {
  Fixture f(kind);
  const auto place = [&](std::vector<std::shared_ptr<const Placement>> all) {
    return f.ask<Placed>(f.store, Place{std::move(all)}).results;
  };
  // o2 and o1 share a key in one message; o3 has none.
  const auto first = place({placement(1, "o1", "k1"), placement(2, "o2", "k1", "other"), placement(3, "o3")});
  BOOST_REQUIRE(first.size() == 3U);
  BOOST_TEST(first[0].result == PlaceResult::placed);
  BOOST_TEST(first[1].result == PlaceResult::known);
  BOOST_TEST(first[1].id == 2U);
  BOOST_TEST(first[1].stored->location == "/v1/orders/o1");
  BOOST_TEST(first[1].stored->request_hash == "h");
  BOOST_TEST(first[2].result == PlaceResult::placed);
  BOOST_TEST(!f.find("o2").has_value());
  BOOST_TEST(f.history("o1").size() == 1U);
  const auto again = place({placement(4, "o4", "k1")});
  BOOST_TEST(again[0].result == PlaceResult::known);
  BOOST_TEST(again[0].stored->status == 202);
  BOOST_TEST(!f.find("o4").has_value());
  // The very same placement, because its answer was lost.
  BOOST_TEST(place({placement(1, "o1", "k1"), placement(3, "o3")})[0].result == PlaceResult::placed);
  BOOST_TEST(f.history("o1").size() == 1U);
  BOOST_TEST(f.take(2).open.size() == 2U);
  BOOST_TEST(f.ask<FoundAnswer>(f.reader, FindAnswer{"k1"}).answer->location == "/v1/orders/o1");
  // After a day the key is free.
  f.now += day;
  BOOST_TEST(!f.ask<FoundAnswer>(f.reader, FindAnswer{"k1"}).answer.has_value());
  BOOST_TEST(place({placement(5, "o5", "k1", "h", f.now)})[0].result == PlaceResult::placed);
  BOOST_TEST(f.ask<FoundAnswer>(f.reader, FindAnswer{"k1"}).answer->location == "/v1/orders/o5");
}

BOOST_DATA_TEST_CASE(placements_of_many_doors_are_answered_each, data::make(databases()), kind) {
  Fixture f(kind);
  using Handle = decltype(f.self->request(f.store, 20s, Place{}));
  std::vector<Handle> pending;
  constexpr std::size_t doors = 200;
  for (std::size_t i = 0; i < doors; ++i) {
    const std::string n = std::to_string(i);
    pending.push_back(f.self->request(
        f.store, 20s,
        Place{{placement(2 * i, "a" + n, "key" + std::to_string(i / 2)), placement(2 * i + 1, "b" + n)}}));
  }
  std::size_t placed = 0;
  for (std::size_t i = 0; i < doors; ++i)
    pending[i].receive(
        [&](Placed& reply) {
          BOOST_REQUIRE(reply.results.size() == 2U);
          BOOST_TEST(reply.results[0].id == 2 * i);
          BOOST_TEST(reply.results[1].id == 2 * i + 1);
          BOOST_TEST(reply.results[1].result == PlaceResult::placed);
          if (reply.results[0].result == PlaceResult::placed) ++placed;
        },
        [&](caf::error& error) { BOOST_FAIL(to_string(error)); });
  BOOST_TEST(placed == doors / 2);
}

// ---- questions
// -------------------------------------------------------------------------------------------------------

BOOST_DATA_TEST_CASE(rows_are_listed_page_by_page, data::make(databases()), kind) {
  Fixture f(kind);
  Turn turn = f.turn(f.take());
  for (int i = 0; i < 9; ++i) {
    Row each = row("o" + std::to_string(i), 1, i % 2 == 0 ? "pending" : "paid");
    each.owner = i % 3 == 0 ? "ann" : "bob";
    turn.rows.push_back(each);
  }
  turn.rows.push_back(row("O:upper"));
  turn.rows.push_back(row("o~tilde"));
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  const auto list = [&](const std::string& state, const std::string& owner, const std::string& before, int limit) {
    return keys_of(f.ask<Loaded>(f.reader, ListRows{state, owner, before, limit}).rows);
  };
  BOOST_TEST(list("", "", "", 3) == (Keys{"o~tilde", "o8", "o7"}), boost::test_tools::per_element());
  BOOST_TEST(list("", "", "o7", 2) == (Keys{"o6", "o5"}), boost::test_tools::per_element());
  BOOST_TEST(list("", "", "o0", 2) == (Keys{"O:upper"}), boost::test_tools::per_element());
  BOOST_TEST(list("paid", "", "", 2) == (Keys{"o7", "o5"}), boost::test_tools::per_element());
  BOOST_TEST(list("", "bob", "o8", 2) == (Keys{"o7", "o5"}), boost::test_tools::per_element());
  BOOST_TEST(list("paid", "ann", "", 9) == (Keys{"o3"}), boost::test_tools::per_element());
  for (const char* state : {"cancelled", "delivered", "shipped"}) BOOST_TEST(list(state, "", "", 9).empty());
  Turn ends = f.turn(f.take());
  ends.rows = {row("o1", 2, "cancelled"), row("o2", 2, "shipped"), row("o4", 2, "cancelled")};
  for (Row& each : ends.rows) each.open = false;
  BOOST_TEST(f.commit(ends).result == CommitResult::ok);
  BOOST_TEST(list("cancelled", "", "", 9) == (Keys{"o4", "o1"}), boost::test_tools::per_element());
  BOOST_TEST(list("cancelled", "", "o4", 9) == (Keys{"o1"}), boost::test_tools::per_element());
  BOOST_TEST(list("shipped", "", "", 9) == (Keys{"o2"}), boost::test_tools::per_element());
  BOOST_TEST(list("pending", "", "o8", 9) == (Keys{"o6", "o0", "O:upper"}), boost::test_tools::per_element());
  const auto under = [&](const std::string& prefix, int limit) {
    return keys_of(f.ask<Loaded>(f.reader, RowsUnder{prefix, limit}).rows);
  };
  BOOST_TEST(under("O", 9) == (Keys{"O:upper"}), boost::test_tools::per_element());
  BOOST_TEST(under("o", 2) == (Keys{"o0", "o1"}), boost::test_tools::per_element());
}
