#pragma once
// Where a test may put itself between the parts of a node.

#include <caf/fwd.hpp>

#include <functional>

#include "actors/handles.hpp"

namespace cartwright::node {

/// What stands between the parts, by what is put in its place: each function gets a part and returns what the others shall
/// use instead. Empty functions, as in the program itself, leave everything as it is: there is nothing in between. Called
/// once a part, by the thread that composes.
struct Wiring {
  std::function<StoreActor(caf::actor_system&, RoleId, StoreActor)> store;
  std::function<PortActor(caf::actor_system&, RoleId, PortActor)> port;  // as the shards of the role see it
  std::function<ProducerActor(caf::actor_system&, ProducerActor)> producer;
};

}  // namespace cartwright::node
