// Many seeds of the world. CARTWRIGHT_SEEDS and CARTWRIGHT_FIRST_SEED choose others; a violation prints its seed.

#define BOOST_TEST_MODULE loop
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <iostream>

#include "tests/loop/world.hpp"

using namespace cartwright;

namespace {

std::uint64_t number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

BOOST_AUTO_TEST_CASE(orders_end_well_whatever_the_seed_does) {
  std::uint64_t first = number("CARTWRIGHT_FIRST_SEED", 1), count = number("CARTWRIGHT_SEEDS", 200);
  loop::Hits hits;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    loop::World world(seed);
    try {
      world.run();
    } catch (const std::exception& broken) {
      BOOST_ERROR("seed " << seed << ": " << broken.what() << "\n  again: CARTWRIGHT_FIRST_SEED=" << seed
                          << " CARTWRIGHT_SEEDS=1 build/loop_test\n"
                          << world.timeline(broken.what()));
    }
    for (auto& [what, n] : world.hits()) hits[what] += n;
  }
  for (auto& [what, n] : hits) std::cout << "  " << what << ": " << n << '\n';
  if (count >= 100)
    for (const char* what : {"act lost", "act twice", "act done, answer lost", "an order's actor dies", "cancel", "commit fails",
                             "commit done, answer lost", "conflict", "door dies before publishing", "fenced",
                             "foreign partition", "publish done in part", "publish fails", "record twice",
                             "same turn again", "shard killed", "zombie"})
      BOOST_TEST(hits[what] > 0, "the seeds never made this fault: " << what);
}

BOOST_AUTO_TEST_CASE(a_seed_replays_to_the_letter) {
  auto story = [](std::uint64_t seed) {
    loop::World world(seed);
    world.run();
    std::string text;
    for (auto& [topic, partitions] : world.log())
      for (auto& partition : partitions)
        for (auto& entry : partition) text += topic + entry.value.value_or("-") + std::to_string(entry.timestamp) + "\n";
    return text;
  };
  BOOST_TEST(story(7) == story(7));
}
