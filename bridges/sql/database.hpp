#pragma once
// One role's database over one connection: what the actors of this folder do, without the actors. Blocking; one thread.
// Operations throw what the library throws; the caller asks `fault` what it means and rolls back or disconnects.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/messages.hpp"
#include "bridges/sql/dialect.hpp"
#include "bridges/sql/statement.hpp"
#include "bridges/sql/store.hpp"

namespace cartwright::sql {

class Database {
 public:
  Database(StoreOptions options, Access access);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // ---- the connection ----

  /// Connects unless connected. After a failure it does not try again for a moment, so that a mailbox full of requests
  /// is answered quickly. False: `why` says what was tried.
  bool connected(std::string& why);
  void disconnect();
  /// Connects, or throws StoreError or what the library throws.
  void connect();
  [[nodiscard]] Fault fault(const std::exception& error) const { return dialect_->fault(error); }
  /// "store: order at FILE: doing what: fault; what to do"
  [[nodiscard]] std::string explain(const std::string& doing, const std::string& fault) const;
  [[nodiscard]] const StoreOptions& options() const { return options_; }
  [[nodiscard]] Dialect& dialect() { return *dialect_; }
  [[nodiscard]] soci::session& session() { return *session_; }

  // ---- transactions ----

  void begin();
  /// Writes what the whole transaction has collected (the totals of products), then commits.
  void commit();
  /// Never throws: where nothing can be rolled back any more, the connection is given up.
  void rollback() noexcept;
  void savepoint();
  void release_savepoint();
  /// Undoes what was written since the savepoint, and forgets it.
  void rollback_to_savepoint();
  /// Runs `questions` on one state of the database.
  void snapshot(const std::function<void()>& questions);
  void execute(const char* sql);

  // ---- shards and turns (turns.cpp) ----

  /// Throws where the caller counts partitions otherwise than the database.
  void raise_epoch(const Take& take);
  void read_shard(ShardId shard, Taken& taken);
  /// Writes a turn. A conflict after which `wrote` is true: undo what was written, then ask `conflicts`.
  Committed commit_turn(const Turn& turn, bool& wrote);
  /// The keys of a turn that are not at the version before the turn's, once its writes are undone.
  std::vector<std::string> conflicts(const Turn& turn);
  std::vector<Row> rows(const std::vector<std::string>& keys);
  std::vector<std::shared_ptr<const Record>> parked(const std::string& key);
  std::vector<Wake> placed(const FindPlaced& question);
  std::vector<OutboxRow> outbox(const ReadOutbox& question);
  /// Deletes a portion of what is older than outbox_replay, and answers older than a day; true: there may be more.
  bool clean();
  /// Looks at the next portion of the role's rows, in the order of their keys, and deletes those that have been over for longer
  /// than the retention, with their history; counts them by their last state. True: the walk goes on.
  bool retire();
  std::int64_t losses();
  void probe();

  // ---- placing (placing.cpp) ----

  std::vector<PlacedOne> place(const std::vector<std::shared_ptr<const Placement>>& placements);
  /// A stored answer that still counts: at most a day old, and a running one at most a minute.
  std::optional<StoredAnswer> answer(const std::string& key);
  /// A stored answer, however old.
  std::optional<StoredAnswer> any_answer(const std::string& key);

  // ---- stock (stock.cpp) ----

  Hand change_stock(const StockChange& change);
  Hand settle(const SettleHand& settlement);
  std::vector<Hand> open_hands(Millis before);
  StockIdentity identity();
  void close_gate();
  LedgerSnapshot ledger();
  Done open_gate(const FinishRebuild& rebuilt);

  // ---- stock, compared (books.cpp); each inside `snapshot` or by itself ----

  std::vector<Row> held(const std::string& after, int limit);
  /// The documents of all rows in a state, in portions.
  void each_held(const std::function<void(const std::string& key, const std::string& doc)>& each);
  void each_sold(const std::function<void(const std::string& key, const std::string& doc)>& each);
  std::vector<Row> unsettled(int limit);
  std::map<std::string, std::int64_t> hand_sums();
  std::vector<Hand> untold_hands();

  // ---- questions (queries.cpp) ----

  std::optional<Row> find(const std::string& key);
  std::vector<Transition> history(const OrderId& order);
  std::vector<Row> list(const ListRows& question);
  std::vector<SetAside> set_aside(const ListSetAside& question);
  std::vector<Row> under(const RowsUnder& question);
  std::vector<Product> product(const ProductId& id);
  std::vector<Product> products(const ListProducts& question);

 private:
  Statement& statement(Sql name);
  Batch& batch(Sql name);
  /// Calls `each` for every row of a statement that looks many keys up.
  void lookup(Sql name, const std::vector<std::string>& keys, const std::function<void(Statement&)>& each);
  [[nodiscard]] Row read_row(Statement& from) const;
  [[nodiscard]] bool counts(const StoredAnswer& answer) const;
  bool update_cheaply(const Row& row);
  bool write_rows(const Turn& turn);
  void write_rest(const Turn& turn);
  void add_totals(const std::vector<StockDelta>& totals);
  void write_totals();
  std::optional<Hand> hand(Sql name, const std::string& key);
  std::optional<Product> lock_product(const ProductId& id);

  StoreOptions options_;
  Access access_;
  std::unique_ptr<Dialect> dialect_;
  Texts texts_;
  std::unique_ptr<soci::session> session_;
  std::vector<std::unique_ptr<Statement>> statements_;  // by Sql; prepared when first used, for the life of the session
  std::vector<std::unique_ptr<Batch>> batches_;
  std::map<std::string, StockDelta> totals_,
      totals_at_savepoint_;  // by product: written once a transaction, in one order
  std::string last_failure_;
  std::string walked_;  // up to this key, by retire()
  std::optional<std::chrono::steady_clock::time_point> retry_at_;
};

/// A product from the columns in which the statements about products give it.
[[nodiscard]] Product product_in(Statement& from);

}  // namespace cartwright::sql
