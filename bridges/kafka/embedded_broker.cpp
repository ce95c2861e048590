#include "bridges/kafka/embedded_broker.hpp"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <ostream>
#include <thread>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

namespace {

// The mock cluster offers neither a choice of port nor TCP_NODELAY (without which each request waits 40 ms for a delayed
// acknowledgement). Functions of the executable stand before those of libc for its shared libraries too, so bind() and
// accept() below see librdkafka's calls. Both pass everything on unchanged unless these say otherwise, which only a
// running embedded broker does; a node links this file as well.
std::atomic<std::uint16_t> port_for_next_bind{0};
std::atomic<bool> accepted_without_delay{false};
// While the topics are being made: a client that asks for a topic now would make the cluster invent it, with a number of
// partitions of its own. Clients come back.
std::atomic<bool> turning_away{false};

template <class Function>
Function* next_in_line(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void switch_on(int socket, int level, int option) {
  const int one = 1;
  setsockopt(socket, level, option, &one, sizeof one);  // only costs speed, or a wait before a restart, if it fails
}

}  // namespace

extern "C" int bind(int socket, const sockaddr* address, socklen_t size) noexcept {
  static auto* const next = next_in_line<int(int, const sockaddr*, socklen_t)>("bind");
  if (address != nullptr && size >= sizeof(sockaddr_in) && address->sa_family == AF_INET) {
    sockaddr_in chosen;
    std::memcpy(&chosen, address, sizeof chosen);
    if (chosen.sin_port == 0) {
      if (const auto port = port_for_next_bind.exchange(0); port != 0) {
        switch_on(socket, SOL_SOCKET, SO_REUSEADDR);  // or a restart waits for the old connections to time out
        chosen.sin_port = htons(port);
        return next(socket, reinterpret_cast<const sockaddr*>(&chosen), sizeof chosen);
      }
    }
  }
  return next(socket, address, size);
}

extern "C" int accept(int socket, sockaddr* address, socklen_t* size) {
  static auto* const next = next_in_line<int(int, sockaddr*, socklen_t*)>("accept");
  const int accepted = next(socket, address, size);
  if (accepted >= 0 && turning_away.load(std::memory_order_relaxed)) {
    close(accepted);
    errno = ECONNABORTED;
    return -1;
  }
  if (accepted >= 0 && accepted_without_delay.load(std::memory_order_relaxed)) {
    const int before = errno;
    switch_on(accepted, IPPROTO_TCP, TCP_NODELAY);
    errno = before;
  }
  return accepted;
}

namespace cartwright::kafka {
namespace {

using namespace std::chrono_literals;

constexpr auto retention = "5 MiB";  // the mock cluster's own limit; librdkafka 2.0 lets nobody change it

struct ClientEnd {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
};
struct ClusterEnd {
  void operator()(rd_kafka_mock_cluster_t* cluster) const { rd_kafka_mock_cluster_destroy(cluster); }
};

// 0, or the errno that says why not. The mock cluster ends the process on an assertion when its port is taken, so the
// port is tried before.
int try_port(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int trial = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (trial < 0) return errno;
  switch_on(trial, SOL_SOCKET, SO_REUSEADDR);
  const bool bound = bind(trial, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const bool free = bound && listen(trial, 1) == 0;
  const int why = free ? 0 : errno;
  close(trial);
  return why;
}

// False when there is no parent left to wait for.
bool tie_to_parent() {
  const auto parent = getppid();
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  return getppid() == parent;  // otherwise it ended before the request and no signal comes
}

}  // namespace

int run_embedded_broker(const EmbeddedBrokerOptions& options, std::ostream& out, std::ostream& err) {
  for (const auto& [name, partitions] : options.topics) {
    if (partitions >= 1) continue;
    err << "embedded broker: topic " << name << " needs at least one partition, not " << partitions << '\n';
    return 1;
  }

  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // librdkafka's threads inherit it: the signals are left to sigwait below
  if (options.die_with_parent && !tie_to_parent()) return 0;

  if (options.port != 0) {
    if (const int why = try_port(options.port); why != 0) {
      err << "embedded broker: cannot listen on 127.0.0.1:" << options.port << ": " << std::strerror(why) << '\n';
      return 1;
    }
  }

  std::array<char, 512> why{};
  auto* configuration = rd_kafka_conf_new();
  rd_kafka_conf_set(configuration, "client.id", "embedded-broker", why.data(), why.size());
  // Without its notices: one says that this client has no broker, which is as it should be.
  rd_kafka_conf_set(configuration, "log_level", "4", why.data(), why.size());
  const std::unique_ptr<rd_kafka_t, ClientEnd> client(
      rd_kafka_new(RD_KAFKA_PRODUCER, configuration, why.data(), why.size()));
  if (!client) {
    rd_kafka_conf_destroy(configuration);
    err << "embedded broker: " << why.data() << '\n';
    return 1;
  }

  accepted_without_delay = true;
  turning_away = true;
  rd_kafka_set_log_level(client.get(), 0);  // it says of every client that it was turned away
  port_for_next_bind = options.port;
  const std::unique_ptr<rd_kafka_mock_cluster_t, ClusterEnd> cluster(rd_kafka_mock_cluster_new(client.get(), 1));
  port_for_next_bind = 0;
  if (!cluster) {
    err << "embedded broker: librdkafka could not start its mock cluster\n";
    return 1;
  }
  for (const auto& [name, partitions] : options.topics) {
    const auto error = rd_kafka_mock_topic_create(cluster.get(), name.c_str(), partitions, 1);
    // The cluster's thread reads its wake-up pipe empty behind what it has done: a request that comes in between waits for
    // the next tick, up to a second, and on a busy machine every one of them did. It needs a moment to get that far.
    std::this_thread::sleep_for(1ms);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    err << "embedded broker: topic " << name << ": " << rd_kafka_err2str(error) << '\n';
    return 1;
  }

  turning_away = false;
  rd_kafka_set_log_level(client.get(), 4);
  out << "embedded broker listening on " << rd_kafka_mock_cluster_bootstraps(cluster.get()) << '\n'
      << "note: records are kept in memory only, the newest " << retention << " of each partition" << std::endl;
  int received = 0;
  sigwait(&ends, &received);
  return 0;
}

}  // namespace cartwright::kafka
