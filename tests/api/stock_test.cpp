// Stock by hand over HTTP: set, adjusted, repeated, and while Redis or the ledger is away.
#include "tests/api/world.hpp"

#include <thread>

using namespace cartwright;
using namespace cartwright::tests;

BOOST_FIXTURE_TEST_SUITE(stock_by_hand, Fixture)

BOOST_AUTO_TEST_CASE(a_product_is_made_counted_and_changed) {
  const Got made = ask("PUT", "/v1/stock/p-1", R"({"quantity":10,"price_minor":250,"currency":"EUR","name":"Pen"})");
  BOOST_TEST(made.status == 201);
  BOOST_TEST(made.headers.at("Location") == "/v1/stock/p-1");
  BOOST_TEST(
      made.json() ==
      json::parse(
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
  deps.patience.hand = 1s;
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
  await([](World& w) { return w.counts["p-1"].available == 13; });
  for (int status = 0; status != 200; std::this_thread::sleep_for(20ms))
    status = post("/v1/stock/p-1/adjustments", body, {{"Idempotency-Key", "a"}}).status;
  BOOST_TEST(ask("GET", "/v1/stock/p-1").json()["available"] == 13);
}

BOOST_AUTO_TEST_CASE(an_unwritable_ledger_changes_nothing) {
  deps.patience.hand = 300ms;
  in(world, [](World& w) { w.store = World::Store::away; });
  check_problem(ask("PUT", "/v1/stock/p-1", R"({"quantity":15})"), 503);
  in(world, [](World& w) { BOOST_TEST(w.counts.empty()); });
}

BOOST_AUTO_TEST_CASE(a_change_that_may_have_been_written_is_504) {
  deps.patience.hand = 300ms;
  in(world, [](World& w) { w.store = World::Store::loses_answers; });
  const auto answer = ask("PUT", "/v1/stock/p-1", R"({"quantity":15})");
  check_problem(answer, 504);
  BOOST_TEST(answer.json()["title"] == "Outcome unknown");
}

BOOST_AUTO_TEST_CASE(a_change_waits_for_a_ledger_that_is_away_for_a_moment) {
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
