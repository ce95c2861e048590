// The bridge to Kafka against brokers that speak the protocol: librdkafka's stand-in in this process, and a real Kafka
// when CARTWRIGHT_TEST_KAFKA=host:port is set. Every test has topics and groups of its own. Outcomes are waited for,
// never timed.
#define BOOST_TEST_MODULE kafka
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>  // after rdkafka.h
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "actors/limits.hpp"
#include "bridges/kafka/admin.hpp"
#include "bridges/kafka/consumer.hpp"
#include "bridges/kafka/producer.hpp"

namespace {

using namespace cartwright;
using namespace cartwright::kafka;
using namespace std::chrono_literals;

constexpr int partitions = 2;
constexpr auto patience = 60s;  // a bound for outcomes, not an expectation

[[nodiscard]] bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds longest = patience) {
  auto end = std::chrono::steady_clock::now() + longest;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

// -- brokers
// --------------------------------------------------------------------------------------------------------------

class Quiet : public Listener {
  void on_error(rd_kafka_resp_err_t, std::string_view) override {}
  void on_log(int, std::string_view) override {}
};

/// librdkafka's stand-in, in this process; for the whole run.
struct MockCluster {
  MockCluster() {
    ClientOptions nowhere;
    nowhere.brokers = "127.0.0.1:1";
    host = make_client(RD_KAFKA_PRODUCER, nowhere, "mock", {}, {}, quiet);
    cluster = rd_kafka_mock_cluster_new(host.get(), 1);
  }
  ~MockCluster() { rd_kafka_mock_cluster_destroy(cluster); }
  Quiet quiet;
  Client host;
  rd_kafka_mock_cluster_t* cluster = nullptr;
};

MockCluster& mock() {
  static MockCluster instance;
  return instance;
}

const char* real_broker() { return std::getenv("CARTWRIGHT_TEST_KAFKA"); }

std::vector<std::string> brokers() {
  std::vector<std::string> all{"mock"};
  if (real_broker() != nullptr) all.emplace_back("real");
  return all;
}

/// Topics and a group prefix that nobody else has, and how to reach the broker.
struct Site {
  explicit Site(const std::string& kind) : is_real(kind == "real") {
    static int sites = 0;
    prefix = "test" + std::to_string(getpid()) + "x" + std::to_string(++sites);
    for (const TopicInfo& row : topics()) names.rename(row.topic, prefix + "." + std::string(row.name));
    options.brokers = is_real ? real_broker() : rd_kafka_mock_cluster_bootstraps(mock().cluster);
    options.group_prefix = prefix;
    options.node_name = "test";
    if (std::getenv("CARTWRIGHT_TEST_KAFKA_DEBUG") != nullptr)
      options.log = [](int, std::string_view text) { std::clog << text << '\n'; };
  }
  /// All topics, at both kinds of broker.
  void make_topics() {
    if (!is_real)
      for (const TopicInfo& row : topics()) {
        rd_kafka_mock_topic_create(mock().cluster, names[row.topic].c_str(), partitions, 1);
        rd_kafka_mock_topic_create(mock().cluster, dead_letters_of(names[row.topic]).c_str(), 1, 1);
      }
    auto made = ensure_topics(options, names, partitions, 30s);
    BOOST_REQUIRE_MESSAGE(!made.error, (made.error ? to_string(*made.error) : ""));
    BOOST_REQUIRE_EQUAL(made.partitions, partitions);
  }
  bool is_real;
  std::string prefix;
  TopicNames names;
  ClientOptions options;
};

std::int64_t committed_at_broker(const Site& site, RoleId role, Topic topic, int partition) {
  Quiet quiet;
  Client client = make_client(RD_KAFKA_CONSUMER, site.options, "asks", {},
                              {{"group.id", site.options.group_prefix + "." + std::string(to_string(role))}}, quiet);
  Partitions list = partitions_list(1);
  rd_kafka_topic_partition_list_add(list.get(), site.names[topic].c_str(), partition);
  rd_kafka_committed(client.get(), list.get(), 10'000);
  return list->elems[0].offset;
}

// -- stand-ins
// ------------------------------------------------------------------------------------------------------------

/// Notes the headers in the event's message; knows nothing else.
class TinyCodec : public Codec {
 public:
  void read(Record& record, const std::vector<Header>& headers) const override {
    for (const auto& [name, value] : headers) record.event.message += name + "=" + value + ";";
  }
  Outgoing write(const Event&) const override { std::abort(); }
  Outgoing reroute(const Record&) const override { std::abort(); }
  Outgoing dead_letter(const DeadLetter&, RoleId) const override { std::abort(); }
  std::string write(const order::Order&) const override { std::abort(); }
  order::Order read_order(const Row&) const override { std::abort(); }
  std::string write(const inventory::Reservation&) const override { std::abort(); }
  inventory::Reservation read_reservation(const Row&) const override { std::abort(); }
  std::string write(const payment::Charge&) const override { std::abort(); }
  payment::Charge read_charge(const Row&) const override { std::abort(); }
  std::string write(const shipping::Shipment&) const override { std::abort(); }
  shipping::Shipment read_shipment(const Row&) const override { std::abort(); }
  std::string write(const notification::Notice&) const override { std::abort(); }
  notification::Notice read_notice(const Row&) const override { std::abort(); }
};

/// What a shard was told.
class Seen {
 public:
  void add(const Batch& batch) {
    std::lock_guard lock(mutex_);
    epochs_.insert(batch.epoch);
    records_.insert(records_.end(), batch.records.begin(), batch.records.end());
  }
  void add(const Published& one) {
    std::lock_guard lock(mutex_);
    published_.push_back(one);
  }
  void add(const Ends& one) {
    std::lock_guard lock(mutex_);
    ends_.push_back(one);
  }
  void add(const LogLost& one) {
    std::lock_guard lock(mutex_);
    lost_.insert(lost_.end(), one.topics.begin(), one.topics.end());
  }
  std::vector<std::shared_ptr<const Record>> records() const {
    std::lock_guard lock(mutex_);
    return records_;
  }
  std::size_t count() const {
    std::lock_guard lock(mutex_);
    return records_.size();
  }
  std::vector<Published> published() const {
    std::lock_guard lock(mutex_);
    return published_;
  }
  std::vector<Ends> ends() const {
    std::lock_guard lock(mutex_);
    return ends_;
  }
  std::vector<Topic> lost() const {
    std::lock_guard lock(mutex_);
    return lost_;
  }
  std::set<Epoch> epochs() const {
    std::lock_guard lock(mutex_);
    return epochs_;
  }
  std::vector<std::int64_t> offsets(Topic topic) const {
    std::vector<std::int64_t> all;
    for (const auto& record : records())
      if (record->topic == topic) all.push_back(record->offset);
    return all;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const Record>> records_;
  std::vector<Published> published_;
  std::vector<Ends> ends_;
  std::vector<Topic> lost_;
  std::set<Epoch> epochs_;
};

ShardActor::behavior_type shard(std::shared_ptr<Seen> seen) {
  return {[=](const Batch& what) { seen->add(what); },
          [](const Decided&) {},
          [](const Outcomes&) {},
          [=](const Published& what) { seen->add(what); },
          [](const Tick&) {},
          [](const Begin&) {},
          [=](const Ends& what) { seen->add(what); },
          [=](const LogLost& what) { seen->add(what); },
          [](const std::string&, const Command&) { return CommandReply{}; },
          [](const Revoke&) { return Revoked{}; },
          [](const Describe&) { return ShardView{}; }};
}

struct Config : caf::actor_system_config {
  Config() {
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", 2);
  }
};

struct TestShard {
  explicit TestShard(caf::actor_system& system)
      : seen(std::make_shared<Seen>()), actor(system.spawn([s = seen]() { return shard(s); })) {}
  std::shared_ptr<Seen> seen;
  ShardActor actor;
};

/// Payment: it reads two topics, the fewest of all roles that read more than one.
constexpr RoleId role = RoleId::payment;
constexpr Topic first_topic = Topic::payment_initiated, second_topic = Topic::payment_refund_requested;

/// A consumer whose shards are stand-ins; what happened, in order, in a diary that consumers may share.
struct Diary {
  void note(std::string what) {
    std::lock_guard lock(mutex);
    lines.push_back(std::move(what));
  }
  std::vector<std::string> read() const {
    std::lock_guard lock(mutex);
    return lines;
  }
  mutable std::mutex mutex;
  std::vector<std::string> lines;
};

std::string text_of(const std::string& who, const std::string& what, const std::vector<int>& list) {
  std::string text = who + " " + what;
  for (int one : list) text += " " + std::to_string(one);
  return text;
}

struct Member {
  Member(const Site& site, std::string name_, std::shared_ptr<Diary> diary_ = std::make_shared<Diary>())
      : name(std::move(name_)),
        diary(std::move(diary_)),
        consumer(site.options, role, site.names, std::make_shared<TinyCodec>(),
                 {[d = diary, n = name](const std::vector<int>& list) { d->note(text_of(n, "assigned", list)); },
                  [d = diary, n = name](const std::vector<int>& list, const std::function<void()>& done) {
                    d->note(text_of(n, "revoked", list));
                    done();
                  },
                  [d = diary, n = name](const std::string& what) { d->note(n + " trouble: " + what); }}) {}
  bool owns(std::vector<int> what) {
    return eventually([&] { return consumer.settled() && consumer.owned() == what; });
  }
  std::string name;
  std::shared_ptr<Diary> diary;
  RoleConsumer consumer;
};

Outgoing outgoing(const Site& site, Topic topic, const std::string& order, std::string value) {
  return {site.names[topic], order, std::move(value), {{"ce_id", "1"}}, order};
}

std::string order_of(int partition, int number) {
  for (int salt = 0;; ++salt)
    if (std::string id = "o-" + std::to_string(number) + "-" + std::to_string(salt);
        partition_of(id, partitions) == partition)
      return id;
}

/// Publishes and waits until all is in the log.
void publish(caf::actor_system& system, ProducerActor producer, Sequence sequence, std::vector<Outgoing> records) {
  TestShard waiting(system);
  caf::anon_send(
      producer, Publish{waiting.actor, 1, sequence, std::make_shared<const std::vector<Outgoing>>(std::move(records))});
  BOOST_REQUIRE(eventually([&] { return !waiting.seen->published().empty(); }));
  auto answers = waiting.seen->published();
  BOOST_REQUIRE_EQUAL(answers.size(), 1);
  BOOST_CHECK(answers[0].ok);
  BOOST_CHECK_EQUAL(answers[0].sequence, sequence);
}

std::vector<Outgoing> numbered(const Site& site, Topic topic, int partition, int from, int to) {
  std::vector<Outgoing> records;
  for (int i = from; i < to; ++i) records.push_back(outgoing(site, topic, order_of(partition, i), std::to_string(i)));
  return records;
}

std::vector<std::int64_t> range(std::int64_t from, std::int64_t to) {
  std::vector<std::int64_t> all;
  for (; from < to; ++from) all.push_back(from);
  return all;
}

struct Fixture {
  Config config;
  caf::actor_system system{config};
};

template <class List>
std::string shown(const List& list) {
  std::string text;
  for (const auto& one : list) text += one + "\n";
  return text;
}

std::ptrdiff_t index_of(const std::vector<std::string>& lines, const std::string& line) {
  auto at = std::find(lines.begin(), lines.end(), line);
  BOOST_REQUIRE_MESSAGE(at != lines.end(), "no line '" << line << "' in\n" << shown(lines));
  return at - lines.begin();
}

// -- partitions
// -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(murmur2_is_the_java_clients) {
  struct Vector {
    const char* text;
    std::int32_t hash;
  };
  for (auto [text, hash] :
       {Vector{"21", -973932308}, Vector{"foobar", -790332482}, Vector{"a-little-bit-long-string", -985981536},
        Vector{"a-little-bit-longer-string", -1486304829},
        Vector{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971}, Vector{"abc", 479470107}})
    BOOST_TEST_CONTEXT(text) BOOST_CHECK_EQUAL(static_cast<std::int32_t>(murmur2(text)), hash);
}

// -- producer and consumer
// --------------------------------------------------------------------------------------------------

BOOST_DATA_TEST_CASE_F(Fixture, records_come_once_in_order_from_the_position_given,
                       boost::unit_test::data::make(brokers()), kind) {
  Site site(kind);
  site.make_topics();
  auto client = std::make_shared<ProducerClient>(site.options, site.names, partitions);
  auto producer = spawn_producer(system, client);
  std::vector<Outgoing> records = numbered(site, first_topic, 0, 0, 150);
  for (auto& one : numbered(site, first_topic, 1, 0, 150)) records.push_back(std::move(one));
  for (auto& one : numbered(site, second_topic, 1, 0, 30)) records.push_back(std::move(one));
  publish(system, producer, 7, records);
  BOOST_CHECK(client->ready());
  BOOST_CHECK_EQUAL(client->counters().records, 330);

  TestShard zero(system), one(system);
  {
    Member member(site, "a");
    BOOST_REQUIRE(member.owns({0, 1}));
    member.consumer.start({role, 0}, 3, {}, zero.actor);
    BOOST_REQUIRE(eventually([&] { return zero.seen->count() >= 150; }));
    BOOST_CHECK_EQUAL(one.seen->count(), 0);  // not begun, not delivered
    member.consumer.start({role, 1}, 4, {}, one.actor);
    BOOST_REQUIRE(eventually([&] { return one.seen->count() >= 180; }));
    publish(system, producer, 8, numbered(site, first_topic, 0, 150, 160));
    BOOST_REQUIRE(eventually([&] { return zero.seen->count() >= 160; }));
    BOOST_TEST(zero.seen->offsets(first_topic) == range(0, 160), boost::test_tools::per_element());
    BOOST_TEST(one.seen->offsets(first_topic) == range(0, 150), boost::test_tools::per_element());
    BOOST_TEST(one.seen->offsets(second_topic) == range(0, 30), boost::test_tools::per_element());
    BOOST_CHECK(zero.seen->epochs() == std::set<Epoch>{3});
    for (const auto& record : zero.seen->records()) {
      BOOST_CHECK_EQUAL(record->partition, partition_of(*record->key, partitions));
      BOOST_CHECK_EQUAL(*record->value, std::to_string(record->offset));
      BOOST_CHECK_EQUAL(record->event.message, "ce_id=1;");
      BOOST_CHECK_GT(record->timestamp, 0);
    }
    member.consumer.consumed({role, 0}, 160);
    member.consumer.committed({role, 0}, {{first_topic, Position{100, 1, 1}}});
    BOOST_CHECK(eventually([&] { return member.consumer.counters().commits > 0; }));
    BOOST_CHECK(eventually([&] { return committed_at_broker(site, role, first_topic, 0) == 100; }));
    member.consumer.committed({role, 0}, {{first_topic, Position{101, 1, 1}}});
    BOOST_CHECK(member.consumer.close());  // says the last word, too
  }
  BOOST_CHECK_EQUAL(committed_at_broker(site, role, first_topic, 0), 101);

  TestShard again(system);
  Member member(site, "b");
  BOOST_REQUIRE(member.owns({0, 1}));
  member.consumer.start({role, 0}, 5, {{first_topic, Position{101, 1, 1}}}, again.actor);
  BOOST_REQUIRE(eventually([&] { return again.seen->count() >= 60; }));
  BOOST_TEST(again.seen->offsets(first_topic) == range(100, 160),
             boost::test_tools::per_element());  // 100: to be compared
  BOOST_CHECK(eventually([&] {
    auto lag = member.consumer.lag();
    return lag.contains(first_topic) && lag[first_topic] == 0;
  }));
}

BOOST_DATA_TEST_CASE_F(Fixture, null_and_empty_stay_what_they_are, boost::unit_test::data::make(brokers()), kind) {
  Site site(kind);
  site.make_topics();
  auto producer = spawn_producer(system, std::make_shared<ProducerClient>(site.options, site.names, partitions));
  publish(system, producer, 1,
          {{site.names[first_topic], std::nullopt, "no key", {}, order_of(0, 1)},
           {site.names[first_topic], "no value", std::nullopt, {{"a", ""}, {"b", "2"}}, order_of(0, 1)},
           {site.names[first_topic], "", "", {}, order_of(0, 1)},
           {dead_letters_of(site.names[first_topic]), "dead", "letter", {}, ""}});
  TestShard zero(system);
  Member member(site, "a");
  BOOST_REQUIRE(member.owns({0, 1}));
  member.consumer.start({role, 0}, 1, {}, zero.actor);
  BOOST_REQUIRE(eventually([&] { return zero.seen->count() >= 3; }));
  auto records = zero.seen->records();
  BOOST_CHECK(!records[0]->key);
  BOOST_CHECK(records[0]->value == "no key");
  BOOST_CHECK(records[1]->key == "no value");
  BOOST_CHECK(!records[1]->value);
  BOOST_CHECK_EQUAL(records[1]->event.message, "a=;b=2;");
  BOOST_CHECK(records[2]->key == "");
  BOOST_CHECK(records[2]->value == "");
}

BOOST_DATA_TEST_CASE_F(Fixture, what_is_not_consumed_bounds_what_is_delivered, boost::unit_test::data::make(brokers()),
                       kind) {
  Site site(kind);
  site.make_topics();
  auto producer = spawn_producer(system, std::make_shared<ProducerClient>(site.options, site.names, partitions));
  constexpr int all = 20'000;
  publish(system, producer, 1, numbered(site, first_topic, 0, 0, all));
  TestShard zero(system), one(system);
  Member member(site, "a");
  BOOST_REQUIRE(member.owns({0, 1}));
  member.consumer.start({role, 0}, 1, {}, zero.actor);
  BOOST_REQUIRE(eventually([&] { return member.consumer.counters().pauses > 0; }));
  member.consumer.start({role, 1}, 1, {}, one.actor);  // a new assignment: the pause stays
  publish(system, producer, 2, numbered(site, first_topic, 1, 0, 10));
  BOOST_REQUIRE(eventually([&] { return one.seen->count() >= 10; }));
  BOOST_CHECK_LE(zero.seen->count(), limits::shard_records_waiting_max + 2'000);
  std::size_t told = 0;
  BOOST_CHECK(eventually([&] {
    std::size_t count = zero.seen->count();
    member.consumer.consumed({role, 0}, count - told);
    told = count;
    return count >= all;
  }));
  BOOST_TEST(zero.seen->offsets(first_topic) == range(0, all), boost::test_tools::per_element());
}

BOOST_DATA_TEST_CASE_F(Fixture, a_second_member_gets_its_shards_after_the_first_was_told,
                       boost::unit_test::data::make(brokers()), kind) {
  Site site(kind);
  site.make_topics();
  auto producer = spawn_producer(system, std::make_shared<ProducerClient>(site.options, site.names, partitions));
  publish(system, producer, 1, numbered(site, first_topic, 1, 0, 20));
  auto diary = std::make_shared<Diary>();
  TestShard old_owner(system), new_owner(system);
  auto a = std::make_unique<Member>(site, "a", diary);
  BOOST_REQUIRE(a->owns({0, 1}));
  a->consumer.start({role, 1}, 1, {}, old_owner.actor);
  BOOST_REQUIRE(eventually([&] { return old_owner.seen->count() == 20; }));
  a->consumer.committed({role, 1}, {{first_topic, Position{15, 1, 1}}});
  Member b(site, "b", diary);
  BOOST_REQUIRE(eventually([&] {
    return a->consumer.settled() && b.consumer.settled() && a->consumer.owned().size() == 1 &&
           b.consumer.owned().size() == 1;
  }));
  auto lines = diary->read();
  auto mine = b.consumer.owned();
  BOOST_CHECK_LT(index_of(lines, "a revoked 0 1"), index_of(lines, text_of("b", "assigned", mine)));
  if (site.is_real)
    BOOST_CHECK_EQUAL(committed_at_broker(site, role, first_topic, 1), 15);  // the stand-in takes none by then
  Member& owner = mine == std::vector{1} ? b : *a;
  owner.consumer.start({role, 1}, 2, {{first_topic, Position{15, 1, 1}}}, new_owner.actor);
  BOOST_REQUIRE(eventually([&] { return new_owner.seen->count() >= 6; }));
  BOOST_TEST(new_owner.seen->offsets(first_topic) == range(14, 20), boost::test_tools::per_element());
  BOOST_CHECK_EQUAL(old_owner.seen->count(), 20);
  BOOST_CHECK(a->consumer.close());
  BOOST_CHECK(b.owns({0, 1}));
  BOOST_CHECK(b.consumer.close());
  BOOST_CHECK(b.consumer.owned().empty());
  BOOST_CHECK(!b.consumer.settled());
}

BOOST_DATA_TEST_CASE_F(Fixture, ends_are_answered_and_a_lost_log_is_told_once, boost::unit_test::data::make(brokers()),
                       kind) {
  Site site(kind);
  site.make_topics();
  auto producer = spawn_producer(system, std::make_shared<ProducerClient>(site.options, site.names, partitions));
  publish(system, producer, 1, numbered(site, first_topic, 0, 0, 5));
  TestShard zero(system);
  Member member(site, "a");
  BOOST_REQUIRE(member.owns({0, 1}));
  member.consumer.ask_ends({role, 0}, zero.actor);  // not begun: nobody knows
  BOOST_REQUIRE(eventually([&] { return zero.seen->ends().size() == 1; }));
  BOOST_CHECK(!zero.seen->ends()[0].ok);
  // The first topic has other records than the store remembers, the second none at all.
  member.consumer.start({role, 0}, 1, {{first_topic, Position{1000, 1, 1}}, {second_topic, Position{1000, 1, 1}}},
                        zero.actor);
  BOOST_REQUIRE(eventually([&] { return zero.seen->count() >= 5; }));
  BOOST_TEST(zero.seen->offsets(first_topic) == range(0, 5), boost::test_tools::per_element());
  BOOST_REQUIRE(eventually([&] { return !zero.seen->lost().empty(); }));
  member.consumer.ask_ends({role, 0}, zero.actor);
  BOOST_REQUIRE(eventually([&] { return zero.seen->ends().size() == 2; }));
  auto ends = zero.seen->ends()[1];
  BOOST_CHECK(ends.ok);
  BOOST_CHECK_EQUAL(ends.ends.size(), 2);
  BOOST_CHECK_EQUAL(ends.ends[first_topic], 5);
  BOOST_CHECK_EQUAL(ends.ends[second_topic], 0);
  publish(system, producer, 2, numbered(site, second_topic, 0, 0, 3));
  BOOST_REQUIRE(eventually([&] { return zero.seen->count() >= 8; }));
  BOOST_TEST(zero.seen->offsets(second_topic) == range(0, 3), boost::test_tools::per_element());
  BOOST_CHECK(zero.seen->lost() == std::vector{second_topic});
}

BOOST_DATA_TEST_CASE_F(Fixture, each_sequence_is_answered_and_order_is_kept, boost::unit_test::data::make(brokers()),
                       kind) {
  Site site(kind);
  site.make_topics();
  ProducerOptions tuning;
  auto options = site.options;
  options.properties = {{"queue.buffering.max.messages", "100"}};  // full again and again
  auto client = std::make_shared<ProducerClient>(options, site.names, partitions, tuning);
  auto producer = spawn_producer(system, client);
  TestShard zero(system);
  constexpr int sequences = 50, each = 100;
  std::vector<Publish> all;  // made before the first is sent: the queue is to be filled faster than it is emptied
  for (int i = 0; i < sequences; ++i)
    all.push_back({zero.actor, 9, i + 1, std::make_shared<const std::vector<Outgoing>>(numbered(site, first_topic, 0, i * each, (i + 1) * each))});
  for (Publish& one : all) caf::anon_send(producer, std::move(one));
  caf::anon_send(producer, Publish{zero.actor, 9, 0, std::make_shared<const std::vector<Outgoing>>()});
  BOOST_REQUIRE(eventually([&] { return zero.seen->published().size() >= sequences + 1; }));
  std::set<Sequence> answered;
  for (const Published& one : zero.seen->published()) {
    BOOST_CHECK(one.ok);
    BOOST_CHECK_EQUAL(one.epoch, 9);
    answered.insert(one.sequence);
  }
  BOOST_CHECK_EQUAL(answered.size(), sequences + 1);
  BOOST_CHECK_GT(client->counters().full, 0);
  Member member(site, "a");
  BOOST_REQUIRE(member.owns({0, 1}));
  member.consumer.start({role, 0}, 1, {}, zero.actor);
  BOOST_REQUIRE(eventually([&] { return zero.seen->count() >= sequences * each; }));
  int expected = 0;
  for (const auto& record : zero.seen->records()) BOOST_CHECK_EQUAL(*record->value, std::to_string(expected++));
}

BOOST_DATA_TEST_CASE_F(Fixture, what_a_closed_producer_is_given_is_refused, boost::unit_test::data::make(brokers()),
                       kind) {
  Site site(kind);
  site.make_topics();
  auto client = std::make_shared<ProducerClient>(site.options, site.names, partitions);
  auto producer = spawn_producer(system, client);
  TestShard zero(system);
  auto records = std::make_shared<const std::vector<Outgoing>>(numbered(site, first_topic, 0, 0, 500));
  caf::anon_send(producer, Publish{zero.actor, 1, 1, records});
  BOOST_REQUIRE(eventually([&] { return !zero.seen->published().empty(); }));
  client->close(10s);
  caf::anon_send(producer, Publish{zero.actor, 1, 2, records});
  BOOST_REQUIRE(eventually([&] { return zero.seen->published().size() == 2; }));
  BOOST_CHECK(zero.seen->published()[0].ok);
  BOOST_CHECK(!zero.seen->published()[1].ok);
}

// -- faults: only the stand-in has them on call
// -----------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(a_broker_that_comes_back_is_used_again, Fixture) {
  Site site("mock");
  site.make_topics();
  auto producer = spawn_producer(system, std::make_shared<ProducerClient>(site.options, site.names, partitions));
  publish(system, producer, 1, numbered(site, first_topic, 0, 0, 5));
  TestShard zero(system);
  Member member(site, "a");
  BOOST_REQUIRE(member.owns({0, 1}));
  member.consumer.start({role, 0}, 1, {}, zero.actor);
  BOOST_REQUIRE(eventually([&] { return zero.seen->count() == 5; }));
  rd_kafka_mock_broker_set_down(mock().cluster, 1);
  BOOST_CHECK(eventually([&] {
    auto lines = member.diary->read();
    return std::any_of(lines.begin(), lines.end(),
                       [](const std::string& line) { return line.starts_with("a trouble: "); });
  }));
  member.consumer.ask_ends({role, 0}, zero.actor);
  BOOST_REQUIRE(eventually([&] { return zero.seen->ends().size() == 1; }));
  BOOST_CHECK(!zero.seen->ends()[0].ok);
  caf::anon_send(
      producer,
      Publish{zero.actor, 1, 2, std::make_shared<const std::vector<Outgoing>>(numbered(site, first_topic, 0, 5, 10))});
  rd_kafka_mock_broker_set_up(mock().cluster, 1);
  BOOST_REQUIRE(eventually([&] { return zero.seen->published().size() == 1 && zero.seen->count() >= 10; }));
  BOOST_CHECK(zero.seen->published()[0].ok);
  BOOST_TEST(zero.seen->offsets(first_topic) == range(0, 10), boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(a_fatal_error_fails_what_is_under_way_and_a_new_producer_takes_over, Fixture) {
  Site site("mock");
  site.make_topics();
  auto client = std::make_shared<ProducerClient>(site.options, site.names, partitions);
  auto producer = spawn_producer(system, client);
  publish(system, producer, 1, numbered(site, first_topic, 0, 0, 5));
  constexpr std::int16_t produce_request = 0;
  rd_kafka_mock_push_request_errors(mock().cluster, produce_request, 1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  TestShard zero(system);
  caf::anon_send(
      producer,
      Publish{zero.actor, 1, 2, std::make_shared<const std::vector<Outgoing>>(numbered(site, first_topic, 0, 5, 10))});
  BOOST_REQUIRE(eventually([&] { return zero.seen->published().size() == 1; }));
  rd_kafka_mock_clear_request_errors(mock().cluster, produce_request);
  BOOST_CHECK(!zero.seen->published()[0].ok);
  publish(system, producer, 2, numbered(site, first_topic, 0, 5, 10));
  BOOST_CHECK_EQUAL(client->counters().renewals, 1);
}

// -- topics
// ---------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(topics_are_created_taken_and_refused) {
  if (real_broker() == nullptr) return;  // the stand-in creates no topics on request
  Site site("real");
  auto made = ensure_topics(site.options, site.names, 3, 30s);
  BOOST_REQUIRE_MESSAGE(!made.error, (made.error ? to_string(*made.error) : ""));
  BOOST_CHECK_EQUAL(made.partitions, 3);
  BOOST_CHECK_EQUAL(made.created.size(), 2 * topic_count);
  auto again = ensure_topics(site.options, site.names, 5, 30s);
  BOOST_CHECK(!again.error);
  BOOST_CHECK_EQUAL(again.partitions, 3);  // as they are
  BOOST_CHECK(again.created.empty());
  auto listing = list_topics(site.options, 30s);
  BOOST_REQUIRE(!listing.error);
  auto partitions_at_broker = [&](const std::string& name) {
    for (const auto& topic : listing.topics)
      if (topic.name == name) return topic.partitions;
    return 0;
  };
  BOOST_CHECK_EQUAL(partitions_at_broker(site.names[Topic::order_placed]), 3);
  BOOST_CHECK_EQUAL(partitions_at_broker(dead_letters_of(site.names[Topic::order_placed])), 1);
  // One of them new: it gets what the others have.
  TopicNames more = site.names;
  more.rename(Topic::order_rerouted, site.prefix + ".another");
  auto third = ensure_topics(site.options, more, 5, 30s);
  BOOST_CHECK(!third.error);
  BOOST_CHECK_EQUAL(third.created.size(), 2);
  // One of them a dead-letter topic with its single partition: they differ.
  TopicNames wrong = site.names;
  wrong.rename(Topic::inventory_reserved, dead_letters_of(site.names[Topic::order_placed]));
  auto refused = ensure_topics(site.options, wrong, 5, 30s);
  BOOST_REQUIRE(refused.error);
  BOOST_CHECK(refused.error->misconfigured);
  BOOST_CHECK_EQUAL(refused.error->what, "kafka: partitions differ: topic " + site.names[Topic::order_placed] +
                                             " has 3, topic " + wrong[Topic::inventory_reserved] + " has 1");
}

BOOST_AUTO_TEST_CASE(a_broker_that_is_away_may_come_back_and_a_wrong_setting_may_not) {
  ClientOptions options;
  options.brokers = "127.0.0.1:1";
  auto away = ensure_topics(options, {}, 4, 1s);
  BOOST_REQUIRE(away.error);
  BOOST_CHECK(away.error->retryable);
  BOOST_CHECK(!away.error->misconfigured);
  options.properties = {{"no.such.setting", "1"}};
  auto wrong = ensure_topics(options, {}, 4, 1s);
  BOOST_REQUIRE(wrong.error);
  BOOST_CHECK(wrong.error->misconfigured);
}

BOOST_AUTO_TEST_CASE(rule_15_what_nothing_is_lost_by_is_not_the_users_to_change) {
  ClientOptions options;
  options.brokers = "127.0.0.1:1";
  const kafka::Settings protected_of_producers{{"acks", "1"}, {"enable.idempotence", "false"}};
  for (const auto& setting : protected_of_producers) {
    options.properties = {setting};
    BOOST_CHECK_THROW(ProducerClient(options, {}, 4), Failure);
  }
  const kafka::Settings protected_of_consumers{{"partition.assignment.strategy", "roundrobin"}, {"enable.auto.commit", "true"}, {"enable.auto.offset.store", "true"},
                                        {"auto.offset.reset", "latest"}, {"group.id", "another"}};
  for (const auto& setting : protected_of_consumers) {
    options.properties = {setting};
    BOOST_CHECK_THROW(RoleConsumer(options, RoleId::payment, {}, std::make_shared<TinyCodec>(), {}), Failure);
  }
}

}  // namespace
