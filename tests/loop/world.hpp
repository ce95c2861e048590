#pragma once
// The world in which the simulation runs the production shards, order actors and rules: a log, stores, Redis, a gateway,
// foreign programs and a clock that one seed makes duplicate, reorder, delay, fail before, do and then fail, crash, roll
// back and forget. One thread; everything that is chosen is chosen by the seed.
//
//   log.*      the broker              store.cpp    the databases         stock.*    Redis and the gate before it
//   outside.*  gateway and carrier     foreign.*    other people's roles  seeded.*   bugs, on purpose
//   world.cpp  nodes, users, faults    checks.cpp   what must hold        story.cpp  what is told of a violation

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "actors/shard.hpp"
#include "bridges/json/codec.hpp"
#include "tests/loop/log.hpp"
#include "tests/loop/state.hpp"
#include "tests/loop/switches.hpp"

namespace cartwright::loop {

/// An invariant broke. What is thrown names the order it is about, where it is about one.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  std::uint64_t seed = 1;
  Switch with = Switch::none;
  bool faults = true;       // false: nothing goes wrong by itself; tests make what they need
  bool order_checks = true; // false: who wrote what before what is not looked at, only what comes of it
  bool story = false;       // says on stderr what happens
};

/// How likely a step of a stand-in goes wrong.
struct Faults {
  double act_lost = 0.04, answer_lost = 0.04, act_twice = 0.04, act_late = 0.05, commit_fails = 0.02, commit_unknown = 0.02,
         store_silent = 0.004, take_fails = 0.05, load_fails = 0.02, publish_fails = 0.02, publish_half = 0.02, handler_throws = 0.002;
};

/// How often each fault, pair and rule was met, so that a run can say what it covered.
using Hits = std::map<std::string, std::uint64_t, std::less<>>;

class StockPort;
class Foreign;

/// What a user, or somebody else's program, wants of us.
struct Plan {
  OrderId id;
  std::vector<Line> lines;
  std::string token;
  bool door = false, placed = false, accepted = false, told_cancelled = false;
};

class World {
 public:
  explicit World(Options options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Places orders, makes faults, heals, and checks. Throws Violation.
  void run();
  [[nodiscard]] const Hits& hits() const { return hits_; }
  /// Everything that happened to the orders that `text` names, for the report of a violation.
  [[nodiscard]] std::string timeline(const std::string& text) const;
  [[nodiscard]] std::string fault_window() const;

  // -- what the stand-ins use --
  bool chance(double p) { return faulty_ && std::uniform_real_distribution<>(0, 1)(random_) < p; }
  bool toss(double p) { return std::uniform_real_distribution<>(0, 1)(random_) < p; }
  int pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }
  void hit(std::string_view what);
  /// A fault that the seed chose: counted, and its step remembered.
  void fault(std::string_view what);
  void say(const std::string& what) const;
  [[nodiscard]] bool with(Switch what) const { return options_.with == what; }
  [[nodiscard]] bool faulty() const { return faulty_; }
  [[nodiscard]] Millis now();
  [[nodiscard]] const Settings& settings() const { return settings_; }
  [[nodiscard]] bool foreign(RoleId role) const { return contains(settings_.foreign, role); }
  [[nodiscard]] const Codec& codec() const { return *codec_; }
  [[nodiscard]] const Options& options() const { return options_; }
  void append(const Outgoing& record) { log.append(record, now()); }
  /// As some other client would: in any partition.
  void append_misplaced(const Outgoing& record);
  void broke(const std::string& what);
  /// Publishes what a role decided, and checks that it was decided durably.
  void publish(const Outgoing& record);
  /// Carries out one act at its port, once; nothing: the port does not answer.
  std::optional<Outcome> execute(RoleId role, int node, const Act& act, ShardId shard, Epoch epoch);
  /// Keeps an act for later, as a buffer on the way would.
  void later(std::function<void()> act) { late_.push_back(std::move(act)); }
  /// Rule 2: the store knows the decision that `act` carries out.
  void check_durable(RoleId role, const Act& act);
  void check_stock();
  [[nodiscard]] StockPort& stock_port(int node) { return *stock_ports_[static_cast<std::size_t>(node)]; }
  [[nodiscard]] StoreActor store_actor(RoleId role) const { return store_actors_.at(role); }
  [[nodiscard]] const std::deque<Plan>& plans() const { return plans_; }
  [[nodiscard]] bool log_was_lost() const { return lost_; }
  void count_pair(const std::string& state, std::string_view event);

  // -- what scripted tests use --
  Plan& plan(std::vector<Line> lines, const std::string& token = "tok_ok", bool door = true);
  void place(Plan& plan);
  /// Every shard is revoked, and has ended before its next owner takes it.
  void restart_cleanly();
  void crash_node(int node);
  enum class Fate { revoked, killed, zombie };
  void rebalance(RoleId role, std::optional<Fate> fate = {});
  void lose_log(std::optional<Topic> topic = {});
  void redis_restart(bool empty);
  void flush_redis();
  void cancel_by_command(Plan& plan);
  void retry_by_command(Plan& plan);
  /// Runs everybody, time passing, until `done` or for `rounds` of about 110 ms; returns whether it is done.
  bool run_until(const std::function<bool()>& done, int rounds = 2'000);
  void advance(Millis by);
  void heal();
  void settle();
  void check_end();
  [[nodiscard]] std::string status(const OrderId& order);
  [[nodiscard]] ShardActor shard(ShardId id) { return shards_.at(id).actor; }
  [[nodiscard]] ShardView view(ShardId id);
  bool run_job();
  bool deliver();
  void quietly() { faulty_ = false; }
  void store_away(RoleId role, bool away) {
    if (away) away_.insert(role);
    else away_.erase(role);
  }
  [[nodiscard]] bool is_away(RoleId role) const { return away_.contains(role); }
  void make_ill(const OrderId& order, bool ill) {
    if (ill) ill_.insert(order.value);
    else ill_.erase(order.value);
  }
  void poison_process(const OrderId& order) { killers_.insert(order.value); }

  std::map<RoleId, StoreState> stores;
  RedisState redis;
  std::vector<RedisState> images;  // older states of Redis, to come back from
  Book gateway, foreign_book;
  Faults faults;
  Log log;
  std::map<std::string, std::string> tracking;  // the carrier's book

 private:
  class SimIntake;
  struct Running {
    ShardActor actor;
    int node = 0;
  };
  struct HandPlan {
    std::string id;
    ProductId product;
    std::int64_t delta = 0;
    int phase = 0;  // 0: not opened, 1: Redis is to be asked, 2: done
    std::vector<std::pair<bool, StockIdentity>> said;
  };
  struct Zombie {
    ShardActor actor;
    ShardId id;
    int node = 0;
    bool frozen = true;
  };

  void spawn(ShardId id, int node);
  void retire(ShardId id, Fate fate);
  void check_deaths();
  void step();
  void move_hand();
  void make_fault();
  void place_at_door(Plan& plan);
  void write_stray();
  void write_untimely(const Plan& plan);
  /// Why the world is not at rest; empty: it is.
  [[nodiscard]] std::string unrest();
  [[nodiscard]] std::string unpublished();
  [[nodiscard]] bool hopeless(const order::Order& order) const;
  void check_order(const Plan& plan, std::map<std::string, std::int64_t>& sold);
  void check_stock_at_end(const std::map<std::string, std::int64_t>& sold);
  [[nodiscard]] std::string who_differs();
  void check_records_at_end();
  void check_notices(const Plan& plan, const order::Order& order);

  Options options_;
  std::mt19937_64 random_;
  bool faulty_ = true, lost_ = false;
  int step_ = 0, first_fault_ = -1, last_fault_ = -1, faults_made_ = 0, faults_wanted_ = 0;
  std::string broken_;
  Hits hits_;
  std::vector<std::pair<int, std::string>> told_faults_;
  Settings settings_;
  TopicNames names_;
  std::shared_ptr<const json::JsonCodec> codec_;
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  caf::scheduler::test_coordinator* scheduler_ = nullptr;
  std::map<RoleId, std::shared_ptr<SimIntake>> intakes_;
  std::map<RoleId, StoreActor> store_actors_;
  std::map<RoleId, PortActor> ports_;
  std::vector<std::shared_ptr<StockPort>> stock_ports_;  // one a node
  std::vector<std::unique_ptr<Foreign>> programs_;
  ProducerActor producer_;
  std::map<ShardId, Running> shards_;
  std::set<ShardId> unowned_;
  std::vector<Zombie> zombies_;
  std::vector<ShardActor> ever_spawned_;
  std::set<caf::actor_id> frozen_;
  std::set<RoleId> away_;
  std::deque<std::function<void()>> late_;
  std::deque<Plan> plans_;  // not moved: tests hold references
  std::vector<HandPlan> hands_;
  std::set<std::string> ill_;         // orders whose actor dies of every input
  std::set<std::string> killers_;     // orders whose records end the process of inventory
  std::map<std::string, std::uint64_t> by_ce_id_;  // topic and ce_id of what we wrote: its bytes
  std::map<std::string, std::string> question_ids_;  // topic and order of a question: its ce_id
  std::set<std::string> cancelled_;   // orders whose cancel was answered by 202
  int nodes_ = 1;
};

StoreActor spawn_memory_store(caf::actor_system& system, World& world, RoleId role);
PortActor spawn_port(caf::actor_system& system, World& world, RoleId role);
ProducerActor spawn_log_producer(caf::actor_system& system, World& world);

}  // namespace cartwright::loop
