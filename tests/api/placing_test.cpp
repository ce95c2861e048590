// Orders over HTTP: one and in batches, repeated, and while the store is away, silent or loses its answers.
#include "tests/api/world.hpp"

#include <map>
#include <set>
#include <thread>

using namespace cartwright;
using namespace cartwright::tests;

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
  await([](World& w) { return !w.published.empty(); });
  in(world, [&](World& w) {
    BOOST_TEST(w.published.size() == 1u);
    BOOST_TEST(w.published[0].topic == "order.placed");
    BOOST_TEST(*w.published[0].key == id);
    const Json placed = json::parse(*w.published[0].value);
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
  in(world, [](World& w) { w.store = World::Store::away; });
  const std::string body = R"({"product_id":"p","quantity":1,"user_id":"u"})";
  const Got answer = post("/v1/orders", body, {{"Idempotency-Key", "k"}});
  check_problem(answer, 503);
  BOOST_TEST(answer.headers.contains("Retry-After"));
  in(world, [](World& w) { w.store = World::Store::works; });
  BOOST_TEST(post("/v1/orders", body, {{"Idempotency-Key", "k"}}).status == 202);
}

BOOST_AUTO_TEST_CASE(a_commit_whose_answer_is_lost_is_never_said_to_be_refused) {
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
  });
  await([](World& w) { return !w.published.empty(); });  // the answer does not wait for it
  in(world, [](World& w) { BOOST_TEST(w.published.size() == 1u); });
}

BOOST_AUTO_TEST_CASE(an_order_in_doubt_is_an_unknown_outcome_in_the_end) {
  deps.patience.place = 2s;
  in(world, [](World& w) { w.store = World::Store::loses_answers; });
  const Got answer = post("/v1/orders", R"({"product_id":"p","quantity":1,"user_id":"u"})");
  check_problem(answer, 504);
  in(world, [&](World& w) { BOOST_TEST(w.orders.contains(answer.json()["order_id"].get<std::string>())); });
}

BOOST_AUTO_TEST_CASE(a_silent_store_is_an_unknown_outcome_that_names_the_order) {
  deps.patience.place = 2s;
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
  for (std::string_view line : api::lines_of(answer.body)) lines.push_back(json::parse(line));
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
