// The codec against contract.md, sections 1 and 4: what is read, what is poison and why, what is written, what a stored
// row brings back. Ends with random damage; CODEC_TEST_SEED replays a run.
#define BOOST_TEST_MODULE codec
#ifndef BOOST_TEST_DYN_LINK
#define BOOST_TEST_DYN_LINK
#endif
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "actors/check.hpp"
#include "actors/limits.hpp"
#include "bridges/json/codec.hpp"
#include "bridges/json/text.hpp"
#include "bridges/json/writer.hpp"

using namespace cartwright;
using json::JsonCodec;
using json::Writer;

namespace {

using Headers = std::vector<Header>;

const JsonCodec codec{TopicNames(), "cartwright"};
constexpr const char* trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr Millis noon = 1'795'341'600'123;

Record read(Topic topic, std::optional<std::string> value, const Headers& headers = {},
            std::optional<std::string> key = {}) {
  Record record;
  record.topic = topic;
  record.value = std::move(value);
  record.key = std::move(key);
  codec.read(record, headers);
  return record;
}

std::string header(const Outgoing& out, const std::string& name) {
  for (const auto& [have, value] : out.headers)
    if (have == name) return value;
  return "(none)";
}

std::string lines_text(const std::vector<Line>& lines) {
  std::string out;
  for (const Line& line : lines) out += line.product.value + "*" + std::to_string(line.quantity) + " ";
  return out;
}

void check_equal(const Event& a, const Event& b) {
  BOOST_TEST(to_string(a.topic) == to_string(b.topic));
  BOOST_TEST(a.order.value == b.order.value);
  BOOST_TEST(a.user.value == b.user.value);
  BOOST_TEST(lines_text(a.lines) == lines_text(b.lines));
  BOOST_TEST(a.itemised == b.itemised);
  BOOST_TEST((a.amount == b.amount));
  BOOST_TEST(a.currency == b.currency);
  BOOST_TEST(a.txn.value == b.txn.value);
  BOOST_TEST(a.tracking.value == b.tracking.value);
  BOOST_TEST(a.reason == b.reason);
  BOOST_TEST(a.message == b.message);
  BOOST_TEST(a.occasion == b.occasion);
  BOOST_TEST(a.payment_token == b.payment_token);
  BOOST_TEST(a.extras == b.extras);
  BOOST_TEST(a.ce_id == b.ce_id);
  BOOST_TEST(a.ce_time == b.ce_time);
  BOOST_TEST(a.traceparent == b.traceparent);
}

Event event_of(Topic topic) {
  Event event;
  event.topic = topic;
  event.order.value = "0193a7c2-0000-7000-8000-000000000001";
  event.ce_id = "evt-1";
  event.ce_time = noon;
  event.traceparent = trace;
  const auto needs = info(topic).needs;
  if (needs & Field::lines) event.lines = {{{"widget"}, 2}};
  if (needs & Field::user) event.user.value = "u-1";
  if (needs & Field::amount) event.amount = limits::amount_max;
  if (needs & Field::txn) event.txn.value = "txn \"1\"";
  if (needs & Field::tracking) event.tracking.value = "TRK/1";
  if (needs & Field::message) event.message = "line\nbreak \x01 \xe2\x82\xac";
  if (needs & Field::reason) event.reason = "out_of_stock";
  return event;
}

std::string nested(int depth) {
  // The payload is one level, so `depth` levels are reached with depth-1 lists.
  return R"({"order_id":"o-1","x":)" + std::string(static_cast<std::size_t>(depth - 1), '[') +
         std::string(static_cast<std::size_t>(depth - 1), ']') + "}";
}

std::string with_items(std::size_t count) {
  std::string out = R"({"order_id":"o-1","product_id":"p","quantity":1,"user_id":"u","items":[)";
  for (std::size_t k = 0; k < count; ++k) out += std::string(k ? "," : "") + R"({"product_id":"p","quantity":1})";
  return out + "]}";
}

}  // namespace

// ---- round trips ----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(every_topic_is_read_as_it_was_written) {
  for (const TopicInfo& row : topics()) {
    if (row.topic == Topic::order_rerouted) continue;
    BOOST_TEST_CONTEXT(row.name) {
      Event event = event_of(row.topic);
      Outgoing out = codec.write(event);
      BOOST_TEST(out.topic == row.name);
      BOOST_TEST(out.key.value() == event.order.value);
      BOOST_TEST(out.order == event.order.value);
      BOOST_TEST(header(out, "ce_type") == row.name);
      BOOST_TEST(header(out, "ce_specversion") == "1.0");
      BOOST_TEST(header(out, "content-type") == "application/json");
      BOOST_TEST(header(out, "ce_time") == rfc3339(noon));
      Record record = read(row.topic, out.value, out.headers, out.key);
      BOOST_TEST(record.poison == "");
      check_equal(record.event, event);
      BOOST_TEST((codec.write(record.event) == out));
    }
  }
}

BOOST_AUTO_TEST_CASE(additions_come_after_the_contract_fields) {
  struct Row { const char* says; Event event; std::string value; };
  std::vector<Row> rows;
  auto add = [&](const char* says, Topic topic, auto set, std::string value) {
    Event event = event_of(topic);
    event.order.value = "o";
    set(event);
    rows.push_back({says, event, std::move(value)});
  };
  add("order.placed with everything", Topic::order_placed, [](Event& e) {
    e.lines = {{{"a"}, 1}, {{"b"}, 2}};
    e.itemised = true;
    e.payment_token = "tok_ok";
    e.extras = R"("ship_to":{"city":"Bonn","n":1.10},"metadata":{})";
  }, R"({"order_id":"o","product_id":"a","quantity":1,"items":[{"product_id":"a","quantity":1},)"
     R"({"product_id":"b","quantity":2}],)"
     R"("user_id":"u-1","payment_token":"tok_ok","ship_to":{"city":"Bonn","n":1.10},"metadata":{}})");
  add("inventory.reserved with its price", Topic::inventory_reserved, [](Event& e) { e.amount = 300; e.currency = "EUR";
      },
      R"({"order_id":"o","product_id":"widget","quantity":2,"amount_minor":300,"currency":"EUR"})");
  add("inventory.failed with a reason", Topic::inventory_failed, [](Event& e) { e.reason = "mixed_currency"; },
      R"({"order_id":"o","product_id":"widget","quantity":2,"reason":"mixed_currency"})");
  add("payment.initiated", Topic::payment_initiated,
      [](Event& e) { e.amount = 5; e.currency = "EUR"; e.payment_token = "tok_declined"; },
      R"({"order_id":"o","amount":5,"user_id":"u-1","currency":"EUR","payment_token":"tok_declined"})");
  add("payment.success", Topic::payment_success, [](Event& e) { e.txn.value = "t"; e.amount = 0; },
      R"({"order_id":"o","txn_id":"t","amount":0})");
  add("order.shipped", Topic::order_shipped, [](Event& e) { e.extras = R"("contact":{"mail":"a@b"})"; },
      R"({"order_id":"o","user_id":"u-1","contact":{"mail":"a@b"}})");
  add("notification.send", Topic::notification_send, [](Event& e) { e.message = "Payment failed.";
      e.occasion = "payment.failed"; },
      R"({"order_id":"o","message":"Payment failed.","occasion":"payment.failed"})");
  add("a refund of one charge", Topic::payment_refund_requested, [](Event& e) { e.txn.value = "t2"; },
      R"({"order_id":"o","txn_id":"t2"})");
  add("a refund of nothing", Topic::payment_refunded, [](Event& e) { e.txn.value = ""; e.amount = 0; },
      R"({"order_id":"o","txn_id":"","amount":0})");
  for (const Row& row : rows)
    BOOST_TEST_CONTEXT(row.says) {
      Outgoing out = codec.write(row.event);
      BOOST_TEST(out.value.value() == row.value);
      Record record = read(row.event.topic, out.value, out.headers, out.key);
      BOOST_TEST(record.poison == "");
      check_equal(record.event, row.event);
    }
}

BOOST_AUTO_TEST_CASE(the_source_is_the_role_that_writes) {
  BOOST_TEST(header(codec.write(event_of(Topic::order_placed)), "ce_source") == "/cartwright/order");
  BOOST_TEST(header(codec.write(event_of(Topic::payment_success)), "ce_source") == "/cartwright/payment");
  BOOST_TEST(header(codec.write(event_of(Topic::order_cancel_requested)), "ce_source") == "/cartwright/order");
}

BOOST_AUTO_TEST_CASE(a_raw_event_is_written_verbatim) {
  Event event = event_of(Topic::order_placed);
  event.raw = R"( {"user_id":"u","order_id":"o-1" , "product_id":"p","quantity":1,"z":1e400} )";
  event.order.value = "o-1";
  event.ce_id.clear();
  Outgoing out = codec.write(event);
  BOOST_TEST(out.value.value() == event.raw);
  BOOST_TEST(header(out, "ce_type") == "(none)");
  event.ce_id = "x";
  BOOST_TEST(header(codec.write(event), "ce_id") == "x");
  event.raw = R"({"id":"i","data":{"order_id":"o-1","product_id":"p","quantity":1,"user_id":"u"}})";
  out = codec.write(event);
  BOOST_TEST(header(out, "content-type") == "application/cloudevents+json");
  BOOST_TEST(read(Topic::order_placed, out.value, out.headers).poison == "");
}

BOOST_AUTO_TEST_CASE(renamed_topics_are_used_everywhere) {
  TopicNames names;
  names.rename(Topic::order_placed, "shop.orders");
  JsonCodec renamed(names, "g");
  Event event = event_of(Topic::order_placed);
  Outgoing out = renamed.write(event);
  BOOST_TEST(out.topic == "shop.orders");
  BOOST_TEST(header(out, "ce_type") == "order.placed");
  Record record;
  record.value = out.value;
  renamed.read(record, out.headers);
  out = renamed.reroute(record);
  BOOST_TEST(header(out, "topic") == "shop.orders");
  out = renamed.dead_letter({std::make_shared<Record>(record), "conflict"}, RoleId::order);
  BOOST_TEST(out.topic == "shop.orders.dlq");
}

// ---- what is tolerated ----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(records_that_can_be_read) {
  struct Row { const char* says; Topic topic; std::string value; };
  const std::string id128(128, 'a');
  const std::vector<Row> rows{
      {"only the fields", Topic::order_placed, R"({"order_id":"o-1","product_id":"p","quantity":1,"user_id":"u"})"},
      {"any order and blanks", Topic::order_placed,
          " {\"user_id\":\"u\",\t\"quantity\" :1000000,\n\"product_id\":\"p\",\r\"order_id\":\"o\"} "},
      {"all letters of an id", Topic::payment_failed, R"({"order_id":"azAZ09._:~-"})"},
      {"128 bytes of id", Topic::payment_failed, R"({"order_id":")" + id128 + R"("})"},
      {"an escaped name and value", Topic::payment_failed, R"({"order\u005fid":"\u006f-1"})"},
      {"extra fields of every kind", Topic::payment_failed,
       R"({"a":null,"b":[1,{"a":[true]}],"order_id":"o",)"
       R"("c":{"order_id":7,"x":8},"d":"\ud83d\ude00","e":-0.5e-3})"},
      {"numbers that no double holds", Topic::payment_failed,
       R"({"order_id":"o","a":1e400,"b":-1E+999,"c":)" + std::string(400, '9') + R"(,"d":[1.5e77777],"e":"1e400"})"},
      {"fields of other topics are extra", Topic::payment_failed,
       R"({"order_id":"o","amount":"much","quantity":0,"user_id":null,"items":3,"txn_id":{},"message":[]})"},
      {"amount in order.placed is extra", Topic::order_placed,
       R"({"order_id":"o","product_id":"p","quantity":1,"user_id":"u","amount":1.5})"},
      {"our optional fields of another type", Topic::payment_initiated,
       R"({"order_id":"o","amount":0,"user_id":"u","currency":null,"payment_token":7})"},
      {"an empty message", Topic::notification_send, R"({"order_id":"o","message":""})"},
      {"a text of 1,024 bytes", Topic::notification_send, R"({"order_id":"o","message":")" + std::string(1024, 'm') +
          "\"}"},
      {"a long extra text", Topic::payment_failed, R"({"order_id":"o","note":")" + std::string(5000, 'm') + "\"}"},
      {"the largest amount", Topic::payment_success, R"({"order_id":"o","txn_id":"t","amount":9007199254740991})"},
      {"nothing was taken", Topic::payment_refunded, R"({"order_id":"o","txn_id":"","amount":0})"},
      {"32 levels", Topic::payment_failed, nested(32)},
      {"100 items", Topic::order_placed, with_items(100)},
      {"a big foreign metadata", Topic::payment_failed,
       R"({"order_id":"o","metadata":")" + std::string(5000, 'm') + "\"}"},
      {"a byte order mark", Topic::payment_failed, "\xef\xbb\xbf{\"order_id\":\"o\",\"ship_to\":{}}"},
  };
  for (const Row& row : rows) BOOST_TEST_CONTEXT(row.says) { BOOST_TEST(read(row.topic, row.value).poison == ""); }
}

BOOST_AUTO_TEST_CASE(items_decide) {
  Record record = read(Topic::order_placed,
                       R"({"order_id":"o","items":[{"product_id":"a","quantity":2,"note":[1]},)"
                       R"({"quantity":3,"product_id":"b"}],)"
                       R"("product_id":"z","quantity":9,"user_id":"u"})");
  BOOST_TEST(record.poison == "");
  BOOST_TEST(record.event.itemised);
  BOOST_TEST(lines_text(record.event.lines) == "a*2 b*3 ");
}

BOOST_AUTO_TEST_CASE(opaque_members_pass_as_they_are_spelled) {
  Record record = read(Topic::order_placed,
                       R"({"metadata" : { "z":1.10, "a":[1e400 , -0], "s":"a b\u00e9\"}{" },)"
                       R"("order_id":"o","product_id":"p",)"
                       R"("quantity":1,"user_id":"u","other":{"ship_to":1},"contact":null,"ship_to":-7.50})");
  BOOST_TEST(record.poison == "");
  BOOST_TEST(record.event.extras ==
             R"("metadata":{"z":1.10,"a":[1e400,-0],"s":"a b\u00e9\"}{"},"contact":null,"ship_to":-7.50)");
  Outgoing out = codec.write(record.event);
  check_equal(read(Topic::order_placed, out.value, out.headers).event, record.event);
}

BOOST_AUTO_TEST_CASE(opaque_members_have_4_kib_and_larger_ones_are_left_out) {
  auto placed = [](std::size_t bytes) {  // two quotes each
    return R"({"order_id":"o","product_id":"p","quantity":1,"user_id":"u","ship_to":")" + std::string(bytes - 102,
        's') +
           R"(","contact":")" + std::string(98, 'c') + "\"}";
  };
  BOOST_TEST(read(Topic::order_placed, placed(4096)).event.extras.size() == 4096 + std::string("\"ship_to\":,\"contact\":").size());
  const Record larger = read(Topic::order_placed, placed(4097));
  BOOST_TEST(larger.poison == "");
  BOOST_TEST(larger.event.extras == "\"ship_to\":\"" + std::string(4097 - 102, 's') + '"');
}

BOOST_AUTO_TEST_CASE(people_and_products_of_others_have_any_name) {
  const Record record = read(Topic::order_placed,
                             R"({"order_id":"o","product_id":"oak desk","quantity":1,"user_id":"ada@example.org ü\u0000"})");
  BOOST_TEST(record.poison == "");
  BOOST_TEST(record.event.user.value == std::string("ada@example.org ü\0", 19));
  BOOST_TEST(record.event.lines.front().product.value == "oak desk");
  BOOST_TEST(read(Topic::order_shipped, R"({"order_id":"o","user_id":""})").poison == "");
  // Siblings may have the same keys.
  BOOST_TEST(read(Topic::payment_failed, R"({"order_id":"o","x":[{"a":1},{"a":1}],"y":{"a":{"a":1}}})").poison == "");
}

BOOST_AUTO_TEST_CASE(headers_are_optional_and_malformed_ones_ignored) {
  const std::string value = R"({"order_id":"o"})";
  auto with = [&](const Headers& headers) { return read(Topic::payment_failed, value, headers).event; };
  BOOST_TEST(with({}).ce_id == "");
  BOOST_TEST(with({{"ce_id", "e"}}).ce_id == "e");
  BOOST_TEST(with({{"ce_id", "\xff"}}).ce_id == "");
  BOOST_TEST(with({{"ce_source", "/cartwright/order"}}).stored);
  BOOST_TEST(!with({{"ce_source", "/shop"}}).stored);
  struct Time { const char* text; Millis at; };
  for (const Time& row : std::vector<Time>{
           {"1970-01-01T00:00:01Z", 1000}, {"1970-01-01T01:00:00.5+01:00", 500}, {"1970-01-01t00:00:00.1239z", 123},
           {"2026-11-22T10:00:00.123Z", noon}, {"2024-02-29T00:00:00Z", 1'709'164'800'000},
           {"1969-12-31T23:00:00-02:00", 3'600'000}, {"2023-02-29T00:00:00Z", 0}, {"1969-01-01T00:00:00Z", 0},
           {"2026-11-22 10:00:00Z", 0}, {"2026-11-22T10:00:00", 0}, {"2026-11-22T24:00:00Z", 0}, {"yesterday", 0},
           {"2026-11-22T10:00:00.Z", 0}, {"2026-11-22T10:00:00+1:00", 0}, {"", 0}})
    BOOST_TEST_CONTEXT(row.text) { BOOST_TEST(with({{"ce_time", row.text}}).ce_time == row.at); }
  const std::string good = trace;
  auto changed = [&](std::size_t at, const std::string& by) { return std::string(good).replace(at, by.size(), by); };
  struct Trace { const char* says; std::string text; bool taken; };
  for (const Trace& row : std::vector<Trace>{
           {"version 00", good, true}, {"a later version", changed(0, "01"), true},
           {"a later version with more", changed(0, "01") + "-x", true}, {"version 00 with more", good + "-x", false},
           {"version ff", changed(0, "ff"), false}, {"capitals", changed(5, "A"), false}, {"short", good.substr(1),
               false},
           {"no trace", changed(3, std::string(32, '0')), false}, {"no parent", changed(36, std::string(16, '0')),
               false},
           {"no dash", changed(35, "0"), false}, {"empty", "", false}})
    BOOST_TEST_CONTEXT(row.says) { BOOST_TEST(with({{"traceparent", row.text}}).traceparent == (row.taken ? row.text :
        "")); }
}

BOOST_AUTO_TEST_CASE(structured_cloudevents_are_read_from_their_data) {
  const Headers headers{{"content-type", "Application/CloudEvents+JSON; charset=utf-8"}};
  const std::string value = std::string(R"({"specversion":"1.0","id":"e-\u0031","source":"/cartwright/order/door",)") +
                            R"("time":"2026-11-22T10:00:00Z","traceparent":")" + trace +
                            R"(","type":"order.placed",)"
                            R"("data": {"order_id":"o","product_id":"p","quantity":1,"user_id":"u","a":1e400}})";
  Record record = read(Topic::order_placed, value, headers, "o");
  BOOST_TEST(record.poison == "");
  BOOST_TEST(record.event.order.value == "o");
  BOOST_TEST(record.event.ce_id == "e-1");
  BOOST_TEST(record.event.ce_time == noon - 123);
  BOOST_TEST(record.event.traceparent == trace);
  BOOST_TEST(record.event.stored);
  // The bytes stay, so the header has to tell the next reader.
  Outgoing out = codec.reroute(record);
  Record again = read(Topic::order_rerouted, out.value, out.headers, out.key);
  BOOST_TEST(again.poison == "");
  check_equal(again.event, record.event);
  struct Row { const char* value; const char* poison; };
  for (const Row& row : std::vector<Row>{{R"({"id":"e"})", "missing: data"}, {R"({"data":7})", "not-an-object"},
                                         {R"([{"data":{}}])", "not-an-object"}, {R"({"data":{})", "not-json"},
                                         {R"({"data":{"order_id":"o"},"data":{}})", "duplicate-key: data"},
                                         {R"({"data":{}})", "missing: order_id"}, {"\"{\"", "not-an-object"}})
    BOOST_TEST_CONTEXT(row.value) { BOOST_TEST(read(Topic::payment_failed, row.value,
        headers).poison.starts_with(row.poison)); }
}

BOOST_AUTO_TEST_CASE(a_service_without_numbers_writes_empty_ones) {
  const Record paid = read(Topic::payment_success, R"({"order_id":"o","txn_id":"","amount":1})");
  BOOST_TEST(paid.poison == "");
  BOOST_TEST(paid.event.txn.empty());
  BOOST_TEST(read(Topic::order_tracking_updated, R"({"order_id":"o","tracking_id":""})").poison == "");
}

// ---- poison ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(poison_says_why) {
  struct Row { const char* says; Topic topic; std::string value; std::string cause; };
  const std::string start = R"({"order_id":"o","product_id":"p","user_id":"u",)";
  const std::string placed = start + R"("quantity":1)";
  const Topic p = Topic::order_placed, f = Topic::payment_failed, s = Topic::payment_success;
  std::vector<Row> rows{
      {"nothing", f, "", "not-json: offset"},
      {"text", f, "hello", "not-json: offset"},
      {"cut off", f, R"({"order_id":"o")", "not-json: offset"},
      {"something behind", f, R"({"order_id":"o"}x)", "not-json: offset 17"},
      {"a NUL behind", f, std::string("{\"order_id\":\"o\"}\0", 17), "not-json: offset 16"},
      {"a comment", f, R"({"order_id":"o"/**/})", "not-json: offset"},
      {"a trailing comma", f, R"({"order_id":"o",})", "not-json: offset"},
      {"not a number", f, R"({"order_id":"o","a":NaN})", "not-json: offset"},
      {"a leading zero", f, R"({"order_id":"o","a":01})", "not-json: offset"},
      {"a half surrogate", f, R"({"order_id":"o","a":"\ud800"})", "not-json: offset"},
      {"a huge number that is none", f, R"({"order_id":"o","a":1e400.5})", "not-json: offset"},
      {"no JSON, also when something else is wrong before", f, R"({"order_id":7)", "not-json: offset"},
      {"a byte that is not UTF-8", f, "{\"order_id\":\"o\",\"a\":\"\xff\"}", "not-utf8: offset 21"},
      {"an overlong form", f, "{\"order_id\":\"o\",\"a\":\"\xc0\xaf\"}", "not-utf8: offset 21"},
      {"UTF-16", f, std::string("\xff\xfe{\0}\0", 6), "not-utf8: offset 0"},
      {"a list", f, R"([{"order_id":"o"}])", "not-an-object"},
      {"null", f, "null", "not-an-object"},
      {"a string", f, "\"o\"", "not-an-object"},
      {"a key twice", p, placed + R"(,"quantity":1})", "duplicate-key: quantity"},
      {"an extra key twice", f, R"({"x":1,"order_id":"o","x":1})", "duplicate-key: x"},
      {"a key twice, once escaped", f, R"({"order_id":"o","\u006frder_id":"o"})", "duplicate-key: order_id"},
      {"a key twice in an item", p, placed + R"(,"items":[{"product_id":"p","quantity":1,"quantity":1}]})",
       "duplicate-key: items[0].quantity"},
      {"an extra key twice in an item", p, placed + R"(,"items":[{"product_id":"p","quantity":1,"x":1,"x":1}]})",
       "duplicate-key: items[0].x"},
      {"a key twice in an extra field", f, R"({"order_id":"o","x":{"a":1,"b":{},"a":1}})", "duplicate-key: a"},
      {"a key twice, deep in a list", f, R"({"order_id":"o","x":[1,[{"a":{"b":1,"b":1}}]]})", "duplicate-key: b"},
      {"a key twice in metadata", p, placed + R"(,"metadata":{"a":1,"a":2}})", "duplicate-key: a"},
      {"33 levels", f, nested(33), "too-deep"},
      {"100,000 levels", f, R"({"a":)" + std::string(100'000, '['), "too-deep"},
      {"no order_id", f, "{}", "missing: order_id"},
      {"a null order_id", f, R"({"order_id":null})", "wrong-type: order_id"},
      {"an empty order_id", f, R"({"order_id":""})", "out-of-bounds: order_id"},
      {"129 bytes of order_id", f, R"({"order_id":")" + std::string(129, 'a') + "\"}", "out-of-bounds: order_id"},
      {"a blank in order_id", f, R"({"order_id":"a b"})", "out-of-bounds: order_id"},
      {"a NUL in order_id", f, R"({"order_id":"a\u0000"})", "out-of-bounds: order_id"},
      {"a long user_id", p, R"({"order_id":"o","product_id":"p","quantity":1,"user_id":")" + std::string(1025, 'u') + "\"}",
          "text-too-long: user_id"},
      {"a blank in an item's product_id", p, placed + R"(,"items":[{"product_id":"a b","quantity":1}]})",
          "out-of-bounds: items[0].product_id"},
      {"items without product_id beside", p,
          R"({"order_id":"o","quantity":1,"user_id":"u","items":[{"product_id":"p","quantity":1}]})",
       "missing: product_id"},
      {"items are a number", p, placed + R"(,"items":1})", "wrong-type: items"},
      {"items are null", p, placed + R"(,"items":null})", "wrong-type: items"},
      {"items are an object", p, placed + R"(,"items":{}})", "wrong-type: items"},
      {"no items", p, placed + R"(,"items":[]})", "out-of-bounds: items"},
      {"101 items", p, with_items(101), "out-of-bounds: items"},
      {"an item is a list", p, placed + R"(,"items":[{"product_id":"p","quantity":1},[{"quantity":1}]]})",
          "wrong-type: items[1]"},
      {"an item is a number", p, placed + R"(,"items":[1]})", "wrong-type: items[0]"},
      {"an item without product", p, placed + R"(,"items":[{"quantity":1}]})", "missing: items[0].product_id"},
      {"an item of none", p, placed + R"(,"items":[{"product_id":"p","quantity":0}]})",
          "out-of-bounds: items[0].quantity"},
      {"an item of a half", p, placed + R"(,"items":[{"product_id":"p","quantity":0.5}]})",
          "wrong-type: items[0].quantity"},
      {"a long message", Topic::notification_send, R"({"order_id":"o","message":")" + std::string(1025, 'm') + "\"}",
       "text-too-long: message"},
      {"a long token", p, placed + R"(,"payment_token":")" + std::string(1025, 'm') + "\"}",
          "text-too-long: payment_token"},
      {"a txn_id that is a number", Topic::payment_refund_requested, R"({"order_id":"o","txn_id":1})",
          "wrong-type: txn_id"},
      {"a null amount_minor", Topic::inventory_reserved,
          R"({"order_id":"o","product_id":"p","quantity":1,"amount_minor":null})",
       "wrong-type: amount_minor"},
      {"a reroute without a topic", Topic::order_rerouted, R"({"order_id":"o"})", "unknown-topic"},
  };
  for (const char* bad : {"0", "-1", "1000001", "9223372036854775807", "9223372036854775808", "18446744073709551616",
                          "-9223372036854775809", "-0"})
    rows.push_back({bad, p, start + "\"quantity\":" + bad + "}", "out-of-bounds: quantity"});
  rows.push_back({"400 digits", p, start + "\"quantity\":" + std::string(400, '1') + "}", "out-of-bounds: quantity"});
  for (const char* bad : {"1.0", "1e2", "1E0", "0.5", "1e400", "\"1\"", "null", "true", "[1]", "{}"})
    rows.push_back({bad, p, start + "\"quantity\":" + bad + "}", "wrong-type: quantity"});
  for (const char* bad : {"-1", "9007199254740992", "1000000000000000000000"})
    rows.push_back({bad, s, std::string(R"({"order_id":"o","txn_id":"t","amount":)") + bad + "}",
        "out-of-bounds: amount"});
  for (const char* bad : {"1.5", "\"5\"", "null"})
    rows.push_back({bad, s, std::string(R"({"order_id":"o","txn_id":"t","amount":)") + bad + "}",
        "wrong-type: amount"});
  for (const Row& row : rows)
    BOOST_TEST_CONTEXT(row.says) {
      Record record = read(row.topic, row.value, {{"ce_id", "e"}});
      BOOST_TEST(record.poison.substr(0, row.cause.size()) == row.cause);
      BOOST_TEST(record.event.order.value == "");
      BOOST_TEST(record.event.ce_id == "");
      BOOST_TEST(to_string(record.event.topic) == to_string(row.topic));
    }
}

BOOST_AUTO_TEST_CASE(each_needed_field_missing_or_of_another_type_is_poison) {
  const std::vector<std::pair<Field, std::vector<std::string>>> fields{
      {Field::lines, {"product_id", "quantity"}}, {Field::user, {"user_id"}}, {Field::amount, {"amount"}},
      {Field::txn, {"txn_id"}}, {Field::tracking, {"tracking_id"}}, {Field::message, {"message"}}, {Field::reason,
          {"reason"}}};
  for (const TopicInfo& row : topics()) {
    if (row.topic == Topic::order_rerouted) continue;
    std::vector<std::string> named{"order_id"};
    for (const auto& [field, members] : fields)
      if (row.needs & field) named.insert(named.end(), members.begin(), members.end());
    const std::string value = codec.write(event_of(row.topic)).value.value();
    for (const std::string& name : named)
      BOOST_TEST_CONTEXT(row.name << " without " << name) {
        std::string other = value;
        other.replace(other.find('"' + name + '"'), name.size() + 2, "\"renamed\"");
        BOOST_TEST(read(row.topic, other).poison == "missing: " + name);
        other = value;
        std::size_t from = other.find('"' + name + "\":") + name.size() + 3;
        std::size_t to = other.find(",\"", from);
        other.replace(from, (to == std::string::npos ? other.size() - 1 : to) - from, "null");
        BOOST_TEST(read(row.topic, other).poison == "wrong-type: " + name);
      }
  }
}

BOOST_AUTO_TEST_CASE(the_key_is_the_order_or_none) {
  const std::string value = R"({"order_id":"o-1"})";
  BOOST_TEST(read(Topic::payment_failed, value, {}, std::nullopt).poison == "");
  BOOST_TEST(read(Topic::payment_failed, value, {}, "").poison == "");
  BOOST_TEST(read(Topic::payment_failed, value, {}, "o-1").poison == "");
  BOOST_TEST(read(Topic::payment_failed, value, {}, "o-2").poison == "key-mismatch");
  BOOST_TEST(read(Topic::payment_failed, std::nullopt, {}, "o-1").poison == "not-an-object: no value");
}

BOOST_AUTO_TEST_CASE(a_record_that_is_read_twice_forgets_the_first_time) {
  Record record = read(Topic::payment_failed, "{");
  record.value = R"({"order_id":"o"})";
  codec.read(record, {});
  BOOST_TEST(record.poison == "");
  BOOST_TEST(record.event.order.value == "o");
}

// ---- reroutes and dead letters --------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_rerouted_record_is_read_as_its_topic) {
  Event event = event_of(Topic::payment_success);
  Outgoing out = codec.write(event);
  Record record = read(Topic::payment_success, " " + *out.value, out.headers, std::nullopt);
  Outgoing rerouted = codec.reroute(record);
  BOOST_TEST(rerouted.topic == "order.rerouted");
  BOOST_TEST(rerouted.value.value() == " " + *out.value);
  BOOST_TEST(rerouted.key.value() == event.order.value);
  BOOST_TEST(rerouted.order == event.order.value);
  BOOST_TEST(header(rerouted, "topic") == "payment.success");
  Record again = read(Topic::order_rerouted, rerouted.value, rerouted.headers, rerouted.key);
  BOOST_TEST(again.poison == "");
  BOOST_TEST((again.topic == Topic::order_rerouted));
  const auto before = as_it_lay(std::make_shared<const Record>(again));
  BOOST_TEST((before->topic == Topic::payment_success));
  BOOST_TEST(before->partition == record.partition);
  BOOST_TEST(before->offset == record.offset);
  BOOST_TEST((before->key == record.key));
  // Whoever writes there without saying where it lay is believed all the same.
  const auto bare = std::make_shared<const Record>(read(Topic::order_rerouted, rerouted.value, {{"topic", "payment.success"}}));
  BOOST_TEST((as_it_lay(bare) == bare));
  for (const char* nonsense : {"", "-1", "1x", "99999999999999999999"})
    BOOST_TEST(!read(Topic::order_rerouted, rerouted.value, {{"topic", "payment.success"}, {"from_partition", "1"}, {"from_offset", nonsense}}).from);
  check_equal(again.event, event);
  for (const char* name : {"", "nonsense", "order.rerouted", "order.placed.dlq"})
    BOOST_TEST(read(Topic::order_rerouted, rerouted.value, {{"topic", name}}).poison == "unknown-topic");
}

BOOST_AUTO_TEST_CASE(a_dead_letter_has_the_bytes_and_the_place) {
  auto record = std::make_shared<Record>();
  record->topic = record->event.topic = Topic::order_placed;
  record->partition = 3;
  record->offset = 42;
  record->key = std::string("\0\xff", 2);
  record->value = std::string("\xfe\0x", 3);
  Outgoing out = codec.dead_letter({record, "not-utf8: offset 0"}, RoleId::inventory);
  BOOST_TEST(out.topic == "order.placed.dlq");
  BOOST_TEST((out.key == record->key));
  BOOST_TEST((out.value == record->value));
  BOOST_TEST(out.order == "");
  BOOST_TEST((out.headers == Headers{{"dlq_cause", "not-utf8: offset 0"}, {"dlq_topic", "order.placed"},
      {"dlq_partition", "3"},
                                     {"dlq_offset", "42"}, {"dlq_group", "cartwright.inventory"}}));
  record->key.reset();
  record->value.reset();
  out = codec.dead_letter({record, "x"}, RoleId::order);
  BOOST_TEST(!out.key.has_value());
  BOOST_TEST(!out.value.has_value());
  record->value = std::string(limits::dead_value_bytes_max, 'v');
  out = codec.dead_letter({record, "x"}, RoleId::order);
  BOOST_TEST(out.value->size() == limits::dead_value_bytes_max);
  BOOST_TEST(header(out, "dlq_truncated") == "(none)");
  *record->value += 'v';
  out = codec.dead_letter({record, "x"}, RoleId::order);
  BOOST_TEST(out.value->size() == limits::dead_value_bytes_kept);
  BOOST_TEST(header(out, "dlq_truncated") == "true");
}

// ---- stored rows ----------------------------------------------------------------------------------------------------

/// The row that a role stores for a value: the columns beside the document.
template <class Value>
Row row_of(const Value& value) {
  Row row;
  row.state = to_string(value.state);
  row.created_at = value.created_at;
  row.updated_at = value.updated_at;
  if constexpr (requires { value.user; }) row.owner = value.user.value;
  if constexpr (requires { value.id; })
    row.key = value.id.value;
  else if constexpr (requires { value.occasion; })
    row.key = value.order.value + "/" + value.occasion;
  else
    row.key = value.order.value;
  row.doc = codec.write(value);
  return row;
}

BOOST_AUTO_TEST_CASE(an_order_comes_back_from_its_row) {
  order::Order order;
  order.id.value = "o-1";
  for (std::size_t state = 0; state < order::state_count; ++state) {
    order.state = static_cast<order::State>(state);
    BOOST_TEST((codec.read_order(row_of(order)).state == order.state));
  }
  auto kept = [](Topic topic, std::string value, const Headers& headers, std::optional<std::string> key) {
    auto record = std::make_shared<Record>(read(topic, std::move(value), headers, std::move(key)));
    record->partition = 2;
    record->offset = 7;
    record->timestamp = noon;
    return std::shared_ptr<const Record>(record);
  };
  const Outgoing paid = codec.write(event_of(Topic::payment_success));
  const Headers structured{{"content-type", "application/cloudevents+json"}, {"topic", "order.delivered"}};
  order.state = order::State::cancelled;
  order.reason = "out_of_stock";
  order.user.value = "u";
  order.lines = {{{"a"}, 1}, {{"b"}, 2}};
  order.itemised = true;
  order.payment_token = "tok\"_ok";
  order.extras = R"("ship_to":{"z":1.10,"a":1e400})";
  order.traceparent = trace;
  order.amount = 0;
  order.currency = "EUR";
  order.txn.value = "t";
  order.tracking.value = "k";
  order.waits[1] = {true, 1, 2, 3};
  order.waits[4] = {false, 0, 0, 6};
  order.expires = noon;
  order.kept = {{kept(Topic::payment_success, *paid.value, paid.headers, paid.key), 99},
                {kept(Topic::order_rerouted, R"({"id":"e","source":"/cartwright/order","data":{"order_id":"o-1"}})",
                    structured, "o-1"), 0},
                {kept(Topic::payment_failed, "\xff{", {}, std::string("\xff\0", 2)), 0},
                {kept(Topic::payment_failed, R"({"order_id":"o-1"})", {}, ""), 0}};
  order.seen = order.given_up = order.refund_asked = true;
  order.refunds = {"t2", "t3"};
  order.placed = R"({"order_id":"o-1","x":"é"})";
  order.placed_ce_id = "ce-9";
  order.told = 0x80000001u;
  order.version = 5;
  order.created_at = 1;
  order.updated_at = 2;
  const std::string doc = codec.write(order);
  const order::Order back = codec.read_order(row_of(order));
  BOOST_TEST(codec.write(back) == doc);
  BOOST_TEST((back.state == order.state));
  BOOST_TEST(back.id.value == order.id.value);
  BOOST_TEST(back.reason == order.reason);
  BOOST_TEST(back.user.value == order.user.value);
  BOOST_TEST((back.lines == order.lines));
  BOOST_TEST(back.itemised);
  BOOST_TEST(back.payment_token == order.payment_token);
  BOOST_TEST(back.extras == order.extras);
  BOOST_TEST(back.traceparent == order.traceparent);
  BOOST_TEST((back.amount == order.amount));
  BOOST_TEST(back.currency == order.currency);
  BOOST_TEST(back.txn.value == order.txn.value);
  BOOST_TEST(back.tracking.value == order.tracking.value);
  BOOST_TEST((back.waits == order.waits));
  BOOST_TEST(back.expires == order.expires);
  BOOST_TEST((back.seen && back.given_up && back.refund_asked));
  BOOST_TEST(back.refunds == order.refunds);
  BOOST_TEST(back.placed == order.placed);
  BOOST_TEST(back.placed_ce_id == order.placed_ce_id);
  BOOST_TEST(back.told == order.told);
  BOOST_TEST(back.version == order.version);
  BOOST_TEST(back.created_at == order.created_at);
  BOOST_TEST(back.updated_at == order.updated_at);
  BOOST_REQUIRE(back.kept.size() == order.kept.size());
  for (std::size_t k = 0; k < order.kept.size(); ++k)
    BOOST_TEST_CONTEXT("kept record " << k) {
      const Record &a = *back.kept[k].record, &b = *order.kept[k].record;
      BOOST_TEST(back.kept[k].until == order.kept[k].until);
      BOOST_TEST((a.topic == b.topic));
      BOOST_TEST(a.partition == b.partition);
      BOOST_TEST(a.offset == b.offset);
      BOOST_TEST(a.timestamp == b.timestamp);
      BOOST_TEST((a.key == b.key));
      BOOST_TEST((a.value == b.value));
      BOOST_TEST(a.poison == b.poison);
      BOOST_TEST(a.event.stored == b.event.stored);
      check_equal(a.event, b.event);
    }
  BOOST_TEST(!codec.read_order(row_of(order::Order{})).amount.has_value());
}

BOOST_AUTO_TEST_CASE(the_other_rows_come_back) {
  inventory::Reservation r;
  r.order.value = "o";
  r.state = inventory::State::released;
  r.lines = {{{"a"}, 1}};
  r.itemised = r.held = r.answered = r.asked_status = r.shipped = true;
  r.told = false;
  r.detail = "d", r.amount = 7, r.currency = "EUR", r.traceparent = trace;
  r.answered_at = 1, r.status_due = 2, r.act_due = 3, r.act_delay = 4, r.created_at = 5, r.updated_at = 6;
  inventory::Reservation r2 = codec.read_reservation(row_of(r));
  BOOST_TEST(codec.write(r2) == codec.write(r));
  BOOST_TEST((r2.known && r2.state == r.state && r2.order == r.order && r2.lines == r.lines && r2.itemised && r2.held &&
      !r2.told));
  BOOST_TEST((r2.answered && r2.asked_status && r2.shipped && r2.detail == "d" && r2.amount == 7 && r2.currency == "EUR" &&
      r2.traceparent == trace));
  BOOST_TEST((r2.answered_at == 1 && r2.status_due == 2 && r2.act_due == 3 && r2.act_delay == 4 && r2.created_at == 5 &&
      r2.updated_at == 6));
  BOOST_TEST(codec.read_reservation(row_of(inventory::Reservation{})).told);

  payment::Charge c;
  c.order.value = "o", c.user.value = "u", c.txn.value = "t";
  c.state = payment::State::refunding;
  c.amount = limits::amount_max, c.currency = "EUR", c.token = "tok", c.traceparent = trace, c.detail = "d";
  c.attempt = 3, c.back = true, c.answered_at = 1, c.act_due = 2, c.act_delay = 3, c.created_at = 4, c.updated_at = 5;
  payment::Charge c2 = codec.read_charge(row_of(c));
  BOOST_TEST(codec.write(c2) == codec.write(c));
  BOOST_TEST((c2.known && c2.order == c.order && c2.user == c.user && c2.txn == c.txn && c2.state == c.state &&
      c2.amount == c.amount));
  BOOST_TEST((c2.currency == "EUR" && c2.token == "tok" && c2.traceparent == trace && c2.detail == "d" &&
      c2.attempt == 3 && c2.back));
  BOOST_TEST((c2.answered_at == 1 && c2.act_due == 2 && c2.act_delay == 3 && c2.created_at == 4 && c2.updated_at == 5));

  shipping::Shipment s;
  s.order.value = "o", s.user.value = "u", s.tracking.value = "k";
  s.state = shipping::State::booked;
  s.extras = R"("ship_to":{"a":1.10})", s.traceparent = trace, s.detail = "no such street", s.attempt = 2;
  s.answered_at = 1, s.act_due = 2, s.act_delay = 3, s.created_at = 4, s.updated_at = 5;
  shipping::Shipment s2 = codec.read_shipment(row_of(s));
  BOOST_TEST(codec.write(s2) == codec.write(s));
  BOOST_TEST((s2.known && s2.order == s.order && s2.user == s.user && s2.tracking == s.tracking &&
      s2.state == s.state));
  BOOST_TEST((s2.extras == s.extras && s2.traceparent == trace && s2.answered_at == 1 && s2.act_due == 2 &&
      s2.act_delay == 3));
  BOOST_TEST((s2.created_at == 4 && s2.updated_at == 5 && s2.detail == s.detail && s2.attempt == 2));

  notification::Notice n;
  n.order.value = "o";
  n.state = notification::State::sent;
  n.channels = {{"email"}}, n.occasion = "payment.failed", n.text = "Payment failed.\n";
  n.act_due = 2, n.act_delay = 3, n.created_at = 4, n.updated_at = 5;
  notification::Notice n2 = codec.read_notice(row_of(n));
  BOOST_TEST(codec.write(n2) == codec.write(n));
  BOOST_TEST((n2.known && n2.order == n.order && n2.state == n.state && n2.channels == n.channels &&
      n2.occasion == n.occasion));
  BOOST_TEST((n2.text == n.text && n2.act_due == 2 && n2.act_delay == 3 && n2.created_at == 4 && n2.updated_at == 5));
  n.state = notification::State::sending;
  n.channels = {{"email", true, notification::Delivery::sending}, {"sms", true, notification::Delivery::failed, "expired"}};
  n.extras = R"("contact":{"email":"a@b"})";
  n2 = codec.read_notice(row_of(n));
  BOOST_TEST((n2.channels == n.channels && n2.extras == n.extras && n2.state == n.state));
}

BOOST_AUTO_TEST_CASE(a_row_that_was_not_written_here_is_a_bug) {
  Row row;
  row.key = "o";
  row.state = "pending";
  for (const char* doc : {"", "{", "[]", R"({"lines":1})", R"({"version":"1"})", R"({"seen":1})", R"({"kept":[{"topic":"x"}]})",
                          R"({"placed_base64":"?"})", R"({"txn_id":7})"})
    BOOST_TEST_CONTEXT(doc) {
      row.doc = doc;
      BOOST_CHECK_THROW((void)codec.read_order(row), BrokenInvariant);
    }
  row.doc = "{}";
  BOOST_TEST(codec.read_order(row).id.value == "o");
  row.state = "lost";
  BOOST_CHECK_THROW((void)codec.read_order(row), BrokenInvariant);
}

// ---- writer and texts -----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(the_writer_writes_json) {
  Writer out;
  out.begin_object().key("a\"").begin_array().integer(INT64_MIN).null().boolean(false);
  out.begin_object().end_object().end_array();
  out.key("b").string("q\"\\/\b\f\n\r\t\x1f\x7f\xc3\xa9").members("");
  out.members(R"("c":1,"d":{})").key("e").raw("[2]").end_object();
  BOOST_TEST(out.text() == R"({"a\"":[-9223372036854775808,null,false,{}],"b":"q\"\\/\b\f\n\r\t\u001f)"
                           "\x7f\xc3\xa9" R"(","c":1,"d":{},"e":[2]})");
  (void)out.take();
  // Bytes that are not UTF-8: alone, cut off, overlong, a surrogate.
  out.string("a\xff" "b\xe2\x82");
  BOOST_TEST(out.take() == "\"a\xef\xbf\xbd" "b\xef\xbf\xbd\xef\xbf\xbd\"");
  BOOST_TEST(out.string("\xf0\x9f\x98\x80").take() == "\"\xf0\x9f\x98\x80\"");
}

BOOST_AUTO_TEST_CASE(base64_brings_any_bytes_back) {
  for (std::size_t size = 0; size < 9; ++size) {
    std::string bytes;
    for (std::size_t k = 0; k < size; ++k) bytes += static_cast<char>(k * 37 + 251);
    BOOST_TEST((json::from_base64(json::to_base64(bytes)) == bytes));
  }
  BOOST_TEST(json::to_base64("foob") == "Zm9vYg==");
  for (const char* bad : {"a", "a===", "ab=c", "====", "ab!="}) BOOST_TEST(!json::from_base64(bad).has_value());
}

// ---- random damage --------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(damaged_payloads_are_poison_or_events) {
  const char* given = std::getenv("CODEC_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : 20261122;
  std::cout << "seed " << seed << " (CODEC_TEST_SEED=" << seed << " replays)\n";
  std::mt19937_64 random(seed);
  auto pick = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
  std::vector<std::pair<Topic, std::string>> seeds;
  for (const TopicInfo& row : topics()) {
    if (row.topic == Topic::order_rerouted) continue;
    Event event = event_of(row.topic);
    seeds.emplace_back(row.topic, codec.write(event).value.value());
    event.extras = R"("ship_to":{"city":"B\u00f6nn","n":[1.10,1e400,-0]},"metadata":{"a":"b c"})";
    if (!event.lines.empty()) event.lines.push_back({{"other"}, 3}), event.itemised = true;
    event.payment_token = "tok_ok", event.currency = "EUR", event.occasion = "payment.failed";
    seeds.emplace_back(row.topic, codec.write(event).value.value());
  }
  const std::vector<std::string> pieces{"{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0000", "null", "1e999", "-", "0",
      "9", ".",
                                        "\xff", "\xc3\xa9", std::string(1, '\0'), " ", "\"items\":[]", "\"x\":1,",
                                            "true"};
  const Headers structured{{"content-type", "application/cloudevents+json"}};
  std::size_t readable = 0;
  for (int run = 0; run < 20'000; ++run) {
    auto [topic, value] = seeds[pick(seeds.size())];
    if (pick(20) == 0) topic = static_cast<Topic>(pick(topic_count));
    for (std::size_t changes = pick(4); changes > 0; --changes) {
      const std::size_t at = pick(value.size() + 1);
      switch (pick(5)) {
        case 0: value.insert(at, pieces[pick(pieces.size())]); break;
        case 1: value.erase(at, pick(4)); break;
        case 2: if (at < value.size()) value[at] = static_cast<char>(pick(256)); break;
        case 3: value.insert(at, value.substr(pick(value.size() + 1), pick(40))); break;
        default: if (at < value.size()) value.replace(at, 1, pieces[pick(pieces.size())]); break;
      }
      if (value.empty()) break;
    }
    const bool wrapped = pick(4) == 0;
    if (wrapped) value = R"({"id":"e","data":)" + value + "}";
    Record record = read(topic, value, wrapped ? structured : Headers{});
    if (!record.poison.empty()) {
      if (!json::is_utf8(record.poison) || record.poison.size() > 200) BOOST_ERROR("run " << run << ": " <<
          record.poison);
      continue;
    }
    ++readable;
    BOOST_TEST_CONTEXT("run " << run << " " << to_string(topic) << " " << value) {
      Outgoing out = codec.write(record.event);
      Record again = read(topic, out.value, out.headers, out.key);
      BOOST_TEST(again.poison == "");
      check_equal(again.event, record.event);
    }
  }
  std::cout << readable << " of 20000 readable\n";
  BOOST_TEST(readable > 2000u);
}
