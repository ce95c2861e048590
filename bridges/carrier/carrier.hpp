#pragma once
// A carrier over HTTP: parcels are booked, and their tracking ids come back. README.md has the protocol.

#include "bridges/curl/json_call.hpp"
#include "bridges/curl/port.hpp"

namespace cartwright::carrier_http {

/// How the carrier is spoken to: POST /shipments.
[[nodiscard]] curl::Dialect carrier(curl::JsonServer server);

/// What an answer says about a booking; nothing: unknown. Pure.
[[nodiscard]] std::optional<Outcome> outcome_of_answer(const Act& act, const curl::Response& response);

}  // namespace cartwright::carrier_http
