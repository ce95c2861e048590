#include "app/cli/load_send.hpp"

#include <thread>

#include "actors/ids.hpp"
#include "app/options/text.hpp"
#include "bridges/kafka/client.hpp"

namespace cartwright::cli {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto busy_pause_min = 20ms, busy_pause_max = 1000ms;  // after a 503
constexpr auto unreachable_max = 10s;                           // then a run without any answer is given up
constexpr std::chrono::milliseconds answer_max = 30s;           // of a request
constexpr std::int64_t produced_at_once = 1000;                 // between two looks at what the broker says

// No request outlasts the run.
HttpClient client_of(const Run& run) {
  return HttpClient(run.context.endpoint(), run.context.token,
                    std::min(answer_max, std::chrono::milliseconds(run.options.timeout_ms)));
}

std::chrono::milliseconds pause_after(const HttpAnswer& answer) {
  auto seconds = options::number(answer.retry_after);
  auto asked = seconds.fault.empty() ? std::chrono::milliseconds(seconds.value * 1000) : busy_pause_min;
  return std::clamp<std::chrono::milliseconds>(asked, busy_pause_min, busy_pause_max);
}

/// Whether a sender goes on after an answer that took nothing. What it could not have taken goes in again.
class Patience {
 public:
  bool after(Run& run, const HttpAnswer& answer, const std::vector<std::int64_t>& numbers, const HttpClient& client) {
    bool busy = answer.fault.empty() && (answer.status == 503 || answer.status == 429);
    bool away = !answer.fault.empty() && !answer.sent;
    if (!busy && !away) {
      run.refusals.add(std::ssize(numbers),
                       (answer.fault.empty() ? "" : "without an answer, so nobody knows: ") + read_problem(answer));
      run.feeder.refused(std::ssize(numbers));
      return answer.status != 401 && answer.status != 403 && answer.status != 404;
    }
    if (since_ == Clock::time_point{}) since_ = Clock::now();
    if (away && Clock::now() - since_ > unreachable_max) {
      run.refusals.add(std::ssize(numbers), client.shown() + ": " + answer.fault);
      return false;
    }
    run.feeder.again(numbers);
    std::this_thread::sleep_for(pause_after(answer));
    return true;
  }
  void answered() { since_ = {}; }

 private:
  Clock::time_point since_{};
};

void send_singly(Run& run) {
  HttpClient client = client_of(run);
  Patience patience;
  for (auto numbers = run.feeder.take(1); !numbers.empty(); numbers = run.feeder.take(1)) {
    std::string body = run.plan.body_of(numbers[0]);
    auto sent = now_us();
    auto answer = client.send({"POST", "/v1/orders", body, "application/json", {}});
    std::string id = answer.status == 202 ? read_order_id(answer.body) : "";
    if (!id.empty()) {
      patience.answered();
      run.ledger.accepted(id, numbers[0], sent);
    } else if (!patience.after(run, answer, numbers, client)) {
      return run.feeder.stop();
    }
  }
}

void send_batches(Run& run) {
  HttpClient client = client_of(run);
  Patience patience;
  for (auto numbers = run.feeder.take(run.options.batch); !numbers.empty();
       numbers = run.feeder.take(run.options.batch)) {
    std::string body;
    for (auto number : numbers) body += run.plan.body_of(number) + "\n";
    auto sent = now_us();
    auto answer = client.send({"POST", "/v1/orders:batch", body, "application/x-ndjson", {}});
    if (!answer.fault.empty() || answer.status != 200) {
      if (!patience.after(run, answer, numbers, client)) return run.feeder.stop();
      continue;
    }
    patience.answered();
    auto lines = read_batch(answer.body);
    std::vector<std::int64_t> busy;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (i < lines.size() && lines[i].status == 202) {
        run.ledger.accepted(lines[i].order_id, numbers[i], sent);
      } else if (i < lines.size() && (lines[i].status == 503 || lines[i].status == 429)) {
        busy.push_back(numbers[i]);
      } else {
        run.refusals.add(1, i < lines.size() ? std::to_string(lines[i].status) + " (" + lines[i].detail + ")"
                                             : "the batch answer lacks lines");
        run.feeder.refused(1);
      }
    }
    if (!busy.empty()) {
      run.feeder.again(busy);
      std::this_thread::sleep_for(busy_pause_min);
    }
  }
}

/// A foreign program's way in: bare records, four fields, no headers.
class RecordSender final : public kafka::Listener {
 public:
  RecordSender(Run& run, int partitions)
      : run_(run),
        partitions_(partitions),
        client_(kafka::make_client(RD_KAFKA_PRODUCER, run.context.kafka("load"), "producer",
                                   {{"linger.ms", std::to_string(run.context.options.kafka_linger.count())},
                                    {"batch.num.messages", "10000"},
                                    {"queue.buffering.max.messages", "200000"},
                                    {"message.timeout.ms", std::to_string(run.options.timeout_ms)}},
                                   {{"acks", "all"}, {"enable.idempotence", "true"}}, *this)),
        topic_(rd_kafka_topic_new(client_.get(), run.context.options.topics[Topic::order_placed].c_str(), nullptr)) {}

  void send_all() {
    for (auto numbers = run_.feeder.take(produced_at_once); !numbers.empty();
         numbers = run_.feeder.take(produced_at_once)) {
      for (auto number : numbers) put(number);
      rd_kafka_poll(client_.get(), 0);
    }
    for (auto waited = 0; rd_kafka_outq_len(client_.get()) > 0 && waited < 100 && !interrupted(); ++waited)
      rd_kafka_flush(client_.get(), 100);
  }

  void on_error(rd_kafka_resp_err_t, std::string_view) override {}
  void on_log(int, std::string_view) override {}
  void on_delivery(const rd_kafka_message_t& message) override {
    if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    run_.refusals.add(1, to_string(kafka::describe(message.err, "producing", run_.context.options.kafka_broker)));
    run_.feeder.refused(1);
  }

 private:
  void put(std::int64_t number) {
    std::string id = run_.plan.order_id(number), body = run_.plan.body_of(number, id);
    run_.ledger.accepted(id, number, now_us());
    while (!run_.feeder.stopped()) {
      if (rd_kafka_produce(topic_.get(), partition_of(id, partitions_), RD_KAFKA_MSG_F_COPY, body.data(), body.size(),
                           id.data(), id.size(), nullptr) == 0)
        return;
      auto code = rd_kafka_last_error();
      if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        run_.refusals.add(1, to_string(kafka::describe(code, "producing", run_.context.options.kafka_broker)));
        return run_.feeder.refused(1);
      }
      rd_kafka_poll(client_.get(), 5);
    }
  }

  Run& run_;
  int partitions_;
  kafka::Client client_;
  kafka::TopicHandle topic_;
};

}  // namespace

void send_orders(Run& run, int partitions) {
  switch (run.options.via) {
    case Via::http: return send_singly(run);
    case Via::batch: return send_batches(run);
    case Via::kafka: return RecordSender(run, partitions).send_all();
  }
}

}  // namespace cartwright::cli
