// Stored rows as JSON that a person can read: states by name, moments as milliseconds, empty members left out, and with
// them what the row's columns say. Written by appending, for every turn writes rows, and every byte here is copied a
// dozen times on its way to the disk; read with nlohmann's document, for rows are read when an order wakes only.
//
// Opaque members are kept as one text: a document would sort their keys and round their numbers.

#include <array>
#include <nlohmann/json.hpp>

#include "actors/check.hpp"
#include "bridges/json/codec.hpp"
#include "bridges/json/payload.hpp"
#include "bridges/json/text.hpp"
#include "bridges/json/writer.hpp"

namespace cartwright::json {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, order::wait_count> wait_names{"inventory", "payment", "shipping",
    "stock_release",
                                                                     "refund"};

// ---- writing --------------------------------------------------------------------------------------------------------

void put(Writer& out, std::string_view name, std::string_view text) {
  if (!text.empty()) out.key(name).string(text);
}

void put_number(Writer& out, std::string_view name, std::int64_t number) {
  if (number != 0) out.key(name).integer(number);
}

void put_flag(Writer& out, std::string_view name, bool value) {
  if (value) out.key(name).boolean(true);
}

// Bytes from outside: as text where they are UTF-8, else as base64 under another name. Also when empty.
void put_bytes(Writer& out, const std::string& name, std::string_view bytes) {
  if (is_utf8(bytes))
    out.key(name).string(bytes);
  else
    out.key(name + "_base64").string(to_base64(bytes));
}

void put_lines(Writer& out, const std::vector<Line>& lines) {
  if (lines.empty()) return;
  out.key("lines").begin_array();
  for (const Line& line : lines)
    out.begin_object().key("product_id").string(line.product.value).key("quantity").integer(line.quantity).end_object();
  out.end_array();
}

void put_waits(Writer& out, const order::Order& order) {
  if (order.waits == decltype(order.waits){}) return;
  out.key("waits").begin_object();
  for (std::size_t k = 0; k < wait_names.size(); ++k) {
    const order::Question& question = order.waits[k];
    if (question == order::Question{}) continue;
    out.key(wait_names[k]).begin_object();
    put_flag(out, "open", question.open);
    if (question.open) {  // an answered question is not asked again
      put_number(out, "next", question.next);
      put_number(out, "delay", question.delay);
    }
    put_number(out, "asked", question.asked);
    out.end_object();
  }
  out.end_object();
}

// A record with what has to be known to read it again: its event is not stored beside its bytes.
void put_kept(Writer& out, const order::Kept& kept) {
  check(kept.record != nullptr, "a kept record is there");
  const Record& record = *kept.record;
  const Event& event = record.event;
  out.begin_object().key("topic").string(to_string(record.topic));
  if (event.topic != record.topic) out.key("inner_topic").string(to_string(event.topic));
  out.key("partition").integer(record.partition).key("offset").integer(record.offset);
  put_number(out, "timestamp", record.timestamp);
  if (record.key) put_bytes(out, "key", *record.key);
  if (record.value) put_bytes(out, "value", *record.value);
  put(out, "ce_id", event.ce_id);
  put_number(out, "ce_time", event.ce_time);
  put(out, "traceparent", event.traceparent);
  put_flag(out, "stored", event.stored);
  put_flag(out, "structured", record.value && is_structured(*record.value, event.topic));
  put_number(out, "until", kept.until);
  out.end_object();
}

// ---- reading --------------------------------------------------------------------------------------------------------

const Json* find(const Json& object, std::string_view name) {
  auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string text_of(const Json& object, std::string_view name) {
  const Json* found = find(object, name);
  return found == nullptr ? std::string() : found->get_ref<const std::string&>();
}

std::int64_t number_of(const Json& object, std::string_view name, std::int64_t otherwise = 0) {
  const Json* found = find(object, name);
  if (found == nullptr) return otherwise;
  check(found->is_number_integer(), "a number in a stored row is an integer");
  return found->get<std::int64_t>();
}

bool flag_of(const Json& object, std::string_view name) {
  const Json* found = find(object, name);
  return found != nullptr && found->get_ref<const bool&>();
}

std::optional<std::string> bytes_of(const Json& object, const std::string& name) {
  if (const Json* text = find(object, name)) return text->get_ref<const std::string&>();
  const Json* coded = find(object, name + "_base64");
  if (coded == nullptr) return {};
  auto bytes = from_base64(coded->get_ref<const std::string&>());
  check(bytes.has_value(), "bytes in a stored row are base64");
  return bytes;
}

std::vector<Line> lines_of(const Json& object) {
  std::vector<Line> lines;
  const Json* found = find(object, "lines");
  if (found == nullptr) return lines;
  check(found->is_array(), "the lines of a stored row are a list");
  for (const Json& line : *found) lines.push_back({{text_of(line, "product_id")}, number_of(line, "quantity")});
  return lines;
}

Topic topic_of(const Json& object, std::string_view name) {
  auto topic = topic_named(text_of(object, name));
  check(topic.has_value(), "a stored record's topic is ours");
  return *topic;
}

// `state_named` may not mind strangers; the name has to be the state's own.
template <class State>
State state_of(const Row& row, State (*state_named)(std::string_view)) {
  State state = state_named(row.state);
  check(to_string(state) == row.state, "a stored row's state is ours");
  return state;
}

order::Kept kept_of(const Json& object, const Codec& codec, const TopicNames& names) {
  auto record = std::make_shared<Record>();
  record->topic = topic_of(object, "topic");
  record->partition = static_cast<int>(number_of(object, "partition"));
  record->offset = number_of(object, "offset");
  record->timestamp = number_of(object, "timestamp");
  record->key = bytes_of(object, "key");
  record->value = bytes_of(object, "value");
  std::vector<Header> headers;
  if (find(object, "inner_topic") != nullptr) headers.emplace_back("topic", names[topic_of(object, "inner_topic")]);
  if (auto id = text_of(object, "ce_id"); !id.empty()) headers.emplace_back("ce_id", std::move(id));
  if (auto time = number_of(object, "ce_time"); time != 0) headers.emplace_back("ce_time", rfc3339(time));
  if (auto trace = text_of(object, "traceparent"); !trace.empty()) headers.emplace_back("traceparent",
      std::move(trace));
  if (flag_of(object, "stored")) headers.emplace_back("ce_source", order_source);
  if (flag_of(object, "structured")) headers.emplace_back("content-type", structured_media_type);
  codec.read(*record, headers);
  return {std::move(record), number_of(object, "until")};
}

// Runs `read` on the parsed row. Whatever nlohmann throws means that we did not write this.
template <class Read>
auto parsed(const Row& row, Read read) {
  try {
    const Json object = Json::parse(row.doc);
    check(object.is_object(), "a stored row is an object");
    return read(object);
  } catch (const Json::exception& error) {
    throw BrokenInvariant(std::string("a stored row is not what was written: ") + error.what());
  }
}

}  // namespace

// ---- orders ---------------------------------------------------------------------------------------------------------

std::string JsonCodec::write(const order::Order& order) const {
  Writer out(768);
  out.begin_object();
  put(out, "reason", order.reason);
  put_lines(out, order.lines);
  put_flag(out, "itemised", order.itemised);
  if (order.amount) out.key("amount_minor").integer(*order.amount);
  put(out, "currency", order.currency);
  put(out, "payment_token", order.payment_token);
  put(out, "txn_id", order.txn.value);
  put(out, "tracking_id", order.tracking.value);
  put_waits(out, order);
  put_number(out, "expires", order.expires);
  put_flag(out, "seen", order.seen);
  put_flag(out, "given_up", order.given_up);
  put_flag(out, "refund_asked", order.refund_asked);
  if (!order.refunds.empty()) {
    out.key("refunds").begin_array();
    for (const std::string& txn : order.refunds) out.string(txn);
    out.end_array();
  }
  if (!order.kept.empty()) {
    out.key("kept").begin_array();
    for (const order::Kept& kept : order.kept) put_kept(out, kept);
    out.end_array();
  }
  if (!order.placed.empty()) put_bytes(out, "placed", order.placed);
  put(out, "placed_ce_id", order.placed_ce_id);
  put_number(out, "told", order.told);
  put(out, "extras", order.extras);
  put(out, "traceparent", order.traceparent);
  out.key("version").integer(order.version);
  return out.end_object().take();
}

order::Order JsonCodec::read_order(const Row& row) const {
  return parsed(row, [&](const Json& object) {
    order::Order order;
    order.id.value = row.key;
    order.state = state_of(row, order::state_named);
    order.reason = text_of(object, "reason");
    order.user.value = row.owner;
    order.lines = lines_of(object);
    order.itemised = flag_of(object, "itemised");
    if (find(object, "amount_minor") != nullptr) order.amount = number_of(object, "amount_minor");
    order.currency = text_of(object, "currency");
    order.payment_token = text_of(object, "payment_token");
    order.txn.value = text_of(object, "txn_id");
    order.tracking.value = text_of(object, "tracking_id");
    if (const Json* waits = find(object, "waits")) {
      for (std::size_t k = 0; k < wait_names.size(); ++k) {
        const Json* wait = find(*waits, wait_names[k]);
        if (wait == nullptr) continue;
        order.waits[k] = {flag_of(*wait, "open"), number_of(*wait, "next"), number_of(*wait, "delay"),
                          number_of(*wait, "asked")};
      }
    }
    order.expires = number_of(object, "expires");
    order.seen = flag_of(object, "seen");
    order.given_up = flag_of(object, "given_up");
    order.refund_asked = flag_of(object, "refund_asked");
    if (const Json* refunds = find(object, "refunds"))
      for (const Json& txn : *refunds) order.refunds.push_back(txn.get_ref<const std::string&>());
    if (const Json* all = find(object, "kept"))
      for (const Json& kept : *all) order.kept.push_back(kept_of(kept, *this, names_));
    order.placed = bytes_of(object, "placed").value_or("");
    order.placed_ce_id = text_of(object, "placed_ce_id");
    order.told = static_cast<std::uint32_t>(number_of(object, "told"));
    order.extras = text_of(object, "extras");
    order.traceparent = text_of(object, "traceparent");
    order.version = number_of(object, "version");
    order.created_at = row.created_at;
    order.updated_at = row.updated_at;
    return order;
  });
}

// ---- reservations ---------------------------------------------------------------------------------------------------

std::string JsonCodec::write(const inventory::Reservation& reservation) const {
  Writer out(384);
  out.begin_object();
  put(out, "detail", reservation.detail);
  put_lines(out, reservation.lines);
  put_flag(out, "itemised", reservation.itemised);
  out.key("held").boolean(reservation.held).key("told").boolean(reservation.told);
  put_flag(out, "answered", reservation.answered);
  put_flag(out, "asked_status", reservation.asked_status);
  put_flag(out, "shipped", reservation.shipped);
  put_number(out, "amount_minor", reservation.amount);
  put(out, "currency", reservation.currency);
  put(out, "traceparent", reservation.traceparent);
  put_number(out, "answered_at", reservation.answered_at);
  put_number(out, "status_due", reservation.status_due);
  put_number(out, "act_due", reservation.act_due);
  put_number(out, "act_delay", reservation.act_delay);
  return out.end_object().take();
}

inventory::Reservation JsonCodec::read_reservation(const Row& row) const {
  return parsed(row, [&](const Json& object) {
    inventory::Reservation reservation;
    reservation.known = true;
    reservation.order.value = row.key;
    reservation.state = state_of(row, inventory::state_named);
    reservation.detail = text_of(object, "detail");
    reservation.lines = lines_of(object);
    reservation.itemised = flag_of(object, "itemised");
    reservation.held = flag_of(object, "held");
    reservation.told = flag_of(object, "told");
    reservation.answered = flag_of(object, "answered");
    reservation.asked_status = flag_of(object, "asked_status");
    reservation.shipped = flag_of(object, "shipped");
    reservation.amount = number_of(object, "amount_minor");
    reservation.currency = text_of(object, "currency");
    reservation.traceparent = text_of(object, "traceparent");
    reservation.answered_at = number_of(object, "answered_at");
    reservation.status_due = number_of(object, "status_due");
    reservation.act_due = number_of(object, "act_due");
    reservation.act_delay = number_of(object, "act_delay");
    reservation.created_at = row.created_at;
    reservation.updated_at = row.updated_at;
    return reservation;
  });
}

// ---- charges --------------------------------------------------------------------------------------------------------

std::string JsonCodec::write(const payment::Charge& charge) const {
  Writer out(384);
  out.begin_object();
  put(out, "detail", charge.detail);
  out.key("amount_minor").integer(charge.amount);
  put(out, "currency", charge.currency);
  put(out, "payment_token", charge.token);
  put(out, "txn_id", charge.txn.value);
  out.key("attempt").integer(charge.attempt);
  put_flag(out, "back", charge.back);
  put_number(out, "refund_asked_at", charge.refund_asked_at);
  put(out, "traceparent", charge.traceparent);
  put_number(out, "answered_at", charge.answered_at);
  put_number(out, "act_due", charge.act_due);
  put_number(out, "act_delay", charge.act_delay);
  return out.end_object().take();
}

payment::Charge JsonCodec::read_charge(const Row& row) const {
  return parsed(row, [&](const Json& object) {
    payment::Charge charge;
    charge.known = true;
    charge.order.value = row.key;
    charge.state = state_of(row, payment::state_named);
    charge.detail = text_of(object, "detail");
    charge.user.value = row.owner;
    charge.amount = number_of(object, "amount_minor");
    charge.currency = text_of(object, "currency");
    charge.token = text_of(object, "payment_token");
    charge.txn.value = text_of(object, "txn_id");
    charge.attempt = static_cast<int>(number_of(object, "attempt", 1));
    charge.back = flag_of(object, "back");
    charge.refund_asked_at = number_of(object, "refund_asked_at");
    charge.traceparent = text_of(object, "traceparent");
    charge.answered_at = number_of(object, "answered_at");
    charge.act_due = number_of(object, "act_due");
    charge.act_delay = number_of(object, "act_delay");
    charge.created_at = row.created_at;
    charge.updated_at = row.updated_at;
    return charge;
  });
}

// ---- shipments ------------------------------------------------------------------------------------------------------

std::string JsonCodec::write(const shipping::Shipment& shipment) const {
  Writer out(384);
  out.begin_object();
  put(out, "tracking_id", shipment.tracking.value);
  put(out, "detail", shipment.detail);
  if (shipment.attempt > 1) out.key("attempt").integer(shipment.attempt);
  put(out, "extras", shipment.extras);
  put(out, "traceparent", shipment.traceparent);
  put_number(out, "answered_at", shipment.answered_at);
  put_number(out, "act_due", shipment.act_due);
  put_number(out, "act_delay", shipment.act_delay);
  return out.end_object().take();
}

shipping::Shipment JsonCodec::read_shipment(const Row& row) const {
  return parsed(row, [&](const Json& object) {
    shipping::Shipment shipment;
    shipment.known = true;
    shipment.order.value = row.key;
    shipment.state = state_of(row, shipping::state_named);
    shipment.user.value = row.owner;
    shipment.tracking.value = text_of(object, "tracking_id");
    shipment.detail = text_of(object, "detail");
    shipment.attempt = static_cast<int>(number_of(object, "attempt", 1));
    shipment.extras = text_of(object, "extras");
    shipment.traceparent = text_of(object, "traceparent");
    shipment.answered_at = number_of(object, "answered_at");
    shipment.act_due = number_of(object, "act_due");
    shipment.act_delay = number_of(object, "act_delay");
    shipment.created_at = row.created_at;
    shipment.updated_at = row.updated_at;
    return shipment;
  });
}

// ---- notices --------------------------------------------------------------------------------------------------------

std::string JsonCodec::write(const notification::Notice& notice) const {
  Writer out(384);
  out.begin_object();
  // What the simulated notifier tells is one word; there are many of these rows.
  if (notice.channels.size() == 1 && notice.channels.front() == notification::Sending{notice.channels.front().channel}) {
    put(out, "channel", notice.channels.front().channel);
  } else {
    out.key("channels").begin_array();
    for (const notification::Sending& one : notice.channels) {
      out.begin_object().key("channel").string(one.channel);
      put_flag(out, "by_port", one.by_port);
      out.key("delivery").string(to_string(one.delivery));
      put(out, "detail", one.detail);
      out.end_object();
    }
    out.end_array();
  }
  put(out, "extras", notice.extras);
  put(out, "occasion", notice.occasion);
  put(out, "text", notice.text);
  put_number(out, "act_due", notice.act_due);
  put_number(out, "act_delay", notice.act_delay);
  return out.end_object().take();
}

notification::Notice JsonCodec::read_notice(const Row& row) const {
  return parsed(row, [&](const Json& object) {
    notification::Notice notice;
    notice.known = true;
    notice.order.value = row.key.substr(0, row.key.find('/'));  // its key is the order's and the occasion
    notice.state = state_of(row, notification::state_named);
    if (std::string channel = text_of(object, "channel"); !channel.empty()) notice.channels.push_back({std::move(channel)});
    if (const Json* channels = find(object, "channels"))
      for (const Json& one : *channels)
        notice.channels.push_back({text_of(one, "channel"), flag_of(one, "by_port"),
                                   notification::delivery_named(text_of(one, "delivery")), text_of(one, "detail")});
    notice.extras = text_of(object, "extras");
    notice.occasion = text_of(object, "occasion");
    notice.text = text_of(object, "text");
    notice.act_due = number_of(object, "act_due");
    notice.act_delay = number_of(object, "act_delay");
    notice.created_at = row.created_at;
    notice.updated_at = row.updated_at;
    return notice;
  });
}

}  // namespace cartwright::json
