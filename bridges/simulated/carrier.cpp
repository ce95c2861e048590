#include "bridges/simulated/carrier.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <cstdio>

#include "actors/harden.hpp"

namespace cartwright::simulated {

TrackingId tracking_of(const OrderId& order) {
  std::string reversed(order.value.rbegin(), order.value.rend());
  char text[40];
  std::snprintf(text, sizeof text, "CW%016llX%016llX", static_cast<unsigned long long>(fingerprint(order.value)),
                static_cast<unsigned long long>(fingerprint(reversed + "/parcel")));
  return TrackingId{text};
}

PortActor spawn_carrier(caf::actor_system& system) {
  return system.spawn([](PortActor::pointer self) -> PortActor::behavior_type {
    harden(self);
    return {[](const Acts& acts) {
      Outcomes outcomes{acts.epoch, {}};
      for (const Act& act : acts.acts) {
        if (act.step != Step::book) continue;
        Outcome outcome;
        outcome.key = act.key;
        outcome.step = act.step;
        outcome.attempt = act.attempt;
        outcome.answer = Answer::done;
        outcome.reference = tracking_of(act.order).value;
        outcomes.outcomes.push_back(std::move(outcome));
      }
      if (!outcomes.outcomes.empty()) caf::anon_send(acts.reply_to, std::move(outcomes));
    }};
  });
}

}  // namespace cartwright::simulated
