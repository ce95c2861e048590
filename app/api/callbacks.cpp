#include "app/api/callbacks.hpp"

#include <array>

#include "actors/limits.hpp"
#include "bridges/curl/answers.hpp"
#include "bridges/json/dom.hpp"

namespace cartwright::api {
namespace {

using json::Json;

/// A row of the table of callbacks.
struct Kind {
  std::string_view type;
  RoleId role;
  Step step;
  Answer answer;
  std::string_view reference;  // the member that has to be there; "": none
};
constexpr std::array kinds{
    Kind{"charge.succeeded", RoleId::payment, Step::charge, Answer::done, "txn_id"},
    Kind{"charge.failed", RoleId::payment, Step::charge, Answer::refused, ""},
    Kind{"refund.succeeded", RoleId::payment, Step::refund, Answer::done, ""},
    Kind{"refund.failed", RoleId::payment, Step::refund, Answer::refused, ""},
    Kind{"shipment.booked", RoleId::shipping, Step::book, Answer::done, "tracking_id"},
    Kind{"shipment.refused", RoleId::shipping, Step::book, Answer::refused, ""},
    Kind{"shipment.delivered", RoleId::shipping, Step::deliver, Answer::done, ""},
};

Refusal wrong(const std::string& field, const std::string& what) { return {422, field + ": " + what, field}; }

}  // namespace

std::variant<Outcome, Refusal> read_callback(RoleId role, std::string_view body) {
  const Json object = json::parse(body);
  if (!object.is_object()) return Refusal{400, "the body is not a JSON object", {}};
  const std::string type = json::text_of(object, "type");
  const Kind* kind = nullptr;
  for (const Kind& one : kinds)
    if (one.role == role && one.type == type) kind = &one;
  if (kind == nullptr) return wrong("type", "is none that is known here");
  Outcome outcome;
  outcome.step = kind->step;
  outcome.answer = kind->answer;
  if (auto effect = curl::read_effect_key(json::text_of(object, "key"))) {
    if (effect->step != kind->step && kind->step != Step::deliver) return wrong("key", "is not of a " + std::string(to_string(kind->step)));
    outcome.key = effect->order;
    outcome.attempt = effect->attempt;
  } else if (kind->step == Step::deliver && valid_id(json::text_of(object, "order_id"))) {
    outcome.key = json::text_of(object, "order_id");
  } else {
    return wrong("key", "is no Idempotency-Key of ours");
  }
  if (kind->step == Step::book || kind->step == Step::deliver) outcome.reference = json::text_of(object, "tracking_id");
  if (kind->step == Step::charge) outcome.reference = json::text_of(object, "txn_id");
  if (outcome.reference.size() > limits::text_bytes_max || (!kind->reference.empty() && outcome.reference.empty()))
    return wrong(kind->step == Step::charge ? "txn_id" : "tracking_id",
                 "must be a text of 1 to " + std::to_string(limits::text_bytes_max) + " bytes");
  if (auto amount = object.find("amount"); amount != object.end() && role == RoleId::payment && !amount->is_null()) {
    if (!amount->is_number_integer()) return wrong("amount", "must be an integer in minor units");
    outcome.amount = amount->get<std::int64_t>();
  }
  outcome.detail = curl::one_line(json::text_of(object, "reason"));
  if (outcome.answer == Answer::refused && outcome.detail.empty()) outcome.detail = type;
  return outcome;
}

}  // namespace cartwright::api
