#pragma once
// What every long-lived actor of CAF 0.17 needs: a stray message or error must neither end it nor travel on.

#include <caf/error.hpp>
#include <caf/message.hpp>
#include <caf/message_view.hpp>
#include <caf/result.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/sec.hpp>

#include <exception>

namespace cartwright::sql {

/// Requests that nobody handles are answered with an error, everything else of that kind is dropped in silence. An
/// exception that escapes ends the actor with an error for its monitor; CAF's own handler would print its text.
template <class Self>
void harden(Self* self) {
  self->set_default_handler([](caf::scheduled_actor* stray, caf::message_view&) -> caf::result<caf::message> {
    if (stray->current_message_id().is_request()) return caf::sec::unexpected_message;
    return caf::message{};
  });
  self->set_error_handler([](caf::error&) {});
  self->set_exception_handler([](std::exception_ptr&) -> caf::error { return caf::sec::runtime_error; });
}

}  // namespace cartwright::sql
