#include "actors/order/rules.hpp"

#include <algorithm>

#include "actors/check.hpp"
#include "actors/limits.hpp"

namespace cartwright::order {
namespace {

constexpr std::array<std::string_view, state_count> state_names{
    "unknown", "pending", "inventory_reserved", "paid", "shipped", "delivered", "cancelled", "payment_failed", "refunded"};
constexpr std::array<std::string_view, happening_count> happening_names{
    "order.placed", "inventory.reserved", "inventory.failed", "payment.success", "payment.failed", "order.tracking.updated",
    "order.delivered", "order.cancel.requested", "inventory.released", "payment.refunded", "payment.refund.failed",
    "order.status.requested", "expire", "any other"};
constexpr std::array<std::string_view, wait_count> wait_names{"inventory", "payment", "shipping", "stock release", "refund"};
constexpr std::size_t kept_max = 32;  // of one order; what comes beyond goes to the dead letters

constexpr std::uint32_t topic_bit(Topic topic) { return 1u << static_cast<unsigned>(topic); }
constexpr std::uint32_t command_bit = 1u << 31;

/// One input of one order: the order that changes and what follows from it.
class Step {
 public:
  Step(Order& order, const Settings& settings, Millis now, Change& change)
      : o_(order), settings_(settings), now_(now), change_(change) {}

  void on(const std::shared_ptr<const Record>& record);
  void on_time(bool caught_up);
  void ask_everything();
  void publish_unseen();
  CommandReply cancel_by_command(std::uint64_t id);

  // -- the answers of the table ---------------------------------------------------------------------------------------
  void ignore(const Event& e) {
    // Shown once, unless the history has this topic already: then it is a repetition.
    if (o_.state == State::unknown || (o_.told & topic_bit(e.topic))) return;
    tell_history(e.topic);
  }
  void place(const Event& e);
  void placed_again(const Event& e);
  void reserved(const Event& e);
  void out_of_stock(const Event& e);
  void paid(const Event& e);
  void not_paid(const Event& e);
  void tracked(const Event& e);
  void delivered(const Event& e) { to(State::delivered, e.topic); }
  void cancel(const Event& e) { cancel_as("requested", to_string(e.topic), topic_bit(e.topic)); }
  void expire(const Event&) { cancel_as("expired", "expire", command_bit); }
  void released(const Event& e);
  void refunded(const Event& e);
  void money_too_late(const Event& e);
  void second_money(const Event& e);
  void say_shipped(const Event&) { publish(event(Topic::order_shipped, asked_at(Wait::shipping))); }
  void say_release(const Event&) { publish(event(Topic::inventory_release_requested, asked_at(Wait::stock_release))); }
  void say_placed(const Event&) { publish(placed_event(o_)); }
  void keep(const Event&) { keep_record_ = true; }

 private:
  void to(State state, std::string_view name, std::uint32_t bit) {
    o_.state = state;
    o_.told |= bit;
    ++o_.version;
    changed();
    change_.transitions.push_back({o_.id, o_.version, std::string(to_string(state)), std::string(name), now_});
  }
  void to(State state, Topic topic) { to(state, to_string(topic), topic_bit(topic)); }
  void tell_history(Topic topic) { to(o_.state, topic); }
  void changed() {
    o_.updated_at = now_;
    change_.changed = true;
  }

  Event event(Topic topic, Millis at) const {
    Event e;
    e.topic = topic;
    e.order = o_.id;
    e.user = o_.user;
    e.ce_id = o_.id.value + "/" + std::string(to_string(topic));
    e.ce_time = at;
    e.traceparent = o_.traceparent;
    if (topic == Topic::payment_initiated) {
      e.amount = o_.amount.value_or(0);
      e.currency = o_.currency;
      e.payment_token = o_.payment_token;
    }
    if (topic == Topic::order_shipped) e.extras = o_.extras;
    return e;
  }
  void publish(Event e) { change_.publish.push_back(std::move(e)); }
  Millis asked_at(Wait what) const { return o_.wait(what).asked != 0 ? o_.wait(what).asked : o_.created_at; }

  /// Remembers whom we asked what. A foreign role is waited for within the nine topics only, and asked once (rule 12).
  void wait(Wait what, RoleId role) {
    bool foreign = contains(settings_.foreign, role);
    if (foreign && (what == Wait::stock_release || what == Wait::refund)) return;
    bool once = foreign && o_.seen;
    o_.wait(what) = {true, once ? 0 : now_ + settings_.ask_first, settings_.ask_first, now_};
  }
  void got(Wait what) { o_.wait(what).open = false; }
  void ask(Wait what);

  void release() {
    wait(Wait::stock_release, RoleId::inventory);
    o_.wait(Wait::stock_release).asked = now_;
    publish(event(Topic::inventory_release_requested, now_));
  }
  void refund() {
    o_.refund_asked = true;
    wait(Wait::refund, RoleId::payment);
    o_.wait(Wait::refund).asked = now_;
    publish(event(Topic::payment_refund_requested, now_));
  }
  /// A charge beside the one that stands goes back, alone. One that has no name cannot be asked back alone: without a
  /// txn_id the request would mean the other one, too.
  void refund_one(const TxnId& txn) {
    if (txn.empty()) {
      change_.park = "a payment.success without a txn_id, beside the one that counts (" + o_.txn.value + ")";
      return;
    }
    if (std::find(o_.refunds.begin(), o_.refunds.end(), txn.value) != o_.refunds.end()) return;
    o_.refunds.push_back(txn.value);
    changed();
    Event e = event(Topic::payment_refund_requested, now_);
    e.txn = txn;
    e.ce_id += "/" + txn.value;
    publish(std::move(e));
  }
  void notice(std::string text, Topic occasion) {
    Event e = event(Topic::notification_send, now_);
    e.message = std::move(text);
    e.occasion = to_string(occasion);
    e.extras = o_.extras;
    e.ce_id += "/" + e.occasion;
    publish(std::move(e));
  }
  void cancel_as(std::string reason, std::string_view name, std::uint32_t bit);
  void bury(const std::shared_ptr<const Record>& record, std::string cause) { change_.dead.push_back({record, std::move(cause)}); }
  void give_up(const Kept& kept);
  void answer(const Event& e);
  void keep_record(const std::shared_ptr<const Record>& record);
  void digest_kept();

  Order& o_;
  const Settings& settings_;
  Millis now_;
  Change& change_;
  bool keep_record_ = false;
  std::shared_ptr<const Record> current_;
};

// ---- the table --------------------------------------------------------------------------------------------------------

struct Cell {
  Verdict verdict;
  void (Step::*act)(const Event&);
  std::string_view says;
};

constexpr Cell ignore_{Verdict::ignore, &Step::ignore, "no use for it; shown once in the history"};
constexpr Cell keep_{Verdict::keep, &Step::keep, "kept until its turn comes"};
constexpr Cell orphan_{Verdict::keep, &Step::keep, "kept until its order.placed comes, at most order.orphan-ttl"};
constexpr Cell place_{Verdict::advance, &Step::place, "pending; inventory is asked"};
constexpr Cell again_{Verdict::ignore, &Step::placed_again, "the same: a duplicate; other content: dead letter `conflict`"};
constexpr Cell reserved_{Verdict::advance, &Step::reserved, "inventory_reserved; payment is asked (other lines: cancelled, partial_answer)"};
constexpr Cell stock_{Verdict::advance, &Step::out_of_stock, "cancelled, out_of_stock; a notice"};
constexpr Cell paid_{Verdict::advance, &Step::paid, "paid; order.shipped is written (another amount: parked)"};
constexpr Cell not_paid_{Verdict::compensate, &Step::not_paid, "payment_failed; the stock goes back; a notice"};
constexpr Cell tracked_{Verdict::advance, &Step::tracked, "shipped"};
constexpr Cell delivered_{Verdict::advance, &Step::delivered, "delivered"};
constexpr Cell cancel_{Verdict::compensate, &Step::cancel, "cancelled, requested; the stock goes back, and money that was asked for"};
constexpr Cell expire_{Verdict::compensate, &Step::expire, "cancelled, expired; the stock goes back, and money that was asked for"};
constexpr Cell released_{Verdict::advance, &Step::released, "the stock is back"};
constexpr Cell refunded_{Verdict::advance, &Step::refunded, "the money is back: refunded; nothing had been taken: stays"};
constexpr Cell late_{Verdict::compensate, &Step::money_too_late, "money of an order that is over: it goes back, once"};
constexpr Cell second_{Verdict::compensate, &Step::second_money, "the first stands; another txn_id is refunded"};
constexpr Cell place_again_{Verdict::compensate, &Step::say_placed, "order.placed is written again, the same bytes"};
constexpr Cell ship_again_{Verdict::compensate, &Step::say_shipped, "order.shipped is written again, the same bytes"};
constexpr Cell free_again_{Verdict::compensate, &Step::say_release, "inventory.release.requested is written again"};

using Cells = std::array<Cell, happening_count>;
//                                     placed   reserved   out_of_stock paid     not_paid   tracked    delivered   cancel
//                                     released refunded   refund_failed status    expire     other
constexpr std::array<Cells, state_count> cells{{
    /* unknown */ {{place_, orphan_, orphan_, orphan_, orphan_, orphan_, orphan_, orphan_,
                    orphan_, orphan_, orphan_, orphan_, ignore_, ignore_}},
    /* pending */ {{again_, reserved_, stock_, keep_, not_paid_, keep_, keep_, cancel_,
                    ignore_, ignore_, ignore_, place_again_, expire_, ignore_}},
    /* inventory_reserved */ {{again_, ignore_, ignore_, paid_, not_paid_, keep_, keep_, cancel_,
                               ignore_, ignore_, ignore_, place_again_, expire_, ignore_}},
    /* paid */ {{again_, ignore_, ignore_, second_, ignore_, tracked_, keep_, ignore_,
                 ignore_, ignore_, ignore_, ship_again_, ignore_, ignore_}},
    /* shipped */ {{again_, ignore_, ignore_, second_, ignore_, ignore_, delivered_, ignore_,
                    ignore_, ignore_, ignore_, ship_again_, ignore_, ignore_}},
    /* delivered */ {{again_, ignore_, ignore_, second_, ignore_, ignore_, ignore_, ignore_,
                      ignore_, ignore_, ignore_, ship_again_, ignore_, ignore_}},
    /* cancelled */ {{again_, ignore_, ignore_, late_, ignore_, ignore_, ignore_, ignore_,
                      released_, refunded_, ignore_, free_again_, ignore_, ignore_}},
    /* payment_failed */ {{again_, ignore_, ignore_, late_, ignore_, ignore_, ignore_, ignore_,
                           released_, refunded_, ignore_, free_again_, ignore_, ignore_}},
    /* refunded */ {{again_, ignore_, ignore_, late_, ignore_, ignore_, ignore_, ignore_,
                     released_, refunded_, ignore_, free_again_, ignore_, ignore_}},
}};

const Cell& cell(State state, Happening happening) {
  return cells[static_cast<std::size_t>(state)][static_cast<std::size_t>(happening)];
}

bool over(State state) {
  return state == State::cancelled || state == State::payment_failed || state == State::refunded;
}

// ---- what the cells do --------------------------------------------------------------------------------------------------

void Step::place(const Event& e) {
  bool given_up = o_.given_up;
  auto kept = std::move(o_.kept);
  const Millis heard_of = o_.created_at;  // its row is of then
  o_ = order::place(e, settings_, now_);
  o_.created_at = heard_of;
  o_.kept = std::move(kept);
  o_.given_up = given_up;
  o_.seen = true;
  if (contains(settings_.foreign, RoleId::inventory)) o_.wait(Wait::inventory).next = 0;
  if (current_ && current_->value && current_->topic == Topic::order_placed && !e.stored) {
    o_.placed = *current_->value;  // a foreign record is asked again with its own bytes
    o_.placed_ce_id = e.ce_id;
  }
  changed();
  change_.transitions.push_back({o_.id, o_.version, std::string(to_string(o_.state)), std::string(to_string(e.topic)), now_});
  if (given_up) cancel_as("too_late", to_string(e.topic), topic_bit(e.topic));
}

void Step::placed_again(const Event& e) {
  if (e.lines != o_.lines || e.user != o_.user) {
    if (current_) bury(current_, "conflict");
    return;
  }
  if (o_.seen) return;
  // Our own door's record, read back from the log: it need not be published again. That is written with the next change:
  // forgotten by a crash, it costs one repetition. Only a foreign inventory may not know a repetition for what it is.
  o_.seen = true;
  Question& question = o_.wait(Wait::inventory);
  if (!question.open || !contains(settings_.foreign, RoleId::inventory)) return;
  question.next = 0;
  change_.changed = true;
}

void Step::reserved(const Event& e) {
  got(Wait::inventory);
  if (merged(e.lines) != merged(o_.lines)) return cancel_as("partial_answer", to_string(e.topic), topic_bit(e.topic));
  o_.amount = e.amount.value_or(0);
  o_.currency = e.currency;
  o_.expires = now_ + settings_.payment_ttl;
  to(State::inventory_reserved, e.topic);
  wait(Wait::payment, RoleId::payment);
  bool answered = std::any_of(o_.kept.begin(), o_.kept.end(),
                              [](const Kept& k) { return k.record->event.topic == Topic::payment_success; });
  if (!answered) publish(event(Topic::payment_initiated, now_));
}

void Step::out_of_stock(const Event& e) {
  got(Wait::inventory);
  o_.reason = is_stock_reason(e.reason) ? e.reason : "out_of_stock";  // of a foreign inventory: an extra field
  o_.expires = 0;
  to(State::cancelled, e.topic);
  Event cancelled = event(Topic::order_cancelled, now_);
  cancelled.reason = o_.reason;
  publish(std::move(cancelled));
  notice("Order cancelled due to insufficient stock.", Topic::inventory_failed);
}

void Step::paid(const Event& e) {
  if (e.amount.value_or(-1) != o_.amount.value_or(0)) {
    change_.park = "payment.success over " + std::to_string(e.amount.value_or(-1)) + " (" + e.txn.value + "), asked for " +
                   std::to_string(o_.amount.value_or(0));
    return;
  }
  got(Wait::payment);
  o_.txn = e.txn;
  o_.expires = 0;
  to(State::paid, e.topic);
  wait(Wait::shipping, RoleId::shipping);
  publish(event(Topic::order_shipped, now_));
}

void Step::not_paid(const Event& e) {
  got(Wait::inventory);
  got(Wait::payment);
  o_.expires = 0;
  to(State::payment_failed, e.topic);
  notice("Payment failed.", Topic::payment_failed);
  release();
}

void Step::tracked(const Event& e) {
  got(Wait::shipping);
  o_.tracking = e.tracking;
  to(State::shipped, e.topic);
}

void Step::cancel_as(std::string reason, std::string_view name, std::uint32_t bit) {
  bool charged = o_.wait(Wait::payment).open;
  got(Wait::inventory);
  got(Wait::payment);
  o_.reason = reason;
  o_.expires = 0;
  to(State::cancelled, name, bit);
  Event cancelled = event(Topic::order_cancelled, now_);
  cancelled.reason = std::move(reason);
  publish(std::move(cancelled));
  release();
  if (charged) refund();
}

void Step::released(const Event&) {
  if (!o_.wait(Wait::stock_release).open) return;
  got(Wait::stock_release);
  changed();
}

void Step::refunded(const Event& e) {
  if (!o_.wait(Wait::refund).open) {
    // A foreign payment is not waited for, but what it says about a refund we asked for still counts.
    if (!(o_.refund_asked && o_.state == State::cancelled && e.amount.value_or(0) > 0)) return;
  }
  got(Wait::refund);
  changed();
  if (!e.txn.empty()) o_.txn = e.txn;
  if (e.amount.value_or(0) > 0 && o_.state == State::cancelled) to(State::refunded, e.topic);
}

void Step::money_too_late(const Event& e) {
  if (!o_.refund_asked) {
    o_.txn = e.txn;
    changed();
    refund();
  } else if (!o_.wait(Wait::refund).open && (e.txn != o_.txn || (e.txn.empty() && o_.state != State::refunded))) {
    refund_one(e.txn);  // the refund has its answer, and that was not about this charge
  }
}

void Step::second_money(const Event& e) {
  if (e.txn != o_.txn) refund_one(e.txn);
}

void Step::ask(Wait what) {
  Millis at = o_.wait(what).asked;
  switch (what) {
    case Wait::inventory: return publish(placed_event(o_));
    case Wait::payment: return publish(event(Topic::payment_initiated, at));
    case Wait::shipping: return publish(event(Topic::order_shipped, at));
    case Wait::stock_release: return publish(event(Topic::inventory_release_requested, at));
    case Wait::refund: return publish(event(Topic::payment_refund_requested, at));
  }
}

/// The owner may have taken the shard because a node died between a door's commit and its publish (rule 3).
void Step::publish_unseen() {
  if (o_.state == State::pending && !o_.seen) publish(placed_event(o_));
}

void Step::ask_everything() {
  for (std::size_t i = 0; i < wait_count; ++i)
    if (o_.waits[i].open) ask(static_cast<Wait>(i));
}

// ---- the frame around a cell ----------------------------------------------------------------------------------------------

void Step::answer(const Event& e) { (this->*cell(o_.state, happening_of(e.topic)).act)(e); }

void Step::keep_record(const std::shared_ptr<const Record>& record) {
  keep_record_ = false;
  const Event& e = record->event;
  for (const Kept& k : o_.kept) {
    const Record& other = *k.record;
    bool same = (!e.ce_id.empty() && other.event.ce_id == e.ce_id) || (other.event.topic == e.topic && other.value == record->value);
    if (same) return;
  }
  if (o_.kept.size() >= kept_max) return bury(record, "orphan: too many early events of one order");
  o_.kept.push_back({record, now_ + settings_.orphan_ttl});
  changed();
}

/// Digests what was kept, in the order it came, as long as that moves the order on.
void Step::digest_kept() {
  for (bool progress = true; progress && !o_.kept.empty() && change_.park.empty();) {
    progress = false;
    for (std::size_t i = 0; i < o_.kept.size(); ++i) {
      auto record = o_.kept[i].record;
      if (cell(o_.state, happening_of(record->event.topic)).verdict == Verdict::keep) continue;
      o_.kept.erase(o_.kept.begin() + static_cast<std::ptrdiff_t>(i));
      current_ = record;
      answer(record->event);
      if (!change_.park.empty()) change_.parked.push_back(record);
      progress = true;
      break;
    }
  }
}

void Step::on(const std::shared_ptr<const Record>& record) {
  current_ = record;
  if (o_.id.empty()) o_.id = record->event.order;
  State before = o_.state;
  answer(record->event);
  if (keep_record_) keep_record(record);
  if (!change_.park.empty() && change_.parked.empty()) change_.parked.push_back(record);
  if (o_.state != before) digest_kept();
}

/// An event whose order never came: a dead letter, and what it did is undone.
void Step::give_up(const Kept& kept) {
  bury(kept.record, "orphan");
  o_.given_up = true;
  switch (kept.record->event.topic) {
    case Topic::inventory_reserved:
    case Topic::order_status_requested: return publish(event(Topic::inventory_release_requested, now_));
    case Topic::payment_success: return publish(event(Topic::payment_refund_requested, now_));
    default: return;
  }
}

void Step::on_time(bool caught_up) {
  if (caught_up && o_.expires != 0 && o_.expires <= now_ && (o_.state == State::pending || o_.state == State::inventory_reserved)) {
    expire({});
    digest_kept();
  }
  for (std::size_t i = 0; i < wait_count; ++i) {
    Question& question = o_.waits[i];
    if (!question.open || question.next == 0 || question.next > now_) continue;
    ask(static_cast<Wait>(i));
    question.delay = std::min(2 * std::max<Millis>(question.delay, 1), settings_.ask_last);
    question.next = now_ + question.delay;
    change_.changed = true;
  }
  if (o_.state == State::unknown && caught_up) {
    auto late = std::stable_partition(o_.kept.begin(), o_.kept.end(), [&](const Kept& k) { return k.until > now_; });
    for (auto it = late; it != o_.kept.end(); ++it) give_up(*it);
    if (late != o_.kept.end()) changed();
    o_.kept.erase(late, o_.kept.end());
  }
}

CommandReply Step::cancel_by_command(std::uint64_t id) {
  switch (o_.state) {
    case State::unknown: return {id, 404, "there is no order " + o_.id.value};
    case State::pending:
    case State::inventory_reserved:
      cancel_as("requested", "cancel", command_bit);
      digest_kept();
      return {id, 202, ""};
    case State::cancelled:
    case State::refunded: return {id, 202, ""};
    default: return {id, 409, "the order is " + std::string(to_string(o_.state)) + " and cannot be cancelled any more"};
  }
}

}  // namespace

std::string_view to_string(State state) { return state_names[static_cast<std::size_t>(state)]; }
State state_named(std::string_view name) {
  for (std::size_t i = 0; i < state_count; ++i)
    if (state_names[i] == name) return static_cast<State>(i);
  check(false, "a stored order's state is one of the table's");
  return State::unknown;
}
std::string_view to_string(Happening happening) { return happening_names[static_cast<std::size_t>(happening)]; }
std::string_view to_string(Verdict verdict) {
  constexpr std::array<std::string_view, 5> names{"advance", "ignore", "keep", "compensate", "park"};
  return names[static_cast<std::size_t>(verdict)];
}

Happening happening_of(Topic topic) {
  switch (topic) {
    case Topic::order_placed: return Happening::placed;
    case Topic::inventory_reserved: return Happening::reserved;
    case Topic::inventory_failed: return Happening::out_of_stock;
    case Topic::payment_success: return Happening::paid;
    case Topic::payment_failed: return Happening::not_paid;
    case Topic::order_tracking_updated: return Happening::tracked;
    case Topic::order_delivered: return Happening::delivered;
    case Topic::order_cancel_requested: return Happening::cancel;
    case Topic::inventory_released: return Happening::released;
    case Topic::payment_refunded: return Happening::refunded;
    case Topic::payment_refund_failed: return Happening::refund_failed;
    case Topic::order_status_requested: return Happening::status_requested;
    default: return Happening::other;
  }
}

bool is_final(const Order& order) {
  bool ended = order.state == State::shipped || order.state == State::delivered || over(order.state);
  return ended && std::none_of(order.waits.begin(), order.waits.end(), [](const Question& q) { return q.open; });
}

std::string waiting_for(const Order& order) {
  std::string text;
  for (std::size_t i = 0; i < wait_count; ++i) {
    if (!order.waits[i].open) continue;
    if (!text.empty()) text += ", ";
    text += wait_names[i];
  }
  return text;
}

Millis waiting_until(const Order& order) {
  if (order.expires != 0) return order.expires;
  Millis next = 0;
  for (const Question& question : order.waits)
    if (question.open && question.next != 0 && (next == 0 || question.next < next)) next = question.next;
  return next;
}

std::vector<Pair> table() {
  std::vector<Pair> pairs;
  for (std::size_t s = 0; s < state_count; ++s)
    for (std::size_t h = 0; h < happening_count; ++h) {
      const Cell& row = cells[s][h];
      pairs.push_back({static_cast<State>(s), static_cast<Happening>(h), row.verdict, row.says});
    }
  return pairs;
}

Order place(const Event& event, const Settings& settings, Millis now) {
  Order order;
  order.id = event.order;
  order.state = State::pending;
  order.user = event.user;
  order.lines = event.lines;
  order.itemised = event.itemised;
  order.payment_token = event.payment_token;
  order.extras = event.extras;
  order.traceparent = event.traceparent;
  order.version = 1;
  order.told = topic_bit(Topic::order_placed);
  order.created_at = order.updated_at = now;
  order.expires = now + settings.inventory_ttl;
  order.wait(Wait::inventory) = {true, now + settings.ask_first, settings.ask_first, now};
  return order;
}

Event placed_event(const Order& order) {
  Event e;
  e.topic = Topic::order_placed;
  e.order = order.id;
  e.user = order.user;
  e.lines = order.lines;
  e.itemised = order.itemised;
  e.payment_token = order.payment_token;
  e.extras = order.extras;
  e.traceparent = order.traceparent;
  e.ce_time = order.created_at;
  e.ce_id = order.id.value + "/" + std::string(to_string(Topic::order_placed));
  if (!order.placed.empty()) {
    e.raw = order.placed;
    e.ce_id = order.placed_ce_id;
  }
  return e;
}

void digest(Order& order, const Input& input, const Settings& settings, Millis now, Change& change) {
  if (order.created_at == 0) order.created_at = now;
  Step step(order, settings, now, change);
  if (const auto* record = std::get_if<std::shared_ptr<const Record>>(&input)) {
    step.on(*record);
  } else if (const auto* due = std::get_if<Due>(&input)) {
    step.on_time(due->caught_up);
  } else if (const auto* resume = std::get_if<Resume>(&input)) {
    if (resume->lost)
      step.ask_everything();
    else
      step.publish_unseen();
  } else if (const auto* command = std::get_if<Command>(&input)) {
    if (command->kind == CommandKind::cancel) {
      change.replies.push_back(step.cancel_by_command(command->id));
    } else if (command->kind == CommandKind::retry) {
      step.ask_everything();
      change.replies.push_back({command->id, 202, ""});
    } else {
      change.replies.push_back({command->id, 409, "an order has no port that could report"});
    }
  }
  change.due = change.due_caught_up = 0;
  auto sooner = [](Millis& due, Millis at) {
    if (at != 0 && (due == 0 || at < due)) due = at;
  };
  for (const Question& question : order.waits)
    if (question.open) sooner(change.due, question.next);
  sooner(change.due_caught_up, order.expires);
  if (order.state == State::unknown)
    for (const Kept& kept : order.kept) sooner(change.due_caught_up, kept.until);
  change.open = order.state == State::unknown ? !order.kept.empty() : !is_final(order);
}

}  // namespace cartwright::order
