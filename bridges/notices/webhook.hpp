#pragma once
// Notices by webhook, for SMS and push: one POST a notice, signed, with the effect's key as its Idempotency-Key. Pure.

#include <chrono>
#include <functional>

#include "actors/ids.hpp"
#include "bridges/notices/message.hpp"

namespace cartwright::notices {

struct WebhookOptions {
  std::string url, key, secret;  // bearer token, and secret of the signature; "": none
  std::chrono::milliseconds timeout{15'000};
};

/// The exchange that hands a message to the webhook: `{key, channel, to, order_id, occasion, subject, text}`.
[[nodiscard]] curl::Request webhook_request(const WebhookOptions& options, const Message& message, Millis now);

[[nodiscard]] Channel webhook_channel(std::shared_ptr<curl::Lane> lane, WebhookOptions options, std::function<Millis()> clock);

}  // namespace cartwright::notices
