#include "bridges/kafka/client.hpp"

#include <algorithm>
#include <array>

namespace cartwright::kafka {
namespace {

constexpr std::size_t texts_remembered_max = 64;  // of a RateLimit

Listener& listener_of(void* opaque) { return *static_cast<Listener*>(opaque); }

// Any thread of librdkafka; also while rd_kafka_new is still running.
void log_callback(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  // The stand-in does not know allow.auto.create.topics, and is warned about with every refresh.
  if (client == nullptr || std::string_view(facility) == "AUTOCREATE") return;
  if (void* opaque = rd_kafka_opaque(client); opaque != nullptr)
    listener_of(opaque).on_log(level, std::string(facility) + ": " + text);
}

// The thread that polls.
void error_callback(rd_kafka_t* client, int code, const char* reason, void* opaque) {
  auto error = static_cast<rd_kafka_resp_err_t>(code);
  std::array<char, 512> text{};
  if (error == RD_KAFKA_RESP_ERR__FATAL) {
    rd_kafka_fatal_error(client, text.data(), text.size());
    listener_of(opaque).on_error(error, text.data());
    return;
  }
  listener_of(opaque).on_error(error, reason != nullptr ? reason : "");
}

void delivery_callback(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  listener_of(opaque).on_delivery(*message);
}

void rebalance_callback(rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list, void* opaque) {
  listener_of(opaque).on_rebalance(code, list);
}

void commit_callback(rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t*, void* opaque) {
  listener_of(opaque).on_commit(code);
}

using Configuration = std::unique_ptr<rd_kafka_conf_t, Releaser<rd_kafka_conf_destroy>>;

Error wrong_setting(const std::string& name, std::string why) {
  return {"kafka: setting " + name + ": " + std::move(why), "see librdkafka's CONFIGURATION.md for kafka.properties.*",
          false, true};
}

void set(rd_kafka_conf_t* configuration, const std::string& name, const std::string& value) {
  std::array<char, 512> why{};
  if (rd_kafka_conf_set(configuration, name.c_str(), value.c_str(), why.data(), why.size()) != RD_KAFKA_CONF_OK)
    throw Failure(wrong_setting(name, why.data()));
}

}  // namespace

std::string to_string(const Error& error) {
  return error.hint.empty() ? error.what : error.what + " (" + error.hint + ")";
}

Partitions partitions_list(std::size_t size) {
  return Partitions(rd_kafka_topic_partition_list_new(static_cast<int>(size)));
}

Client make_client(rd_kafka_type_t type, const ClientOptions& options, std::string_view purpose, const Settings& tuned,
                   const Settings& fixed, Listener& listener) {
  if (options.brokers.empty())
    throw Failure({"kafka: no broker is configured", "set KAFKA_BROKER=host:port,...", false, true});
  Configuration configuration(rd_kafka_conf_new());
  auto* raw = configuration.get();
  set(raw, "client.id", (options.node_name.empty() ? "cartwright" : options.node_name) + "." + std::string(purpose));
  set(raw, "socket.nagle.disable", "true");  // else 40 ms per request where the other side delays its acknowledgements
  set(raw, "socket.keepalive.enable", "true");
  set(raw, "reconnect.backoff.ms", "50");
  set(raw, "reconnect.backoff.max.ms", "2000");
  set(raw, "log.connection.close", "false");  // brokers close idle connections; that is no news
  for (const auto& [name, value] : tuned) set(raw, name, value);
  for (const auto& [name, value] : options.properties) {
    bool is_fixed = name == "bootstrap.servers" || name == "metadata.broker.list" ||
                    std::any_of(fixed.begin(), fixed.end(), [&](const auto& one) { return one.first == name; });
    if (is_fixed) throw Failure(wrong_setting(name, "is not free: Cartwright sets it itself"));
    set(raw, name, value);
  }
  set(raw, "bootstrap.servers", options.brokers);
  for (const auto& [name, value] : fixed) set(raw, name, value);
  rd_kafka_conf_set_opaque(raw, &listener);
  rd_kafka_conf_set_log_cb(raw, log_callback);
  rd_kafka_conf_set_error_cb(raw, error_callback);
  if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(raw, delivery_callback);
  if (type == RD_KAFKA_CONSUMER) {
    rd_kafka_conf_set_rebalance_cb(raw, rebalance_callback);
    rd_kafka_conf_set_offset_commit_cb(raw, commit_callback);
  }
  std::array<char, 512> why{};
  rd_kafka_t* client = rd_kafka_new(type, raw, why.data(), why.size());
  if (client == nullptr) throw Failure(wrong_setting("of the " + std::string(purpose) + " client", why.data()));
  configuration.release();  // owned by the client now
  return Client(client);
}

Error describe(rd_kafka_resp_err_t code, std::string_view tried, std::string_view brokers) {
  Error error{"kafka: " + std::string(tried) + " at " + std::string(brokers) + ": " + rd_kafka_err2str(code), "", true,
              false};
  switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
      error.hint = "is the broker up, and is KAFKA_BROKER the address that it advertises?";
      break;
    case RD_KAFKA_RESP_ERR__RESOLVE: error.hint = "the name does not resolve: check KAFKA_BROKER"; break;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
      error.hint = "check kafka.properties.security.protocol, sasl.* and ssl.*";
      break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED: error.hint = "the broker's ACLs do not allow it"; break;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      error.hint = "a topic is missing; a node creates it when it starts";
      break;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      error.hint = "raise message.max.bytes here and at the broker";
      error.retryable = false;
      break;
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
      error.hint = "the broker's policy refuses the topic: create it by hand";
      break;
    default: break;
  }
  return error;
}

bool RateLimit::pass(const std::string& text) {
  auto now = Clock::now();
  std::erase_if(seen_, [&](const auto& one) { return now - one.second >= every_; });
  if (std::any_of(seen_.begin(), seen_.end(), [&](const auto& one) { return one.first == text; })) return false;
  if (seen_.size() >= texts_remembered_max) return false;
  seen_.emplace_back(text, now);
  return true;
}

}  // namespace cartwright::kafka
