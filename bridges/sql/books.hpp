#pragma once
// The ledger of stock as the comparison with Redis reads it (app/node/audit.hpp): over a connection of its own, so that
// neither the writer nor the reader waits for it. Blocking; one thread. Everything throws what the library throws when the
// store is away; the next call connects again.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/inventory/rules.hpp"
#include "actors/messages.hpp"
#include "bridges/sql/store.hpp"

namespace cartwright::sql {

class Database;

/// A portion of the ledger, of one moment.
struct LedgerPage {
  StockIdentity verified;                       // the Redis instance in force; run_id "": the gate is shut
  std::vector<Product> products;                // in the order of ids, behind `after`
  std::map<std::string, std::int64_t> held;     // what open reservations hold, of these products
  std::map<std::string, std::int64_t> by_hand;  // what changes by hand have put in, likewise
  std::map<std::string, std::int64_t> sold;     // what sold reservations have, when it was asked for
  std::vector<Row> unsettled;                   // open reservations that Redis has not been told of, or not answered
  bool more_unsettled = false;                  // there are more than `unsettled_max`: nothing can be said just now
  std::vector<Hand> hands;                      // changes by hand that are not settled
};

/// One role's rows, for comparing.
class Books {
 public:
  static constexpr int unsettled_max = 2'000;

  /// `read` makes a reservation of a row; only the inventory role's books need it.
  Books(StoreOptions options, std::function<inventory::Reservation(const Row&)> read);
  ~Books();

  /// The verified pair alone.
  [[nodiscard]] StockIdentity verified();
  /// `with_sold` adds up every sold reservation: it reads the whole table.
  [[nodiscard]] LedgerPage page(const std::string& after, int limit, bool with_sold = false);
  [[nodiscard]] bool knows(const std::string& product);
  /// Reservations in state `reserved`, in the order of keys.
  [[nodiscard]] std::vector<Row> held(const std::string& after, int limit);
  /// Rows by key; keys without a row are left out.
  [[nodiscard]] std::vector<Row> rows(const std::vector<std::string>& keys);
  /// A page of rows by state, newest key first.
  [[nodiscard]] std::vector<Row> in_state(const std::string& state, const std::string& before, int limit);

 private:
  template <class Question>
  auto ask(const Question& question);

  std::unique_ptr<Database> database_;
  std::function<inventory::Reservation(const Row&)> read_;
};

}  // namespace cartwright::sql
