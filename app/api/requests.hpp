#pragma once
// What clients send, as values: bodies, media types, Idempotency-Keys and page tokens. Pure functions, any thread. They
// say what is wrong as a Refusal and never throw on bad input; the bounds are contract.md section 3's.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "actors/event.hpp"
#include "actors/messages.hpp"

namespace cartwright::api {

/// Why a request cannot be taken. `field` names the member at fault, as a path ("items[2].quantity"); "" for none.
struct Refusal {
  int status = 0;
  std::string detail;
  std::string field;
};

/// A value, or why there is none.
template <class T>
using Read = std::variant<T, Refusal>;

/// The body of POST /v1/orders: an order.placed without its id. 400: no JSON object, duplicate keys, contradicting
/// members; 422: a member with a wrong value.
[[nodiscard]] Read<Event> read_order(std::string_view body);

/// The body of PUT /v1/stock/{id}: an absolute change without id and product.
[[nodiscard]] Read<StockChange> read_stock(std::string_view body);

/// The body of POST /v1/stock/{id}/adjustments: a relative change without id and product.
[[nodiscard]] Read<StockChange> read_adjustment(std::string_view body);

/// Whether a Content-Type is JSON in UTF-8. Absent counts as JSON.
[[nodiscard]] bool is_json(std::string_view content_type);

/// Whether a Content-Type may carry a batch: the NDJSON types, or JSON.
[[nodiscard]] bool is_ndjson(std::string_view content_type);

/// The key in an Idempotency-Key header, which is there: bare or quoted, 1..255 visible ASCII characters; else 400.
[[nodiscard]] Read<std::string> read_idempotency_key(std::string_view header);

/// What decides whether two requests with one Idempotency-Key are the same.
[[nodiscard]] std::string request_hash(std::string_view method, std::string_view path, std::string_view body);

/// The lines of a batch. A last empty line, behind the final line end, does not count; a CR before a line end is cut.
[[nodiscard]] std::vector<std::string_view> lines_of(std::string_view body);

/// An opaque token for the page behind `key`; `kind` keeps the tokens of one list from another's.
[[nodiscard]] std::string page_token(char kind, std::string_view key);
/// The key in a token that page_token made for `kind`; nothing for any other text.
[[nodiscard]] std::optional<std::string> read_page_token(char kind, std::string_view token);

/// A page_size: 50 when empty, at most 1,000; nothing when it is no integer or below 1.
[[nodiscard]] std::optional<int> read_page_size(std::string_view text);

}  // namespace cartwright::api
