#pragma once
// The notification role's decisions: one notice per order, occasion and channel, whatever is sent again. Pure.

#include <string>

#include "actors/event.hpp"
#include "actors/messages.hpp"
#include "actors/settings.hpp"

namespace cartwright::notification {

enum class State : std::uint8_t { sending, sent };
[[nodiscard]] std::string_view to_string(State state);
[[nodiscard]] State state_named(std::string_view name);

/// One notice to one customer.
struct Notice {
  OrderId order;
  bool known = false;
  State state = State::sending;
  std::string channel, occasion, text;
  Millis act_due = 0, act_delay = 0;
  Millis created_at = 0, updated_at = 0;
};

/// The row an event belongs to, `ORDER/OCCASION`; "" when the event gives no notice (an order.cancelled whose own topic
/// tells it already). A bare notification.send is its own occasion, by its text.
[[nodiscard]] std::string key_of(const Event& event);

/// Digests one input; `notice.known` is false for a notice never written. Total; never throws.
void digest(Notice& notice, const Input& input, const Settings& settings, Millis now, Change& change);

}  // namespace cartwright::notification
