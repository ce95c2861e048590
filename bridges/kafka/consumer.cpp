#include "bridges/kafka/consumer.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "actors/limits.hpp"

namespace cartwright::kafka {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int idle_poll_ms = 20;  // bounds how late a paused shard is resumed; commands wake the thread
constexpr std::size_t drained_records_max = 1000;  // then what was read is sent on
constexpr auto commit_interval = 200ms;            // a commit per batch would cost a request per batch
constexpr auto check_interval = 1s;                // watermarks, lag
constexpr auto assign_retry = 200ms;
constexpr auto stragglers_wait = 300ms, assign_again = 1500ms;
constexpr int query_timeout_ms = 1000;
constexpr int last_commit_timeout_ms = 1000;
constexpr auto hand_over_max = 3s;    // a shard's transaction and its goodbye; then the group goes on without
constexpr auto unsettled_max = 60s;   // 2.0.2 may hang on an unreachable coordinator; a new client does not
constexpr auto close_max = 8s;        // hand over, last commit, query, leaving
constexpr int suspicions_needed = 2;  // queries, a second apart: a new leader may lag behind for a moment

Settings tuned(const ClientOptions& options, const ConsumerOptions& how) {
  return {{"session.timeout.ms", std::to_string(options.session_timeout.count())},
          {"heartbeat.interval.ms", std::to_string(std::max<std::int64_t>(options.session_timeout.count() / 3, 1))},
          {"max.poll.interval.ms", "300000"},              // at least the session timeout; the own thread always polls
          {"fetch.wait.max.ms", std::to_string(how.lazy ? 100 : how.fetch_wait.count())},
          {"fetch.min.bytes", how.lazy ? "100000" : "1"},
          {"fetch.error.backoff.ms", "20"},  // also how long a full queue keeps a partition from being fetched
          {"fetch.max.bytes", "8388608"},
          {"max.partition.fetch.bytes", "524288"},
          {"queued.max.messages.kbytes", "16384"},  // of the whole client: its partitions share one queue
          {"queued.min.messages", "1000000"},       // never the bound: beyond it 2.0.2 looks again only after 1 s
          {"socket.timeout.ms", "10000"},           // also bounds requests whose own timeout 2.0.2 ignores
          {"topic.metadata.refresh.interval.ms", "10000"}};
}

Settings fixed(const std::string& group) {
  return {{"group.id", group},
          {"partition.assignment.strategy", "range"},  // partition p of every topic goes to one member
          {"enable.auto.commit", "false"},
          {"enable.auto.offset.store", "false"},
          {"auto.offset.reset", "earliest"},
          {"enable.partition.eof", "true"},  // says where a log ends that ends with markers or gaps
          {"allow.auto.create.topics", "false"}};
}

/// One topic of one running shard.
struct Place {
  std::int64_t position = 0;                       // the next offset that the shard lacks
  std::int64_t fetch = RD_KAFKA_OFFSET_BEGINNING;  // where an assignment begins
  std::int64_t end_seen = -1;                      // everything below was delivered or is no record
  int suspicions = 0;                              // queries in a row that say that the log ends before `position`
};

struct RunningShard {
  Epoch epoch = 0;  // as begun: tells its batches from those of an earlier start
  ShardActor to;
  std::array<Place, topic_count> places;
  std::size_t in_flight = 0;
  std::vector<std::shared_ptr<const Record>> batch;
  std::array<std::int64_t, topic_count> known{}, copied{};  // next offsets: in the store, at the broker
};

struct Start {
  Epoch epoch = 0;
  Positions from;
  ShardActor to;
};

/// Where logs end, by partition and topic; a topic that could not be asked is missing.
using Answers = std::map<int, std::map<Topic, std::int64_t>>;
/// How many topics were asked about, by partition.
using Asked = std::map<int, std::size_t>;

/// A gate that opens once; shared by those who wait and those who open it, whoever lives longer.
class Gate {
 public:
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  bool wait_for(std::chrono::milliseconds longest) {
    std::unique_lock lock(mutex_);
    return opened_.wait_for(lock, longest, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

/// Asks the broker where logs end, on a thread of its own: a broker that is away must not hold up polling. Everything
/// that is wanted while a question is in the air goes into the next one.
class Asker {
 public:
  Asker(rd_kafka_t* client, const TopicNames& names, std::function<void(Asked, Answers)> answer)
      : client_(client), names_(names), answer_(std::move(answer)), thread_([this] { run(); }) {}
  ~Asker() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wanted_changed_.notify_all();
    thread_.join();
  }
  void ask(int partition, const std::vector<Topic>& of) {
    {
      std::lock_guard lock(mutex_);
      wanted_[partition].insert(of.begin(), of.end());
    }
    wanted_changed_.notify_all();
  }

 private:
  using Wanted = std::map<int, std::set<Topic>>;

  void run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      wanted_changed_.wait(lock, [this] { return stop_ || !wanted_.empty(); });
      if (stop_) return;
      Wanted wanted;
      wanted.swap(wanted_);
      lock.unlock();
      Asked asked;
      for (const auto& [partition, of] : wanted) asked[partition] = of.size();
      answer_(std::move(asked), query(wanted));
    }
  }

  // rd_kafka_query_watermark_offsets takes two requests a partition and ignores its timeout in 2.0.2. This one asks for
  // all at once and keeps to it: a "time" of RD_KAFKA_OFFSET_END is the end.
  Answers query(const Wanted& wanted) {
    Partitions list = partitions_list(topic_count);
    for (const auto& [partition, of] : wanted)
      for (Topic topic : of)
        rd_kafka_topic_partition_list_add(list.get(), names_[topic].c_str(), partition)->offset = RD_KAFKA_OFFSET_END;
    Answers answers;
    if (rd_kafka_offsets_for_times(client_, list.get(), query_timeout_ms) != RD_KAFKA_RESP_ERR_NO_ERROR) return answers;
    for (int i = 0; i < list->cnt; ++i) {
      const auto& one = list->elems[i];
      auto topic = names_.find(one.topic);
      if (topic && one.err == RD_KAFKA_RESP_ERR_NO_ERROR && one.offset >= 0)
        answers[one.partition][*topic] = one.offset;
    }
    return answers;
  }

  rd_kafka_t* client_;
  const TopicNames& names_;
  std::function<void(Asked, Answers)> answer_;
  std::mutex mutex_;
  std::condition_variable wanted_changed_;
  Wanted wanted_;
  bool stop_ = false;
  std::thread thread_;
};

std::size_t index(Topic topic) { return static_cast<std::size_t>(topic); }

}  // namespace

/// What the thread and its callers share. Everything below "the thread's own" is touched by the thread alone; the
/// others leave what they want in the inbox.
class ConsumerWorker final : public Listener {
 public:
  ConsumerWorker(ClientOptions options, RoleId role, TopicNames names, std::shared_ptr<const Codec> codec,
                 ConsumerCallbacks callbacks, ConsumerOptions tuning)
      : options_(std::move(options)),
        role_(role),
        names_(std::move(names)),
        codec_(std::move(codec)),
        callbacks_(std::move(callbacks)),
        tuning_(tuning),
        topics_(topics_read_by(role)) {
    for (Topic topic : topics_) by_name_.emplace(names_[topic], topic);
    open();
  }

  // -- any thread
  // ---------------------------------------------------------------------------------------------------------
  void start(ShardId shard, Start what) {
    if (shard.role != role_) return;
    leave_in_inbox(true, [&](Inbox& inbox) {
      auto [at, fresh] = inbox.starts.try_emplace(shard.partition, what);
      if (!fresh && what.epoch >= at->second.epoch) at->second = std::move(what);
    });
  }
  void consumed(ShardId shard, std::size_t records) {
    if (shard.role == role_) leave_in_inbox(false, [&](Inbox& inbox) { inbox.consumed[shard.partition] += records; });
  }
  void committed(ShardId shard, const Positions& next) {
    if (shard.role == role_) leave_in_inbox(false, [&](Inbox& inbox) { inbox.committed[shard.partition] = next; });
  }
  void ask_ends(ShardId shard, ShardActor to) {
    if (shard.role == role_) leave_in_inbox(true, [&](Inbox& inbox) { inbox.asks[shard.partition] = std::move(to); });
  }
  [[nodiscard]] bool settled() const { return settled_; }
  [[nodiscard]] const ConsumerCounters& counters() const { return counters_; }
  [[nodiscard]] std::vector<int> owned() const {
    std::lock_guard lock(view_mutex_);
    return owned_view_;
  }
  [[nodiscard]] std::map<Topic, std::int64_t> lag() const {
    std::lock_guard lock(view_mutex_);
    return lag_view_;
  }
  void ask_to_stop() {
    stop_ = true;
    leave_in_inbox(true, [](Inbox&) {});
  }
  [[nodiscard]] bool wait_until_ended(std::chrono::milliseconds longest) { return ended_.wait_for(longest); }
  /// The thread is left behind: whom it would call back may be gone.
  void abandon() { abandoned_ = true; }

  void run() {
    while (!stop_) {
      if (client_) {
        serve();
        leave();
      }
      if (stop_) break;
      ++counters_.renewals;
      try {
        open();
      } catch (const Failure& failure) {  // it took these settings before: the machine is out of something
        report(failure.what());
        std::this_thread::sleep_for(1s);
      }
    }
    if (client_) leave();
    ended_.open();
  }

 private:
  struct Inbox {
    std::map<int, Start> starts;
    std::map<int, std::size_t> consumed;
    std::map<int, Positions> committed;
    std::map<int, ShardActor> asks;
    Asked answered;
    Answers answers;
  };

  template <class Put>
  void leave_in_inbox(bool wake, Put put) {
    std::lock_guard lock(inbox_mutex_);
    put(inbox_);
    if (wake && wake_) rd_kafka_queue_yield(wake_.get());
  }

  // -- Listener
  // -----------------------------------------------------------------------------------------------------------
  void on_log(int level, std::string_view text) override {
    if (options_.log && !abandoned_) options_.log(level, text);
  }
  void on_error(rd_kafka_resp_err_t code, std::string_view reason) override {
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
      renew_ = true;
      return report("kafka: consumer of " + std::string(to_string(role_)) + ": fatal: " + std::string(reason) +
                    " (a new consumer takes over)");
    }
    report(to_string(describe(code, "consuming for " + std::string(to_string(role_)), options_.brokers)));
  }
  void on_commit(rd_kafka_resp_err_t code) override {
    copy_in_air_ = false;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__NO_OFFSET) {
      ++counters_.commits;
      return;
    }
    ++counters_.commit_failures;
    for (auto& [partition, shard] : shards_) shard.copied.fill(0);  // say all of it again
  }
  void on_rebalance(rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list) override {
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) return take_assignment(*list);
    hand_back(code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS || rd_kafka_assignment_lost(client_.get()) != 0);
  }

  void report(const std::string& what) {
    if (callbacks_.trouble && !abandoned_ && reports_.pass(what)) callbacks_.trouble(what);
  }
  void report(rd_kafka_resp_err_t code, const std::string& tried) {
    report(to_string(describe(code, tried + " for " + std::string(to_string(role_)), options_.brokers)));
  }

  // -- the client
  // ---------------------------------------------------------------------------------------------------------
  void open() {
    std::string role(to_string(role_));
    client_ = make_client(RD_KAFKA_CONSUMER, options_, role, tuned(options_, tuning_),
                          fixed(options_.group_prefix + "." + role), *this);
    rd_kafka_poll_set_consumer(client_.get());
    {
      std::lock_guard lock(inbox_mutex_);
      wake_.reset(rd_kafka_queue_get_consumer(client_.get()));
    }
    asker_ = std::make_unique<Asker>(client_.get(), names_, [this](const Asked& asked, const Answers& answers) {
      leave_in_inbox(true, [&](Inbox& inbox) {
        for (const auto& [partition, count] : asked)
          inbox.answered[partition] = std::max(inbox.answered[partition], count);
        for (const auto& [partition, ends] : answers)
          for (const auto& [topic, end] : ends) inbox.answers[partition][topic] = end;
      });
    });
    renew_ = false;
    copy_in_air_ = false;
    unsettled_since_ = Clock::now();
    Partitions wanted = partitions_list(topics_.size());
    for (Topic topic : topics_)
      rd_kafka_topic_partition_list_add(wanted.get(), names_[topic].c_str(), RD_KAFKA_PARTITION_UA);
    if (auto code = rd_kafka_subscribe(client_.get(), wanted.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      report(code, "subscribing");
      renew_ = true;
    }
  }

  void leave() {
    rd_kafka_consumer_close(client_.get());  // calls on_rebalance when something is assigned
    hand_back(true);                         // nothing is left to do when it did
    asker_.reset();
    {
      std::lock_guard lock(inbox_mutex_);
      wake_.reset();
      inbox_ = {};
    }
    client_.reset();
  }

  void serve() {
    while (!stop_ && !renew_) {
      read_inbox();
      poll();
      auto now = Clock::now();
      if (now >= next_commit_) {
        next_commit_ = now + commit_interval;
        copy_offsets();
      }
      if (now >= next_check_) {
        next_check_ = now + check_interval;
        check_ends();
      }
      if (settled_) unsettled_since_ = now;
      if (now - unsettled_since_ > unsettled_max) {
        report("kafka: group " + options_.group_prefix + "." + std::string(to_string(role_)) +
               ": no assignment for a minute (is the broker up? a new consumer joins)");
        return;
      }
    }
  }

  // -- records
  // ------------------------------------------------------------------------------------------------------------
  void poll() {
    for (std::size_t i = 0; i < drained_records_max; ++i) {
      Message message(rd_kafka_consumer_poll(client_.get(), i == 0 ? idle_poll_ms : 0));
      if (!message) break;
      take(*message);
    }
    for (auto& [partition, shard] : shards_) {
      if (shard.batch.empty()) continue;
      shard.in_flight += shard.batch.size();
      caf::anon_send(shard.to, Batch{shard.epoch, std::move(shard.batch)});
      shard.batch = {};
    }
    govern_flow();
  }

  void take(const rd_kafka_message_t& message) {
    if (message.rkt == nullptr) {
      if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) report(message.err, "consuming");
      return;
    }
    auto topic = by_name_.find(rd_kafka_topic_name(message.rkt));
    if (topic == by_name_.end()) return;
    auto at = shards_.find(message.partition);
    if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      if (at != shards_.end()) at->second.places[index(topic->second)].end_seen = message.offset;
      return;
    }
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) return report(message.err, "consuming " + names_[topic->second]);
    if (at == shards_.end()) return;
    Place& place = at->second.places[index(topic->second)];
    if (message.offset + 1 < place.position)
      place.end_seen = -1;  // the log begins anew; what was known of its end is void
    place.position = place.fetch = message.offset + 1;
    place.suspicions = 0;
    at->second.batch.push_back(read(message, topic->second));
    ++counters_.records;
    counters_.bytes += message.len + message.key_len;
  }

  std::shared_ptr<const Record> read(const rd_kafka_message_t& message, Topic topic) {
    auto record = std::make_shared<Record>();
    record->topic = topic;
    record->partition = message.partition;
    record->offset = message.offset;
    rd_kafka_timestamp_type_t kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    record->timestamp = std::max<std::int64_t>(rd_kafka_message_timestamp(&message, &kind), 0);
    if (message.key != nullptr) record->key.emplace(static_cast<const char*>(message.key), message.key_len);
    if (message.payload != nullptr) record->value.emplace(static_cast<const char*>(message.payload), message.len);
    headers_.clear();
    rd_kafka_headers_t* list = nullptr;
    if (rd_kafka_message_headers(&message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* name = nullptr;
      const void* value = nullptr;
      std::size_t size = 0;
      for (std::size_t i = 0; rd_kafka_header_get_all(list, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i)
        headers_.emplace_back(name,
                              value != nullptr ? std::string(static_cast<const char*>(value), size) : std::string());
    }
    codec_->read(*record, headers_);
    return record;
  }

  void govern_flow() {
    for (auto& [partition, shard] : shards_) {
      bool paused = paused_.contains(partition);
      if (!paused && shard.in_flight > limits::shard_records_waiting_max)
        pause(partition);
      else if (paused && shard.in_flight < limits::shard_records_waiting_max / 2) {
        resume(partition);
        asker_->ask(partition,
                    {topics_.front()});  // a request wakes the client's broker thread, which may sleep for 1 s
      }
    }
  }
  Partitions topics_of(int partition) const {
    Partitions list = partitions_list(topics_.size());
    for (Topic topic : topics_) rd_kafka_topic_partition_list_add(list.get(), names_[topic].c_str(), partition);
    return list;
  }
  void pause(int partition) {
    rd_kafka_pause_partitions(client_.get(), topics_of(partition).get());
    paused_.insert(partition);
    ++counters_.pauses;
  }
  // Never what is not paused: 2.0.2 then reads again from an old place.
  void resume(int partition) {
    rd_kafka_resume_partitions(client_.get(), topics_of(partition).get());
    paused_.erase(partition);
  }

  // -- what others want
  // ---------------------------------------------------------------------------------------------------
  void read_inbox() {
    Inbox inbox;
    {
      std::lock_guard lock(inbox_mutex_);
      std::swap(inbox, inbox_);
    }
    for (auto& [partition, what] : inbox.starts) begin(partition, std::move(what));
    for (const auto& [partition, records] : inbox.consumed)
      if (auto at = shards_.find(partition); at != shards_.end())
        at->second.in_flight -= std::min(at->second.in_flight, records);  // a former owner's may be among them
    note_committed(inbox.committed);
    for (auto& [partition, to] : inbox.asks) {
      if (!shards_.contains(partition)) {
        caf::anon_send(to, Ends{});
        continue;
      }
      bool in_air = asking_.contains(partition);
      asking_[partition] = std::move(to);
      if (!in_air) asker_->ask(partition, topics_);
    }
    for (const auto& [partition, asked] : inbox.answered) answer(partition, asked, inbox.answers[partition]);
    if (assign_at_ <= Clock::now()) assign_running();
  }

  void note_committed(const std::map<int, Positions>& committed) {
    for (const auto& [partition, next] : committed)
      if (auto at = shards_.find(partition); at != shards_.end())
        for (const auto& [topic, position] : next) at->second.known[index(topic)] = position.next;
  }

  void begin(int partition, Start what) {
    Epoch& newest = epochs_[partition];
    if (!owned_.contains(partition) || what.epoch < newest) return;  // of an assignment that is no more
    newest = what.epoch;
    RunningShard shard;
    shard.epoch = what.epoch;
    shard.to = std::move(what.to);
    for (const auto& [topic, position] : what.from) {
      if (position.next <= 0) continue;
      Place& place = shard.places[index(topic)];
      place.position = position.next;
      place.fetch = position.next - 1;  // the record before is compared by the shard
      shard.known[index(topic)] = position.next;
    }
    shards_[partition] = std::move(shard);
    asking_.erase(partition);
    if (fetched_.contains(partition)) return seek(partition);
    // One assignment for all shards if they come within a moment. Another one only when the fetchers of the one before
    // have surely begun or stopped: 2.0.2 ends the process when a fetcher is told to stop twice (assertion in
    // rd_kafka_assignment_partition_stopped).
    auto soon = shards_.size() == owned_.size() ? Clock::now() : Clock::now() + stragglers_wait;
    assign_at_ = std::max(soon, assigned_last_ + assign_again);
  }

  /// A shard of a running assignment begins anew. What was fetched before has no place any more: the epoch tells it.
  void seek(int partition) {
    if (paused_.contains(partition)) resume(partition);
    Partitions list = topics_of(partition);
    for (int i = 0; i < list->cnt; ++i)
      list->elems[i].offset = shards_[partition].places[index(by_name_.at(list->elems[i].topic))].fetch;
    if (rd_kafka_error_t* error = rd_kafka_seek_partitions(client_.get(), list.get(), 0)) {
      report(rd_kafka_error_code(error), "beginning to fetch anew");
      rd_kafka_error_destroy(error);
    }
    govern_flow();
  }

  /// One assignment of everything that runs, each from where it is. An eager group takes whole assignments only; a subset
  /// of what the group gave is allowed.
  void assign_running() {
    assign_at_ = Clock::time_point::max();
    assigned_last_ = Clock::now();
    for (int partition : std::set<int>(paused_)) resume(partition);
    Partitions list = partitions_list(shards_.size() * topics_.size());
    for (const auto& [partition, shard] : shards_)
      for (Topic topic : topics_)
        rd_kafka_topic_partition_list_add(list.get(), names_[topic].c_str(), partition)->offset =
            shard.places[index(topic)].fetch;
    if (auto code = rd_kafka_assign(client_.get(), list.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      report(code, "beginning to fetch");
      assign_at_ = Clock::now() + assign_retry;
      return;
    }
    for (const auto& [partition, shard] : shards_) fetched_.insert(partition);
    govern_flow();
  }

  // -- the group
  // ----------------------------------------------------------------------------------------------------------
  void take_assignment(const rd_kafka_topic_partition_list_t& list) {
    std::map<int, std::size_t> count;
    for (int i = 0; i < list.cnt; ++i)
      if (by_name_.contains(list.elems[i].topic)) ++count[list.elems[i].partition];
    owned_.clear();
    for (const auto& [partition, topics] : count) {
      if (topics == topics_.size())
        owned_.insert(partition);
      else
        report("kafka: group " + options_.group_prefix + "." + std::string(to_string(role_)) + ": partition " +
               std::to_string(partition) + " of only " + std::to_string(topics) + " of " +
               std::to_string(topics_.size()) +
               " topics was assigned (do all topics exist, with equally many partitions?)");
    }
    // Nothing is fetched yet: where to begin is known when the shards have been taken.
    rd_kafka_assign(client_.get(), partitions_list(0).get());
    fetched_.clear();
    assign_at_ = Clock::time_point::max();
    ++counters_.rebalances;
    show_owned();
    settled_ = true;
    if (callbacks_.assigned && !abandoned_) callbacks_.assigned({owned_.begin(), owned_.end()});
  }

  /// Stops delivering, lets the shards finish, copies the last offsets unless somebody else may own them already
  /// (`lost`).
  void hand_back(bool lost) {
    settled_ = false;
    if (!owned_.empty()) {
      for (auto& [partition, shard] : shards_) shard.batch.clear();
      if (callbacks_.revoked && !abandoned_) {
        auto gate = std::make_shared<Gate>();
        callbacks_.revoked({owned_.begin(), owned_.end()}, [gate] { gate->open(); });
        if (!gate->wait_for(hand_over_max))
          report("kafka: group " + options_.group_prefix + "." + std::string(to_string(role_)) +
                 ": a shard did not finish in 3 s before it was handed over (its transactions are fenced)");
      }
      if (!lost) copy_last_offsets();
    }
    for (auto& [partition, to] : asking_) caf::anon_send(to, Ends{});
    asking_.clear();
    for (int partition : std::set<int>(paused_)) resume(partition);
    shards_.clear();
    owned_.clear();
    show_owned();
    assign_at_ = Clock::time_point::max();
    fetched_.clear();
    rd_kafka_assign(client_.get(), nullptr);
  }

  void show_owned() {
    std::lock_guard lock(view_mutex_);
    owned_view_.assign(owned_.begin(), owned_.end());
    if (owned_.empty()) lag_view_.clear();
  }

  // -- offsets at the broker: a copy
  // ----------------------------------------------------------------------------------------
  Partitions uncopied() {
    Partitions list = partitions_list(topics_.size());
    for (auto& [partition, shard] : shards_)
      for (Topic topic : topics_) {
        std::int64_t next = shard.known[index(topic)];
        // 0 is said when something else was said before: the log was lost, and begins anew.
        if (next == shard.copied[index(topic)]) continue;
        rd_kafka_topic_partition_list_add(list.get(), names_[topic].c_str(), partition)->offset = next;
        shard.copied[index(topic)] = next;
      }
    return list;
  }

  void copy_offsets() {
    if (copy_in_air_) return;
    Partitions list = uncopied();
    if (list->cnt == 0) return;
    copy_in_air_ = true;
    if (rd_kafka_commit(client_.get(), list.get(), 1) != RD_KAFKA_RESP_ERR_NO_ERROR) on_commit(RD_KAFKA_RESP_ERR__FAIL);
  }

  void copy_last_offsets() {
    std::map<int, Positions> committed;
    {
      std::lock_guard lock(inbox_mutex_);
      committed.swap(inbox_.committed);
    }
    note_committed(committed);
    for (auto& [partition, shard] : shards_) shard.copied.fill(0);  // one in the air may fail
    Partitions list = uncopied();
    if (list->cnt == 0) return;
    // A queue of its own bounds the wait; the plain synchronous call waits for a broker that is away.
    Queue queue(rd_kafka_queue_new(client_.get()));
    auto code = rd_kafka_commit_queue(client_.get(), list.get(), queue.get(), nullptr, nullptr);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      ClientEvent event(rd_kafka_queue_poll(queue.get(), last_commit_timeout_ms));
      code = event ? rd_kafka_event_error(event.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    }
    ++(code == RD_KAFKA_RESP_ERR_NO_ERROR ? counters_.commits : counters_.commit_failures);
  }

  // -- where logs end
  // -------------------------------------------------------------------------------------------------------
  /// Cached watermarks only raise a suspicion: they may be of before the broker's restart, or not known yet (-1001).
  void check_ends() {
    std::map<Topic, std::int64_t> lag;
    for (Topic topic : topics_) lag[topic] = 0;
    for (auto& [partition, shard] : shards_) {
      std::vector<Topic> suspects;
      for (Topic topic : topics_) {
        std::int64_t low = -1, high = -1;
        const Place& place = shard.places[index(topic)];
        if (rd_kafka_get_watermark_offsets(client_.get(), names_[topic].c_str(), partition, &low, &high) !=
            RD_KAFKA_RESP_ERR_NO_ERROR)
          continue;
        if (high < 0) continue;
        if (high < place.position) suspects.push_back(topic);
        if (place.end_seen < high)
          lag[topic] += std::max<std::int64_t>(high - std::max(place.position, std::max<std::int64_t>(low, 0)), 0);
      }
      if (!suspects.empty()) asker_->ask(partition, suspects);
    }
    std::lock_guard lock(view_mutex_);
    lag_view_ = std::move(lag);
  }

  void answer(int partition, std::size_t asked, const std::map<Topic, std::int64_t>& ends) {
    auto at = shards_.find(partition);
    if (at == shards_.end()) return;
    RunningShard& shard = at->second;
    LogLost lost{shard.epoch, {}};
    for (const auto& [topic, end] : ends) {
      Place& place = shard.places[index(topic)];
      place.suspicions = end < place.position ? place.suspicions + 1 : 0;
      if (place.suspicions < suspicions_needed) continue;
      lost.topics.push_back(topic);
      place = Place{end, RD_KAFKA_OFFSET_BEGINNING, -1, 0};
      shard.known[index(topic)] = 0;
    }
    if (!lost.topics.empty()) {
      counters_.logs_lost += lost.topics.size();
      caf::anon_send(shard.to, std::move(lost));
    }
    auto asking = asking_.find(partition);
    // A suspicion alone did not ask about all topics; the full answer is still to come.
    if (asking == asking_.end() || asked < topics_.size()) return;
    Ends reply{false, {}, shard.epoch};
    reply.ok = ends.size() == topics_.size();
    for (const auto& [topic, end] : ends) {
      const Place& place = shard.places[index(topic)];
      // Markers of transactions, and what retention has taken away, are no records: a shard cannot read up to them.
      reply.ends[topic] = place.end_seen >= end ? std::min(end, place.position) : end;
    }
    if (!reply.ok) reply.ends.clear();
    caf::anon_send(asking->second, std::move(reply));
    asking_.erase(asking);
  }

  ClientOptions options_;
  RoleId role_;
  TopicNames names_;
  std::shared_ptr<const Codec> codec_;
  ConsumerCallbacks callbacks_;
  ConsumerOptions tuning_;
  std::vector<Topic> topics_;
  std::unordered_map<std::string, Topic> by_name_;
  ConsumerCounters counters_;
  std::atomic<bool> settled_{false}, stop_{false}, abandoned_{false};
  Gate ended_;

  mutable std::mutex view_mutex_;
  std::vector<int> owned_view_;
  std::map<Topic, std::int64_t> lag_view_;

  std::mutex inbox_mutex_;
  Inbox inbox_;

  // the thread's own
  Client client_;
  Queue wake_;  // of the client; guarded by inbox_mutex_
  std::unique_ptr<Asker> asker_;
  std::set<int> owned_, paused_;
  std::set<int> fetched_;  // in the client's assignment
  std::map<int, RunningShard> shards_;
  std::map<int, Epoch> epochs_;
  std::map<int, ShardActor> asking_;
  std::vector<Header> headers_;
  RateLimit reports_{30s};
  bool renew_ = false, copy_in_air_ = false;
  Clock::time_point next_commit_, next_check_, unsettled_since_, assigned_last_, assign_at_ = Clock::time_point::max();
};

RoleConsumer::RoleConsumer(ClientOptions options, RoleId role, TopicNames names, std::shared_ptr<const Codec> codec,
                           ConsumerCallbacks callbacks, ConsumerOptions tuning)
    : worker_(std::make_shared<ConsumerWorker>(std::move(options), role, std::move(names), std::move(codec),
                                               std::move(callbacks), tuning)) {
  thread_ = std::thread([worker = worker_] { worker->run(); });
}

RoleConsumer::~RoleConsumer() { close(); }

void RoleConsumer::start(ShardId shard, Epoch epoch, const Positions& from, ShardActor to) {
  worker_->start(shard, {epoch, from, std::move(to)});
}
void RoleConsumer::consumed(ShardId shard, std::size_t records) { worker_->consumed(shard, records); }
void RoleConsumer::committed(ShardId shard, const Positions& next) { worker_->committed(shard, next); }
void RoleConsumer::ask_ends(ShardId shard, ShardActor to) { worker_->ask_ends(shard, std::move(to)); }

bool RoleConsumer::close() {
  std::lock_guard lock(close_mutex_);
  if (!thread_.joinable()) return ended_well_;
  worker_->ask_to_stop();
  ended_well_ = worker_->wait_until_ended(close_max);
  if (ended_well_) {
    thread_.join();
  } else {
    worker_->abandon();
    thread_.detach();
  }
  return ended_well_;
}

bool RoleConsumer::settled() const { return worker_->settled(); }
std::vector<int> RoleConsumer::owned() const { return worker_->owned(); }
std::map<Topic, std::int64_t> RoleConsumer::lag() const { return worker_->lag(); }
const ConsumerCounters& RoleConsumer::counters() const { return worker_->counters(); }

}  // namespace cartwright::kafka
