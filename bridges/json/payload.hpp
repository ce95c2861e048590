#pragma once
// What the files of this folder tell each other: payloads without their records, and the headers that matter.

#include <string>
#include <string_view>

#include "actors/event.hpp"

namespace cartwright::json {

inline constexpr std::string_view source_prefix = "/cartwright/";
inline constexpr std::string_view order_source = "/cartwright/order";
inline constexpr std::string_view plain_media_type = "application/json";
inline constexpr std::string_view structured_media_type = "application/cloudevents+json";

/// Reads the payload of a record of `topic` into `event`, whose members are empty but for what headers said.
/// Answers "" or the poison's cause; `event` is of no use then.
[[nodiscard]] std::string read_payload(std::string_view text, Topic topic, Event& event);

/// The payload of an event as its topic has it; `event.raw` when there is one.
[[nodiscard]] std::string write_payload(const Event& event);

/// A CloudEvent in structured mode: one JSON object around the payload.
struct Envelope {
  std::string id, time, source, traceparent;  // "" when missing or not a text
  std::string_view data;                      // the payload: a slice of the text
};

/// Takes a structured CloudEvent apart. Answers "" or the poison's cause.
[[nodiscard]] std::string read_envelope(std::string_view text, Envelope& envelope);

/// Whether `value`, which could be read as a record of `topic`, is a structured CloudEvent. Records do not keep their
/// headers, so the bytes have to tell it.
[[nodiscard]] bool is_structured(std::string_view value, Topic topic);

}  // namespace cartwright::json
