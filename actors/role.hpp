#pragma once
// What a role brings to the loop: which rows it has, how an event finds its row, and the rules behind them.

#include <functional>
#include <memory>
#include <string>

#include "actors/codec.hpp"
#include "actors/messages.hpp"
#include "actors/settings.hpp"

namespace cartwright {

/// One row of a role: its state and the rules that change it. Used by one actor at a time.
class Entity {
 public:
  virtual ~Entity() = default;
  /// Digests one input; what follows is added to `change`, and its deadlines and `open` are set anew.
  virtual void digest(const Input& input, Millis now, Change& change) = 0;
  /// Fills in what the store keeps: everything but the row's key and version.
  virtual void describe(Row& row) const = 0;
};

/// A role, as the shard sees it.
struct Role {
  RoleId id = RoleId::order;
  /// Each row is decided by an actor of its own, with the shard as its supervisor. True for the order role.
  bool supervised = false;
  /// The entity of a key: from its stored row, or one that nobody has heard of yet.
  std::function<std::unique_ptr<Entity>(const std::string& key, const Row* stored)> load;
  /// The key of the row an event belongs to; "": none of this role's business.
  std::function<std::string(const Event&)> key_of;
  /// Events that normally are the first of their row: the shard assumes a new row without asking the store, and the
  /// insert finds out (compare-and-swap) when it was wrong.
  std::function<bool(const Event&)> begins;
  /// Rows may be inserted by others than the shard's owner: by the doors of any node (rule 3).
  bool placed_by_doors = false;
  /// Rows in this state are resumed when the shard is taken, also in a role without a port.
  std::function<bool(const std::string& state)> resumes = [](const std::string&) { return false; };
};

/// The role `id`, with its rules bound to `settings`. Immutable; its entities need it as long as they live.
[[nodiscard]] std::shared_ptr<const Role> make_role(RoleId id, const Settings& settings, std::shared_ptr<const Codec> codec);

}  // namespace cartwright
