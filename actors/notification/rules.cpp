#include "actors/notification/rules.hpp"

#include <algorithm>
#include <array>
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

constexpr std::array<std::string_view, 4> delivery_names{"sending", "sent", "skipped", "failed"};

void send(const Notice& n, Change& change) {
  for (const Sending& one : n.channels) {
    if (one.delivery != Delivery::sending) continue;
    Act act;
    act.key = n.order.value + "/" + n.occasion;
    act.order = n.order;
    act.step = Step::notify;
    act.channel = one.channel;
    act.occasion = n.occasion;
    act.text = n.text;
    act.extras = n.extras;
    change.acts.push_back(std::move(act));
  }
}

/// A channel has its outcome; the notice is sent when all of them have.
void end(Notice& n, Sending& one, Delivery delivery, std::string_view detail, Millis now, Change& change) {
  one.delivery = delivery;
  one.detail = detail;
  n.updated_at = now;
  change.changed = true;
  auto sending = [](const Sending& each) { return each.delivery == Delivery::sending; };
  if (std::any_of(n.channels.begin(), n.channels.end(), sending)) return;
  n.state = State::sent;
  close_act(n);
}

void on_first(Notice& n, const Event& e, const Settings& settings, Millis now, Change& change) {
  n.known = true;
  n.order = e.order;
  n.occasion = occasion_of(e);
  n.text = text_of(e);
  n.created_at = n.updated_at = now;
  n.state = State::sent;
  for (const NoticeChannel& channel : settings.channels) {
    n.channels.push_back({channel.name, channel.by_port, channel.by_port ? Delivery::sending : Delivery::sent, {}});
    if (channel.by_port) n.state = State::sending;
  }
  change.changed = true;
  if (n.state == State::sent) return;
  n.extras = e.extras;
  open_act(n, settings, now);
  send(n, change);
}

void on_outcome(Notice& n, const Outcome& outcome, Millis now, Change& change) {
  if (!n.known || outcome.answer == Answer::unknown) return;
  for (Sending& one : n.channels) {
    if (one.channel != outcome.reference || one.delivery != Delivery::sending) continue;
    const bool skipped = outcome.detail == no_recipient;
    end(n, one, outcome.answer == Answer::done ? Delivery::sent : skipped ? Delivery::skipped : Delivery::failed,
        outcome.detail, now, change);
  }
}

void on_time(Notice& n, const Input& input, const Settings& settings, Millis now, Change& change) {
  if (!n.known || n.state != State::sending) return;
  if (now - n.created_at >= settings.notice_ttl) {  // late news is no news
    for (Sending& one : n.channels)
      if (one.delivery == Delivery::sending) end(n, one, Delivery::failed, expired, now, change);
  } else if (act_again(n, input, settings, now)) {
    send(n, change);
  }
}

}  // namespace

std::string_view to_string(State state) { return state == State::sending ? "sending" : "sent"; }
State state_named(std::string_view name) {
  check(name == "sending" || name == "sent", "a stored notice's state is one of the table's");
  return name == "sending" ? State::sending : State::sent;
}

std::string_view to_string(Delivery delivery) { return delivery_names[static_cast<std::size_t>(delivery)]; }
Delivery delivery_named(std::string_view name) {
  for (std::size_t i = 0; i < delivery_names.size(); ++i)
    if (delivery_names[i] == name) return static_cast<Delivery>(i);
  check(false, "a stored delivery is one of the table's");
  return Delivery::sending;
}

std::string key_of(const Event& event) {
  std::string occasion = occasion_of(event);
  return occasion.empty() ? occasion : event.order.value + "/" + occasion;
}

void digest(Notice& n, const Input& input, const Settings& settings, Millis now, Change& change) {
  if (const auto* record = std::get_if<std::shared_ptr<const Record>>(&input)) {
    if (!n.known) on_first(n, (*record)->event, settings, now, change);
  } else if (const auto* outcome = std::get_if<Outcome>(&input)) {
    on_outcome(n, *outcome, now, change);
  } else {
    on_time(n, input, settings, now, change);
  }
  change.open = n.known && n.state == State::sending;
  change.due = change.open ? n.act_due : 0;
}

}  // namespace cartwright::notification
