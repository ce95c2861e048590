#pragma once
// The actor that every order is. It decides; its shard, which supervises it, makes durable and acts.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "actors/handles.hpp"
#include "actors/role.hpp"

namespace cartwright::order {

/// What an order's actor is given.
struct OrderDeps {
  std::string key;
  std::optional<Row> row;      // as stored; nothing: an order nobody has heard of
  std::shared_ptr<const Role> role;
  std::function<void(const std::string& key, const Input&)> probe;  // tests: may throw, as a bug would
};

/// Spawns the actor of one order. It ends, by exception, on a broken invariant: its supervisor hears of it by its exit.
OrderActor spawn_order(caf::actor_system& system, const ShardActor& shard, OrderDeps deps);

}  // namespace cartwright::order
