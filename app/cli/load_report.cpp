// What a run is told as, and what its plan says.
#include <array>
#include <cstdio>

#include "app/cli/load.hpp"
#include "app/cli/output.hpp"
#include "app/options/text.hpp"

namespace cartwright::cli {
namespace {

constexpr int nobodys_product = -1;

// Spreads the numbers of orders evenly over 0..9999 without a pattern (splitmix64).
std::int64_t ten_thousandth_of(std::int64_t number) {
  auto x = static_cast<std::uint64_t>(number) + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return static_cast<std::int64_t>((x ^ (x >> 31)) % 10'000);
}

std::string fixed(double number, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, number);
  return text.data();
}

double milliseconds_at(const LoadReport& report, double percent) {
  return static_cast<double>(percentile(report.latencies_us, percent)) / 1000.0;
}

double per_order(const LoadReport& report, std::int64_t cpu) {
  return report.ended > 0 ? static_cast<double>(cpu) / static_cast<double>(report.ended) : 0;
}

constexpr std::array<double, 4> percents{50, 90, 99, 100};
constexpr std::array<const char*, 4> percent_names{"p50", "p90", "p99", "max"};

}  // namespace

std::string_view to_string(End end) {
  constexpr std::array<std::string_view, end_count> names{"none", "shipped", "cancelled", "payment_failed"};
  return names[static_cast<std::size_t>(end)];
}

End Plan::end_of(std::int64_t number) const {
  auto roll = static_cast<double>(ten_thousandth_of(number)) / 100.0;
  if (roll < options_.out_of_stock) return End::cancelled;
  return roll < options_.out_of_stock + options_.declined ? End::payment_failed : End::shipped;
}

std::vector<int> Plan::products_of(std::int64_t number) const {
  std::vector<int> all;
  auto first = (number * 7) % options_.products;
  for (int line = 0; line < options_.lines; ++line) all.push_back(static_cast<int>((first + line) % options_.products));
  if (end_of(number) == End::cancelled) all.back() = nobodys_product;
  return all;
}

std::string Plan::body_of(std::int64_t number, const std::string& order_id) const {
  auto product_name = [&](int one) { return one == nobodys_product ? prefix_ + "-none" : product(one); };
  auto products = products_of(number);
  bool bare = !order_id.empty();
  std::string body = "{";
  if (bare) body += "\"order_id\":\"" + order_id + "\",";
  // A record has the first line beside its items; a submission has either.
  if (products.size() == 1 || bare) body += "\"product_id\":\"" + product_name(products[0]) + "\",\"quantity\":1,";
  if (products.size() > 1) {
    body += "\"items\":[";
    for (std::size_t i = 0; i < products.size(); ++i)
      body +=
          (i == 0 ? "{\"product_id\":\"" : ",{\"product_id\":\"") + product_name(products[i]) + "\",\"quantity\":1}";
    body += "],";
  }
  body += "\"user_id\":\"" + prefix_ + "-user-" + std::to_string(number % 100) + "\"";
  if (end_of(number) == End::payment_failed) body += ",\"payment_token\":\"tok_declined\"";
  return body + "}";
}

std::string to_text(const LoadReport& report) {
  std::string out;
  auto line = [&](const std::string& name, const std::string& text) {
    out += name + std::string(name.size() < 14 ? 14 - name.size() : 1, ' ') + text + "\n";
  };
  line("orders", grouped(report.ended) + " of " + grouped(report.orders) + " ended in " + fixed(report.seconds, 2) +
                     " s, placed by " + report.via + " in " + fixed(report.placing_seconds, 2) + " s");
  line("throughput", grouped(static_cast<std::int64_t>(report.per_second() + 0.5)) + " orders/s");
  std::string latency;
  for (std::size_t i = 0; i < percents.size(); ++i)
    latency += (i == 0 ? "" : "   ") + std::string(percent_names[i]) + " " +
               fixed(milliseconds_at(report, percents[i]), 1) + " ms";
  line("latency", latency);
  std::string ends;
  for (std::size_t i = 1; i < end_count; ++i)
    ends += (i == 1 ? "" : "   ") + std::string(to_string(static_cast<End>(i))) + " " + grouped(report.by_end[i]);
  line("ends", ends);
  if (!report.cpu_us.empty()) {
    std::string cpu;
    std::int64_t sum = 0;
    for (const auto& [name, used] : report.cpu_us) {
      cpu += (cpu.empty() ? "" : "   ") + name + " " + fixed(per_order(report, used), 1);
      sum += used;
    }
    line("CPU", cpu + "   together " + fixed(per_order(report, sum), 1) + "   \u00b5s per order");
  }
  if (report.busy_answers > 0)
    line("busy", grouped(report.busy_answers) + " orders were refused for a moment and handed in again");
  if (report.late_ms_max > 50)
    line("late", "an order was handed in " + fixed(report.late_ms_max, 0) +
                     " ms after its time: the rate is more than this side manages");
  if (!report.not_ended.empty()) {
    std::string ids;
    for (const auto& id : report.not_ended) ids += (ids.empty() ? "" : " ") + id;
    line("not ended", grouped(report.accepted - report.ended) + ", the first: " + ids);
  }
  for (const auto& problem : report.problems) line(coloured("wrong", Colour::red), problem);
  if (report.problems.empty())
    line("check", coloured("every order ended as it should, and the stock adds up", Colour::green));
  return out;
}

std::string to_json(const LoadReport& report) {
  std::string out = "{\"ok\": " + std::string(report.problems.empty() ? "true" : "false");
  auto add = [&](const char* name, const std::string& value) { out += ", \"" + std::string(name) + "\": " + value; };
  add("via", options::json_text(report.via));
  add("prefix", options::json_text(report.prefix));
  add("orders", std::to_string(report.orders));
  add("accepted", std::to_string(report.accepted));
  add("ended", std::to_string(report.ended));
  for (std::size_t i = 1; i < end_count; ++i)
    add(std::string(to_string(static_cast<End>(i))).c_str(), std::to_string(report.by_end[i]));
  add("seconds", fixed(report.seconds, 3));
  add("placing_seconds", fixed(report.placing_seconds, 3));
  add("orders_per_second", fixed(report.per_second(), 1));
  for (std::size_t i = 0; i < percents.size(); ++i)
    add((std::string(percent_names[i]) + "_ms").c_str(), fixed(milliseconds_at(report, percents[i]), 3));
  add("busy_answers", std::to_string(report.busy_answers));
  add("late_ms_max", fixed(report.late_ms_max, 1));
  std::string cpu;
  for (const auto& [name, used] : report.cpu_us)
    cpu += (cpu.empty() ? "" : ", ") + options::json_text(name) + ": " + fixed(per_order(report, used), 2);
  add("cpu_us_per_order", "{" + cpu + "}");
  auto list = [](const std::vector<std::string>& texts) {
    std::string all;
    for (const auto& text : texts) all += (all.empty() ? "" : ", ") + options::json_text(text);
    return "[" + all + "]";
  };
  add("not_ended", list(report.not_ended));
  add("problems", list(report.problems));
  return out + "}\n";
}

}  // namespace cartwright::cli
