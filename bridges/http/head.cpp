#include "bridges/http/head.hpp"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <cctype>
#include <limits>
#include <optional>
#include <utility>

#include "bridges/http/text.hpp"

namespace cartwright::http {

namespace {

namespace beast = boost::beast;
using beast::error_code;

/// Collects the lines of a request straight into our own struct, and counts the fields that must not repeat.
class HeadParser final : public beast::http::basic_parser<true> {
 public:
  Request request;
  int hosts = 0;
  int content_lengths = 0;
  int expectations = 0;
  bool transfer_encoding = false;
  bool length_is_plain = true;
  bool http_1_1 = true;

 private:
  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target, int version,
                       error_code&) override {
    request.method.assign(method.data(), method.size());
    request.target.assign(target.data(), target.size());
    http_1_1 = version >= 11;
  }

  void on_field_impl(beast::http::field field, beast::string_view name, beast::string_view value,
                     error_code&) override {
    switch (field) {
      case beast::http::field::host: ++hosts; break;
      case beast::http::field::expect: ++expectations; break;
      case beast::http::field::transfer_encoding: transfer_encoding = true; break;
      case beast::http::field::content_length:
        ++content_lengths;
        // Beast also takes a list of equal lengths ("5, 5"), which other software may read otherwise.
        length_is_plain =
            length_is_plain && std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
        break;
      default: break;
    }
    request.headers.push_back({std::string(name.data(), name.size()), std::string(value.data(), value.size())});
  }

  void on_response_impl(int, beast::string_view, int, error_code&) override {}
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view body, error_code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, error_code&) override { return body.size(); }
  void on_finish_impl(error_code&) override {}
};

/// Whether the request line ends in a well-formed version, whatever its number.
bool names_some_version(std::string_view bytes) {
  const auto line = bytes.substr(0, bytes.find('\r'));
  if (line.size() < 9) return false;
  const auto version = line.substr(line.size() - 9);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return version.substr(0, 6) == " HTTP/" && is_digit(version[6]) && version[7] == '.' && is_digit(version[8]);
}

Refusal parse_error(const error_code& cause, std::string_view bytes) {
  using beast::http::error;
  if (cause == error::bad_version && names_some_version(bytes)) {
    return {505, "Only HTTP/1.1 and HTTP/1.0 are understood."};
  }
  if (cause == error::bad_method || cause == error::bad_target || cause == error::bad_version) {
    return {400, "The request line is malformed; it must read METHOD SP TARGET SP HTTP/1.1."};
  }
  if (cause == error::bad_content_length || cause == error::multiple_content_length) {
    return {400, "Content-Length must be one decimal number."};
  }
  if (cause == error::bad_transfer_encoding) return {400, "Transfer-Encoding is not accepted; send a Content-Length."};
  return {400, "A header field is malformed."};
}

bool is_valid_host(std::string_view host) {
  return std::all_of(host.begin(), host.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte < 0x7F && std::string_view("/@,?#\\\"<>").find(c) == std::string_view::npos;
  });
}

std::optional<Refusal> check_fields(const HeadParser& parser) {
  // Chunks are refused altogether: this Beast bounds neither their extensions nor their trailers.
  if (parser.transfer_encoding) return Refusal{400, "Transfer-Encoding is not accepted; send a Content-Length."};
  if (parser.content_lengths > 1 || !parser.length_is_plain) {
    return Refusal{400, "Content-Length must be one decimal number."};
  }
  if (parser.hosts > 1 || (parser.hosts == 0 && parser.http_1_1)) {
    return Refusal{400, "Exactly one Host header is needed."};
  }
  if (!is_valid_host(parser.request.header("host"))) return Refusal{400, "The Host header is malformed."};
  const bool knows_expectation =
      parser.expectations == 1 && same_ignoring_case(parser.request.header("expect"), "100-continue");
  if (parser.expectations > 0 && !knows_expectation && parser.http_1_1) {
    return Refusal{417, "The only expectation understood is 100-continue."};
  }
  return std::nullopt;
}

/// The path and query of `target` in origin form ("/a?b") or absolute form ("http://host/a?b"); "*" as it is.
std::optional<std::string_view> origin_form(std::string_view target) {
  const bool visible = std::all_of(target.begin(), target.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (!visible || target.find('#') != std::string_view::npos) return std::nullopt;
  if (target.starts_with('/') || target == "*") return target;
  const auto scheme_end = target.find("://");
  if (scheme_end == std::string_view::npos) return std::nullopt;
  const auto scheme = target.substr(0, scheme_end);
  if (!same_ignoring_case(scheme, "http") && !same_ignoring_case(scheme, "https")) return std::nullopt;
  const auto path = target.find_first_of("/?", scheme_end + 3);
  if (path == std::string_view::npos) return "/";
  return target.substr(path);
}

bool split_path(std::string_view raw, Request& request) {
  auto decoded = percent_decode(raw, false);
  if (!decoded) return false;
  request.path = *std::move(decoded);
  if (request.path.empty()) request.path = "/";
  if (raw.starts_with('/')) raw.remove_prefix(1);
  if (raw.empty()) return true;
  for (;;) {
    const auto slash = raw.find('/');
    auto segment = percent_decode(raw.substr(0, slash), false);
    // A sequence cut in two by a '/' cannot be UTF-8 as a whole, so this only fails when the above did.
    if (!segment) return false;
    request.segments.push_back(*std::move(segment));
    if (slash == std::string_view::npos) return true;
    raw.remove_prefix(slash + 1);
  }
}

bool split_query(std::string_view raw, Request& request) {
  while (!raw.empty()) {
    const auto end = raw.find('&');
    const auto pair = raw.substr(0, end);
    raw = end == std::string_view::npos ? std::string_view() : raw.substr(end + 1);
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    auto name = percent_decode(pair.substr(0, equals), true);
    auto value = percent_decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!name || !value) return false;
    request.query.emplace_back(*std::move(name), *std::move(value));
  }
  return true;
}

std::optional<Refusal> split_target(Request& request) {
  const auto origin = origin_form(request.target);
  if (!origin) return Refusal{400, "The request target must be a path."};
  const auto question = origin->find('?');
  if (!split_path(origin->substr(0, question), request)) {
    return Refusal{400, "The path holds a bad percent-encoding."};
  }
  if (question != std::string_view::npos && !split_query(origin->substr(question + 1), request)) {
    return Refusal{400, "The query holds a bad percent-encoding."};
  }
  return std::nullopt;
}

}  // namespace

// -- requests ----

std::string_view Request::header(std::string_view name) const {
  for (const auto& header : headers) {
    if (same_ignoring_case(header.name, name)) return header.value;
  }
  return {};
}

bool Request::has_header(std::string_view name) const {
  return std::any_of(headers.begin(), headers.end(),
                     [name](const Header& header) { return same_ignoring_case(header.name, name); });
}

// -- headers ----

HeadScanner::Found HeadScanner::scan(std::string_view bytes) {
  for (; next_ < bytes.size(); ++next_) {
    const auto byte = static_cast<unsigned char>(bytes[next_]);
    if (after_cr_) {
      if (byte != '\n') return Found::Malformed;
      after_cr_ = false;
      if (line_is_empty_ && started_) {
        ++next_;
        return Found::End;
      }
      line_is_empty_ = true;
      continue;
    }
    if (byte == '\r') {
      after_cr_ = true;
      continue;
    }
    if ((byte < 0x20 && byte != '\t') || byte == 0x7F) return Found::Malformed;
    if (line_is_empty_ && (byte == ' ' || byte == '\t')) return Found::Malformed;
    if (!started_) begin_ = next_;
    started_ = true;
    line_is_empty_ = false;
  }
  return Found::More;
}

std::variant<Head, Refusal> parse_head(std::string_view bytes) {
  HeadParser parser;
  parser.header_limit(std::numeric_limits<std::uint32_t>::max());
  parser.body_limit(boost::none);
  error_code error;
  parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (error) return parse_error(error, bytes);
  if (!parser.is_header_done()) return Refusal{400, "The header is malformed."};
  if (auto refusal = check_fields(parser)) return *std::move(refusal);
  if (auto refusal = split_target(parser.request)) return *std::move(refusal);
  Head head;
  head.content_length = parser.content_length().value_or(0);
  head.keep_alive = parser.http_1_1 && parser.keep_alive();
  head.expects_continue = parser.expectations == 1 && parser.http_1_1;
  head.request = std::move(parser.request);
  return head;
}

}  // namespace cartwright::http
