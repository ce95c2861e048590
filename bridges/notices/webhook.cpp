#include "bridges/notices/webhook.hpp"

#include "bridges/json/writer.hpp"
#include "bridges/signing/signature.hpp"

namespace cartwright::notices {

curl::Request webhook_request(const WebhookOptions& options, const Message& message, Millis now) {
  json::Writer out;
  out.begin_object().key("key").string(message.key).key("channel").string(message.channel).key("to").string(message.to);
  out.key("order_id").string(message.order).key("occasion").string(message.occasion);
  out.key("subject").string(message.subject).key("text").string(message.text).end_object();
  curl::Request request;
  request.url = options.url;
  request.timeout = options.timeout;
  request.body = out.take();
  request.headers = {"Accept: application/json", "Content-Type: application/json", "Idempotency-Key: " + message.key};
  if (!options.key.empty()) request.headers.push_back("Authorization: Bearer " + options.key);
  if (!options.secret.empty())
    request.headers.push_back(std::string(signing::header_name) + ": " + signing::sign(options.secret, request.body, now / 1000));
  return request;
}

Channel webhook_channel(std::shared_ptr<curl::Lane> lane, WebhookOptions options, std::function<Millis()> clock) {
  return {std::move(lane),
          [options = std::move(options), clock = std::move(clock)](const Message& message) {
            return webhook_request(options, message, clock());
          },
          curl::answer_of_http};
}

}  // namespace cartwright::notices
