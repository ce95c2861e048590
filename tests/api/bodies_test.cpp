// What bodies, keys, tokens and sizes the HTTP API takes, and what it says of the others, as tables.
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "app/api/requests.hpp"
#include "app/api/views.hpp"

namespace {

using namespace cartwright;

struct BodyCase {
  std::string body;
  int status;  // 0: good
  std::string field;
};

template <class T>
void check_bodies(api::Read<T> (*read)(std::string_view), const std::vector<BodyCase>& cases) {
  for (const BodyCase& each : cases) {
    const auto result = read(each.body);
    const auto* refusal = std::get_if<api::Refusal>(&result);
    BOOST_TEST((refusal ? refusal->status : 0) == each.status, each.body << (refusal ? ": " + refusal->detail : ""));
    if (refusal && !each.field.empty()) BOOST_TEST(refusal->field == each.field, each.body << ": " << refusal->field);
  }
}

std::string nested(int depth) {
  return R"({"product_id":"p","quantity":1,"user_id":"u","x":)" + std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']') + "}";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bodies)

BOOST_AUTO_TEST_CASE(an_order_is_taken_or_refused_for_a_reason) {
  const std::string good = R"("product_id":"p-1","quantity":2,"user_id":"u-1")";
  const std::string big = std::string(2000, 'x');
  check_bodies<Event>(
      api::read_order,
      {{"{" + good + "}", 0, ""},
       {"{" + good + R"(,"unknown":{"a":[1,2,{"b":null}]},"n":1e400,"m":123456789012345678901234567890})", 0, ""},
       {R"({"items":[{"product_id":"a","quantity":1},{"product_id":"a","quantity":1000000,"x":1}],"user_id":"u"})", 0,
        ""},
       {"{" + good + R"(,"payment_token":"tok_ok","ship_to":{"city":"Ulm"},"contact":{},"metadata":{"a":1.50}})", 0,
        ""},
       {"{" + good + R"(,"payment_token":null,"metadata":null})", 0, ""},
       {nested(31), 0, ""},
       // no JSON, or no object
       {"", 400, ""},
       {"{", 400, ""},
       {"[]", 400, ""},
       {"[1,{\"a\":2}]", 400, ""},
       {"1", 400, ""},
       {"\"x\"", 400, ""},
       {"null", 400, ""},
       {"{" + good + "} x", 400, ""},
       {"{" + good + R"(,"x":"\xff"})", 400, ""},
       {"{" + good + ",\"x\":\"\xc3\"}", 400, ""},
       {std::string("{") + good + "}" + '\0', 400, ""},
       {nested(32), 400, ""},
       // contradictions
       {"{" + good + R"(,"quantity":2})", 400, "quantity"},
       {"{" + good + R"(,"x":{"a":1,"a":2}})", 400, "a"},
       {"{" + good + R"(,"\u0075ser_id":"u-1"})", 400, "user_id"},
       {"{" + good + R"(,"items":[{"product_id":"a","quantity":1}]})", 400, "items"},
       {R"({"items":[{"product_id":"a","product_id":"b","quantity":1}],"user_id":"u"})", 400, "product_id"},
       {"{" + good + R"(,"order_id":"o-1"})", 400, "order_id"},
       {"{" + good + R"(,"order_id":null})", 400, "order_id"},
       // values
       {R"({"quantity":2,"user_id":"u-1"})", 422, "product_id"},
       {R"({"product_id":"p","user_id":"u-1"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":2})", 422, "user_id"},
       {"{}", 422, "product_id"},
       {R"({"product_id":"p","quantity":0,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":-1,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":1000001,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":1.0,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":1e2,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":1e400,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":99999999999999999999,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":"2","user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":true,"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"p","quantity":[2],"user_id":"u"})", 422, "quantity"},
       {R"({"product_id":"","quantity":2,"user_id":"u"})", 422, "product_id"},
       {R"({"product_id":"a b","quantity":2,"user_id":"u"})", 422, "product_id"},
       {R"({"product_id":7,"quantity":2,"user_id":"u"})", 422, "product_id"},
       {R"({"product_id":"p","quantity":2,"user_id":")" + std::string(129, 'u') + R"("})", 422, "user_id"},
       {R"({"items":[],"user_id":"u"})", 422, "items"},
       {R"({"items":{},"user_id":"u"})", 422, "items"},
       {R"({"items":[1],"user_id":"u"})", 422, "items[0]"},
       {R"({"items":[[{"product_id":"a"}]],"user_id":"u"})", 422, "items[0]"},
       {R"({"items":[{"product_id":"a","quantity":1},{"product_id":"a","quantity":1.5}],"user_id":"u"})", 422,
        "items[1].quantity"},
       {"{" + good + R"(,"payment_token":1})", 422, "payment_token"},
       {"{" + good + R"(,"ship_to":"Ulm"})", 422, "ship_to"},
       {"{" + good + R"(,"ship_to":{"a":")" + big + R"("},"contact":{"a":")" + big + R"("},"metadata":{"a":")" + big +
            R"("}})",
        422, "metadata"}});
}

BOOST_AUTO_TEST_CASE(items_are_one_to_a_hundred) {
  for (int count : {1, 100, 101}) {
    std::string items;
    for (int i = 0; i < count; ++i) items += std::string(i ? "," : "") + R"({"product_id":"p","quantity":1})";
    const auto read = api::read_order(R"({"user_id":"u","items":[)" + items + "]}");
    BOOST_TEST(std::holds_alternative<Event>(read) == (count <= 100));
  }
}

BOOST_AUTO_TEST_CASE(opaque_members_are_passed_on_as_they_were_spelled) {
  const auto read = api::read_order(
      R"({"x":[{"ship_to":1}], "ship_to" : {"zip": "01", "n": 1.50},"product_id":"p","quantity":1,"user_id":"u","metadata":{"b":1,"a":2}})");
  const auto& event = std::get<Event>(read);
  BOOST_TEST(event.extras == R"("ship_to":{"zip":"01","n":1.50},"metadata":{"b":1,"a":2})");
  BOOST_TEST(!event.itemised);
  BOOST_TEST(event.lines.size() == 1u);
}

BOOST_AUTO_TEST_CASE(stock_is_taken_or_refused_for_a_reason) {
  check_bodies<StockChange>(
      api::read_stock,
      {{R"({"quantity":0})", 0, ""},
       {R"({"quantity":1000000000,"price_minor":1000000000000,"currency":"EUR","name":"Böck"})", 0, ""},
       {R"({"quantity":-1})", 422, "quantity"},
       {R"({"quantity":1000000001})", 422, "quantity"},
       {R"({"quantity":1.5})", 422, "quantity"},
       {R"({})", 422, "quantity"},
       {R"({"quantity":1,"price_minor":-1})", 422, "price_minor"},
       {R"({"quantity":1,"price_minor":1000000000001})", 422, "price_minor"},
       {R"({"quantity":1,"currency":"eur"})", 422, "currency"},
       {R"({"quantity":1,"currency":"EURO"})", 422, "currency"},
       {R"({"quantity":1,"name":5})", 422, "name"},
       {R"({"quantity":1,"name":")" + std::string(1025, 'n') + R"("})", 422, "name"},
       {R"({"quantity":1,"quantity":1})", 400, "quantity"},
       {"x", 400, ""}});
  check_bodies<StockChange>(api::read_adjustment, {{R"({"delta":-5,"reason":"broken"})", 0, ""},
                                                   {R"({"delta":0,"reason":"x"})", 422, "delta"},
                                                   {R"({"delta":1000000001,"reason":"x"})", 422, "delta"},
                                                   {R"({"delta":5})", 422, "reason"},
                                                   {R"({"delta":5,"reason":""})", 422, "reason"},
                                                   {R"({"reason":"x"})", 422, "delta"}});
}

BOOST_AUTO_TEST_CASE(media_types_keys_tokens_and_sizes) {
  for (const char* good : {"", "application/json", "Application/JSON; charset=UTF-8",
                           "application/json;charset=\"utf-8\"", "application/json; v=1"})
    BOOST_TEST(api::is_json(good), good);
  for (const char* bad : {"text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1",
                          "application/jsonx", "json"})
    BOOST_TEST(!api::is_json(bad), bad);
  for (const char* good : {"application/x-ndjson", "application/ndjson", "application/json"})
    BOOST_TEST(api::is_ndjson(good), good);
  BOOST_TEST(!api::is_ndjson("text/csv"));
  BOOST_TEST(std::get<std::string>(api::read_idempotency_key("abc")) == "abc");
  BOOST_TEST(std::get<std::string>(api::read_idempotency_key(" \"abc\" ")) == "abc");
  BOOST_TEST(std::get<std::string>(api::read_idempotency_key(std::string(255, 'k'))).size() == 255u);
  for (const std::string& bad :
       {std::string(), std::string("\"\""), std::string("a b"), std::string(256, 'k'), std::string("k\xc3\xa4")})
    BOOST_TEST(std::get<api::Refusal>(api::read_idempotency_key(bad)).status == 400);
  for (const char* key : {"a", "ab", "abc", "0190a-~:._"}) {
    const std::string token = api::page_token('o', key);
    BOOST_TEST(api::read_page_token('o', token).value_or("") == key);
    BOOST_TEST(!api::read_page_token('s', token));
  }
  for (const char* bad : {"", "x", "!!!!", "b3g=", "\xff"}) BOOST_TEST(!api::read_page_token('o', bad));
  BOOST_TEST(api::read_page_size("").value_or(0) == 50);
  BOOST_TEST(api::read_page_size("7").value_or(0) == 7);
  BOOST_TEST(api::read_page_size("99999999999999999999").value_or(0) == 1000);
  for (const char* bad : {"0", "-1", "1.5", "x", " 1"}) BOOST_TEST(!api::read_page_size(bad));
  BOOST_TEST(api::lines_of("").size() == 0u);
  BOOST_TEST(api::lines_of("a\n").size() == 1u);
  BOOST_TEST(api::lines_of("a\r\n\nb").size() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()
