#pragma once
// What the threads of a load run share: which orders go in next, what is known of each, and what went wrong.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "app/cli/load.hpp"

namespace cartwright::cli {

/// Microseconds of the steady clock.
[[nodiscard]] inline std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// When each order was handed in and when its end was read, whichever is known first: an answer may come after the end.
class Ledger {
 public:
  explicit Ledger(const Plan& plan, std::int64_t orders) : plan_(plan) {
    entries_.reserve(static_cast<std::size_t>(orders));
  }

  /// An order was taken. Any thread.
  void accepted(const std::string& id, std::int64_t number, std::int64_t sent_us);
  /// The end of an order was read, maybe of somebody else's. One thread.
  void ended(std::string_view id, End end, std::int64_t at_us);

  [[nodiscard]] std::int64_t settled() const { return settled_; }
  [[nodiscard]] std::int64_t accepted() const { return accepted_; }

  /// Once nobody writes any more.
  void report(LoadReport& report, std::vector<Sample>& sample, std::vector<std::int64_t>& shipped);

 private:
  struct Entry {
    std::int64_t number = -1, sent_us = 0, ended_us = 0;
    End end = End::none;
  };

  void settle(const std::string& id, const Entry& entry);
  void conflict(const std::string& id, End first, End second);

  const Plan& plan_;
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  std::string scratch_, wrong_text_, conflict_text_;
  std::size_t strangers_ = 0;
  std::int64_t wrong_ = 0, conflicts_ = 0;
  std::atomic<std::int64_t> settled_{0}, accepted_{0};
};

/// Says which orders go in next, and when: as many as the window has room for, or as the rate says. Any thread.
class Feeder {
 public:
  Feeder(const LoadOptions& options, const Ledger& ledger) : options_(options), ledger_(ledger) {}

  /// The rate counts from here.
  void begin() { began_ = Clock::now(); }
  /// The numbers of up to `most` orders; empty when there are no more or the run is over. Waits.
  [[nodiscard]] std::vector<std::int64_t> take(std::int64_t most);
  /// Orders that were refused for a moment go in again, before others.
  void again(const std::vector<std::int64_t>& numbers);
  /// Orders that were refused for good leave the window.
  void refused(std::int64_t count) { refused_ += count; }
  void stop();
  void wake() { changed_.notify_all(); }
  [[nodiscard]] bool stopped() const { return stopped_; }
  [[nodiscard]] std::int64_t busy() const { return busy_; }
  [[nodiscard]] std::int64_t refused_count() const { return refused_; }
  /// Once nobody takes any more.
  [[nodiscard]] double late_ms_max() const { return late_ms_max_; }

 private:
  using Clock = std::chrono::steady_clock;
  [[nodiscard]] std::int64_t room(std::int64_t most);
  [[nodiscard]] std::int64_t due(std::unique_lock<std::mutex>& lock, std::int64_t most);

  const LoadOptions& options_;
  const Ledger& ledger_;
  Clock::time_point began_;
  std::mutex turn_mutex_, mutex_;
  std::condition_variable changed_;
  std::int64_t next_ = 0;
  std::deque<std::int64_t> again_;
  Clock::time_point short_of_room_{};
  double late_ms_max_ = 0;
  std::atomic<std::int64_t> refused_{0}, busy_{0};
  std::atomic<bool> stopped_{false};
};

/// What went wrong while handing in: counted, the first few told.
class Refusals {
 public:
  void add(std::int64_t orders, const std::string& why) {
    std::lock_guard lock(mutex_);
    count_ += orders;
    if (texts_.size() < texts_max && std::find(texts_.begin(), texts_.end(), why) == texts_.end())
      texts_.push_back(why);
  }
  [[nodiscard]] std::string text() {
    std::lock_guard lock(mutex_);
    if (count_ == 0) return {};
    std::string all = std::to_string(count_) + " orders were not taken: ";
    for (std::size_t i = 0; i < texts_.size(); ++i) all += (i == 0 ? "" : "; ") + texts_[i];
    return all;
  }

 private:
  std::mutex mutex_;
  static constexpr std::size_t texts_max = 3;
  std::int64_t count_ = 0;
  std::vector<std::string> texts_;
};

}  // namespace cartwright::cli
