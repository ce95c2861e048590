#pragma once
// The commands, one function each: what cli.cpp read from the arguments goes in, the exit code comes out. What fails is
// a CommandError, which cli.cpp prints. Answers go to stdout, everything about them to stderr.

#include <cstdint>
#include <string>
#include <vector>

#include "actors/ids.hpp"
#include "app/cli/context.hpp"

namespace cartwright::cli {

struct OrderPlace {
  std::vector<std::string> lines;  // PRODUCT:QTY
  std::string user, payment_token, idempotency_key;
  bool wait = false;
  std::int64_t timeout_ms = 60'000;
};
int order_place(const Context& context, const OrderPlace& what);

struct OrderGet {
  std::string id;
  bool trace = false;
};
int order_get(const Context& context, const OrderGet& what);

struct OrderList {
  std::string status, user;
  std::size_t limit = 50;
};
int order_list(const Context& context, const OrderList& what);
int order_watch(const Context& context, const std::string& id);
int order_cancel(const Context& context, const std::string& id);
int order_retry(const Context& context, const std::string& id);
int order_parked(const Context& context, std::size_t limit);

struct StockSet {
  std::string product, name, currency;
  std::int64_t quantity = 0, price_minor = -1;  // -1: leave it
};
int stock_set(const Context& context, const StockSet& what);

struct StockAdjust {
  std::string product, reason, idempotency_key;
  std::int64_t delta = 0;
};
int stock_adjust(const Context& context, const StockAdjust& what);
int stock_get(const Context& context, const std::string& product);
int stock_list(const Context& context);

struct StockReconcile {
  bool mend = false;    // have Redis rebuilt where that helps
  bool topics = true;   // read the topics, too
};
/// Compares ledger, Redis, orders and topics; exit code 1 when they differ.
int stock_reconcile(const Context& context, const StockReconcile& what);

int topics_create(const Context& context);
int topics_list(const Context& context);

struct TopicsTail {
  std::vector<std::string> topics;  // as the table names them or as they are called; none: all of the table
  bool from_beginning = false, dead_letters = false;
  std::size_t limit = 0;  // 0: until interrupted
};
int topics_tail(const Context& context, const TopicsTail& what);

/// Every record of an order in every topic, by time. `since`: no record is older; 0 looks at everything.
int print_trace(const Context& context, const std::string& id, Millis since);

struct Broker {
  int port = -1;       // -1: kafka.broker's
  int partitions = 0;  // 0: kafka.partitions
  bool die_with_parent = false;
};
int broker(const Context& context, const Broker& what);

struct DlqList {
  std::string cause, topic, order;
  bool decided = false;
  std::size_t limit = 100;  // 0: all
};
int dlq_ls(const Context& context, const DlqList& what);
int dlq_show(const Context& context, const std::string& id);

/// What is replayed or discarded, and why.
struct DlqDecide {
  std::vector<std::string> ids;
  std::string cause, topic, order, reason;
  bool all = false, dry_run = false;
};
int dlq_replay(const Context& context, const DlqDecide& what);
int dlq_discard(const Context& context, const DlqDecide& what);

/// `state`: only that one; "" all.
int explain_table(const Context& context, const std::string& state);
/// The table of topics: needed fields, who writes, who reads; by their default names.
int explain_topics(const Context& context);

int doctor(const Context& context, const std::vector<std::string>& warnings);

}  // namespace cartwright::cli
