#pragma once
// The stock desk: changes of stock by hand, and what stock there is. A change is opened in the ledger, told to Redis
// and settled in the ledger, in this order and whatever is repeated (rule 7); what a lost node or a closed gate leaves
// open, a sweep finishes.

#include <caf/actor_system.hpp>
#include <caf/typed_actor.hpp>

#include <memory>
#include <string>

#include "actors/handles.hpp"
#include "app/api/bounds.hpp"
#include "bridges/http/server.hpp"
#include "bridges/redis/stock.hpp"

namespace cartwright::api {

/// A change by hand, read and bounded, with its id.
struct ChangeByHand {
  StockChange change;
  http::Responder responder;
};

/// One product, or a page of products behind `after`.
struct ShowStock {
  ProductId product;  // empty: the page
  std::string after;
  int page_size = 0;
  http::Responder responder;
};

/// Answers everything under /v1/stock.
using DeskActor = caf::typed_actor<
    // PUT and adjustments.
    caf::reacts_to<ChangeByHand>,
    // GET.
    caf::reacts_to<ShowStock>>;

/// What the desk needs.
struct DeskDeps {
  StoreActor store;  // inventory's
  ReaderActor reader;
  redis::StockActor stock;
  WallClock clock;
  Patience patience;
};

/// Spawns the desk. It ends by an exit message only.
[[nodiscard]] DeskActor spawn_desk(caf::actor_system& system, DeskDeps deps);

}  // namespace cartwright::api

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::ChangeByHand)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::ShowStock)
