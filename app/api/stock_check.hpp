#pragma once
// The comparison of the stock as the HTTP API and /metrics see it: what was found last, and the two things that may be asked
// of it. Who compares is the composition's affair (app/node/audit.hpp).

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "actors/inventory/audit.hpp"

namespace cartwright::api {

/// What a comparison has come to.
struct StockReport {
  Millis began = 0, ended = 0;           // ended 0: none has ended yet
  bool whole = false;                    // every order was looked at, not only those that hold stock
  std::string why;                       // why it could not be finished; empty: it was
  bool orders_here = false;              // the order role's store is on this node, and was compared
  std::int64_t products = 0, reservations = 0, orders = 0;  // how many were looked at
  std::vector<std::string> busy;         // products that changed too quickly to be compared this time
  std::vector<inventory::Difference> differences;           // the first `differences_max`
  std::int64_t more = 0;                 // how many more there are
};
inline constexpr std::size_t differences_max = 1'000;

struct StockCheck {
  bool running = false;
  StockReport last;
};

/// Any thread; quick.
struct StockAudit {
  std::function<StockCheck()> last;      // empty: no inventory role here
  std::function<void()> check;           // a whole comparison, as soon as the one that runs has ended
  std::function<void()> rebuild;         // Redis is written anew from the ledger, then a whole comparison
};

/// {"running", "began_at", "ended_at", "whole", "why", "orders_compared", "products", "reservations", "orders", "busy",
/// "differences": [{"kind", "product_id", "order_id", "says": [{"who", "what"}], "mend", "how", "since", "again_at"}], "more"}
[[nodiscard]] std::string stock_check_json(const StockCheck& check);

}  // namespace cartwright::api
