// Looks at everything that a node needs, and says for each fault how to mend it. Changes nothing.
#include <libpq-fe.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>

#include "app/cli/commands.hpp"
#include "app/cli/output.hpp"
#include "app/options/text.hpp"
#include "bridges/curl/client.hpp"
#include "bridges/kafka/admin.hpp"
#include "bridges/notices/templates.hpp"
#include "bridges/redis/connection.hpp"

namespace cartwright::cli {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr auto kafka_timeout = 5s;
constexpr auto http_timeout = 5s;
constexpr int postgres_connect_timeout_s = 5;

enum class State : std::uint8_t { ok, warning, wrong };

/// One line of the report.
struct Finding {
  State state = State::ok;
  std::string what, says, mend;
};

void check_topics(const Context& context, const kafka::TopicsListing& listing, std::vector<Finding>& findings) {
  std::map<int, std::vector<std::string>> by_partitions;
  std::size_t missing = 0;
  for (const TopicInfo& row : topics()) {
    const std::string& name = context.options.topics[row.topic];
    auto at =
        std::find_if(listing.topics.begin(), listing.topics.end(), [&](const auto& one) { return one.name == name; });
    if (at == listing.topics.end())
      ++missing;
    else
      by_partitions[at->partitions].push_back(name);
  }
  if (by_partitions.size() > 1) {
    std::string text;
    for (const auto& [partitions, names] : by_partitions)
      text += (text.empty() ? "" : "; ") + std::to_string(partitions) + " partitions: " + names.front() +
              (names.size() > 1 ? " and " + std::to_string(names.size() - 1) + " more" : "");
    findings.push_back({State::wrong, "topics", "differ in partitions (" + text + ")",
                        "all order-keyed topics need the same number: delete the odd ones and run `cartwright topics "
                        "create`, or choose others by TOPIC_..."});
  } else if (by_partitions.empty()) {
    findings.push_back({State::warning, "topics", "none of them exists yet",
                        "a node creates them when it starts, or `cartwright topics create`"});
  } else if (missing > 0) {
    findings.push_back({State::warning, "topics", std::to_string(missing) + " are missing",
                        "a node creates them when it starts, or `cartwright topics create`"});
  } else {
    findings.push_back(
        {State::ok, "topics", "all there, " + std::to_string(by_partitions.begin()->first) + " partitions each", ""});
  }
}

void check_kafka(const Context& context, std::vector<Finding>& findings) {
  auto listing = kafka::list_topics(context.kafka("doctor"), kafka_timeout);
  if (listing.error) {
    findings.push_back({State::wrong, "kafka", listing.error->what,
                        (listing.error->hint.empty() ? "" : listing.error->hint + "; ") +
                            "`cartwright broker` starts an embedded one, config/kafka/broker a real one"});
    return;
  }
  findings.push_back({State::ok, "kafka", context.options.kafka_broker + " answers", ""});
  check_topics(context, listing, findings);
}

// The value behind `name:` in an answer of INFO.
std::string info_value(std::string_view info, std::string_view name) {
  auto at = info.find(std::string("\n") + std::string(name) + ":");
  if (at == std::string_view::npos) return {};
  auto begin = at + name.size() + 2;
  return std::string(options::trimmed(info.substr(begin, info.find('\n', begin) - begin)));
}

void check_redis(const Context& context, std::vector<Finding>& findings) {
  auto address = redis::address_of(context.options.redis_url);
  if (!address) {
    findings.push_back({State::wrong, "redis",
                        options::masked_url(context.options.redis_url) + " is no address of a Redis",
                        "write redis://[[user]:password@]host[:port][/db] or unix:///path"});
    return;
  }
  auto opened = redis::Connection::open(*address, {});
  if (const auto* failure = std::get_if<redis::Failure>(&opened)) {
    findings.push_back({State::wrong, "redis", failure->what, "start redis-server, or say where it is with REDIS_URL"});
    return;
  }
  auto& connection = std::get<redis::Connection>(opened);
  auto pong = connection.run({"PING"});
  if (!pong.ok()) {
    findings.push_back(
        {State::wrong, "redis", pong.failure().what, "a password goes into REDIS_URL: redis://:password@host"});
    return;
  }
  findings.push_back({State::ok, "redis", address->shown() + " answers", ""});
  auto info = connection.run({"INFO"});
  if (!info.ok()) return;
  std::string text(info.value().text());
  if (info_value(text, "aof_enabled") == "0")
    findings.push_back(
        {State::warning, "redis",
         "keeps no append-only file: a crash costs the stock's last seconds, and a rebuild from the store",
         "`redis-cli config set appendonly yes`, and appendonly yes in its configuration file"});
  if (std::string policy = info_value(text, "maxmemory_policy"); !policy.empty() && policy != "noeviction")
    findings.push_back({State::wrong, "redis",
                        "throws keys away when memory is short (maxmemory-policy " + policy + "): stock would vanish",
                        "`redis-cli config set maxmemory-policy noeviction`"});
}

void check_sqlite(const std::string& directory, std::vector<Finding>& findings) {
  std::error_code error;
  fs::path where(directory), existing = where;
  if (fs::exists(where, error) && !fs::is_directory(where, error)) {
    findings.push_back(
        {State::wrong, "store", directory + " is not a directory", "name a directory: DATABASE_URL=sqlite:DIR"});
    return;
  }
  // The node makes it: then what counts is the nearest that is there.
  while (!existing.empty() && !fs::exists(existing, error)) existing = existing.parent_path();
  if (existing.empty()) existing = ".";
  if (access(existing.c_str(), W_OK | X_OK) != 0) {
    findings.push_back({State::wrong, "store",
                        existing.string() + " cannot be written: " + std::generic_category().message(errno),
                        "give this user the directory, or name another: DATABASE_URL=sqlite:DIR"});
    return;
  }
  findings.push_back({State::ok, "store", "SQLite in " + directory + (existing == where ? "" : " (will be made)"), ""});
  auto space = fs::space(existing, error);
  constexpr std::uintmax_t little = 512u << 20;
  if (!error && space.available < little)
    findings.push_back({State::warning, "store", "only " + std::to_string(space.available >> 20) + " MiB are free",
                        "make room: a store that cannot write stops the node's work"});
}

void check_postgres(const std::string& url, std::vector<Finding>& findings) {
  std::string timeout = std::to_string(postgres_connect_timeout_s);
  // The URL is expanded from the first dbname; what stands behind it wins.
  const char* names[] = {"dbname", "connect_timeout", "application_name", nullptr};
  const char* values[] = {url.c_str(), timeout.c_str(), "cartwright doctor", nullptr};
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdbParams(names, values, 1), PQfinish);
  if (!connection || PQstatus(connection.get()) != CONNECTION_OK) {
    std::string why = connection ? PQerrorMessage(connection.get()) : "out of memory";
    std::replace(why.begin(), why.end(), '\n', ' ');
    findings.push_back({State::wrong, "store",
                        "PostgreSQL at " + options::masked_url(url) + ": " + std::string(options::trimmed(why)),
                        "start PostgreSQL, or make the role and the database that DATABASE_URL names"});
    return;
  }
  findings.push_back({State::ok, "store",
                      "PostgreSQL " + std::to_string(PQserverVersion(connection.get()) / 10000) + " at " +
                          options::masked_url(url) + " answers",
                      ""});
  std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.get(), "show synchronous_commit"), PQclear);
  if (PQntuples(result.get()) == 1 && std::string_view(PQgetvalue(result.get(), 0, 0)) == "off")
    findings.push_back(
        {State::wrong, "store",
         "PostgreSQL answers before it has written (synchronous_commit off): a crash loses promised orders",
         "set synchronous_commit = on for this database"});
}

void check_store(const Context& context, std::vector<Finding>& findings) {
  const std::string& url = context.options.database_url;
  if (url.starts_with("sqlite:"))
    check_sqlite(url.substr(7), findings);
  else
    check_postgres(url, findings);
}

void check_http(const Context& context, std::vector<Finding>& findings) {
  if (context.url.empty() && context.options.http_port == 0) {
    findings.push_back({State::ok, "http", "a free port will be taken", ""});
    return;
  }
  Endpoint endpoint = context.endpoint();
  if (auto why = probe_tcp(endpoint.host, endpoint.port, 2s); !why.empty()) {
    findings.push_back({State::ok, "http", endpoint.host + ":" + endpoint.port + " is free: no node runs there", ""});
    return;
  }
  HttpClient client(endpoint, context.token, http_timeout);
  auto answer = client.get("/readyz");
  if (answer.status == 200) {
    findings.push_back({State::ok, "http", "the node at " + client.shown() + " is ready", ""});
  } else if (answer.status == 503) {
    findings.push_back({State::warning, "http",
                        "the node at " + client.shown() + " is not ready: " + problem_of(answer),
                        "it goes on by itself once that is mended"});
  } else {
    findings.push_back({State::wrong, "http",
                        "something at " + client.shown() + " answers, but no Cartwright node" +
                            (answer.fault.empty() ? "" : ": " + answer.fault),
                        "end it, or let the node listen elsewhere: HTTP_LISTEN"});
  }
}

void check_tokens(const Context& context, std::vector<Finding>& findings) {
  const std::string& file = context.options.http_tokens_file;
  if (file.empty()) {
    const std::string& host = context.options.http_host;
    bool here = host == "127.0.0.1" || host == "localhost" || host == "::1";
    if (!here)
      findings.push_back(
          {State::warning, "http",
           "listens on " + host + " without tokens: everybody who reaches it may place and cancel orders",
           "set http.tokens-file"});
    return;
  }
  if (!std::ifstream(file))
    findings.push_back({State::wrong, "http", "the tokens file " + file + " cannot be read",
                        "write one token a line into it, readable by this user alone"});
}

/// Host and port of a URL; the scheme's port where there is none.
std::pair<std::string, std::string> server_of(const std::string& url) {
  const auto scheme = url.substr(0, url.find("://"));
  std::string authority = url.substr(scheme.size() + 3);
  authority = authority.substr(0, authority.find_first_of("/?"));
  if (const auto at = authority.rfind('@'); at != std::string::npos) authority.erase(0, at + 1);
  const std::map<std::string, std::string> ports{{"http", "80"}, {"https", "443"}, {"smtp", "25"}, {"smtps", "465"}};
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string::npos && authority.find(']', colon) == std::string::npos;
  std::string host = authority.substr(0, has_port ? colon : std::string::npos);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return {host, has_port ? authority.substr(colon + 1) : ports.at(scheme)};
}

/// Whether the servers of the outside can be reached; nothing is asked of them, for that would be an order's business.
void check_outside(const Context& context, std::vector<Finding>& findings) {
  const options::Options& o = context.options;
  auto check = [&](RoleId role, const std::string& name, const std::string& option, const std::string& url) {
    if (url.empty() || !contains(o.roles, role)) return;
    const auto [host, port] = server_of(url);
    const std::string why = probe_tcp(host, port, 3s);
    if (why.empty())
      findings.push_back({State::ok, name, options::masked_url(url) + " takes connections", ""});
    else
      findings.push_back({State::wrong, name, options::masked_url(url) + ": " + why,
                          "start it, or correct " + option + "; what waits for it goes on by itself then"});
  };
  check(RoleId::payment, "payment", "payment.url", o.gateway.url);
  check(RoleId::shipping, "shipping", "shipping.url", o.carrier.url);
  check(RoleId::notification, "email", "smtp.url", o.notices.smtp_url);
  check(RoleId::notification, "sms", "notification.sms-url", o.notices.sms_url);
  check(RoleId::notification, "push", "notification.push-url", o.notices.push_url);
  auto unsigned_by = [&](const options::Outside& outside, const std::string& section) {
    if (!outside.url.empty() && outside.callback_secrets.empty())
      findings.push_back({State::warning, section, "callbacks are not taken: late answers are found by asking again only",
                          "set " + section + ".callback-secret and have it call POST /v1/callbacks/" + section});
  };
  unsigned_by(o.gateway, "payment");
  unsigned_by(o.carrier, "shipping");
  if (std::string fault = curl::fault_of_ca_file(o.outside_ca_file); !fault.empty())
    findings.push_back({State::wrong, "outside", fault, "correct outside.ca-file, or leave it out to trust whom the system trusts"});
  notices::Templates templates;
  if (o.notices.templates.empty()) return;
  if (std::string fault = templates.load(o.notices.templates); !fault.empty())
    findings.push_back({State::wrong, "templates", fault, "correct it; config/notices has templates to start from"});
  else
    findings.push_back({State::ok, "templates", "those of " + o.notices.templates + " can be used", ""});
}

}  // namespace

int doctor(const Context& context, const std::vector<std::string>& warnings) {
  std::vector<Finding> findings;
  if (warnings.empty()) findings.push_back({State::ok, "configuration", "is right", ""});
  for (const auto& warning : warnings)
    findings.push_back({State::warning, "configuration", warning, "correct it or take it away"});
  check_kafka(context, findings);
  check_redis(context, findings);
  check_store(context, findings);
  check_outside(context, findings);
  check_http(context, findings);
  check_tokens(context, findings);
  auto worst =
      std::any_of(findings.begin(), findings.end(), [](const Finding& one) { return one.state == State::wrong; });
  auto word = [](State state) { return state == State::ok ? "ok" : state == State::warning ? "warning" : "wrong"; };
  if (context.format == Format::json) {
    std::string out = "[";
    for (std::size_t i = 0; i < findings.size(); ++i) {
      const Finding& one = findings[i];
      out += std::string(i == 0 ? "\n" : ",\n") + "  {\"check\": " + options::json_text(one.what) + ", \"state\": \"" +
             word(one.state) + "\", \"says\": " + options::json_text(one.says) +
             ", \"mend\": " + (one.mend.empty() ? "null" : options::json_text(one.mend)) + "}";
    }
    std::cout << out << "\n]\n";
  } else {
    for (const Finding& one : findings) {
      Colour colour = one.state == State::ok        ? Colour::green
                      : one.state == State::warning ? Colour::yellow
                                                    : Colour::red;
      std::string name = word(one.state);
      std::cout << coloured(name, colour) << std::string(9 - name.size(), ' ') << one.what
                << std::string(one.what.size() < 14 ? 14 - one.what.size() : 1, ' ') << one.says << '\n';
      if (!one.mend.empty()) std::cout << std::string(23, ' ') << "-> " << one.mend << '\n';
    }
  }
  return worst ? exit_failure : exit_ok;
}

}  // namespace cartwright::cli
