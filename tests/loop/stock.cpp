#include "tests/loop/stock.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>

#include "actors/harden.hpp"
#include "actors/limits.hpp"

namespace cartwright::loop {

struct LookAtRedis {};

}  // namespace cartwright::loop

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::loop::LookAtRedis)

namespace cartwright::loop {
namespace {

using namespace std::chrono_literals;
using Self = PortActor::extend<caf::reacts_to<LookAtRedis>>;
using P = RedisState::Product;

constexpr Millis answered_ttl = 3'600'000, tombstone_ttl = 24 * 3'600'000;

/// What the script answers to one operation on an order.
std::string script(World& world, const Act& act) {
  RedisState& redis = world.redis;
  auto found = redis.orders.find(act.key);
  if (found != redis.orders.end() && found->second.ends != 0 && found->second.ends <= world.now()) {
    redis.orders.erase(found);
    found = redis.orders.end();
  }
  std::string state = found == redis.orders.end() ? "" : found->second.state;
  auto keep = [&](const std::string& to, Millis life) -> RedisState::Order& {
    auto& order = redis.orders[act.key];
    order.state = to;
    order.ends = life == 0 ? 0 : world.now() + life;
    return order;
  };
  auto move = [&](const std::vector<Line>& held, std::int64_t P::*from, std::int64_t P::*to) {
    for (const Line& line : held) {
      redis.products[line.product.value].*from -= line.quantity;
      redis.products[line.product.value].*to += line.quantity;
    }
  };
  switch (act.step) {
    case Step::reserve: {
      if (!state.empty()) return world.hit("rule 7: a reservation is absorbed"), state;
      bool enough = true;
      auto lines = merged(act.lines);
      for (const Line& line : lines) enough = enough && redis.products[line.product.value].available >= line.quantity;
      if (!enough) return keep("failed", 0).state;
      move(lines, &P::available, &P::reserved);
      keep("reserved", 0).held = lines;
      return "reserved";
    }
    case Step::sell:
      if (state == "reserved") {
        move(found->second.held, &P::reserved, &P::sold);
        keep("sold", answered_ttl);
      }
      return state.empty() ? "none" : "sold";
    case Step::release:
      if (state == "reserved") {
        move(found->second.held, &P::reserved, &P::available);
        keep("released", answered_ttl);
      } else if (state.empty() || state == "failed") {
        world.hit("rule 7: a tombstone");
        if (!world.with(Switch::no_tombstone)) keep("released", tombstone_ttl);
      }
      return "released";
    case Step::forget:
      if (state == "failed") keep("failed", answered_ttl);
      return state;
    default: return state;
  }
}

}  // namespace

struct StockPortActor {
  static void look_later(Self::pointer self) { self->delayed_send(self, 200ms, LookAtRedis{}); }

  static void flush(StockPort& port) {
    auto waiting = std::exchange(port.waiting_, {});
    World& world = port.world_;
    for (const Acts& acts : waiting) {
      if (acts.at <= std::max(port.seen_at_, world.now() - limits::act_age_max.count()) && !world.with(Switch::acts_of_before_a_rebuild)) {
        world.hit("rule 8: an act that was decided on an old row");
        if (world.options().story) world.say("Redis: not done, decided on an old row: acts of " + to_string(acts.shard) + " for " + acts.acts.front().key);
        continue;
      }
      auto answer = [reply_to = acts.reply_to, epoch = acts.epoch](std::optional<Outcome> outcome) {
        if (outcome) caf::anon_send(reply_to, Outcomes{epoch, {std::move(*outcome)}});
      };
      for (const Act& act : acts.acts) {
        if (world.chance(world.faults.act_lost)) { world.fault("act lost"); continue; }
        // A call that was sent carries its pair: on its way for long, it comes to a stranger.
        auto once = [&world, node = port.node_, act, shard = acts.shard, epoch = acts.epoch, pair = port.pair()]() -> std::optional<Outcome> {
          if (world.stock_port(node).pair() != pair && !world.with(Switch::stale_generation_accepted)) return {};
          return world.execute(RoleId::inventory, node, act, shard, epoch);
        };
        if (world.chance(world.faults.act_late)) {
          world.fault("act late");
          world.later([once, answer] { answer(once()); });
          continue;
        }
        auto outcome = once();
        if (world.chance(world.faults.act_twice)) { world.fault("act twice"); outcome = once(); }
        if (world.chance(world.faults.answer_lost)) { world.fault("act done, answer lost"); continue; }
        answer(std::move(outcome));
      }
    }
  }

  static void look(Self::pointer self, const std::shared_ptr<StockPort>& port) {
    look_later(self);
    World& world = port->world_;
    if (port->open_ && port->connected()) return look_at_ledger(self, port);
    port->open_ = false;
    if (port->asking_) return;
    port->asking_ = true;
    port->run_ = world.redis.run;
    auto store = world.store_actor(RoleId::inventory);
    auto failed = [port](const caf::error&) { port->asking_ = false; };
    self->request(store, 5s, ReadIdentity{}).then([=, &world](const Identity& identity) {
      port->asking_ = false;
      if (!identity.ok || port->run_ != world.redis.run) return;
      StockIdentity here{"run-" + std::to_string(world.redis.run), world.redis.generation};
      if (world.redis.generation != 0 && identity.pair == here) return opened(port, here.generation);
      port->asking_ = true;
      self->request(store, 5s, BeginRebuild{}).then([=, &world](const LedgerSnapshot& ledger) {
        port->asking_ = false;
        if (!ledger.ok || !port->fill(ledger)) return;
        port->asking_ = true;
        auto generation = ledger.generation;
        self->request(store, 5s, FinishRebuild{{"run-" + std::to_string(port->run_), generation}, ledger.hands})
            .then([=](const Done& done) {
              port->asking_ = false;
              if (done.ok) opened(port, generation);
            }, failed);
      }, failed);
    }, failed);
    static_cast<void>(world);
  }

  /// Whether the ledger still knows the instance: another node may have begun to build, and died.
  static void look_at_ledger(Self::pointer self, const std::shared_ptr<StockPort>& port) {
    self->request(port->world_.store_actor(RoleId::inventory), 5s, ReadIdentity{}).then(
        [port, pair = port->pair()](const Identity& identity) {
          if (!port->open_ || port->pair() != pair || !identity.ok || identity.pair == pair) return;
          port->world_.hit("rule 8: the ledger no longer knows the instance");
          port->open_ = false;
        },
        [](const caf::error&) {});
  }

  static void opened(const std::shared_ptr<StockPort>& port, std::int64_t generation) {
    World& world = port->world_;
    port->generation_ = generation;
    if (!port->connected()) return;
    port->open_ = true;
    if (port->seen_ != port->pair()) port->seen_at_ = world.now();
    port->seen_ = port->pair();
    for (auto& [partition, epoch] : port->epochs_) world.redis.epochs[partition] = std::max(world.redis.epochs[partition], epoch);
    flush(*port);
  }

  static Self::behavior_type behaviour(Self::pointer self, const std::shared_ptr<StockPort>& port) {
    harden(self);
    look_later(self);
    return {[port](const Acts& acts) {
              port->waiting_.push_back(acts);
              if (port->open_) flush(*port);
            },
            [self, port](const LookAtRedis&) {
              if (port->actor_) look(self, port);
            }};
  }
};

void StockPort::spawn(caf::actor_system& system, std::shared_ptr<StockPort> self) {
  auto actor = system.spawn([self](Self::pointer own) -> Self::behavior_type { return StockPortActor::behaviour(own, self); });
  actor_ = caf::actor_cast<PortActor>(actor);
}

bool StockPort::connected() {
  bool same_run = run_ == world_.redis.run;
  bool same_data = generation_ == world_.redis.generation;
  if (world_.with(Switch::stale_generation_accepted)) return same_run ? true : (run_ = world_.redis.run, true);
  return same_run && same_data;
}

bool StockPort::fill(const LedgerSnapshot& ledger) {
  RedisState& redis = world_.redis;
  if (redis.run != run_) return false;
  if (redis.generation >= ledger.generation && redis.generation == world_.stores[RoleId::inventory].generation) return false;  // overtaken
  std::map<std::string, std::int64_t> held;
  RedisState next;
  next.run = redis.run;
  next.generation = ledger.generation;
  for (const auto& [partition, epoch] : ledger.epochs) next.epochs[partition] = epoch;
  for (const LedgerSnapshot::Held& row : ledger.held) {
    Row stored;
    stored.key = row.key;
    stored.state = inventory::to_string(inventory::State::reserved);
    stored.doc = row.doc;
    auto lines = merged(world_.codec().read_reservation(stored).lines);
    for (const Line& line : lines) held[line.product.value] += line.quantity;
    next.orders[row.key] = {"reserved", lines, 0};
  }
  for (const cartwright::Product& product : ledger.products) {
    if (held[product.id.value] != product.reserved) world_.broke("ledger: reserved of " + product.id.value + " is not what its reservations hold");
    next.products[product.id.value] = {product.stocked - product.reserved - product.sold, product.reserved, product.sold, product.stocked};
  }
  for (const std::string& id : ledger.hands) next.hands[id] = "done";
  redis = std::move(next);
  if (world_.options().story) world_.say("Redis is rebuilt, generation " + std::to_string(redis.generation));
  world_.check_stock();
  return true;
}

void StockPort::announce(int partition, Epoch epoch) {
  auto& known = epochs_[partition];
  known = std::max(known, epoch);
  if (open_ && connected()) world_.redis.epochs[partition] = std::max(world_.redis.epochs[partition], epoch);
}

std::optional<Outcome> StockPort::ask(const Act& act, ShardId shard, Epoch epoch) {
  if (!open_) return {};
  if (!connected()) {
    open_ = false;
    world_.hit("rule 8: a stranger closes the gate");
    return {};
  }
  Epoch& known = world_.redis.epochs[shard.partition];
  if (epoch < known) {
    world_.hit("rule 9: Redis refuses a former owner");
    if (world_.options().story) world_.say("Redis: refuses " + to_string(shard) + " under epoch " + std::to_string(epoch));
    return {};
  }
  known = epoch;
  std::string said = script(world_, act);
  if (world_.options().story) world_.say("Redis: " + std::string(to_string(act.step)) + " of " + act.key + " for " + to_string(shard) + ": " + said);
  world_.check_stock();
  Outcome outcome;
  outcome.answer = Answer::done;
  outcome.identity = pair();
  if (act.step == Step::reserve) {
    if (said == "reserved") {
      for (const Line& line : act.lines) outcome.priced.push_back({line, 5});
      outcome.currency = "EUR";
    } else {
      outcome.answer = Answer::refused;
      outcome.detail = said == "failed" ? "out_of_stock" : said;
    }
  }
  return outcome;
}

std::optional<std::pair<bool, StockIdentity>> StockPort::change(const std::string& id, const ProductId& product, std::int64_t delta) {
  if (!open_ || !connected()) return {};
  auto& said = world_.redis.hands[id];
  if (said.empty() || world_.with(Switch::restock_not_absorbed)) {
    auto& numbers = world_.redis.products[product.value];
    said = numbers.available + delta < 0 ? "refused" : "done";
    if (world_.options().story) world_.say("Redis: " + id + ", " + std::to_string(delta) + " of " + product.value + ": " + said);
    if (said == "done") {
      numbers.available += delta;
      numbers.stocked += delta;
    }
    world_.check_stock();
  } else {
    world_.hit("rule 7: a change by hand is absorbed");
  }
  return std::pair{said == "done", pair()};
}

}  // namespace cartwright::loop
