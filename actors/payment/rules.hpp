#pragma once
// The payment role's decisions about one order's money. Unknown is never failed (rule 5); a key is one charge for ever
// (rule 4). Pure: no clock, no I/O, no CAF.

#include <string>

#include "actors/event.hpp"
#include "actors/messages.hpp"
#include "actors/settings.hpp"

namespace cartwright::payment {

/// closed: a refund was asked for before any charge: nothing will be taken. parked: the gateway has forgotten the key, so
/// only a person can say what became of it; by a report, or by asking again (`order retry`).
enum class State : std::uint8_t { charging, charged, failed, closed, refunding, refunded, parked };
[[nodiscard]] std::string_view to_string(State state);
[[nodiscard]] State state_named(std::string_view name);

/// An order's charge.
struct Charge {
  OrderId order;
  bool known = false;
  State state = State::charging;
  UserId user;
  std::int64_t amount = 0;           // minor units
  std::string currency, token, traceparent, detail;
  int attempt = 1;                   // grows only after a definite failure that allows another (rule 4)
  bool back = false;                 // whatever happens: end with the money back
  TxnId txn;
  Millis refund_asked_at = 0;        // when the refund's attempt in force was first asked for; a charge's is created_at
  Millis answered_at = 0;            // ce_time of the answer in force
  Millis act_due = 0, act_delay = 0;
  Millis created_at = 0, updated_at = 0;
};

/// Digests one input; `charge.known` is false for an order never heard of. Total; never throws.
void digest(Charge& charge, const Input& input, const Settings& settings, Millis now, Change& change);

}  // namespace cartwright::payment
