#include "app/api/views.hpp"

#include <algorithm>

namespace cartwright::api {
namespace {

void put(json::Writer& out, std::string_view name, std::string_view text) {
  out.key(name);
  if (text.empty())
    out.null();
  else
    out.string(text);
}

}  // namespace

// ---- orders
// ----------------------------------------------------------------------------------------------------------

void write_order(json::Writer& out, const order::Order& order) {
  out.begin_object().key("order_id").string(order.id.value).key("status").string(to_string(order.state));
  put(out, "reason", order.reason);
  put(out, "waiting_for", order::waiting_for(order));
  put(out, "waiting_until", rfc3339(order::waiting_until(order)));
  put(out, "user_id", order.user.value);
  out.key("items").begin_array();
  for (const Line& line : order.lines)
    out.begin_object().key("product_id").string(line.product.value).key("quantity").integer(line.quantity).end_object();
  out.end_array().key("amount_minor");
  if (order.amount)
    out.integer(*order.amount);
  else
    out.null();
  put(out, "currency", order.currency);
  put(out, "txn_id", order.txn.value);
  put(out, "tracking_id", order.tracking.value);
  put(out, "created_at", rfc3339(order.created_at));
  put(out, "updated_at", rfc3339(order.updated_at));
  out.key("version").integer(order.version).end_object();
}

std::string order_json(const order::Order& order) {
  json::Writer out(512 + 64 * order.lines.size());
  write_order(out, order);
  return out.take();
}

order::Order as_of(order::Order order, const Transition& then) {
  using order::State;
  using order::Wait;
  order.state = order::state_named(then.status);
  order.version = then.version;
  order.updated_at = then.at;
  const bool before_stock = order.state == State::pending,
             before_money = before_stock || order.state == State::inventory_reserved,
             before_tracking = before_money || order.state == State::paid;
  if (!before_tracking) return order;
  // What the order waited for follows from its state; until when is not told by the history.
  order.reason.clear();
  order.expires = 0;
  order.waits = {};
  order.wait(before_stock ? Wait::inventory : before_money ? Wait::payment : Wait::shipping).open = true;
  order.tracking = {};
  if (before_money) order.txn = {};
  if (before_stock) {
    order.amount.reset();
    order.currency.clear();
  }
  return order;
}

std::string etag_of(const Row& row) {
  return '"' + std::to_string(row.version) + '-' + std::to_string(row.updated_at) + '"';
}

bool matches(std::string_view if_none_match, std::string_view etag) {
  while (!if_none_match.empty()) {
    const auto comma = if_none_match.find(',');
    std::string_view one = if_none_match.substr(0, comma);
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == "*" || one == etag) return true;
    if (comma == std::string_view::npos) break;
    if_none_match.remove_prefix(comma + 1);
  }
  return false;
}

void write_set_aside(json::Writer& out, const SetAside& row) {
  const Quarantine& aside = row.quarantine;
  out.begin_object().key("order_id").string(aside.key).key("reason").string(aside.reason);
  out.key("restarts").integer(aside.restarts);
  put(out, "since", rfc3339(aside.since));
  put(out, "next_try", rfc3339(aside.until));
  out.key("records").integer(row.records).end_object();
}

std::string history_json(const std::vector<Transition>& transitions) {
  json::Writer out(64 + 128 * transitions.size());
  out.begin_object().key("items").begin_array();
  for (const Transition& step : transitions) {
    out.begin_object()
        .key("version")
        .integer(step.version)
        .key("status")
        .string(step.status)
        .key("event")
        .string(step.event);
    put(out, "at", rfc3339(step.at));
    out.end_object();
  }
  return out.end_array().end_object().take();
}

// ---- what other roles know of an order
// ---------------------------------------------------------------------------------

std::string notices_json(std::vector<notification::Notice> notices) {
  std::stable_sort(notices.begin(), notices.end(),
                   [](const auto& a, const auto& b) { return a.created_at < b.created_at; });
  json::Writer out(64 + 192 * notices.size());
  out.begin_object().key("items").begin_array();
  for (const notification::Notice& notice : notices)
    for (const notification::Sending& one : notice.channels) {
      out.begin_object().key("channel").string(one.channel).key("occasion").string(notice.occasion);
      out.key("text").string(notice.text);
      put(out, "at", rfc3339(notice.created_at));
      // Where a notice leaves the program it can be on its way still, or have come to nothing.
      if (one.by_port) out.key("delivery").string(to_string(one.delivery));
      if (!one.detail.empty()) out.key("detail").string(one.detail);
      out.end_object();
    }
  return out.end_array().end_object().take();
}

std::string charges_json(const std::vector<ChargeLine>& charges) {
  json::Writer out(64 + 192 * charges.size());
  out.begin_object().key("items").begin_array();
  for (const ChargeLine& line : charges) {
    out.begin_object().key("key").string(line.key);
    put(out, "txn_id", line.txn_id);
    out.key("amount_minor").integer(line.amount_minor).key("kind").string(line.kind);
    out.key("asked").integer(line.asked).key("answered").integer(line.answered).end_object();
  }
  return out.end_array().end_object().take();
}

// ---- stock
// -------------------------------------------------------------------------------------------------------------

void write_stock(json::Writer& out, const Product& product, const redis::StockCounts& counts) {
  out.begin_object().key("product_id").string(product.id.value);
  out.key("available").integer(counts.available).key("reserved").integer(counts.reserved);
  out.key("sold").integer(counts.sold).key("stocked").integer(counts.stocked).key("price_minor");
  if (product.price_minor != 0 || !product.currency.empty())
    out.integer(product.price_minor);
  else
    out.null();
  put(out, "currency", product.currency);
  put(out, "name", product.name);
  out.end_object();
}

std::string stock_json(const Product& product, const redis::StockCounts& counts) {
  json::Writer out(256);
  write_stock(out, product, counts);
  return out.take();
}

}  // namespace cartwright::api
