// libFuzzer: any bytes as the header of an HTTP request, as bridges/http/connection.cpp takes it: scanned in pieces,
// then parsed. Then what the API reads of it: parameters and headers. All must answer, and what is accepted must be in
// bounds.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "app/api/requests.hpp"
#include "bridges/http/head.hpp"
#include "bridges/http/text.hpp"
#include "tests/fuzz/require.hpp"

namespace {

using namespace cartwright;
using fuzz::require;
using Found = http::HeadScanner::Found;

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7F;
  });
}

// The scanner sees more of the same bytes with each call, as they come from a socket.
Found scan_in_pieces(http::HeadScanner& scanner, std::string_view bytes, std::size_t piece) {
  for (std::size_t seen = std::min(piece, bytes.size());; seen = std::min(seen + piece, bytes.size())) {
    const Found found = scanner.scan(bytes.substr(0, seen));
    if (found != Found::More || seen == bytes.size()) return found;
  }
}

void read_values(std::string_view value) {
  (void)api::is_json(value);
  (void)api::is_ndjson(value);
  if (const auto key = api::read_idempotency_key(value); const auto* text = std::get_if<std::string>(&key))
    require(!text->empty() && text->size() <= 255 && !has_control(*text), "a key is 1 to 255 visible bytes", *text);
  if (const auto size = api::read_page_size(value))
    require(*size >= 1 && *size <= 1000, "a page size is 1 to 1,000", std::string(value));
  if (const auto key = api::read_page_token('o', value)) {
    require(valid_id(*key), "a page token holds an id", *key);
    require(api::read_page_token('o', api::page_token('o', *key)) == key, "a page token says its key");
    require(!api::read_page_token('s', value), "a token of another list is refused", std::string(value));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  http::HeadScanner whole;
  const Found found = whole.scan(bytes);
  for (std::size_t piece : {1, 7}) {
    http::HeadScanner pieces;
    require(scan_in_pieces(pieces, bytes, piece) == found, "pieces do not matter");
    if (found == Found::End)
      require(pieces.begin() == whole.begin() && pieces.end() == whole.end(), "pieces do not move the header");
  }
  if (found != Found::End) return 0;
  require(whole.begin() < whole.end() && whole.end() <= size, "a header lies in what was read");
  const auto parsed = http::parse_head(bytes.substr(whole.begin(), whole.end() - whole.begin()));
  if (const auto* refusal = std::get_if<http::Refusal>(&parsed)) {
    require(refusal->status >= 400 && refusal->status < 600 && !refusal->detail.empty(), "a refusal says why");
    return 0;
  }

  const auto& head = std::get<http::Head>(parsed);
  const http::Request& request = head.request;
  require(!request.method.empty() && !request.path.empty(), "a request has a method and a path");
  require(!request.has_header("transfer-encoding"), "Transfer-Encoding is refused");
  const auto count = [&](std::string_view name) {
    return std::count_if(request.headers.begin(), request.headers.end(),
                         [name](const http::Header& header) { return http::same_ignoring_case(header.name, name); });
  };
  require(count("host") <= 1 && count("content-length") <= 1, "Host and Content-Length do not repeat");
  require(request.has_header("content-length") || head.content_length == 0, "without a length there is no body");
  require(!head.keep_alive || count("host") == 1, "a connection is kept for HTTP/1.1 only");
  require(http::is_utf8(request.path), "a path is UTF-8", request.path);
  for (const std::string& segment : request.segments) {
    require(http::is_utf8(segment) && segment.find('\0') == std::string::npos, "a segment is a text", segment);
    read_values(segment);
  }
  for (const auto& [name, value] : request.query) {
    require(http::is_utf8(name) && http::is_utf8(value), "a parameter is UTF-8", name);
    read_values(value);
  }
  for (const http::Header& header : request.headers) {
    require(!header.name.empty() && !has_control(header.name) && !has_control(header.value), "a field has no controls");
    read_values(header.value);
  }
  return 0;
}
