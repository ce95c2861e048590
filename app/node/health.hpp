#pragma once
// What /readyz and /metrics tell: asked for once a second by an actor, so that a question over HTTP never waits.

#include <caf/typed_actor.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "actors/handles.hpp"
#include "app/node/role_host.hpp"
#include "bridges/redis/stock.hpp"

namespace cartwright::node {

/// The last answers. Any thread.
class Board {
 public:
  /// `why` empty: it is well.
  void set(const std::string& check, std::string why);
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> checks() const;
  void set(std::vector<ShardView> shards);
  [[nodiscard]] std::vector<ShardView> shards() const;
  /// How many accepted orders wait to be read by the role of this node that is furthest behind.
  void set_backlog(std::int64_t orders) { backlog_ = orders; }
  [[nodiscard]] std::int64_t backlog() const { return backlog_; }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> checks_;
  std::vector<ShardView> shards_;
  std::atomic<std::int64_t> backlog_{0};
};

struct Look {};
using MonitorActor = caf::typed_actor<
    // Asks everybody; sent to itself once a second.
    caf::reacts_to<Look>>;

struct MonitorDeps {
  std::map<std::string, StoreActor> stores;  // by the name of the check
  redis::StockActor stock;                   // null: none here
  std::shared_ptr<Directory> directory;
  std::shared_ptr<Board> board;
  std::function<std::int64_t()> backlog;     // how many orders wait in a topic to be read
  std::vector<std::pair<std::string, std::function<std::string()>>> others;  // quick checks: "" or what is wrong
};

[[nodiscard]] MonitorActor spawn_monitor(caf::actor_system& system, MonitorDeps deps);

/// Whether one of `brokers` (host:port,...) takes a connection within a second. Blocks.
[[nodiscard]] bool somebody_listens(const std::string& brokers);

}  // namespace cartwright::node

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::node::Look)
