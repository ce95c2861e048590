#pragma once
// The inventory role's port: an actor with a thread of its own that owns the connection to Redis, carries out acts in
// pipelined batches, and lets through only answers of the instance that the ledger has verified (the gate, rule 8). It
// decides nothing: what an answer means is inventory's affair, what Redis shall hold is the ledger's.

#include <caf/actor_system.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "actors/handles.hpp"
#include "bridges/redis/connection.hpp"
#include "bridges/redis/rebuild.hpp"

namespace cartwright::redis {

/// The numbers of these products.
struct ReadStock {
  std::vector<ProductId> products;
};

/// A product's counts at one instant; available + reserved + sold == stocked.
struct StockCounts {
  ProductId product;
  std::int64_t available = 0, reserved = 0, sold = 0, stocked = 0;
  friend bool operator==(const StockCounts&, const StockCounts&) = default;
};

/// ok: false while no instance is verified; never numbers of a stranger. Products that Redis does not know are left
/// out.
struct StockPage {
  bool ok = false;
  std::vector<StockCounts> counts;
};

/// A change by hand. `delta` is added to what is available; price and currency count when `version` is newer.
struct ChangeHand {
  std::string id;
  ProductId product;
  std::int64_t delta = 0, price_minor = 0;
  std::string currency;
  std::int64_t version = 0;
};

/// unknown: ask again with the same id. refused: available would fall below 0.
enum class HandAnswer : std::uint8_t { applied, refused, unknown };

/// What became of a change by hand, and the instance that said so.
struct HandSaid {
  std::string id;
  HandAnswer answer = HandAnswer::unknown;
  StockIdentity identity;
};

/// A partition of the inventory role has a new owner: calls under an older epoch are fenced from now on (rule 9).
struct Announce {
  int partition = 0;
  Epoch epoch = 0;
};

/// Whether stock can be reserved just now.
struct StockHealth {};

/// The stock port.
using StockActor = PortActor::extend<
    // The counts of products.
    caf::replies_to<ReadStock>::with<StockPage>,
    // Applies a change by hand, once per id.
    caf::replies_to<ChangeHand>::with<HandSaid>,
    // Tells Redis an epoch; again whenever the gate opens.
    caf::reacts_to<Announce>,
    // Done: the gate is open and Redis accepts writes; else why not.
    caf::replies_to<StockHealth>::with<Done>>;

/// What the port needs. The functions are called on the actor's thread.
struct StockOptions {
  std::string url;                                               // redis:// or unix://
  std::string prefix;                                            // the group prefix; keys are {prefix}:...
  StoreActor ledger;                                             // inventory's store
  std::function<HeldLines(const std::string& doc)> held_of;      // reads a row's doc; may throw
  std::function<void()> on_open;                                 // the gate has opened; may be empty
  WallClock clock;                                               // the one of the shards
  Timeouts timeouts;                                             // of the connection
  std::chrono::milliseconds look_interval{1000};                 // an idle instance is looked at so often
};

/// Starts the port. It reconnects for ever and ends by an exit message only. Throws std::invalid_argument when
/// `options.url` is no URL of a Redis.
[[nodiscard]] StockActor spawn_stock(caf::actor_system& system, StockOptions options);

}  // namespace cartwright::redis

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::redis::ReadStock)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::redis::StockPage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::redis::ChangeHand)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::redis::HandSaid)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::redis::Announce)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::redis::StockHealth)
