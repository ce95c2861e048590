#pragma once
// Where a load run learns how its orders ended: from the log, as any other program would.

#include <atomic>
#include <string>
#include <thread>

#include "app/cli/load_ledger.hpp"
#include "app/cli/log_reader.hpp"

namespace cartwright::cli {

/// Reads the topics that tell ends, from where they ended before the first order.
class Watcher {
 public:
  /// Throws CommandError when the broker or one of the topics is not there.
  Watcher(const Context& context, Ledger& ledger, Feeder& feeder);
  ~Watcher() { end(); }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  /// Of order.placed.
  [[nodiscard]] int partitions() const { return partitions_; }
  /// Reads on a thread of its own until `end`.
  void begin();
  void end();
  [[nodiscard]] bool failed() const { return failed_; }
  /// Once it has ended.
  [[nodiscard]] const std::string& fault() const { return fault_; }

 private:
  void watch();
  [[nodiscard]] End end_of(const LogRecord& record) const;

  const TopicNames& names_;
  Ledger& ledger_;
  Feeder& feeder_;
  LogReader reader_;
  int partitions_ = 0;
  std::thread thread_;
  std::atomic<bool> over_{false}, failed_{false};
  std::string fault_;
};

}  // namespace cartwright::cli
