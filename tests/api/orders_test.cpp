// Orders that are there: shown, listed, cancelled, watched.
#include "tests/api/world.hpp"

#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>
#include <set>

using namespace cartwright;
using namespace cartwright::tests;

BOOST_FIXTURE_TEST_SUITE(orders, Fixture)

BOOST_AUTO_TEST_CASE(an_order_is_shown_until_it_changes) {
  const std::string id = place_one();
  const Got first = ask("GET", "/v1/orders/" + id);
  BOOST_TEST(first.status == 200);
  const std::string etag = first.headers.at("ETag");
  const Got same = ask("GET", "/v1/orders/" + id, "", {{"If-None-Match", "\"x\", W/" + etag}});
  BOOST_TEST(same.status == 304);
  BOOST_TEST(same.body.empty());
  in(world, [&](World& w) { set_state(w, id, order::State::cancelled, "expire"); });
  BOOST_TEST(ask("GET", "/v1/orders/" + id, "", {{"If-None-Match", etag}}).status == 200);
  const Json history = ask("GET", "/v1/orders/" + id + "/history").json();
  BOOST_TEST(history["items"].size() == 2u);
  BOOST_TEST(history["items"][0]["event"] == "order.placed");
  BOOST_TEST(history["items"][1]["version"] == 2);
  BOOST_TEST(ask("HEAD", "/v1/orders/" + id).status == 200);
}

BOOST_AUTO_TEST_CASE(what_is_not_known_is_404) {
  in(world, [](World& w) {
    order::Order order;
    order.id.value = "early";
    w.orders["early"] = {"early", 1, "unknown", "", true, 0, 1, 1, codec().write(order)};
  });
  for (const char* target :
       {"/v1/orders/nobody", "/v1/orders/early", "/v1/orders/a%20b", "/v1/orders/nobody/history",
        "/v1/orders/nobody/events", "/v1/orders/nobody/notifications", "/v1/orders/nobody/charges", "/v1/nothing",
        "/v2/orders", "/v1/orders/", "/v1/orders/x/y", "/", "/v1/stock/nothing"})
    check_problem(ask("GET", target), 404);
  check_problem(ask("POST", "/v1/orders/nobody/cancel"), 404);
}

BOOST_AUTO_TEST_CASE(a_reader_that_is_away_is_503) {
  in(world, [](World& w) { w.readable = false; });
  for (const char* target :
       {"/v1/orders/x", "/v1/orders/x/history", "/v1/orders", "/v1/orders/x/events", "/v1/stock/x", "/v1/stock"})
    check_problem(ask("GET", target), 503);
}

BOOST_AUTO_TEST_CASE(a_list_has_every_order_once_page_by_page) {
  std::set<std::string> placed;
  for (int i = 0; i < 7; ++i) placed.insert(place_one(i % 2 ? "odd" : "even"));
  in(world, [](World& w) {
    for (int i = 0; i < 20; ++i) {
      order::Order order;
      order.id.value = "zz-" + std::to_string(i);
      w.orders[order.id.value] = {order.id.value, 1, "unknown", "", true, 0, 1, 1, codec().write(order)};
    }
  });
  std::vector<std::string> listed;
  std::string token;
  do {
    const Json page = ask("GET", "/v1/orders?page_size=3" + (token.empty() ? "" : "&page_token=" + token)).json();
    BOOST_TEST(page["items"].size() <= 3u);
    for (const Json& item : page["items"]) listed.push_back(item["order_id"]);
    token = page["next_page_token"].is_null() ? "" : page["next_page_token"].get<std::string>();
  } while (!token.empty());
  BOOST_TEST(listed.size() == 7u);
  BOOST_TEST(std::set<std::string>(listed.begin(), listed.end()) == placed);
  BOOST_TEST(std::is_sorted(listed.rbegin(), listed.rend()));
  BOOST_TEST(ask("GET", "/v1/orders?status=&user_id=&page_size=&page_token=").json()["items"].size() == 7u);
  BOOST_TEST(ask("GET", "/v1/orders?user_id=odd").json()["items"].size() == 3u);
  BOOST_TEST(ask("GET", "/v1/orders?status=paid").json()["items"].size() == 0u);
  for (const std::string& query : {std::string("page_size=0"), std::string("page_size=x"), std::string("page_token=x"),
                                   std::string("status=unknown"), std::string("status=lost"), "user_id=" + std::string(1025, 'u')})
    check_problem(ask("GET", "/v1/orders?" + query), 400);
}

BOOST_AUTO_TEST_CASE(notices_and_charges_are_shown_also_of_foreign_orders) {
  const std::string id = place_one();
  BOOST_TEST(ask("GET", "/v1/orders/" + id + "/notifications").json()["items"].empty());
  BOOST_TEST(ask("GET", "/v1/orders/" + id + "/charges").json()["items"].empty());
  in(world, [&](World& w) {
    notification::Notice notice;
    notice.order.value = id;
    notice.channels = {{"email"}};
    notice.occasion = "order.placed";
    notice.text = "Thanks.";
    notice.created_at = notice.updated_at = 1'700'000'000'000;
    w.notices[id + "/order.placed"] = {id + "/order.placed",  1,                 "sent",           "", false, 0,
                                       notice.created_at, notice.updated_at, codec().write(notice)};
  });
  const Json notices = ask("GET", "/v1/orders/" + id + "/notifications").json();
  BOOST_TEST(
      notices["items"] ==
      json::parse(
          R"([{"channel":"email","occasion":"order.placed","text":"Thanks.","at":"2023-11-14T22:13:20.000Z"}])"));
  const Json charge = ask("GET", "/v1/orders/foreign-1/charges").json()["items"][0];
  BOOST_TEST(charge["kind"] == "charge");
  BOOST_TEST(charge["amount_minor"] == 990);
}

BOOST_AUTO_TEST_CASE(a_cancellation_is_the_owners_decision) {
  const std::string id = place_one();
  const Got answer = ask("POST", "/v1/orders/" + id + "/cancel");
  BOOST_TEST(answer.status == 202);
  BOOST_TEST(answer.json()["status"] == "cancelled");
  BOOST_TEST(ask("POST", "/v1/orders/" + id + "/cancel").status == 202);
  in(world, [&](World& w) { set_state(w, id, order::State::paid, "payment.success"); });
  check_problem(ask("POST", "/v1/orders/" + id + "/cancel"), 409);
  const std::string other = place_one();
  BOOST_TEST(ask("POST", "/v1/orders/" + other + "/retry").status == 202);
}

BOOST_AUTO_TEST_CASE(a_silent_owner_leaves_the_request_standing) {
  deps.patience.command = 300ms;
  const std::string id = place_one();
  in(world, [](World& w) { w.hears_commands = false, w.published.clear(); });
  check_problem(ask("POST", "/v1/orders/" + id + "/cancel"), 504);
  await([](World& w) { return !w.published.empty() && w.published.back().topic == "order.cancel.requested"; });
}

BOOST_AUTO_TEST_CASE(an_owner_elsewhere_is_asked_through_the_log) {
  deps.patience.command = 300ms;
  const std::string id = place_one();
  in(world, [](World& w) { w.owner_here = false; });
  check_problem(ask("POST", "/v1/orders/" + id + "/cancel"), 504);  // nobody listens
  deps.patience.command = 20s;
  handler = {};
  auto cancelling = begin("POST", "/v1/orders/" + id + "/cancel");
  in(world, [&](World& w) { set_state(w, id, order::State::cancelled, "order.cancel.requested"); });
  BOOST_TEST(wait(std::move(cancelling)).status == 202);
  in(world, [&](World& w) {
    BOOST_TEST(w.commands == 0);
    set_state(w, id, order::State::shipped, "order.tracking.updated");
  });
  check_problem(ask("POST", "/v1/orders/" + id + "/cancel"), 409);
  check_problem(ask("POST", "/v1/orders/" + id + "/retry"), 503);
}

BOOST_AUTO_TEST_CASE(events_tell_every_change_until_the_end) {
  const std::string id = place_one();
  http::Server server(http::Options{}, handler);
  server.start();
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  const timeval patience{20, 0};
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  BOOST_REQUIRE(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const std::string text = "GET /v1/orders/" + id + "/events HTTP/1.1\r\nHost: x\r\n\r\n";
  BOOST_REQUIRE(send(client, text.data(), text.size(), 0) > 0);
  std::string got;
  auto read = [&] {
    char bytes[4096];
    const auto size = recv(client, bytes, sizeof bytes, 0);
    if (size > 0) got.append(bytes, static_cast<std::size_t>(size));
    return size > 0;
  };
  while (got.find("\"version\":1}\n\n") == std::string::npos && read()) continue;
  in(world, [&](World& w) {
    set_state(w, id, order::State::inventory_reserved, "inventory.reserved");
    set_state(w, id, order::State::paid, "payment.success");
    set_state(w, id, order::State::shipped, "order.tracking.updated");
  });
  while (read()) continue;
  close(client);
  std::vector<std::string> statuses;
  for (std::size_t at = 0; (at = got.find("data: ", at)) != std::string::npos; ++at)
    statuses.push_back(json::parse(got.substr(at + 6, got.find('\n', at) - at - 6))["status"]);
  BOOST_TEST(statuses == std::vector<std::string>({"pending", "inventory_reserved", "paid", "shipped"}),
             boost::test_tools::per_element());
  BOOST_TEST(got.find("event: order\nid: 4\ndata: {") != std::string::npos);
  BOOST_TEST(ask("GET", "/v1/orders/" + id + "/events", "", {{"Last-Event-ID", "4"}}).status == 204);
}

BOOST_AUTO_TEST_SUITE_END()
