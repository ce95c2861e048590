// The simulation on demand: tests/simulate --seeds N --from S. See tests/README.md.

#include <CLI/CLI.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/loop/campaign.hpp"

using namespace cartwright::loop;

int main(int argc, char** argv) {
  std::uint64_t seeds = 1'000, from = 1, stop_at = 5, jobs = std::max(1u, std::thread::hardware_concurrency());
  bool story = false, outcomes_only = false, quiet = false;
  std::string with;
  CLI::App app("Runs the roles, shards and rules of production in a simulated world, one world a seed.");
  app.add_option("--seeds", seeds, "how many");
  app.add_option("--from", from, "the first");
  app.add_option("--with", with, "a seeded bug, or a rule taken away, by name");
  app.add_option("--stop-at", stop_at, "end after so many violations");
  app.add_option("--jobs", jobs, "worlds at the same time; all cores by default");
  app.add_flag("--story", story, "say on stderr what happens");
  app.add_flag("--outcomes-only", outcomes_only, "do not look at who wrote what before what, only at what comes of it");
  app.add_flag("--quiet", quiet, "no table of what was met");
  CLI11_PARSE(app, argc, argv);
  Switch what = Switch::none;
  if (!with.empty()) {
    auto named = switch_named(with);
    if (!named) {
      std::cerr << "no bug and no rule is called " << with << "; there are:";
      for (const Switched& one : switches) std::cerr << ' ' << one.name;
      std::cerr << '\n';
      return 2;
    }
    what = *named;
  }
  auto began = std::chrono::steady_clock::now();
  Hits hits;
  std::uint64_t done = 0, violations = 0;
  // Each world has one thread, and knows nothing of the others: what a seed does is the same however many there are.
  std::atomic<std::uint64_t> next{from};
  std::mutex sums;
  auto work = [&] {
    for (std::uint64_t seed = next++; seed < from + seeds; seed = next++) {
      Hits met;
      auto broken = run_seed({seed, what, true, !outcomes_only, story}, met);
      std::lock_guard lock(sums);
      if (violations >= stop_at) return;
      ++done;
      for (auto& [name, n] : met) hits[name] += n;
      if (!broken) continue;
      ++violations;
      tell(std::cout, *broken, with);
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t n = std::min(jobs, seeds); n > 1; --n) threads.emplace_back(work);
  work();
  for (std::thread& each : threads) each.join();
  if (!quiet)
    for (auto& [met, n] : hits) std::cout << "  " << met << ": " << n << '\n';
  auto missing = seeds >= 5'000 && what == Switch::none ? never_met(hits) : std::vector<std::string>{};
  for (const std::string& one : missing) std::cout << "never met: " << one << '\n';
  auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
  std::cout << done << " seeds from " << from << ", " << violations << " violations, " << missing.size() << " never met, " << took / 1'000 << "."
            << took % 1'000 / 100 << " s\n";
  return violations == 0 && missing.empty() ? 0 : 1;
}
