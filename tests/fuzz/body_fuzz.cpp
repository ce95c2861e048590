// libFuzzer: any bytes as a body. The first byte says of what: 'o' an order, 's' a stock, 'a' an adjustment, else a batch
// of orders. Reading must answer; a refusal must say why; and an order that the door takes must be one that every role can
// read when it comes back from Kafka.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "actors/limits.hpp"
#include "app/api/requests.hpp"
#include "bridges/json/codec.hpp"
#include "tests/fuzz/require.hpp"

namespace {

using namespace cartwright;
using fuzz::require;

bool refused(const api::Refusal* refusal) {
  if (refusal == nullptr) return false;
  require(refusal->status == 400 || refusal->status == 422, "a refusal is 400 or 422", std::to_string(refusal->status));
  require(!refusal->detail.empty(), "a refusal says why");
  return true;
}

void read_order(const json::JsonCodec& codec, std::string_view body) {
  auto read = api::read_order(body);
  if (refused(std::get_if<api::Refusal>(&read))) return;
  Event event = std::get<Event>(std::move(read));
  event.order.value = "01a20417-d340-7c1e-9b1f-3f6d2a4be1c0";
  require(event.extras.size() <= limits::opaque_bytes_max + 64, "the opaque members are bounded");
  const Outgoing written = codec.write(event);
  Record record;
  record.topic = Topic::order_placed;
  record.key = written.key;
  record.value = written.value;
  codec.read(record, written.headers);
  require(record.poison.empty(), "an order that was taken is read by the roles", record.poison + ": " + *written.value);
  require(record.event.lines == event.lines && record.event.itemised == event.itemised, "its lines arrive");
  require(record.event.user.value == event.user.value, "its user arrives", event.user.value);
  require(record.event.payment_token == event.payment_token, "its token arrives", event.payment_token);
  require(record.event.extras == event.extras, "its opaque members arrive", event.extras + " / " + record.event.extras);
}

void read_change(api::Read<StockChange> read) {
  if (refused(std::get_if<api::Refusal>(&read))) return;
  const auto& change = std::get<StockChange>(read);
  require(change.absolute ? change.quantity >= 0 && change.quantity <= limits::stock_max
                          : change.delta != 0 && change.delta >= -limits::stock_max && change.delta <= limits::stock_max,
          "a change is in bounds");
  if (change.price_minor)
    require(*change.price_minor >= 0 && *change.price_minor <= limits::price_minor_max, "a price is in bounds");
  if (change.name) require(change.name->size() <= limits::text_bytes_max, "a name is in bounds");
}

void read_batch(const json::JsonCodec& codec, std::string_view body) {
  std::size_t bytes = 0;
  for (std::string_view line : api::lines_of(body)) {
    require(line.find('\n') == std::string_view::npos, "a line has no line end");
    require(line.empty() || (line.data() >= body.data() && line.end() <= body.end()), "a line is of the body");
    bytes += line.size() + 1;
    read_order(codec, line);
  }
  require(bytes <= body.size() + 1, "lines are not read twice");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const json::JsonCodec codec{TopicNames(), "fuzz"};
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'o': read_order(codec, body); break;
    case 's': read_change(api::read_stock(body)); break;
    case 'a': read_change(api::read_adjustment(body)); break;
    default: read_batch(codec, body);
  }
  return 0;
}
