#pragma once
// What the ledger, Redis, the order store and the topics say of the same stock, compared. Pure: values go in, differences
// come out; who reads them, and how it is made sure that they are of one moment, is app/node/audit.hpp's business.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/event.hpp"
#include "actors/inventory/rules.hpp"

namespace cartwright::inventory {

/// counters: Redis' numbers of a product are not what the ledger makes of them. ledger: the ledger's totals are not what its
/// own rows add up to. reservation: what Redis holds for an order is not what the ledger says. order: the order store says
/// otherwise than the ledger. topics: Kafka says otherwise than the order store.
enum class DifferenceKind : std::uint8_t { counters, ledger, reservation, order, topics };
inline constexpr std::array<std::string_view, 5> difference_kinds{"counters", "ledger", "reservation", "order", "topics"};
[[nodiscard]] constexpr std::string_view to_string(DifferenceKind kind) {
  return difference_kinds[static_cast<std::size_t>(kind)];
}

/// How a difference ends. rebuild: Redis is written anew from the ledger. itself: something is asked again. person: nobody but
/// a person can say what is true.
enum class Mend : std::uint8_t { rebuild, itself, person };
inline constexpr std::array<std::string_view, 3> mends{"rebuild", "itself", "person"};
[[nodiscard]] constexpr std::string_view to_string(Mend mend) { return mends[static_cast<std::size_t>(mend)]; }

/// What one side says.
struct Said {
  std::string who, what;
  friend bool operator==(const Said&, const Said&) = default;
};

struct Difference {
  DifferenceKind kind = DifferenceKind::counters;
  std::string product, order;  // of which it is; the other is empty
  std::vector<Said> says;
  Mend mend = Mend::person;
  std::string how;             // what to do, or what will happen
  Millis since = 0;            // 0: not known
  Millis again = 0;            // itself: when it is asked again; 0: not known
};
/// Whether two readings say the same: moments do not count.
[[nodiscard]] bool same(const Difference& a, const Difference& b);

// ---- a product ------------------------------------------------------------------------------------------------------

/// Counts as Redis has them, and the price that it reserves at.
struct StockNumbers {
  std::int64_t available = 0, reserved = 0, sold = 0, stocked = 0, price_minor = 0;
  std::string currency;
  friend bool operator==(const StockNumbers&, const StockNumbers&) = default;
};

/// What Redis says of an order: the value of its key.
enum class Held : std::uint8_t { none, reserved, failed, sold, released };
struct HeldStock {
  Held held = Held::none;
  std::vector<Line> lines;     // reserved
  friend bool operator==(const HeldStock&, const HeldStock&) = default;
};

/// A reservation that one side knows more of than the other: Redis may have answered, or may not have been told yet.
struct Unsettled {
  Reservation ledger;
  HeldStock redis;
};

/// A change by hand likewise.
struct UnsettledHand {
  std::int64_t delta = 0;
  bool counted = false;        // in the ledger's totals
  bool applied = false;        // in Redis' counts
};

/// Everything that is known of a product, of one moment.
struct ProductBooks {
  Product ledger;
  std::int64_t held = 0;       // what the ledger's open reservations hold together
  std::int64_t by_hand = 0;    // what its changes by hand have put in together
  std::optional<std::int64_t> sold_by_rows;  // what its sold reservations have together, where somebody has added them up
  std::vector<Unsettled> unsettled;
  std::vector<UnsettledHand> hands;
  std::optional<StockNumbers> redis;         // nothing: Redis has no such product
};

/// What Redis should say, given what it has and has not been told. Exact at any moment, whatever is under way.
[[nodiscard]] StockNumbers expected(const ProductBooks& books);
[[nodiscard]] std::vector<Difference> compare(const ProductBooks& books);
/// A product that Redis has and the ledger has not.
[[nodiscard]] Difference unknown_product(const std::string& product);

// ---- an order -------------------------------------------------------------------------------------------------------

/// The ledger's row of an order (none: no row) against Redis' key of it.
[[nodiscard]] std::optional<Difference> compare(const std::string& order, const Reservation* ledger, const HeldStock& redis);

/// An order as its own store has it.
struct OrderSays {
  std::string status;
  bool open = false;           // something is still asked for
  Millis updated_at = 0, again = 0;
};

/// Younger contradictions of two stores are taken for messages under way.
inline constexpr Millis under_way = 10'000;

/// The order store's row of an order (none: no row) against the ledger's.
[[nodiscard]] std::optional<Difference> compare(const std::string& id, const OrderSays* order, const Reservation* ledger,
                                                Millis now);

// ---- the topics -----------------------------------------------------------------------------------------------------

/// What the topics say of an order's stock, as far as they reach.
struct TopicsSay {
  bool placed = false, reserved = false, failed = false, shipped = false, given_back = false;
  std::string last;            // where the last word lies: topic[partition]@offset
  Millis last_at = 0;
};
void hear(TopicsSay& said, Topic topic, const std::string& where, Millis at);

/// The topics against the order store; `order` none: it has no such order.
[[nodiscard]] std::optional<Difference> compare(const std::string& id, const TopicsSay& topics, const std::string* status,
                                                Millis now);

}  // namespace cartwright::inventory
