// libFuzzer: any bytes as a record. The first byte says the topic (from 'a'), the second the headers (from '0'), the rest
// is the value. Reading must answer. What is accepted must say the same when it has been written and is read again, also
// as it stands in an outbox; what is not must be a dead letter with its bytes as they were.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bridges/json/codec.hpp"
#include "tests/fuzz/require.hpp"

namespace {

using namespace cartwright;
using fuzz::require;

const std::vector<std::vector<Header>>& header_sets() {
  static const std::vector<std::vector<Header>> sets{
      {},
      {{"content-type", "application/cloudevents+json"}},
      {{"topic", "order.placed"}, {"ce_id", "1"}, {"ce_time", "2026-11-22T10:00:00Z"}},
      {{"topic", "payment.success"}, {"content-type", "application/cloudevents+json; charset=utf-8"}},
  };
  return sets;
}

void require_same(const Event& left, const Event& right) {
  require(left.topic == right.topic, "the topic survives");
  require(left.order.value == right.order.value, "order_id survives", left.order.value);
  require(left.user.value == right.user.value, "user_id survives", left.user.value);
  require(left.lines == right.lines && left.itemised == right.itemised, "the lines survive");
  require(left.amount == right.amount && left.currency == right.currency, "the amount survives");
  require(left.txn.value == right.txn.value, "txn_id survives", left.txn.value);
  require(left.tracking.value == right.tracking.value, "tracking_id survives", left.tracking.value);
  require(left.reason == right.reason, "the reason survives", left.reason);
  require(left.message == right.message && left.occasion == right.occasion, "the message survives", left.message);
  require(left.payment_token == right.payment_token, "payment_token survives", left.payment_token);
  require(left.extras == right.extras, "the opaque members survive", left.extras + " / " + right.extras);
}

Record read(const json::JsonCodec& codec, Topic topic, std::string value, const std::vector<Header>& headers) {
  Record record;
  record.topic = topic;
  record.value = std::move(value);
  codec.read(record, headers);
  return record;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const json::JsonCodec codec{TopicNames(), "fuzz"};
  if (size < 2) return 0;
  const Topic topic = topics()[static_cast<unsigned char>(data[0] - 'a') % topic_count].topic;
  const auto& headers = header_sets()[static_cast<unsigned char>(data[1] - '0') % header_sets().size()];
  const std::string value(data + 2, data + size);
  const Record record = read(codec, topic, value, headers);
  require(record.value == value, "reading leaves the value alone");

  if (!record.poison.empty()) {
    const Outgoing letter = codec.dead_letter({std::make_shared<Record>(record), record.poison}, RoleId::order);
    require(letter.value == value, "a dead letter has its value byte for byte");
    return 0;
  }
  require(valid_id(record.event.order.value), "an accepted order_id is in bounds", record.event.order.value);

  const Outgoing written = codec.write(record.event);
  const Record again = read(codec, record.event.topic, *written.value, written.headers);
  require(again.poison.empty(), "what was written is read", again.poison + ": " + *written.value);
  require_same(record.event, again.event);
  require(codec.write(again.event).value == written.value, "written twice, the bytes are the same");
  require(unpack(pack({written})) == std::vector<Outgoing>{written}, "an outbox row keeps a record");

  // The order role forwards a record of another partition as it is; its reader must see the same.
  if (record.topic != Topic::order_rerouted) {
    const Outgoing rerouted = codec.reroute(record);
    require(rerouted.value == value, "a rerouted value is unchanged");
    const Record arrived = read(codec, Topic::order_rerouted, *rerouted.value, rerouted.headers);
    require(arrived.poison.empty(), "a rerouted record is read", arrived.poison);
    require_same(record.event, arrived.event);
  }
  return 0;
}
