#include "app/node/role_host.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>

#include "actors/harden.hpp"

namespace cartwright::node {

using namespace std::chrono_literals;

void Directory::put(ShardId id, ShardActor shard) {
  std::lock_guard lock(mutex_);
  shards_[id] = std::move(shard);
}

void Directory::remove(ShardId id) {
  std::lock_guard lock(mutex_);
  shards_.erase(id);
}

ShardActor Directory::find(RoleId role, int partition) const {
  std::lock_guard lock(mutex_);
  auto it = shards_.find({role, partition});
  return it == shards_.end() ? ShardActor{} : it->second;
}

std::vector<std::pair<ShardId, ShardActor>> Directory::all() const {
  std::lock_guard lock(mutex_);
  return {shards_.begin(), shards_.end()};
}

namespace {

class RoleHost : public RoleHostActor::base {
 public:
  RoleHost(caf::actor_config& config, RoleHostDeps deps) : RoleHostActor::base(config), d_(std::move(deps)) {}
  const char* name() const override { return "role host"; }

 protected:
  behavior_type make_behavior() override {
    harden(this);
    set_down_handler([this](caf::down_msg& down) {
      auto it = running_.find(down.source.id());
      if (it == running_.end()) return;
      ShardId id = it->second;
      running_.erase(it);
      d_.fatal(to_string(id) + " ended: " + caf::to_string(down.reason));
    });
    return {[this](const Assigned& assigned) { on(assigned); }, [this](const Withdrawn& withdrawn) { on(withdrawn); }};
  }

 private:
  void on(const Assigned& assigned) {
    for (int partition : assigned.partitions) {
      ShardId id{d_.role, partition};
      if (d_.directory->find(id.role, partition)) continue;
      auto shard = spawn_shard(system(), d_.shard_deps(partition));
      monitor(shard);
      running_[shard->id()] = id;
      d_.directory->put(id, shard);
      caf::anon_send(shard, Begin{});
    }
  }

  void on(const Withdrawn& withdrawn) {
    auto left = std::make_shared<std::size_t>(0);
    auto finished = withdrawn.done;
    for (int partition : withdrawn.partitions) {
      ShardActor shard = d_.directory->find(d_.role, partition);
      if (!shard) continue;
      d_.directory->remove({d_.role, partition});
      running_.erase(shard->id());
      ++*left;
      auto one_less = [left, finished] {
        if (--*left == 0) finished();
      };
      request(shard, 3s, Revoke{}).then([one_less](const Revoked&) { one_less(); },
                                        [one_less, shard](const caf::error&) {
                                          // A turn that does not end, perhaps because the store is away: the fence
                                          // keeps it from the next owner's rows.
                                          caf::anon_send_exit(shard, caf::exit_reason::kill);
                                          one_less();
                                        });
    }
    if (*left == 0) finished();
  }

  RoleHostDeps d_;
  std::map<caf::actor_id, ShardId> running_;
};

}  // namespace

RoleHostActor spawn_role_host(caf::actor_system& system, RoleHostDeps deps) { return system.spawn<RoleHost>(std::move(deps)); }

}  // namespace cartwright::node
