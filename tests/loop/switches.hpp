#pragma once
// What a run of the simulation may have switched on beside its faults: a bug, seeded on purpose, that the invariants have
// to catch; or a rule taken away, to learn whether it matters. None of it is in the program: stand-ins and decorated
// entities carry it.

#include <array>
#include <optional>
#include <string_view>

namespace cartwright::loop {

enum class Switch : std::uint8_t {
  none,
  // bugs
  offset_stored_too_early, random_charge_key, no_tombstone, fence_by_exists, compensate_on_unknown, act_before_durable,
  release_before_recorded, asked_again_on_repeated_answer, publish_before_commit, restock_not_absorbed,
  stale_generation_accepted, attempt_grows_on_unknown, passivated_order_forgets_deadline, assignor_roundrobin,
  // rules taken away
  no_outbox_replay, loss_of_one_shard_alone, no_asking_after_loss, no_fingerprint, lost_commit_taken_for_done,
  accepted_before_durable, released_answers_reserved, refund_not_absorbed, doors_orders_not_looked_for,
  acts_of_before_a_rebuild
};

struct Switched {
  Switch what;
  std::string_view name;
  bool bug;  // a seeded bug: the simulation has to catch it
};

inline constexpr std::array switches{
    Switched{Switch::offset_stored_too_early, "offset-stored-too-early", true},
    Switched{Switch::random_charge_key, "random-charge-key", true},
    Switched{Switch::no_tombstone, "no-tombstone", true},
    Switched{Switch::fence_by_exists, "fence-by-exists", true},
    Switched{Switch::compensate_on_unknown, "compensate-on-unknown", true},
    Switched{Switch::act_before_durable, "act-before-durable", true},
    Switched{Switch::release_before_recorded, "release-before-recorded", true},
    Switched{Switch::asked_again_on_repeated_answer, "asked-again-on-repeated-answer", true},
    Switched{Switch::publish_before_commit, "publish-before-commit", true},
    Switched{Switch::restock_not_absorbed, "restock-not-absorbed", true},
    Switched{Switch::stale_generation_accepted, "stale-generation-accepted", true},
    Switched{Switch::attempt_grows_on_unknown, "attempt-grows-on-unknown", true},
    Switched{Switch::passivated_order_forgets_deadline, "passivated-order-forgets-deadline", true},
    Switched{Switch::assignor_roundrobin, "assignor-roundrobin", true},
    Switched{Switch::no_outbox_replay, "no-outbox-replay", false},
    Switched{Switch::loss_of_one_shard_alone, "loss-of-one-shard-alone", false},
    Switched{Switch::no_asking_after_loss, "no-asking-after-loss", false},
    Switched{Switch::no_fingerprint, "no-fingerprint", false},
    Switched{Switch::lost_commit_taken_for_done, "lost-commit-taken-for-done", false},
    Switched{Switch::accepted_before_durable, "accepted-before-durable", false},
    Switched{Switch::released_answers_reserved, "released-answers-reserved", false},
    Switched{Switch::refund_not_absorbed, "refund-not-absorbed", false},
    Switched{Switch::doors_orders_not_looked_for, "doors-orders-not-looked-for", false},
    Switched{Switch::acts_of_before_a_rebuild, "acts-of-before-a-rebuild", false},
};

[[nodiscard]] constexpr std::optional<Switch> switch_named(std::string_view name) {
  for (const Switched& one : switches)
    if (one.name == name) return one.what;
  return {};
}

}  // namespace cartwright::loop
