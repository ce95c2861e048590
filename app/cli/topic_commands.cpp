// Topics as they are, the embedded broker, and the table of the order.
#include <algorithm>
#include <iostream>
#include <iterator>

#include "actors/order/rules.hpp"
#include "app/cli/commands.hpp"
#include "app/cli/dead_letters.hpp"
#include "app/cli/log_reader.hpp"
#include "app/cli/output.hpp"
#include "app/options/text.hpp"
#include "bridges/json/dom.hpp"
#include "bridges/kafka/admin.hpp"
#include "bridges/kafka/embedded_broker.hpp"

namespace cartwright::cli {
namespace {

using json::Json;
using namespace std::chrono_literals;

constexpr auto broker_timeout = 15s;
constexpr int trace_silence_polls_max = 100;  // of 100 ms without a record and without an end: the broker is gone

std::vector<std::string> all_topics(const TopicNames& names, bool with_dead_letters) {
  std::vector<std::string> all;
  for (const TopicInfo& row : topics()) all.push_back(names[row.topic]);
  if (with_dead_letters)
    for (const TopicInfo& row : topics()) all.push_back(dead_letters_of(names[row.topic]));
  return all;
}

std::string text_or_note(std::optional<std::string_view> bytes) { return bytes ? std::string(*bytes) : "(null)"; }

// A line each, whatever the bytes are: a terminal must not be told to do things by a record.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return text;
}

/// A record kept beyond its moment.
struct Found {
  std::string topic, key, value, ce_id, cause;
  bool has_key = false, has_value = false;
  int partition = 0;
  std::int64_t offset = 0;
  Millis timestamp = 0;
};

Found kept(const LogRecord& record) {
  Found found{std::string(record.topic), text_or_note(record.key), text_or_note(record.value),
              record.header("ce_id").value_or(""), record.header("dlq_cause").value_or("")};
  found.has_key = record.key.has_value();
  found.has_value = record.value.has_value();
  found.partition = record.partition;
  found.offset = record.offset;
  found.timestamp = record.timestamp;
  return found;
}

std::string json_line(const Found& one) {
  Json line{{"topic", one.topic},
            {"partition", one.partition},
            {"offset", one.offset},
            {"timestamp", rfc3339(one.timestamp)}};
  line["key"] = one.has_key ? Json(one.key) : Json();
  line["ce_id"] = one.ce_id.empty() ? Json() : Json(one.ce_id);
  if (!one.cause.empty()) line["dlq_cause"] = one.cause;
  auto value = one.has_value ? json::parse(one.value) : Json();
  line["value"] = value.is_discarded() ? Json(one.value) : value;
  // Bytes that are no UTF-8 are shown as U+FFFD: a dead letter may be anything.
  return json::dump(line);
}

bool concerns(const LogRecord& record, const std::string& id, const std::string& quoted) {
  if (record.key && *record.key == id) return true;
  return record.value && record.value->find(quoted) != std::string_view::npos;
}

std::vector<Found> records_of(const Context& context, const std::string& id, Millis since) {
  LogReader reader(context.kafka("trace"), false);
  // Every partition: a foreign program may have put its answers anywhere.
  auto extents = reader.extents(all_topics(context.options.topics, true));
  if (extents.empty())
    throw CommandError("kafka: " + context.options.kafka_broker +
                       " has none of the topics; `cartwright topics create` makes them");
  std::vector<std::int64_t> offsets;
  if (since > 0) offsets = reader.offsets_since(extents, since);
  std::size_t open = 0;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    auto from = offsets.empty() ? extents[i].begin : offsets[i];
    if (from >= extents[i].end) continue;
    reader.start(extents[i], from);
    ++open;
  }
  std::vector<Found> found;
  std::string quoted = '"' + id + '"';
  for (int silent = 0; open > 0 && silent < trace_silence_polls_max && !interrupted();) {
    ++silent;
    auto ends = reader.poll(100, [&](const LogRecord& record) {
      silent = 0;
      if (concerns(record, id, quoted)) found.push_back(kept(record));
    });
    open -= std::min(open, ends);
  }
  if (open > 0 && !interrupted())
    throw CommandError("kafka: " + context.options.kafka_broker + ": stopped answering while the topics were read");
  std::stable_sort(found.begin(), found.end(),
                   [](const Found& a, const Found& b) { return a.timestamp < b.timestamp; });
  return found;
}

// The name in force of what somebody wrote: the table's name, the name in force, or any other topic.
std::string topic_meant(const Context& context, const std::string& name) {
  if (auto topic = topic_named(name)) return context.options.topics[*topic];
  return name;
}

Colour colour_of(order::Verdict verdict) {
  switch (verdict) {
    case order::Verdict::advance: return Colour::green;
    case order::Verdict::keep:
    case order::Verdict::compensate: return Colour::yellow;
    case order::Verdict::park: return Colour::red;
    default: return Colour::grey;
  }
}

}  // namespace

int topics_create(const Context& context) {
  auto result = kafka::ensure_topics(context.kafka("topics"), context.options.topics, context.options.kafka_partitions,
                                     broker_timeout);
  if (result.error) fail(*result.error);
  if (context.format == Format::json) {
    std::cout << json::dump(Json{{"partitions", result.partitions}, {"created", result.created}}, 2) << '\n';
    return exit_ok;
  }
  for (const auto& name : result.created) std::cout << "created " << name << '\n';
  if (result.created.empty()) std::cout << "all topics are there already\n";
  return exit_ok;
}

int topics_list(const Context& context) {
  auto listing = kafka::list_topics(context.kafka("topics"), broker_timeout);
  if (listing.error) fail(*listing.error);
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (const auto& topic : listing.topics) {
    bool keyed = context.options.topics.find(topic.name).has_value();
    std::string use = keyed ? "yes" : "no";
    all.push_back({{"name", topic.name}, {"partitions", topic.partitions}, {"order_keyed", keyed}});
    rows.push_back({topic.name, std::to_string(topic.partitions), use});
  }
  if (context.format == Format::json)
    std::cout << json::dump(all, 2) << '\n';
  else
    print_table(std::cout, {"TOPIC", "PARTITIONS", "ORDER-KEYED"}, rows);
  std::vector<std::string> missing;
  for (const auto& name : all_topics(context.options.topics, false))
    if (std::none_of(listing.topics.begin(), listing.topics.end(), [&](const auto& one) { return one.name == name; }))
      missing.push_back(name);
  if (!missing.empty()) {
    std::cerr << "missing: ";
    for (std::size_t i = 0; i < missing.size(); ++i) std::cerr << (i == 0 ? "" : ", ") << missing[i];
    std::cerr << " (`cartwright topics create` makes them; so does a node when it starts)\n";
  }
  return exit_ok;
}

int topics_tail(const Context& context, const TopicsTail& what) {
  std::vector<std::string> names;
  for (const auto& name : what.topics) names.push_back(topic_meant(context, name));
  if (names.empty()) names = all_topics(context.options.topics, what.dead_letters);
  LogReader reader(context.kafka("tail"), true);
  auto extents = reader.extents(names);
  for (const auto& name : names) {
    bool there = std::any_of(extents.begin(), extents.end(), [&](const Extent& one) { return one.topic == name; });
    if (there || what.topics.empty()) continue;
    std::string meant = options::nearest(name, all_topics(context.options.topics, true));
    throw CommandError("kafka: " + context.options.kafka_broker + " has no topic " + name +
                       (meant.empty() ? "" : "; did you mean " + meant + "?") +
                       " (`cartwright topics list` shows all)");
  }
  for (const Extent& one : extents) reader.start(one, what.from_beginning ? one.begin : one.end);
  catch_interrupts();
  std::size_t seen = 0;
  while (!interrupted() && (what.limit == 0 || seen < what.limit) && std::cout) {
    reader.poll(200, [&](const LogRecord& record) {
      if (what.limit != 0 && seen >= what.limit) return;
      ++seen;
      Found one = kept(record);
      if (context.format == Format::json) {
        std::cout << json_line(one) << '\n';
      } else {
        std::cout << coloured(rfc3339(one.timestamp), Colour::grey) << "  " << coloured(one.topic, Colour::green) << '['
                  << one.partition << "]@" << one.offset << "  " << printable(one.key) << "  " << printable(one.value)
                  << (one.cause.empty() ? "" : "  cause: " + printable(one.cause)) << '\n';
      }
    });
    std::cout.flush();
  }
  return exit_ok;
}

int print_trace(const Context& context, const std::string& id, Millis since) {
  auto found = records_of(context, id, since);
  if (context.format == Format::json) {
    for (const Found& one : found) std::cout << json_line(one) << '\n';
  } else {
    std::vector<std::vector<std::string>> rows;
    for (const Found& one : found)
      rows.push_back({rfc3339(one.timestamp),
                      one.topic + "[" + std::to_string(one.partition) + "]@" + std::to_string(one.offset),
                      one.ce_id.empty() ? "-" : printable(one.ce_id),
                      printable(one.value) + (one.cause.empty() ? "" : "  cause: " + printable(one.cause))});
    print_table(std::cout, {"TIME", "TOPIC[PARTITION]@OFFSET", "CE_ID", "PAYLOAD"}, rows);
  }
  if (found.empty())
    std::cerr << "no topic at " << context.options.kafka_broker << " has a record of order " << id << '\n';
  return found.empty() ? exit_failure : exit_ok;
}

int broker(const Context& context, const Broker& what) {
  kafka::EmbeddedBrokerOptions broker;
  int port = what.port;
  if (port < 0) {
    auto first = options::split(context.options.kafka_broker, ',').front();
    auto address = options::host_port(first);
    bool here = address && (address->host == "127.0.0.1" || address->host == "localhost");
    if (!here) throw CommandError("kafka.broker is " + first + ", which is not this machine: say --port", exit_usage);
    port = address->port;
  }
  broker.port = static_cast<std::uint16_t>(port);
  int partitions = what.partitions > 0 ? what.partitions : context.options.kafka_partitions;
  for (const auto& name : all_topics(context.options.topics, false)) {
    broker.topics.emplace_back(name, partitions);
    broker.topics.emplace_back(dead_letters_of(name), 1);
  }
  broker.topics.emplace_back(decisions_topic(context.options.kafka_group_prefix), 1);
  broker.die_with_parent = what.die_with_parent;
  return kafka::run_embedded_broker(broker, std::cout, std::cerr);
}

int explain_topics(const Context& context) {
  auto names_of = [](RoleSet set) {
    std::vector<std::string> names;
    for (RoleId role : roles)
      if (contains(set, role)) names.emplace_back(to_string(role));
    return names;
  };
  Json rows = Json::array();
  for (const TopicInfo& row : topics()) {
    std::vector<std::string> fields{"order_id"};
    auto needs = [&](Field field, std::initializer_list<const char*> members) {
      if ((row.needs & field) != 0) fields.insert(fields.end(), members.begin(), members.end());
    };
    needs(Field::txn, {"txn_id"});
    needs(Field::lines, {"product_id", "quantity"});
    needs(Field::amount, {"amount"});
    needs(Field::user, {"user_id"});
    needs(Field::tracking, {"tracking_id"});
    needs(Field::message, {"message"});
    needs(Field::reason, {"reason"});
    rows.push_back({{"topic", row.name},
                    {"fields", fields},
                    {"written_by", names_of(row.written_by)},
                    {"read_by", names_of(row.read_by)}});
  }
  if (context.format == Format::json) {
    std::cout << json::dump(rows, 2) << '\n';
    return exit_ok;
  }
  auto joined = [](const Json& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name.get<std::string>();
    return text.empty() ? std::string("anyone") : text;
  };
  std::vector<std::vector<std::string>> lines;
  for (const Json& row : rows)
    lines.push_back({row["topic"].get<std::string>(), joined(row["written_by"]), joined(row["read_by"]), joined(row["fields"])});
  print_table(std::cout, {"TOPIC", "WRITTEN BY", "READ BY", "FIELDS"}, lines);
  return exit_ok;
}

int explain_table(const Context& context, const std::string& state) {
  auto pairs = order::table();
  if (!state.empty()) {
    std::vector<std::string> states;
    for (std::size_t s = 0; s < order::state_count; ++s)
      states.emplace_back(order::to_string(static_cast<order::State>(s)));
    if (std::find(states.begin(), states.end(), state) == states.end()) {
      std::string meant = options::nearest(state, states);
      throw CommandError("there is no state " + state + (meant.empty() ? "" : "; did you mean " + meant + "?"),
                         exit_usage);
    }
    std::erase_if(pairs, [&](const order::Pair& pair) { return order::to_string(pair.state) != state; });
  }
  if (context.format == Format::json) {
    Json rows = Json::array();
    for (const auto& pair : pairs)
      rows.push_back({{"state", order::to_string(pair.state)},
                      {"happening", order::to_string(pair.happening)},
                      {"verdict", order::to_string(pair.verdict)},
                      {"says", pair.says}});
    std::cout << json::dump(rows, 2) << '\n';
    return exit_ok;
  }
  std::cout << "What every event does to an order in every state: (state, event) -> verdict.\n"
               "advance: the order changes; ignore: nothing happens; keep: counts when its turn comes;\n"
               "compensate: what was done is undone; park: a person has to look.\n";
  const order::Pair* before = nullptr;
  std::vector<std::vector<std::string>> rows;
  for (const auto& pair : pairs) {
    if (before == nullptr || before->state != pair.state) rows.push_back({"", "", ""});
    bool first = before == nullptr || before->state != pair.state;
    rows.push_back({first ? std::string(order::to_string(pair.state)) : "",
                    std::string(order::to_string(pair.happening)),
                    coloured(order::to_string(pair.verdict), colour_of(pair.verdict)), std::string(pair.says)});
    before = &pair;
  }
  print_table(std::cout, {"STATE", "EVENT", "VERDICT", "WHAT IT DOES"}, rows);
  return exit_ok;
}

}  // namespace cartwright::cli
