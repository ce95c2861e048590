#pragma once
// Crash points: kill -9 of the own process between two named steps of a turn.
//
// They are actors that stand in front of the stores, the ports and the producer of a node (app/node/wiring.hpp) and pass
// everything on. The program `cartwright` has none of this in it; `cartwright-crash`, which is built for tests/chaos, is the
// same program with a Wiring. So production cannot be told to crash, and a node in front of which nothing is put has not
// even an `if` more. (An environment variable read by the program would be a switch in everybody's hands; a CMake option
// would test another build of the very code that is to be tested.)

#include <string>

#include "app/node/wiring.hpp"

namespace cartwright::crash {

/// The points:
///
///     ROLE.after-decide    a turn is decided and not yet committed
///     ROLE.after-commit    a turn is committed; nothing of it is published, no act is done
///     ROLE.before-act      as before, when the turn has acts; what it publishes may be in the log
///     ROLE.after-act       the outside has answered (Redis, gateway, carrier); no turn knows it yet
///     after-publish        what a turn publishes is in the log; the watermark does not know it yet
///     order.after-placing  a door's orders are in the store; no client has its 202, order.placed is not written
///     inventory.rebuild-begun     the gate is shut and the ledger read; Redis is as it was
///     inventory.rebuild-filled    Redis is filled; the ledger has not verified it
///
/// The wiring waits for a plan in the file `plan_file`: `POINT PASSES`, one line, put there in one go at any time. From then
/// on it counts, and the process ends at the PASSESth time that it comes by POINT.
[[nodiscard]] node::Wiring wiring_of(const std::string& plan_file);

}  // namespace cartwright::crash
