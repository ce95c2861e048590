#pragma once
// What clients see: JSON texts of orders, histories, notices, charges and stock. Pure functions, any thread. Members
// that are not known yet are null, never missing.

#include <string>
#include <string_view>
#include <vector>

#include "actors/messages.hpp"
#include "actors/notification/rules.hpp"
#include "actors/order/rules.hpp"
#include "app/api/charges.hpp"
#include "bridges/json/writer.hpp"
#include "bridges/redis/stock.hpp"

namespace cartwright::api {

/// An order as a JSON object.
[[nodiscard]] std::string order_json(const order::Order& order);
/// The same, into a list.
void write_order(json::Writer& out, const order::Order& order);

/// One order that is set aside: why, since when, how often its actor died, when it is tried again (null: by a person), and
/// how many records wait behind it.
void write_set_aside(json::Writer& out, const SetAside& row);

/// `order` as it was at one of its transitions: what came later is taken out. For changes that a stream has missed.
[[nodiscard]] order::Order as_of(order::Order order, const Transition& then);

/// A strong entity tag, with its quotes, that changes with every change of the row.
[[nodiscard]] std::string etag_of(const Row& row);
/// Whether an If-None-Match header names `etag`.
[[nodiscard]] bool matches(std::string_view if_none_match, std::string_view etag);

/// `{items: [...]}` each.
[[nodiscard]] std::string history_json(const std::vector<Transition>& transitions);
[[nodiscard]] std::string notices_json(std::vector<notification::Notice> notices);
[[nodiscard]] std::string charges_json(const std::vector<ChargeLine>& charges);

/// A product with its counts.
[[nodiscard]] std::string stock_json(const Product& product, const redis::StockCounts& counts);
/// The same, into a list.
void write_stock(json::Writer& out, const Product& product, const redis::StockCounts& counts);

}  // namespace cartwright::api
