#include "bridges/kafka/admin.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <string_view>
#include <thread>

namespace cartwright::kafka {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

class QuietListener : public Listener {
 public:
  explicit QuietListener(const ClientOptions& options) : options_(options) {}
  void on_error(rd_kafka_resp_err_t, std::string_view) override {}
  void on_log(int level, std::string_view text) override {
    if (options_.log) options_.log(level, text);
  }

 private:
  const ClientOptions& options_;
};

/// Partitions by name. Asks for all topics: a question that names a topic may create it.
using Existing = std::map<std::string, int>;

int milliseconds_until(Clock::time_point deadline) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 1, 600'000));
}

std::optional<Error> read_topics(rd_kafka_t* client, const ClientOptions& options, Clock::time_point deadline,
                                 Existing& found) {
  const rd_kafka_metadata_t* raw = nullptr;
  auto code = rd_kafka_metadata(client, 1, nullptr, &raw, milliseconds_until(deadline));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return describe(code, "listing topics", options.brokers);
  Metadata metadata(raw);
  found.clear();
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const auto& topic = metadata->topics[i];
    if (topic.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || topic.partition_cnt == 0) continue;
    found[topic.topic] = topic.partition_cnt;
  }
  return {};
}

struct Missing {
  std::string name;
  int partitions = 0;
  const char* cleanup = "delete";
};

using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Releaser<rd_kafka_NewTopic_destroy>>;
using AdminOptions = std::unique_ptr<rd_kafka_AdminOptions_t, Releaser<rd_kafka_AdminOptions_destroy>>;

std::optional<Error> create(rd_kafka_t* client, const ClientOptions& options, Clock::time_point deadline,
                            const std::vector<Missing>& missing, std::vector<std::string>& created,
                            bool* knows_admin = nullptr) {
  std::array<char, 512> why{};
  std::vector<NewTopic> owned;
  std::vector<rd_kafka_NewTopic_t*> raw;
  for (const Missing& topic : missing) {
    // -1: the broker's own default.replication.factor, which knows how many brokers there are.
    owned.emplace_back(rd_kafka_NewTopic_new(topic.name.c_str(), topic.partitions, -1, why.data(), why.size()));
    if (!owned.back())
      return Error{"kafka: creating topic " + topic.name + ": " + why.data(), "check the TOPIC_... settings", false,
                   true};
    rd_kafka_NewTopic_set_config(owned.back().get(), "cleanup.policy", topic.cleanup);
    raw.push_back(owned.back().get());
  }
  AdminOptions admin(rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS));
  int left = milliseconds_until(deadline);
  rd_kafka_AdminOptions_set_request_timeout(admin.get(), left, why.data(), why.size());
  rd_kafka_AdminOptions_set_operation_timeout(admin.get(), left, why.data(), why.size());
  Queue queue(rd_kafka_queue_new(client));
  rd_kafka_CreateTopics(client, raw.data(), raw.size(), admin.get(), queue.get());
  ClientEvent event(rd_kafka_queue_poll(queue.get(), left + 1000));
  if (!event) return describe(RD_KAFKA_RESP_ERR__TIMED_OUT, "creating topic " + missing.front().name, options.brokers);
  if (auto code = rd_kafka_event_error(event.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (knows_admin) *knows_admin = code != RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
    return describe(code, "creating topic " + missing.front().name, options.brokers);
  }
  std::size_t count = 0;
  const auto** results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    auto code = rd_kafka_topic_result_error(results[i]);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;  // another node was quicker
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
      return describe(code, std::string("creating topic ") + rd_kafka_topic_result_name(results[i]), options.brokers);
    created.emplace_back(rd_kafka_topic_result_name(results[i]));
  }
  return {};
}

/// The one number of partitions, or the two topics that differ; 0 when none of them exists.
std::optional<Error> common_partitions(const Existing& found, const TopicNames& names, int& partitions) {
  const std::string* first = nullptr;
  partitions = 0;
  for (const TopicInfo& row : topics()) {
    auto at = found.find(names[row.topic]);
    if (at == found.end()) continue;
    if (first == nullptr) {
      first = &at->first;
      partitions = at->second;
    } else if (at->second != partitions) {
      return Error{"kafka: partitions differ: topic " + *first + " has " + std::to_string(partitions) + ", topic " +
                       at->first + " has " + std::to_string(at->second),
                   "all order-keyed topics need the same number: delete one and let it be created again, or choose "
                   "others by TOPIC_...",
                   false, true};
    }
  }
  return {};
}

std::vector<Missing> what_is_missing(const Existing& found, const TopicNames& names, int partitions) {
  std::vector<Missing> missing;
  for (const TopicInfo& row : topics()) {
    const std::string& name = names[row.topic];
    if (!found.contains(name)) missing.push_back({name, partitions, "delete"});
    if (std::string dead = dead_letters_of(name); !found.contains(dead)) missing.push_back({dead, 1, "delete"});
  }
  return missing;
}

/// The mock cluster calls itself "mockCluster" and a number (rdkafka_mock.c).
bool is_stand_in(rd_kafka_t* client, int timeout_ms) {
  const std::unique_ptr<char, decltype(&std::free)> id(rd_kafka_clusterid(client, std::max(timeout_ms, 1)), &std::free);
  return id && std::string_view(id.get()).starts_with("mockCluster");
}

TopicsResult ensure(rd_kafka_t* client, const ClientOptions& options, const TopicNames& names, int wanted,
                    Clock::time_point deadline) {
  TopicsResult result;
  Existing found;
  bool asked = false;
  std::size_t missing_before = 0;
  for (;;) {
    if ((result.error = read_topics(client, options, deadline, found))) return result;
    if ((result.error = common_partitions(found, names, result.partitions))) return result;
    auto missing = what_is_missing(found, names, result.partitions > 0 ? result.partitions : wanted);
    if (missing.empty()) return result;
    if (Clock::now() >= deadline) {
      result.error =
          describe(RD_KAFKA_RESP_ERR__TIMED_OUT, "waiting for topic " + missing.front().name, options.brokers);
      return result;
    }
    // Somebody else may be at it: another node, or the embedded broker, which knows no admin requests and makes its
    // topics in the first second. Only what stays away between two looks is created.
    if (missing.size() != missing_before) {
      missing_before = missing.size();
      std::this_thread::sleep_for(300ms);
      continue;
    }
    // What was created is known to all brokers a moment later; then the loop only waits.
    if (!asked && (result.error = create(client, options, deadline, missing, result.created))) return result;
    if (asked) std::this_thread::sleep_for(50ms);
    asked = true;
  }
}

}  // namespace

TopicsResult ensure_topics(const ClientOptions& options, const TopicNames& names, int wanted_partitions,
                           std::chrono::milliseconds timeout) {
  try {
    QuietListener listener(options);
    Client client = make_client(RD_KAFKA_PRODUCER, options, "admin", {}, {}, listener);
    const auto deadline = Clock::now() + timeout;
    TopicsResult result = ensure(client.get(), options, names, wanted_partitions, deadline);
    if (!result.error) result.stand_in = is_stand_in(client.get(), milliseconds_until(deadline));
    return result;
  } catch (const Failure& failure) {
    TopicsResult failed;
    failed.error = failure.error();
    return failed;
  }
}

std::optional<Error> ensure_compacted(const ClientOptions& options, const std::string& name,
                                      std::chrono::milliseconds timeout) {
  try {
    QuietListener listener(options);
    Client client = make_client(RD_KAFKA_PRODUCER, options, "admin", {}, {}, listener);
    const auto deadline = Clock::now() + timeout;
    Existing found;
    if (auto error = read_topics(client.get(), options, deadline, found)) return error;
    if (found.contains(name)) return {};
    std::vector<std::string> created;
    bool knows_admin = true;
    auto error = create(client.get(), options, deadline, {{name, 1, "compact"}}, created, &knows_admin);
    return knows_admin ? error : std::nullopt;
  } catch (const Failure& failure) {
    return failure.error();
  }
}

TopicsListing list_topics(const ClientOptions& options, std::chrono::milliseconds timeout) {
  TopicsListing listing;
  try {
    QuietListener listener(options);
    Client client = make_client(RD_KAFKA_PRODUCER, options, "admin", {}, {}, listener);
    Existing found;
    listing.error = read_topics(client.get(), options, Clock::now() + timeout, found);
    for (const auto& [name, partitions] : found)
      if (!name.starts_with("__")) listing.topics.push_back({name, partitions});
  } catch (const Failure& failure) {
    listing.error = failure.error();
  }
  return listing;
}

}  // namespace cartwright::kafka
