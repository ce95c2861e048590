#pragma once
// The question of the HTTP API to the simulated gateway's ledger, which only the composition knows.

#include <caf/typed_actor.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "actors/ids.hpp"

namespace cartwright::api {

/// What the gateway has booked for one order.
struct FindCharges {
  OrderId order;
};

/// One line of the gateway's ledger: an effect key with what became of it.
struct ChargeLine {
  std::string key, txn_id;  // txn_id "": nothing was taken
  std::int64_t amount_minor = 0;
  std::string kind;                      // charge or refund
  std::int64_t asked = 0, answered = 0;  // how often it was asked for, how often an answer went out
};

/// ok: false while the ledger cannot be read.
struct ChargesFound {
  bool ok = false;
  std::vector<ChargeLine> charges;
};

/// Whoever can read the ledger; may block, so it is detached or has a thread of its own.
using ChargesActor = caf::typed_actor<
    // The lines of one order, oldest first.
    caf::replies_to<FindCharges>::with<ChargesFound>>;

}  // namespace cartwright::api

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::FindCharges)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::ChargesFound)
