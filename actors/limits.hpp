#pragma once
// Every bound of the system in one place, with its unit and its reason. contract.md fixes those marked (contract).

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace cartwright::limits {

using namespace std::chrono_literals;

inline constexpr std::size_t id_bytes_max = 128;                      // order, product, user ids (contract)
inline constexpr std::size_t text_bytes_max = 1024;                   // any text of an event (contract)
inline constexpr std::size_t items_max = 100;                         // lines of an order (contract)
inline constexpr std::int64_t quantity_max = 1'000'000;               // of a line (contract)
inline constexpr std::int64_t stock_max = 1'000'000'000;              // on hand, of a product (contract)
inline constexpr std::int64_t price_minor_max = 1'000'000'000'000;    // of a product (contract)
inline constexpr std::int64_t amount_max = 9'007'199'254'740'991;     // 2^53-1: exact in every JSON reader (contract)
inline constexpr int json_depth_max = 32;                             // (contract)
inline constexpr std::size_t opaque_bytes_max = 4 * 1024;             // ship_to, contact and metadata together (contract)
inline constexpr std::size_t dead_value_bytes_max = 256 * 1024;       // above it a dead letter is cut ... (contract)
inline constexpr std::size_t dead_value_bytes_kept = 4 * 1024;        // ... to this (contract)

inline constexpr std::size_t turn_records_max = 2'000;                // a turn's batch: commits grow with it, latency too
inline constexpr std::size_t turn_dues_max = 1'000;                   // deadlines of each kind in a turn: many at one moment hold up no record
inline constexpr std::size_t turn_wakes_max = 500;                    // rows woken per turn after a take: bounds memory
inline constexpr std::size_t shard_records_waiting_max = 6'000;       // then the shard's partitions are paused
inline constexpr std::size_t shard_unpublished_max = 50'000;          // then the shard takes no new turn
inline constexpr std::size_t live_orders_max = 20'000;                // live actors of a shard (1.4 kB each); then the oldest sleep
inline constexpr std::chrono::milliseconds idle_order_age = 60s;      // an actor without a message for so long sleeps

inline constexpr std::chrono::milliseconds sweep_interval = 100ms;    // deadlines are looked at so often
inline constexpr std::chrono::milliseconds owner_check = 30s;         // without a commit for so long: the store is asked who the owner is (rule 9)
inline constexpr std::chrono::milliseconds ends_interval = 250ms;     // how far the topics reach is asked so often, while something expires
inline constexpr std::chrono::milliseconds ends_timeout = 10s;        // then the question was lost with its consumer
inline constexpr std::chrono::milliseconds ask_again_first = 30s;     // rule 12
inline constexpr std::chrono::milliseconds ask_again_last = 5min;     // rule 12
inline constexpr std::chrono::milliseconds act_again_first = 1s;      // an act of our own port without an answer
inline constexpr std::chrono::milliseconds act_again_last = 1min;
inline constexpr std::chrono::milliseconds act_age_max = 10min;       // decided on an older row: not done; Redis keeps a key for an hour
inline constexpr std::chrono::milliseconds store_timeout = 20s;       // then the same turn is handed in again
inline constexpr std::chrono::milliseconds take_backoff = 500ms;      // before a fenced shard that is still assigned takes again
inline constexpr std::chrono::milliseconds status_grace = 5min;       // rule 10: inventory asks after payment-ttl plus this
inline constexpr std::chrono::milliseconds replay_pause = 30s;        // rule 10: losses seen within it are one replay more
inline constexpr int looked_rows_per_ms = 5;                          // a look for unread orders: 1 % of the store's time
inline constexpr std::chrono::milliseconds goodbye_wait = 1s;         // for what is on its way, and for the last transaction
inline constexpr int outbox_page_turns = 200;                         // turns read at once when an outbox is published again

inline constexpr int restarts_max = 3;                                // of one order's actor, in restart_window; then quarantine
inline constexpr std::chrono::milliseconds restart_window = 1min;
inline constexpr int poison_starts_max = 3;                           // rule 11: then one record at a time
inline constexpr int poison_tries_max = 3;                            // rule 11: then the marked record is a dead letter
inline constexpr int one_by_one_records = 200;                        // digested one at a time after such a start

}  // namespace cartwright::limits
