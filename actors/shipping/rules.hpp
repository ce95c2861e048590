#pragma once
// The shipping role's decisions: one booking, one tracking number per order, for ever; `delivered` when the carrier says
// so by itself. Pure.

#include <string>

#include "actors/event.hpp"
#include "actors/messages.hpp"
#include "actors/settings.hpp"

namespace cartwright::shipping {

enum class State : std::uint8_t { booking, booked, delivered };
[[nodiscard]] std::string_view to_string(State state);
[[nodiscard]] State state_named(std::string_view name);

/// An order's parcel.
struct Shipment {
  OrderId order;
  bool known = false;
  State state = State::booking;
  UserId user;
  std::string extras, traceparent;
  std::string detail;                // why the carrier refused the last attempt
  int attempt = 1;                   // grows with each definite refusal (rule 4)
  TrackingId tracking;
  Millis answered_at = 0;
  Millis act_due = 0, act_delay = 0;
  Millis created_at = 0, updated_at = 0;
};

/// Digests one input; `shipment.known` is false for an order never heard of. Total; never throws.
void digest(Shipment& shipment, const Input& input, const Settings& settings, Millis now, Change& change);

}  // namespace cartwright::shipping
