#include "actors/payment/rules.hpp"

#include <array>

#include "actors/acting.hpp"
#include "actors/check.hpp"

namespace cartwright::payment {
namespace {

constexpr std::array<std::string_view, 6> state_names{"charging", "charged", "failed", "closed", "refunding", "refunded"};

class Digest {
 public:
  Digest(Charge& c, const Settings& settings, Millis now, Change& change) : c_(c), settings_(settings), now_(now), change_(change) {}

  void on(const Record& record) {
    const Event& e = record.event;
    if (c_.order.empty()) c_.order = e.order;
    if (e.topic == Topic::payment_initiated) return initiated(e);
    if (e.topic == Topic::payment_refund_requested) return refund_requested(e);
  }

  void on(const Outcome& outcome) {
    if (!c_.known || outcome.answer == Answer::unknown || outcome.attempt != c_.attempt) return;
    if (outcome.step == Step::charge && c_.state == State::charging) return charged(outcome);
    if (outcome.step == Step::refund && c_.state == State::refunding) return refunded(outcome);
  }

  void on_time(const Input& input) {
    if (c_.known && act_again(c_, input, settings_, now_)) act();
  }

 private:
  void become(State state) {
    c_.state = state;
    c_.updated_at = now_;
    change_.changed = true;
  }

  void act() {
    Act act;
    act.key = c_.order.value;
    act.order = c_.order;
    act.user = c_.user;
    act.attempt = c_.attempt;
    act.step = c_.state == State::refunding ? Step::refund : Step::charge;
    act.amount = c_.amount;
    act.currency = c_.currency;
    act.token = c_.token;
    act.txn = c_.txn;
    change_.acts.push_back(std::move(act));
  }

  Event event(Topic topic) const { return event_of(c_.order, topic, c_.answered_at, c_.traceparent); }

  /// What is true now, in the words of the topic that tells it.
  void answer() {
    switch (c_.state) {
      case State::charged: {
        Event e = event(Topic::payment_success);
        e.txn = c_.txn;
        e.amount = c_.amount;
        return change_.publish.push_back(std::move(e));
      }
      case State::failed:
        if (!c_.back) return change_.publish.push_back(event(Topic::payment_failed));
        return nothing_taken();
      case State::closed: return nothing_taken();
      case State::refunded: {
        Event e = event(Topic::payment_refunded);
        e.txn = c_.txn;
        e.amount = c_.amount;
        return change_.publish.push_back(std::move(e));
      }
      default: return;
    }
  }

  void nothing_taken() {
    Event e = event(Topic::payment_refunded);
    e.ce_id += "/nothing";
    e.amount = 0;
    change_.publish.push_back(std::move(e));
  }

  void initiated(const Event& e) {
    if (c_.known) return answer();
    c_.known = true;
    c_.created_at = now_;
    c_.user = e.user;
    c_.amount = e.amount.value_or(0);
    c_.currency = e.currency;
    c_.token = e.payment_token;
    c_.traceparent = e.traceparent;
    become(State::charging);
    open_act(c_, settings_, now_);
    act();
  }

  void refund_requested(const Event& e) {
    if (!e.txn.empty() && (!c_.known || c_.txn != e.txn)) {  // that charge alone: not one of ours
      Event failed = event_of(c_.order, Topic::payment_refund_failed, e.ce_time, e.traceparent);
      failed.ce_id += "/" + e.txn.value;
      failed.txn = e.txn;
      failed.amount = 0;
      return change_.publish.push_back(std::move(failed));
    }
    if (!c_.known) {  // a refund that comes first: nothing was taken, and nothing will be
      c_.known = c_.back = true;
      c_.created_at = c_.answered_at = now_;
      become(State::closed);
      return answer();
    }
    if (c_.state == State::charging) {
      if (c_.back) return;
      c_.back = true;
      return become(State::charging);
    }
    if (c_.state == State::charged) return start_refund();
    if (c_.state == State::failed && !c_.back) {
      c_.back = true;
      c_.answered_at = now_;
      become(State::failed);
    }
    answer();
  }

  void start_refund() {
    c_.back = true;
    c_.attempt = 1;
    become(State::refunding);
    open_act(c_, settings_, now_);
    act();
  }

  void charged(const Outcome& outcome) {
    close_act(c_);
    c_.answered_at = now_;
    if (outcome.answer == Answer::refused) {
      c_.detail = outcome.detail;
      become(State::failed);
      return answer();
    }
    c_.txn = TxnId{outcome.reference};
    if (c_.back) return start_refund();
    become(State::charged);
    answer();
  }

  void refunded(const Outcome& outcome) {
    if (outcome.answer == Answer::refused) {  // stays refunding: a person has to look, and it is asked again
      c_.detail = outcome.detail;
      c_.updated_at = now_;
      change_.changed = true;
      return;
    }
    close_act(c_);
    c_.answered_at = now_;
    become(State::refunded);
    answer();
    Event notice = event(Topic::notification_send);
    notice.message = "Payment refunded.";
    notice.occasion = to_string(Topic::payment_refunded);
    notice.ce_id += "/" + notice.occasion;
    change_.publish.push_back(std::move(notice));
  }

  Charge& c_;
  const Settings& settings_;
  Millis now_;
  Change& change_;
};

}  // namespace

std::string_view to_string(State state) { return state_names[static_cast<std::size_t>(state)]; }
State state_named(std::string_view name) {
  for (std::size_t i = 0; i < state_names.size(); ++i)
    if (state_names[i] == name) return static_cast<State>(i);
  check(false, "a stored charge's state is one of the table's");
  return State::charging;
}

void digest(Charge& c, const Input& input, const Settings& settings, Millis now, Change& change) {
  Digest step(c, settings, now, change);
  if (const auto* record = std::get_if<std::shared_ptr<const Record>>(&input))
    step.on(**record);
  else if (const auto* outcome = std::get_if<Outcome>(&input))
    step.on(*outcome);
  else
    step.on_time(input);
  change.open = c.known && (c.state == State::charging || c.state == State::refunding);
  change.due = change.open ? c.act_due : 0;
}

}  // namespace cartwright::payment
