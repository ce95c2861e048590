#include "actors/shipping/rules.hpp"

#include "actors/acting.hpp"
#include "actors/check.hpp"

namespace cartwright::shipping {
namespace {

void book(const Shipment& s, Change& change) {
  Act act;
  act.key = s.order.value;
  act.order = s.order;
  act.user = s.user;
  act.step = Step::book;
  act.extras = s.extras;
  change.acts.push_back(std::move(act));
}

void answer(const Shipment& s, Change& change) {
  Event e = event_of(s.order, Topic::order_tracking_updated, s.answered_at, s.traceparent);
  e.tracking = s.tracking;
  e.extras = s.extras;
  change.publish.push_back(std::move(e));
}

void on_record(Shipment& s, const Event& e, const Settings& settings, Millis now, Change& change) {
  if (e.topic != Topic::order_shipped) return;
  if (s.known) {
    if (s.state == State::booked) answer(s, change);
    return;
  }
  s.known = true;
  s.order = e.order;
  s.user = e.user;
  s.extras = e.extras;
  s.traceparent = e.traceparent;
  s.created_at = s.updated_at = now;
  open_act(s, settings, now);
  change.changed = true;
  book(s, change);
}

void on_outcome(Shipment& s, const Outcome& outcome, Millis now, Change& change) {
  if (!s.known || s.state != State::booking || outcome.answer != Answer::done) return;
  s.state = State::booked;
  s.tracking = TrackingId{outcome.reference};
  s.answered_at = s.updated_at = now;
  close_act(s);
  change.changed = true;
  answer(s, change);
}

}  // namespace

std::string_view to_string(State state) { return state == State::booking ? "booking" : "booked"; }
State state_named(std::string_view name) {
  check(name == "booking" || name == "booked", "a stored shipment's state is one of the table's");
  return name == "booking" ? State::booking : State::booked;
}

void digest(Shipment& s, const Input& input, const Settings& settings, Millis now, Change& change) {
  if (const auto* record = std::get_if<std::shared_ptr<const Record>>(&input))
    on_record(s, (*record)->event, settings, now, change);
  else if (const auto* outcome = std::get_if<Outcome>(&input))
    on_outcome(s, *outcome, now, change);
  else if (s.known && act_again(s, input, settings, now))
    book(s, change);
  change.open = s.known && s.state == State::booking;
  change.due = change.open ? s.act_due : 0;
}

}  // namespace cartwright::shipping
