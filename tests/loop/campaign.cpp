#include "tests/loop/campaign.hpp"

#include <ostream>

#include "actors/order/rules.hpp"

namespace cartwright::loop {

std::optional<Broken> run_seed(const Options& options, Hits& hits) {
  World world(options);
  std::optional<Broken> broken;
  try {
    world.run();
  } catch (const std::exception& violation) {
    broken = Broken{options.seed, violation.what(), world.fault_window(), world.timeline(violation.what())};
  }
  for (auto& [what, n] : world.hits()) hits[what] += n;
  return broken;
}

std::vector<std::string> never_met(const Hits& hits) {
  std::vector<std::string> wanted{
      // faults
      "act done, answer lost", "act late", "act lost", "act twice", "an order's actor dies", "bare order misplaced", "clock jumps",
      "commit done, answer lost", "commit fails", "conflicting order.placed", "door's record never written", "fenced", "FLUSHALL",
      "foreign answer before its question", "foreign answer misplaced", "foreign answer twice", "load fails", "node crashes",
      "old record again", "publish done in part", "publish fails", "record twice", "Redis comes back empty",
      "Redis comes back older", "shard killed", "shard revoked", "store silent", "stranger's record", "stranger's untimely answer", "take done, answer lost",
      "take fails", "a topic is lost", "the broker loses its logs", "zombie", "zombie wakes",
      // rules
      "rule 1: accepted when it is durable", "rule 2: acted on what was committed", "rule 2: published what was committed",
      "rule 3: version 1 by its owner", "rule 3: a version more", "rule 4: the same key again", "rule 5: unknown",
      "rule 6: an event finds its answer", "rule 7: a reservation is absorbed", "rule 7: a tombstone", "rule 7: a change by hand is absorbed",
      "rule 8: a stranger closes the gate", "rule 8: outcome of another instance", "rule 8: Redis was rebuilt", "rule 9: a shard is taken",
      "rule 9: Redis refuses a former owner", "rule 10: a loss is found", "rule 10: an outbox is published again",
      "rule 11: dead letter, conflict", "rule 11: dead letter, orphan", "rule 12: a deadline",
      "command cancel", "conflict", "same turn again"};
  for (const order::Pair& pair : order::table()) {
    using order::Happening;
    using order::State;
    if (pair.happening == Happening::other) continue;  // no topic of the order role says it
    bool expires = pair.state == State::pending || pair.state == State::inventory_reserved;
    if (pair.happening == Happening::expire && !expires) continue;  // time does not do it to them
    wanted.push_back("pair " + std::string(order::to_string(pair.state)) + " / " + std::string(order::to_string(pair.happening)));
  }
  std::vector<std::string> missing;
  for (const std::string& what : wanted)
    if (hits.find(what) == hits.end()) missing.push_back(what);
  return missing;
}

void tell(std::ostream& out, const Broken& broken, const std::string& with) {
  out << "seed " << broken.seed << ": " << broken.what << "\n  " << broken.window
      << "\n  again: tests/simulate --seeds 1 --from " << broken.seed << (with.empty() ? "" : " --with " + with) << " --story\n"
      << broken.timeline;
}

}  // namespace cartwright::loop
