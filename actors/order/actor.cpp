#include "actors/order/actor.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/harden.hpp"

namespace cartwright::order {
namespace {

class OrderBehaviour : public OrderActor::base {
 public:
  OrderBehaviour(caf::actor_config& config, ShardActor shard, OrderDeps deps)
      : OrderActor::base(config), deps_(std::move(deps)), shard_(caf::actor_cast<caf::weak_actor_ptr>(shard)) {}

  const char* name() const override { return "order"; }

 protected:
  behavior_type make_behavior() override {
    harden(this);
    entity_ = deps_.role->load(deps_.key, deps_.row ? &*deps_.row : nullptr);
    deps_.row.reset();
    return {[this](Deliver& deliver) { on(deliver); }};
  }

 private:
  void on(Deliver& deliver) {
    Decided decided{deliver.turn, deps_.key, {}};
    Change& change = decided.change;
    for (const Input& input : deliver.inputs) {
      if (!change.park.empty()) {  // set aside: what follows waits behind it
        if (const auto* record = std::get_if<std::shared_ptr<const Record>>(&input)) change.parked.push_back(*record);
        continue;
      }
      if (deps_.probe) deps_.probe(deps_.key, input);
      entity_->digest(input, deliver.now, change);
    }
    if (change.changed) entity_->describe(change.row.emplace());
    auto shard = caf::actor_cast<ShardActor>(shard_.lock());
    if (shard) caf::anon_send(shard, std::move(decided));
  }

  OrderDeps deps_;
  caf::weak_actor_ptr shard_;  // weak: an order must not keep its supervisor alive
  std::unique_ptr<Entity> entity_;
};

}  // namespace

OrderActor spawn_order(caf::actor_system& system, const ShardActor& shard, OrderDeps deps) {
  return system.spawn<OrderBehaviour, caf::lazy_init>(shard, std::move(deps));
}

}  // namespace cartwright::order
