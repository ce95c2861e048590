#pragma once
// Reads topics as a bystander: no consumer group, no commits, any place to begin. For `topics tail`, `order get
// --trace` and the load generator, never for a node.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "actors/event.hpp"
#include "actors/ids.hpp"

namespace cartwright::kafka {
struct ClientOptions;
}

namespace cartwright::cli {

/// A record while it is being looked at; nothing in it outlives the call.
struct LogRecord {
  std::string_view topic;
  int partition = 0;
  std::int64_t offset = 0;
  Millis timestamp = 0;
  std::optional<std::string_view> key, value;
  std::function<std::optional<std::string>(const char* name)> header;
  std::function<std::vector<Header>()> headers;  // all, in their order
};

/// A partition and what it holds: offsets from begin up to, not including, end.
struct Extent {
  std::string topic;
  int partition = 0;
  std::int64_t begin = 0, end = 0;
};

/// A consumer without a group. One thread at a time. Every failure is a CommandError.
class LogReader {
 public:
  /// `prompt`: fetches return with the first record, for measuring; else with many.
  LogReader(const kafka::ClientOptions& options, bool prompt);
  ~LogReader();
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  /// Those of `topics` that exist, with the number of their partitions.
  [[nodiscard]] std::vector<std::pair<std::string, int>> existing(const std::vector<std::string>& topics);
  /// Every partition of the existing ones of `topics`.
  [[nodiscard]] std::vector<Extent> extents(const std::vector<std::string>& topics);
  /// For each extent the first offset whose record is not older than `since`; its `begin` when the broker cannot say.
  [[nodiscard]] std::vector<std::int64_t> offsets_since(const std::vector<Extent>& extents, Millis since);

  /// Begins to read a partition at `offset`.
  void start(const Extent& extent, std::int64_t offset);
  /// Waits up to `timeout_ms` for records and hands out those that are here. How many partitions were found read to
  /// their end meanwhile.
  std::size_t poll(int timeout_ms, const std::function<void(const LogRecord&)>& on_record);

 private:
  struct Handles;
  std::unique_ptr<Handles> handles_;
};

}  // namespace cartwright::cli
