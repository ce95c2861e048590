// What every node answers: health, metrics, methods, roles that are elsewhere, the page, tokens and callbacks.
#include "tests/api/world.hpp"

#include "bridges/signing/signature.hpp"

using namespace cartwright;
using namespace cartwright::tests;

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
