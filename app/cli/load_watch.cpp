#include "app/cli/load_watch.hpp"

#include <algorithm>

#include "bridges/kafka/client.hpp"

namespace cartwright::cli {
namespace {

/// The id of a record's order: its key, or, as foreign programs write it, a member of its value.
std::string_view order_of(const LogRecord& record) {
  if (record.key && !record.key->empty()) return *record.key;
  if (!record.value) return {};
  auto name = record.value->find("\"order_id\"");
  if (name == std::string_view::npos) return {};
  auto begin = record.value->find('"', name + 10);
  if (begin == std::string_view::npos) return {};
  auto end = record.value->find('"', begin + 1);
  return end == std::string_view::npos ? std::string_view() : record.value->substr(begin + 1, end - begin - 1);
}

}  // namespace

Watcher::Watcher(const Context& context, Ledger& ledger, Feeder& feeder)
    : names_(context.options.topics), ledger_(ledger), feeder_(feeder), reader_(context.kafka("load"), true) {
  std::vector<std::string> topics{names_[Topic::order_tracking_updated], names_[Topic::order_cancelled],
                                  names_[Topic::notification_send]};
  auto extents = reader_.extents(topics);
  for (const auto& topic : topics)
    if (std::none_of(extents.begin(), extents.end(), [&](const Extent& one) { return one.topic == topic; }))
      throw CommandError("kafka: " + context.options.kafka_broker + " has no topic " + topic +
                         ": start a node, or `cartwright topics create`");
  for (const Extent& one : extents) reader_.start(one, one.end);
  auto placed = reader_.existing({names_[Topic::order_placed]});
  partitions_ = placed.empty() ? 0 : placed.front().second;
}

void Watcher::begin() {
  thread_ = std::thread([this] {
    try {
      while (!over_) watch();
    } catch (const std::exception& error) {
      fault_ = error.what();
      failed_ = true;
      feeder_.stop();
    }
  });
}

void Watcher::end() {
  over_ = true;
  if (thread_.joinable()) thread_.join();
}

void Watcher::watch() {
  std::int64_t at = 0;
  reader_.poll(100, [&](const LogRecord& record) {
    if (at == 0) at = now_us();  // one clock for what came together
    End end = end_of(record);
    if (end == End::none) return;
    if (auto id = order_of(record); !id.empty()) ledger_.ended(id, end, at);
  });
  feeder_.wake();
}

End Watcher::end_of(const LogRecord& record) const {
  if (record.topic == names_[Topic::order_tracking_updated]) return End::shipped;
  if (record.topic == names_[Topic::order_cancelled]) return End::cancelled;
  bool failed = record.value && (record.value->find("\"Payment failed.\"") != std::string_view::npos ||
                                 record.value->find("\"payment.failed\"") != std::string_view::npos);
  return failed ? End::payment_failed : End::none;
}

}  // namespace cartwright::cli
