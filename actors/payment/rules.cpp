#include "actors/payment/rules.hpp"

#include <array>

#include "actors/acting.hpp"
#include "actors/check.hpp"

namespace cartwright::payment {
namespace {

constexpr std::array<std::string_view, 7> state_names{"charging",  "charged",  "failed", "closed",
                                                      "refunding", "refunded", "parked"};

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
    if (!c_.known || outcome.attempt != c_.attempt || outcome.step != step_in_force()) return;
    if (c_.state != State::charging && c_.state != State::refunding && c_.state != State::parked) return;
    if (outcome.answer == Answer::unknown) {
      if (outcome.detail == forgotten && too_old() && c_.state != State::parked) park();
      return;
    }
    outcome.step == Step::charge ? charged(outcome) : refunded(outcome);
  }

  void on(const Command& command) {
    if (c_.known && command.outcome && command.outcome->amount && *command.outcome->amount != c_.amount)
      return change_.replies.push_back({command.id, 409, "that is not the amount that was asked for"});
    if (command.outcome) on(*command.outcome);
    answer_report(command, c_.known, change_);
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

  /// A transaction that is known is on its way back; before, it is on its way out.
  Step step_in_force() const { return c_.txn.empty() ? Step::charge : Step::refund; }

  /// The gateway may have forgotten the key: asked for again, it would take or give the money a second time (rule 4).
  bool too_old() const {
    Millis since = step_in_force() == Step::refund ? c_.refund_asked_at : c_.created_at;
    return settings_.key_ttl != 0 && now_ - since >= settings_.key_ttl;
  }

  void park() {
    close_act(c_);
    c_.detail = forgotten;
    become(State::parked);
  }

  /// Somebody asks again about what was parked: so do we.
  void unpark() {
    become(c_.txn.empty() ? State::charging : State::refunding);
    open_act(c_, settings_, now_);
    act();
  }

  void act() {
    Act act;
    act.key = c_.order.value;
    act.order = c_.order;
    act.user = c_.user;
    act.attempt = c_.attempt;
    act.step = step_in_force();
    act.query = too_old();
    act.traceparent = c_.traceparent;
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
    if (c_.state == State::parked) return unpark();
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
    if (c_.state == State::parked) {
      c_.back = true;
      return unpark();
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
    c_.refund_asked_at = now_;
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
    // Stays refunding: a person has to look. Asked again under a new key, for the old one would only be answered the same.
    if (outcome.answer == Answer::refused) {
      c_.detail = outcome.detail;
      ++c_.attempt;
      c_.refund_asked_at = now_;
      if (c_.state == State::parked) return unpark();
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
  else if (const auto* command = std::get_if<Command>(&input); command && command->kind == CommandKind::report)
    step.on(*command);
  else
    step.on_time(input);
  change.open = c.known && (c.state == State::charging || c.state == State::refunding);
  change.due = change.open ? c.act_due : 0;
}

}  // namespace cartwright::payment
