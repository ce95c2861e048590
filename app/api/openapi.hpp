#pragma once
// The API's own description.

#include <string_view>

namespace cartwright::api {

/// config/openapi.yaml as it was when the program was built, as JSON.
[[nodiscard]] std::string_view openapi_json();

}  // namespace cartwright::api
