#include "bridges/curl/json_call.hpp"

#include "bridges/json/dom.hpp"

namespace cartwright::curl {
namespace {

Request request_to(const JsonServer& server, std::string_view path, const Act& act, const char* method) {
  Request request;
  request.method = method;
  request.url = server.url + std::string(path);
  request.timeout = server.timeout;
  request.headers = {"Accept: application/json", "Idempotency-Key: " + effect_key(act)};
  if (!server.key.empty()) request.headers.push_back("Authorization: Bearer " + server.key);
  // It came from outside: what is no traceparent does not become a header.
  if (act.traceparent.size() >= 55 && act.traceparent.find_first_not_of("0123456789abcdef-") == std::string::npos)
    request.headers.push_back("traceparent: " + act.traceparent);
  return request;
}

}  // namespace

Request json_post(const JsonServer& server, std::string_view path, const Act& act, std::string body) {
  Request request = request_to(server, path, act, "POST");
  request.headers.push_back("Content-Type: application/json");
  request.body = std::move(body);
  return request;
}

Request json_get(const JsonServer& server, std::string_view path, const Act& act) {
  return request_to(server, path, act, "GET");
}

std::string text_member(std::string_view body, std::string_view name) {
  const json::Json object = json::parse(body);
  return object.is_object() ? json::text_of(object, name) : std::string();
}

std::string reason_of(const Response& response) {
  for (std::string_view name : {"reason", "code", "detail"})
    if (std::string text = one_line(text_member(response.body, name)); !text.empty()) return text;
  return "http_" + std::to_string(response.status);
}

}  // namespace cartwright::curl
