#pragma once
// What a record says, once it has been read; what a record will say, before it is written. One flat value for all topics.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "actors/ids.hpp"
#include "actors/topics.hpp"

namespace cartwright {

/// One line of an order: so many units of a product.
struct Line {
  ProductId product;
  std::int64_t quantity = 0;
  friend auto operator<=>(const Line&, const Line&) = default;
};

/// The lines with equal products merged, in the order of product ids: what "the same lines" compares.
[[nodiscard]] std::vector<Line> merged(const std::vector<Line>& lines);

/// An event of any topic. Which members count is said by the topic's row in topics.hpp; the rest are empty.
struct Event {
  Topic topic = Topic::order_placed;
  OrderId order;
  UserId user;
  std::vector<Line> lines;             // from `items`, or of product_id and quantity
  bool itemised = false;               // `items` is written beside product_id and quantity
  std::optional<std::int64_t> amount;  // minor units: `amount`, in inventory.reserved `amount_minor`
  std::string currency;
  TxnId txn;
  TrackingId tracking;
  std::string reason, message, occasion, payment_token;
  std::string extras;                  // `"ship_to":{...},"contact":{...}`: opaque members as they came, without braces
  std::string raw;                     // not empty: these bytes are written instead of the members (a foreign event, unchanged)
  bool stored = false;                 // order.placed written by one of our doors: version 1 is in the store already

  std::string ce_id;                   // CloudEvents id; the same whenever the event is written again
  Millis ce_time = 0;
  std::string traceparent;             // W3C trace context, passed on as it came
};

/// Whether an order is cancelled for this reason by inventory.failed, which then is what its customer is told.
[[nodiscard]] bool is_stock_reason(std::string_view reason);

/// A record header.
using Header = std::pair<std::string, std::string>;

/// Where a record lay before it was forwarded to order.rerouted, and under which key.
struct Origin {
  int partition = 0;
  std::int64_t offset = 0;
  std::optional<std::string> key;
};

/// A record as it was read: where it lay, its bytes, and what they say.
struct Record {
  Topic topic = Topic::order_placed;   // where it lay; event.topic differs for order.rerouted
  int partition = 0;
  std::int64_t offset = 0;
  Millis timestamp = 0;                // the broker's, for the fingerprint
  std::optional<std::string> key, value;
  std::string poison;                  // why it cannot be read (contract.md section 4); empty: it can
  Event event;                         // only the topic is set when poison
  std::optional<Origin> from;          // of a record of order.rerouted, when it says so
};

/// A record of order.rerouted as it was before it was forwarded: what becomes of it is told of that place. `record`
/// itself when it is none, or does not say where it comes from.
[[nodiscard]] std::shared_ptr<const Record> as_it_lay(const std::shared_ptr<const Record>& record);

/// A record to be written: encoded once, kept in the outbox, published as often as needed with the same bytes.
struct Outgoing {
  std::string topic;                   // the name in force
  std::optional<std::string> key, value;
  std::vector<Header> headers;
  std::string order;                   // decides the partition; "" for dead letters
  friend bool operator==(const Outgoing&, const Outgoing&) = default;
};

/// A turn's outgoing records as one text, and back: netstrings, so that any bytes survive. Throws BrokenInvariant on
/// anything that `pack` did not write.
[[nodiscard]] std::string pack(const std::vector<Outgoing>& records);
[[nodiscard]] std::vector<Outgoing> unpack(const std::string& text);

}  // namespace cartwright
