#pragma once
// The inventory role's decisions about one order's stock. What takes stock asks Redis first; what gives it back is
// decided here first and Redis is told (rule 7). Pure: no clock, no I/O, no CAF.

#include <string>
#include <vector>

#include "actors/event.hpp"
#include "actors/messages.hpp"
#include "actors/settings.hpp"

namespace cartwright::inventory {

enum class State : std::uint8_t { reserving, reserved, failed, released, sold };
[[nodiscard]] std::string_view to_string(State state);
[[nodiscard]] State state_named(std::string_view name);

/// An order's stock as the ledger knows it.
struct Reservation {
  OrderId order;
  bool known = false;                // there is a row, or will be
  State state = State::reserving;
  std::vector<Line> lines;
  bool itemised = false;
  bool held = false;                 // counted as reserved in the totals
  bool told = true;                  // Redis knows the state
  bool answered = false;             // an answer was published
  bool asked_status = false;
  bool shipped = false;              // order.shipped was read while reserving: sold as soon as Redis' answer is recorded
  std::string detail;                // why it failed
  std::int64_t amount = 0;           // of the reservation, minor units
  std::string currency;
  std::string traceparent;
  Millis answered_at = 0;            // the answer's ce_time
  Millis status_due = 0;             // rule 10: ask what became of it
  Millis act_due = 0, act_delay = 0; // the open act is asked again
  Millis created_at = 0, updated_at = 0;
};

/// Digests one input; `reservation.known` is false for an order never heard of. Total; never throws.
void digest(Reservation& reservation, const Input& input, const Settings& settings, Millis now, Change& change);

}  // namespace cartwright::inventory
