#pragma once
// The simulated carrier: books every parcel at once.

#include <caf/fwd.hpp>

#include "actors/handles.hpp"

namespace cartwright::simulated {

/// The tracking number of an order: always the same one, and no other order's (128 bits of two independent hashes).
[[nodiscard]] TrackingId tracking_of(const OrderId& order);

/// Answers every `book` with done and the tracking number.
[[nodiscard]] PortActor spawn_carrier(caf::actor_system& system);

}  // namespace cartwright::simulated
