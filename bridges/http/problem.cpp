#include "bridges/http/problem.hpp"

#include <cstdio>

#include "bridges/http/text.hpp"

namespace cartwright::http {

namespace {

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const auto size = utf8_sequence(text);
    const auto byte = static_cast<unsigned char>(text.front());
    if (size == 0) {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
      continue;
    }
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text.front();
    } else if (byte < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(byte));
      out += escape;
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  out += '"';
}

struct ValueWriter {
  std::string& out;
  void operator()(const std::string& text) const { append_json_string(out, text); }
  void operator()(std::int64_t number) const { out += std::to_string(number); }
  void operator()(bool flag) const { out += flag ? "true" : "false"; }
  void operator()(const std::vector<std::string>& texts) const {
    out += '[';
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (i > 0) out += ',';
      append_json_string(out, texts[i]);
    }
    out += ']';
  }
};

}  // namespace

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

Response problem(int status, std::string_view title, std::string_view detail, const std::vector<Member>& members) {
  Response response{.status = status, .content_type = "application/problem+json"};
  auto& body = response.body;
  body = R"({"type":"about:blank","title":)";
  append_json_string(body, title.empty() ? reason_phrase(status) : title);
  body += R"(,"status":)" + std::to_string(status);
  if (!detail.empty()) {
    body += R"(,"detail":)";
    append_json_string(body, detail);
  }
  for (const auto& member : members) {
    body += ',';
    append_json_string(body, member.name);
    body += ':';
    std::visit(ValueWriter{body}, member.value);
  }
  body += "}\n";
  if (status == 503) response.headers.push_back({"Retry-After", "1"});
  return response;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
  }
}

}  // namespace cartwright::http
