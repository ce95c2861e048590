#pragma once
// How a load run hands its orders in: over HTTP one by one or in batches, or as a foreign program, into the log itself.

#include "app/cli/load_ledger.hpp"

namespace cartwright::cli {

/// Everything that the threads of a run share.
struct Run {
  const Context& context;
  const LoadOptions& options;
  const Plan& plan;
  Ledger& ledger;
  Feeder& feeder;
  Refusals& refusals;
};

/// Hands in orders in the way that the options say until the feeder has no more. Stops the feeder when there is no
/// point in going on. `partitions`: of order.placed. Throws kafka::Failure for settings that librdkafka refuses.
void send_orders(Run& run, int partitions);

}  // namespace cartwright::cli
