#include "app/api/stock_check.hpp"

#include "actors/event.hpp"
#include "bridges/json/text.hpp"
#include "bridges/json/writer.hpp"

namespace cartwright::api {
namespace {

void write_moment(json::Writer& out, std::string_view name, Millis at) {
  out.key(name);
  if (at == 0) out.null();
  else out.string(rfc3339(at));
}

void write_text(json::Writer& out, std::string_view name, const std::string& text) {
  out.key(name);
  if (text.empty()) out.null();
  else out.string(text);
}

void write_difference(json::Writer& out, const inventory::Difference& one) {
  out.begin_object().key("kind").string(to_string(one.kind));
  write_text(out, "product_id", one.product);
  write_text(out, "order_id", one.order);
  out.key("says").begin_array();
  for (const auto& said : one.says) out.begin_object().key("who").string(said.who).key("what").string(said.what).end_object();
  out.end_array().key("mend").string(to_string(one.mend)).key("how").string(one.how);
  write_moment(out, "since", one.since);
  write_moment(out, "again_at", one.again);
  out.end_object();
}

}  // namespace

std::string stock_check_json(const StockCheck& check) {
  const StockReport& last = check.last;
  json::Writer out(512 + 256 * last.differences.size());
  out.begin_object().key("running").boolean(check.running);
  write_moment(out, "began_at", last.began);
  write_moment(out, "ended_at", last.ended);
  out.key("whole").boolean(last.whole);
  write_text(out, "why", last.why);
  out.key("orders_compared").boolean(last.orders_here).key("products").integer(last.products);
  out.key("reservations").integer(last.reservations).key("orders").integer(last.orders).key("busy").begin_array();
  for (const auto& product : last.busy) out.string(product);
  out.end_array().key("differences").begin_array();
  for (const auto& one : last.differences) write_difference(out, one);
  out.end_array().key("more").integer(last.more).end_object();
  return out.take();
}

}  // namespace cartwright::api
