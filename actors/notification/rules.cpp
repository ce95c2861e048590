#include "actors/notification/rules.hpp"

#include <cstdio>

#include "actors/acting.hpp"
#include "actors/check.hpp"

namespace cartwright::notification {
namespace {

/// The occasion an event tells; "" for none.
std::string occasion_of(const Event& e) {
  switch (e.topic) {
    case Topic::notification_send: {
      if (!e.occasion.empty()) return e.occasion;
      char hash[20];
      std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(fingerprint(e.message)));
      return "notification.send:" + std::string(hash);
    }
    case Topic::order_cancelled:  // inventory.failed has told these already
      if (is_stock_reason(e.reason)) return {};
      break;
    case Topic::payment_refunded:  // nothing had been taken: nothing to tell
      if (e.amount.value_or(0) == 0) return {};
      break;
    default: break;
  }
  return std::string(to_string(e.topic));
}

/// The text of an occasion: the same whether the topic itself or its notification.send comes first.
std::string text_of(const Event& e) {
  switch (e.topic) {
    case Topic::notification_send: return e.message;
    case Topic::order_placed: return "Order received.";
    case Topic::inventory_reserved: return "Items reserved.";
    case Topic::inventory_failed: return "Order cancelled due to insufficient stock.";
    case Topic::payment_success: return "Payment received.";
    case Topic::payment_failed: return "Payment failed.";
    case Topic::order_shipped: return "Order handed to shipping.";
    case Topic::order_tracking_updated: return "Order shipped, tracking id " + e.tracking.value + ".";
    case Topic::order_cancelled: return "Order cancelled (" + e.reason + ").";
    case Topic::order_delivered: return "Order delivered.";
    case Topic::payment_refunded: return "Payment refunded.";
    case Topic::payment_refund_failed: return "Refund failed; we are looking into it.";
    default: return std::string(to_string(e.topic));
  }
}

void send(const Notice& n, Change& change) {
  Act act;
  act.key = n.order.value + "/" + n.occasion;
  act.order = n.order;
  act.step = Step::notify;
  act.channel = n.channel;
  act.occasion = n.occasion;
  act.text = n.text;
  change.acts.push_back(std::move(act));
}

}  // namespace

std::string_view to_string(State state) { return state == State::sending ? "sending" : "sent"; }
State state_named(std::string_view name) {
  check(name == "sending" || name == "sent", "a stored notice's state is one of the table's");
  return name == "sending" ? State::sending : State::sent;
}

std::string key_of(const Event& event) {
  std::string occasion = occasion_of(event);
  return occasion.empty() ? occasion : event.order.value + "/" + occasion;
}

void digest(Notice& n, const Input& input, const Settings& settings, Millis now, Change& change) {
  if (const auto* record = std::get_if<std::shared_ptr<const Record>>(&input)) {
    if (!n.known) {
      const Event& e = (*record)->event;
      n.known = true;
      n.order = e.order;
      n.channel = settings.channel;
      n.occasion = occasion_of(e);
      n.text = text_of(e);
      n.created_at = n.updated_at = now;
      change.changed = true;
      if (settings.notify_by_port) {
        open_act(n, settings, now);
        send(n, change);
      } else {
        n.state = State::sent;
      }
    }
  } else if (const auto* outcome = std::get_if<Outcome>(&input)) {
    if (n.known && n.state == State::sending && outcome->answer != Answer::unknown) {
      n.state = State::sent;
      n.updated_at = now;
      close_act(n);
      change.changed = true;
    }
  } else if (n.known && act_again(n, input, settings, now)) {
    send(n, change);
  }
  change.open = n.known && n.state == State::sending;
  change.due = change.open ? n.act_due : 0;
}

}  // namespace cartwright::notification
