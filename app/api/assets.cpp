#include "app/api/assets.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace cartwright::api {
namespace {

/// Whether an Accept-Encoding allows gzip (RFC 9110, 12.5.3; a weight of 0 forbids it).
bool takes_gzip(std::string_view accepted) {
  for (std::size_t at = 0; at < accepted.size();) {
    const std::size_t end = std::min(accepted.find(',', at), accepted.size());
    std::string coding;
    for (const char c : accepted.substr(at, end - at))
      if (c != ' ' && c != '\t') coding += static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    at = end + 1;
    const std::size_t weight = coding.find(";q=");
    const std::string name = coding.substr(0, coding.find(';'));
    if (name != "gzip" && name != "*") continue;
    return weight == std::string::npos || coding.find_first_of("123456789", weight) != std::string::npos;
  }
  return false;
}

/// Whether an If-None-Match names `etag`; weak and strong ones count as the same.
bool names_tag(std::string_view given, std::string_view etag) {
  return given == "*" || given.find(etag) != std::string_view::npos;
}

}  // namespace

http::Response served(const page::Asset& asset, const http::Request& request) {
  http::Response response{.status = 200, .content_type = std::string(asset.content_type), .headers = {}, .body = {}};
  response.headers = {
      {"ETag", std::string(asset.etag)},
      {"Cache-Control", asset.forever ? "public, max-age=31536000, immutable" : "no-cache"},
      {"Vary", "Accept-Encoding"},
      {"Content-Security-Policy",
       "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"}};
  if (names_tag(request.header("If-None-Match"), asset.etag)) {
    response.status = 304;
    response.content_type.clear();
    return response;
  }
  const bool gzip = takes_gzip(request.header("Accept-Encoding"));
  if (gzip) response.headers.push_back({"Content-Encoding", "gzip"});
  response.body = gzip ? asset.gzip : asset.plain;
  return response;
}

}  // namespace cartwright::api
