#pragma once
// A port of a role behind a lane: acts become exchanges, what is heard becomes outcomes. What differs between a gateway
// and a carrier is two functions.

#include <caf/fwd.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "actors/handles.hpp"
#include "bridges/curl/client.hpp"

namespace cartwright::curl {

/// How one kind of server is spoken to. Both functions are pure and may be called on any thread.
struct Dialect {
  /// The exchange that does an act; or its outcome, where nothing has to be asked; or nothing: not an act of this port.
  std::function<std::variant<std::monostate, Request, Outcome>(const Act&)> ask;
  /// What was answered; nothing: unknown, the act will be asked again (rule 5).
  std::function<std::optional<Outcome>(const Act&, const Response&)> hear;
};

/// The outcome of an act, still without its answer.
[[nodiscard]] Outcome outcome_of(const Act& act, Answer answer);

/// Spawns the port. An act that is repeated while its exchange is under way is not asked twice at once; its outcome goes
/// to whoever asked last. What the lane turns away is not answered, and so asked again.
[[nodiscard]] PortActor spawn_port(caf::actor_system& system, std::shared_ptr<Lane> lane, Dialect dialect);

}  // namespace cartwright::curl
