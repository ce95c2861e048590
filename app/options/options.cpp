// The table of options, and what is written from it. Longer than other files because it is the table.
#include "app/options/options.hpp"

#include <algorithm>
#include <set>

#include "app/options/rows.hpp"
#include "app/options/text.hpp"

namespace cartwright::options {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t seconds = 1000, minutes = 60 * seconds, hours = 60 * minutes;
constexpr std::size_t topic_bytes_max = 249 - 4;  // Kafka's limit, less ".dlq"

bool all_of(std::string_view text, std::string_view more) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(c) != std::string_view::npos;
  });
}

// -- what is wrong with a text
// -------------------------------------------------------------------------------------------

std::string fault_of_brokers(const std::string& text) {
  auto brokers = split(text, ',');
  if (brokers.empty()) return "names no broker: write host:port,host:port";
  for (const std::string& one : brokers) {
    // librdkafka takes PLAINTEXT://host:port too.
    auto scheme = one.find("://");
    std::string address = scheme == std::string::npos ? one : one.substr(scheme + 3);
    auto read = host_port(address);
    if (!read || read->port == 0) return "has the broker " + one + ": write host:port";
  }
  return {};
}

std::string fault_of_redis(const std::string& text) {
  if (text.starts_with("redis://") && text.size() > 8) return {};
  if (text.starts_with("unix://") && text.size() > 7) return {};
  if (text.starts_with("rediss://")) return "asks for TLS, which is not supported: put a proxy before Redis";
  return "is no address of a Redis: write redis://[[user]:password@]host[:port][/db] or unix:///path";
}

std::string fault_of_database(const std::string& text) {
  if (text.starts_with("sqlite:") && text.size() > 7) return {};
  if (text.starts_with("postgresql://") || text.starts_with("postgres://")) return {};
  return "is no store: write sqlite:DIRECTORY or postgresql://user:password@host/database";
}

std::string fault_of_topic(const std::string& text) {
  if (text.empty() || text == "." || text == "..") return "is no name of a topic";
  if (text.size() > topic_bytes_max) return "is longer than " + std::to_string(topic_bytes_max) + " bytes";
  return all_of(text, "._-") ? "" : "has letters that no topic may have: only [A-Za-z0-9._-]";
}

struct Roles {
  RoleSet set = 0;
  std::string fault;
};

Roles read_roles(const std::string& text) {
  if (text == "all") return {all_roles, ""};
  if (text == "none") return {};
  std::vector<std::string> known;
  for (RoleId role : cartwright::roles) known.emplace_back(to_string(role));
  Roles read;
  for (const std::string& name : split(text, ',')) {
    auto role = role_named(name);
    if (!role) {
      std::string meant = nearest(name, known);
      return {0, "has the unknown role " + name +
                     (meant.empty() ? ": the roles are order, inventory, payment, shipping, notification"
                                    : ": did you mean " + meant + "?")};
    }
    read.set |= bit(*role);
  }
  return read;
}

void add_kafka(std::vector<Option>& rows) {
  rows.push_back(text_option("kafka.broker", {"KAFKA_BROKER", "KAFKA_BROKERS", "KAFKA_BOOTSTRAP_SERVERS"},
                             "127.0.0.1:9092", "The brokers to begin with, host:port,...", &Options::kafka_broker,
                             fault_of_brokers));
  rows.push_back(text_option("kafka.group-prefix", {"GROUP_PREFIX"}, "cartwright",
                             "Consumer groups are <prefix>.<role>; the same on every node of one system.",
                             &Options::kafka_group_prefix, [](const std::string& text) -> std::string {
                               return text.size() <= 200 && all_of(text, "._-")
                                          ? ""
                                          : "is not 1 to 200 letters of [A-Za-z0-9._-]";
                             }));
  rows.push_back(
      duration_option("kafka.session-timeout", 6 * seconds, 1 * seconds, 5 * minutes,
                      "How long a node may be silent before the others take its shards.",
                      [](Options& o, std::int64_t value) { o.kafka_session_timeout = milliseconds(value); }));
  rows.push_back(number_option("kafka.partitions", 4, 1, 1000,
                               "Partitions of topics that a node has to create; fixed by the first order ever placed.",
                               [](Options& o, std::int64_t value) {
                                 o.kafka_partitions = static_cast<int>(value);
                                 o.settings.partitions = static_cast<int>(value);
                               }));
  rows.push_back(duration_option("kafka.linger", 1, 0, 1 * seconds,
                                 "How long a batch of records waits for more before it is sent.",
                                 [](Options& o, std::int64_t value) { o.kafka_linger = milliseconds(value); }));
}

void add_topics(std::vector<Option>& rows) {
  for (const TopicInfo& row : topics()) {
    std::string dashed(row.name), variable = "TOPIC_" + upper(row.name);
    std::replace(dashed.begin(), dashed.end(), '.', '-');
    std::replace(variable.begin(), variable.end(), '.', '_');
    Option option{"topic." + dashed, {variable}, Kind::text, std::string(row.name)};
    option.help = "The topic that plays " + std::string(row.name) + ".";
    option.set = [topic = row.topic](Options& options, const std::string& text) {
      options.topics.rename(topic, text);
      return fault_of_topic(text);
    };
    rows.push_back(std::move(option));
  }
}

void add_servers(std::vector<Option>& rows) {
  rows.push_back(text_option("redis.url", {"REDIS_URL"}, "redis://127.0.0.1:6379",
                             "The stock: redis://[[user]:password@]host[:port][/db] or unix:///path.",
                             &Options::redis_url, fault_of_redis, true));
  rows.push_back(
      text_option("database.url", {"DATABASE_URL"}, "sqlite:.cartwright/data",
                  "The store: sqlite:DIRECTORY for one node, postgresql://user:password@host/database for several.",
                  &Options::database_url, fault_of_database, true));
  rows.push_back(duration_option("stock.compare-interval", 30 * seconds, 1 * seconds, 24 * hours,
                                 "How often what ledger, Redis and orders say is compared; longer when that takes long.",
                                 [](Options& o, std::int64_t value) { o.stock_compare_interval = milliseconds(value); }));
  rows.push_back(text_option("http.listen", {"HTTP_LISTEN"}, "127.0.0.1:8080",
                             "Where the API and the console listen, host:port; port 0 takes a free one.",
                             &Options::http_listen, [](const std::string& text) -> std::string {
                               return host_port(text) ? "" : "is not host:port (IPv6 as [::1]:8080)";
                             }));
  rows.push_back(
      number_option("http.max-connections", 2000, 1, 100'000, "Connections at once; more are refused.",
                    [](Options& o, std::int64_t value) { o.http_max_connections = static_cast<std::size_t>(value); }));
  rows.push_back(text_option("http.tokens-file", {}, "",
                             "A file of the tokens that may call the API; without it everybody may.",
                             &Options::http_tokens_file, nullptr));
}

void add_roles(std::vector<Option>& rows) {
  Option here{"node.roles", {"ROLES"}, Kind::roles, "order,inventory,payment,shipping,notification"};
  here.help = "The roles that this node runs, separated by commas, or all; less those of foreign-roles.";
  here.set = [](Options& options, const std::string& text) {
    Roles read = read_roles(text);
    options.roles = read.set;
    return read.fault.empty() && read.set == 0 ? std::string("names no role") : read.fault;
  };
  rows.push_back(std::move(here));
  rows.push_back(duration_option("node.drain-timeout", 30 * seconds, 0, 1 * hours,
                                 "How long a node that was told to end may finish what it has begun.",
                                 [](Options& o, std::int64_t value) { o.drain_timeout = milliseconds(value); }));
  rows.push_back(number_option("node.threads", 0, 0, 256,
                               "Threads of the actor scheduler; 0 takes as many as there are cores, at least 2.",
                               [](Options& o, std::int64_t value) { o.threads = static_cast<unsigned>(value); }));
  Option foreign{"foreign-roles", {"FOREIGN_ROLES"}, Kind::roles, "none"};
  foreign.help =
      "Roles that somebody else's program plays: no node runs them, and nothing beyond the nine topics is awaited from "
      "them.";
  foreign.set = [](Options& options, const std::string& text) {
    Roles read = read_roles(text);
    options.settings.foreign = read.set;
    return read.fault;
  };
  rows.push_back(std::move(foreign));
}

void add_rules(std::vector<Option>& rows) {
  constexpr std::int64_t least = 100, most = 30 * 24 * hours;
  rows.push_back(settings_duration("order.inventory-ttl", 15 * minutes, least, most,
                                   "An order whose stock nobody has answered for after this time is cancelled.",
                                   &Settings::inventory_ttl));
  rows.push_back(settings_duration(
      "order.payment-ttl", 15 * minutes, least, most,
      "A reserved order whose payment nobody has answered for after this time is cancelled.", &Settings::payment_ttl));
  rows.push_back(settings_duration("order.orphan-ttl", 10 * minutes, least, most,
                                   "How long events of an order that is not known yet are kept.",
                                   &Settings::orphan_ttl));
  rows.push_back(number_option("order.backlog-max", 100'000, 1, 100'000'000,
                               "Orders that wait in one topic to be read by a role; beyond it HTTP answers 503.",
                               [](Options& o, std::int64_t value) { o.order_backlog_max = value; }));
  rows.push_back(settings_duration("order.ask-again", 30 * seconds, least, most,
                                   "An unanswered question to another role is asked again after this time, doubling.",
                                   &Settings::ask_first));
  rows.push_back(settings_duration("order.ask-again-max", 5 * minutes, least, most,
                                   "The longest time between two times of asking.", &Settings::ask_last));
  rows.push_back(
      settings_duration("port.ask-again", 1 * seconds, 10, most,
                        "A gateway, carrier or notifier that did not answer is asked again after this time, doubling.",
                        &Settings::act_first));
  rows.push_back(settings_duration("port.ask-again-max", 1 * minutes, 10, most,
                                   "The longest time between two times of asking.", &Settings::act_last));
  rows.push_back(settings_duration("outbox.replay", 24 * hours, 1 * seconds, most,
                                   "How far back is published again when Kafka has lost its log.",
                                   &Settings::outbox_replay));
  rows.push_back(settings_duration("retention.orders", 90 * 24 * hours, 24 * hours, 3650 * 24 * hours,
                                   "Orders that are over are deleted after this time, with their history, charges and notices.",
                                   &Settings::retention));
}

void add_logs(std::vector<Option>& rows) {
  rows.push_back(choice_option("log.level", {"trace", "debug", "info", "warn", "error", "off"}, "info",
                               "The least that is logged.", &Options::log_level));
  rows.push_back(choice_option("log.format", {"text", "json"}, "text", "Lines for people, or one JSON object a line.",
                               &Options::log_format));
  Option records{"log.records", {}, Kind::truth, "false"};
  records.help = "Log every record that is read and written, with its payload: for finding faults, not for production.";
  records.set = [](Options& options, const std::string& text) -> std::string {
    std::string word = lower(text);
    options.log_records = word == "true" || word == "yes" || word == "on" || word == "1";
    return options.log_records || word == "false" || word == "no" || word == "off" || word == "0"
               ? ""
               : "is neither true nor false";
  };
  rows.push_back(std::move(records));
}

// -- writing
// -------------------------------------------------------------------------------------------------------------

constexpr std::string_view introduction =
    "# Cartwright's configuration: every option with its default. `#` begins a comment; take it away to set a value.\n"
    "#\n"
    "# A node reads ./cartwright.conf, or what --config names. Stronger, from weak to strong: .env in the working "
    "directory,\n"
    "# the environment, flags (--kafka.broker=host:9092). Every option a.b-c is also the variable CARTWRIGHT_A_B_C; "
    "where an\n"
    "# option has other variables too, they stand beside it. Changes take effect when the node starts again.\n"
    "# `cartwright config check` says what is wrong, `cartwright config print` what is in force and where it comes "
    "from.\n";

std::string about(const Option& row) {
  std::string text = row.help;
  if (row.kind == Kind::number) text += " " + std::to_string(row.least) + " to " + std::to_string(row.most) + ".";
  if (row.kind == Kind::duration) text += " " + spell_duration(row.least) + " to " + spell_duration(row.most) + ".";
  if (row.kind == Kind::choice) {
    for (std::size_t i = 0; i < row.choices.size(); ++i)
      text += (i == 0 ? " " : i + 1 == row.choices.size() ? " or " : ", ") + row.choices[i];
    text += ".";
  }
  return text;
}

std::string_view section_of(const Option& row) {
  auto dot = row.name.find('.');
  return dot == std::string::npos ? std::string_view(row.name) : std::string_view(row.name).substr(0, dot);
}

std::string shown(const Option* row, const std::string& name, const std::string& text) {
  if (row == nullptr) return is_secret_property(name) ? "***" : text;
  return masked(*row, text);
}

const Option* find(const std::string& name) {
  for (const Option& row : table())
    if (row.name == name) return &row;
  return nullptr;
}

// A value as the file reads it back: in quotes where blanks or a # would get lost.
std::string quoted_if_needed(const std::string& text) {
  bool plain = trimmed(text).size() == text.size() && text.find(" #") == std::string::npos && !text.starts_with('"') &&
               !text.starts_with('#');
  return plain ? text : '"' + text + '"';
}

}  // namespace

std::span<const Option> table() {
  static const std::vector<Option> rows = [] {
    std::vector<Option> made;
    add_kafka(made);
    add_servers(made);
    add_roles(made);
    add_rules(made);
    add_ports(made);
    add_logs(made);
    add_topics(made);
    return made;
  }();
  return rows;
}

std::string masked(const Option& row, const std::string& text) {
  if (row.kind == Kind::secret) return text.empty() ? "" : "***";
  return row.secret ? masked_url(text) : text;
}

std::string variable_of(std::string_view option) {
  std::string name = "CARTWRIGHT_" + upper(option);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '.' || c == '-'; }, '_');
  return name;
}

std::string print(const Options& options, Format format) {
  std::string out = format == Format::json ? "{" : "";
  std::string_view between = "\n";
  for (const auto& [name, given] : options.given) {
    std::string text = shown(find(name), name, given.text);
    if (format == Format::json) {
      out += std::string(between) + "  " + json_text(name) + ": {\"value\": " + json_text(text) +
             ", \"source\": " + json_text(given.source) + "}";
      between = ",\n";
    } else {
      std::string line = name + " = " + quoted_if_needed(text);
      if (line.size() < 56) line.resize(56, ' ');
      out += line + "  # " + given.source + "\n";
    }
  }
  return format == Format::json ? out + "\n}\n" : out;
}

std::string documented_conf() {
  std::string out(introduction);
  std::string_view section;
  for (const Option& row : table()) {
    if (section_of(row) != section) out += "\n# ---- " + std::string(section = section_of(row)) + "\n";
    // The topics differ in nothing but their names: a sentence each would hide them.
    bool topic = section == "topic";
    if (!topic) {
      out += "\n# " + about(row) + "\n";
      if (!row.environment.empty()) {
        out += "# Also";
        for (std::size_t i = 0; i < row.environment.size(); ++i) out += (i == 0 ? " " : ", ") + row.environment[i];
        out += ".\n";
      }
    } else if (row.name == table()[table().size() - topic_count].name) {
      out += "\n# The topics' names. Also TOPIC_ORDER_PLACED and so on. Dead letters are in <name>.dlq.\n";
    }
    out += "#" + row.name + " =" + (row.fallback.empty() ? "" : " " + row.fallback) + "\n";
  }
  out +=
      "\n# ---- librdkafka\n\n# Passed on to every Kafka client as librdkafka names them, for TLS and SASL say. Also\n"
      "# CARTWRIGHT_KAFKA_PROPERTIES_SECURITY_PROTOCOL and so on. Keep passwords in the environment.\n"
      "#kafka.properties.security.protocol = SASL_SSL\n";
  return out;
}

std::string documented_env() {
  std::string out =
      "# Copy to .env: read from the working directory, weaker than the environment, stronger than cartwright.conf.\n"
      "# config/cartwright.conf says what each one means.\n\n";
  for (const Option& row : table())
    out +=
        "#" + (row.environment.empty() ? variable_of(row.name) : row.environment.front()) + "=" + row.fallback + "\n";
  return out + "#CARTWRIGHT_KAFKA_PROPERTIES_SECURITY_PROTOCOL=SASL_SSL\n";
}

std::string documented_help() {
  std::string out;
  for (const Option& row : table()) {
    if (section_of(row) == "topic") continue;
    std::string left = "  --" + row.name + " " + (row.fallback.empty() ? "\"\"" : row.fallback);
    out += left.size() < 44 ? left + std::string(44 - left.size(), ' ') : left + "\n" + std::string(44, ' ');
    out += about(row) + "\n";
  }
  out +=
      "  --topic.order-placed order.placed           The topic that plays order.placed; likewise the other topics.\n"
      "  --kafka.properties.NAME VALUE               Any setting of librdkafka.\n";
  return out;
}

}  // namespace cartwright::options
