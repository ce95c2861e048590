#pragma once
// The notification role's decisions: one notice per order, occasion and channel, whatever is sent again. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "actors/event.hpp"
#include "actors/messages.hpp"
#include "actors/settings.hpp"

namespace cartwright::notification {

enum class State : std::uint8_t { sending, sent };
[[nodiscard]] std::string_view to_string(State state);
[[nodiscard]] State state_named(std::string_view name);

/// Outcome::detail of a channel whose address the order's contact does not have.
inline constexpr std::string_view no_recipient = "no_recipient";
/// The detail of a channel that was given up after notification.ttl.
inline constexpr std::string_view expired = "expired";

/// What became of a notice by one channel. skipped: the customer has no address there.
enum class Delivery : std::uint8_t { sending, sent, skipped, failed };
[[nodiscard]] std::string_view to_string(Delivery delivery);
[[nodiscard]] Delivery delivery_named(std::string_view name);

/// One channel's part in a notice.
struct Sending {
  std::string channel;
  bool by_port = false;
  Delivery delivery = Delivery::sent;
  std::string detail{};            // why it was skipped or failed
  friend bool operator==(const Sending&, const Sending&) = default;
};

/// One notice to one customer, by every channel that was configured when it was written.
struct Notice {
  OrderId order;
  bool known = false;
  State state = State::sending;
  std::string occasion, text;
  std::vector<Sending> channels;
  std::string extras;              // ship_to, contact, metadata as the event had them; only for channels with a port
  Millis act_due = 0, act_delay = 0;
  Millis created_at = 0, updated_at = 0;
};

/// The row an event belongs to, `ORDER/OCCASION`; "" when the event gives no notice (an order.cancelled whose own topic
/// tells it already). A bare notification.send is its own occasion, by its text.
[[nodiscard]] std::string key_of(const Event& event);

/// Digests one input; `notice.known` is false for a notice never written. Total; never throws.
void digest(Notice& notice, const Input& input, const Settings& settings, Millis now, Change& change);

}  // namespace cartwright::notification
