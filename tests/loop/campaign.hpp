#pragma once
// Many seeds: what they covered, what broke, and how to see it again.

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "tests/loop/world.hpp"

namespace cartwright::loop {

struct Broken {
  std::uint64_t seed = 0;
  std::string what, window, timeline;
};

/// Runs one seed; nothing: every invariant held.
[[nodiscard]] std::optional<Broken> run_seed(const Options& options, Hits& hits);

/// What a run of so many seeds should have met and did not: faults, rules, and (state, event) pairs of the order.
[[nodiscard]] std::vector<std::string> never_met(const Hits& hits);

/// A violation as a person reads it, with the command that replays it.
void tell(std::ostream& out, const Broken& broken, const std::string& with);

}  // namespace cartwright::loop
