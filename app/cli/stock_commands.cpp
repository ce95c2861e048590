// Stock over HTTP.
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "app/cli/commands.hpp"
#include "app/cli/output.hpp"

namespace cartwright::cli {
namespace {

using Json = nlohmann::json;

std::string text(const Json& object, const char* name) {
  auto at = object.find(name);
  if (at == object.end() || at->is_null()) return "-";
  return at->is_string() ? at->get<std::string>() : at->dump();
}

void print_stock(const Context& context, const Json& body) {
  if (context.format == Format::json) {
    std::cout << body.dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  auto add = [&](const Json& one) {
    rows.push_back({text(one, "product_id"), text(one, "available"), text(one, "reserved"), text(one, "sold"),
                    text(one, "stocked"), text(one, "price_minor"), text(one, "currency"), text(one, "name")});
  };
  if (body.is_array())
    for (const Json& one : body) add(one);
  else
    add(body);
  print_table(std::cout, {"PRODUCT", "AVAILABLE", "RESERVED", "SOLD", "STOCKED", "PRICE", "CURRENCY", "NAME"}, rows);
}

int answered(const Context& context, const HttpAnswer& answer, const std::string& tried, const HttpClient& client) {
  Json body = Json::parse(expect_ok(answer, tried, client).body, nullptr, false);
  if (body.is_discarded())
    throw CommandError(tried + ": " + client.shown() +
                       " answered something that is not JSON: is it a Cartwright node?");
  print_stock(context, body);
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
  std::string bytes = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  HttpClient client = context.http();
  return answered(context, client.send({"PUT", path_of(what.product), bytes, "application/json", {}}),
                  "setting the stock of " + what.product, client);
}

int stock_adjust(const Context& context, const StockAdjust& what) {
  Json body{{"delta", what.delta}, {"reason", what.reason}};
  std::string bytes = body.dump(-1, ' ', false, Json::error_handler_t::replace), key = what.idempotency_key;
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
    auto answer = client.get(target);
    Json page = Json::parse(expect_ok(answer, "listing the stock", client).body, nullptr, false);
    const Json& items = page.is_object() ? page["items"] : page;
    if (items.is_array()) all.insert(all.end(), items.begin(), items.end());
    token = page.is_object() ? text(page, "next_page_token") : "-";
  } while (token != "-" && !token.empty());
  print_stock(context, all);
  return exit_ok;
}

}  // namespace cartwright::cli
