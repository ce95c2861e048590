#pragma once
// The HTTP API: what contract.md section 3 says, as one handler for http::Server. It routes, authenticates and reads
// requests on the server's thread; actors behind it answer: the door (orders come in), the clerk (orders that are
// there), the watch (event streams) and the stock desk.

#include <caf/actor_system.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "actors/codec.hpp"
#include "actors/handles.hpp"
#include "actors/settings.hpp"
#include "app/api/bounds.hpp"
#include "app/api/callbacks.hpp"
#include "app/api/charges.hpp"
#include "app/api/stock_check.hpp"
#include "app/page/page.hpp"
#include "bridges/http/server.hpp"
#include "bridges/redis/stock.hpp"

namespace cartwright::api {

/// What the API talks to. Handles of roles that are not in `roles` stay null. Functions may be called on any thread and
/// must be quick; an empty one is left out of the answers.
struct ApiDeps {
  Settings settings;
  RoleSet roles = all_roles;
  StoreActor order_store;
  ReaderActor order_reader, inventory_reader, notification_reader;
  StoreActor inventory_store;
  redis::StockActor stock;
  ProducerActor producer;
  ChargesActor charges;  // null: no simulated gateway here
  StockAudit stock_audit;
  std::shared_ptr<const Codec> codec;
  WallClock clock;
  std::function<std::uint64_t()> random;                                        // asked by make_api only, for seeds
  std::function<ShardActor(RoleId, int partition)> owner;                       // null handle: not on this node
  std::function<std::vector<std::pair<std::string, std::string>>()> readiness;  // name -> "" for ok, or the reason
  std::function<std::vector<std::pair<std::string, std::string>>()> notes;      // beside them in /readyz?verbose; never unready
  std::function<std::string()> metrics;                                         // Prometheus' text format
  std::function<bool()> draining;
  std::function<bool()> behind;         // too many accepted orders wait already: more are refused
  std::span<const page::Asset> page;    // at / and /assets/; empty: no page here
  CallbackSecrets callback_secrets;
  std::vector<std::string> tokens;      // bearer tokens of /v1; empty: open to all
  Patience patience;
};

/// Spawns the actors and answers the server's handler. The actors end when the last copy of the handler is gone, so let
/// go of the server before the actor system ends.
[[nodiscard]] http::Handler make_api(caf::actor_system& system, ApiDeps deps);

/// How large a body may be, for http::Options::body_limit_for: 64 KiB, and 8 MiB for a batch.
[[nodiscard]] std::size_t body_limit(std::string_view method, std::string_view path);

}  // namespace cartwright::api
