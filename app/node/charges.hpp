#pragma once
// The API's question about charges, put to the simulated gateway.

#include <caf/fwd.hpp>

#include "app/api/charges.hpp"
#include "bridges/simulated/gateway.hpp"

namespace cartwright::node {

/// An actor that passes questions on to `gateway` and waits at most 5 s for the answer.
[[nodiscard]] api::ChargesActor spawn_charges(caf::actor_system& system, simulated::GatewayActor gateway);

}  // namespace cartwright::node
