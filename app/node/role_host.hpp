#pragma once
// Where a role lives on this node: starts a shard for every partition the group assigns, ends it when it is taken away,
// and tells who owns what.

#include <caf/typed_actor.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "actors/shard.hpp"

namespace cartwright::node {

/// The shards of this node. Any thread. Holds the strong handles that keep them alive.
class Directory {
 public:
  void put(ShardId id, ShardActor shard);
  void remove(ShardId id);
  /// The shard, or a null handle.
  [[nodiscard]] ShardActor find(RoleId role, int partition) const;
  [[nodiscard]] std::vector<std::pair<ShardId, ShardActor>> all() const;

 private:
  mutable std::mutex mutex_;
  std::map<ShardId, ShardActor> shards_;
};

struct Assigned { std::vector<int> partitions; };
struct Withdrawn { std::vector<int> partitions; std::function<void()> done; };

using RoleHostActor = caf::typed_actor<
    // The group's assignment after a rebalance: shards that do not run yet are started.
    caf::reacts_to<Assigned>,
    // Partitions go to somebody else: their shards finish and end; then `done` is called.
    caf::reacts_to<Withdrawn>>;

struct RoleHostDeps {
  RoleId role = RoleId::order;
  std::function<ShardDeps(int partition)> shard_deps;
  std::shared_ptr<Directory> directory;
  std::function<void(const std::string& why)> fatal;  // a shard ended by itself: the process has to end (rule 11)
};

[[nodiscard]] RoleHostActor spawn_role_host(caf::actor_system& system, RoleHostDeps deps);

}  // namespace cartwright::node

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::node::Assigned)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::node::Withdrawn)
