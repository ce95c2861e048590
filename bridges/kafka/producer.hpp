#pragma once
// The way into the log: one client for all roles of the process (every client multiplies requests), and the actor that
// the shards tell what to publish. The partition is computed here, never by librdkafka: contract.md, "Shard".

#include <caf/fwd.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "actors/handles.hpp"
#include "bridges/kafka/client.hpp"

namespace cartwright::kafka {

struct ProducerOptions {
  std::chrono::milliseconds linger{1};  // how long a batch waits for more; batches grow by themselves under load
  std::function<void(std::string what)> trouble;  // rate-limited; the producer's thread
  /// A record is in the log; called on the producer's thread. Empty: nobody wants to know.
  std::function<void(std::string_view topic, std::int32_t partition, std::int64_t offset, std::string_view key)>
      delivered;
};

/// For metrics; any thread reads.
struct ProducerCounters {
  std::atomic<std::uint64_t> records{0};   // in the log
  std::atomic<std::uint64_t> bytes{0};     // of their keys and values
  std::atomic<std::uint64_t> failures{0};  // records of which nobody knows whether they are in the log
  std::atomic<std::uint64_t> full{0};      // times that the queue was full
  std::atomic<std::uint64_t> renewals{0};  // clients given up after a fatal error
};

/// A Publish on its way. Counts its records down; the last one answers the shard and ends the object.
class Delivery {
 public:
  /// Owns itself: gone once every record and the sender itself have been settled.
  [[nodiscard]] static Delivery* begin(Publish publish) { return new Delivery(std::move(publish)); }
  [[nodiscard]] const std::vector<Outgoing>& records() const { return *publish_.outgoing; }
  /// `count` records are in the log, or are not known to be. Any thread; the object may be gone afterwards.
  void settle(std::size_t count, bool ok);

 private:
  explicit Delivery(Publish publish) : publish_(std::move(publish)), left_(publish_.outgoing->size() + 1) {}

  Publish publish_;
  std::atomic<std::size_t> left_;  // one more than records: the sender's own
  std::atomic<bool> failed_{false};
};

/// The client and the thread that serves its delivery reports. Idempotent, acks=all. After a fatal error (librdkafka
/// 2.0.2 cannot go on after a desynchronised sequence) everything under way is reported as failed and a new client
/// takes over; the shards publish again what they were not told to be in the log.
class ProducerClient final : public Listener {
 public:
  /// Starts at once and does not wait for a broker. Throws Failure for settings that librdkafka refuses.
  ProducerClient(ClientOptions options, const TopicNames& names, int partitions, ProducerOptions tuning = {});
  ~ProducerClient() override;
  ProducerClient(const ProducerClient&) = delete;
  ProducerClient& operator=(const ProducerClient&) = delete;

  /// Hands over the records of `delivery` from `next` on, in order, and moves `next`. False: try again a little later,
  /// the queue is full. When it returns true the sender's own share is settled and `delivery` may be gone. One thread.
  [[nodiscard]] bool produce(Delivery* delivery, std::size_t& next);

  /// Takes nothing more, waits up to `deadline` until everything is in the log, reports the rest as failed. Idempotent.
  void close(std::chrono::milliseconds deadline);

  /// True once the topics' metadata is here: from then on no record waits for it. Any thread.
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] const ProducerCounters& counters() const { return counters_; }

 private:
  void on_error(rd_kafka_resp_err_t code, std::string_view reason) override;
  void on_log(int level, std::string_view text) override;
  void on_delivery(const rd_kafka_message_t& message) override;

  void open();
  void run();
  void renew();
  void drain(std::chrono::milliseconds longest);
  [[nodiscard]] rd_kafka_topic_t* handle_of(const std::string& topic);
  [[nodiscard]] rd_kafka_resp_err_t put(const Outgoing& record, Delivery* delivery);
  void report(const std::string& what);

  ClientOptions options_;
  ProducerOptions tuning_;
  std::vector<std::string> topics_;
  int partitions_;
  ProducerCounters counters_;
  std::mutex report_mutex_;
  RateLimit reports_{std::chrono::seconds(30)};

  std::mutex mutex_;  // of client_ and handles_; the poll thread alone replaces them
  Client client_;
  std::unordered_map<std::string, TopicHandle> handles_;
  std::atomic<bool> ready_{false}, fatal_{false}, closing_{false}, stop_{false}, closed_{false};
  std::thread thread_;
};

/// The actor that the shards publish through. What the client does not take at once waits in it, in order and bounded;
/// beyond the bound a Publish is answered ok=false. Keeps `client` alive; ends with its last handle.
[[nodiscard]] ProducerActor spawn_producer(caf::actor_system& system, std::shared_ptr<ProducerClient> client);

}  // namespace cartwright::kafka
