#pragma once
// The order's life as a value and a total table: what every event does in every state. Pure: no clock, no I/O, no CAF.
//
// Reading order: State and Order, table(), then decide(). contract.md section 2 names the states; design.md rules 5, 6
// and 12 say why the less obvious pairs answer as they do.

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "actors/event.hpp"
#include "actors/messages.hpp"
#include "actors/settings.hpp"

namespace cartwright::order {

enum class State : std::uint8_t {
  unknown, pending, inventory_reserved, paid, shipped, delivered, cancelled, payment_failed, refunded
};
inline constexpr std::size_t state_count = 9;
[[nodiscard]] std::string_view to_string(State state);
[[nodiscard]] State state_named(std::string_view name);

/// What an order waits for. A wait is asked again until it is answered (rule 12).
enum class Wait : std::uint8_t { inventory, payment, shipping, stock_release, refund };
inline constexpr std::size_t wait_count = 5;

/// One open question: when it is asked again, by what delay, and when it was first asked (its ce_time).
struct Question {
  bool open = false;
  Millis next = 0;      // 0: not asked again by time (a foreign role; rule 12)
  Millis delay = 0;
  Millis asked = 0;
  friend bool operator==(const Question&, const Question&) = default;
};

/// An event that came before its question, or before its order (rule 6).
struct Kept {
  std::shared_ptr<const Record> record;
  Millis until = 0;     // counts only while the order is unknown
};

/// An order as the order role knows it.
struct Order {
  OrderId id;
  State state = State::unknown;
  std::string reason;                  // of cancelled
  UserId user;
  std::vector<Line> lines;
  bool itemised = false;
  std::string payment_token, extras, traceparent;
  std::optional<std::int64_t> amount;  // minor units; known from the reservation on
  std::string currency;
  TxnId txn;
  TrackingId tracking;
  std::array<Question, wait_count> waits{};
  Millis expires = 0;                  // 0: does not expire
  std::vector<Kept> kept;
  bool seen = false;                   // the order's order.placed was read back from the log
  bool given_up = false;               // its early events were undone: a late order.placed is too late
  bool refund_asked = false;
  std::vector<std::string> refunds;    // txn_ids beside the first that were sent back
  std::string placed;                  // the bytes of a foreign order.placed, to be asked again unchanged
  std::string placed_ce_id;            // its ce_id, if it had one
  std::uint32_t told = 0;              // a bit per topic that the history shows
  std::int64_t version = 0;            // of the last transition
  Millis created_at = 0, updated_at = 0;

  [[nodiscard]] Question& wait(Wait what) { return waits[static_cast<std::size_t>(what)]; }
  [[nodiscard]] const Question& wait(Wait what) const { return waits[static_cast<std::size_t>(what)]; }
};

/// Nothing is to come any more, but what late or foreign programs may still send.
[[nodiscard]] bool is_final(const Order& order);

/// contract.md's `waiting_for`: "inventory", "stock release, refund", ...; "" for null.
[[nodiscard]] std::string waiting_for(const Order& order);
/// contract.md's `waiting_until`: the expiry, or when the question is asked again; 0 for null.
[[nodiscard]] Millis waiting_until(const Order& order);

/// How a pair of the table answers; its name is what `explain table` prints.
enum class Verdict : std::uint8_t { advance, ignore, keep, compensate, park };
[[nodiscard]] std::string_view to_string(Verdict verdict);

/// All that can happen to an order: its topics, then what time and people do.
enum class Happening : std::uint8_t {
  placed, reserved, out_of_stock, paid, not_paid, tracked, delivered, cancel, released, refunded, refund_failed,
  status_requested, expire, other
};
inline constexpr std::size_t happening_count = 14;
[[nodiscard]] std::string_view to_string(Happening happening);
[[nodiscard]] Happening happening_of(Topic topic);

/// One pair of the table, for people.
struct Pair { State state; Happening happening; Verdict verdict; std::string_view says; };
/// Every (state, happening) pair, in order: state_count * happening_count rows.
[[nodiscard]] std::vector<Pair> table();

/// What an input does to an order: the order after it, and what follows, in `change`.
/// Total: every pair has an answer, and none throws. `now` in milliseconds.
void digest(Order& order, const Input& input, const Settings& settings, Millis now, Change& change);

/// The first transition of an order that a door or a bare record places. `event` is a readable order.placed.
[[nodiscard]] Order place(const Event& event, const Settings& settings, Millis now);

/// The order.placed of an order, as it was and will be written.
[[nodiscard]] Event placed_event(const Order& order);

}  // namespace cartwright::order
