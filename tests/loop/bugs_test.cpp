// Bugs that are seeded on purpose: the simulation catches each of them. Which seed does changes with whatever changes the
// worlds, so it is looked for; tests/README.md says which it was, and `tests/simulate --with NAME` tells its story.

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <ostream>
#include <vector>

#include "tests/loop/campaign.hpp"

using namespace cartwright::loop;

namespace seeded_bugs {

constexpr std::uint64_t seeds_max = 10'000;

std::vector<Switched> all() {
  std::vector<Switched> bugs;
  for (const Switched& one : switches)
    if (one.bug) bugs.push_back(one);
  return bugs;
}

}  // namespace seeded_bugs

namespace cartwright::loop {
static std::ostream& operator<<(std::ostream& out, const Switched& bug) { return out << bug.name; }
}  // namespace cartwright::loop

BOOST_DATA_TEST_CASE(a_seeded_bug_is_caught, boost::unit_test::data::make(seeded_bugs::all()), bug) {
  Hits hits;
  std::uint64_t seed = 1;
  std::optional<Broken> caught;
  while (!(caught = run_seed({seed, bug.what}, hits)) && seed < seeded_bugs::seeds_max) ++seed;
  BOOST_TEST_REQUIRE(caught.has_value());
  BOOST_TEST_MESSAGE(bug.name << " " << seed << ": " << caught->what);
  auto clean = run_seed({seed}, hits);
  BOOST_TEST(!clean.has_value(), "without the bug: " << (clean ? clean->what : ""));
}
