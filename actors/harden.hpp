#pragma once
// What every long-lived actor needs in CAF 0.17: without it an unexpected message or a stray error ends the actor.

#include <caf/message_view.hpp>
#include <caf/result.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/sec.hpp>

namespace cartwright {

/// Drops unexpected messages without an answer (requests still get one) and ignores stray error messages.
template <class Self>
void harden(Self* self) {
  self->set_default_handler([](caf::scheduled_actor* me, caf::message_view&) -> caf::result<caf::message> {
    if (me->current_message_id().is_request()) return caf::sec::unexpected_message;
    return caf::message{};
  });
  self->set_error_handler([](caf::error&) {});
}

}  // namespace cartwright
