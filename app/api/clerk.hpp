#pragma once
// The clerk: everything about orders that are there already. Questions go to the readers of the stores; a cancellation
// or retry goes to the shard that owns the order, or into the log when that shard is on another node. Open event
// streams are the watch's (watch.hpp).

#include <caf/actor_system.hpp>
#include <caf/typed_actor.hpp>

#include <functional>
#include <memory>
#include <string>

#include "actors/handles.hpp"
#include "actors/settings.hpp"
#include "app/api/bounds.hpp"
#include "app/api/charges.hpp"
#include "bridges/http/server.hpp"

namespace cartwright {
class Codec;
}

namespace cartwright::api {

/// What a client asks about orders.
struct Ask {
  enum class What : std::uint8_t { order, history, notifications, charges, list, parked, cancel, retry, actors, report };
  What what = What::order;
  OrderId order;
  std::string if_none_match;  // of order
  ListRows list;              // of list and parked; its limit is the page's size, its `before` the last key of the page before
  http::Responder responder;
  RoleId role = RoleId::payment;             // of report: whose port has something to tell
  std::shared_ptr<const Outcome> outcome{};  // of report
};

/// Answers the responders of questions.
using ClerkActor = caf::typed_actor<
    // One question, or one command.
    caf::reacts_to<Ask>>;

/// What the clerk needs. Handles of roles that do not run here are null.
struct ClerkDeps {
  Settings settings;
  RoleSet roles = 0;
  ReaderActor orders, notices;
  ProducerActor producer;
  ChargesActor charges;
  std::shared_ptr<const Codec> codec;
  WallClock clock;
  std::function<ShardActor(RoleId, int)> owner;
  Patience patience;
};

/// Spawns the clerk. It ends when nobody knows it any more, or by an exit message.
[[nodiscard]] ClerkActor spawn_clerk(caf::actor_system& system, ClerkDeps deps);

}  // namespace cartwright::api

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::Ask)
