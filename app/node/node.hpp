#pragma once
// A node: the composition, the only place that names concrete adapters, and the order in which it starts and ends.

#include "app/options/options.hpp"

namespace cartwright::node {

/// Runs a node until SIGTERM or SIGINT and returns the exit code of the process: 0 after a drain, 2 for a configuration
/// that cannot work, 1 otherwise. Servers that are away are waited for. Prints one line on stdout once it listens.
/// Call it from main before any thread is started: it blocks the signals for itself.
int run_node(const options::Options& options);

struct Wiring;

/// The same with something of a test's between the parts (wiring.hpp).
int run_node_wired(const options::Options& options, const Wiring& wiring);

}  // namespace cartwright::node
