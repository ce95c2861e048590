// What the load generator says and asks over HTTP beside placing orders; the only part of it that reads JSON.
#include <algorithm>
#include <chrono>
#include <thread>

#include "actors/limits.hpp"
#include "app/cli/load.hpp"
#include "bridges/json/dom.hpp"

namespace cartwright::cli {
namespace {

using json::Json;
using json::number_of;
using json::text_of;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto look_again = 100ms;
constexpr std::size_t problems_shown_max = 5;
constexpr std::int64_t runs_stocked = 10, units_more = 1000;  // later runs with the same products need not stock again

Json stock_of(HttpClient& client, const std::string& product) {
  std::string tried = "reading the stock of " + product;
  Json stock = json::parse(expect_ok(client.get("/v1/stock/" + url_encoded(product)), tried, client).body);
  if (!stock.is_object()) throw CommandError(tried + ": " + client.shown() + " answered something that is no stock");
  return stock;
}

std::string fault_of_stock(const Json& stock, const std::string& product, std::int64_t sold_before,
                           std::int64_t shipped) {
  auto available = number_of(stock, "available", -1), reserved = number_of(stock, "reserved", -1),
       sold = number_of(stock, "sold", -1), stocked = number_of(stock, "stocked", -1);
  std::string said = product + ": available " + std::to_string(available) + ", reserved " + std::to_string(reserved) +
                     ", sold " + std::to_string(sold) + ", stocked " + std::to_string(stocked);
  if (available + reserved + sold != stocked) return said + ": do not add up";
  if (reserved != 0) return said + ": something is still reserved";
  if (sold - sold_before != shipped)
    return said + ": " + std::to_string(shipped) + " were shipped, " + std::to_string(sold - sold_before) + " are sold";
  return {};
}

std::string fault_of_order(HttpClient& client, const Sample& one) {
  auto answer = client.get("/v1/orders/" + url_encoded(one.id));
  if (!answer.fault.empty()) return "order " + one.id + ": " + answer.fault;
  Json order = json::parse(answer.body);
  if (answer.status != 200 || !order.is_object())
    return "order " + one.id + ": GET answered " + std::to_string(answer.status);
  std::string status = text_of(order, "status"), waiting = text_of(order, "waiting_for");
  if (status != to_string(one.end) && !(status == "delivered" && one.end == End::shipped))
    return "order " + one.id + ": is " + status + ", not " + std::string(to_string(one.end));
  return waiting.empty() ? "" : "order " + one.id + ": is " + status + " and still waits for " + waiting;
}

}  // namespace

std::vector<BatchAnswer> read_batch(const std::string& body) {
  std::vector<BatchAnswer> answers;
  for (std::size_t begin = 0; begin < body.size();) {
    auto end = std::min(body.find('\n', begin), body.size());
    std::string_view line(body.data() + begin, end - begin);
    begin = end + 1;
    if (line.empty() || line == "\r") continue;
    Json one = json::parse(line);
    if (!one.is_object()) continue;
    answers.push_back({static_cast<int>(number_of(one, "status", -1)), text_of(one, "order_id"), text_of(one, "detail")});
    if (answers.back().detail.empty()) answers.back().detail = text_of(one, "title");
  }
  return answers;
}

std::string read_order_id(const std::string& body) {
  Json one = json::parse(body);
  return one.is_object() ? text_of(one, "order_id") : "";
}

std::string read_problem(const HttpAnswer& answer) {
  if (!answer.fault.empty()) return answer.fault;
  Json one = json::parse(answer.body);
  std::string detail = one.is_object() ? text_of(one, "detail") : "";
  if (detail.empty() && one.is_object()) detail = text_of(one, "title");
  return std::to_string(answer.status) + (detail.empty() ? "" : " (" + detail + ")");
}

std::vector<std::int64_t> prepare_stock(HttpClient& client, const Plan& plan, const std::vector<std::int64_t>& units,
                                        bool set) {
  std::vector<std::int64_t> sold;
  for (std::size_t i = 0; i < units.size(); ++i) {
    std::string product = plan.product(static_cast<int>(i));
    if (set) {
      Json body{{"quantity", std::min(limits::stock_max, units[i] * runs_stocked + units_more)},
                {"price_minor", 1000 + static_cast<int>(i)},
                {"currency", "EUR"},
                {"name", "Load product"}};
      std::string bytes = json::dump(body);
      expect_ok(client.send({"PUT", "/v1/stock/" + url_encoded(product), bytes, "application/json", {}}),
                "stocking " + product, client);
    }
    // A product that was given a stock just now by a fresh prefix has sold nothing; one that was used before has.
    sold.push_back(number_of(stock_of(client, product), "sold", -1));
  }
  return sold;
}

std::vector<std::string> check_stock(HttpClient& client, const Plan& plan, const std::vector<std::int64_t>& sold_before,
                                     const std::vector<std::int64_t>& shipped, std::int64_t patience_ms) {
  auto deadline = Clock::now() + std::chrono::milliseconds(patience_ms);
  std::vector<std::string> problems;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < sold_before.size(); ++i) {
    std::string product = plan.product(static_cast<int>(i)), fault;
    for (;;) {
      fault = fault_of_stock(stock_of(client, product), product, sold_before[i], shipped[i]);
      if (fault.empty() || Clock::now() >= deadline || interrupted()) break;
      std::this_thread::sleep_for(look_again);
    }
    if (fault.empty()) continue;
    if (++wrong <= problems_shown_max) problems.push_back(std::move(fault));
  }
  if (wrong > problems_shown_max)
    problems.push_back("... and " + std::to_string(wrong - problems_shown_max) + " products more");
  return problems;
}

std::vector<std::string> check_orders(HttpClient& client, const std::vector<Sample>& sample, std::int64_t patience_ms) {
  auto deadline = Clock::now() + std::chrono::milliseconds(patience_ms);
  std::vector<std::string> problems;
  for (const Sample& one : sample) {
    std::string fault = fault_of_order(client, one);
    while (!fault.empty() && Clock::now() < deadline && !interrupted()) {
      std::this_thread::sleep_for(look_again);
      fault = fault_of_order(client, one);
    }
    if (!fault.empty() && problems.size() < problems_shown_max) problems.push_back(std::move(fault));
  }
  return problems;
}

}  // namespace cartwright::cli
