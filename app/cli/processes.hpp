#pragma once
// Processor time of processes on this machine, for the load generator: who used how much per order.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cartwright::cli {

/// A process under the name that the report gives it; several may share one.
struct Watched {
  std::string name;
  int pid = 0;
};

/// What the configuration says about who listens where; 0: not known, or not on this machine.
struct ServerPorts {
  int kafka = 0, redis = 0, postgres = 0, http = 0;
};

/// Finds nodes, brokers, Redis and PostgreSQL by their command lines. Where somebody listens on a port of `ports`, only
/// that process and its children count under the name, so that other systems on the machine are left out.
[[nodiscard]] std::vector<Watched> find_processes(const ServerPorts& ports);

/// Reads "name=pid,name=pid". Empty and a fault in `fault` when it is something else.
[[nodiscard]] std::vector<Watched> watched_of(const std::string& text, std::string& fault);

/// Microseconds of processor time that a process has used, user and system; -1 when it is gone.
[[nodiscard]] std::int64_t cpu_us(int pid);

/// The time used between its construction and `used`, by name.
class CpuMeter {
 public:
  explicit CpuMeter(std::vector<Watched> processes);
  [[nodiscard]] std::map<std::string, std::int64_t> used() const;

 private:
  struct Start {
    Watched process;
    std::int64_t at_us = 0;
  };
  std::vector<Start> starts_;
};

}  // namespace cartwright::cli
