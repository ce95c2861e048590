#pragma once
// The bounds of the API beyond those that every part of the program shares.

#include <chrono>
#include <cstddef>

namespace cartwright::api::bounds {

using namespace std::chrono_literals;

inline constexpr std::size_t batch_lines_max = 10'000;           // contract.md section 3
inline constexpr std::size_t batch_bytes_max = 8 * 1024 * 1024;  // contract.md section 3
inline constexpr std::size_t line_bytes_max = 64 * 1024;         // of a batch's line: what a single order may have

inline constexpr std::size_t placements_waiting_max = 10'000;    // then 503: what the store places in about a second
inline constexpr int places_in_flight_max = 2;                   // one is committed while the next is written
inline constexpr std::chrono::milliseconds place_timeout = 15s;  // then the same placements are handed in again
inline constexpr std::chrono::milliseconds place_pause = 300ms;  // before a store that was away is asked again
inline constexpr int place_refusals_max = 3;                     // ... so many times; then 503
inline constexpr int place_repeats_max =
    40;  // ten minutes of silence; then whoever takes the shard finds what is stored

inline constexpr std::chrono::milliseconds read_timeout = 5s;      // of a reader; then 503
inline constexpr std::chrono::milliseconds outcome_poll = 100ms;   // of an order whose owner is elsewhere
inline constexpr std::chrono::milliseconds describe_timeout = 2s;  // of a shard

inline constexpr std::chrono::milliseconds watch_interval = 250ms;  // open streams are looked after so often
inline constexpr std::size_t watches_max = 1'000;                   // then 503

inline constexpr std::chrono::milliseconds hand_timeout = 10s;  // of the ledger
inline constexpr std::chrono::milliseconds stock_timeout = 2s;  // of one question to Redis
inline constexpr std::chrono::milliseconds hand_pause = 250ms;  // before a closed gate is tried again
inline constexpr std::chrono::milliseconds hand_sweep = 5s;     // changes older than this are finished by the sweep
// Short, for a pending tick holds up the end of the program.
inline constexpr std::chrono::milliseconds desk_tick = 500ms;
inline constexpr std::size_t hands_max = 1'000;  // at once; then 503

}  // namespace cartwright::api::bounds

namespace cartwright::api {

/// How long clients wait for what may never come.
struct Patience {
  std::chrono::milliseconds place{10'000};   // then an order's client is told that the outcome is unknown
  std::chrono::milliseconds command{5'000};  // contract.md section 2: cancel answers 504 then
  std::chrono::milliseconds hand{5'000};     // a change of stock; then 503, and the sweep goes on
};

}  // namespace cartwright::api
