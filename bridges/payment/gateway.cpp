#include "bridges/payment/gateway.hpp"

#include "actors/limits.hpp"
#include "bridges/json/dom.hpp"
#include "bridges/json/writer.hpp"

namespace cartwright::payment_http {
namespace {

using json::Json;

std::string body_of(const Act& act) {
  json::Writer out;
  out.begin_object().key("key").string(curl::effect_key(act)).key("order_id").string(act.order.value);
  if (act.step == Step::refund) out.key("txn_id").string(act.txn.value);
  out.key("amount").integer(act.amount);
  auto text = [&out](std::string_view name, const std::string& value) {
    out.key(name);
    if (value.empty())
      out.null();
    else
      out.string(value);
  };
  text("currency", act.currency);
  if (act.step == Step::charge) {
    text("user_id", act.user.value);
    text("payment_token", act.token);
  }
  return out.end_object().take();
}

/// A charge or refund as the gateway describes it. Nothing when it is none, or another one than ours.
std::optional<Outcome> described(const Act& act, const std::string& body) {
  const Json object = json::parse(body);
  if (!object.is_object()) return {};
  auto text = [&object](const char* name) { return json::text_of(object, name); };
  // Another order's charge, or another amount, is no answer to ours: the order will expire and somebody look.
  if (auto found = object.find("order_id"); found != object.end() && *found != act.order.value) return {};
  if (auto found = object.find("amount"); found != object.end() && *found != act.amount) return {};
  const std::string status = text("status");
  if (status == "declined" || status == "failed") {
    Outcome outcome = curl::outcome_of(act, Answer::refused);
    outcome.detail = curl::one_line(text("reason"));
    if (outcome.detail.empty()) outcome.detail = status;
    return outcome;
  }
  if (status != "succeeded") return {};
  Outcome outcome = curl::outcome_of(act, Answer::done);
  outcome.reference = act.step == Step::refund ? act.txn.value : text("txn_id");
  if (outcome.reference.empty() || outcome.reference.size() > limits::text_bytes_max) return {};
  return outcome;
}

}  // namespace

std::optional<Outcome> outcome_of_answer(const Act& act, const curl::Response& response) {
  if (act.query && response.complete && (response.status == 404 || response.status == 410)) {
    Outcome outcome = curl::outcome_of(act, Answer::unknown);
    outcome.detail = forgotten;
    return outcome;
  }
  switch (curl::answer_of_http(response)) {
    case Answer::done: return described(act, response.body);
    case Answer::refused: {
      if (act.query) return {};  // a question about a key is refused, not the charge
      Outcome outcome = curl::outcome_of(act, Answer::refused);
      outcome.detail = curl::reason_of(response);
      return outcome;
    }
    case Answer::unknown: break;
  }
  return {};
}

curl::Dialect gateway(curl::JsonServer server) {
  curl::Dialect dialect;
  dialect.ask = [server = std::move(server)](const Act& act) -> std::variant<std::monostate, curl::Request, Outcome> {
    if (act.step != Step::charge && act.step != Step::refund) return {};
    if (act.amount == 0) {
      Outcome outcome = curl::outcome_of(act, Answer::done);
      outcome.reference = act.step == Step::refund ? act.txn.value : "free-" + act.order.value;
      return outcome;
    }
    const std::string path = act.step == Step::charge ? "/charges" : "/refunds";
    if (act.query) return curl::json_get(server, path + "/" + curl::segment(curl::effect_key(act)), act);
    return curl::json_post(server, path, act, body_of(act));
  };
  dialect.hear = outcome_of_answer;
  return dialect;
}

}  // namespace cartwright::payment_http
