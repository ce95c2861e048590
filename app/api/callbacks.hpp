#pragma once
// What a gateway or a carrier tells by itself: POST /v1/callbacks/payment and /v1/callbacks/shipping. Pure.

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "actors/messages.hpp"
#include "app/api/requests.hpp"

namespace cartwright::api {

/// The secrets that callbacks are signed with (bridges/signing); a role without any takes none.
struct CallbackSecrets {
  std::vector<std::string> payment, shipping;
};

/// The outcome that a callback's body reports: an object with `type` (`charge.succeeded`, `charge.failed`,
/// `refund.succeeded`, `refund.failed`, `shipment.booked`, `shipment.refused`, `shipment.delivered`), the effect's `key`
/// (of a delivery `order_id` will do), and `txn_id`, `amount`, `tracking_id` or `reason`. `role`: payment or shipping.
/// The outcome's key is the order's id.
[[nodiscard]] std::variant<Outcome, Refusal> read_callback(RoleId role, std::string_view body);

}  // namespace cartwright::api
