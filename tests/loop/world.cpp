#include "tests/loop/world.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "actors/inventory/rules.hpp"
#include "actors/order/rules.hpp"

namespace cartwright::loop {

using namespace std::chrono_literals;

/// Delivers what the world chooses from the log, from where a shard said it wants to begin.
class World::SimIntake final : public Intake {
 public:
  struct Started {
    Epoch epoch = 0;
    std::map<Topic, std::int64_t> at;
    ShardActor to;
  };
  explicit SimIntake(World& world) : world_(world) {}

  void start(ShardId shard, Epoch epoch, const Positions& from, ShardActor to) override {
    Started started{epoch, {}, std::move(to)};
    for (Topic topic : topics_read_by(shard.role)) {
      auto it = from.find(topic);
      started.at[topic] = it == from.end() || it->second.next == 0 ? 0 : it->second.next - 1;
    }
    auto owner = started.to->id();
    shards[{shard.partition, owner}] = std::move(started);  // each owner has a consumer of its own: zombies read on
  }
  void consumed(ShardId, std::size_t) override {}
  void committed(ShardId, const Positions&) override {}
  void ask_ends(ShardId shard, ShardActor to) override {
    Ends ends{true, {}};
    for (Topic topic : topics_read_by(shard.role)) ends.ends[topic] = static_cast<std::int64_t>(world_.partition(topic, shard.partition).size());
    caf::anon_send(to, std::move(ends));
  }

  std::map<std::pair<int, caf::actor_id>, Started> shards;

  void forget(const ShardActor& owner) {
    std::erase_if(shards, [&](const auto& entry) { return entry.first.second == owner->id(); });
  }

 private:
  World& world_;
};

World::World(std::uint64_t seed) : random_(seed) {
  settings_.partitions = 2;
  settings_.channel = "email";
  codec_ = std::make_shared<const json::JsonCodec>(names_, "simulated");
  config_.set("scheduler.policy", caf::atom("testing"));
  system_ = std::make_unique<caf::actor_system>(config_);
  scheduler_ = dynamic_cast<caf::scheduler::test_coordinator*>(&system_->scheduler());
  scheduler_->clock().current_time += std::chrono::hours(24);
  for (const TopicInfo& row : topics()) log_[names_[row.topic]].resize(static_cast<std::size_t>(settings_.partitions));
  for (const char* product : {"apple", "pear"}) {
    std::int64_t n = 2 + pick(12);
    stock.products[product] = {n, 0, 0, n};
    stores[RoleId::inventory].products[product].stocked = n;
  }
  producer_ = spawn_log_producer(*system_, *this);
  for (RoleId role : roles) {
    store_actors_[role] = spawn_memory_store(*system_, *this, role);
    if (role != RoleId::order) ports_[role] = spawn_port(*system_, *this, role);
    intakes_[role] = std::make_shared<SimIntake>(*this);
    for (int p = 0; p < settings_.partitions; ++p) spawn({role, p});
  }
  const std::vector<std::string> tokens{"tok_ok", "tok_ok", "tok_ok", "tok_declined", "tok_timeout", "tok_error"};
  int orders = 8 + pick(5);
  for (int n = 0; n < orders; ++n) {
    Plan plan;
    plan.id.value = std::to_string(seed) + "-" + std::to_string(n);
    int lines = 1 + pick(2);
    for (int i = 0; i < lines; ++i) plan.lines.push_back({ProductId{pick(2) ? "apple" : "pear"}, 1 + pick(2)});
    plan.token = tokens[static_cast<std::size_t>(pick(static_cast<int>(tokens.size())))];
    plan.door = pick(2) == 0;
    plans_.push_back(std::move(plan));
  }
}

World::~World() {
  // A shard's tick keeps it alive until it is told to end.
  for (auto& [id, shard] : shards_) caf::anon_send_exit(shard, caf::exit_reason::kill);
  for (auto& shard : zombies_) caf::anon_send_exit(shard, caf::exit_reason::kill);
  shards_.clear();
  zombies_.clear();
  for (auto& [role, intake] : intakes_) intake->shards.clear();
  ports_.clear();
  store_actors_.clear();
  producer_ = nullptr;
  while (scheduler_->run() > 0 || scheduler_->trigger_timeout()) {}
}

Millis World::now() {
  auto since = scheduler_->clock().now().time_since_epoch();
  return 1'790'000'000'000 + std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

void World::append(const std::string& topic, int partition, Entry entry) {
  entry.timestamp = now();
  auto it = log_.find(topic);
  if (it == log_.end()) return;  // a dead letter: the store has it, too
  it->second[static_cast<std::size_t>(partition)].push_back(std::move(entry));
}

void World::append(const Outgoing& record) {
  append(record.topic, record.order.empty() ? 0 : partition_of(record.order, settings_.partitions), {record.key, record.value, record.headers, 0});
}

const std::vector<Entry>& World::partition(Topic topic, int partition) { return log_[names_[topic]][static_cast<std::size_t>(partition)]; }

void World::spawn(ShardId id) {
  ShardDeps deps;
  deps.id = id;
  deps.settings = settings_;
  deps.role = make_role(id.role, settings_, codec_);
  deps.store = store_actors_[id.role];
  deps.port = ports_[id.role];
  deps.producer = producer_;
  deps.intake = intakes_[id.role];
  deps.codec = codec_;
  deps.clock = [this] { return now(); };
  if (std::getenv("CARTWRIGHT_STORY")) deps.complain = [](const std::string& what) { std::fprintf(stderr, "  %s\n", what.c_str()); };
  if (id.role == RoleId::order)
    deps.probe = [this](const std::string&, const Input&) {
      if (!chance(faults.handler_throws)) return;
      hit("an order's actor dies");
      throw std::runtime_error("by the seed");
    };
  auto shard = spawn_shard(*system_, std::move(deps));
  caf::anon_send(shard, Begin{});
  shards_[id] = shard;
}

void World::crash(ShardId id, bool zombie) {
  hit(zombie ? "zombie" : "shard killed");
  auto old = shards_[id];
  if (zombie)
    zombies_.push_back(old);
  else
    caf::anon_send_exit(old, caf::exit_reason::kill);
  if (!zombie) intakes_[id.role]->forget(old);
  spawn(id);
}

void World::place(Plan& plan) {
  plan.placed = true;
  Event event;
  event.topic = Topic::order_placed;
  event.order = plan.id;
  event.user = UserId{"user"};
  event.lines = plan.lines;
  event.itemised = plan.lines.size() > 1;
  event.payment_token = plan.token;
  if (!plan.door) {
    Outgoing bare = codec_->write(event);
    bare.headers.clear();
    if (chance(.2)) {
      hit("foreign partition");
      append(bare.topic, pick(settings_.partitions), {bare.key, bare.value, {}, 0});
    } else {
      append(bare);
    }
    if (chance(.3)) append(bare);
    return;
  }
  order::Order order = order::place(event, settings_, now());
  Row row;
  row.key = plan.id.value;
  row.version = 1;
  row.state = "pending";
  row.owner = event.user.value;
  row.due = order.wait(order::Wait::inventory).next;
  row.created_at = row.updated_at = order.created_at;
  row.doc = codec_->write(order);
  int partition = partition_of(plan.id.value, settings_.partitions);
  auto& store = stores[RoleId::order];
  store.rows[row.key] = {row, partition};
  store.history[row.key].push_back({plan.id, 1, "pending", "order.placed", order.created_at});
  if (chance(.1)) {  // the node dies between commit and publish; its shards come back with it
    hit("door dies before publishing");
    for (int p = 0; p < settings_.partitions; ++p) crash({RoleId::order, p}, false);
    return;
  }
  append(codec_->write(order::placed_event(order)));
}

bool World::run_job() {
  auto& jobs = scheduler_->jobs;
  if (jobs.empty()) return false;
  auto at = jobs.begin() + pick(static_cast<int>(jobs.size()));
  std::rotate(jobs.begin(), at, at + 1);
  return scheduler_->try_run_once();
}

bool World::deliver() {
  RoleId role = roles[static_cast<std::size_t>(pick(static_cast<int>(roles.size())))];
  auto& started = intakes_[role]->shards;
  if (started.empty()) return false;
  auto it = started.begin();
  std::advance(it, pick(static_cast<int>(started.size())));
  int partition_number = it->first.first;
  auto& shard = it->second;
  Batch batch{shard.epoch, {}};
  auto read = topics_read_by(role);
  std::shuffle(read.begin(), read.end(), random_);
  for (Topic topic : read) {
    if (faulty_ && pick(2)) continue;
    const auto& log = partition(topic, partition_number);
    auto& at = shard.at[topic];
    for (int n = faulty_ ? pick(4) : 100; n > 0 && at < static_cast<std::int64_t>(log.size()); --n, ++at) {
      const Entry& entry = log[static_cast<std::size_t>(at)];
      auto record = std::make_shared<Record>();
      record->topic = topic;
      record->partition = partition_number;
      record->offset = at;
      record->timestamp = entry.timestamp;
      record->key = entry.key;
      record->value = entry.value;
      codec_->read(*record, entry.headers);
      batch.records.push_back(std::move(record));
    }
  }
  if (batch.records.empty()) return false;
  caf::anon_send(shard.to, std::move(batch));
  return true;
}

void World::advance(Millis by) { scheduler_->advance_time(std::chrono::milliseconds(by)); }

void World::step() {
  int x = pick(1000);
  if (x < 700) {
    run_job();
  } else if (x < 880) {
    deliver();
  } else if (x < 910) {
    for (Plan& plan : plans_)
      if (!plan.placed) return place(plan);
  } else if (x < 985) {
    advance(pick(3) == 0 ? 1'000 : 110);
  } else if (x < 988) {
    advance(31'000);
  } else if (x < 993) {
    ShardId id{roles[static_cast<std::size_t>(pick(5))], pick(settings_.partitions)};
    crash(id, pick(3) == 0);
  } else if (x < 996) {
    Plan& plan = plans_[static_cast<std::size_t>(pick(static_cast<int>(plans_.size())))];
    if (plan.door && !plan.placed) return;  // nobody can know the id of an order that its door has not made yet
    Event cancel;
    cancel.topic = Topic::order_cancel_requested;
    cancel.order = plan.id;
    hit("cancel");
    append(codec_->write(cancel));
  }
  if (!broken_.empty()) throw Violation(broken_);
}

bool World::quiet() {
  for (auto& [role, store] : stores) {
    if (!store.quarantines.empty()) return false;
    for (auto& [key, stored] : store.rows)
      if (stored.row.open) return false;
    for (int p = 0; p < settings_.partitions; ++p)
      for (Topic topic : topics_read_by(role)) {
        auto it = store.shards[p].positions.find(topic);
        auto next = it == store.shards[p].positions.end() ? 0 : it->second.next;
        if (next != static_cast<std::int64_t>(partition(topic, p).size())) return false;
      }
  }
  return true;
}

void World::settle() {
  faulty_ = false;
  // The group has told those who lost their shards; until now they took them again and again (rule 9).
  for (auto& zombie : zombies_) {
    caf::anon_send_exit(zombie, caf::exit_reason::kill);
    for (auto& [role, intake] : intakes_) intake->forget(zombie);
  }
  zombies_.clear();
  for (Plan& plan : plans_)
    if (!plan.placed) place(plan);
  for (int round = 0; round < 400; ++round) {
    for (int i = 0; i < 60; ++i) deliver();
    for (int i = 0; i < 5'000 && run_job(); ++i) {}
    if (!broken_.empty()) throw Violation(broken_);
    if (round > 5 && quiet()) return;
    advance(round % 10 == 9 ? 31'000 : 110);
  }
  check_end();
  throw Violation("liveness: not quiet after healing");
}

void World::run() {
  int steps = 1'500 + pick(1'500);
  for (int i = 0; i < steps; ++i) step();
  settle();
  check_end();
}

void World::check_end() {
  auto& orders = stores[RoleId::order];
  auto& ledger = stores[RoleId::inventory];
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> held;  // product: reserved, sold
  for (const Plan& plan : plans_) {
    auto it = orders.rows.find(plan.id.value);
    if (it == orders.rows.end()) throw Violation("order lost: " + plan.id.value);
    order::Order order = codec_->read_order(it->second.row);
    std::string about = plan.id.value + " (" + it->second.row.state + ", waits for " + order::waiting_for(order) + ")";
    if (!order::is_final(order)) throw Violation("no end: " + about);
    const auto& history = orders.history[plan.id.value];
    if (history.empty() || history.back().status != it->second.row.state) throw Violation("history and row differ: " + about);
    bool good = order.state == order::State::shipped || order.state == order::State::delivered;
    auto net = gateway.net[plan.id.value];
    if (net != (good ? order.amount.value_or(0) : 0)) throw Violation("money: " + std::to_string(net) + " for " + about);
    if (good && order.tracking.empty()) throw Violation("no tracking id: " + about);
    if (plan.token == "tok_declined" && good) throw Violation("shipped without money: " + about);
    auto row = ledger.rows.find(plan.id.value);
    if (good != (row != ledger.rows.end() && row->second.row.state == "sold")) throw Violation("stock: " + about + " and the ledger says " + (row == ledger.rows.end() ? "nothing" : row->second.row.state));
    if (good)
      for (const Line& line : merged(plan.lines)) held[line.product.value].second += line.quantity;
  }
  for (auto& [product, n] : stock.products) {
    const StockDelta& total = ledger.products[product];
    if (n.reserved != total.reserved || n.sold != total.sold || n.stocked != total.stocked) throw Violation("stock differs from the ledger: " + product);
    if (n.reserved != 0 || n.sold != held[product].second) throw Violation("sold is not what was shipped: " + product);
  }
  std::set<std::string> seen;
  for (auto& [role, store] : stores)
    for (auto& [p, shard] : store.shards)
      if (!shard.outbox.empty() && shard.published > shard.outbox.rbegin()->first) throw Violation("watermark beyond the outbox");
  for (auto& [role, store] : stores)
    for (const DeadLetter& letter : store.dead)
      if (letter.cause != "orphan") throw Violation("dead letter of a good record: " + letter.cause);
}

std::string World::timeline(const std::string& text) const {
  std::string out;
  for (const Plan& plan : plans_) {
    const std::string& id = plan.id.value;
    if (text.find(id + " ") == std::string::npos && !text.ends_with(id)) continue;
    std::multimap<Millis, std::string> lines;
    for (const auto& [topic, partitions] : log_)
      for (std::size_t p = 0; p < partitions.size(); ++p)
        for (std::size_t at = 0; at < partitions[p].size(); ++at) {
          const Entry& entry = partitions[p][at];
          if (entry.value && entry.value->find("\"" + id + "\"") != std::string::npos)
            lines.emplace(entry.timestamp, topic + "/" + std::to_string(p) + "@" + std::to_string(at) + " " + *entry.value);
        }
    for (const auto& [role, store] : stores) {
      if (auto it = store.history.find(id); it != store.history.end())
        for (const Transition& step : it->second) lines.emplace(step.at, "  -> " + step.status + " by " + step.event);
      if (auto it = store.rows.find(id); it != store.rows.end())
        lines.emplace(it->second.row.updated_at, std::string("  row of ") + std::string(to_string(role)) + ", version " +
                                                     std::to_string(it->second.row.version) + ", shard " + std::to_string(it->second.partition) + ": " + it->second.row.doc);
      for (const DeadLetter& letter : store.dead)
        if (letter.record->event.order == plan.id) lines.emplace(0, "  dead letter, " + letter.cause + ": " + letter.record->value.value_or("null"));
    }
    for (const auto& [at, line] : lines) out += std::to_string(at) + " " + line + "\n";
  }
  return out;
}

}  // namespace cartwright::loop
