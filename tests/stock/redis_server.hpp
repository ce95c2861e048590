#pragma once
// A redis-server of the test's own, on a free loopback port and in a directory that goes with it.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bridges/redis/connection.hpp"

extern char** environ;

namespace cartwright::redis::test {

/// Waits until `holds`, at most 30 s.
inline bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 3000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

inline int free_port() {
  const int socket_fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(socket_fd, generic, size) != 0 || getsockname(socket_fd, generic, &size) != 0)
    throw std::runtime_error("no free loopback port");
  close(socket_fd);
  return ntohs(address.sin_port);
}

/// Starts with the object, ends with it.
class RedisServer {
 public:
  RedisServer() : port_(free_port()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "cartwright-stock-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("no temporary directory");
    directory_ = pattern;
    start();
  }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;
  ~RedisServer() {
    stop(SIGTERM);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  /// The data comes back from the dump that `SAVE` wrote, if it did.
  void start() {
    std::vector<std::string> words{"redis-server", "--port", std::to_string(port_), "--bind", "127.0.0.1",
                                   "--save", "", "--appendonly", "no", "--dir", directory_,
                                   "--loglevel", "warning", "--logfile", "log"};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    if (posix_spawnp(&pid_, "redis-server", nullptr, nullptr, arguments.data(), environ) != 0)
      throw std::runtime_error("redis-server cannot be started");
    if (!eventually([this] { return std::holds_alternative<Connection>(open()); }))
      throw std::runtime_error("redis-server does not answer");
  }
  void stop(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  [[nodiscard]] std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::variant<Connection, Failure> open() const { return Connection::open(*address_of(url()), {}); }

 private:
  int port_ = 0;
  pid_t pid_ = 0;
  std::string directory_;
};

/// A connection of the test's own.
inline Connection connect(const std::string& url) {
  auto opened = Connection::open(*address_of(url), {});
  if (const auto* failure = std::get_if<Failure>(&opened)) throw std::runtime_error(failure->what);
  return std::move(std::get<Connection>(opened));
}

}  // namespace cartwright::redis::test
