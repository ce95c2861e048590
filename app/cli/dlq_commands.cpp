// `cartwright dlq`: look at dead letters, write them back to where they came from, or put them away.
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iostream>
#include <map>

#include "app/cli/commands.hpp"
#include "app/cli/dead_letters.hpp"
#include "app/cli/log_writer.hpp"
#include "app/cli/output.hpp"
#include "bridges/json/dom.hpp"
#include "bridges/kafka/client.hpp"

namespace cartwright::cli {
namespace {

using json::Json;

constexpr std::size_t portion = 500;         // letters between two times that decisions are written down
constexpr std::size_t value_shown_max = 60;  // letters of a payload in a table

std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return text;
}

std::string shortened(const std::optional<std::string>& value) {
  if (!value) return "(null)";
  std::string text = printable(value->substr(0, value_shown_max));
  return value->size() > value_shown_max ? text + "..." : text;
}

std::string source_of(const Letter& letter) {
  return letter.source + "/" + std::to_string(letter.source_partition) + "/" + std::to_string(letter.source_offset);
}

Millis now() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

/// user@host, for the books: who is logged in, also behind sudo.
std::string who() {
  std::string user;
  if (const char* behind = std::getenv("SUDO_USER")) user = behind;
  if (user.empty())
    if (const passwd* entry = getpwuid(geteuid())) user = entry->pw_name;
  if (user.empty()) user = std::to_string(geteuid());
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return user + "@" + host.data();
}

Json json_of(const Letter& letter) {
  auto bytes = [](const std::optional<std::string>& text) { return text ? Json(*text) : Json(); };
  Json out{{"id", letter.id()},
           {"at", rfc3339(letter.at)},
           {"cause", letter.cause},
           {"group", letter.group},
           {"source", {{"topic", letter.source}, {"partition", letter.source_partition}, {"offset", letter.source_offset}}},
           {"key", bytes(letter.key)},
           {"value", bytes(letter.value)},
           {"truncated", letter.truncated}};
  out["headers"] = Json::object();
  for (const auto& [name, value] : letter.headers) out["headers"][name] = value;
  out["decision"] = Json();
  if (letter.decision)
    out["decision"] = {{"action", letter.decision->action}, {"by", letter.decision->by},
                       {"at", rfc3339(letter.decision->at)}, {"reason", letter.decision->reason}};
  if (letter.decision && !letter.decision->to.empty()) out["decision"]["to"] = letter.decision->to;
  return out;
}

void print_json(const Json& value) { std::cout << json::dump(value, 2) << '\n'; }

std::string decision_of(const Letter& letter) {
  if (!letter.decision) return "-";
  return letter.decision->action + " by " + letter.decision->by + " " + rfc3339(letter.decision->at) +
         (letter.decision->reason.empty() ? "" : ": " + printable(letter.decision->reason));
}

void print_letters(const Context& context, const std::vector<Letter>& letters, bool decided) {
  if (context.format == Format::json) {
    Json all = Json::array();
    for (const Letter& letter : letters) all.push_back(json_of(letter));
    return print_json(all);
  }
  std::vector<std::vector<std::string>> rows;
  for (const Letter& letter : letters) {
    rows.push_back({letter.id(), rfc3339(letter.at), printable(letter.cause), letter.group, source_of(letter),
                    letter.key ? printable(*letter.key) : "(null)"});
    rows.back().push_back(decided ? decision_of(letter) : shortened(letter.value));
  }
  print_table(std::cout, {"DEAD LETTER", "AT", "CAUSE", "GROUP", "LAY AT", "KEY", decided ? "DECIDED" : "VALUE"}, rows);
}

/// The letters a decision is about. Nobody means "all" by saying nothing.
std::vector<Letter> chosen(const Context& context, const DlqDecide& what, const std::string& verb) {
  const bool narrowed = !what.ids.empty() || !what.cause.empty() || !what.topic.empty() || !what.order.empty();
  if (!narrowed && !what.all)
    throw CommandError("which dead letters? Name them, or say --cause, --topic, --order or --all", exit_usage);
  if (narrowed && what.all)
    throw CommandError("--all goes with no other choice", exit_usage);
  if (what.reason.empty() && !what.dry_run)
    throw CommandError("--reason is needed: it is kept with the decision", exit_usage);
  auto letters = read_letters(context, {what.ids, what.cause, what.topic, what.order, !what.ids.empty()});
  for (const Letter& letter : letters)
    if (letter.decision)
      throw CommandError("dead letter " + letter.id() + " was " + decision_of(letter) + "; nothing is " + verb);
  return letters;
}

/// Letters of one record, which several roles could not use. The record is written back once.
struct Group {
  std::vector<const Letter*> letters;
  NewRecord record;
  Millis at = 0;
  std::string fault;
  bool bare = false;  // its headers are lost
};

std::vector<Group> groups_of(const Context& context, const std::vector<Letter>& letters) {
  std::vector<const Letter*> pointers;
  for (const Letter& letter : letters) pointers.push_back(&letter);
  auto originals = read_originals(context, pointers);
  std::map<std::string, Group> by_source;
  for (const Letter* letter : pointers)
    // Two records may have lain at one place, before and after a log was lost.
    by_source[source_of(*letter) + '\n' + letter->key.value_or("") + '\n' + letter->value.value_or("")]
        .letters.push_back(letter);
  std::vector<Group> groups;
  for (auto& [source, group] : by_source) {
    const Letter& letter = *group.letters.front();
    auto original = originals.find(letter.id());
    const bool lies = original != originals.end();
    group.at = lies ? original->second.at : letter.at;
    group.record = {letter.source, letter.source_partition, letter.key, lies ? original->second.value : letter.value, {}};
    if (lies) {
      group.record.headers = original->second.headers;
    } else {
      group.bare = true;
      for (const Header& header : letter.headers)
        if (!header.first.starts_with("dlq_")) group.record.headers.push_back(header);
    }
    if (letter.source.empty() || letter.source_partition < 0)
      group.fault = "its headers do not say where it came from";
    else if (letter.truncated && !lies)
      group.fault = "its value was cut, and the whole record is no longer at " + source_of(letter);
    groups.push_back(std::move(group));
  }
  // As they were written at first: an order's records in their order.
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    return std::tie(a.at, a.record.topic, a.letters.front()->source_offset) <
           std::tie(b.at, b.record.topic, b.letters.front()->source_offset);
  });
  return groups;
}

void report(const Context& context, const std::string& action, bool dry_run, const std::vector<Json>& done,
            const std::vector<Json>& failed) {
  if (context.format == Format::json) {
    print_json({{"action", action}, {"dry_run", dry_run}, {"done", done}, {"failed", failed}});
    return;
  }
  for (const Json& one : done)
    std::cout << (dry_run ? "would be " : "") << action << ": " << one["id"].get<std::string>()
              << (one.contains("to") ? " to " + one["to"].get<std::string>() : "")
              << (one.value("bare", false) ? " (without its headers: the record itself is gone)" : "") << '\n';
  for (const Json& one : failed)
    std::cout << "not " << action << ": " << one["id"].get<std::string>() << ": " << one["why"].get<std::string>() << '\n';
  if (done.empty() && failed.empty()) std::cout << "no dead letter waits for a decision\n";
}

}  // namespace

int dlq_ls(const Context& context, const DlqList& what) {
  auto letters = read_letters(context, {{}, what.cause, what.topic, what.order, what.decided});
  const std::size_t all = letters.size();
  if (what.limit > 0 && all > what.limit) letters.resize(what.limit);
  print_letters(context, letters, what.decided);
  if (letters.size() < all) std::cerr << all - letters.size() << " more; --limit shows them\n";
  return exit_ok;
}

int dlq_show(const Context& context, const std::string& id) {
  auto letters = read_letters(context, {{id}, {}, {}, {}, true});
  const Letter& letter = letters.front();
  if (context.format == Format::json) {
    print_json(json_of(letter));
    return exit_ok;
  }
  std::vector<std::vector<std::string>> rows{{"dead letter", letter.id()},
                                             {"at", rfc3339(letter.at)},
                                             {"cause", printable(letter.cause)},
                                             {"decision", decision_of(letter)},
                                             {"key", letter.key ? printable(*letter.key) : "(null)"}};
  for (const auto& [name, value] : letter.headers) rows.push_back({"header " + printable(name), printable(value)});
  rows.push_back({"value", letter.value ? printable(*letter.value) : "(null)"});
  print_table(std::cout, {"WHAT", ""}, rows);
  return exit_ok;
}

int dlq_replay(const Context& context, const DlqDecide& what) {
  auto letters = chosen(context, what, "replayed");
  auto groups = groups_of(context, letters);
  std::vector<Json> done, failed;
  std::optional<LogWriter> writer;
  if (!what.dry_run) writer.emplace(context.kafka("dlq"));
  const std::string by = who();
  for (std::size_t first = 0; first < groups.size(); first += portion) {
    const std::size_t end = std::min(groups.size(), first + portion);
    std::vector<NewRecord> records;
    std::vector<Group*> sent;
    for (std::size_t i = first; i < end; ++i) {
      if (!groups[i].fault.empty()) continue;
      records.push_back(groups[i].record);
      sent.push_back(&groups[i]);
    }
    std::vector<Written> written(records.size());
    if (writer && !records.empty()) written = writer->write(records);
    std::vector<std::pair<const Letter*, Decision>> decisions;
    for (std::size_t i = 0; i < sent.size(); ++i) {
      Group& group = *sent[i];
      group.fault = written[i].fault;
      if (!group.fault.empty()) continue;
      std::string to = group.record.topic + "/" + std::to_string(group.record.partition);
      if (!what.dry_run) to += "/" + std::to_string(written[i].offset);
      for (const Letter* letter : group.letters) {
        decisions.push_back({letter, {"replayed", by, now(), what.reason, to}});
        done.push_back({{"id", letter->id()}, {"to", to}, {"bare", group.bare}});
      }
    }
    // After the record is in the log: a crash between the two offers it again, and its roles absorb the second one.
    if (!what.dry_run && !decisions.empty()) remember(context, decisions);
  }
  for (const Group& group : groups)
    if (!group.fault.empty())
      for (const Letter* letter : group.letters) failed.push_back({{"id", letter->id()}, {"why", group.fault}});
  report(context, "replayed", what.dry_run, done, failed);
  return failed.empty() ? exit_ok : exit_failure;
}

int dlq_discard(const Context& context, const DlqDecide& what) {
  auto letters = chosen(context, what, "discarded");
  std::vector<Json> done;
  std::vector<std::pair<const Letter*, Decision>> decisions;
  const std::string by = who();
  for (const Letter& letter : letters) {
    decisions.push_back({&letter, {"discarded", by, now(), what.reason, ""}});
    done.push_back({{"id", letter.id()}});
  }
  if (!what.dry_run && !decisions.empty()) remember(context, decisions);
  report(context, "discarded", what.dry_run, done, {});
  return exit_ok;
}

}  // namespace cartwright::cli
