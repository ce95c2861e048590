#pragma once
// The ports to the real world, each in the place of its simulated one, chosen by configuration.

#include <caf/fwd.hpp>

#include <memory>
#include <string>

#include "actors/codec.hpp"
#include "actors/handles.hpp"
#include "app/options/options.hpp"
#include "bridges/curl/client.hpp"

namespace cartwright::node {

/// Null where nothing is configured: the simulated one plays that part.
struct OutsidePorts {
  std::shared_ptr<curl::Client> client;
  PortActor gateway, carrier, notices;
};

/// What is wrong with the files that `options` names for the outside, beginning with the option's name; or "".
[[nodiscard]] std::string fault_of_files(const options::Options& options);

/// Spawns the ports of the roles that run here. `notices`: reader of the notification role's store; `clock`: wall clock.
[[nodiscard]] OutsidePorts spawn_outside(caf::actor_system& system, const options::Options& options, ReaderActor notices,
                                         std::shared_ptr<const Codec> codec, WallClock clock);

}  // namespace cartwright::node
