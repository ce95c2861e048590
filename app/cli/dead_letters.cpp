#include "app/cli/dead_letters.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <set>
#include <tuple>

#include "actors/topics.hpp"
#include "app/cli/log_reader.hpp"
#include "app/cli/log_writer.hpp"
#include "app/options/text.hpp"
#include "bridges/json/dom.hpp"
#include "bridges/kafka/admin.hpp"
#include "bridges/kafka/client.hpp"

namespace cartwright::cli {
namespace {

using json::Json;
using namespace std::chrono_literals;

constexpr int silent_polls_max = 100;  // of 100 ms without a record and without an end: the broker is gone

std::optional<std::string> owned(std::optional<std::string_view> bytes) {
  if (!bytes) return {};
  return std::string(*bytes);
}

template <class Integer>
Integer integer(const std::string& text, Integer otherwise) {
  Integer value{};
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  return fault == std::errc{} && end == text.data() + text.size() ? value : otherwise;
}

/// Hands out every record of `extents` from `offsets` on that is there now.
void read_all(const Context& context, LogReader& reader, const std::vector<Extent>& extents,
              const std::function<void(const LogRecord&)>& on_record) {
  std::size_t open = 0;
  for (const Extent& one : extents) {
    if (one.begin >= one.end) continue;
    reader.start(one, one.begin);
    ++open;
  }
  for (int silent = 0; open > 0 && silent < silent_polls_max && !interrupted();) {
    ++silent;
    open -= std::min(open, reader.poll(100, [&](const LogRecord& record) {
      silent = 0;
      on_record(record);
    }));
  }
  if (open > 0)
    throw CommandError("kafka: " + context.options.kafka_broker + ": stopped answering while the topics were read");
}

Letter letter_of(const LogRecord& record) {
  Letter letter;
  letter.topic = record.topic;
  letter.partition = record.partition;
  letter.offset = record.offset;
  letter.at = record.timestamp;
  letter.key = owned(record.key);
  letter.value = owned(record.value);
  letter.headers = record.headers();
  for (const auto& [name, value] : letter.headers) {
    if (name == "dlq_cause") letter.cause = value;
    if (name == "dlq_group") letter.group = value;
    if (name == "dlq_topic") letter.source = value;
    if (name == "dlq_partition") letter.source_partition = integer<int>(value, -1);
    if (name == "dlq_offset") letter.source_offset = integer<std::int64_t>(value, -1);
    if (name == "dlq_truncated") letter.truncated = value == "true";
  }
  return letter;
}

/// The record and the role that could not read it, not the letter's own place: a node that starts publishes again what it
/// does not know to be in the log, and that is the same letter. Its bytes are part of it: after a lost log, offsets count
/// from 0.
std::string identity(const Letter& letter) {
  if (letter.source.empty()) return letter.id() + "/" + std::to_string(letter.at);
  return letter.source + "/" + std::to_string(letter.source_partition) + "/" + std::to_string(letter.source_offset) + "/" +
         letter.group + "/" + std::to_string(fingerprint(letter.key.value_or(""))) + "/" +
         std::to_string(fingerprint(letter.value.value_or("")));
}

std::map<std::string, Decision> read_decisions(const Context& context, LogReader& reader) {
  std::map<std::string, Decision> decisions;
  auto extents = reader.extents({decisions_topic(context.options.kafka_group_prefix)});
  read_all(context, reader, extents, [&](const LogRecord& record) {
    if (!record.key || !record.value) return;
    Json body = json::parse(*record.value);
    if (!body.is_object()) return;
    auto text = [&](const char* name) {
      auto it = body.find(name);
      return it != body.end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    decisions[std::string(*record.key)] = {text("action"), text("by"), record.timestamp, text("reason"), text("to")};
  });
  return decisions;
}

bool concerns(const Letter& letter, const std::string& order) {
  return letter.key == order || (letter.value && letter.value->find('"' + order + '"') != std::string::npos);
}

bool passes(const Letter& letter, const LetterFilter& filter) {
  return letter.cause.starts_with(filter.cause) && (filter.order.empty() || concerns(letter, filter.order));
}

/// `order.placed.dlq/0/12`, also with the name of the topic itself, and without the partition when it is 0.
std::string full_id(const Context& context, const std::string& given) {
  auto parts = options::split(given, '/');
  bool numbers = parts.size() == 2 || parts.size() == 3;
  for (std::size_t i = 1; i < parts.size(); ++i) numbers = numbers && integer<std::int64_t>(parts[i], -1) >= 0;
  if (!numbers)
    throw CommandError("\"" + given + "\" is no dead letter: they are called TOPIC/PARTITION/OFFSET, as `dlq ls` shows",
                       exit_usage);
  std::string name = parts[0];
  if (auto topic = topic_named(name)) name = context.options.topics[*topic];
  if (name.ends_with(".dlq"))
    if (auto topic = topic_named(name.substr(0, name.size() - 4))) name = context.options.topics[*topic] + ".dlq";
  if (!name.ends_with(".dlq")) name = dead_letters_of(name);
  return name + "/" + (parts.size() == 3 ? parts[1] : "0") + "/" + parts.back();
}

std::vector<std::string> dead_letter_topics(const Context& context, const std::string& only) {
  std::vector<std::string> names;
  for (const TopicInfo& row : topics()) {
    const std::string& name = context.options.topics[row.topic];
    const std::string dead = dead_letters_of(name);
    if (only.empty() || only == row.name || only == name || only == dead || only == dead_letters_of(row.name))
      names.push_back(dead);
  }
  if (names.empty())
    throw CommandError("\"" + only + "\" is none of the topics; `cartwright topics list` shows them", exit_usage);
  return names;
}

}  // namespace

std::string Letter::id() const { return topic + "/" + std::to_string(partition) + "/" + std::to_string(offset); }

std::string decisions_topic(const std::string& group_prefix) { return group_prefix + ".dlq.decisions"; }

std::vector<Letter> read_letters(const Context& context, const LetterFilter& filter) {
  std::set<std::string> wanted;
  for (const std::string& id : filter.ids) wanted.insert(full_id(context, id));
  LogReader reader(context.kafka("dlq"), false);
  auto extents = reader.extents(dead_letter_topics(context, filter.topic));
  std::vector<Letter> letters;
  std::map<std::string, std::size_t> known;  // identity -> where it is in letters
  std::set<std::size_t> named;
  read_all(context, reader, extents, [&](const LogRecord& record) {
    Letter letter = letter_of(record);
    auto [it, fresh] = known.try_emplace(identity(letter), letters.size());
    if (wanted.erase(letter.id()) > 0) named.insert(it->second);
    if (fresh) letters.push_back(std::move(letter));
  });
  if (!wanted.empty())
    throw CommandError("there is no dead letter " + *wanted.begin() + "; `cartwright dlq ls --decided` shows all");
  std::vector<Letter> meant;
  for (std::size_t i = 0; i < letters.size(); ++i)
    if ((filter.ids.empty() || named.contains(i)) && passes(letters[i], filter)) meant.push_back(std::move(letters[i]));
  letters = std::move(meant);
  auto decisions = read_decisions(context, reader);
  for (Letter& letter : letters)
    if (auto it = decisions.find(identity(letter)); it != decisions.end()) letter.decision = it->second;
  if (!filter.decided) std::erase_if(letters, [](const Letter& letter) { return letter.decision.has_value(); });
  std::stable_sort(letters.begin(), letters.end(), [](const Letter& a, const Letter& b) {
    return std::tie(a.at, a.topic, a.partition, a.offset) < std::tie(b.at, b.topic, b.partition, b.offset);
  });
  return letters;
}

std::map<std::string, Original> read_originals(const Context& context, const std::vector<const Letter*>& letters) {
  using Place = std::tuple<std::string, int, std::int64_t>;
  std::map<Place, std::vector<const Letter*>> places;
  std::set<std::string> names;
  for (const Letter* letter : letters) {
    places[{letter->source, letter->source_partition, letter->source_offset}].push_back(letter);
    names.insert(letter->source);
  }
  std::map<std::string, Original> found;
  LogReader reader(context.kafka("dlq"), false);
  std::vector<Extent> parts;
  for (Extent extent : reader.extents({names.begin(), names.end()})) {
    // From the first that is wanted up to the last.
    auto first = places.lower_bound({extent.topic, extent.partition, extent.begin});
    auto beyond = places.lower_bound({extent.topic, extent.partition, extent.end});
    if (first == beyond) continue;
    extent.begin = std::get<2>(first->first);
    parts.push_back(extent);
  }
  read_all(context, reader, parts, [&](const LogRecord& record) {
    auto it = places.find({std::string(record.topic), record.partition, record.offset});
    if (it == places.end()) return;
    for (const Letter* letter : it->second) {
      // After a lost log another record may lie at the place.
      bool same = owned(record.key) == letter->key && record.value.has_value() == letter->value.has_value();
      if (same && record.value)
        same = letter->truncated ? record.value->starts_with(*letter->value) : *record.value == *letter->value;
      if (same) found[letter->id()] = {owned(record.value), record.headers(), record.timestamp};
    }
  });
  return found;
}

void remember(const Context& context, const std::vector<std::pair<const Letter*, Decision>>& decisions) {
  const std::string topic = decisions_topic(context.options.kafka_group_prefix);
  if (auto error = kafka::ensure_compacted(context.kafka("dlq"), topic, 15s)) fail(*error);
  std::vector<NewRecord> records;
  for (const auto& [letter, decision] : decisions) {
    Json body{{"dead_letter", letter->id()}, {"action", decision.action}, {"by", decision.by},
              {"reason", decision.reason}, {"cause", letter->cause}, {"at", rfc3339(decision.at)}};
    if (!decision.to.empty()) body["to"] = decision.to;
    records.push_back({topic, 0, identity(*letter), json::dump(body), {}});
  }
  LogWriter writer(context.kafka("dlq"));
  auto written = writer.write(records);
  for (std::size_t i = 0; i < written.size(); ++i)
    if (!written[i].fault.empty())
      throw CommandError("the decision about " + decisions[i].first->id() + " could not be written to " + topic + ": " +
                         written[i].fault + "; it will be offered again, and doing it again does no harm");
}

}  // namespace cartwright::cli
