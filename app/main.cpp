// The program: everything is said on the command line (app/cli) or by the configuration (app/options).

#include "app/cli/cli.hpp"
#include "app/node/node.hpp"

int main(int argc, char** argv) { return cartwright::cli::run_cli(argc, argv, cartwright::node::run_node); }
