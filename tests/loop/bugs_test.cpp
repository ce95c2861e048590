// Bugs that are seeded on purpose: each is caught by the simulation with the seed named here, and without the bug the
// same seed is clean. tests/README.md has the table; `tests/simulate --with NAME` finds other seeds.

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "tests/loop/campaign.hpp"

using namespace cartwright::loop;

namespace seeded_bugs {

struct Caught {
  Switch bug;
  std::uint64_t seed;
};

std::ostream& operator<<(std::ostream& out, const Caught& caught) {
  for (const Switched& one : switches)
    if (one.what == caught.bug) out << one.name;
  return out;
}

/// tests/loop/caught_by.txt: a bug's name and a seed that catches it, one a line.
std::vector<Caught> read_table() {
  std::vector<Caught> table;
  std::ifstream file(CARTWRIGHT_CAUGHT_BY);
  std::string name;
  std::uint64_t seed = 0;
  while (file >> name >> seed)
    if (auto bug = switch_named(name)) table.push_back({*bug, seed});
  return table;
}

const std::vector<Caught> caught_by = read_table();

}  // namespace seeded_bugs

BOOST_DATA_TEST_CASE(a_seeded_bug_is_caught, boost::unit_test::data::make(seeded_bugs::caught_by), caught) {
  Hits hits;
  BOOST_TEST(run_seed({caught.seed, caught.bug}, hits).has_value());
  auto clean = run_seed({caught.seed}, hits);
  BOOST_TEST(!clean.has_value(), "without the bug: " << (clean ? clean->what : ""));
}

BOOST_AUTO_TEST_CASE(every_seeded_bug_is_in_the_table) {
  for (const Switched& one : switches) {
    if (!one.bug) continue;
    bool there = std::any_of(seeded_bugs::caught_by.begin(), seeded_bugs::caught_by.end(), [&](const auto& caught) { return caught.bug == one.what; });
    BOOST_TEST(there, one.name << " has no seed that catches it");
  }
}
