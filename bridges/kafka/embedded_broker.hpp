// A Kafka broker without Kafka: librdkafka's mock cluster as a process of its own, on a port of one's choice.
//
// It speaks the real protocol, so a node uses it through the same code as a real broker. What it is not: durable (memory
// only) or roomy (it silently drops the oldest records beyond 5 MiB a partition). It knows no admin requests either,
// which is why it makes all topics itself.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

namespace cartwright::kafka {

struct EmbeddedBrokerOptions {
  std::uint16_t port = 9092;                         // on 127.0.0.1; 0 takes a free one
  std::vector<std::pair<std::string, int>> topics;   // name and number of partitions
  bool die_with_parent = false;                      // end when the thread that started this process ends
};

/// Runs until SIGTERM or SIGINT and returns the exit code of the process: 0, or 1 with the reason on `err`.
/// Call it from main, before any thread is started: it blocks the two signals for itself and waits for them.
int run_embedded_broker(const EmbeddedBrokerOptions& options, std::ostream& out, std::ostream& err);

}  // namespace cartwright::kafka
