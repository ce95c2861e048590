// Stock over HTTP.
#include <iostream>
#include <random>

#include "app/cli/commands.hpp"
#include "app/cli/output.hpp"
#include "bridges/json/dom.hpp"

namespace cartwright::cli {
namespace {

using json::Json;
using json::shown_of;

void print_stock(const Context& context, const Json& body) {
  if (context.format == Format::json) {
    std::cout << json::dump(body, 2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  auto add = [&](const Json& one) {
    rows.push_back({shown_of(one, "product_id"), shown_of(one, "available"), shown_of(one, "reserved"), shown_of(one, "sold"),
                    shown_of(one, "stocked"), shown_of(one, "price_minor"), shown_of(one, "currency"), shown_of(one, "name")});
  };
  if (body.is_array())
    for (const Json& one : body) add(one);
  else
    add(body);
  print_table(std::cout, {"PRODUCT", "AVAILABLE", "RESERVED", "SOLD", "STOCKED", "PRICE", "CURRENCY", "NAME"}, rows);
}

int answered(const Context& context, const HttpAnswer& answer, const std::string& tried, const HttpClient& client) {
  print_stock(context, read_json(expect_ok(answer, tried, client), tried, client));
  return exit_ok;
}

std::string path_of(const std::string& product, const std::string& rest = "") {
  return "/v1/stock/" + url_encoded(product) + rest;
}

}  // namespace

int stock_set(const Context& context, const StockSet& what) {
  Json body{{"quantity", what.quantity}};
  if (what.price_minor >= 0) body["price_minor"] = what.price_minor;
  if (!what.currency.empty()) body["currency"] = what.currency;
  if (!what.name.empty()) body["name"] = what.name;
  std::string bytes = json::dump(body);
  HttpClient client = context.http();
  return answered(context, client.send({"PUT", path_of(what.product), bytes, "application/json", {}}),
                  "setting the stock of " + what.product, client);
}

int stock_adjust(const Context& context, const StockAdjust& what) {
  Json body{{"delta", what.delta}, {"reason", what.reason}};
  std::string bytes = json::dump(body), key = what.idempotency_key;
  // With a key of its own a lost connection does not adjust twice.
  if (std::random_device random; key.empty()) key = "cli-" + std::to_string(random()) + std::to_string(random());
  HttpClient client = context.http();
  return answered(
      context,
      client.send(
          {"POST", path_of(what.product, "/adjustments"), bytes, "application/json", {{"Idempotency-Key", key}}}),
      "adjusting the stock of " + what.product, client);
}

int stock_get(const Context& context, const std::string& product) {
  HttpClient client = context.http();
  return answered(context, client.get(path_of(product)), "stock of " + product, client);
}

int stock_list(const Context& context) {
  HttpClient client = context.http();
  Json all = Json::array();
  std::string token;
  do {
    std::string target = "/v1/stock?page_size=1000" + (token.empty() ? "" : "&page_token=" + url_encoded(token));
    const std::string tried = "listing the stock";
    const HttpAnswer answer = client.get(target);
    Json page = read_json(expect_ok(answer, tried, client), tried, client);
    const Json& items = page.is_object() ? page["items"] : page;
    if (items.is_array()) all.insert(all.end(), items.begin(), items.end());
    token = page.is_object() ? shown_of(page, "next_page_token") : "-";
  } while (token != "-" && !token.empty());
  print_stock(context, all);
  return exit_ok;
}

}  // namespace cartwright::cli
