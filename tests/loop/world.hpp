#pragma once
// The world in which the simulation runs the production shards, order actors and rules: a log, stores, ports and a clock
// that one seed makes duplicate, reorder, delay, fail before, do and then fail, and crash. One thread; everything that is
// chosen is chosen by the seed.

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "actors/shard.hpp"
#include "bridges/json/codec.hpp"

namespace cartwright::loop {

/// An invariant broke. The test prints it with the seed.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Entry {
  std::optional<std::string> key, value;
  std::vector<Header> headers;
  Millis timestamp = 0;
};

/// One role's database. Survives every crash.
struct StoreState {
  struct Shard {
    Epoch epoch = 0, turn_epoch = 0;
    std::uint64_t turn = 0;
    Positions positions;
    Sequence sequence = 0, published = 0;
    std::int64_t losses_seen = 0;
    std::map<Sequence, std::pair<Millis, std::shared_ptr<const std::vector<Outgoing>>>> outbox;
  };
  struct Stored {
    Row row;
    int partition = 0;
  };
  std::map<int, Shard> shards;
  std::map<std::string, Stored> rows;
  std::map<std::string, std::vector<Transition>> history;
  std::map<std::string, std::pair<int, Quarantine>> quarantines;  // with their partition
  std::map<std::string, std::vector<std::shared_ptr<const Record>>> parked;
  std::vector<DeadLetter> dead;
  std::map<std::string, StockDelta> products;  // totals of the ledger
  std::int64_t losses = 0;
};

/// The stock script's data (design.md rule 7).
struct StockState {
  struct Product {
    std::int64_t available = 0, reserved = 0, sold = 0, stocked = 0;
  };
  std::map<std::string, Product> products;
  std::map<std::string, std::pair<std::string, std::vector<Line>>> orders;  // state, held lines
};

/// The gateway's own ledger.
struct GatewayState {
  struct Key {
    Answer answer = Answer::unknown;
    std::string txn;
    int asked = 0;
  };
  std::map<std::string, Key> keys;
  std::map<std::string, std::int64_t> net;        // by order
  std::map<std::string, int> charges;             // by order
};

struct Faults {
  double act_lost = 0.05, answer_lost = 0.05, act_twice = 0.05, commit_fails = 0.03, commit_unknown = 0.03,
         publish_fails = 0.03, publish_half = 0.03, handler_throws = 0.003;
};

/// How often each fault struck, so that a run can say what it covered.
using Hits = std::map<std::string, std::uint64_t>;

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Places orders, makes faults, heals, and checks. Throws Violation.
  void run();
  [[nodiscard]] const Hits& hits() const { return hits_; }
  /// Everything the logs, stores and histories hold about the orders that `text` names, for the report of a violation.
  [[nodiscard]] std::string timeline(const std::string& text) const;

  // what the stand-ins use
  bool chance(double p) { return faulty_ && std::uniform_real_distribution<>(0, 1)(random_) < p; }
  int pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }
  void hit(const std::string& what) { ++hits_[what]; }
  [[nodiscard]] const std::vector<Entry>& partition(Topic topic, int partition);
  void append(const Outgoing& record);
  void append(const std::string& topic, int partition, Entry entry);
  [[nodiscard]] Millis now();
  [[nodiscard]] const Settings& settings() const { return settings_; }
  [[nodiscard]] const std::map<std::string, std::vector<std::vector<Entry>>>& log() const { return log_; }
  [[nodiscard]] const Codec& codec() const { return *codec_; }
  void broke(const std::string& what) { if (broken_.empty()) broken_ = what; }
  std::map<RoleId, StoreState> stores;
  StockState stock;
  GatewayState gateway;
  Faults faults;

 private:
  struct Plan {
    OrderId id;
    std::vector<Line> lines;
    std::string token;
    bool door = false, placed = false;
  };
  class SimIntake;

  void spawn(ShardId id);
  void crash(ShardId id, bool zombie);
  void place(Plan& plan);
  void step();
  bool run_job();
  bool deliver();
  void settle();
  void advance(Millis by);
  void check_end();
  [[nodiscard]] bool quiet();

  std::mt19937_64 random_;
  bool faulty_ = true;
  std::string broken_;
  Hits hits_;
  Settings settings_;
  std::shared_ptr<const json::JsonCodec> codec_;
  TopicNames names_;
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  caf::scheduler::test_coordinator* scheduler_ = nullptr;
  std::map<std::string, std::vector<std::vector<Entry>>> log_;
  std::map<RoleId, std::shared_ptr<SimIntake>> intakes_;
  std::map<RoleId, StoreActor> store_actors_;
  std::map<RoleId, PortActor> ports_;
  ProducerActor producer_;
  std::map<ShardId, ShardActor> shards_;
  std::vector<ShardActor> zombies_;
  std::vector<Plan> plans_;
  std::vector<std::pair<std::string, std::string>> cancels_;  // order, how
};

StoreActor spawn_memory_store(caf::actor_system& system, World& world, RoleId role);
PortActor spawn_port(caf::actor_system& system, World& world, RoleId role);
ProducerActor spawn_log_producer(caf::actor_system& system, World& world);

}  // namespace cartwright::loop
