#pragma once
// The command line: what main hands its arguments to. Everything but running a node happens behind it.

#include <functional>

#include "app/options/options.hpp"

namespace cartwright::cli {

/// Runs a node until it is told to end; the exit code of the process. Given by main, which composes nodes.
using NodeRunner = std::function<int(const options::Options&)>;

/// Reads the arguments and the configuration, runs the command, and returns the exit code: 0, 2 for wrong usage or
/// configuration, 1 for everything else. Starts no thread before a command runs. Never throws.
int run_cli(int argc, char** argv, NodeRunner run_node);

}  // namespace cartwright::cli
