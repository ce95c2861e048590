// What must hold: at each step, and when everything has healed (guides: conservation, one charge, status ends, history
// without a gap, no accepted order lost, notices once, nothing invented, sold is what was shipped).

#include <algorithm>

#include "actors/inventory/rules.hpp"
#include "actors/order/rules.hpp"
#include "tests/loop/foreign.hpp"
#include "tests/loop/stock.hpp"
#include "tests/loop/world.hpp"

namespace cartwright::loop {

// -- at each step -----------------------------------------------------------------------------------------------------------

void World::check_durable(RoleId role, const Act& act) {
  if (!options_.order_checks) return;
  auto& rows = stores[role].rows;
  auto it = rows.find(act.key);
  std::string state = it == rows.end() ? "no row" : it->second.row.state;
  bool decided = it != rows.end();
  if (act.step == Step::release) decided = state == "released";
  if (act.step == Step::sell) decided = state == "sold";
  if (act.step == Step::refund) decided = state == "refunding" || state == "refunded";
  if (!decided) broke("acted before it was durable: " + std::string(to_string(act.step)) + " of " + act.key + ", the store has " + state);
  hit("rule 2: acted on what was committed");
}

void World::check_stock() {
  auto& ledger = stores[RoleId::inventory];
  if (ledger.verified != StockIdentity{"run-" + std::to_string(redis.run), redis.generation}) return;
  for (auto& [product, n] : redis.products) {
    if (n.available + n.reserved + n.sold != n.stocked) broke("stock: available + reserved + sold is not stocked, of " + product);
    if (n.available < 0 || n.reserved < 0 || n.sold < 0) broke("stock: negative " + product);
    const StockDelta& total = ledger.products[product];
    if (n.available > total.stocked - total.reserved - total.sold) broke("stock: Redis has more available than the ledger, of " + product);
  }
}

// -- when everything has healed -----------------------------------------------------------------------------------------------

/// Waiting is legitimate for money that the gateway never tells about, and for a foreign role whose answer was lost with
/// its log (contract.md section 2): then `order retry`, by hand.
bool World::hopeless(const order::Order& order) const {
  bool only_never = true, only_foreign = lost_;
  for (std::size_t i = 0; i < order::wait_count; ++i) {
    if (!order.waits[i].open) continue;
    auto what = static_cast<order::Wait>(i);
    only_never = only_never && what == order::Wait::refund && order.payment_token == "tok_never" && !foreign(RoleId::payment);
    RoleId role = what == order::Wait::shipping                                       ? RoleId::shipping
                  : what == order::Wait::payment || what == order::Wait::refund ? RoleId::payment
                                                                                      : RoleId::inventory;
    only_foreign = only_foreign && foreign(role);
  }
  return only_never || only_foreign;
}

std::string World::unrest() {
  if (!late_.empty()) return "a call is under way";
  if (!unowned_.empty()) return to_string(*unowned_.begin()) + " has no owner";
  for (auto& program : programs_)
    if (program->lags()) return "a foreign program lags";
  for (const HandPlan& hand : hands_)
    if (hand.phase != 2) return "the change " + hand.id + " is not settled";
  for (auto& [role, store] : stores) {
    if (foreign(role)) continue;
    std::string of = std::string(to_string(role)) + ": ";
    if (!store.quarantines.empty()) return of + store.quarantines.begin()->first + " is set aside: " + store.quarantines.begin()->second.second.reason;
    for (auto& [key, stored] : store.rows) {
      if (!stored.row.open) continue;
      if (role == RoleId::order && hopeless(codec_->read_order(stored.row))) continue;
      if (role == RoleId::payment && codec_->read_charge(stored.row).token == "tok_never") continue;
      return of + key + " is still open, " + stored.row.state;
    }
    for (int p = 0; p < settings_.partitions; ++p)
      for (Topic topic : topics_read_by(role)) {
        auto it = store.shards[p].positions.find(topic);
        auto next = it == store.shards[p].positions.end() ? 0 : it->second.next;
        if (next != log.size(topic, p))
          return of + "has read " + std::string(to_string(topic)) + "/" + std::to_string(p) + " up to " + std::to_string(next) + " of " + std::to_string(log.size(topic, p));
      }
  }
  if (std::string record = unpublished(); !record.empty()) return "committed and never published: " + record;
  if (foreign(RoleId::inventory) || stores[RoleId::inventory].verified == StockIdentity{"run-" + std::to_string(redis.run), redis.generation}) return "";
  return "Redis is not verified";
}

/// A record of an outbox that was never written; a turn whose answer was lost is handed in again after a while, and published then.
std::string World::unpublished() {
  for (auto& [role, store] : stores) {
    if (foreign(role)) continue;
    for (auto& [p, shard] : store.shards)
      for (auto& [sequence, entry] : shard.outbox)
        for (const Outgoing& record : *entry.second)
          if (!log.was_written(record)) return record.topic + " of " + record.order;
  }
  return "";
}

void World::check_end() {
  if (!broken_.empty()) throw Violation(broken_);
  std::map<std::string, std::int64_t> sold;
  for (const Plan& plan : plans_) check_order(plan, sold);
  if (!foreign(RoleId::inventory)) check_stock_at_end(sold);
  check_records_at_end();
}

void World::check_order(const Plan& plan, std::map<std::string, std::int64_t>& sold) {
  const std::string& id = plan.id.value;
  auto& orders = stores[RoleId::order];
  auto it = orders.rows.find(id);
  if (it == orders.rows.end()) {
    if (plan.door && !plan.accepted) return;
    if (!plan.door && lost_) return;  // a client's record that the broker lost before anybody had read it
    throw Violation("order lost: " + id);
  }
  order::Order order = codec_->read_order(it->second.row);
  if (order.state == order::State::unknown) {
    if (plan.door || !lost_) throw Violation("order lost: " + id + " (only other events of it are known)");
    return;
  }
  std::string about = id + " (" + it->second.row.state + ", waits for " + order::waiting_for(order) + ")";
  bool stuck = !order::is_final(order) && hopeless(order);
  if (!order::is_final(order) && !stuck) throw Violation("no end: " + about);
  const auto& history = orders.history[id];
  if (history.empty() || history.back().status != it->second.row.state) throw Violation("history and row differ: " + about);
  if (cancelled_.contains(id) && order.state != order::State::cancelled && order.state != order::State::refunded)
    throw Violation("its cancel was accepted: " + about);
  bool good = order.state == order::State::shipped || order.state == order::State::delivered || order.state == order::State::paid;
  if (foreign(RoleId::payment)) {
    auto net = foreign_book.net[id];
    if (!lost_ && net != (good ? order.amount.value_or(0) : 0)) throw Violation("foreign money: " + std::to_string(net) + " for " + about);
  } else if (plan.token != "tok_never") {
    auto net = gateway.net[id];
    if (net != (good ? order.amount.value_or(0) : 0)) throw Violation("money: " + std::to_string(net) + " for " + about);
    if (plan.token == "tok_declined" && good && order.amount.value_or(0) != 0) throw Violation("shipped without money: " + about);
  }
  if (!stuck && good && order.tracking.empty()) throw Violation("no tracking id: " + about);
  if (!foreign(RoleId::shipping) && good && tracking.find(id) == tracking.end()) throw Violation("nothing was booked: " + about);
  if (!foreign(RoleId::shipping) && !good && tracking.contains(id)) throw Violation("shipped what was not paid: " + about);
  if (!foreign(RoleId::inventory)) {
    auto& ledger = stores[RoleId::inventory];
    auto row = ledger.rows.find(id);
    std::string state = row == ledger.rows.end() ? "nothing" : row->second.row.state;
    if (good != (state == "sold")) throw Violation("stock: " + about + " and the ledger says " + state);
    if (good)
      for (const Line& line : merged(plan.lines)) sold[line.product.value] += line.quantity;
  }
  check_notices(plan, order);
}

/// One notice for an occasion, with its exact words; after a lost log the record that tells it may be gone.
void World::check_notices(const Plan& plan, const order::Order& order) {
  auto& rows = stores[RoleId::notification].rows;
  auto text_of = [&](std::string_view occasion) {
    auto it = rows.find(plan.id.value + "/" + std::string(occasion));
    return it == rows.end() ? std::string() : codec_->read_notice(it->second.row).text;
  };
  auto expect = [&](std::string_view occasion, const std::string& text) {
    std::string said = text_of(occasion);
    if (said == text || (said.empty() && lost_)) return;
    throw Violation("notice of " + std::string(occasion) + " to " + plan.id.value + " is '" + said + "'");
  };
  if (order.state == order::State::cancelled && order.reason == "out_of_stock") expect("inventory.failed", "Order cancelled due to insufficient stock.");
  if (order.state == order::State::payment_failed) expect("payment.failed", "Payment failed.");
  if (order.state == order::State::shipped) expect("order.tracking.updated", "Order shipped, tracking id " + order.tracking.value + ".");
  if (order.state == order::State::cancelled && order.reason == "expired") expect("order.cancelled", "Order cancelled (expired).");
}

void World::check_stock_at_end(const std::map<std::string, std::int64_t>& sold) {
  auto& ledger = stores[RoleId::inventory];
  for (auto& [product, total] : ledger.products) {
    const auto n = redis.products[product];
    if (n.reserved != total.reserved || n.sold != total.sold || n.stocked != total.stocked)
      throw Violation("stock differs from the ledger: " + product + ", Redis has " + std::to_string(n.reserved) + " reserved, " + std::to_string(n.sold) +
                      " sold of " + std::to_string(n.stocked) + ", the ledger " + std::to_string(total.reserved) + ", " + std::to_string(total.sold) + " of " +
                      std::to_string(total.stocked) + who_differs());
    if (n.reserved != 0) throw Violation("a reservation without an open order: " + product);
    auto it = sold.find(product);
    if (n.sold != (it == sold.end() ? 0 : it->second)) throw Violation("sold is not what was shipped: " + product);
  }
}

/// Orders whose reservation is another one in Redis than in the ledger.
std::string World::who_differs() {
  std::string said;
  for (auto& [key, order] : redis.orders) {
    auto row = stores[RoleId::inventory].rows.find(key);
    std::string state = row == stores[RoleId::inventory].rows.end() ? "nothing" : row->second.row.state;
    if (order.state != state) said += "; " + key + " is " + order.state + " in Redis, " + state + " in the ledger";
  }
  return said;
}

void World::check_records_at_end() {
  std::set<std::string> known, numbers;
  for (const Plan& plan : plans_) known.insert(plan.id.value);
  for (auto& [role, store] : stores) {
    for (auto& [key, stored] : store.rows)
      if (!known.contains(key.substr(0, key.find('/')))) throw Violation("invented: " + key + " in " + std::string(to_string(role)));
    for (const DeadLetter& letter : store.dead) {
      bool killer = killers_.contains(letter.record->event.order.value);
      if (letter.cause.starts_with("orphan") || letter.cause == "conflict" || (killer && letter.cause.starts_with("crash"))) {
        hit("rule 11: dead letter, " + letter.cause.substr(0, letter.cause.find(':')));
        continue;
      }
      throw Violation("dead letter of a good record: " + letter.cause + ", of " + letter.record->event.order.value);
    }
    if (foreign(role)) continue;
    for (auto& [p, shard] : store.shards) {
      if (!shard.outbox.empty() && shard.published > shard.outbox.rbegin()->first) throw Violation("watermark beyond the outbox");
    }
  }
  if (std::string record = unpublished(); !record.empty()) throw Violation("committed and never published: " + record);
  for (auto& [order, number] : tracking)
    if (!numbers.insert(number).second) throw Violation("a tracking id twice: " + number);
}

}  // namespace cartwright::loop
