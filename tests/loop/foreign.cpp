#include "tests/loop/foreign.hpp"

namespace cartwright::loop {

Foreign::Foreign(World& world, RoleId role) : world_(world), role_(role) {
  switch (role) {
    case RoleId::inventory: reads_ = {Topic::order_placed}; break;
    case RoleId::payment: reads_ = {Topic::payment_initiated, Topic::payment_refund_requested, Topic::order_placed}; break;
    case RoleId::shipping: reads_ = {Topic::order_shipped, Topic::payment_success}; break;
    default: break;
  }
}

bool Foreign::lags() const {
  for (Topic topic : reads_)
    for (int p = 0; p < world_.settings().partitions; ++p) {
      auto at = at_.find({topic, p});
      std::int64_t next = at == at_.end() ? 0 : at->second, end = world_.log.size(topic, p);
      if (next != end) return true;
    }
  return false;
}

bool Foreign::step() {
  int n = static_cast<int>(reads_.size()) * world_.settings().partitions, first = n == 0 ? 0 : world_.pick(n);
  for (int i = 0; i < n; ++i) {
    int slot = (first + i) % n;
    Topic topic = reads_[static_cast<std::size_t>(slot / world_.settings().partitions)];
    int p = slot % world_.settings().partitions;
    auto& at = at_[{topic, p}];
    if (at > world_.log.size(topic, p)) at = 0;  // the log was lost: its client begins at the earliest
    if (at >= world_.log.size(topic, p)) continue;
    auto record = world_.log.at(topic, p, at++);
    if (record->poison.empty()) on(*record);
    return true;
  }
  return false;
}

void Foreign::on(const Record& record) {
  switch (role_) {
    case RoleId::inventory: return inventory(record.event);
    case RoleId::payment: return payment(record.event);
    case RoleId::shipping: return shipping(record.event);
    default: return;
  }
}

Event Foreign::answer(Topic topic, const OrderId& order) const {
  Event e;
  e.topic = topic;
  e.order = order;
  e.user = UserId{"user"};
  return e;
}

void Foreign::write(Event e) {
  Outgoing record = world_.codec().write(e);
  record.headers.clear();
  if (world_.chance(.2)) world_.fault("foreign answer twice"), world_.append_misplaced(record);
  if (world_.chance(.3))
    world_.fault("foreign answer misplaced"), world_.append_misplaced(record);
  else
    world_.append(record);
}

void Foreign::inventory(const Event& e) {
  auto [it, fresh] = decided_.try_emplace(e.order.value, fingerprint(e.order.value) % 4 == 0 ? "failed" : "reserved");
  Event out = answer(it->second == "failed" ? Topic::inventory_failed : Topic::inventory_reserved, e.order);
  out.lines = e.lines;
  out.itemised = e.itemised;
  write(std::move(out));
}

void Foreign::payment(const Event& e) {
  Book& book = world_.foreign_book;
  bool early = e.topic == Topic::order_placed;
  // Who charges before being asked has to know what the order will cost; and does so only now and then.
  if (early && (world_.foreign(RoleId::inventory) || fingerprint(e.order.value) % 3 != 0)) return;
  auto& key = book.keys[e.order.value];
  if (e.topic == Topic::payment_refund_requested) {
    if (!e.txn.empty() && e.txn.value != key.txn) return;
    if (key.answer == Answer::unknown) key.answer = Answer::refused;
    Event out = answer(Topic::payment_refunded, e.order);
    if (key.answer == Answer::done) {
      out.txn.value = key.txn;
      out.amount = key.amount;
    } else {
      out.amount = 0;
    }
    book.net[e.order.value] = 0;
    return write(std::move(out));
  }
  std::int64_t amount = e.amount.value_or(0);
  if (early) {
    for (const Line& line : e.lines) amount += 5 * line.quantity;
    if (key.answer == Answer::unknown) world_.fault("foreign answer before its question");
  }
  if (key.answer == Answer::unknown) {
    key.answer = fingerprint(e.order.value) % 5 == 0 ? Answer::refused : Answer::done;
    if (key.answer == Answer::done) {
      key.amount = amount;
      key.txn = "foreign-" + e.order.value;
      ++book.charges[e.order.value];
      book.net[e.order.value] += amount;
    }
  }
  if (key.answer == Answer::refused) return write(answer(Topic::payment_failed, e.order));
  Event out = answer(Topic::payment_success, e.order);
  out.txn.value = key.txn;
  out.amount = amount;
  write(std::move(out));
}

void Foreign::shipping(const Event& e) {
  bool early = e.topic == Topic::payment_success;
  if (early && fingerprint(e.order.value) % 3 != 0) return;
  if (early && !decided_.contains(e.order.value)) world_.fault("foreign answer before its question");
  decided_.try_emplace(e.order.value, "shipped");
  Event out = answer(Topic::order_tracking_updated, e.order);
  out.tracking.value = "foreign-" + e.order.value;
  write(std::move(out));
  if (fingerprint(e.order.value) % 2 == 0) write(answer(Topic::order_delivered, e.order));
}

}  // namespace cartwright::loop
