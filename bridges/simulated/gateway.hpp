#pragma once
// The simulated payment gateway: charges and refunds by the token an order carries (contract.md section 5), with a
// ledger of its own that survives the death of every process.

#include <caf/typed_actor.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "actors/handles.hpp"

namespace cartwright::simulated {

/// One line of the ledger: an effect key and what became of it.
struct LedgerLine {
  std::string key, txn_id;               // txn_id "": nothing was taken or given back
  std::int64_t amount_minor = 0;
  std::string kind;                      // charge or refund
  std::int64_t asked = 0, answered = 0;  // how often it was asked for, how often an answer went out
};
struct FindLedger { OrderId order; };
struct Ledger { bool ok = false; std::vector<LedgerLine> lines; };

using GatewayActor = PortActor::extend<
    // The lines of one order, in the order of their keys.
    caf::replies_to<FindLedger>::with<Ledger>>;

struct GatewayOptions {
  std::string url;           // as the stores': sqlite:DIR or postgresql://...
  std::string group_prefix;  // PostgreSQL: the schema is <group_prefix>_gateway
  std::function<void(const std::string& what)> state;  // what is wrong with the ledger, "" when it is well again; may be empty
};

/// Spawns the gateway, a detached actor that owns its database. While that is away it does not answer, and is asked again.
[[nodiscard]] GatewayActor spawn_gateway(caf::actor_system& system, GatewayOptions options);

}  // namespace cartwright::simulated

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::simulated::FindLedger)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::simulated::Ledger)
