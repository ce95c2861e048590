#include "app/cli/context.hpp"

#include <algorithm>
#include <csignal>

#include "app/options/text.hpp"
#include "bridges/json/dom.hpp"
#include "bridges/kafka/client.hpp"

namespace cartwright::cli {
namespace {

volatile std::sig_atomic_t interrupt_seen = 0;

std::string advice(int status) {
  switch (status) {
    case 401:
    case 403: return "; give a token: --token or CARTWRIGHT_TOKEN";
    case 404: return "";
    case 503: return "; `cartwright doctor` says what is missing";
    case 504: return "; the request stands, look again in a moment";
    default: return "";
  }
}

}  // namespace

std::string problem_of(const HttpAnswer& answer) {
  const json::Json body = json::parse(answer.body);
  if (!body.is_object()) return answer.body.substr(0, 200);
  std::string title = body.value("title", ""), detail = body.value("detail", "");
  // One sentence, one line.
  std::replace(detail.begin(), detail.end(), '\n', ' ');
  detail = options::trimmed(detail);
  if (detail.empty() || detail == title) return title;
  return title.empty() ? detail : title + ": " + detail;
}

Endpoint Context::endpoint() const {
  if (!url.empty()) {
    auto read = endpoint_of(url);
    if (!read) throw CommandError("--url " + url + ": is not http://host:port", exit_usage);
    return *read;
  }
  if (options.http_port == 0)
    throw CommandError(
        "http.listen is " + options.http_listen + ": the node took a free port; say which with --url http://HOST:PORT",
        exit_usage);
  // A node that listens everywhere is asked here.
  bool anywhere = options.http_host == "0.0.0.0" || options.http_host == "::" || options.http_host == "*";
  return {anywhere ? "127.0.0.1" : options.http_host, std::to_string(options.http_port)};
}

HttpClient Context::http() const { return HttpClient(endpoint(), token); }

kafka::ClientOptions Context::kafka(const std::string& what_for) const {
  kafka::ClientOptions client;
  client.brokers = options.kafka_broker;
  client.group_prefix = options.kafka_group_prefix;
  client.session_timeout = options.kafka_session_timeout;
  client.properties = options.kafka_properties;
  client.node_name = "cartwright-" + what_for;
  return client;
}

const HttpAnswer& expect_ok(const HttpAnswer& answer, const std::string& tried, const HttpClient& client) {
  if (!answer.fault.empty())
    throw CommandError(tried + ": no answer from " + client.shown() + ": " + answer.fault +
                       (answer.sent ? "; whether it was carried out is not known" : "") +
                       "; is a node running there? Say where with --url or CARTWRIGHT_URL");
  if (answer.status >= 200 && answer.status < 300) return answer;
  std::string problem = problem_of(answer);
  throw CommandError(tried + ": " + client.shown() + " answered " + std::to_string(answer.status) +
                     (problem.empty() ? "" : " (" + problem + ")") + advice(answer.status));
}

json::Json read_json(const HttpAnswer& answer, const std::string& tried, const HttpClient& client) {
  json::Json body = json::parse(answer.body);
  if (!body.is_discarded()) return body;
  throw CommandError(tried + ": " + client.shown() + " answered something that is not JSON: is it a Cartwright node?");
}

void fail(const kafka::Error& error) {
  throw CommandError(kafka::to_string(error), error.misconfigured ? exit_usage : exit_failure);
}

void catch_interrupts() {
  struct sigaction action {};
  // The second one ends the process at once.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  action.sa_handler = [](int) { interrupt_seen = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interrupt_seen != 0; }

}  // namespace cartwright::cli
