// The program cartwright with crash points: CRASH_PLAN names the file to wait for (points.hpp).

#include <cstdlib>

#include "app/cli/cli.hpp"
#include "app/node/node.hpp"
#include "tests/chaos/crash/points.hpp"

int main(int argc, char** argv) {
  const char* plan_file = std::getenv("CRASH_PLAN");
  const auto wiring = plan_file ? cartwright::crash::wiring_of(plan_file) : cartwright::node::Wiring{};
  return cartwright::cli::run_cli(
      argc, argv, [&wiring](const cartwright::options::Options& options) { return cartwright::node::run_node_wired(options, wiring); });
}
