#pragma once
// The door: where orders come in over HTTP. It gathers submissions while the store is busy and hands them in as one
// transaction, publishes order.placed once that is durable, and only then answers 202 (rules 1 to 3). The batch reader
// beside it turns NDJSON bodies into submissions, so that a large body does not hold up the single ones.

#include <caf/actor_system.hpp>
#include <caf/typed_actor.hpp>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "actors/handles.hpp"
#include "actors/settings.hpp"
#include "app/api/bounds.hpp"
#include "app/api/requests.hpp"
#include "bridges/http/server.hpp"

namespace cartwright {
class Codec;
}

namespace cartwright::api {

/// One order of a client, as the HTTP thread has read it. `key`: its Idempotency-Key, "" for none; `hash` goes with it.
struct Submit {
  Event event;
  std::string key, hash;
  http::Responder responder;
};

/// An order that is ready for the store, or a refused line of a batch (without a placement).
struct Draft {
  std::shared_ptr<Placement> placement;
  Outgoing placed;   // its order.placed
  std::string body;  // its 202, unless placement->answer has it
  Refusal refusal;
};

/// The lines of one batch.
struct SubmitDrafts {
  std::vector<Draft> drafts;
  http::Responder responder;
};

/// A batch as it came.
struct ReadBatch {
  std::string body, key, traceparent;
  http::Responder responder;
};

/// Takes submissions; answers their responders.
using DoorActor = caf::typed_actor<
    // One order.
    caf::reacts_to<Submit>,
    // The orders of one batch.
    caf::reacts_to<SubmitDrafts>>;

/// Takes batches apart and passes them to the door.
using BatchActor = caf::typed_actor<
    // A batch of which size and media type have been looked at.
    caf::reacts_to<ReadBatch>>;

/// What both need.
struct DoorDeps {
  Settings settings;
  StoreActor store;
  ProducerActor producer;
  std::shared_ptr<const Codec> codec;
  WallClock clock;
  std::uint64_t seed = 0;  // of the random bits of order ids; another one for each actor
  Patience patience;
};

/// Spawns the door. It ends by an exit message; whoever still waits is answered 500 by their responders.
[[nodiscard]] DoorActor spawn_door(caf::actor_system& system, DoorDeps deps);
/// Spawns the batch reader before `door`.
[[nodiscard]] BatchActor spawn_batch_reader(caf::actor_system& system, DoorDeps deps, DoorActor door);

}  // namespace cartwright::api

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::Submit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::SubmitDrafts)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::ReadBatch)
