#pragma once
// Bugs, and rules taken away, that are decorated around a role: its entities decide as in production, and then something
// is done that must not be done.

#include <memory>

#include "actors/role.hpp"
#include "tests/loop/world.hpp"

namespace cartwright::loop {

/// `role` with what the world has switched on, and with a count of every (state, event) pair of the order.
[[nodiscard]] std::shared_ptr<const Role> seeded(World& world, ShardId shard, int node, std::shared_ptr<const Role> role);

}  // namespace cartwright::loop
