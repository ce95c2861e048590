#include "bridges/kafka/producer.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <deque>

namespace cartwright::kafka {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t backlog_records_max = 200'000;  // what waits in the actor; shards bound themselves far below
constexpr auto retry_delay = 10ms;                    // until a full queue is tried again: a batch is gone by then
constexpr int poll_timeout_ms = 50;                   // bounds how late stop and fatal errors are noticed
constexpr int metadata_timeout_ms = 1000;
constexpr auto renew_drain_max = 10s;  // purged records report at once; a guard only
constexpr int headers_expected = 12;

Settings tuned(const ProducerOptions& options) {
  return {{"linger.ms", std::to_string(options.linger.count())},
          {"queue.buffering.max.messages", "100000"},
          {"queue.buffering.max.kbytes", "131072"},
          {"message.max.bytes",
           "1040000"},  // just below a broker's default: a foreign record may come back with one header more
          {"compression.type", "none"},
          {"topic.metadata.refresh.interval.ms", "60000"}};
}

Settings fixed() { return {{"acks", "all"}, {"enable.idempotence", "true"}, {"message.timeout.ms", "300000"}}; }

}  // namespace

// -- Delivery
// -----------------------------------------------------------------------------------------------------------

void Delivery::settle(std::size_t count, bool ok) {
  if (!ok) failed_ = true;
  if (left_.fetch_sub(count) != count) return;
  if (publish_.reply_to) caf::anon_send(publish_.reply_to, Published{publish_.epoch, publish_.sequence, !failed_});
  delete this;
}

// -- ProducerClient
// -----------------------------------------------------------------------------------------------------

ProducerClient::ProducerClient(ClientOptions options, const TopicNames& names, int partitions, ProducerOptions tuning)
    : options_(std::move(options)), tuning_(std::move(tuning)), partitions_(partitions) {
  for (const TopicInfo& row : cartwright::topics()) {
    topics_.push_back(names[row.topic]);
    topics_.push_back(dead_letters_of(names[row.topic]));
  }
  open();
  thread_ = std::thread([this] { run(); });
}

ProducerClient::~ProducerClient() { close(0ms); }

void ProducerClient::open() {
  client_ = make_client(RD_KAFKA_PRODUCER, options_, "producer", tuned(tuning_), fixed(), *this);
  // A handle for every topic makes it a topic whose metadata is kept; the first record to a topic without waits up to 1
  // s.
  for (const std::string& topic : topics_)
    handles_[topic] = TopicHandle(rd_kafka_topic_new(client_.get(), topic.c_str(), nullptr));
}

void ProducerClient::run() {
  while (!stop_) {
    rd_kafka_t* client = client_.get();  // only this thread replaces it
    if (client == nullptr || fatal_) {
      renew();
      continue;
    }
    if (!ready_) {
      const rd_kafka_metadata_t* raw = nullptr;
      if (rd_kafka_metadata(client, 0, nullptr, &raw, metadata_timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        Metadata metadata(raw);
        ready_ = true;
      }
    }
    rd_kafka_poll(client, poll_timeout_ms);
  }
}

void ProducerClient::renew() {
  std::lock_guard lock(mutex_);  // produce() does not wait for it: it says "later"
  if (client_) {
    ++counters_.renewals;
    rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    drain(renew_drain_max);
    handles_.clear();
    client_.reset();
  }
  ready_ = false;
  fatal_ = false;
  try {
    open();
  } catch (const Failure& failure) {  // it took these settings before: the machine is out of something
    report(failure.what());
    std::this_thread::sleep_for(100ms);
  }
}

void ProducerClient::drain(std::chrono::milliseconds longest) {
  auto deadline = Clock::now() + longest;
  while (rd_kafka_outq_len(client_.get()) > 0 && Clock::now() < deadline) rd_kafka_poll(client_.get(), poll_timeout_ms);
}

rd_kafka_topic_t* ProducerClient::handle_of(const std::string& topic) {
  TopicHandle& handle = handles_[topic];
  // A name that is not in force any more, of an outbox row that was written before it was renamed.
  if (!handle) handle = TopicHandle(rd_kafka_topic_new(client_.get(), topic.c_str(), nullptr));
  return handle.get();
}

rd_kafka_resp_err_t ProducerClient::put(const Outgoing& record, Delivery* delivery) {
  rd_kafka_topic_t* topic = handle_of(record.topic);
  if (topic == nullptr) return RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;  // not a name that a topic can have
  std::int32_t partition = record.order.empty() ? 0 : partition_of(record.order, partitions_);
  Headers headers;
  if (!record.headers.empty()) {
    headers.reset(rd_kafka_headers_new(headers_expected));
    for (const auto& [name, value] : record.headers)
      rd_kafka_header_add(headers.get(), name.data(), static_cast<ssize_t>(name.size()), value.data(),
                          static_cast<ssize_t>(value.size()));
  }
  // librdkafka copies key and value (F_COPY); a null pointer is null, an empty text is not.
  void* value = record.value ? const_cast<char*>(record.value->data()) : nullptr;
  const void* key = record.key ? record.key->data() : nullptr;
  // The types are spelt out here as the RD_KAFKA_V_ macros would: those cast in C's manner.
  std::size_t value_size = record.value ? record.value->size() : 0, key_size = record.key ? record.key->size() : 0;
  auto code = rd_kafka_producev(client_.get(), RD_KAFKA_VTYPE_RKT, topic, RD_KAFKA_VTYPE_PARTITION, partition,
                                RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY, RD_KAFKA_VTYPE_VALUE, value, value_size,
                                RD_KAFKA_VTYPE_KEY, key, key_size, RD_KAFKA_VTYPE_HEADERS, headers.get(),
                                RD_KAFKA_VTYPE_OPAQUE, static_cast<void*>(delivery), RD_KAFKA_VTYPE_END);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) headers.release();  // the message's now
  return code;
}

bool ProducerClient::produce(Delivery* delivery, std::size_t& next) {
  const auto& records = delivery->records();
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!closing_) {
    if (!lock.owns_lock() || !client_ || fatal_) return false;
    for (; next < records.size(); ++next) {
      auto code = put(records[next], delivery);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
      if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        ++counters_.full;
        return false;
      }
      if (code == RD_KAFKA_RESP_ERR__FATAL) {
        fatal_ = true;
        return false;  // the new client takes the rest; what the old one had fails the whole sequence
      }
      ++counters_.failures;
      report(to_string(describe(code, "publishing to " + records[next].topic, options_.brokers)));
      delivery->settle(1, false);
    }
  }
  std::size_t rest = records.size() - next;
  counters_.failures += rest;
  next = records.size();
  delivery->settle(rest + 1, rest == 0);
  return true;
}

void ProducerClient::on_delivery(const rd_kafka_message_t& message) {
  bool ok = message.err == RD_KAFKA_RESP_ERR_NO_ERROR;
  if (ok) {
    ++counters_.records;
    counters_.bytes += message.len + message.key_len;
    if (tuning_.delivered)
      tuning_.delivered(rd_kafka_topic_name(message.rkt), message.partition, message.offset,
                        {static_cast<const char*>(message.key), message.key_len});
  } else {
    ++counters_.failures;
    if (message.err != RD_KAFKA_RESP_ERR__PURGE_QUEUE && message.err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
      report(to_string(
          describe(message.err, std::string("publishing to ") + rd_kafka_topic_name(message.rkt), options_.brokers)));
  }
  static_cast<Delivery*>(message._private)->settle(1, ok);
}

void ProducerClient::on_error(rd_kafka_resp_err_t code, std::string_view reason) {
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    fatal_ = true;
    report("kafka: producer: fatal: " + std::string(reason) +
           " (a new producer takes over; what was under way is published again)");
    return;
  }
  report(to_string(describe(code, "publishing", options_.brokers)));
}

void ProducerClient::on_log(int level, std::string_view text) {
  if (options_.log) options_.log(level, text);
}

void ProducerClient::report(const std::string& what) {
  if (!tuning_.trouble) return;
  {
    std::lock_guard lock(report_mutex_);
    if (!reports_.pass(what)) return;
  }
  tuning_.trouble(what);
}

void ProducerClient::close(std::chrono::milliseconds deadline) {
  if (closed_.exchange(true)) return;
  closing_ = true;
  {
    std::lock_guard lock(mutex_);
    if (client_ && !fatal_) rd_kafka_flush(client_.get(), static_cast<int>(deadline.count()));
  }
  stop_ = true;
  thread_.join();
  if (!client_) return;
  rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  drain(renew_drain_max);
  handles_.clear();
  client_.reset();
}

// -- the actor
// ----------------------------------------------------------------------------------------------------------

/// Told by the producer actor to itself: the queue may have room again.
struct TryAgain {};

}  // namespace cartwright::kafka

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::kafka::TryAgain)

namespace cartwright::kafka {
namespace {

using ProducerWorker = ProducerActor::extend<caf::reacts_to<TryAgain>>;

struct ProducerState {
  static inline constexpr const char* name = "producer";

  struct Waiting {
    Delivery* delivery = nullptr;
    std::size_t next = 0;
  };
  std::shared_ptr<ProducerClient> client;
  std::deque<Waiting> backlog;
  std::size_t backlog_records = 0;
  bool trying = false;

  ~ProducerState() {
    for (Waiting& one : backlog) one.delivery->settle(one.delivery->records().size() - one.next + 1, false);
  }
};

void try_again_later(ProducerWorker::stateful_pointer<ProducerState> self) {
  if (self->state.trying) return;
  self->state.trying = true;
  self->delayed_send(self, retry_delay, TryAgain{});
}

void publish(ProducerWorker::stateful_pointer<ProducerState> self, const Publish& what) {
  auto& state = self->state;
  if (!what.outgoing || what.outgoing->empty()) {
    if (what.reply_to) caf::anon_send(what.reply_to, Published{what.epoch, what.sequence, true});
    return;
  }
  Delivery* delivery = Delivery::begin(what);
  std::size_t records = delivery->records().size(), next = 0;
  if (state.backlog.empty() && state.client->produce(delivery, next)) return;
  if (state.backlog_records + records - next > backlog_records_max) {
    delivery->settle(records - next + 1, false);
    return;
  }
  state.backlog.push_back({delivery, next});
  state.backlog_records += records - next;
  try_again_later(self);
}

void go_on(ProducerWorker::stateful_pointer<ProducerState> self) {
  auto& state = self->state;
  state.trying = false;
  while (!state.backlog.empty()) {
    auto& [delivery, next] = state.backlog.front();
    std::size_t before = next;
    bool done = state.client->produce(delivery, next);
    state.backlog_records -= next - before;
    if (!done) return try_again_later(self);
    state.backlog.pop_front();
  }
}

ProducerWorker::behavior_type producer_actor(ProducerWorker::stateful_pointer<ProducerState> self,
                                             std::shared_ptr<ProducerClient> client) {
  self->state.client = std::move(client);
  // Nothing that is sent here by mistake, and no stray error, ends the way into the log.
  self->set_error_handler([](caf::error&) {});
  self->set_default_handler([](caf::scheduled_actor* actor, caf::message_view&) -> caf::result<caf::message> {
    if (actor->current_message_id().is_request()) return caf::sec::unexpected_message;
    return caf::message{};
  });
  return {[self](const Publish& what) { publish(self, what); }, [self](TryAgain) { go_on(self); }};
}

}  // namespace

ProducerActor spawn_producer(caf::actor_system& system, std::shared_ptr<ProducerClient> client) {
  return caf::actor_cast<ProducerActor>(system.spawn(producer_actor, std::move(client)));
}

}  // namespace cartwright::kafka
