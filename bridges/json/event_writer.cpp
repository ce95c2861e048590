// Payloads are written by appending, in the order of contract.md's table, then what we add, then what was passed on.

#include "actors/check.hpp"
#include "bridges/json/payload.hpp"
#include "bridges/json/writer.hpp"

namespace cartwright::json {
namespace {

void write_lines(Writer& out, const Event& event) {
  check(!event.lines.empty(), "an event of this topic has lines");
  out.key("product_id").string(event.lines.front().product.value);
  out.key("quantity").integer(event.lines.front().quantity);
  if (!event.itemised) return;
  out.key("items").begin_array();
  for (const Line& line : event.lines)
    out.begin_object().key("product_id").string(line.product.value).key("quantity").integer(line.quantity).end_object();
  out.end_array();
}

void write_if(Writer& out, std::string_view name, const std::string& text) {
  if (!text.empty()) out.key(name).string(text);
}

// What the contract's table does not name.
void write_additions(Writer& out, const Event& event) {
  switch (event.topic) {
    case Topic::order_placed: write_if(out, "payment_token", event.payment_token); break;
    case Topic::inventory_reserved:
      if (event.amount) out.key("amount_minor").integer(*event.amount);
      write_if(out, "currency", event.currency);
      break;
    case Topic::inventory_failed: write_if(out, "reason", event.reason); break;
    case Topic::payment_initiated:
      write_if(out, "currency", event.currency);
      write_if(out, "payment_token", event.payment_token);
      break;
    case Topic::notification_send: write_if(out, "occasion", event.occasion); break;
    case Topic::payment_refund_requested: write_if(out, "txn_id", event.txn.value); break;
    default: break;
  }
}

}  // namespace

std::string write_payload(const Event& event) {
  if (!event.raw.empty()) return event.raw;
  const std::uint16_t needs = info(event.topic).needs;
  auto has = [needs](Field field) { return (needs & field) != 0; };
  Writer out(128 + 96 * (event.itemised ? event.lines.size() : 1) + event.message.size() + event.extras.size());
  out.begin_object().key("order_id").string(event.order.value);
  if (has(Field::lines)) write_lines(out, event);
  if (has(Field::txn)) out.key("txn_id").string(event.txn.value);
  if (has(Field::amount)) out.key("amount").integer(event.amount.value_or(0));
  if (has(Field::user)) out.key("user_id").string(event.user.value);
  if (has(Field::tracking)) out.key("tracking_id").string(event.tracking.value);
  if (has(Field::message)) out.key("message").string(event.message);
  if (has(Field::reason)) out.key("reason").string(event.reason);
  write_additions(out, event);
  return out.members(event.extras).end_object().take();
}

}  // namespace cartwright::json
