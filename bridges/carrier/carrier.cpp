#include "bridges/carrier/carrier.hpp"

#include "actors/limits.hpp"
#include "bridges/json/writer.hpp"

namespace cartwright::carrier_http {

std::optional<Outcome> outcome_of_answer(const Act& act, const curl::Response& response) {
  const Answer answer = curl::answer_of_http(response);
  if (answer == Answer::unknown) return {};
  Outcome outcome = curl::outcome_of(act, answer);
  if (answer == Answer::refused) {
    outcome.detail = curl::reason_of(response);
    return outcome;
  }
  // Accepted without a number yet: it comes by callback, or with one of the next answers under the same key.
  outcome.reference = curl::text_member(response.body, "tracking_id");
  if (outcome.reference.empty() || outcome.reference.size() > limits::text_bytes_max) return {};
  return outcome;
}

curl::Dialect carrier(curl::JsonServer server) {
  curl::Dialect dialect;
  dialect.ask = [server = std::move(server)](const Act& act) -> std::variant<std::monostate, curl::Request, Outcome> {
    if (act.step != Step::book) return {};
    json::Writer out;
    out.begin_object().key("key").string(curl::effect_key(act)).key("order_id").string(act.order.value);
    out.key("user_id").string(act.user.value).members(act.extras).end_object();
    return curl::json_post(server, "/shipments", act, out.take());
  };
  dialect.hear = outcome_of_answer;
  return dialect;
}

}  // namespace cartwright::carrier_http
