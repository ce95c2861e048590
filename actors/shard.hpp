#pragma once
// The one loop of all five roles, and the supervisor of the order actors:
//
//     inputs of a turn:  records | outcomes of acts | deadlines that are due | commands
//     -> decide          pure; in the order role each order's own actor decides
//     -> one transaction new rows, history, outbox, parked and dead records, next offsets
//     -> publish and act what the transaction says; outcomes come back as inputs of a later turn
//
// A shard has one turn under way. Nothing outside is touched before the turn that decided it is durable (rule 2).

#include <functional>
#include <memory>

#include "actors/handles.hpp"
#include "actors/role.hpp"
#include "actors/settings.hpp"

namespace cartwright {

/// What a shard is given. Everything that knows the time, the outside or chance comes in here.
struct ShardDeps {
  ShardId id;
  Settings settings;
  std::shared_ptr<const Role> role;
  StoreActor store;
  PortActor port;          // null in the order role, which acts on nothing
  ProducerActor producer;
  std::shared_ptr<Intake> intake;
  std::shared_ptr<const Codec> codec;
  WallClock clock;
  std::function<void(Epoch)> taken;                                // may be empty: tells the port, so that it refuses the owner before
  std::function<void(const std::string& what)> complain;           // an operator should read this; any thread
  std::function<void(const std::string& key, const Input&)> probe; // tests: may throw, as a bug in a handler would
};

/// Spawns a shard. It does nothing until it is sent Begin; it ends after Revoke, or by itself when `deps.intake` and its
/// supervisor let go of it.
ShardActor spawn_shard(caf::actor_system& system, ShardDeps deps);

}  // namespace cartwright
