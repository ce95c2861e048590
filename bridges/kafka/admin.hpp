#pragma once
// Topics as the broker has them: made where they are missing, taken as they are where not. Blocks; not for actors.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "actors/topics.hpp"
#include "bridges/kafka/client.hpp"

namespace cartwright::kafka {

/// What ensure_topics found and did.
struct TopicsResult {
  int partitions = 0;                // of every order-keyed topic
  std::vector<std::string> created;  // names
  bool stand_in = false;             // librdkafka's mock cluster, not a Kafka: its fetches want to be asked more often
  std::optional<Error> error;        // then nothing else counts
};

/// Creates the topics of the table that are missing, and `<topic>.dlq` for each (1 partition): the order-keyed ones
/// with as many partitions as those that exist have, else `wanted_partitions`. Existing ones are taken as they are.
/// When order-keyed topics differ in partitions, the error is `misconfigured`; a broker that does not answer within
/// `timeout` is `retryable`. A broker that has everything already is only asked for metadata. Blocks up to `timeout`.
[[nodiscard]] TopicsResult ensure_topics(const ClientOptions& options, const TopicNames& names, int wanted_partitions,
                                         std::chrono::milliseconds timeout);

/// Creates a topic of 1 partition that keeps the last record of each key for ever, when it is missing. A broker that
/// knows no admin requests (the embedded one) makes it when it is first written to. Blocks up to `timeout`.
[[nodiscard]] std::optional<Error> ensure_compacted(const ClientOptions& options, const std::string& name,
                                                    std::chrono::milliseconds timeout);

/// A topic of the broker, as the command line shows it.
struct TopicListing {
  std::string name;
  int partitions = 0;
};
struct TopicsListing {
  std::vector<TopicListing> topics;  // by name, without the broker's internal ones
  std::optional<Error> error;
};

/// All topics of the broker. Blocks up to `timeout`.
[[nodiscard]] TopicsListing list_topics(const ClientOptions& options, std::chrono::milliseconds timeout);

}  // namespace cartwright::kafka
