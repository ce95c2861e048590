#include "tests/loop/world.hpp"

#include <caf/actor_registry.hpp>
#include <caf/send.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <chrono>

#include "actors/harden.hpp"
#include "tests/loop/foreign.hpp"
#include "tests/loop/seeded.hpp"
#include "tests/loop/stock.hpp"

namespace cartwright::loop {

using namespace std::chrono_literals;

/// Delivers what the world chooses from the log, from where a shard said it wants to begin. Each owner has a consumer of
/// its own: one that the group has forgotten reads on.
class World::SimIntake final : public Intake {
 public:
  struct Started {
    ShardId shard;
    Epoch epoch = 0;
    std::map<Topic, std::int64_t> at, reached;  // what is read next; how far somebody has read
    ShardActor to;
  };
  explicit SimIntake(World& world) : world_(world) {}

  void start(ShardId shard, Epoch epoch, const Positions& from, ShardActor to) override {
    Started started{shard, epoch, {}, {}, std::move(to)};
    for (Topic topic : topics_read_by(shard.role)) {
      auto it = from.find(topic);
      started.reached[topic] = it == from.end() ? 0 : it->second.next;
      started.at[topic] = it == from.end() || it->second.next == 0 ? 0
                          : world_.with(Switch::no_fingerprint)    ? it->second.next
                                                                   : it->second.next - 1;
    }
    auto owner = started.to->id();
    running[owner] = std::move(started);
  }
  void consumed(ShardId, std::size_t) override {}
  void committed(ShardId shard, const Positions& next) override {
    if (world_.lost_ || !world_.options_.order_checks) return;
    auto& stored = world_.stores[shard.role].shards[shard.partition].positions;
    for (auto& [topic, position] : next)
      if (position.next > stored[topic].next) world_.broke("the broker is told an offset of " + to_string(shard) + " that the store does not have");
  }
  void ask_ends(ShardId shard, ShardActor to) override {
    const auto asked = running.find(to->id());
    Ends ends{!world_.chance(.1), {}, asked == running.end() ? 0 : asked->second.epoch};
    for (Topic topic : topics_read_by(shard.role)) ends.ends[topic] = world_.log.size(topic, shard.partition);
    if (!ends.ok) ends.ends.clear();
    caf::anon_send(to, std::move(ends));
  }
  void forget(caf::actor_id owner) { running.erase(owner); }

  /// Some records to one of the shards; a log that ends before what was read is told first.
  bool deliver() {
    if (running.empty()) return false;
    auto it = running.begin();
    std::advance(it, world_.pick(static_cast<int>(running.size())));
    Started& consumer = it->second;
    auto read = topics_read_by(consumer.shard.role);
    // One that was filled again beyond its position meanwhile goes on as if nothing had happened, as a real client does.
    LogLost lost{consumer.epoch, {}};
    for (Topic topic : read)
      if (consumer.reached[topic] > world_.log.size(topic, consumer.shard.partition)) {
        lost.topics.push_back(topic);
        consumer.at[topic] = consumer.reached[topic] = 0;
      }
    if (!lost.topics.empty()) caf::anon_send(consumer.to, std::move(lost));
    Batch batch{consumer.epoch, {}};
    std::shuffle(read.begin(), read.end(), world_.random_);
    for (Topic topic : read) {
      if (world_.faulty_ && world_.pick(2)) continue;
      auto& at = consumer.at[topic];
      auto end = world_.log.size(topic, consumer.shard.partition);
      for (int n = world_.faulty_ ? world_.pick(4) : 100; n > 0 && at < end; --n, ++at)
        batch.records.push_back(world_.log.at(topic, consumer.shard.partition, at));
      consumer.reached[topic] = std::max(consumer.reached[topic], at);
    }
    if (batch.records.empty()) return false;
    if (world_.with(Switch::offset_stored_too_early)) {
      auto& stored = world_.stores[consumer.shard.role].shards[consumer.shard.partition];
      if (stored.epoch == consumer.epoch)
        for (auto& record : batch.records) {
          Position& position = stored.positions[record->topic];
          if (position.next <= record->offset)
            position = {record->offset + 1, record->timestamp, fingerprint(record->key.value_or("")) * 31 + fingerprint(record->value.value_or("")), 0};
        }
    }
    caf::anon_send(consumer.to, std::move(batch));
    return true;
  }

  std::map<caf::actor_id, Started> running;

 private:
  World& world_;
};

namespace {

/// The roles that other people play in this seed.
RoleSet some_foreign(std::mt19937_64& random) {
  switch (random() % 16) {
    case 0: return bit(RoleId::inventory);
    case 1: return bit(RoleId::payment);
    case 2: return bit(RoleId::shipping);
    case 3: return static_cast<RoleSet>(bit(RoleId::inventory) | bit(RoleId::payment));
    case 4: return static_cast<RoleSet>(bit(RoleId::payment) | bit(RoleId::shipping));
    default: return 0;
  }
}

}  // namespace

World::World(Options options)
    : log(TopicNames{}, 2, std::make_shared<const json::JsonCodec>(TopicNames{}, "simulated")), options_(options), random_(options.seed), faulty_(options.faults) {
  settings_.partitions = 2;
  if (faulty_) settings_.foreign = some_foreign(random_);
  if (faulty_ && pick(4) == 0) settings_.channels = {{"email", true}};
  codec_ = std::make_shared<const json::JsonCodec>(names_, "simulated");
  config_.set("scheduler.policy", caf::atom("testing"));
  system_ = std::make_unique<caf::actor_system>(config_);
  scheduler_ = dynamic_cast<caf::scheduler::test_coordinator*>(&system_->scheduler());
  scheduler_->clock().current_time += std::chrono::hours(24);
  nodes_ = faulty_ ? 1 + pick(3) : 1;
  faults_wanted_ = faulty_ ? 3 + pick(5) : 0;
  for (const char* product : {"apple", "pear"}) {
    std::int64_t n = faulty_ ? 2 + pick(12) : 10;
    redis.products[product] = {n, 0, 0, n};
    stores[RoleId::inventory].products[product].stocked = n;
  }
  redis.generation = stores[RoleId::inventory].generation = 1;
  stores[RoleId::inventory].verified = {"run-1", 1};
  images.push_back(redis);
  producer_ = spawn_log_producer(*system_, *this);
  for (int node = 0; node < nodes_; ++node) {
    stock_ports_.push_back(std::make_shared<StockPort>(*this, node));
    stock_ports_.back()->spawn(*system_, stock_ports_.back());
  }
  for (RoleId role : roles) {
    if (foreign(role)) {
      programs_.push_back(std::make_unique<Foreign>(*this, role));
      continue;
    }
    store_actors_[role] = spawn_memory_store(*system_, *this, role);
    if (role != RoleId::order && role != RoleId::inventory) ports_[role] = spawn_port(*system_, *this, role);
    intakes_[role] = std::make_shared<SimIntake>(*this);
    for (int p = 0; p < settings_.partitions; ++p) spawn({role, p}, pick(nodes_));
  }
  if (!faulty_) return;
  const std::vector<std::string> tokens{"tok_ok", "tok_ok", "tok_ok", "tok_ok", "tok_declined", "tok_timeout", "tok_error", "tok_never"};
  int orders = 8 + pick(4);
  for (int n = 0; n < orders; ++n) {
    std::vector<Line> lines;
    for (int i = 1 + pick(2); i > 0; --i) lines.push_back({ProductId{pick(2) ? "apple" : "pear"}, 1 + pick(2)});
    plan(std::move(lines), tokens[static_cast<std::size_t>(pick(static_cast<int>(tokens.size())))], pick(2) == 0);
  }
  if (foreign(RoleId::inventory)) return;
  for (int n = pick(3); n > 0; --n) hands_.push_back({"hand-" + std::to_string(n), ProductId{pick(2) ? "apple" : "pear"}, pick(2) ? 1 + pick(3) : -1 - pick(2), 0, {}});
}

World::~World() {
  // A shard's tick keeps it alive until it is told to end.
  for (auto& shard : ever_spawned_) caf::anon_send_exit(shard, caf::exit_reason::kill);
  for (auto& [role, store] : store_actors_) caf::anon_send_exit(store, caf::exit_reason::kill);
  for (auto& [role, port] : ports_)
    if (port) caf::anon_send_exit(port, caf::exit_reason::kill);
  caf::anon_send_exit(producer_, caf::exit_reason::kill);
  for (auto& port : stock_ports_) {
    caf::anon_send_exit(port->actor(), caf::exit_reason::kill);
    port->end();
  }
  late_.clear();
  ever_spawned_.clear();
  shards_.clear();
  zombies_.clear();
  ports_.clear();
  store_actors_.clear();
  producer_ = nullptr;
  // Who took a shard just now is known to an intake, and holds its orders.
  for (bool more = true; more;) {
    for (auto& [role, intake] : intakes_) intake->running.clear();
    more = scheduler_->run() > 0 || scheduler_->trigger_timeout();
  }
  // CAF waits for ever for an actor that something still holds: such a system is left behind, and counted.
  if (system_->registry().running() > 0) {
    if (options_.story) std::fprintf(stderr, "left behind: %zu actors\n", system_->registry().running());
    static_cast<void>(system_.release());
  }
}

void World::hit(std::string_view what) {
  auto it = hits_.find(what);
  if (it == hits_.end())
    hits_.emplace(what, 1);
  else
    ++it->second;
}

void World::fault(std::string_view what) {
  hit(what);
  if (first_fault_ < 0) first_fault_ = step_;
  last_fault_ = step_;
  if (options_.story) say("! " + std::string(what));
}

void World::say(const std::string& what) const {
  if (options_.story) std::fprintf(stderr, "%6d  %s\n", step_, what.c_str());
}

void World::broke(const std::string& what) {
  if (broken_.empty()) broken_ = what;
}

void World::count_pair(const std::string& state, std::string_view event) {
  std::string name = "pair " + state + " / ";
  name += event;
  hit(name);
}

Millis World::now() {
  auto since = scheduler_->clock().now().time_since_epoch();
  return 1'790'000'000'000 + std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

void World::append_misplaced(const Outgoing& record) {
  log.append(record.topic, pick(settings_.partitions), {record.key, record.value, record.headers, now(), {}});
}

void World::publish(const Outgoing& record) {
  if (options_.order_checks) {
    auto identity = identity_of(record.topic, record.value.value_or(""));
    bool known = std::any_of(stores.begin(), stores.end(), [&](auto& store) { return store.second.committed.contains(identity); });
    if (!known) broke("published before it was committed: " + record.topic + " of " + record.order);
    hit("rule 2: published what was committed");
    for (const Header& header : record.headers)
      if (header.first == "ce_id" && !header.second.empty())
        if (auto [it, fresh] = by_ce_id_.try_emplace(record.topic + " " + header.second, identity); !fresh && it->second != identity)
          broke("written again with other bytes: " + header.second);
    bool question = record.topic == log.name(Topic::payment_initiated) || record.topic == log.name(Topic::order_shipped);
    for (const Header& header : record.headers)
      if (question && header.first == "ce_id")
        if (auto [it, fresh] = question_ids_.try_emplace(record.topic + " " + record.order, header.second); !fresh && it->second != header.second)
          broke("asked twice, as two questions: " + record.topic + " of " + record.order);
  }
  append(record);
}

// -- nodes ----------------------------------------------------------------------------------------------------------------

void World::spawn(ShardId id, int node) {
  ShardDeps deps;
  deps.id = id;
  deps.settings = settings_;
  deps.role = seeded(*this, id, node, make_role(id.role, settings_, codec_));
  deps.store = store_actors_[id.role];
  if (id.role == RoleId::inventory) {
    deps.port = stock_port(node).actor();
    deps.taken = [this, node, p = id.partition](Epoch epoch) { stock_port(node).announce(p, epoch); };
  } else {
    deps.port = ports_[id.role];
  }
  deps.producer = producer_;
  deps.intake = intakes_[id.role];
  deps.codec = codec_;
  deps.clock = [this] { return now(); };
  if (options_.story) deps.complain = [this](const std::string& what) { say(what); };
  deps.probe = [this, id](const std::string& key, const Input& input) {
    if (id.role == RoleId::order) {
      if (!ill_.contains(key) && !chance(faults.handler_throws)) return;
      fault("an order's actor dies");
      throw std::runtime_error("by the seed");
    }
    if (id.role != RoleId::inventory || killers_.empty() || !killers_.contains(key)) return;
    const auto* record = std::get_if<std::shared_ptr<const Record>>(&input);
    if (!record || (*record)->event.topic != Topic::order_placed) return;
    fault("a record ends the process");
    throw std::runtime_error("by a record");
  };
  auto shard = spawn_shard(*system_, std::move(deps));
  caf::anon_send(shard, Begin{});
  shards_[id] = {shard, node};
  ever_spawned_.push_back(shard);
}

void World::retire(ShardId id, Fate fate) {
  auto it = shards_.find(id);
  if (it == shards_.end()) return;
  Running old = it->second;
  shards_.erase(it);
  switch (fate) {
    case Fate::revoked: {
      fault("shard revoked");
      // As the host of a role does; the next owner does not wait longer than that.
      system_->spawn([actor = old.actor](caf::event_based_actor* self) {
        self->request(actor, 3s, Revoke{}).then([](const Revoked&) {}, [actor](const caf::error&) { caf::anon_send_exit(actor, caf::exit_reason::kill); });
      });
      intakes_[id.role]->forget(old.actor->id());
      break;
    }
    case Fate::killed:
      fault("shard killed");
      caf::anon_send_exit(old.actor, caf::exit_reason::kill);
      intakes_[id.role]->forget(old.actor->id());
      break;
    case Fate::zombie:
      fault("zombie");
      frozen_.insert(old.actor->id());
      zombies_.push_back({old.actor, id, old.node, true});
      break;
  }
}

void World::rebalance(RoleId role, std::optional<Fate> fate) {
  for (int p = 0; p < settings_.partitions; ++p) {
    ShardId id{role, p};
    retire(id, fate.value_or(static_cast<Fate>(pick(3))));
    int node = pick(nodes_);
    // A shard needs its partition of every topic; dealt out in turn, they come to different nodes, and nobody has it.
    if (with(Switch::assignor_roundrobin) && nodes_ > 1 && topics_read_by(role).size() > 1) {
      unowned_.insert(id);
      continue;
    }
    spawn(id, node);
  }
}

void World::restart_cleanly() {
  std::vector<ShardId> all;
  for (auto& [id, running] : shards_) all.push_back(id);
  for (ShardId id : all) retire(id, Fate::revoked);
  run_until([] { return false; }, 40);
  for (ShardId id : all) spawn(id, 0);
}

void World::crash_node(int node) {
  fault("node crashes");
  std::vector<ShardId> dead;
  for (auto& [id, running] : shards_)
    if (running.node == node) dead.push_back(id);
  for (ShardId id : dead) retire(id, Fate::killed);
  caf::anon_send_exit(stock_ports_[static_cast<std::size_t>(node)]->actor(), caf::exit_reason::kill);
  stock_ports_[static_cast<std::size_t>(node)]->end();
  stock_ports_[static_cast<std::size_t>(node)] = std::make_shared<StockPort>(*this, node);
  stock_ports_[static_cast<std::size_t>(node)]->spawn(*system_, stock_ports_[static_cast<std::size_t>(node)]);
  for (ShardId id : dead) spawn(id, pick(nodes_));
  // The group hands everything out anew.
  for (RoleId role : roles)
    if (!foreign(role) && toss(.5)) rebalance(role, Fate::revoked);
}

/// A shard that ended by itself took its process with it.
void World::check_deaths() {
  if (killers_.empty()) return;
  for (int node = 0; node < nodes_; ++node)
    for (auto& [id, running] : shards_) {
      auto* actor = caf::actor_cast<caf::abstract_actor*>(running.actor);
      if (running.node != node || !(actor->getf(caf::abstract_actor::is_terminated_flag) || actor->getf(caf::abstract_actor::is_shutting_down_flag))) continue;
      crash_node(node);
      return;
    }
}

void World::lose_log(std::optional<Topic> topic) {
  fault(topic ? "a topic is lost" : "the broker loses its logs");
  lost_ = true;
  log.lose(topic);
}

void World::redis_restart(bool empty) {
  fault(empty ? "Redis comes back empty" : "Redis comes back older");
  int run = redis.run;
  redis = empty ? RedisState{} : images[static_cast<std::size_t>(pick(static_cast<int>(images.size())))];
  redis.run = run + 1;
}

void World::flush_redis() {
  fault("FLUSHALL");
  int run = redis.run;
  redis = {};
  redis.run = run;
}

// -- users ----------------------------------------------------------------------------------------------------------------

Plan& World::plan(std::vector<Line> lines, const std::string& token, bool door) {
  Plan plan;
  plan.id.value = std::to_string(options_.seed) + "-" + std::to_string(plans_.size());
  plan.lines = std::move(lines);
  plan.token = token;
  plan.door = door;
  plans_.push_back(std::move(plan));
  return plans_.back();
}

void World::place(Plan& plan) {
  plan.placed = true;
  if (plan.door) return place_at_door(plan);
  Event event;
  event.topic = Topic::order_placed;
  event.order = plan.id;
  event.user = UserId{"user"};
  event.lines = plan.lines;
  event.itemised = plan.lines.size() > 1;
  event.payment_token = plan.token;
  Outgoing bare = codec_->write(event);
  bare.headers.clear();
  if (chance(.25)) {
    fault("bare order misplaced");
    append_misplaced(bare);
  } else {
    append(bare);
  }
  if (chance(.3)) append_misplaced(bare);
  if (chance(.1)) {
    fault("conflicting order.placed");
    event.user = UserId{"somebody-else"};
    Outgoing other = codec_->write(event);
    other.headers.clear();
    later([this, other] { append_misplaced(other); });
  }
}

void World::place_at_door(Plan& plan) {
  Event event;
  event.topic = Topic::order_placed;
  event.order = plan.id;
  event.user = UserId{"user"};
  event.lines = plan.lines;
  event.itemised = plan.lines.size() > 1;
  event.payment_token = plan.token;
  order::Order order = order::place(event, settings_, now());
  Row row;
  row.key = plan.id.value;
  row.version = 1;
  row.state = "pending";
  row.owner = event.user.value;
  row.due = order.wait(order::Wait::inventory).next;
  row.created_at = row.updated_at = order.created_at;
  row.doc = codec_->write(order);
  Event placed = order::placed_event(order);
  placed.stored = true;
  Outgoing record = codec_->write(placed);
  auto& store = stores[RoleId::order];
  if (with(Switch::accepted_before_durable) && chance(.2)) {  // and then the node dies
    plan.accepted = true;
    return;
  }
  store.rows[row.key] = {row, partition_of(plan.id.value, settings_.partitions)};
  store.history[row.key].push_back({plan.id, 1, "pending", "order.placed", order.created_at});
  store.committed.insert(identity_of(record.topic, record.value.value_or("")));
  plan.accepted = true;
  hit("rule 1: accepted when it is durable");
  if (chance(.15)) {
    fault("door's record never written");  // its node dies, or its producer gives up: others go on
    return;
  }
  append(record);
}

void World::cancel_by_command(Plan& plan) {
  auto it = shards_.find({RoleId::order, partition_of(plan.id.value, settings_.partitions)});
  if (it == shards_.end()) return;
  system_->spawn([this, id = plan.id.value, actor = it->second.actor](caf::event_based_actor* self) {
    self->request(actor, 5s, id, Command{CommandKind::cancel, 0}).then(
        [this, id](const CommandReply& reply) {
          if (reply.status == 202) cancelled_.insert(id);
        },
        [](const caf::error&) {});
  });
}

void World::retry_by_command(Plan& plan) {
  auto it = shards_.find({RoleId::order, partition_of(plan.id.value, settings_.partitions)});
  if (it == shards_.end()) return;
  system_->spawn([id = plan.id.value, actor = it->second.actor](caf::event_based_actor* self) {
    self->request(actor, 5s, id, Command{CommandKind::retry, 0}).then([](const CommandReply&) {}, [](const caf::error&) {});
  });
}

/// A change of stock by hand, one step further: opened in the ledger, told to Redis, settled in the ledger.
void World::move_hand() {
  if (hands_.empty()) return;
  HandPlan& hand = hands_[static_cast<std::size_t>(pick(static_cast<int>(hands_.size())))];
  auto& ledger = stores[RoleId::inventory];
  auto& total = ledger.products[hand.product.value];
  if (hand.phase == 0) {
    auto& row = ledger.hands[hand.id];
    row = {hand.product, hand.delta, hand.delta < 0 ? HandState::asked : HandState::given, false};
    if (hand.delta > 0) total.stocked += hand.delta;
    hand.phase = 1;
    return;
  }
  auto& row = ledger.hands[hand.id];
  if (row.told || row.state == HandState::refused) {
    hand.phase = 2;
    return;
  }
  if (hand.phase == 1 && hand.said.empty()) {
    auto said = stock_port(pick(nodes_)).change(hand.id, hand.product, hand.delta);
    if (said && !chance(.3)) hand.said.push_back(*said);
    return;
  }
  if (hand.said.empty()) return;
  auto [applied, identity] = hand.said.back();
  hand.said.pop_back();
  if (identity != ledger.verified && !with(Switch::stale_generation_accepted)) return;
  if (row.state == HandState::asked) {
    row.state = applied ? HandState::done : HandState::refused;
    row.told = true;
    if (applied) total.stocked += hand.delta;
  } else if (applied) {
    row.told = true;
  }
  check_stock();
}

/// Something that was said before is said again, late, by somebody, anywhere; or somebody writes what is none of theirs.
void World::write_stray() {
  if (toss(.6) && !log.ever().empty()) {
    const Written& old = log.ever()[static_cast<std::size_t>(pick(static_cast<int>(log.ever().size())))];
    auto topic = log.find(old.topic);
    if (!topic || *topic == Topic::order_rerouted) return;
    fault("old record again");
    Outgoing record{old.topic, old.order.value, old.value, {}, old.order.value};
    return append_misplaced(record);
  }
  Plan& plan = plans_[static_cast<std::size_t>(pick(static_cast<int>(plans_.size())))];
  if (toss(.5)) return write_untimely(plan);
  if (!plan.placed) return;
  Event e;
  e.order = plan.id;
  switch (pick(3)) {
    case 0: e.topic = Topic::order_status_requested; break;
    case 1: e.topic = Topic::payment_refund_failed; e.txn.value = "nobody's"; e.amount = 0; break;
    default: e.topic = Topic::order_delivered; break;
  }
  fault("stranger's record");
  append_misplaced(codec_->write(e));
}

/// An answer that somebody gives although nobody asks any more, or not yet: what the order's table has to ignore, keep or undo.
/// Only where it is no lie about stock or money that is still open: a liar is obeyed.
void World::write_untimely(const Plan& plan) {
  auto row = stores[RoleId::order].rows.find(plan.id.value);
  std::string state = row == stores[RoleId::order].rows.end() ? "unknown" : row->second.row.state;
  auto held = stores[RoleId::inventory].rows.find(plan.id.value);
  bool settled = !foreign(RoleId::inventory) && held != stores[RoleId::inventory].rows.end() && (held->second.row.state == "sold" || held->second.row.state == "released");
  std::vector<Topic> may;
  if (state == "paid" || state == "shipped" || state == "delivered") may = {Topic::inventory_failed, Topic::inventory_released, Topic::payment_refunded};
  if ((state == "paid" || state == "shipped" || state == "delivered" || state == "refunded") && settled) may.push_back(Topic::payment_failed);
  if (state == "payment_failed") may = {Topic::order_tracking_updated};
  if (state == "payment_failed" && !foreign(RoleId::payment)) may.push_back(Topic::payment_success);
  if (may.empty()) return;
  Event e;
  e.order = plan.id;
  e.topic = may[static_cast<std::size_t>(pick(static_cast<int>(may.size())))];
  e.user = UserId{"user"};
  e.lines = plan.lines;
  e.itemised = plan.lines.size() > 1;
  e.amount = 0;
  e.txn.value = "nobody's";
  e.tracking.value = "nobody's-" + plan.id.value;
  fault("stranger's untimely answer");
  Outgoing record = codec_->write(e);
  record.headers.clear();
  append_misplaced(record);
}

// -- one step ---------------------------------------------------------------------------------------------------------------

bool World::run_job() {
  auto& jobs = scheduler_->jobs;
  if (jobs.empty()) return false;
  auto at = jobs.begin() + pick(static_cast<int>(jobs.size()));
  if (!frozen_.empty()) {
    auto* actor = dynamic_cast<caf::scheduled_actor*>(*at);
    if (actor && frozen_.contains(actor->id())) return true;
  }
  std::rotate(jobs.begin(), at, at + 1);
  return scheduler_->try_run_once();
}

bool World::deliver() {
  RoleId role = roles[static_cast<std::size_t>(pick(static_cast<int>(roles.size())))];
  auto it = intakes_.find(role);
  return it != intakes_.end() && it->second->deliver();
}

void World::advance(Millis by) { scheduler_->advance_time(std::chrono::milliseconds(by)); }

void World::make_fault() {
  RoleId role = roles[static_cast<std::size_t>(pick(5))];
  switch (pick(16)) {
    case 0:
    case 1: return crash_node(pick(nodes_));
    case 2:
    case 3:
    case 4:
      if (!foreign(role)) rebalance(role);
      return;
    case 5: return redis_restart(true);
    case 6:
    case 7: return redis_restart(false);
    case 8: return flush_redis();
    case 9: return lose_log();
    case 10:
    case 11: return lose_log(topics()[static_cast<std::size_t>(pick(static_cast<int>(topic_count)))].topic);
    case 12: fault("clock jumps"); return advance(40'000);
    case 13: fault("clock jumps"); return advance(16 * 60'000);
    case 14:
      fault("clock jumps");
      while (!late_.empty()) {  // nothing is under way for an hour
        auto act = std::move(late_.front());
        late_.pop_front();
        act();
      }
      return advance(61 * 60'000);
    default:
      if (!foreign(role)) rebalance(role, Fate::zombie);
      return;
  }
}

void World::step() {
  ++step_;
  int x = pick(1'000);
  if (x < 680) {
    run_job();
  } else if (x < 850) {
    deliver();
  } else if (x < 880) {
    for (Plan& plan : plans_)
      if (!plan.placed) return place(plan);
  } else if (x < 950) {
    advance(pick(3) == 0 ? 1'000 : 110);
  } else if (x < 965) {
    if (!late_.empty()) {
      std::swap(late_.front(), late_[static_cast<std::size_t>(pick(static_cast<int>(late_.size())))]);
      auto act = std::move(late_.front());
      late_.pop_front();
      act();
    }
  } else if (x < 975) {
    for (auto& program : programs_) program->step();
  } else if (x < 983) {
    move_hand();
  } else if (x < 987) {
    Plan& plan = plans_[static_cast<std::size_t>(pick(static_cast<int>(plans_.size())))];
    if (!plan.placed || pick(3)) return;
    hit("cancel");
    if (pick(2)) return cancel_by_command(plan);
    Event cancel;
    cancel.topic = Topic::order_cancel_requested;
    cancel.order = plan.id;
    append_misplaced(codec_->write(cancel));
  } else if (x < 990) {
    write_stray();
  } else if (x < 992) {
    images.push_back(redis);
  } else if (x < 996) {
    if (zombies_.empty()) return;
    Zombie& zombie = zombies_[static_cast<std::size_t>(pick(static_cast<int>(zombies_.size())))];
    if (zombie.frozen) {
      hit("zombie wakes");
      zombie.frozen = false;
      frozen_.erase(zombie.actor->id());
    }
  } else if (faults_made_ < faults_wanted_ && pick(3) == 0) {
    ++faults_made_;
    make_fault();
  }
  check_deaths();
  if (!broken_.empty()) throw Violation(broken_);
}

// -- healing ----------------------------------------------------------------------------------------------------------------

bool World::run_until(const std::function<bool()>& done, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < 30; ++i) deliver();
    for (int i = 0; i < 2'000 && run_job(); ++i) {}
    check_deaths();
    for (auto& program : programs_)
      while (program->step()) {}
    while (!late_.empty()) {
      auto act = std::move(late_.front());
      late_.pop_front();
      act();
    }
    move_hand();
    if (!broken_.empty()) throw Violation(broken_);
    if (done()) return true;
    advance(110);
  }
  return false;
}

void World::heal() {
  faulty_ = false;
  say("healed");
  while (faults_made_ < faults_wanted_ && faults_made_ < 3) {  // at least so many, also in a short run
    ++faults_made_;
    make_fault();
  }
  // Those who were frozen wake, and are told by the group that their shards are others' now.
  frozen_.clear();
  for (int i = 0; i < 3'000 && run_job(); ++i) {}
  for (auto& zombie : zombies_) {
    caf::anon_send_exit(zombie.actor, caf::exit_reason::kill);
    intakes_[zombie.id.role]->forget(zombie.actor->id());
  }
  zombies_.clear();
  for (Plan& plan : plans_)
    if (!plan.placed) place(plan);
}

void World::settle() {
  for (int round = 0; round < 260; ++round) {
    if (options_.story) say("round " + std::to_string(round));
    run_until([] { return true; }, 1);
    if (round > 5 && unrest().empty()) return;
    advance(round % 8 != 7 ? 110 : round < 100 ? 31'000 : 301'000);
  }
  check_end();
  throw Violation("liveness: not at rest after healing: " + unrest());
}

void World::run() {
  int steps = 900 + pick(1'200);
  for (int i = 0; i < steps; ++i) step();
  heal();
  settle();
  check_end();
}

ShardView World::view(ShardId id) {
  ShardView view;
  bool done = false;
  system_->spawn([&, actor = shard(id)](caf::event_based_actor* self) {
    self->request(actor, 5s, Describe{}).then([&](const ShardView& seen) { view = seen; done = true; }, [&](const caf::error&) { done = true; });
  });
  for (int i = 0; i < 100'000 && !done && run_job(); ++i) {}
  return view;
}

std::string World::status(const OrderId& order) {
  auto& history = stores[RoleId::order].history[order.value];
  return history.empty() ? "" : history.back().status;
}

}  // namespace cartwright::loop
