#pragma once
// What an operator may set about the decisions themselves; durations in milliseconds.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "actors/topics.hpp"

namespace cartwright {

/// A way to reach customers. by_port: notices go out through the role's port; else the row in the store is the notice (the
/// simulated notifier).
struct NoticeChannel {
  std::string name;
  bool by_port = false;
  friend bool operator==(const NoticeChannel&, const NoticeChannel&) = default;
};

/// The settings that rules and shards look at. Defaults are contract.md's.
struct Settings {
  std::int64_t inventory_ttl = 15 * 60'000;   // order.inventory-ttl, after placing
  std::int64_t payment_ttl = 15 * 60'000;     // order.payment-ttl, after the reservation
  std::int64_t orphan_ttl = 10 * 60'000;      // order.orphan-ttl, of events without their order
  std::int64_t ask_first = 30'000;            // order.ask-again; doubles up to ask_last
  std::int64_t ask_last = 300'000;
  std::int64_t act_first = 1'000;             // port.ask-again; doubles up to act_last
  std::int64_t act_last = 60'000;
  std::int64_t key_ttl = 0;                   // payment.key-ttl: how long the gateway remembers keys (rule 4); 0: for ever
  std::int64_t outbox_replay = 24 * 3'600'000;  // outbox.replay: how far a lost log is published again
  std::int64_t retention = 90 * 24 * 3'600'000LL;  // retention.orders: how long what is over is remembered
  RoleSet foreign = 0;                        // foreign-roles: played by somebody else's program
  std::vector<NoticeChannel> channels{{"email", false}};  // notification.channel
  std::int64_t notice_ttl = 24 * 3'600'000;   // notification.ttl: then a notice that cannot be sent is given up
  int partitions = 4;                         // of every order-keyed topic
};

}  // namespace cartwright
