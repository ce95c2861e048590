#pragma once
// What producer, consumer and administration share: librdkafka's handles with owners, its settings, its errors with a
// hint for the operator. Nothing here knows an order; nothing outside bridges/kafka needs librdkafka's header.

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cartwright::kafka {

/// A failure of a call: what was tried on what, whether trying again can help, and what a person can do about it.
struct Error {
  std::string what, hint;
  bool retryable = true;       // servers may come back
  bool misconfigured = false;  // only another configuration helps: the program exits 2
};

/// `what`, and the hint in brackets: one line for a log.
[[nodiscard]] std::string to_string(const Error& error);

/// Thrown by constructors only, and only for a configuration that librdkafka does not take.
class Failure : public std::runtime_error {
 public:
  explicit Failure(Error error) : std::runtime_error(to_string(error)), error_(std::move(error)) {}
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  Error error_;
};

/// How to reach the brokers; the same for every client of the process.
struct ClientOptions {
  std::string brokers;                                          // host:port,...
  std::string group_prefix = "cartwright";                      // groups are <prefix>.<role>
  std::chrono::milliseconds session_timeout{6000};              // of consumer groups
  std::vector<std::pair<std::string, std::string>> properties;  // kafka.properties.*, as librdkafka names them
  std::string node_name;                                        // client.id is <node_name>.<what for>
  std::function<void(int level, std::string_view text)>
      log;  // syslog level, 3 error .. 7 debug; any thread; nothing: silent
};

using Settings = std::vector<std::pair<std::string, std::string>>;

/// What librdkafka calls back. Errors and logs may come from any thread, the rest from the thread that polls.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void on_error(rd_kafka_resp_err_t code, std::string_view reason) = 0;
  virtual void on_log(int level, std::string_view text) = 0;
  virtual void on_delivery(const rd_kafka_message_t&) {}
  virtual void on_rebalance(rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t*) {}
  virtual void on_commit(rd_kafka_resp_err_t) {}
};

template <auto Release>
struct Releaser {
  template <class T>
  void operator()(T* handle) const {
    Release(handle);
  }
};
using Client = std::unique_ptr<rd_kafka_t, Releaser<rd_kafka_destroy>>;
using TopicHandle = std::unique_ptr<rd_kafka_topic_t, Releaser<rd_kafka_topic_destroy>>;
using Message = std::unique_ptr<rd_kafka_message_t, Releaser<rd_kafka_message_destroy>>;
using Partitions = std::unique_ptr<rd_kafka_topic_partition_list_t, Releaser<rd_kafka_topic_partition_list_destroy>>;
using Queue = std::unique_ptr<rd_kafka_queue_t, Releaser<rd_kafka_queue_destroy>>;
using ClientEvent = std::unique_ptr<rd_kafka_event_t, Releaser<rd_kafka_event_destroy>>;
using Headers = std::unique_ptr<rd_kafka_headers_t, Releaser<rd_kafka_headers_destroy>>;
using Metadata = std::unique_ptr<const rd_kafka_metadata_t, Releaser<rd_kafka_metadata_destroy>>;

/// An empty list with room for `size` partitions.
[[nodiscard]] Partitions partitions_list(std::size_t size);

/// A client of one kind. `tuned` may be overridden by options.properties, `fixed` may not: what is right depends on it.
/// `listener` outlives the client. Does not wait for a broker. Throws Failure when librdkafka refuses a setting.
[[nodiscard]] Client make_client(rd_kafka_type_t type, const ClientOptions& options, std::string_view purpose,
                                 const Settings& tuned, const Settings& fixed, Listener& listener);

/// What a code of librdkafka means to the operator.
[[nodiscard]] Error describe(rd_kafka_resp_err_t code, std::string_view tried, std::string_view brokers);

/// Lets the same text through once in `every`. One thread at a time.
class RateLimit {
 public:
  explicit RateLimit(std::chrono::milliseconds every) : every_(every) {}
  [[nodiscard]] bool pass(const std::string& text);

 private:
  using Clock = std::chrono::steady_clock;
  std::chrono::milliseconds every_;
  std::vector<std::pair<std::string, Clock::time_point>> seen_;
};

}  // namespace cartwright::kafka
