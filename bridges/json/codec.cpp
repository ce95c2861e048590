#include "bridges/json/codec.hpp"

#include <algorithm>
#include <charconv>

#include "actors/check.hpp"
#include "actors/limits.hpp"
#include "bridges/json/payload.hpp"
#include "bridges/json/text.hpp"

namespace cartwright::json {
namespace {

// `text` without parameters and blanks is `media_type`, in any case.
bool is_media_type(std::string_view text, std::string_view media_type) {
  text = text.substr(0, text.find_first_of("; "));
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return std::equal(text.begin(), text.end(), media_type.begin(), media_type.end(),
                    [&](char a, char b) { return lower(a) == b; });
}

void take_id(Event& event, std::string_view id) {
  if (id.size() <= limits::text_bytes_max && is_utf8(id)) event.ce_id = id;
}

void take_traceparent(Event& event, std::string_view traceparent) {
  if (is_traceparent(traceparent)) event.traceparent = traceparent;
}

// What the headers say of the event itself; the others are for the caller.
struct HeadersSeen {
  bool structured = false;
  std::string_view topic, partition, offset;
  std::optional<std::string> key;
};

constexpr std::string_view from_partition = "from_partition", from_offset = "from_offset", from_key = "from_key";

// Where a rerouted record says that it lay; nothing when it does not, or nonsense.
std::optional<Origin> origin_of(const HeadersSeen& seen) {
  Origin origin;
  auto number = [](std::string_view text, auto& into) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
    return error == std::errc() && end == text.data() + text.size() && into >= 0;
  };
  if (!number(seen.partition, origin.partition) || !number(seen.offset, origin.offset)) return {};
  origin.key = seen.key;
  return origin;
}

HeadersSeen take_headers(Event& event, const std::vector<Header>& headers) {
  HeadersSeen seen;
  for (const auto& [name, value] : headers) {
    if (name == "ce_id") take_id(event, value);
    else if (name == "ce_time") event.ce_time = moment(value);
    else if (name == "ce_source") event.stored = value.starts_with(order_source);
    else if (name == "traceparent") take_traceparent(event, value);
    else if (name == "topic") seen.topic = value;
    else if (name == from_partition) seen.partition = value;
    else if (name == from_offset) seen.offset = value;
    else if (name == from_key) seen.key = value;
    else if (is_media_type(name, "content-type")) seen.structured = is_media_type(value, structured_media_type);
  }
  return seen;
}

std::string read_structured(std::string_view text, Event& event) {
  Envelope envelope;
  if (std::string cause = read_envelope(text, envelope); !cause.empty()) return cause;
  if (!envelope.id.empty()) take_id(event, envelope.id);
  if (!envelope.time.empty()) event.ce_time = moment(envelope.time);
  if (!envelope.source.empty()) event.stored = envelope.source.starts_with(order_source);
  take_traceparent(event, envelope.traceparent);
  return read_payload(envelope.data, event.topic, event);
}

RoleId writer_of(Topic topic) {
  for (RoleId role : roles)
    if (contains(info(topic).written_by, role)) return role;
  return RoleId::order;
}

void add(std::vector<Header>& headers, std::string_view name, std::string_view value) {
  headers.emplace_back(std::piecewise_construct, std::forward_as_tuple(name), std::forward_as_tuple(value));
}

}  // namespace

JsonCodec::JsonCodec(TopicNames names, std::string group_prefix)
    : names_(std::move(names)), group_prefix_(std::move(group_prefix)) {}

void JsonCodec::read(Record& record, const std::vector<Header>& headers) const {
  Event event;
  event.topic = record.topic;
  record.poison.clear();
  record.from.reset();
  const HeadersSeen seen = take_headers(event, headers);
  if (record.topic == Topic::order_rerouted) {
    auto inner = names_.find(seen.topic);
    if (inner && *inner != Topic::order_rerouted) {
      event.topic = *inner;
      record.from = origin_of(seen);
    } else {
      record.poison = "unknown-topic";
    }
  }
  if (record.poison.empty()) {
    if (!record.value)
      record.poison = "not-an-object: no value";
    else if (seen.structured)
      record.poison = read_structured(*record.value, event);
    else
      record.poison = read_payload(*record.value, event.topic, event);
  }
  if (record.poison.empty() && record.key && !record.key->empty() && *record.key != event.order.value)
    record.poison = "key-mismatch";
  if (record.poison.empty()) {
    record.event = std::move(event);
  } else {
    record.event = {};
    record.event.topic = event.topic;
  }
}

Outgoing JsonCodec::write(const Event& event) const {
  Outgoing out;
  out.topic = names_[event.topic];
  out.key = out.order = event.order.value;
  out.value = write_payload(event);
  // A foreign structured event that is written again carries its attributes inside.
  const bool structured = !event.raw.empty() && is_structured(event.raw, event.topic);
  out.headers.reserve(7);
  if (!structured && (event.raw.empty() || !event.ce_id.empty())) {
    add(out.headers, "ce_specversion", "1.0");
    if (!event.ce_id.empty()) add(out.headers, "ce_id", event.ce_id);
    std::string source(source_prefix);
    add(out.headers, "ce_source", source += to_string(writer_of(event.topic)));
    add(out.headers, "ce_type", to_string(event.topic));
    if (event.ce_time != 0) add(out.headers, "ce_time", rfc3339(event.ce_time));
  }
  add(out.headers, "content-type", structured ? structured_media_type : plain_media_type);
  if (!event.traceparent.empty()) add(out.headers, "traceparent", event.traceparent);
  return out;
}

Outgoing JsonCodec::reroute(const Record& record) const {
  const Event& event = record.event;
  Outgoing out;
  out.topic = names_[Topic::order_rerouted];
  out.key = out.order = event.order.value;
  out.value = record.value;
  out.headers.reserve(9);
  add(out.headers, "topic", names_[event.topic]);
  add(out.headers, from_partition, std::to_string(record.partition));
  add(out.headers, from_offset, std::to_string(record.offset));
  if (record.key) add(out.headers, from_key, *record.key);
  if (!event.ce_id.empty()) add(out.headers, "ce_id", event.ce_id);
  if (event.ce_time != 0) add(out.headers, "ce_time", rfc3339(event.ce_time));
  if (event.stored) add(out.headers, "ce_source", order_source);
  if (!event.traceparent.empty()) add(out.headers, "traceparent", event.traceparent);
  if (record.value && is_structured(*record.value, event.topic)) add(out.headers, "content-type",
      structured_media_type);
  return out;
}

Outgoing JsonCodec::dead_letter(const DeadLetter& letter, RoleId reader) const {
  check(letter.record != nullptr, "a dead letter has its record");
  const Record& record = *letter.record;
  Outgoing out;
  out.topic = dead_letters_of(names_[record.topic]);
  out.key = record.key;
  const bool cut = record.value && record.value->size() > limits::dead_value_bytes_max;
  out.value = cut ? record.value->substr(0, limits::dead_value_bytes_kept) : record.value;
  add(out.headers, "dlq_cause", letter.cause);
  add(out.headers, "dlq_topic", names_[record.topic]);
  add(out.headers, "dlq_partition", std::to_string(record.partition));
  add(out.headers, "dlq_offset", std::to_string(record.offset));
  add(out.headers, "dlq_group", group_prefix_ + "." + std::string(to_string(reader)));
  if (cut) add(out.headers, "dlq_truncated", "true");
  // Without it nobody could tell what a rerouted record was.
  if (record.event.topic != record.topic) add(out.headers, "topic", names_[record.event.topic]);
  return out;
}

}  // namespace cartwright::json
