#include "tests/loop/log.hpp"

namespace cartwright::loop {

std::uint64_t identity_of(const std::string& topic, const std::string& value) { return fingerprint(topic) * 31 + fingerprint(value); }

Log::Log(const TopicNames& names, int partitions, std::shared_ptr<const Codec> codec)
    : names_(names), partitions_(partitions), codec_(std::move(codec)) {
  for (auto& topic : logs_) topic.resize(static_cast<std::size_t>(partitions));
}

void Log::append(const std::string& topic, int partition, Entry entry) {
  std::string value = entry.value.value_or("");
  written_.insert(identity_of(topic, value));
  auto known = names_.find(topic);
  Written written{entry.timestamp, topic, partition, 0, std::move(value), {}};
  if (known) {
    auto& log = logs_[static_cast<std::size_t>(*known)][static_cast<std::size_t>(partition)];
    auto record = std::make_shared<Record>();
    record->topic = *known;
    record->partition = partition;
    record->offset = written.offset = static_cast<std::int64_t>(log.size());
    record->timestamp = entry.timestamp;
    record->key = entry.key;
    record->value = entry.value;
    codec_->read(*record, entry.headers);
    written.order = record->event.order;
    entry.record = std::move(record);
    log.push_back(std::move(entry));
  }
  ever_.push_back(std::move(written));
}

void Log::append(const Outgoing& record, Millis now) {
  append(record.topic, record.order.empty() ? 0 : partition_of(record.order, partitions_), {record.key, record.value, record.headers, now, {}});
}

void Log::lose(std::optional<Topic> topic) {
  for (std::size_t i = 0; i < topic_count; ++i)
    if (!topic || i == static_cast<std::size_t>(*topic))
      for (auto& log : logs_[i]) log.clear();
}

bool Log::was_written(const Outgoing& record) const { return written_.contains(identity_of(record.topic, record.value.value_or(""))); }

}  // namespace cartwright::loop
