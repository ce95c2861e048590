#pragma once
// A stand-in for Redis and for the gate before it: the script's answers, and who is let through (design.md rules 7 to 9).

#include <optional>
#include <string>
#include <vector>

#include "tests/loop/world.hpp"

namespace cartwright::loop {

/// One node's connection to Redis. Survives no crash of its node; the world makes another then.
class StockPort {
 public:
  StockPort(World& world, int node) : world_(world), node_(node) {}
  void spawn(caf::actor_system& system, std::shared_ptr<StockPort> self);

  [[nodiscard]] bool open() const { return open_; }
  [[nodiscard]] const PortActor& actor() const { return actor_; }
  void announce(int partition, Epoch epoch);
  /// An act at Redis, if the gate is open; nothing: nobody knows what became of it.
  std::optional<Outcome> ask(const Act& act, ShardId shard, Epoch epoch);
  /// The pair that a call carries.
  [[nodiscard]] StockIdentity pair() const { return {"run-" + std::to_string(run_), generation_}; }
  /// A change by hand: whether it was applied, and by whom; nothing: unknown.
  std::optional<std::pair<bool, StockIdentity>> change(const std::string& id, const ProductId& product, std::int64_t delta);
  void end() { actor_ = nullptr; }

 private:
  friend struct StockPortActor;
  [[nodiscard]] bool connected();
  bool fill(const LedgerSnapshot& ledger);

  World& world_;
  int node_;
  PortActor actor_;
  bool open_ = false, asking_ = false;
  int run_ = 0;                     // of the connection
  std::int64_t generation_ = 0;     // the verified one
  StockIdentity seen_;              // the pair that was verified last, and when
  Millis seen_at_ = 0;
  std::map<int, Epoch> epochs_;
  std::vector<Acts> waiting_;
};

}  // namespace cartwright::loop
