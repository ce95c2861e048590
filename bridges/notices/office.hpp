#pragma once
// The port of the notification role where notices leave the program: finds the customer's address, fills in the
// template, and hands the message to its channel.

#include <caf/fwd.hpp>

#include <map>
#include <memory>
#include <string>

#include "actors/codec.hpp"
#include "actors/handles.hpp"
#include "bridges/notices/message.hpp"
#include "bridges/notices/templates.hpp"

namespace cartwright::notices {

struct OfficeDeps {
  ReaderActor reader;                      // of the notification role's store
  std::shared_ptr<const Codec> codec;
  Templates templates;
  std::map<std::string, Channel> channels; // by name
};

/// Spawns the office. Each act is answered once its message has been handed over (done), refused for good, or has no
/// address to go to (refused, notification::no_recipient); everything else is left unanswered and so asked again. The
/// contact is the event's own, else that of the order's order.placed, which may be read later than others.
[[nodiscard]] PortActor spawn_office(caf::actor_system& system, OfficeDeps deps);

}  // namespace cartwright::notices
