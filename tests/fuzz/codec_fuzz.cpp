// libFuzzer: any bytes as a record of any topic, plain and structured. Reading must answer, and what it accepts must
// be written and read again. Built with -DCARTWRIGHT_FUZZ=ON.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "bridges/json/codec.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cartwright;
  static const json::JsonCodec codec{TopicNames(), "fuzz"};
  static const std::vector<std::vector<Header>> headers{
      {}, {{"content-type", "application/cloudevents+json"}}, {{"topic", "order.placed"}, {"ce_time",
          "2026-11-22T10:00:00Z"}}};
  for (const TopicInfo& row : topics()) {
    for (const std::vector<Header>& with : headers) {
      Record record;
      record.topic = row.topic;
      record.value.emplace(data, data + size);
      codec.read(record, with);
      if (!record.poison.empty()) continue;
      Record again;
      again.topic = record.event.topic;
      Outgoing out = codec.write(record.event);
      again.value = out.value;
      codec.read(again, out.headers);
      if (!again.poison.empty()) std::abort();
    }
  }
  return 0;
}
