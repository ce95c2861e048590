#pragma once
// A stand-in for the broker: topics with partitions that keep what is appended, in memory, until the world takes it away.

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/codec.hpp"
#include "actors/topics.hpp"

namespace cartwright::loop {

struct Entry {
  std::optional<std::string> key, value;
  std::vector<Header> headers;
  Millis timestamp = 0;
  std::shared_ptr<const Record> record;  // read once, for all who read it
};

/// One record that was ever written; what is lost from the log stays here, for the checks and for the story.
struct Written {
  Millis at = 0;
  std::string topic;
  int partition = 0;
  std::int64_t offset = 0;
  std::string value;
  OrderId order;
};

class Log {
 public:
  Log(const TopicNames& names, int partitions, std::shared_ptr<const Codec> codec);

  /// Appends; a dead letter (a topic that is not in the table) is counted only.
  void append(const std::string& topic, int partition, Entry entry);
  void append(const Outgoing& record, Millis now);

  [[nodiscard]] std::int64_t size(Topic topic, int partition) const {
    return static_cast<std::int64_t>(logs_[static_cast<std::size_t>(topic)][static_cast<std::size_t>(partition)].size());
  }
  [[nodiscard]] std::shared_ptr<const Record> at(Topic topic, int partition, std::int64_t offset) const {
    return logs_[static_cast<std::size_t>(topic)][static_cast<std::size_t>(partition)][static_cast<std::size_t>(offset)].record;
  }
  /// The broker comes back without what it had in `topic`, or without anything.
  void lose(std::optional<Topic> topic);

  [[nodiscard]] const std::vector<Written>& ever() const { return ever_; }
  [[nodiscard]] bool was_written(const Outgoing& record) const;
  [[nodiscard]] const std::string& name(Topic topic) const { return names_[topic]; }
  [[nodiscard]] std::optional<Topic> find(const std::string& name) const { return names_.find(name); }

 private:
  TopicNames names_;
  int partitions_;
  std::shared_ptr<const Codec> codec_;
  std::array<std::vector<std::vector<Entry>>, topic_count> logs_;
  std::vector<Written> ever_;
  std::set<std::uint64_t> written_;  // fingerprints of topic and value
};

/// What tells one outgoing record from another: its topic and its bytes.
[[nodiscard]] std::uint64_t identity_of(const std::string& topic, const std::string& value);

}  // namespace cartwright::loop
