#pragma once
// A payment gateway over HTTP: the questions of the payment role and what the answers mean. README.md has the protocol.

#include "bridges/curl/json_call.hpp"
#include "bridges/curl/port.hpp"

namespace cartwright::payment_http {

/// How the gateway is spoken to: POST /charges, POST /refunds, and GET of either by its key once the key is too old to be
/// used again (rule 4). An amount of 0 is not put to the gateway: nothing is to be taken.
[[nodiscard]] curl::Dialect gateway(curl::JsonServer server);

/// What an answer says about an act; nothing: unknown. Pure.
[[nodiscard]] std::optional<Outcome> outcome_of_answer(const Act& act, const curl::Response& response);

}  // namespace cartwright::payment_http
