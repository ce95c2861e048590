// A stand-in for the store: one role's database in memory, which every crash leaves as it is.

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/harden.hpp"
#include "tests/loop/world.hpp"

namespace cartwright::loop {
namespace {

/// contract.md section 2.
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
  MemoryStore(World& world, RoleId role) : world_(world), role_(role), s_(world.stores[role]) {}

  Taken take(const Take& take) {
    Taken taken;
    if (world_.chance(world_.faults.take_fails)) {
      world_.fault("take fails");
      taken.why = "by the seed";
      return taken;
    }
    auto& shard = s_.shards[take.shard.partition];
    if (++shard.epoch == 1) shard.losses_seen = s_.losses;
    if (!take.again) ++shard.starts;
    world_.hit("rule 9: a shard is taken");
    if (world_.chance(world_.faults.take_fails)) {
      world_.fault("take done, answer lost");
      taken.why = "by the seed, after it was done";
      return taken;
    }
    taken.ok = true;
    taken.epoch = shard.epoch;
    taken.next = shard.positions;
    taken.sequence = shard.sequence;
    taken.published = shard.published;
    taken.losses = losses_for(shard);
    taken.losses_seen = shard.losses_seen;
    taken.starts = shard.starts;
    for (auto& [key, stored] : s_.rows)
      if (stored.partition == take.shard.partition && stored.row.open) taken.open.push_back({key, stored.row.due, stored.row.state});
    for (auto& [key, entry] : s_.quarantines)
      if (entry.first == take.shard.partition) taken.quarantines.push_back(entry.second);
    for (auto it = shard.outbox.upper_bound(shard.published); it != shard.outbox.end(); ++it)
      taken.unpublished.push_back({it->first, it->second.second});
    return taken;
  }

  Committed commit(const std::shared_ptr<const Turn>& turn) {
    if (world_.is_away(role_)) return {CommitResult::unavailable, s_.losses, {}, "away"};
    if (world_.chance(world_.faults.commit_fails)) {
      world_.fault("commit fails");
      if (world_.with(Switch::lost_commit_taken_for_done)) return {CommitResult::ok, s_.losses, {}, ""};
      return {CommitResult::unavailable, s_.losses, {}, "by the seed"};
    }
    if (world_.with(Switch::fence_by_exists) && turn->epoch == s_.shards[turn->shard.partition].epoch && world_.chance(.3)) {
      // The epoch was looked at, not locked: what is written then comes some time after the look.
      world_.later([this, turn] { apply(*turn, false); });
      return {CommitResult::ok, s_.losses, {}, ""};
    }
    s_.largest_turn = std::max(s_.largest_turn, turn->rows.size());
    Committed committed = apply(*turn, true);
    if (world_.chance(world_.faults.commit_unknown)) {
      world_.fault("commit done, answer lost");
      return {CommitResult::unavailable, s_.losses, {}, "by the seed, after it was done"};
    }
    return committed;
  }

  Loaded load(const Load& load) {
    Loaded loaded;
    if (world_.chance(world_.faults.load_fails)) return world_.fault("load fails"), loaded;
    loaded.ok = true;
    for (const std::string& key : load.keys)
      if (auto it = s_.rows.find(key); it != s_.rows.end()) loaded.rows.push_back(it->second.row);
    return loaded;
  }

  PlacedRows placed(const FindPlaced& find) {
    PlacedRows placed;
    if (world_.chance(world_.faults.load_fails)) return placed;
    placed.ok = true;
    if (world_.with(Switch::doors_orders_not_looked_for)) return placed;
    for (auto& [key, stored] : s_.rows)
      if (stored.partition == find.shard.partition && stored.row.open && stored.row.version == 1 && stored.row.created_at < find.before)
        placed.open.push_back({key, stored.row.due, stored.row.state});
    return placed;
  }

  ParkedRecords parked(const LoadParked& load) {
    if (world_.chance(world_.faults.load_fails)) return {};
    return {true, s_.parked[load.key]};
  }

  OutboxPage outbox(const ReadOutbox& read) {
    OutboxPage page;
    if (world_.chance(world_.faults.load_fails)) return page;
    page.ok = true;
    world_.hit("rule 10: an outbox is published again");
    if (world_.with(Switch::no_outbox_replay)) return page;
    for (auto& [sequence, entry] : s_.shards[read.shard.partition].outbox)
      if (sequence > read.after && entry.first >= read.since && static_cast<int>(page.rows.size()) < read.limit)
        page.rows.push_back({sequence, entry.second});
    return page;
  }

  LedgerSnapshot begin_rebuild() {
    LedgerSnapshot ledger;
    if (world_.chance(world_.faults.load_fails)) return ledger;
    s_.verified = {};
    ledger.generation = ++s_.generation;
    for (auto& [id, total] : s_.products) {
      Product product;
      product.id = {id};
      product.stocked = total.stocked;
      product.reserved = total.reserved;
      product.sold = total.sold;
      ledger.products.push_back(std::move(product));
    }
    for (auto& [key, stored] : s_.rows)
      if (stored.row.state == "reserved") ledger.held.push_back({key, stored.row.doc});
    for (auto& [id, hand] : s_.hands)
      if (!hand.told && (hand.state == HandState::given || hand.state == HandState::done)) ledger.hands.push_back(id);
    for (auto& [partition, shard] : s_.shards) ledger.epochs.emplace_back(partition, shard.epoch);
    ledger.ok = true;
    return ledger;
  }

  Done finish_rebuild(const FinishRebuild& rebuilt) {
    if (rebuilt.pair.generation != s_.generation) return {false, "a newer rebuild has begun"};
    s_.verified = rebuilt.pair;
    for (const std::string& id : rebuilt.hands) s_.hands[id].told = true;
    world_.hit("rule 8: Redis was rebuilt");
    if (world_.chance(world_.faults.commit_unknown)) return {false, "by the seed, after it was done"};
    return {true, ""};
  }

  Identity identity() {
    if (world_.chance(world_.faults.load_fails)) return {};
    return {true, s_.verified};
  }

 private:
  std::int64_t losses_for(const StoreState::Shard& shard) const {
    return world_.with(Switch::loss_of_one_shard_alone) ? shard.losses_seen : s_.losses;
  }

  Committed apply(const Turn& turn, bool fence) {
    auto& shard = s_.shards[turn.shard.partition];
    if (turn.epoch != shard.epoch) {
      if (fence) return world_.fault("fenced"), Committed{CommitResult::fenced, s_.losses, {}, ""};
      if (world_.options().order_checks) world_.broke("two writers: a former owner of " + to_string(turn.shard) + " wrote after the take");
    }
    if (shard.turn_epoch == turn.epoch && shard.turn == turn.number) return world_.hit("same turn again"), Committed{CommitResult::ok, losses_for(shard), {}, ""};
    for (const StockIdentity& used : turn.identities)
      if ((s_.verified.run_id.empty() || used != s_.verified) && !world_.with(Switch::stale_generation_accepted))
        return world_.hit("rule 8: outcome of another instance"), Committed{CommitResult::conflict, s_.losses, {}, ""};
    std::vector<std::string> conflicts;
    for (const Row& row : turn.rows) {
      auto it = s_.rows.find(row.key);
      if ((it == s_.rows.end() ? 0 : it->second.row.version) != row.version - 1) conflicts.push_back(row.key);
    }
    for (const Transition& step : turn.transitions)
      if (static_cast<std::int64_t>(s_.history[step.order.value].size()) >= step.version) conflicts.push_back(step.order.value);
    if (!conflicts.empty()) return world_.hit("conflict"), Committed{CommitResult::conflict, s_.losses, conflicts, ""};
    for (const Row& row : turn.rows) s_.rows[row.key] = {row, turn.shard.partition};
    for (const Transition& step : turn.transitions) append(step);
    for (const StockDelta& delta : turn.totals) {
      auto& total = s_.products[delta.product.value];
      total.stocked += delta.stocked;
      total.reserved += delta.reserved;
      total.sold += delta.sold;
      if (total.stocked - total.reserved - total.sold < 0) world_.broke("ledger: oversold " + delta.product.value);
      if (total.reserved < 0) world_.broke("ledger: gave back what was not held of " + delta.product.value);
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
      if (shard.outbox.contains(turn.sequence)) world_.broke("outbox: a sequence of " + to_string(turn.shard) + " was used twice");
      shard.sequence = turn.sequence;
      shard.outbox[turn.sequence] = {turn.at, turn.outgoing};
      for (const Outgoing& record : *turn.outgoing) s_.committed.insert(identity_of(record.topic, record.value.value_or("")));
    }
    shard.published = turn.published;
    shard.losses_seen = turn.losses_seen;
    if (turn.lost) {
      ++s_.losses;
      world_.hit("rule 10: a loss is found");
      Sequence before = 0;
      for (auto& [sequence, entry] : shard.outbox)
        if (entry.first < turn.at - world_.settings().outbox_replay) before = sequence;
      shard.published = std::min(shard.published, before);
    }
    if (turn.progress) shard.starts = 0;
    shard.turn = turn.number;
    shard.turn_epoch = turn.epoch;
    return {CommitResult::ok, turn.lost && world_.with(Switch::loss_of_one_shard_alone) ? s_.losses : losses_for(shard), {}, ""};
  }

  void append(const Transition& step) {
    auto& history = s_.history[step.order.value];
    if (step.version != static_cast<std::int64_t>(history.size()) + 1) world_.broke("gap in the history of " + step.order.value);
    std::string before = history.empty() ? "" : history.back().status;
    if (!may_follow(before, step.status)) world_.broke(step.order.value + " goes from " + before + " to " + step.status);
    history.push_back(step);
    world_.hit(step.version == 1 ? "rule 3: version 1 by its owner" : "rule 3: a version more");
  }

  World& world_;
  RoleId role_;
  StoreState& s_;
};

}  // namespace

StoreActor spawn_memory_store(caf::actor_system& system, World& world, RoleId role) {
  return system.spawn([&world, role](StoreActor::pointer self) -> StoreActor::behavior_type {
    harden(self);
    auto store = std::make_shared<MemoryStore>(world, role);
    return {
        [=](const Take& m) { return store->take(m); },
        [=, &world](const Commit& m) -> caf::result<Committed> {
          Committed committed = store->commit(m.turn);
          if (!world.chance(world.faults.store_silent)) return committed;
          world.fault("store silent");
          return self->make_response_promise<Committed>();  // never delivered: whoever asked finds out by its timeout
        },
        [=](const Load& m) { return store->load(m); },
        [=](const FindPlaced& m) { return store->placed(m); },
        [=](const LoadParked& m) { return store->parked(m); },
        [=](const ReadOutbox& m) { return store->outbox(m); },
        [](const Place&) { return Placed{}; },
        [](const ChangeStock&) { return Hand{}; },
        [](const SettleHand&) { return Hand{}; },
        [](const OpenHands&) { return Hands{}; },
        [=](const ReadIdentity&) { return store->identity(); },
        [=](const BeginRebuild&) { return store->begin_rebuild(); },
        [=](const FinishRebuild& m) { return store->finish_rebuild(m); },
        [](const StoreHealth&) { return Done{true, ""}; },
    };
  });
}

}  // namespace cartwright::loop
