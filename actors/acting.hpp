#pragma once
// What the four roles with a port have in common: an open act is done again by time, with a delay that doubles.

#include <algorithm>

#include "actors/messages.hpp"
#include "actors/settings.hpp"

namespace cartwright {

/// Opens the act of a row: it will be done again at act_due unless its outcome comes first.
template <class State>
void open_act(State& row, const Settings& settings, Millis now) {
  row.act_delay = settings.act_first;
  row.act_due = now + row.act_delay;
}

/// The act of a row has its answer.
template <class State>
void close_act(State& row) {
  row.act_due = row.act_delay = 0;
}

/// Whether the row's act is to be done (again) because of `input`: its time has come, or the shard was taken. Moves the
/// next repetition on; that is soft state and by itself no reason to write the row.
template <class State>
[[nodiscard]] bool act_again(State& row, const Input& input, const Settings& settings, Millis now) {
  if (row.act_due == 0) return false;
  const auto* due = std::get_if<Due>(&input);
  if (!std::holds_alternative<Resume>(input) && !(due && row.act_due <= now)) return false;
  row.act_delay = std::clamp<Millis>(settings.act_first << (due ? std::clamp(due->again, 0, 19) + 1 : 1), settings.act_first, settings.act_last);
  row.act_due = now + row.act_delay;
  return true;
}

/// What a caller of Command::report is told: known says whether there is such a row. What it says is absorbed like any
/// outcome, so a repeated or late report is answered like the first.
inline void answer_report(const Command& command, bool known, Change& change) {
  if (known)
    change.replies.push_back({command.id, 200, ""});
  else
    change.replies.push_back({command.id, 404, "nothing was asked for about this order"});
}

/// An event of a role other than order about `order`, with the ce_id that it has whenever it is written.
[[nodiscard]] inline Event event_of(const OrderId& order, Topic topic, Millis at, const std::string& traceparent) {
  Event e;
  e.topic = topic;
  e.order = order;
  e.ce_id = order.value + "/" + std::string(to_string(topic));
  e.ce_time = at;
  e.traceparent = traceparent;
  return e;
}

/// The earlier of two moments, where 0 means none.
[[nodiscard]] inline Millis sooner(Millis a, Millis b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); }

}  // namespace cartwright
