#pragma once
// How a file of the page goes to a browser.

#include "app/page/page.hpp"
#include "bridges/http/server.hpp"

namespace cartwright::api {

/// The answer to a GET or HEAD of `asset`: 304 when `request` knows it, compressed when it may be. With its policy it loads nothing from
/// elsewhere, runs nothing inline, and is framed by nobody.
[[nodiscard]] http::Response served(const page::Asset& asset, const http::Request& request);

}  // namespace cartwright::api
