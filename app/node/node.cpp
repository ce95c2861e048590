#include "app/node/node.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <iostream>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <thread>

#include "actors/shard.hpp"
#include "app/api/api.hpp"
#include "app/page/page.hpp"
#include "app/node/audit.hpp"
#include "app/node/charges.hpp"
#include "app/node/health.hpp"
#include "app/node/log.hpp"
#include "app/node/metrics.hpp"
#include "app/node/outside.hpp"
#include "app/node/record_log.hpp"
#include "app/node/role_host.hpp"
#include "app/node/wiring.hpp"
#include "bridges/http/problem.hpp"
#include "bridges/http/server.hpp"
#include "bridges/json/codec.hpp"
#include "bridges/kafka/admin.hpp"
#include "bridges/kafka/consumer.hpp"
#include "bridges/kafka/producer.hpp"
#include "bridges/redis/stock.hpp"
#include "bridges/simulated/carrier.hpp"
#include "bridges/simulated/gateway.hpp"
#include "bridges/sql/store.hpp"

namespace cartwright::node {
namespace {

using namespace std::chrono_literals;
using options::Options;

/// Wrong configuration: exit 2.
struct Misconfigured : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Millis wall_clock() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// SIGTERM and SIGINT, waited for by the main thread alone.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    signal(SIGPIPE, SIG_IGN);
  }
  /// True when one came within `time`.
  [[nodiscard]] bool wait(std::chrono::milliseconds time) const {
    timespec limit{time.count() / 1000, (time.count() % 1000) * 1'000'000};
    return sigtimedwait(&set_, nullptr, &limit) > 0;
  }

 private:
  sigset_t set_{};
};

/// Answers HTTP from the first moment on: until the node is composed with what it is waiting for.
class Front {
 public:
  explicit Front(std::shared_ptr<Board> board) : board_(std::move(board)) {}

  void open(http::Handler api) {
    std::unique_lock lock(mutex_);
    api_ = std::move(api);
  }
  void close() { open({}); }

  void operator()(http::Request request, http::Responder responder) {
    {
      std::shared_lock lock(mutex_);
      if (api_) return api_(std::move(request), std::move(responder));
    }
    if (request.path == "/livez") return responder.send({200, "text/plain", {}, "ok"});
    std::string reasons;
    for (const auto& [check, why] : board_->checks())
      if (!why.empty()) reasons += "[-]" + check + " " + why + "\n";
    bool verbose = request.path == "/readyz" && !request.query.empty() && request.query[0].first == "verbose";
    if (verbose) return responder.send({503, "text/plain", {{"Retry-After", "1"}}, reasons + "[-]node starting\n"});
    responder.send(http::problem(503, "Starting", "the node waits for its servers: " + reasons));
  }

 private:
  std::shared_ptr<Board> board_;
  std::shared_mutex mutex_;
  http::Handler api_;
};

constexpr auto complain_again = 30s;  // an outage of the store is told by every shard, and tried twice a second

std::vector<std::string> read_tokens(const std::string& path) {
  std::vector<std::string> tokens;
  if (path.empty()) return tokens;
  std::ifstream file(path);
  if (!file) throw Misconfigured("http.tokens-file: " + path + " cannot be read");
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.pop_back();
    if (!line.empty() && line[0] != '#') tokens.push_back(line);
  }
  if (tokens.empty()) throw Misconfigured("http.tokens-file: " + path + " holds no token");
  return tokens;
}

/// What /readyz?verbose says of the last comparison of the stock.
std::string trouble_of(const api::StockReport& report) {
  const auto found = static_cast<std::int64_t>(report.differences.size()) + report.more;
  if (found == 0) return {};
  return std::to_string(found) + (found == 1 ? " difference" : " differences") + " between ledger, Redis and orders: cartwright stock reconcile";
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

class Node {
 public:
  Node(const Options& options, const Wiring& wiring, Signals& signals)
      : o_(options), wiring_(wiring), signals_(signals), board_(std::make_shared<Board>()) {}

  int run() {
    auto tokens = read_tokens(o_.http_tokens_file);
    if (tokens.empty() && !is_loopback(o_.http_host))
      throw Misconfigured("http.listen: " + o_.http_listen + " is not a loopback address; set http.tokens-file first");
    if (std::string fault = fault_of_files(o_); !fault.empty()) throw Misconfigured(fault);
    listen();
    if (!wait_for_kafka() || !prepare_stores()) return drained_before_start();
    compose(std::move(tokens));
    log(Level::info, "node-started", "the node is composed", {{"partitions", std::to_string(settings_.partitions)}});
    while (!signals_.wait(1s)) {
      watch_assignment();
      if (!fatal().empty()) {
        log(Level::error, "node-fatal", fatal());
        flush_log();
        std::_Exit(1);  // rule 11: an assertion outside one order's handler ends the process
      }
    }
    return drain();
  }

 private:
  // -- starting -------------------------------------------------------------------------------------------------------

  void listen() {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    http::Options http;
    http.host = o_.http_host;
    http.port = o_.http_port;
    http.max_connections = o_.http_max_connections;
    http.body_limit_for = api::body_limit;
    front_ = std::make_shared<Front>(board_);
    server_ = std::make_unique<http::Server>(http, [front = front_](http::Request request, http::Responder responder) {
      (*front)(std::move(request), std::move(responder));
    });
    server_->start();
    std::cout << "listening on http://" << server_->address() << std::endl;
  }

  [[nodiscard]] kafka::ClientOptions kafka_options() const {
    kafka::ClientOptions kafka;
    kafka.brokers = o_.kafka_broker;
    kafka.group_prefix = o_.kafka_group_prefix;
    kafka.session_timeout = o_.kafka_session_timeout;
    kafka.properties = o_.kafka_properties;
    kafka.node_name = "cartwright-" + std::to_string(getpid());
    kafka.log = [](int level, std::string_view text) { log(level <= 2 ? Level::warn : Level::debug, "librdkafka", text); };
    return kafka;
  }

  /// False: a signal came first.
  bool wait_for_kafka() {
    std::string last;
    while (true) {
      board_->set("kafka", "waiting for " + o_.kafka_broker);
      auto found = kafka::ensure_topics(kafka_options(), o_.topics, o_.kafka_partitions, 5s);
      if (!found.error) {
        settings_ = o_.settings;
        settings_.partitions = found.partitions;
        if (found.stand_in) fetch_wait_ = 10ms;
        board_->set("kafka", "");
        return true;
      }
      if (found.error->misconfigured || !found.error->retryable) throw Misconfigured("kafka: " + kafka::to_string(*found.error));
      board_->set("kafka", kafka::to_string(*found.error));
      if (last != found.error->what) log(Level::warn, "kafka-away", kafka::to_string(*found.error));
      last = found.error->what;
      if (signals_.wait(500ms)) return false;
    }
  }

  [[nodiscard]] sql::StoreOptions store_options(RoleId role) const {
    return {role, o_.database_url, o_.kafka_group_prefix, wall_clock, o_.settings.outbox_replay, o_.settings.retention};
  }

  bool prepare_stores() {
    for (RoleId role : roles) {
      if (!contains(o_.roles, role)) continue;
      std::string check = "store-" + std::string(to_string(role));
      while (!prepared_[role]) {
        try {
          prepared_[role] = sql::prepare_store(store_options(role), settings_.partitions);
          board_->set(check, "");
        } catch (const sql::StoreError& error) {
          if (error.kind != sql::StoreError::Kind::unavailable) throw Misconfigured(error.what());
          board_->set(check, error.what());
          log(Level::warn, "store-away", error.what());
          if (signals_.wait(1s)) return false;
        }
      }
    }
    return true;
  }

  // -- composing ------------------------------------------------------------------------------------------------------

  void compose(std::vector<std::string> tokens) {
    config_.set("scheduler.policy", caf::atom("sharing"));  // the default starves with many ready actors
    config_.set("scheduler.max-threads", static_cast<std::size_t>(o_.threads));
    config_.set("scheduler.max-throughput", std::size_t{100});
    system_ = std::make_unique<caf::actor_system>(config_);
    codec_ = std::make_shared<const json::JsonCodec>(o_.topics, o_.kafka_group_prefix);
    if (o_.log_records) codec_ = logging_codec(codec_);

    kafka::ProducerOptions producing;
    producing.linger = o_.kafka_linger;
    producing.trouble = [](const std::string& what) { log(Level::warn, "kafka-producer", what); };
    if (o_.log_records) producing.delivered = log_record_out;
    producer_ = std::make_shared<kafka::ProducerClient>(kafka_options(), o_.topics, settings_.partitions, producing);
    producer_actor_ = kafka::spawn_producer(*system_, producer_);
    if (wiring_.producer) producer_actor_ = wiring_.producer(*system_, producer_actor_);

    api::ApiDeps api;
    for (RoleId role : roles) {
      if (!contains(o_.roles, role)) continue;
      stores_[role] = sql::spawn_store(*system_, store_options(role));
      if (wiring_.store) stores_[role] = wiring_.store(*system_, role, stores_[role]);
      if (role == RoleId::order) api.order_reader = sql::spawn_reader(*system_, store_options(role));
      if (role == RoleId::inventory) api.inventory_reader = sql::spawn_reader(*system_, store_options(role));
      if (role == RoleId::notification) api.notification_reader = sql::spawn_reader(*system_, store_options(role));
    }
    outside_ = spawn_outside(*system_, o_, api.notification_reader, codec_, wall_clock);
    spawn_ports();
    for (RoleId role : roles)
      if (contains(o_.roles, role)) join(role);
    spawn_health();
    if (contains(o_.roles, RoleId::inventory)) {
      AuditDeps audit{store_options(RoleId::inventory), std::nullopt, o_.redis_url, o_.kafka_group_prefix, codec_, wall_clock, o_.settings.retention,
                      o_.stock_compare_interval};
      if (contains(o_.roles, RoleId::order)) audit.orders = store_options(RoleId::order);
      audit_ = std::make_shared<Audit>(std::move(audit));
      api.stock_audit = {[audit = audit_] { return audit->last(); }, [audit = audit_] { audit->check(); }, [audit = audit_] { audit->rebuild(); }};
    }

    api.settings = settings_;
    api.roles = o_.roles;
    api.order_store = stores_[RoleId::order];
    api.inventory_store = stores_[RoleId::inventory];
    api.stock = stock_;
    api.producer = producer_actor_;
    api.charges = charges_;
    api.codec = codec_;
    api.clock = wall_clock;
    api.random = [source = std::make_shared<std::random_device>()] { return (static_cast<std::uint64_t>((*source)()) << 32) | (*source)(); };
    api.owner = [directory = directory_](RoleId role, int partition) { return directory->find(role, partition); };
    api.readiness = [board = board_] { return board->checks(); };
    api.metrics = [sources = MetricsSources{board_, producer_, consumers_, outside_.client, api.stock_audit.last, CARTWRIGHT_VERSION}] { return render_metrics(sources); };
    // A gateway that is away holds up its orders and not the node: they wait, and are told of here and in /metrics.
    api.notes = [client = outside_.client, stock = api.stock_audit.last, board = board_, most = o_.order_backlog_max] {
      std::vector<std::pair<std::string, std::string>> notes;
      if (const std::int64_t waiting = board->backlog(); waiting > most)
        notes.emplace_back("backlog", std::to_string(waiting) + " orders wait in a topic to be read; more are answered 503");
      if (stock) notes.emplace_back("stock-audit", trouble_of(stock().last));
      for (const curl::LaneView& lane : client->views()) notes.emplace_back(lane.name, lane.trouble);
      return notes;
    };
    api.callback_secrets = {o_.gateway.callback_secrets, o_.carrier.callback_secrets};
    api.draining = [this] { return draining_.load(); };
    api.behind = [board = board_, most = o_.order_backlog_max] { return board->backlog() > most; };
    api.page = page::assets();
    api.tokens = std::move(tokens);
    front_->open(api::make_api(*system_, std::move(api)));
  }

  void spawn_ports() {
    if (contains(o_.roles, RoleId::inventory)) {
      redis::StockOptions stock;
      stock.url = o_.redis_url;
      stock.prefix = o_.kafka_group_prefix;
      stock.ledger = stores_[RoleId::inventory];
      stock.clock = wall_clock;
      stock.held_of = [codec = codec_](const std::string& doc) {
        Row row;
        row.state = inventory::to_string(inventory::State::reserved);
        row.doc = doc;
        auto reservation = codec->read_reservation(row);
        redis::HeldLines held;
        held.currency = reservation.currency;
        // The ledger answers a repeated request, so the price of a line is not asked of a rebuilt Redis again.
        for (const Line& line : reservation.lines) held.lines.push_back({line, 0});
        return held;
      };
      stock.on_open = [] { log(Level::info, "stock-verified", "the stock in Redis is the ledger's; the gate is open"); };
      try {
        stock_ = redis::spawn_stock(*system_, std::move(stock));
      } catch (const std::invalid_argument& error) {
        throw Misconfigured(std::string("redis.url: ") + error.what());
      }
    }
    if (contains(o_.roles, RoleId::payment) && !outside_.gateway) {
      gateway_ = simulated::spawn_gateway(*system_, {o_.database_url, o_.kafka_group_prefix,
                                                     [board = board_](const std::string& state) {
                                                       board->set("gateway", state);
                                                       if (!state.empty()) log(Level::warn, "gateway", state);
                                                     }});
      charges_ = spawn_charges(*system_, gateway_);
    }
    if (contains(o_.roles, RoleId::shipping) && !outside_.carrier) carrier_ = simulated::spawn_carrier(*system_);
    ports_ = {{RoleId::inventory, stock_},
              {RoleId::payment, outside_.gateway ? outside_.gateway : PortActor(gateway_)},
              {RoleId::shipping, outside_.carrier ? outside_.carrier : carrier_},
              {RoleId::notification, outside_.notices}};
    if (!wiring_.port) return;
    for (auto& [role, port] : ports_)
      if (port) port = wiring_.port(*system_, role, port);
  }

  [[nodiscard]] PortActor port_of(RoleId role) const {
    auto found = ports_.find(role);
    return found == ports_.end() ? PortActor{} : found->second;
  }

  void join(RoleId role) {
    RoleHostDeps host;
    host.role = role;
    host.directory = directory_;
    host.fatal = [this](const std::string& why) { fail(why); };
    host.shard_deps = [this, role, rules = make_role(role, settings_, codec_)](int partition) {
      ShardDeps deps;
      deps.id = {role, partition};
      deps.settings = settings_;
      deps.role = rules;
      deps.store = stores_.at(role);
      deps.port = port_of(role);
      deps.producer = producer_actor_;
      deps.intake = consumer(role);
      deps.codec = codec_;
      deps.clock = wall_clock;
      if (role == RoleId::inventory)
        deps.taken = [stock = stock_, partition](Epoch epoch) { caf::anon_send(stock, redis::Announce{partition, epoch}); };
      deps.complain = [limit = std::make_shared<kafka::RateLimit>(complain_again)](const std::string& what) {
        if (limit->pass(what)) log(Level::warn, "shard", what);
      };
      return deps;
    };
    auto actor = spawn_role_host(*system_, std::move(host));
    hosts_.push_back(actor);
    troubles_[role] = std::make_shared<Trouble>();
    kafka::ConsumerCallbacks callbacks;
    callbacks.assigned = [actor](std::vector<int> partitions) { caf::anon_send(actor, Assigned{std::move(partitions)}); };
    callbacks.revoked = [actor](std::vector<int> partitions, std::function<void()> done) {
      caf::anon_send(actor, Withdrawn{std::move(partitions), std::move(done)});
    };
    callbacks.trouble = [role, last = troubles_[role]](const std::string& what) {
      log(Level::warn, "kafka-consumer", what, {{"role", std::string(to_string(role))}});
      std::lock_guard held(last->mutex);
      last->text = what;
    };
    auto made = std::make_shared<kafka::RoleConsumer>(kafka_options(), role, o_.topics, codec_, std::move(callbacks),
                                                      kafka::ConsumerOptions{role == RoleId::notification, fetch_wait_});
    std::lock_guard lock(consumers_mutex_);
    consumers_[role] = std::move(made);
    consumers_there_.notify_all();
  }

  /// The consumer of a role; its first assignment may come before join() has put it away.
  std::shared_ptr<kafka::RoleConsumer> consumer(RoleId role) {
    std::unique_lock lock(consumers_mutex_);
    consumers_there_.wait_for(lock, 5s, [&] { return consumers_.contains(role); });
    return consumers_.at(role);
  }

  /// What a consumer has complained of last: why its group does not settle, perhaps.
  struct Trouble {
    std::mutex mutex;
    std::string text;
  };

  void spawn_health() {
    MonitorDeps health;
    for (auto& [role, store] : stores_) health.stores["store-" + std::string(to_string(role))] = store;
    health.stock = stock_;
    health.directory = directory_;
    health.backlog = [consumers = consumers_] {
      std::int64_t most = 0;
      // An order has about one record in each topic: where most are unread, so many orders wait.
      for (const auto& [role, consumer] : consumers)
        for (const auto& [topic, unread] : consumer->lag()) most = std::max(most, unread);
      return most;
    };
    health.board = board_;
    for (auto& [role, consumer] : consumers_)
      health.others.emplace_back("group-" + std::string(to_string(role)), [consumer = consumer, last = troubles_[role]]() -> std::string {
        if (consumer->settled()) return "";
        std::lock_guard held(last->mutex);
        return "the consumer group has not settled" + (last->text.empty() ? "" : "; last heard: " + last->text);
      });
    health.others.emplace_back("kafka", [this]() -> std::string { return kafka_answers_ ? "" : o_.kafka_broker + " does not answer"; });
    for (auto& [name, store] : health.stores) board_->set(name, "not asked yet");
    if (stock_) board_->set("redis", "not asked yet");
    monitor_ = spawn_monitor(*system_, std::move(health));
    probe_ = std::thread([this] {
      while (!draining_) {
        kafka_answers_ = somebody_listens(o_.kafka_broker);
        std::unique_lock lock(consumers_mutex_);
        consumers_there_.wait_for(lock, 1s, [&] { return draining_.load(); });
      }
    });
  }

  // -- running --------------------------------------------------------------------------------------------------------

  void fail(const std::string& why) {
    std::lock_guard lock(fatal_mutex_);
    if (fatal_.empty() && !draining_) fatal_ = why;
  }
  [[nodiscard]] std::string fatal() {
    std::lock_guard lock(fatal_mutex_);
    return fatal_;
  }

  /// Rule 16: SQLite is for one node. Being assigned a part of a role for long means that another one is there.
  void watch_assignment() {
    if (!o_.database_url.starts_with("sqlite:")) return;
    for (auto& [role, consumer] : consumers_) {
      bool partial = consumer->settled() && static_cast<int>(consumer->owned().size()) < settings_.partitions;
      int& seconds = partial_seconds_[role];
      seconds = partial ? seconds + 1 : 0;
      if (seconds * 1000 > 2 * o_.kafka_session_timeout.count() + 5'000) {
        log(Level::error, "sqlite-is-for-one-node",
            "another node plays " + std::string(to_string(role)) + " with a store of its own; use PostgreSQL for more than one node");
        flush_log();
        std::_Exit(2);
      }
    }
  }

  // -- ending ---------------------------------------------------------------------------------------------------------

  int drained_before_start() {
    server_->stop();
    flush_log();
    return 0;
  }

  int drain() {
    log(Level::info, "draining", "not ready any more; finishing what is under way");
    draining_ = true;
    consumers_there_.notify_all();
    std::thread([this] {  // a second signal, or the deadline, ends it hard
      if (signals_.wait(o_.drain_timeout)) log(Level::warn, "drain-interrupted", "a second signal came");
      else log(Level::error, "drain-timeout", "the drain took longer than node.drain-timeout");
      flush_log();
      std::_Exit(1);
    }).detach();
    std::vector<std::thread> leaving;
    for (auto& [role, consumer] : consumers_) leaving.emplace_back([consumer = consumer] { consumer->close(); });
    for (std::thread& thread : leaving) thread.join();
    if (outside_.client) outside_.client->close();  // what is not answered is asked again after the next start
    producer_->close(5s);
    server_->stop();
    if (probe_.joinable()) probe_.join();
    log(Level::info, "drained", "everything was handed back");
    flush_log();
    // The stores commit before they answer and nothing is under way: there is nothing to lose by not taking apart the
    // actor system, whose end can wait for an actor that another library still refers to.
    std::cout.flush();
    std::_Exit(0);
  }

  const Options& o_;
  const Wiring& wiring_;
  Signals& signals_;
  Settings settings_;
  std::shared_ptr<Board> board_;
  std::shared_ptr<Front> front_;
  std::unique_ptr<http::Server> server_;
  std::map<RoleId, std::unique_ptr<sql::PreparedStore>> prepared_;
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  std::shared_ptr<const Codec> codec_;
  std::shared_ptr<kafka::ProducerClient> producer_;
  ProducerActor producer_actor_;
  std::map<RoleId, StoreActor> stores_;
  redis::StockActor stock_;
  simulated::GatewayActor gateway_;
  PortActor carrier_;
  std::map<RoleId, PortActor> ports_;  // as the shards see them
  OutsidePorts outside_;
  api::ChargesActor charges_;
  std::shared_ptr<Directory> directory_ = std::make_shared<Directory>();
  std::vector<RoleHostActor> hosts_;
  MonitorActor monitor_;
  std::shared_ptr<Audit> audit_;  // where the inventory role runs
  std::mutex consumers_mutex_;
  std::condition_variable consumers_there_;
  std::map<RoleId, std::shared_ptr<kafka::RoleConsumer>> consumers_;
  std::map<RoleId, std::shared_ptr<Trouble>> troubles_;
  std::map<RoleId, int> partial_seconds_;
  std::chrono::milliseconds fetch_wait_ = kafka::ConsumerOptions{}.fetch_wait;
  std::thread probe_;
  std::atomic<bool> draining_{false}, kafka_answers_{true};
  std::mutex fatal_mutex_;
  std::string fatal_;
};

}  // namespace

int run_node(const Options& options) { return run_node_wired(options, {}); }

int run_node_wired(const Options& options, const Wiring& wiring) {
  Signals signals;
  start_log(options.log_level, options.log_format);
  try {
    return Node(options, wiring, signals).run();
  } catch (const Misconfigured& wrong) {
    std::cerr << "cartwright node: " << wrong.what() << '\n';
    flush_log();
    std::_Exit(2);
  } catch (const std::exception& error) {
    std::cerr << "cartwright node: " << error.what() << '\n';
    flush_log();
    std::_Exit(1);
  }
}

}  // namespace cartwright::node
