// Stand-ins for store, ports and producer: state that survives crashes, behind the typed handles of production.

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/harden.hpp"
#include "actors/inventory/rules.hpp"
#include "actors/order/rules.hpp"
#include "tests/loop/world.hpp"

namespace cartwright::loop {
namespace {

// ---- store --------------------------------------------------------------------------------------------------------------

bool may_follow(const std::string& before, const std::string& after) {
  static const std::map<std::string, std::set<std::string>> arrows{
      {"", {"pending"}},
      {"pending", {"inventory_reserved", "cancelled", "payment_failed"}},
      {"inventory_reserved", {"paid", "cancelled", "payment_failed"}},
      {"paid", {"shipped"}},
      {"shipped", {"delivered"}},
      {"cancelled", {"refunded"}}};
  if (before == after) return true;  // an event without use, shown in the history
  auto it = arrows.find(before);
  return it != arrows.end() && it->second.contains(after);
}

class MemoryStore {
 public:
  MemoryStore(World& world, RoleId role) : world_(world), s_(world.stores[role]) {}

  Taken take(const Take& take) {
    if (world_.chance(.05)) return world_.hit("take fails"), Taken{};
    auto& shard = s_.shards[take.shard.partition];
    ++shard.epoch;
    Taken taken;
    taken.ok = true;
    taken.epoch = shard.epoch;
    taken.next = shard.positions;
    taken.sequence = shard.sequence;
    taken.published = shard.published;
    taken.losses = s_.losses;
    taken.losses_seen = shard.losses_seen;
    for (auto& [key, stored] : s_.rows)
      if (stored.partition == take.shard.partition && stored.row.open) taken.open.push_back({key, stored.row.due, stored.row.state});
    for (auto& [key, entry] : s_.quarantines)
      if (entry.first == take.shard.partition) taken.quarantines.push_back(entry.second);
    for (auto it = shard.outbox.upper_bound(shard.published); it != shard.outbox.end(); ++it)
      taken.unpublished.push_back({it->first, it->second.second});
    return taken;
  }

  Committed commit(const Turn& turn) {
    if (world_.chance(world_.faults.commit_fails)) {
      world_.hit("commit fails");
      return {CommitResult::unavailable, s_.losses, {}, "by the seed"};
    }
    Committed committed = apply(turn);
    if (world_.chance(world_.faults.commit_unknown)) {
      world_.hit("commit done, answer lost");
      return {CommitResult::unavailable, s_.losses, {}, "by the seed, after it was done"};
    }
    return committed;
  }

  Loaded load(const Load& load) {
    Loaded loaded;
    if (world_.chance(.02)) return world_.hit("load fails"), loaded;
    loaded.ok = true;
    for (const std::string& key : load.keys)
      if (auto it = s_.rows.find(key); it != s_.rows.end()) loaded.rows.push_back(it->second.row);
    return loaded;
  }

  ParkedRecords parked(const LoadParked& load) { return {true, s_.parked[load.key]}; }

  OutboxPage outbox(const ReadOutbox& read) {
    OutboxPage page;
    page.ok = true;
    for (auto& [sequence, entry] : s_.shards[read.shard.partition].outbox)
      if (sequence > read.after && entry.first >= read.since && static_cast<int>(page.rows.size()) < read.limit)
        page.rows.push_back({sequence, entry.second});
    return page;
  }

 private:
  Committed apply(const Turn& turn) {
    auto& shard = s_.shards[turn.shard.partition];
    if (turn.epoch != shard.epoch) return world_.hit("fenced"), Committed{CommitResult::fenced, s_.losses, {}, ""};
    if (shard.turn_epoch == turn.epoch && shard.turn == turn.number) return world_.hit("same turn again"), Committed{CommitResult::ok, s_.losses, {}, ""};
    std::vector<std::string> conflicts;
    for (const Row& row : turn.rows) {
      auto it = s_.rows.find(row.key);
      if ((it == s_.rows.end() ? 0 : it->second.row.version) != row.version - 1) conflicts.push_back(row.key);
    }
    for (const Transition& step : turn.transitions) {
      auto& history = s_.history[step.order.value];
      if (static_cast<std::int64_t>(history.size()) >= step.version) conflicts.push_back(step.order.value);
    }
    if (!conflicts.empty()) return world_.hit("conflict"), Committed{CommitResult::conflict, s_.losses, conflicts, ""};
    for (const Row& row : turn.rows) s_.rows[row.key] = {row, turn.shard.partition};
    for (const Transition& step : turn.transitions) {
      auto& history = s_.history[step.order.value];
      if (step.version != static_cast<std::int64_t>(history.size()) + 1) world_.broke("gap in the history of " + step.order.value);
      std::string before = history.empty() ? "" : history.back().status;
      if (!may_follow(before, step.status)) world_.broke(step.order.value + ": " + before + " -> " + step.status);
      history.push_back(step);
    }
    for (const StockDelta& delta : turn.totals) {
      auto& total = s_.products[delta.product.value];
      total.stocked += delta.stocked;
      total.reserved += delta.reserved;
      total.sold += delta.sold;
      if (total.stocked - total.reserved - total.sold < 0) world_.broke("ledger: oversold " + delta.product.value);
    }
    for (const DeadLetter& letter : turn.dead) s_.dead.push_back(letter);
    for (const std::string& key : turn.unparked) s_.parked.erase(key);
    for (const ParkedRecord& record : turn.parked) s_.parked[record.key].push_back(record.record);
    for (const Quarantine& row : turn.quarantines) {
      if (row.lifted)
        s_.quarantines.erase(row.key);
      else
        s_.quarantines[row.key] = {turn.shard.partition, row};
    }
    shard.positions = turn.next;
    if (turn.outgoing) {
      shard.sequence = turn.sequence;
      shard.outbox[turn.sequence] = {turn.at, turn.outgoing};
    }
    shard.published = turn.published;
    shard.losses_seen = turn.losses_seen;
    if (turn.lost) ++s_.losses;
    shard.turn = turn.number;
    shard.turn_epoch = turn.epoch;
    return {CommitResult::ok, s_.losses, {}, ""};
  }

  World& world_;
  StoreState& s_;
};

// ---- ports ----------------------------------------------------------------------------------------------------------------

Outcome stock_script(World& world, const Act& act) {
  StockState& s = world.stock;
  auto& [state, held] = s.orders[act.key];
  Outcome outcome;
  outcome.answer = Answer::done;
  auto move = [&](std::int64_t StockState::Product::*from, std::int64_t StockState::Product::*to) {
    for (const Line& line : held) {
      s.products[line.product.value].*from -= line.quantity;
      s.products[line.product.value].*to += line.quantity;
    }
  };
  using P = StockState::Product;
  if (act.step == Step::reserve) {
    if (state.empty()) {
      bool enough = true;
      for (const Line& line : merged(act.lines)) enough = enough && s.products[line.product.value].available >= line.quantity;
      state = enough ? "reserved" : "failed";
      if (enough) {
        held = merged(act.lines);
        move(&P::available, &P::reserved);
      }
    }
    if (state == "reserved") {
      for (const Line& line : act.lines) outcome.priced.push_back({line, 5});
      outcome.currency = "EUR";
    } else {
      outcome.answer = Answer::refused;
      outcome.detail = state == "failed" ? "out_of_stock" : state;
    }
  } else if (act.step == Step::release) {
    if (state == "reserved") move(&P::reserved, &P::available);
    if (state != "sold") state = "released";
  } else if (act.step == Step::sell) {
    if (state == "reserved") {
      move(&P::reserved, &P::sold);
      state = "sold";
    }
  }
  for (auto& [product, n] : s.products) {
    if (n.available + n.reserved + n.sold != n.stocked) world.broke("stock: conservation of " + product);
    if (n.available < 0 || n.reserved < 0 || n.sold < 0) world.broke("stock: negative " + product);
  }
  return outcome;
}

std::optional<Outcome> ask_gateway(World& world, const Act& act) {
  std::string name = act.key + ":" + std::string(to_string(act.step)) + ":" + std::to_string(act.attempt);
  auto& key = world.gateway.keys[name];
  int n = ++key.asked;
  if (act.step == Step::charge) {
    if (act.token == "tok_never" || (act.token == "tok_error" && n < 3)) return {};
    if (key.answer == Answer::unknown) {
      key.answer = act.token == "tok_declined" ? Answer::refused : Answer::done;
      key.txn = "txn-" + name;
      if (key.answer == Answer::done) {
        if (++world.gateway.charges[act.order.value] > 1) world.broke("charged twice: " + act.order.value);
        world.gateway.net[act.order.value] += act.amount;
      }
    }
    if (act.token == "tok_timeout" && n == 1) return {};
  } else if (key.answer == Answer::unknown) {
    key.answer = Answer::done;
    world.gateway.net[act.order.value] -= act.amount;
    if (world.gateway.net[act.order.value] < 0) world.broke("refunded twice: " + act.order.value);
  }
  Outcome outcome;
  outcome.answer = key.answer;
  outcome.reference = key.txn;
  return outcome;
}

std::optional<Outcome> execute(World& world, RoleId role, const Act& act) {
  std::optional<Outcome> outcome;
  switch (role) {
    case RoleId::inventory: outcome = stock_script(world, act); break;
    case RoleId::payment: outcome = ask_gateway(world, act); break;
    default:
      outcome.emplace();
      outcome->answer = Answer::done;
      outcome->reference = "track-" + act.key;
  }
  if (!outcome) return {};
  outcome->key = act.key;
  outcome->step = act.step;
  outcome->attempt = act.attempt;
  return outcome;
}

}  // namespace

StoreActor spawn_memory_store(caf::actor_system& system, World& world, RoleId role) {
  return system.spawn([&world, role](StoreActor::pointer self) -> StoreActor::behavior_type {
    harden(self);
    auto store = std::make_shared<MemoryStore>(world, role);
    return {
        [=](const Take& m) { return store->take(m); },
        [=](const Commit& m) { return store->commit(*m.turn); },
        [=](const Load& m) { return store->load(m); },
        [=](const LoadParked& m) { return store->parked(m); },
        [=](const ReadOutbox& m) { return store->outbox(m); },
        [](const Place&) { return Placed{}; },
        [](const ChangeStock&) { return Hand{}; },
        [](const SettleHand&) { return Hand{}; },
        [](const OpenHands&) { return Hands{}; },
        [](const ReadIdentity&) { return Identity{}; },
        [](const BeginRebuild&) { return LedgerSnapshot{}; },
        [](const FinishRebuild&) { return Done{}; },
        [](const StoreHealth&) { return Done{}; },
    };
  });
}

PortActor spawn_port(caf::actor_system& system, World& world, RoleId role) {
  return system.spawn([&world, role](PortActor::pointer self) -> PortActor::behavior_type {
    harden(self);
    return {[&world, role](const Acts& acts) {
      Outcomes outcomes{acts.epoch, {}};
      for (const Act& act : acts.acts) {
        if (world.chance(world.faults.act_lost)) { world.hit("act lost"); continue; }
        auto outcome = execute(world, role, act);
        if (world.chance(world.faults.act_twice)) { world.hit("act twice"); outcome = execute(world, role, act); }
        if (world.chance(world.faults.answer_lost)) { world.hit("act done, answer lost"); continue; }
        if (outcome) outcomes.outcomes.push_back(*outcome);
      }
      if (!outcomes.outcomes.empty()) caf::anon_send(acts.reply_to, std::move(outcomes));
    }};
  });
}

ProducerActor spawn_log_producer(caf::actor_system& system, World& world) {
  return system.spawn([&world](ProducerActor::pointer self) -> ProducerActor::behavior_type {
    harden(self);
    return {[&world](const Publish& publish) {
      bool half = world.chance(world.faults.publish_half), none = world.chance(world.faults.publish_fails);
      if (half || none) world.hit(none ? "publish fails" : "publish done in part");
      std::size_t count = publish.outgoing->size();
      if (half) count = (count + 1) / 2;
      for (std::size_t i = 0; i < count && !none; ++i) {
        world.append((*publish.outgoing)[i]);
        if (world.chance(.05)) { world.hit("record twice"); world.append((*publish.outgoing)[i]); }
      }
      if (publish.reply_to) caf::anon_send(publish.reply_to, Published{publish.epoch, publish.sequence, !half && !none});
    }};
  });
}

}  // namespace cartwright::loop
