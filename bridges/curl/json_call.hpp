#pragma once
// What questions to a gateway, a carrier and a webhook have in common: JSON over HTTP with our key and the effect's.

#include <chrono>
#include <string>
#include <string_view>

#include "bridges/curl/client.hpp"

namespace cartwright::curl {

/// A server that is spoken to in JSON.
struct JsonServer {
  std::string url;                            // without a / at its end
  std::string key;                            // bearer token; "": none
  std::chrono::milliseconds timeout{10'000};  // of one exchange
};

/// A POST of `body` to `path` (from / on), or a GET without a body, for one effect of an order.
[[nodiscard]] Request json_post(const JsonServer& server, std::string_view path, const Act& act, std::string body);
[[nodiscard]] Request json_get(const JsonServer& server, std::string_view path, const Act& act);

/// A member of a JSON object that is a text, or ""; also "" when `body` is no JSON object.
[[nodiscard]] std::string text_member(std::string_view body, std::string_view name);

/// Why a question was refused, in the server's own words: `reason`, `code` or `detail` of its answer, else `http_402`.
[[nodiscard]] std::string reason_of(const Response& response);

}  // namespace cartwright::curl
