#pragma once
// Writes the ledger into Redis under a new generation (rule 8). Knows keys and chunks; when to do it, and whether the
// result counts, is the gate's business (stock.cpp).

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "actors/messages.hpp"
#include "bridges/redis/connection.hpp"
#include "bridges/redis/script.hpp"

namespace cartwright::redis {

/// What one open reservation holds.
struct HeldLines {
  std::string currency;
  std::vector<PricedLine> lines;
};

/// What an instance says of itself. `generation` is "" when it has none; `builder` is the generation somebody is
/// building, and `progress` changes while they do.
struct Instance {
  std::string run_id, generation, builder, progress;
  std::string script_sha;
  friend bool operator==(const Instance&, const Instance&) = default;
};

/// How a rebuild ended. overtaken: another node builds, or has built, a higher generation; look again.
struct Rebuilt {
  enum class End : std::uint8_t { ok, overtaken, failed };
  End end = End::failed;
  std::string why;
};

/// Asks an instance who it is and makes it know the script. False: `why` says what is known.
[[nodiscard]] bool inspect(Connection& connection, const Keys& keys, Instance& instance, std::string& why);

/// Deletes what is under our prefix (nothing else) and writes `snapshot` in its place; the generation last. `seen` is
/// what the instance said before the snapshot was asked for. Each step is a script that runs only while this call holds
/// the claim on the instance, so two nodes that rebuild at once never mix.
[[nodiscard]] Rebuilt rebuild(Connection& connection, const Keys& keys, const Instance& seen,
                              const LedgerSnapshot& snapshot,
                              const std::function<HeldLines(const std::string& doc)>& held_of);

/// Takes away the mark that says that `generation` is being built.
void finish_claim(Connection& connection, const Keys& keys, std::int64_t generation);

}  // namespace cartwright::redis
