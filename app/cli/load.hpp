#pragma once
// The load generator: places many orders at once, waits for the end of each by reading the topics that tell it, and
// checks afterwards that nothing was lost. What it will order is a plan that can be computed again from the number of
// an order, so that what came out can be compared with what went in.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "app/cli/context.hpp"

namespace cartwright::cli {

enum class Via : std::uint8_t { http, batch, kafka };

struct LoadOptions {
  std::int64_t orders = 10'000;
  Via via = Via::batch;
  std::int64_t window = 8'000;  // orders in flight at most; without rate
  double rate = 0;              // orders per second, whatever comes of them; 0: closed loop
  int connections = 0;          // 0: 64 for http, 2 for batch
  std::int64_t batch = 500;     // orders of a batch call
  int products = 100, lines = 1;
  double declined = 0, out_of_stock = 0;  // percent
  bool stock = true;                      // set before
  bool check = true;                      // after
  std::int64_t timeout_ms = 300'000;
  std::string pids = "auto";  // or name=pid,...; "none"
  std::string prefix;         // of products, users and ids; "": load-<milliseconds>
  std::string stock_url;      // where the inventory role runs; "": the same as everything
};
int load(const Context& context, const LoadOptions& options);

/// How an order ended, or is to end.
enum class End : std::uint8_t { none, shipped, cancelled, payment_failed };
inline constexpr std::size_t end_count = 4;
[[nodiscard]] std::string_view to_string(End end);

/// What order number n asks for. Pure: the same number is always the same order.
class Plan {
 public:
  /// `prefix`: of products and users. `run`: of the ids of bare records, which must not be used twice.
  Plan(const LoadOptions& options, std::string prefix, std::string run)
      : options_(options), prefix_(std::move(prefix)), run_(std::move(run)) {}

  [[nodiscard]] End end_of(std::int64_t number) const;
  /// The products' numbers, a unit each; all different. Those of out-of-stock orders end with a product nobody has.
  [[nodiscard]] std::vector<int> products_of(std::int64_t number) const;
  /// The order's JSON object. `order_id` only when not empty.
  [[nodiscard]] std::string body_of(std::int64_t number, const std::string& order_id = {}) const;
  [[nodiscard]] std::string product(int number) const { return prefix_ + "-" + std::to_string(number); }
  [[nodiscard]] std::string order_id(std::int64_t number) const { return run_ + "-o" + std::to_string(number); }

 private:
  LoadOptions options_;
  std::string prefix_, run_;
};

/// The nearest-rank percentile of values in rising order; 0 of none.
template <class Number>
[[nodiscard]] Number percentile(const std::vector<Number>& rising, double percent) {
  if (rising.empty()) return Number{};
  auto rank = static_cast<std::int64_t>(percent / 100.0 * static_cast<double>(rising.size()) + 0.9999999);
  return rising[static_cast<std::size_t>(std::clamp<std::int64_t>(rank, 1, static_cast<std::int64_t>(rising.size())) -
                                         1)];
}

/// What a run came to.
struct LoadReport {
  std::string via, prefix;
  std::int64_t orders = 0, accepted = 0, ended = 0, busy_answers = 0;
  std::array<std::int64_t, end_count> by_end{};
  double seconds = 0, placing_seconds = 0, late_ms_max = 0;
  std::vector<std::int64_t> latencies_us;      // rising
  std::map<std::string, std::int64_t> cpu_us;  // by process
  std::vector<std::string> not_ended;          // ids, the first few
  std::vector<std::string> problems;           // empty: everything is as it should be
  [[nodiscard]] double per_second() const { return seconds > 0 ? static_cast<double>(ended) / seconds : 0; }
};
[[nodiscard]] std::string to_text(const LoadReport& report);
[[nodiscard]] std::string to_json(const LoadReport& report);

// ---- over HTTP, before and after
// ---------------------------------------------------------------------------------------

/// What one line of a batch call was answered.
struct BatchAnswer {
  int status = 0;
  std::string order_id, detail;
};
[[nodiscard]] std::vector<BatchAnswer> read_batch(const std::string& body);
/// Of a 202; "" when there is none.
[[nodiscard]] std::string read_order_id(const std::string& body);
/// One sentence about an answer that is not a 202.
[[nodiscard]] std::string read_problem(const HttpAnswer& answer);

/// Stocks each product of the plan with more than `units[i]`, or, without `set`, only looks. What was sold before.
[[nodiscard]] std::vector<std::int64_t> prepare_stock(HttpClient& client, const Plan& plan,
                                                      const std::vector<std::int64_t>& units, bool set);

/// Looks until available + reserved + sold = stocked, nothing is reserved and sold has risen by what was shipped, for
/// at most `patience_ms`. What is wrong then.
[[nodiscard]] std::vector<std::string> check_stock(HttpClient& client, const Plan& plan,
                                                   const std::vector<std::int64_t>& sold_before,
                                                   const std::vector<std::int64_t>& shipped, std::int64_t patience_ms);

/// Looks until each order has ended as expected, for at most `patience_ms`. What is wrong then.
struct Sample {
  std::string id;
  End end = End::none;
};
[[nodiscard]] std::vector<std::string> check_orders(HttpClient& client, const std::vector<Sample>& sample,
                                                    std::int64_t patience_ms);

}  // namespace cartwright::cli
