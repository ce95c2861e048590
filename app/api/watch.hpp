#pragma once
// The watch: open streams of server-sent events. One sweep looks after all of them, asking the store once for each
// order however many clients follow it; a change that came and went between two sweeps is told from the history.

#include <caf/actor_system.hpp>
#include <caf/typed_actor.hpp>

#include <memory>
#include <string>

#include "actors/handles.hpp"
#include "bridges/http/server.hpp"

namespace cartwright {
class Codec;
}

namespace cartwright::api {

/// A client wants to follow an order. `last_event_id`: of a client that comes back.
struct Follow {
  OrderId order;
  std::string last_event_id;
  http::Responder responder;
};

/// Serves GET /v1/orders/{id}/events.
using WatchActor = caf::typed_actor<
    // One more stream.
    caf::reacts_to<Follow>>;

/// Spawns the watch. It ends by an exit message; its streams end with it.
[[nodiscard]] WatchActor spawn_watch(caf::actor_system& system, ReaderActor orders, std::shared_ptr<const Codec> codec);

}  // namespace cartwright::api

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::Follow)
