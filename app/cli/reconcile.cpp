// `cartwright stock reconcile`: the node compares ledger, Redis and orders (app/node/audit.hpp); the topics are read here, by a
// bystander, and compared with what the node says of the orders.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <thread>

#include "actors/inventory/audit.hpp"
#include "app/cli/commands.hpp"
#include "app/cli/log_reader.hpp"
#include "app/cli/output.hpp"
#include "bridges/json/dom.hpp"
#include "bridges/kafka/client.hpp"

namespace cartwright::cli {
namespace {

using json::Json;
using json::shown_of;
using namespace std::chrono_literals;

constexpr auto poll_pause = 100ms;
constexpr auto check_patience = 10min;      // of a whole comparison
constexpr auto confirm_pause = 2s;          // between the two looks at an order that the topics contradict
constexpr std::size_t busy_shown = 5;
constexpr int silent_polls_max = 100;       // of 100 ms: the broker has stopped answering

Json object_of(const HttpAnswer& answer, const std::string& tried, const HttpClient& client) {
  Json body = read_json(expect_ok(answer, tried, client), tried, client);
  if (body.is_object()) return body;
  throw CommandError(tried + ": " + client.shown() + " answered something that is not JSON: is it a Cartwright node?");
}

/// Asks for a comparison by `path` and waits for its end.
Json compared(HttpClient& client, const std::string& path) {
  const std::string tried = "comparing the stock";
  // What runs just now began too early; it is followed by ours.
  const Json before = object_of(client.send({"POST", path}), tried, client);
  const std::string last = shown_of(before, "ended_at", "");
  const auto until = std::chrono::steady_clock::now() + check_patience;
  while (std::chrono::steady_clock::now() < until && !interrupted()) {
    Json now = object_of(client.get("/v1/stock:check"), tried, client);
    if (now["running"] == false && now["whole"] == true && shown_of(now, "ended_at", "") != last) {
      if (!now["why"].is_null()) throw CommandError(tried + ": " + client.shown() + " could not finish: " + shown_of(now, "why", "") + "; try again");
      return now;
    }
    std::this_thread::sleep_for(poll_pause);
  }
  throw CommandError(tried + ": " + client.shown() + " has not finished; GET /v1/stock:check tells when it has");
}

// -- the topics -------------------------------------------------------------------------------------------------------

using Said = std::map<std::string, inventory::TopicsSay>;

/// The order of a record: its key, or what the payload says where there is none.
std::string order_of(const LogRecord& record) {
  if (record.key && !record.key->empty()) return std::string(*record.key);
  const Json body = record.value ? json::parse(*record.value) : Json();
  return body.is_object() && body.contains("order_id") && body["order_id"].is_string() ? body["order_id"].get<std::string>() : std::string();
}

/// What all topics say of every order's stock, and how many records that were.
std::pair<Said, std::int64_t> topics_say(const Context& context) {
  std::map<std::string, Topic, std::less<>> named;
  std::vector<std::string> names;
  for (const Topic topic : {Topic::order_placed, Topic::inventory_reserved, Topic::inventory_failed, Topic::order_shipped,
                            Topic::payment_failed, Topic::order_cancelled, Topic::inventory_release_requested}) {
    names.push_back(context.options.topics[topic]);
    named.emplace(names.back(), topic);
  }
  LogReader reader(context.kafka("reconcile"), false);
  std::size_t open = 0;
  for (const Extent& extent : reader.extents(names)) {
    if (extent.begin >= extent.end) continue;
    reader.start(extent, extent.begin);
    ++open;
  }
  Said said;
  std::int64_t records = 0;
  for (int silent = 0; open > 0 && silent < silent_polls_max && !interrupted();) {
    ++silent;
    const auto ends = reader.poll(100, [&](const LogRecord& record) {
      silent = 0;
      ++records;
      const auto topic = named.find(record.topic);
      const std::string id = order_of(record);
      if (topic == named.end() || id.empty()) return;
      hear(said[id], topic->second, std::string(record.topic) + "[" + std::to_string(record.partition) + "]@" + std::to_string(record.offset),
           record.timestamp);
    });
    open -= std::min(open, ends);
  }
  if (open > 0 && !interrupted())
    throw CommandError("kafka: " + context.options.kafka_broker + ": stopped answering while the topics were read");
  return {std::move(said), records};
}

/// The status of every order that the node knows.
std::map<std::string, std::string> statuses(HttpClient& client) {
  std::map<std::string, std::string> out;
  std::string token;
  do {
    const Json page = object_of(client.get("/v1/orders?page_size=1000" + (token.empty() ? "" : "&page_token=" + url_encoded(token))),
                                "listing orders", client);
    for (const Json& order : page.value("items", Json::array())) out.emplace(shown_of(order, "order_id", ""), shown_of(order, "status", ""));
    token = shown_of(page, "next_page_token", "");
  } while (!token.empty() && !interrupted());
  return out;
}

Json json_of(const inventory::Difference& one) {
  Json says = Json::array();
  for (const auto& said : one.says) says.push_back({{"who", said.who}, {"what", said.what}});
  return {{"kind", to_string(one.kind)}, {"product_id", nullptr}, {"order_id", one.order}, {"says", says}, {"mend", to_string(one.mend)},
          {"how", one.how}, {"since", rfc3339(one.since)}, {"again_at", nullptr}};
}

/// Adds what the topics contradict to `found`.
void compare_topics(const Context& context, HttpClient& client, Json& found) {
  const auto [said, records] = topics_say(context);
  const auto known = statuses(client);
  const auto now = [] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  };
  std::vector<inventory::Difference> suspects;
  for (const auto& [id, topics] : said) {
    if (now() - topics.last_at > context.options.settings.retention / 2) continue;  // the store may have forgotten it
    const auto status = known.find(id);
    if (auto one = compare(id, topics, status == known.end() ? nullptr : &status->second, now())) suspects.push_back(std::move(*one));
  }
  if (!suspects.empty()) std::this_thread::sleep_for(confirm_pause);
  for (const inventory::Difference& one : suspects) {
    const HttpAnswer answer = client.get("/v1/orders/" + url_encoded(one.order));
    std::optional<std::string> status;
    if (answer.status != 404) status = shown_of(object_of(answer, "order " + one.order, client), "status", "");
    const auto again = compare(one.order, said.at(one.order), status ? &*status : nullptr, now());
    if (again && same(*again, one)) found["differences"].push_back(json_of(one));
  }
  found["records"] = records;
}

// -- what is shown ----------------------------------------------------------------------------------------------------

void print(const Context& context, const Json& found) {
  if (context.format == Format::json) {
    std::cout << json::dump(found, 2) << '\n';
    return;
  }
  std::cout << "compared " << grouped(found["products"]) << " products, " << grouped(found["reservations"]) << " reservations";
  if (found["orders_compared"] == true) std::cout << ", " << grouped(found["orders"]) << " orders";
  if (found.contains("records")) std::cout << ", " << grouped(found["records"]) << " records";
  std::cout << '\n';
  if (found["orders_compared"] != true)
    std::cout << "the orders were not compared with the ledger: the order role runs on another node\n";
  if (const Json& busy = found["busy"]; !busy.empty()) {
    std::cout << "changed too quickly to be compared:";
    for (std::size_t i = 0; i < std::min(busy.size(), busy_shown); ++i) std::cout << ' ' << busy[i].get<std::string>();
    if (busy.size() > busy_shown) std::cout << " and " << busy.size() - busy_shown << " more";
    std::cout << "; try again\n";
  }
  const Json& differences = found["differences"];
  if (differences.empty()) {
    std::cout << coloured("no difference", Colour::green) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& one : differences) {
    std::string says;
    for (const Json& said : one["says"]) says += (says.empty() ? "" : " | ") + shown_of(said, "who", "") + ": " + shown_of(said, "what", "");
    const std::string of = shown_of(one, one["order_id"].is_null() ? "product_id" : "order_id", "");
    const std::string again = shown_of(one, "again_at", "");
    rows.push_back({shown_of(one, "kind", ""), of, says, shown_of(one, "mend", ""), shown_of(one, "how", "") + (again.empty() ? "" : ", at " + again)});
  }
  print_table(std::cout, {"KIND", "OF", "WHO SAYS WHAT", "MEND", "HOW"}, rows);
  if (found["more"] != 0) std::cout << "and " << grouped(found["more"]) << " more\n";
}

bool has(const Json& found, inventory::Mend mend) {
  return std::any_of(found["differences"].begin(), found["differences"].end(),
                     [&](const Json& one) { return shown_of(one, "mend", "") == to_string(mend); });
}

}  // namespace

int stock_reconcile(const Context& context, const StockReconcile& what) {
  catch_interrupts();
  HttpClient client = context.http();
  Json found = compared(client, "/v1/stock:check");
  if (what.topics) compare_topics(context, client, found);
  if (what.mend && has(found, inventory::Mend::rebuild)) {
    print(context, found);
    std::cerr << "Redis is written anew from the ledger; nothing is reserved meanwhile\n";
    const Json topics = found["differences"];
    found = compared(client, "/v1/stock:rebuild");
    for (const Json& one : topics)
      if (shown_of(one, "kind", "") == to_string(inventory::DifferenceKind::topics)) found["differences"].push_back(one);
  }
  print(context, found);
  return found["differences"].empty() ? exit_ok : exit_failure;
}

}  // namespace cartwright::cli
