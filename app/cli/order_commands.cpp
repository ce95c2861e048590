// Orders over HTTP.
#include <algorithm>
#include <array>
#include <ctime>
#include <iostream>
#include <map>
#include <random>
#include <thread>

#include "app/cli/commands.hpp"
#include "app/cli/output.hpp"
#include "app/options/text.hpp"
#include "bridges/json/dom.hpp"

namespace cartwright::cli {
namespace {

using json::Json;
using json::shown_of;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto look_again = 100ms;  // order place --wait
constexpr auto follow_again = 1s;   // order watch, after a lost stream
constexpr std::size_t page_max = 500;
constexpr Millis clocks_apart_max = 3'600'000;  // of whoever wrote records before the order was known

// Milliseconds of an RFC 3339 moment in UTC, to the second; 0 for anything else.
Millis moment(const std::string& rfc3339_text) {
  std::tm parts{};
  const char* end = strptime(rfc3339_text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  return end == nullptr ? 0 : Millis{timegm(&parts)} * 1000;
}

std::string lines_of(const Json& order) {
  auto items = order.find("items");
  if (items == order.end() || !items->is_array()) return shown_of(order, "product_id") + ":" + shown_of(order, "quantity");
  std::string all;
  for (const Json& item : *items)
    all += (all.empty() ? "" : " ") + shown_of(item, "product_id") + ":" + shown_of(item, "quantity");
  return all;
}

std::string amount_of(const Json& order) {
  std::string amount = shown_of(order, "amount_minor"), currency = shown_of(order, "currency");
  return amount == "-" || currency == "-" || currency.empty() ? amount : amount + " " + currency + " (minor units)";
}

bool is_end(const Json& order) {
  std::string status = shown_of(order, "status");
  constexpr std::array<std::string_view, 5> ends{"shipped", "delivered", "cancelled", "payment_failed", "refunded"};
  return std::find(ends.begin(), ends.end(), status) != ends.end() && shown_of(order, "waiting_for") == "-";
}

Colour colour_of(const std::string& status) {
  if (status == "shipped" || status == "delivered") return Colour::green;
  return status == "cancelled" || status == "payment_failed" || status == "refunded" ? Colour::red : Colour::yellow;
}

void print_order(const Context& context, const Json& order) {
  if (context.format == Format::json) {
    std::cout << json::dump(order, 2) << '\n';
    return;
  }
  std::string status = shown_of(order, "status"), reason = shown_of(order, "reason");
  std::vector<std::vector<std::string>> rows{
      {"order", shown_of(order, "order_id")},
      {"status", coloured(status, colour_of(status)) + (reason == "-" ? "" : " (" + reason + ")")},
      {"waiting for", shown_of(order, "waiting_for") +
                          (shown_of(order, "waiting_until") == "-" ? "" : " until " + shown_of(order, "waiting_until"))},
      {"user", shown_of(order, "user_id")},
      {"lines", lines_of(order)},
      {"amount", amount_of(order)},
      {"txn", shown_of(order, "txn_id")},
      {"tracking", shown_of(order, "tracking_id")},
      {"created", shown_of(order, "created_at")},
      {"updated", shown_of(order, "updated_at")},
      {"version", shown_of(order, "version")}};
  for (const auto& row : rows)
    std::cout << coloured(row[0], Colour::grey) << std::string(13 - row[0].size(), ' ') << row[1] << '\n';
}

std::string path_of(const std::string& id, const std::string& rest = "") {
  return "/v1/orders/" + url_encoded(id) + rest;
}

Json fetch(HttpClient& client, const std::string& id) {
  std::string tried = "order " + id;
  return read_json(expect_ok(client.get(path_of(id)), tried, client), tried, client);
}

std::string random_key() {
  std::random_device random;
  std::string key = "cli-";
  for (int i = 0; i < 4; ++i) key += std::to_string(random());
  return key;
}

struct OrderLine {
  std::string product;
  std::int64_t quantity = 1;
};

OrderLine line_of(const std::string& text) {
  // The last colon: a product id may have some itself.
  auto colon = text.rfind(':');
  if (colon == std::string::npos) return {text, 1};
  auto quantity = options::number(text.substr(colon + 1));
  if (!quantity.fault.empty() || quantity.value < 1 || colon == 0)
    throw CommandError("the line " + text + " is not PRODUCT:QTY with a quantity of at least 1", exit_usage);
  return {text.substr(0, colon), quantity.value};
}

/// Waits for the end of an order. The last that was seen of it.
Json wait_for_end(HttpClient& client, const std::string& id, std::int64_t timeout_ms) {
  auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  std::string last;
  for (;;) {
    Json order = fetch(client, id);
    if (std::string status = shown_of(order, "status"); status != last) {
      std::cerr << status << '\n';
      last = status;
    }
    if (is_end(order) || interrupted()) return order;
    if (Clock::now() >= deadline)
      throw CommandError("order " + id + ": " + last + " and waiting for " + shown_of(order, "waiting_for") + " after " +
                         options::spell_duration(timeout_ms) + "; look again with `cartwright order get " + id +
                         " --trace`");
    std::this_thread::sleep_for(look_again);
  }
}

int post(const Context& context, const std::string& id, const std::string& verb) {
  HttpClient client = context.http();
  std::string tried = verb + " order " + id;
  auto answer = client.send({"POST", path_of(id, "/" + verb), {}, {}, {}});
  expect_ok(answer, tried, client);
  Json body = json::parse(answer.body);
  print_order(context,
              body.is_object() && body.contains("status") && body["status"].is_string() ? body : fetch(client, id));
  return exit_ok;
}

/// The items of a list's pages, `limit` of them at most, and whether there are more.
std::pair<Json, bool> pages_of(const Context& context, const std::string& path, const std::string& filter, std::size_t limit, const std::string& tried) {
  HttpClient client = context.http();
  Json all = Json::array();
  std::string token;
  bool more = true;
  while (more && all.size() < limit) {
    std::string target = path + "?page_size=" + std::to_string(std::min(page_max, limit - all.size())) + filter;
    if (!token.empty()) target += "&page_token=" + url_encoded(token);
    Json page = read_json(expect_ok(client.get(target), tried, client), tried, client);
    Json items = page.value("items", Json::array());
    for (Json& item : items)
      if (all.size() < limit) all.push_back(std::move(item));
    token = shown_of(page, "next_page_token");
    more = token != "-" && !token.empty() && !items.empty();
  }
  return {std::move(all), more};
}

}  // namespace

int order_place(const Context& context, const OrderPlace& what) {
  Json body{{"user_id", what.user}};
  std::vector<OrderLine> lines;
  for (const auto& one : what.lines) lines.push_back(line_of(one));
  if (lines.size() == 1) {
    body["product_id"] = lines[0].product;
    body["quantity"] = lines[0].quantity;
  } else {
    for (const OrderLine& line : lines)
      body["items"].push_back({{"product_id", line.product}, {"quantity", line.quantity}});
  }
  if (!what.payment_token.empty()) body["payment_token"] = what.payment_token;
  HttpClient client = context.http();
  std::string text_of_body = json::dump(body);
  // With a key of its own a lost connection does not place it twice.
  std::string key = what.idempotency_key.empty() ? random_key() : what.idempotency_key;
  auto answer = client.send({"POST", "/v1/orders", text_of_body, "application/json", {{"Idempotency-Key", key}}});
  Json order = read_json(expect_ok(answer, "placing an order", client), "placing an order", client);
  if (!what.wait) {
    print_order(context, order);
    return exit_ok;
  }
  catch_interrupts();
  std::string id = shown_of(order, "order_id");
  std::cerr << "order " << id << '\n';
  order = wait_for_end(client, id, what.timeout_ms);
  print_order(context, order);
  std::string status = shown_of(order, "status");
  return status == "shipped" || status == "delivered" ? exit_ok : exit_failure;
}

int order_get(const Context& context, const OrderGet& what) {
  HttpClient client = context.http();
  if (!what.trace) {
    print_order(context, fetch(client, what.id));
    return exit_ok;
  }
  // The trace is for the days when something is wrong: it needs the topics, not the node.
  Millis since = 0;
  try {
    Json order = fetch(client, what.id);
    if (context.format == Format::table) {
      print_order(context, order);
      std::cout << '\n';
    }
    if (Millis created = moment(shown_of(order, "created_at")); created > 0)
      since = std::max<Millis>(1, created - context.options.settings.orphan_ttl - clocks_apart_max);
  } catch (const CommandError& error) {
    std::cerr << "cartwright: " << error.what() << "\n";
  }
  return print_trace(context, what.id, since);
}

int order_list(const Context& context, const OrderList& what) {
  std::string filter;
  if (!what.status.empty()) filter += "&status=" + url_encoded(what.status);
  if (!what.user.empty()) filter += "&user_id=" + url_encoded(what.user);
  auto [all, more] = pages_of(context, "/v1/orders", filter, what.limit, "listing orders");
  if (context.format == Format::json) {
    std::cout << json::dump(all, 2) << '\n';
    return exit_ok;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& order : all) {
    std::string status = shown_of(order, "status"), reason = shown_of(order, "reason");
    rows.push_back({shown_of(order, "order_id"), coloured(status, colour_of(status)), reason, shown_of(order, "waiting_for"),
                    shown_of(order, "user_id"), shown_of(order, "updated_at"), lines_of(order)});
  }
  print_table(std::cout, {"ORDER", "STATUS", "REASON", "WAITING FOR", "USER", "UPDATED", "LINES"}, rows);
  if (more) std::cerr << "there are more; --limit shows them\n";
  return exit_ok;
}

int order_parked(const Context& context, std::size_t limit) {
  auto [all, more] = pages_of(context, "/v1/parked", "", limit, "listing the orders that are set aside");
  if (context.format == Format::json) {
    std::cout << json::dump(all, 2) << '\n';
    return exit_ok;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& order : all)
    rows.push_back({shown_of(order, "order_id"), shown_of(order, "since"), shown_of(order, "restarts"), shown_of(order, "next_try"), shown_of(order, "records"), shown_of(order, "reason")});
  print_table(std::cout, {"ORDER", "SINCE", "DIED", "TRIED AGAIN", "RECORDS", "REASON"}, rows);
  if (more) std::cerr << "there are more; --limit shows them\n";
  return exit_ok;
}

int order_watch(const Context& context, const std::string& id) {
  catch_interrupts();
  HttpClient client = context.http();
  bool ended = false;
  std::string last;
  auto show = [&](std::string_view data) {
    Json order = json::parse(data);
    if (!order.is_object()) return true;
    ended = is_end(order);
    if (shown_of(order, "version") == last) return !ended;  // said before the stream was lost
    last = shown_of(order, "version");
    if (context.format == Format::json) {
      std::cout << json::dump(order) << std::endl;
    } else {
      std::string status = shown_of(order, "status"), reason = shown_of(order, "reason"), waiting = shown_of(order, "waiting_for");
      std::cout << coloured(shown_of(order, "updated_at"), Colour::grey) << "  " << coloured(status, colour_of(status))
                << (reason == "-" ? "" : " (" + reason + ")") << (waiting == "-" ? "" : ", waiting for " + waiting)
                << (shown_of(order, "tracking_id") == "-" ? "" : ", tracking " + shown_of(order, "tracking_id")) << std::endl;
    }
    return !ended && !interrupted();
  };
  bool seen = false;
  while (!ended && !interrupted()) {
    auto answer = client.follow(path_of(id, "/events"), show, [] { return !interrupted(); });
    if (ended || interrupted()) break;
    // The first failure is told; later ones are a node that comes back.
    bool retry = seen && (!answer.fault.empty() || answer.status >= 500 || answer.status == 200);
    if (!retry && answer.status != 200) expect_ok(answer, "watching order " + id, client);
    if (answer.status == 204) break;
    seen = true;
    if (!answer.fault.empty()) std::cerr << "lost " << client.shown() << " (" << answer.fault << "); trying again\n";
    std::this_thread::sleep_for(follow_again);
  }
  return exit_ok;
}

int order_cancel(const Context& context, const std::string& id) { return post(context, id, "cancel"); }
int order_retry(const Context& context, const std::string& id) { return post(context, id, "retry"); }

}  // namespace cartwright::cli
