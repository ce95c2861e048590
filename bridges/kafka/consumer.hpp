#pragma once
// The way out of the log: one consumer per role, on a thread of its own that does everything with the client. It joins
// the role's group, tells which shards were assigned, delivers records from where the shards say, and keeps their flow
// bounded. What a shard has digested is known by the store; what is committed to the broker is a copy (design.md
// section 2).

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "actors/codec.hpp"
#include "actors/handles.hpp"
#include "bridges/kafka/client.hpp"

namespace cartwright::kafka {

/// Called on the consumer's thread; none may wait for the consumer.
struct ConsumerCallbacks {
  /// After every rebalance: the partitions of which every topic of the role was assigned, perhaps none. Each is to be
  /// taken at the store and begun with Intake::start; until then nothing of it is delivered.
  std::function<void(std::vector<int> partitions)> assigned;
  /// Before partitions go to somebody else: finish and call `done`, on any thread. After 3 s nobody waits any longer.
  std::function<void(std::vector<int> partitions, std::function<void()> done)> revoked;
  /// What is wrong and tried again for ever; rate-limited.
  std::function<void(std::string what)> trouble;
};

/// How a consumer fetches.
struct ConsumerOptions {
  bool lazy = false;  // fetch in large pieces, up to 100 ms late: for the role that no order waits for
  // How long the broker keeps a fetch for which it has nothing. A Kafka answers as soon as something comes; the mock
  // cluster (TopicsResult::stand_in) only afterwards, so there it is the latency of every hop.
  std::chrono::milliseconds fetch_wait{250};
};

/// For metrics; any thread reads.
struct ConsumerCounters {
  std::atomic<std::uint64_t> records{0}, bytes{0};      // delivered; bytes of keys and values
  std::atomic<std::uint64_t> rebalances{0}, pauses{0};  // assignments got; shards paused
  std::atomic<std::uint64_t> commits{0}, commit_failures{0};
  std::atomic<std::uint64_t> logs_lost{0};  // topics of shards whose log ended before what was read
  std::atomic<std::uint64_t> renewals{0};   // clients given up: fatal, or no assignment for a minute
};

class ConsumerWorker;

/// One role's consumer. All of Intake may be called from any thread.
///
/// Every record of a Batch counts as in flight until `consumed`, also the one before a position. `start` on a running
/// shard begins anew from the positions; batches sent before may still be in the shard's mailbox, with the earlier
/// epoch.
class RoleConsumer final : public Intake {
 public:
  /// Starts the thread and joins the group as soon as a broker answers. Throws Failure for settings that librdkafka
  /// refuses. `codec` and the callbacks are used until close() has returned.
  RoleConsumer(ClientOptions options, RoleId role, TopicNames names, std::shared_ptr<const Codec> codec,
               ConsumerCallbacks callbacks, ConsumerOptions tuning = {});
  ~RoleConsumer() override;
  RoleConsumer(const RoleConsumer&) = delete;
  RoleConsumer& operator=(const RoleConsumer&) = delete;

  void start(ShardId shard, Epoch epoch, const Positions& from, ShardActor to) override;
  void consumed(ShardId shard, std::size_t records) override;
  void committed(ShardId shard, const Positions& next) override;
  void ask_ends(ShardId shard, ShardActor to) override;

  /// Hands everything back (`revoked` is called), commits, leaves the group. Blocks; false when that was not done
  /// within 8 s: then the thread is left behind and the process should end. Idempotent; also done by the destructor.
  bool close();

  /// The group is joined and has said which partitions are ours, perhaps none. Any thread.
  [[nodiscard]] bool settled() const;
  /// The partitions of the last `assigned` that were not revoked since. Any thread.
  [[nodiscard]] std::vector<int> owned() const;
  /// Records between what was delivered and the end of the log, over all started shards; about a second old. Any
  /// thread.
  [[nodiscard]] std::map<Topic, std::int64_t> lag() const;
  [[nodiscard]] const ConsumerCounters& counters() const;

 private:
  std::shared_ptr<ConsumerWorker> worker_;  // shared with the thread, which may have to be left behind
  std::mutex close_mutex_;
  std::thread thread_;
  bool ended_well_ = true;
};

}  // namespace cartwright::kafka
