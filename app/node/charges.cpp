#include "app/api/charges.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>

#include "actors/harden.hpp"
#include "app/node/charges.hpp"

namespace cartwright::node {

using namespace std::chrono_literals;

api::ChargesActor spawn_charges(caf::actor_system& system, simulated::GatewayActor gateway) {
  return system.spawn([gateway](api::ChargesActor::pointer self) -> api::ChargesActor::behavior_type {
    harden(self);
    return {[self, gateway](const api::FindCharges& find) {
      auto promise = self->make_response_promise<api::ChargesFound>();
      self->request(gateway, 5s, simulated::FindLedger{find.order})
          .then(
              [promise](const simulated::Ledger& ledger) mutable {
                api::ChargesFound found{ledger.ok, {}};
                for (const auto& line : ledger.lines)
                  found.charges.push_back({line.key, line.txn_id, line.amount_minor, line.kind, line.asked, line.answered});
                promise.deliver(std::move(found));
              },
              [promise](const caf::error&) mutable { promise.deliver(api::ChargesFound{}); });
      return promise;
    }};
  });
}

}  // namespace cartwright::node
