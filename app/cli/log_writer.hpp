#pragma once
// Writes records as a bystander: a few, in order, each with its result. For `dlq replay`, never for a node.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/event.hpp"

namespace cartwright::kafka {
struct ClientOptions;
}

namespace cartwright::cli {

/// A record to be written to a place of the caller's choice.
struct NewRecord {
  std::string topic;
  int partition = 0;
  std::optional<std::string> key, value;
  std::vector<Header> headers;
};

/// What became of it: `fault` is empty when it is in the log (acks=all), at `offset`.
struct Written {
  std::string fault;
  std::int64_t offset = -1;
};

/// An idempotent producer. One thread at a time.
class LogWriter {
 public:
  explicit LogWriter(const kafka::ClientOptions& options);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Writes all, in their order within a partition, and waits for every result; at most half a minute, then the rest
  /// is reported as not known to be written.
  [[nodiscard]] std::vector<Written> write(const std::vector<NewRecord>& records);

 private:
  struct Handles;
  std::unique_ptr<Handles> handles_;
};

}  // namespace cartwright::cli
