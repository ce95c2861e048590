#include "actors/inventory/rules.hpp"

#include <array>

#include "actors/acting.hpp"
#include "actors/check.hpp"
#include "actors/limits.hpp"
#include "actors/money.hpp"

namespace cartwright::inventory {
namespace {

constexpr std::array<std::string_view, 5> state_names{"reserving", "reserved", "failed", "released", "sold"};

class Digest {
 public:
  Digest(Reservation& r, const Settings& settings, Millis now, Change& change)
      : r_(r), settings_(settings), now_(now), change_(change) {}

  void on(const Record& record) {
    const Event& e = record.event;
    if (r_.order.empty()) r_.order = e.order;
    switch (e.topic) {
      case Topic::order_placed: return placed(e);
      case Topic::order_shipped: return shipped();
      case Topic::payment_failed: return give_back(false);
      case Topic::inventory_release_requested: return give_back(true);
      default: return;
    }
  }

  void on(const Outcome& outcome) {
    if (!r_.known || outcome.answer == Answer::unknown) return;
    if (outcome.step == Step::reserve && r_.state == State::reserving) {
      change_.identities.push_back(outcome.identity);
      return outcome.answer == Answer::done ? reserved(outcome) : failed(outcome.detail);
    }
    bool tells = (outcome.step == Step::release && r_.state == State::released) ||
                 (outcome.step == Step::sell && r_.state == State::sold);
    if (tells && !r_.told) {
      change_.identities.push_back(outcome.identity);
      r_.told = true;
      close_act(r_);
      changed();
    }
  }

  void on_time(const Input& input) {
    if (!r_.known) return;
    if (act_again(r_, input, settings_, now_)) act();
    const auto* resume = std::get_if<Resume>(&input);
    bool ask = (resume && resume->lost) || (r_.status_due != 0 && r_.status_due <= now_);
    if (r_.state == State::reserved && ask && !contains(settings_.foreign, RoleId::order)) {
      change_.publish.push_back(event_of(r_.order, Topic::order_status_requested, r_.answered_at, r_.traceparent));
      r_.status_due = now_ + settings_.ask_last;
      changed();
    }
  }

 private:
  void changed() {
    r_.updated_at = now_;
    change_.changed = true;
  }
  void become(State state) {
    r_.state = state;
    changed();
  }

  void act() {
    Act act;
    act.key = r_.order.value;
    act.order = r_.order;
    act.lines = r_.lines;
    act.step = r_.state == State::reserving ? Step::reserve : r_.state == State::released ? Step::release : Step::sell;
    change_.acts.push_back(std::move(act));
  }

  /// The ledger has decided; Redis is told, until it has heard.
  void tell() {
    r_.told = false;
    open_act(r_, settings_, now_);
    act();
  }

  /// Moves the held lines in the totals: out of reserved, and into sold if `sold`.
  void unhold(bool sold) {
    if (!r_.held) return;
    r_.held = false;
    for (const Line& line : merged(r_.lines)) change_.totals.push_back({line.product, 0, -line.quantity, sold ? line.quantity : 0});
  }

  void answer() {
    bool good = r_.state == State::reserved || r_.state == State::sold;
    Event e = event_of(r_.order, good ? Topic::inventory_reserved : Topic::inventory_failed, r_.answered_at, r_.traceparent);
    e.lines = r_.lines;
    e.itemised = r_.itemised;
    if (good) {
      e.amount = r_.amount;
      e.currency = r_.currency;
    } else if (r_.detail != "out_of_stock") {
      e.reason = r_.detail;
    }
    change_.publish.push_back(std::move(e));
    r_.answered = true;
  }

  void placed(const Event& e) {
    if (!r_.known) {
      r_.known = true;
      r_.created_at = now_;
      r_.traceparent = e.traceparent;
      r_.lines = e.lines;
      r_.itemised = e.itemised;
      become(State::reserving);
      open_act(r_, settings_, now_);
      return act();
    }
    if (r_.lines.empty()) {  // a tombstone: the release came first
      r_.lines = e.lines;
      r_.itemised = e.itemised;
      r_.answered_at = now_;
      changed();
    }
    if (r_.state != State::reserving) answer();  // with what is stored, whatever lines this record names
  }

  void reserved(const Outcome& outcome) {
    std::int64_t amount = 0;
    bool fits = true;
    for (const PricedLine& priced : outcome.priced) {
      auto price = times(priced.price_minor, priced.line.quantity);
      auto sum = price ? plus(amount, *price) : std::nullopt;
      fits = fits && sum.has_value();
      amount = sum.value_or(amount);
    }
    r_.answered_at = now_;
    close_act(r_);
    if (!fits) {  // no integer can name this amount: refused, and what Redis holds goes back
      r_.detail = "amount_too_large";
      become(State::released);
      answer();
      return tell();
    }
    r_.amount = amount;
    r_.currency = outcome.currency;
    r_.held = true;
    for (const Line& line : merged(r_.lines)) change_.totals.push_back({line.product, 0, line.quantity, 0});
    r_.status_due = now_ + settings_.payment_ttl + limits::status_grace.count();
    become(State::reserved);
    answer();
    if (r_.shipped) shipped();
  }

  void failed(const std::string& detail) {
    r_.detail = detail.empty() ? "out_of_stock" : detail;
    r_.answered_at = now_;
    close_act(r_);
    become(State::failed);
    answer();
    Act forget;
    forget.key = r_.order.value;
    forget.order = r_.order;
    forget.step = Step::forget;
    change_.acts.push_back(std::move(forget));
  }

  void shipped() {
    if (!r_.known) return;
    if (r_.state == State::reserving && !r_.shipped) {
      // The answer is recorded by another shard, which read the order where a foreign client put it, and this row is an old
      // one. It must not be ignored: what changes nothing is not compared with the store, and the sale would be lost.
      r_.shipped = true;
      changed();
    }
    if (r_.state != State::reserved) return;
    unhold(true);
    r_.status_due = 0;
    become(State::sold);
    tell();
  }

  void give_back(bool asked) {
    if (!r_.known) {  // a tombstone: a reservation that comes later finds it
      r_.known = true;
      r_.created_at = now_;
      become(State::released);
      tell();
    } else if (r_.state == State::reserving || r_.state == State::reserved) {
      unhold(false);
      r_.status_due = 0;
      r_.detail = "released";
      r_.answered_at = now_;
      become(State::released);
      tell();
    }
    if (asked && r_.state != State::sold)
      change_.publish.push_back(event_of(r_.order, Topic::inventory_released, r_.updated_at, r_.traceparent));
  }

  Reservation& r_;
  const Settings& settings_;
  Millis now_;
  Change& change_;
};

}  // namespace

std::string_view to_string(State state) { return state_names[static_cast<std::size_t>(state)]; }
State state_named(std::string_view name) {
  for (std::size_t i = 0; i < state_names.size(); ++i)
    if (state_names[i] == name) return static_cast<State>(i);
  check(false, "a stored reservation's state is one of the table's");
  return State::reserving;
}

void digest(Reservation& r, const Input& input, const Settings& settings, Millis now, Change& change) {
  Digest step(r, settings, now, change);
  if (const auto* record = std::get_if<std::shared_ptr<const Record>>(&input))
    step.on(**record);
  else if (const auto* outcome = std::get_if<Outcome>(&input))
    step.on(*outcome);
  else
    step.on_time(input);
  change.open = r.known && (r.state == State::reserving || r.state == State::reserved || !r.told);
  change.due = change.open ? sooner(r.act_due, r.state == State::reserved ? r.status_due : 0) : 0;
}

}  // namespace cartwright::inventory
