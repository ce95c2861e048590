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
  act.attempt = s.attempt;
  act.extras = s.extras;
  act.traceparent = s.traceparent;
  change.acts.push_back(std::move(act));
}

void answer(const Shipment& s, Change& change) {
  Event e = event_of(s.order, Topic::order_tracking_updated, s.answered_at, s.traceparent);
  e.tracking = s.tracking;
  e.extras = s.extras;
  change.publish.push_back(std::move(e));
}

void tell_delivered(const Shipment& s, Change& change) {
  change.publish.push_back(event_of(s.order, Topic::order_delivered, s.updated_at, s.traceparent));
}

void on_record(Shipment& s, const Event& e, const Settings& settings, Millis now, Change& change) {
  if (e.topic != Topic::order_shipped) return;
  if (s.known) {
    if (s.state != State::booking) answer(s, change);
    if (s.state == State::delivered) tell_delivered(s, change);
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
  if (!s.known || outcome.answer == Answer::unknown) return;
  if (outcome.answer == Answer::refused) {  // of the booking: a person has to look, and it is tried anew
    if (s.state != State::booking || outcome.step != Step::book || outcome.attempt != s.attempt) return;
    s.detail = outcome.detail;
    ++s.attempt;
    s.updated_at = now;
    change.changed = true;
    return;
  }
  // What is delivered has been booked, whichever is heard of first; without a tracking id it waits for the booking's.
  if (s.state == State::booking && !outcome.reference.empty()) {
    s.state = State::booked;
    s.tracking = TrackingId{outcome.reference};
    s.answered_at = s.updated_at = now;
    close_act(s);
    change.changed = true;
    answer(s, change);
  }
  if (outcome.step == Step::deliver && s.state == State::booked) {
    s.state = State::delivered;
    s.updated_at = now;
    change.changed = true;
    tell_delivered(s, change);
  }
}

}  // namespace

std::string_view to_string(State state) {
  return state == State::booking ? "booking" : state == State::booked ? "booked" : "delivered";
}
State state_named(std::string_view name) {
  for (State state : {State::booking, State::booked, State::delivered})
    if (to_string(state) == name) return state;
  check(false, "a stored shipment's state is one of the table's");
  return State::booking;
}

void digest(Shipment& s, const Input& input, const Settings& settings, Millis now, Change& change) {
  if (const auto* record = std::get_if<std::shared_ptr<const Record>>(&input))
    on_record(s, (*record)->event, settings, now, change);
  else if (const auto* outcome = std::get_if<Outcome>(&input))
    on_outcome(s, *outcome, now, change);
  else if (const auto* command = std::get_if<Command>(&input); command && command->kind == CommandKind::report) {
    // A delivery whose parcel has no number yet is not absorbed: the carrier tells it again.
    const bool early = s.known && s.state == State::booking && command->outcome && command->outcome->step == Step::deliver &&
                       command->outcome->reference.empty();
    if (command->outcome) on_outcome(s, *command->outcome, now, change);
    if (early)
      change.replies.push_back({command->id, 503, "the parcel has no tracking id yet; tell it again"});
    else
      answer_report(*command, s.known, change);
  } else if (s.known && act_again(s, input, settings, now))
    book(s, change);
  change.open = s.known && s.state == State::booking;
  change.due = change.open ? s.act_due : 0;
}

}  // namespace cartwright::shipping
