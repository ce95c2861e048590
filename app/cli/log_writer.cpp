#include "app/cli/log_writer.hpp"

#include <array>
#include <tuple>

#include "app/cli/context.hpp"
#include "bridges/kafka/client.hpp"

namespace cartwright::cli {
namespace {

constexpr int message_timeout_ms = 20'000;
constexpr int flush_timeout_ms = 30'000;  // longer than a message may take, so that each has its own answer

class Reports final : public kafka::Listener {
 public:
  explicit Reports(std::string brokers) : brokers_(std::move(brokers)) {}
  void on_error(rd_kafka_resp_err_t, std::string_view) override {}
  void on_log(int, std::string_view) override {}
  void on_delivery(const rd_kafka_message_t& message) override {
    auto* written = static_cast<Written*>(message._private);
    if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR)
      *written = {"", message.offset};
    else
      written->fault = kafka::to_string(kafka::describe(message.err, "writing", brokers_));
  }

 private:
  std::string brokers_;
};

kafka::Client client_of(const kafka::ClientOptions& options, Reports& reports) {
  try {
    return kafka::make_client(RD_KAFKA_PRODUCER, options, "writer", {},
                              {{"acks", "all"},
                               {"enable.idempotence", "true"},
                               {"message.timeout.ms", std::to_string(message_timeout_ms)}},
                              reports);
  } catch (const kafka::Failure& failure) {
    fail(failure.error());
  }
}

kafka::Headers headers_of(const NewRecord& record) {
  kafka::Headers headers(rd_kafka_headers_new(record.headers.size()));
  for (const auto& [name, value] : record.headers)
    rd_kafka_header_add(headers.get(), name.data(), static_cast<ssize_t>(name.size()), value.data(),
                        static_cast<ssize_t>(value.size()));
  return headers;
}

// As values, not by librdkafka's variadic macros, which cast in the old way.
rd_kafka_resp_err_t put(rd_kafka_t* client, const NewRecord& record, rd_kafka_headers_t* headers, Written* written) {
  std::array<rd_kafka_vu_t, 7> arguments{};
  arguments[0].vtype = RD_KAFKA_VTYPE_TOPIC;
  arguments[0].u.cstr = record.topic.c_str();
  arguments[1].vtype = RD_KAFKA_VTYPE_PARTITION;
  arguments[1].u.i32 = record.partition;
  arguments[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  arguments[2].u.i = RD_KAFKA_MSG_F_COPY;
  arguments[3].vtype = RD_KAFKA_VTYPE_OPAQUE;
  arguments[3].u.ptr = written;
  // Null and empty are two things in Kafka. The bytes are copied, never written.
  auto bytes = [](rd_kafka_vu_t& to, rd_kafka_vtype_t type, const std::optional<std::string>& from) {
    to.vtype = type;
    to.u.mem.ptr = from ? const_cast<char*>(from->data()) : nullptr;
    to.u.mem.size = from ? from->size() : 0;
  };
  bytes(arguments[4], RD_KAFKA_VTYPE_KEY, record.key);
  bytes(arguments[5], RD_KAFKA_VTYPE_VALUE, record.value);
  arguments[6].vtype = RD_KAFKA_VTYPE_HEADERS;
  arguments[6].u.headers = headers;
  rd_kafka_error_t* error = rd_kafka_produceva(client, arguments.data(), arguments.size());
  if (error == nullptr) return RD_KAFKA_RESP_ERR_NO_ERROR;
  rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  rd_kafka_error_destroy(error);
  return code;
}

}  // namespace

struct LogWriter::Handles {
  explicit Handles(const kafka::ClientOptions& options)
      : reports(options.brokers), client(client_of(options, reports)), brokers(options.brokers) {}
  Reports reports;
  kafka::Client client;
  std::string brokers;
};

LogWriter::LogWriter(const kafka::ClientOptions& options) : handles_(std::make_unique<Handles>(options)) {}

// What was not answered points into the caller's vector: it is answered before the vector is gone (see write).
LogWriter::~LogWriter() = default;

std::vector<Written> LogWriter::write(const std::vector<NewRecord>& records) {
  std::vector<Written> written(records.size(), {"nobody knows whether it was written: no answer in time", -1});
  rd_kafka_t* client = handles_->client.get();
  for (std::size_t i = 0; i < records.size(); ++i) {
    const NewRecord& record = records[i];
    kafka::Headers headers = headers_of(record);
    if (rd_kafka_resp_err_t code = put(client, record, headers.get(), &written[i]); code == RD_KAFKA_RESP_ERR_NO_ERROR)
      std::ignore = headers.release();  // librdkafka's now
    else
      written[i].fault = kafka::to_string(kafka::describe(code, "writing to " + record.topic, handles_->brokers));
  }
  rd_kafka_flush(client, flush_timeout_ms);
  if (rd_kafka_outq_len(client) > 0) {
    rd_kafka_purge(client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(client, 1'000);
  }
  return written;
}

}  // namespace cartwright::cli
