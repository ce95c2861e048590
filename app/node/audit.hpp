#pragma once
// The comparison of the stock: reads the ledger, Redis and the order role's store, and says where they contradict each other
// (actors/inventory/audit.hpp has the rules). It runs by itself, and as a whole when somebody asks. It changes nothing,
// unless it is told to have Redis rebuilt.
//
// The three are read one after the other while everything goes on. A product is compared when the ledger said the same
// before and after Redis was read; what differs is read again, and counts when it differs in the same way. So nothing that
// is merely under way is ever told as a difference.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "actors/codec.hpp"
#include "app/api/stock_check.hpp"
#include "bridges/redis/books.hpp"
#include "bridges/sql/books.hpp"

namespace cartwright::node {

struct AuditDeps {
  sql::StoreOptions ledger;
  std::optional<sql::StoreOptions> orders;    // nothing: the order role runs elsewhere, and is not compared
  std::string redis_url, group_prefix;
  std::shared_ptr<const Codec> codec;
  WallClock clock;
  Millis retention = 0;                       // what is older than half of it may be forgotten by one store before the other
  std::chrono::milliseconds interval{30'000}; // from the end of one to the beginning of the next; longer where one takes long
};

/// Owns the thread that compares. Any thread may ask. A node that ends does not wait for it: it only reads.
class Audit {
 public:
  explicit Audit(AuditDeps deps);
  /// Waits for the page that is being read, at most.
  ~Audit();
  Audit(const Audit&) = delete;
  Audit& operator=(const Audit&) = delete;

  [[nodiscard]] api::StockCheck last() const;
  /// A whole comparison, soon.
  void check();
  /// Has Redis rebuilt from the ledger by taking its generation away, which shuts every node's gate (rule 8); then compares.
  void rebuild();

 private:
  void loop();

  AuditDeps deps_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false, whole_asked_ = false, rebuild_asked_ = false, running_ = false;
  api::StockReport last_;
  std::thread thread_;
};

}  // namespace cartwright::node
