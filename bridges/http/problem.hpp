#pragma once

// Error answers as application/problem+json (RFC 9457). Used by the server for its own refusals and by the routes for
// theirs, so that every error of the program looks alike. Pure functions; any thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "bridges/http/server.hpp"

namespace cartwright::http {

/// An extension member of a problem. The value becomes a JSON string, number, boolean or array of strings.
struct Member {
  std::string name;
  std::variant<std::string, std::int64_t, bool, std::vector<std::string>> value;
};

/// A problem of type about:blank. An empty `title` becomes the status' reason phrase; an empty `detail` is left out.
/// A 503 carries `Retry-After: 1` (seconds). Names in `members` must differ from type, title, status and detail.
[[nodiscard]] Response problem(int status, std::string_view title, std::string_view detail,
                               const std::vector<Member>& members = {});

/// `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string json_string(std::string_view text);

/// The reason phrase of RFC 9110 for `status`, "Unknown" for one it does not name.
[[nodiscard]] std::string_view reason_phrase(int status);

}  // namespace cartwright::http
