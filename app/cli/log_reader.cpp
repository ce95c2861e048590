#include "app/cli/log_reader.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "app/cli/context.hpp"
#include "bridges/kafka/client.hpp"

namespace cartwright::cli {
namespace {

constexpr int ask_timeout_ms = 10'000;    // of one question to the broker
constexpr std::size_t batch_max = 2'000;  // records taken from librdkafka's queue at once

class Quiet final : public kafka::Listener {
 public:
  void on_error(rd_kafka_resp_err_t, std::string_view) override {}
  void on_log(int, std::string_view) override {}
};

kafka::Client client_of(const kafka::ClientOptions& options, bool prompt, Quiet& quiet) {
  try {
    return kafka::make_client(
        RD_KAFKA_CONSUMER, options, "reader",
        {{"fetch.wait.max.ms", prompt ? "10" : "100"},  // the embedded broker answers an empty fetch only after it
         {"fetch.min.bytes", "1"},
         {"fetch.error.backoff.ms", "100"},
         {"queued.min.messages", "20000"},
         {"queued.max.messages.kbytes", "32768"}},
        {{"enable.partition.eof", "true"}, {"enable.auto.commit", "false"}, {"allow.auto.create.topics", "false"}},
        quiet);
  } catch (const kafka::Failure& failure) {
    fail(failure.error());
  }
}

LogRecord record_of(const rd_kafka_message_t& message) {
  LogRecord record;
  record.topic = rd_kafka_topic_name(message.rkt);
  record.partition = message.partition;
  record.offset = message.offset;
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  record.timestamp = rd_kafka_message_timestamp(&message, &type);
  if (message.key != nullptr) record.key = std::string_view(static_cast<const char*>(message.key), message.key_len);
  if (message.payload != nullptr)
    record.value = std::string_view(static_cast<const char*>(message.payload), message.len);
  record.header = [&message](const char* name) -> std::optional<std::string> {
    rd_kafka_headers_t* headers = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return {};
    if (rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR || value == nullptr)
      return {};
    return std::string(static_cast<const char*>(value), size);
  };
  record.headers = [&message] {
    std::vector<Header> all;
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return all;
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i)
      all.emplace_back(name, value == nullptr ? std::string() : std::string(static_cast<const char*>(value), size));
    return all;
  };
  return record;
}

}  // namespace

struct LogReader::Handles {
  Quiet quiet;
  std::string brokers;
  kafka::Client client;
  kafka::Queue queue;
  std::map<std::string, kafka::TopicHandle> topics;
  std::vector<std::pair<rd_kafka_topic_t*, int>> started;

  rd_kafka_topic_t* topic(const std::string& name) {
    auto& handle = topics[name];
    if (!handle) handle.reset(rd_kafka_topic_new(client.get(), name.c_str(), nullptr));
    if (!handle) fail(kafka::describe(rd_kafka_last_error(), "reading topic " + name, brokers));
    return handle.get();
  }
};

LogReader::LogReader(const kafka::ClientOptions& options, bool prompt) : handles_(std::make_unique<Handles>()) {
  handles_->brokers = options.brokers;
  handles_->client = client_of(options, prompt, handles_->quiet);
  handles_->queue.reset(rd_kafka_queue_new(handles_->client.get()));
}

LogReader::~LogReader() {
  for (auto [topic, partition] : handles_->started) rd_kafka_consume_stop(topic, partition);
  handles_->queue.reset();
  handles_->topics.clear();
}

std::vector<std::pair<std::string, int>> LogReader::existing(const std::vector<std::string>& topics) {
  const rd_kafka_metadata_t* raw = nullptr;
  // All topics: a question that names one may create it.
  auto code = rd_kafka_metadata(handles_->client.get(), 1, nullptr, &raw, ask_timeout_ms);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) fail(kafka::describe(code, "listing topics", handles_->brokers));
  kafka::Metadata metadata(raw);
  std::vector<std::pair<std::string, int>> found;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const auto& topic = metadata->topics[i];
    if (topic.partition_cnt > 0 && std::find(topics.begin(), topics.end(), topic.topic) != topics.end())
      found.emplace_back(topic.topic, topic.partition_cnt);
  }
  return found;
}

std::vector<Extent> LogReader::extents(const std::vector<std::string>& topics) {
  std::vector<Extent> all;
  for (const auto& [name, partitions] : existing(topics)) {
    for (int partition = 0; partition < partitions; ++partition) {
      Extent extent{name, partition};
      auto code = rd_kafka_query_watermark_offsets(handles_->client.get(), name.c_str(), partition, &extent.begin,
                                                   &extent.end, ask_timeout_ms);
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail(kafka::describe(code, "asking for the offsets of " + name + "[" + std::to_string(partition) + "]",
                             handles_->brokers));
      all.push_back(std::move(extent));
    }
  }
  return all;
}

std::vector<std::int64_t> LogReader::offsets_since(const std::vector<Extent>& extents, Millis since) {
  std::vector<std::int64_t> offsets;
  for (const Extent& one : extents) offsets.push_back(one.begin);
  auto list = kafka::partitions_list(extents.size());
  for (const Extent& one : extents)
    rd_kafka_topic_partition_list_add(list.get(), one.topic.c_str(), one.partition)->offset = since;
  if (extents.empty() ||
      rd_kafka_offsets_for_times(handles_->client.get(), list.get(), ask_timeout_ms) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return offsets;
  // "At the end" everywhere is what a broker says that does not know times (the embedded one).
  bool known = std::any_of(list->elems, list->elems + list->cnt,
                           [](const auto& one) { return one.err == RD_KAFKA_RESP_ERR_NO_ERROR && one.offset >= 0; });
  if (!known) return offsets;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    const auto& answer = list->elems[i];
    if (answer.err == RD_KAFKA_RESP_ERR_NO_ERROR) offsets[i] = answer.offset >= 0 ? answer.offset : extents[i].end;
  }
  return offsets;
}

void LogReader::start(const Extent& extent, std::int64_t offset) {
  rd_kafka_topic_t* topic = handles_->topic(extent.topic);
  if (rd_kafka_consume_start_queue(topic, extent.partition, offset, handles_->queue.get()) != 0)
    fail(kafka::describe(rd_kafka_last_error(), "reading " + extent.topic, handles_->brokers));
  handles_->started.emplace_back(topic, extent.partition);
}

std::size_t LogReader::poll(int timeout_ms, const std::function<void(const LogRecord&)>& on_record) {
  std::array<rd_kafka_message_t*, batch_max> batch{};
  // A batch would wait until it is full: so one that may wait, and then what is here.
  batch[0] = rd_kafka_consume_queue(handles_->queue.get(), timeout_ms);
  if (batch[0] == nullptr) return 0;
  auto more = rd_kafka_consume_batch_queue(handles_->queue.get(), 0, batch.data() + 1, batch_max - 1);
  std::size_t count = 1 + (more > 0 ? static_cast<std::size_t>(more) : 0), ends = 0;
  std::vector<kafka::Message> owned(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(count));
  for (const auto& message : owned) {
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
      on_record(record_of(*message));
    else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
      ++ends;
    else if (kafka::Error error = kafka::describe(message->err, "reading", handles_->brokers); !error.retryable)
      fail(error);
  }
  return ends;
}

}  // namespace cartwright::cli
