// The run itself: senders hand in orders, a watcher reads their ends, a ledger knows both.
#include "app/cli/load.hpp"

#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <iostream>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "app/cli/log_reader.hpp"
#include "app/cli/output.hpp"
#include "app/cli/processes.hpp"
#include "app/options/text.hpp"
#include "bridges/kafka/client.hpp"

namespace cartwright::cli {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::int64_t us_per_second = 1'000'000;
constexpr auto busy_pause_min = 20ms, busy_pause_max = 1000ms;    // after a 503
constexpr auto unreachable_max = 10s;                             // then a run without any answer is given up
constexpr auto batch_tick = 5ms;                                  // open loop: so much of the rate goes into one batch call
constexpr std::int64_t stock_patience_ms = 20'000, sample_patience_ms = 10'000;
constexpr std::size_t strangers_max = 1'000'000;                  // ends of other people's orders that are remembered
constexpr std::size_t not_ended_shown_max = 5, sample_size = 20, refusals_shown_max = 3;

std::int64_t now_us() { return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch()).count(); }

/// When each order was handed in and when its end was read, whichever is known first: an answer may come after the end.
class Ledger {
 public:
  explicit Ledger(const Plan& plan, std::int64_t orders) : plan_(plan) { entries_.reserve(static_cast<std::size_t>(orders)); }

  void accepted(const std::string& id, std::int64_t number, std::int64_t sent_us) {
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

  void ended(std::string_view id, End end, std::int64_t at_us) {
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

  [[nodiscard]] std::int64_t settled() const { return settled_; }
  [[nodiscard]] std::int64_t accepted() const { return accepted_; }

  /// Once nobody writes any more.
  void report(LoadReport& report, std::vector<Sample>& sample, std::vector<std::int64_t>& shipped) {
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
    if (wrong_ > 0) report.problems.push_back(std::to_string(wrong_) + " orders ended otherwise than expected: " + wrong_text_);
    if (conflicts_ > 0) report.problems.push_back(std::to_string(conflicts_) + " orders ended twice: " + conflict_text_);
  }

 private:
  struct Entry {
    std::int64_t number = -1, sent_us = 0, ended_us = 0;
    End end = End::none;
  };

  void settle(const std::string& id, const Entry& entry) {
    ++settled_;
    if (End expected = plan_.end_of(entry.number); entry.end != expected && ++wrong_ <= 3)
      wrong_text_ += (wrong_text_.empty() ? "" : ", ") + id + " " + std::string(to_string(entry.end)) + " (not " + std::string(to_string(expected)) + ")";
  }

  void conflict(const std::string& id, End first, End second) {
    if (++conflicts_ <= 3)
      conflict_text_ += (conflict_text_.empty() ? "" : ", ") + id + " " + std::string(to_string(first)) + " and " + std::string(to_string(second));
  }

  const Plan& plan_;
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  std::string scratch_, wrong_text_, conflict_text_;
  std::size_t strangers_ = 0;
  std::int64_t wrong_ = 0, conflicts_ = 0;
  std::atomic<std::int64_t> settled_{0}, accepted_{0};
};

/// Says which orders go in next, and when: as many as the window has room for, or as the rate says.
class Feeder {
 public:
  Feeder(const LoadOptions& options, const Ledger& ledger) : options_(options), ledger_(ledger) {}

  /// The rate counts from here.
  void begin() { began_ = Clock::now(); }

  /// The numbers of up to `most` orders; empty when there are no more or the run is over. Waits.
  [[nodiscard]] std::vector<std::int64_t> take(std::int64_t most) {
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
      if (auto room = options_.rate > 0 ? due(lock, most) : free(most); room > 0) {
        for (auto end = next_ + std::min({most, room, options_.orders - next_}); next_ < end;) taken.push_back(next_++);
        return taken;
      }
      changed_.wait_for(lock, 1ms);
    }
    return taken;
  }

  /// Orders that were refused for a moment go in again, before others.
  void again(const std::vector<std::int64_t>& numbers) {
    std::lock_guard lock(mutex_);
    again_.insert(again_.end(), numbers.begin(), numbers.end());
    busy_ += std::ssize(numbers);
  }
  /// Orders that were refused for good leave the window.
  void refused(std::int64_t count) {
    std::lock_guard lock(mutex_);
    refused_ += count;
  }
  void stop() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  void wake() { changed_.notify_all(); }
  [[nodiscard]] bool stopped() const { return stopped_; }
  [[nodiscard]] std::int64_t busy() const { return busy_; }
  [[nodiscard]] std::int64_t refused_count() const { return refused_; }
  [[nodiscard]] double late_ms_max() const { return late_ms_max_; }

 private:
  std::int64_t free(std::int64_t most) {
    auto room = options_.window - (next_ - ledger_.settled() - refused_);
    // A nearly full window would go on in batches of one: wait for some room, but not for long.
    auto worth = std::min({most, std::max<std::int64_t>(1, options_.window / 8), options_.orders - next_});
    if (room <= 0) return 0;
    if (room >= worth) {
      short_of_room_ = {};
      return room;
    }
    if (short_of_room_ == Clock::time_point{}) short_of_room_ = Clock::now();
    if (Clock::now() - short_of_room_ < 20ms) return 0;
    short_of_room_ = {};
    return room;
  }

  std::int64_t due(std::unique_lock<std::mutex>& lock, std::int64_t most) {
    auto at = [this](std::int64_t number) { return began_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(static_cast<double>(number) / options_.rate)); };
    auto wait_until = at(next_);
    if (options_.via == Via::batch) wait_until = began_ + ((wait_until - began_) / batch_tick + 1) * batch_tick;
    if (auto now = Clock::now(); now < wait_until) {
      // Without the lock: the others have orders of their own to give back.
      lock.unlock();
      std::this_thread::sleep_for(std::min<Clock::duration>(wait_until - now, 50ms));
      lock.lock();
      return 0;
    }
    auto now = Clock::now();
    late_ms_max_ = std::max(late_ms_max_, std::chrono::duration<double, std::milli>(now - wait_until).count());
    auto count = static_cast<std::int64_t>(std::chrono::duration<double>(now - began_).count() * options_.rate) + 1 - next_;
    return std::clamp<std::int64_t>(count, 0, most);
  }

  const LoadOptions& options_;
  const Ledger& ledger_;
  Clock::time_point began_;
  std::mutex mutex_;
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
    if (texts_.size() < refusals_shown_max && std::find(texts_.begin(), texts_.end(), why) == texts_.end()) texts_.push_back(why);
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
  std::int64_t count_ = 0;
  std::vector<std::string> texts_;
};

/// Everything that the threads of a run share.
struct Run {
  const Context& context;
  const LoadOptions& options;
  const Plan& plan;
  Ledger& ledger;
  Feeder& feeder;
  Refusals& refusals;
};

std::chrono::milliseconds pause_after(const HttpAnswer& answer) {
  auto seconds = options::number(answer.retry_after);
  auto asked = seconds.fault.empty() ? std::chrono::milliseconds(seconds.value * 1000) : busy_pause_min;
  return std::clamp<std::chrono::milliseconds>(asked, busy_pause_min, busy_pause_max);
}

/// Whether a sender goes on after an answer that took nothing. What it could not have taken goes in again.
class Patience {
 public:
  bool after(Run& run, const HttpAnswer& answer, const std::vector<std::int64_t>& numbers, const HttpClient& client) {
    bool busy = answer.fault.empty() && (answer.status == 503 || answer.status == 429);
    bool away = !answer.fault.empty() && !answer.sent;
    if (!busy && !away) {
      run.refusals.add(std::ssize(numbers), (answer.fault.empty() ? "" : "without an answer, so nobody knows: ") + read_problem(answer));
      run.feeder.refused(std::ssize(numbers));
      return answer.status != 401 && answer.status != 403 && answer.status != 404;
    }
    if (since_ == Clock::time_point{}) since_ = Clock::now();
    if (away && Clock::now() - since_ > unreachable_max) {
      run.refusals.add(std::ssize(numbers), client.shown() + ": " + answer.fault);
      return false;
    }
    run.feeder.again(numbers);
    std::this_thread::sleep_for(pause_after(answer));
    return true;
  }
  void answered() { since_ = {}; }

 private:
  Clock::time_point since_{};
};

void send_singly(Run& run) {
  HttpClient client = run.context.http();
  Patience patience;
  for (auto numbers = run.feeder.take(1); !numbers.empty(); numbers = run.feeder.take(1)) {
    std::string body = run.plan.body_of(numbers[0]);
    auto sent = now_us();
    auto answer = client.send({"POST", "/v1/orders", body, "application/json", {}});
    std::string id = answer.status == 202 ? read_order_id(answer.body) : "";
    if (!id.empty()) {
      patience.answered();
      run.ledger.accepted(id, numbers[0], sent);
    } else if (!patience.after(run, answer, numbers, client)) {
      return run.feeder.stop();
    }
  }
}

void send_batches(Run& run) {
  HttpClient client = run.context.http();
  Patience patience;
  for (auto numbers = run.feeder.take(run.options.batch); !numbers.empty(); numbers = run.feeder.take(run.options.batch)) {
    std::string body;
    for (auto number : numbers) body += run.plan.body_of(number) + "\n";
    auto sent = now_us();
    auto answer = client.send({"POST", "/v1/orders:batch", body, "application/x-ndjson", {}});
    if (!answer.fault.empty() || answer.status != 200) {
      if (!patience.after(run, answer, numbers, client)) return run.feeder.stop();
      continue;
    }
    patience.answered();
    auto lines = read_batch(answer.body);
    std::vector<std::int64_t> busy;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (i < lines.size() && lines[i].status == 202) {
        run.ledger.accepted(lines[i].order_id, numbers[i], sent);
      } else if (i < lines.size() && (lines[i].status == 503 || lines[i].status == 429)) {
        busy.push_back(numbers[i]);
      } else {
        run.refusals.add(1, i < lines.size() ? std::to_string(lines[i].status) + " (" + lines[i].detail + ")" : "the batch answer lacks lines");
        run.feeder.refused(1);
      }
    }
    if (!busy.empty()) {
      run.feeder.again(busy);
      std::this_thread::sleep_for(busy_pause_min);
    }
  }
}

/// A foreign program's way in: bare records, four fields, no headers.
class RecordSender final : public kafka::Listener {
 public:
  RecordSender(Run& run, int partitions)
      : run_(run), partitions_(partitions),
        client_(kafka::make_client(RD_KAFKA_PRODUCER, run.context.kafka("load"), "producer",
                                   {{"linger.ms", std::to_string(run.context.options.kafka_linger.count())},
                                    {"batch.num.messages", "10000"},
                                    {"queue.buffering.max.messages", "200000"},
                                    {"message.timeout.ms", std::to_string(run.options.timeout_ms)}},
                                   {{"acks", "all"}, {"enable.idempotence", "true"}}, *this)),
        topic_(rd_kafka_topic_new(client_.get(), run.context.options.topics[Topic::order_placed].c_str(), nullptr)) {}

  void send_all() {
    for (auto numbers = run_.feeder.take(1000); !numbers.empty(); numbers = run_.feeder.take(1000)) {
      for (auto number : numbers) put(number);
      rd_kafka_poll(client_.get(), 0);
    }
    for (auto waited = 0; rd_kafka_outq_len(client_.get()) > 0 && waited < 100 && !interrupted(); ++waited) rd_kafka_flush(client_.get(), 100);
  }

  void on_error(rd_kafka_resp_err_t, std::string_view) override {}
  void on_log(int, std::string_view) override {}
  void on_delivery(const rd_kafka_message_t& message) override {
    if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    run_.refusals.add(1, to_string(kafka::describe(message.err, "producing", run_.context.options.kafka_broker)));
    run_.feeder.refused(1);
  }

 private:
  void put(std::int64_t number) {
    std::string id = run_.plan.prefix() + "-o" + std::to_string(number), body = run_.plan.body_of(number, id);
    run_.ledger.accepted(id, number, now_us());
    while (!run_.feeder.stopped()) {
      if (rd_kafka_produce(topic_.get(), partition_of(id, partitions_), RD_KAFKA_MSG_F_COPY, body.data(), body.size(), id.data(), id.size(), nullptr) == 0) return;
      auto code = rd_kafka_last_error();
      if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        run_.refusals.add(1, to_string(kafka::describe(code, "producing", run_.context.options.kafka_broker)));
        return run_.feeder.refused(1);
      }
      rd_kafka_poll(client_.get(), 5);
    }
  }

  Run& run_;
  int partitions_;
  kafka::Client client_;
  kafka::TopicHandle topic_;
};

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

/// Reads the topics that tell ends, from where they ended before the first order.
class Watcher {
 public:
  Watcher(const Context& context, Ledger& ledger, Feeder& feeder) : names_(context.options.topics), ledger_(ledger), feeder_(feeder), reader_(context.kafka("load"), true) {
    std::vector<std::string> topics{names_[Topic::order_tracking_updated], names_[Topic::order_cancelled], names_[Topic::notification_send]};
    auto extents = reader_.extents(topics);
    for (const auto& topic : topics)
      if (std::none_of(extents.begin(), extents.end(), [&](const Extent& one) { return one.topic == topic; }))
        throw CommandError("kafka: " + context.options.kafka_broker + " has no topic " + topic + ": start a node, or `cartwright topics create`");
    for (const Extent& one : extents) reader_.start(one, one.end);
    auto placed = reader_.existing({names_[Topic::order_placed]});
    partitions_ = placed.empty() ? 0 : placed.front().second;
  }
  ~Watcher() { end(); }

  [[nodiscard]] int partitions() const { return partitions_; }
  void begin() {
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
  void end() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] bool failed() const { return failed_; }
  /// Once it has ended.
  [[nodiscard]] const std::string& fault() const { return fault_; }

 private:
  void watch() {
    std::int64_t at = 0;
    reader_.poll(100, [&](const LogRecord& record) {
      if (at == 0) at = now_us();  // one clock for what came together
      End end = end_of(record);
      if (end == End::none) return;
      if (auto id = order_of(record); !id.empty()) ledger_.ended(id, end, at);
    });
    feeder_.wake();
  }

  [[nodiscard]] End end_of(const LogRecord& record) const {
    if (record.topic == names_[Topic::order_tracking_updated]) return End::shipped;
    if (record.topic == names_[Topic::order_cancelled]) return End::cancelled;
    bool failed = record.value && (record.value->find("\"Payment failed.\"") != std::string_view::npos || record.value->find("\"payment.failed\"") != std::string_view::npos);
    return failed ? End::payment_failed : End::none;
  }

  const TopicNames& names_;
  Ledger& ledger_;
  Feeder& feeder_;
  LogReader reader_;
  int partitions_ = 0;
  std::thread thread_;
  std::atomic<bool> over_{false}, failed_{false};
  std::string fault_;
};

ServerPorts ports_of(const options::Options& options) {
  auto port_in_url = [](const std::string& url, int usual) {
    auto begin = url.find("://");
    if (begin == std::string::npos) return 0;
    std::string authority = url.substr(begin + 3, url.find_first_of("/?", begin + 3) - begin - 3);
    if (auto at = authority.rfind('@'); at != std::string::npos) authority.erase(0, at + 1);
    auto address = options::host_port(authority);
    return address ? static_cast<int>(address->port) : usual;
  };
  ServerPorts ports;
  auto brokers = options::split(options.kafka_broker, ',');
  if (auto address = options::host_port(brokers.front())) ports.kafka = address->port;
  if (options.redis_url.starts_with("redis://")) ports.redis = port_in_url(options.redis_url, 6379);
  if (options.database_url.starts_with("postgres")) ports.postgres = port_in_url(options.database_url, 5432);
  ports.http = options.http_port;
  return ports;
}

std::vector<Watched> processes_of(const Context& context, const LoadOptions& options) {
  if (options.pids == "none") return {};
  if (options.pids == "auto") return find_processes(ports_of(context.options));
  std::string fault;
  auto watched = watched_of(options.pids, fault);
  if (!fault.empty()) throw CommandError("--pids " + fault, exit_usage);
  for (const Watched& one : watched)
    if (cpu_us(one.pid) < 0) throw CommandError("--pids: there is no process " + std::to_string(one.pid) + " (" + one.name + ")", exit_usage);
  return watched;
}

void check_arguments(const LoadOptions& options) {
  auto wrong = [](const std::string& what) { throw CommandError(what, exit_usage); };
  if (options.orders < 1) wrong("--orders: at least 1");
  if (options.window < 1) wrong("--window: at least 1");
  if (options.rate < 0 || !std::isfinite(options.rate)) wrong("--rate: orders per second, more than 0");
  if (options.batch < 1 || options.batch > 10'000) wrong("--batch: 1 to 10000, the most that one call takes");
  if (options.products < 1 || options.products > 100'000) wrong("--products: 1 to 100000");
  if (options.lines < 1 || options.lines > 100) wrong("--lines: 1 to 100");
  if (options.lines > options.products) wrong("--lines: not more than --products, each line has a product of its own");
  if (options.declined < 0 || options.out_of_stock < 0 || options.declined + options.out_of_stock > 100) wrong("--declined and --out-of-stock: percents, not more than 100 together");
  if (options.connections < 0 || options.connections > 10'000) wrong("--connections: 1 to 10000");
}

void show_progress(const Ledger& ledger, const LoadOptions& options, Clock::time_point began, bool last) {
  if (!is_terminal(2)) return;
  constexpr std::int64_t width = 30;
  auto ended = ledger.settled();
  auto seconds = std::chrono::duration<double>(Clock::now() - began).count();
  auto filled = static_cast<std::size_t>(width * std::min(ended, options.orders) / options.orders);
  std::string bar(filled, '#');
  bar.resize(width, '.');
  std::cerr << "\r[" << bar << "] " << grouped(ended) << " of " << grouped(options.orders) << " ended, " << grouped(ledger.accepted() - ended) << " in flight, "
            << grouped(seconds > 0 ? static_cast<std::int64_t>(static_cast<double>(ended) / seconds) : 0) << "/s \033[K" << (last ? "\r\033[K" : "") << std::flush;
}

/// Starts the senders; they end when the feeder has no more.
std::vector<std::thread> senders(Run& run, int partitions, std::atomic<int>& running) {
  std::vector<std::thread> threads;
  int count = run.options.via == Via::kafka ? 1 : run.options.connections > 0 ? run.options.connections : run.options.via == Via::http ? 64 : 2;
  running = count;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&run, &running, partitions] {
      try {
        switch (run.options.via) {
          case Via::http: send_singly(run); break;
          case Via::batch: send_batches(run); break;
          case Via::kafka: RecordSender(run, partitions).send_all(); break;
        }
      } catch (const std::exception& error) {
        run.refusals.add(0, error.what());
        run.feeder.stop();
      }
      --running;
    });
  return threads;
}

/// Until everything has ended, the time is over, or nothing can come any more. What kept it from ending; "" if nothing.
std::string wait_for_ends(Run& run, Watcher& watcher, std::atomic<int>& running, Clock::time_point began, double& placing_seconds) {
  auto deadline = began + std::chrono::milliseconds(run.options.timeout_ms);
  auto shown = began;
  for (;;) {
    bool placed = running == 0;
    if (placed && placing_seconds == 0) placing_seconds = std::chrono::duration<double>(Clock::now() - began).count();
    if (placed && run.ledger.settled() >= run.ledger.accepted()) return {};
    if (placed && run.ledger.accepted() - run.feeder.refused_count() <= run.ledger.settled() && run.options.via == Via::kafka) return {};
    if (watcher.failed()) return "the topics cannot be read any more";
    if (interrupted()) return "interrupted";
    if (Clock::now() >= deadline) return "the time of --timeout " + options::spell_duration(run.options.timeout_ms) + " is over";
    if (Clock::now() - shown >= 200ms) {
      shown = Clock::now();
      show_progress(run.ledger, run.options, began, false);
    }
    std::this_thread::sleep_for(5ms);
  }
}

}  // namespace

int load(const Context& context, const LoadOptions& options) {
  check_arguments(options);
  auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::string prefix = options.prefix.empty() ? "load-" + std::to_string(millis) : options.prefix;
  if (!valid_id(prefix) || prefix.size() > 100) throw CommandError("--prefix: 1 to 100 letters of [A-Za-z0-9._:~-]", exit_usage);
  if (!options.stock && options.prefix.empty())
    throw CommandError("--no-stock needs the --prefix of a run that has set the stock: products are <prefix>-0, <prefix>-1 ...", exit_usage);
  catch_interrupts();
  Plan plan(options, prefix);
  std::vector<std::int64_t> units(static_cast<std::size_t>(options.products)), shipped(units.size()), sold_before;
  for (std::int64_t number = 0; number < options.orders; ++number)
    for (int product : plan.products_of(number))
      if (product >= 0) ++units[static_cast<std::size_t>(product)];
  Context stock_context = context;
  if (!options.stock_url.empty()) stock_context.url = options.stock_url;
  if (options.stock || options.check) {
    HttpClient client = stock_context.http();
    sold_before = prepare_stock(client, plan, units, options.stock);
  }

  LoadReport report;
  report.via = options.via == Via::http ? "http" : options.via == Via::batch ? "batch" : "kafka";
  report.prefix = prefix;
  report.orders = options.orders;
  Ledger ledger(plan, options.orders);
  Refusals refusals;
  Feeder feeder(options, ledger);
  Watcher watcher(context, ledger, feeder);
  CpuMeter meter(processes_of(context, options));
  auto began = Clock::now();
  Run run{context, options, plan, ledger, feeder, refusals};
  std::atomic<int> running{0};
  feeder.begin();
  watcher.begin();
  auto threads = senders(run, watcher.partitions(), running);
  std::string unfinished = wait_for_ends(run, watcher, running, began, report.placing_seconds);
  feeder.stop();
  report.cpu_us = meter.used();
  for (auto& thread : threads) thread.join();
  watcher.end();
  show_progress(ledger, options, began, true);

  std::vector<Sample> sample;
  ledger.report(report, sample, shipped);
  report.busy_answers = feeder.busy();
  report.late_ms_max = feeder.late_ms_max();
  if (!watcher.fault().empty()) report.problems.push_back(watcher.fault());
  if (std::string text = refusals.text(); !text.empty()) report.problems.push_back(text);
  if (report.accepted < options.orders && unfinished.empty()) unfinished = "not all were placed";
  if (report.ended < options.orders)
    report.problems.push_back(std::to_string(options.orders - report.ended) + " orders did not end" + (unfinished.empty() ? "" : ": " + unfinished));
  // What is still under way has no end to compare: the sums would only say so again.
  if (options.check && report.ended == report.accepted && !interrupted()) {
    try {
      HttpClient stock = stock_context.http(), orders = context.http();
      for (auto& problem : check_stock(stock, plan, sold_before, shipped, stock_patience_ms)) report.problems.push_back(std::move(problem));
      for (auto& problem : check_orders(orders, sample, sample_patience_ms)) report.problems.push_back(std::move(problem));
    } catch (const CommandError& error) {
      report.problems.emplace_back(error.what());
    }
  }
  std::cout << (context.format == Format::json ? to_json(report) : to_text(report));
  return report.problems.empty() ? exit_ok : exit_failure;
}

}  // namespace cartwright::cli
