#pragma once
// What every long-lived actor needs in CAF 0.17: without it an unexpected message or a stray error ends the actor.

#include <exception>
#include <string>

#include <caf/error.hpp>
#include <caf/message_view.hpp>
#include <caf/result.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/sec.hpp>

namespace cartwright {

/// Drops unexpected messages without an answer (requests still get one), ignores stray error messages, and tells whoever
/// monitors the actor which exception ended it.
template <class Self>
void harden(Self* self) {
  self->set_default_handler([](caf::scheduled_actor* me, caf::message_view&) -> caf::result<caf::message> {
    if (me->current_message_id().is_request()) return caf::sec::unexpected_message;
    return caf::message{};
  });
  self->set_error_handler([](caf::error&) {});
  // What ends an actor is its exit reason: CAF would print it and forget it.
  self->set_exception_handler([](std::exception_ptr& thrown) -> caf::error {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      return caf::make_error(caf::sec::runtime_error, std::string(e.what()));
    } catch (...) {
      return caf::make_error(caf::sec::runtime_error, std::string("an unknown exception"));
    }
  });
}

}  // namespace cartwright
