#include "app/cli/load_ledger.hpp"

#include <thread>

namespace cartwright::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t us_per_second = 1'000'000;
constexpr auto batch_tick = 5ms;                  // open loop: so much of the rate goes into one batch call
constexpr std::size_t strangers_max = 1'000'000;  // ends of other people's orders that are remembered
constexpr std::size_t not_ended_shown_max = 5, sample_size = 20, texts_shown_max = 3;

}  // namespace

void Ledger::accepted(const std::string& id, std::int64_t number, std::int64_t sent_us) {
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[id];
  entry.number = number;
  entry.sent_us = sent_us;
  ++accepted_;
  if (entry.end != End::none) {
    --strangers_;
    settle(id, entry);
  }
}

void Ledger::ended(std::string_view id, End end, std::int64_t at_us) {
  std::lock_guard lock(mutex_);
  scratch_.assign(id);
  auto at = entries_.find(scratch_);
  if (at == entries_.end()) {
    if (strangers_ >= strangers_max) return;
    ++strangers_;
    at = entries_.emplace(scratch_, Entry{}).first;
  }
  Entry& entry = at->second;
  if (entry.end != End::none) {
    if (entry.end != end && entry.number >= 0) conflict(scratch_, entry.end, end);
    return;
  }
  entry.end = end;
  entry.ended_us = at_us;
  if (entry.number >= 0) settle(scratch_, entry);
}

void Ledger::report(LoadReport& report, std::vector<Sample>& sample, std::vector<std::int64_t>& shipped) {
  std::int64_t first = INT64_MAX, last = 0;
  for (auto& [id, entry] : entries_) {
    if (entry.number < 0) continue;
    if (entry.end == End::none) {
      if (report.not_ended.size() < not_ended_shown_max) report.not_ended.push_back(id);
      continue;
    }
    first = std::min(first, entry.sent_us);
    last = std::max(last, entry.ended_us);
    report.latencies_us.push_back(std::max<std::int64_t>(0, entry.ended_us - entry.sent_us));
    ++report.by_end[static_cast<std::size_t>(entry.end)];
    if (sample.size() < sample_size) sample.push_back({id, entry.end});
    if (entry.end != End::shipped) continue;
    for (int product : plan_.products_of(entry.number))
      if (product >= 0) ++shipped[static_cast<std::size_t>(product)];
  }
  std::sort(report.latencies_us.begin(), report.latencies_us.end());
  report.accepted = accepted_;
  report.ended = settled_;
  if (last > first) report.seconds = static_cast<double>(last - first) / us_per_second;
  if (wrong_ > 0)
    report.problems.push_back(std::to_string(wrong_) + " orders ended otherwise than expected: " + wrong_text_);
  if (conflicts_ > 0) report.problems.push_back(std::to_string(conflicts_) + " orders ended twice: " + conflict_text_);
}

void Ledger::settle(const std::string& id, const Entry& entry) {
  ++settled_;
  if (End expected = plan_.end_of(entry.number); entry.end != expected && ++wrong_ <= std::int64_t{texts_shown_max})
    wrong_text_ += (wrong_text_.empty() ? "" : ", ") + id + " " + std::string(to_string(entry.end)) + " (not " +
                   std::string(to_string(expected)) + ")";
}

void Ledger::conflict(const std::string& id, End first, End second) {
  if (++conflicts_ <= std::int64_t{texts_shown_max})
    conflict_text_ += (conflict_text_.empty() ? "" : ", ") + id + " " + std::string(to_string(first)) + " and " +
                      std::string(to_string(second));
}

std::vector<std::int64_t> Feeder::take(std::int64_t most) {
  // One waits for room or for the time; the rest wait for that one: sixty-four that look at the clock are a load too.
  std::lock_guard turn(turn_mutex_);
  std::unique_lock lock(mutex_);
  std::vector<std::int64_t> taken;
  while (!stopped_ && (next_ < options_.orders || !again_.empty())) {
    if (!again_.empty()) {
      while (!again_.empty() && std::ssize(taken) < most) {
        taken.push_back(again_.front());
        again_.pop_front();
      }
      return taken;
    }
    if (auto now = options_.rate > 0 ? due(lock, most) : room(most); now > 0) {
      for (auto end = next_ + std::min({most, now, options_.orders - next_}); next_ < end;) taken.push_back(next_++);
      return taken;
    }
    changed_.wait_for(lock, 1ms);
  }
  return taken;
}

void Feeder::again(const std::vector<std::int64_t>& numbers) {
  std::lock_guard lock(mutex_);
  again_.insert(again_.end(), numbers.begin(), numbers.end());
  busy_ += std::ssize(numbers);
}

void Feeder::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

std::int64_t Feeder::room(std::int64_t most) {
  auto left = options_.window - (next_ - ledger_.settled() - refused_);
  // A nearly full window would go on in batches of one: wait for some room, but not for long.
  auto worth = std::min({most, std::max<std::int64_t>(1, options_.window / 8), options_.orders - next_});
  if (left <= 0) return 0;
  if (left >= worth) {
    short_of_room_ = {};
    return left;
  }
  if (short_of_room_ == Clock::time_point{}) short_of_room_ = Clock::now();
  if (Clock::now() - short_of_room_ < 20ms) return 0;
  short_of_room_ = {};
  return left;
}

std::int64_t Feeder::due(std::unique_lock<std::mutex>& lock, std::int64_t most) {
  auto at = [this](std::int64_t number) {
    return began_ + std::chrono::duration_cast<Clock::duration>(
                        std::chrono::duration<double>(static_cast<double>(number) / options_.rate));
  };
  auto wait_until = at(next_);
  if (options_.via == Via::batch) wait_until = began_ + ((wait_until - began_) / batch_tick + 1) * batch_tick;
  if (auto now = Clock::now(); now < wait_until) {
    // Without the lock: others have orders to give back meanwhile.
    lock.unlock();
    std::this_thread::sleep_for(std::min<Clock::duration>(wait_until - now, 50ms));
    lock.lock();
    return 0;
  }
  auto now = Clock::now();
  late_ms_max_ = std::max(late_ms_max_, std::chrono::duration<double, std::milli>(now - wait_until).count());
  auto count =
      static_cast<std::int64_t>(std::chrono::duration<double>(now - began_).count() * options_.rate) + 1 - next_;
  return std::clamp<std::int64_t>(count, 0, most);
}

}  // namespace cartwright::cli
