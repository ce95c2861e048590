#include "app/cli/processes.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

#include "app/options/text.hpp"

namespace cartwright::cli {
namespace {

constexpr const char* tcp_state_established = "01";
constexpr const char* tcp_state_listening = "0A";

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> entries_of(const std::string& path) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(path.c_str()), closedir);
  if (!open) return names;
  while (const dirent* one = readdir(open.get())) names.emplace_back(one->d_name);
  return names;
}

/// One row of /proc/net/tcp.
struct Connection {
  int local_port = 0, remote_port = 0;
  bool listening = false;
};

std::map<std::string, Connection> connections_by_inode() {
  std::map<std::string, Connection> all;
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream in(path);
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line)) {
      std::istringstream fields(line);
      std::string slot, local, remote, state, queues, timer, retransmits, owner, timeout, inode;
      fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> owner >> timeout >> inode;
      if (state != tcp_state_listening && state != tcp_state_established) continue;
      auto port = [](const std::string& address) {
        return static_cast<int>(std::strtol(address.c_str() + address.rfind(':') + 1, nullptr, 16));
      };
      all[inode] = {port(local), port(remote), state == tcp_state_listening};
    }
  }
  return all;
}

struct Process {
  int pid = 0, parent = 0;
  std::string command;  // the whole command line, words separated by blanks
  std::vector<Connection> connections;
};

// Fields of /proc/<pid>/stat from the third on: the second, the name in brackets, may have blanks itself.
std::vector<std::string> stat_of(int pid) {
  std::string text = read_all("/proc/" + std::to_string(pid) + "/stat");
  auto end = text.rfind(')');
  if (end == std::string::npos) return {};
  std::istringstream fields(text.substr(end + 1));
  std::vector<std::string> all;
  for (std::string one; fields >> one;) all.push_back(one);
  return all;
}

std::vector<Process> processes_now() {
  auto connections = connections_by_inode();
  std::vector<Process> all;
  for (const std::string& name : entries_of("/proc")) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    Process one{std::atoi(name.c_str()), 0, read_all("/proc/" + name + "/cmdline"), {}};
    std::replace(one.command.begin(), one.command.end(), '\0', ' ');
    auto stat = stat_of(one.pid);
    if (one.command.empty() || stat.size() < 2) continue;
    one.parent = std::atoi(stat[1].c_str());
    for (const std::string& handle : entries_of("/proc/" + name + "/fd")) {
      std::array<char, 64> target{};
      std::string path = "/proc/" + name + "/fd/" + handle;
      if (readlink(path.c_str(), target.data(), target.size() - 1) <= 0) continue;
      std::string text = target.data();
      if (!text.starts_with("socket:[")) continue;
      if (auto at = connections.find(text.substr(8, text.size() - 9)); at != connections.end())
        one.connections.push_back(at->second);
    }
    all.push_back(std::move(one));
  }
  return all;
}

bool has_words(const std::string& command, const std::vector<std::string>& words) {
  return std::all_of(words.begin(), words.end(),
                     [&](const std::string& word) { return command.find(word) != std::string::npos; });
}

// `/usr/bin/cartwright node ...`: the program's name, then the command.
bool is_ours(const std::string& command, const std::string& verb) {
  std::istringstream words(command);
  std::string program;
  words >> program;
  if (!program.ends_with("cartwright")) return false;
  for (std::string word; words >> word;)
    if (word == verb) return true;
  return false;
}

bool is_broker(const Process& one) { return has_words(one.command, {"kafka.Kafka"}) || is_ours(one.command, "broker"); }
bool is_redis(const Process& one) { return one.command.find("redis-server") != std::string::npos; }
bool is_postgres(const Process& one) {
  return one.command.find("postgres") != std::string::npos && one.command.find("psql") == std::string::npos;
}
bool is_node(const Process& one) { return is_ours(one.command, "node"); }

std::set<int> family_of(const std::vector<Process>& all, const std::set<int>& heads) {
  std::set<int> family = heads;
  for (std::size_t before = 0; before != family.size();) {
    before = family.size();
    for (const Process& one : all)
      if (family.contains(one.parent)) family.insert(one.pid);
  }
  return family;
}

std::vector<Watched> servers(const std::vector<Process>& all, const std::string& name, bool (*matches)(const Process&),
                             int port) {
  std::set<int> heads, alike;
  for (const Process& one : all) {
    if (!matches(one)) continue;
    alike.insert(one.pid);
    for (const Connection& connection : one.connections)
      if (port != 0 && connection.listening && connection.local_port == port) heads.insert(one.pid);
  }
  std::vector<Watched> found;
  for (int pid : heads.empty() ? alike : family_of(all, heads)) found.push_back({name, pid});
  return found;
}

}  // namespace

std::vector<Watched> find_processes(const ServerPorts& ports) {
  auto all = processes_now();
  std::vector<Watched> found;
  auto add = [&](std::vector<Watched> more) { found.insert(found.end(), more.begin(), more.end()); };
  // Nodes of one system all speak to the same broker.
  std::vector<Watched> nodes, connected;
  for (const Process& one : all) {
    if (!is_node(one)) continue;
    nodes.push_back({"node", one.pid});
    bool ours = std::any_of(one.connections.begin(), one.connections.end(), [&](const Connection& connection) {
      return !connection.listening && connection.remote_port == ports.kafka;
    });
    if (ours) connected.push_back({"node", one.pid});
  }
  add(connected.empty() ? nodes : connected);
  add(servers(all, "broker", is_broker, ports.kafka));
  if (ports.redis >= 0) add(servers(all, "redis", is_redis, ports.redis));
  if (ports.postgres > 0) add(servers(all, "postgres", is_postgres, ports.postgres));
  found.push_back({"load", getpid()});
  return found;
}

std::vector<Watched> watched_of(const std::string& text, std::string& fault) {
  std::vector<Watched> all;
  for (const std::string& one : options::split(text, ',')) {
    auto equals = one.find('=');
    auto pid = options::number(equals == std::string::npos ? "" : one.substr(equals + 1));
    if (!pid.fault.empty() || pid.value <= 0 || equals == 0) {
      fault = one + " is not name=pid";
      return {};
    }
    all.push_back({one.substr(0, equals), static_cast<int>(pid.value)});
  }
  return all;
}

std::int64_t cpu_us(int pid) {
  auto stat = stat_of(pid);
  constexpr std::size_t user_time = 11, system_time = 12;  // fields 14 and 15 of proc(5)
  if (stat.size() <= system_time) return -1;
  std::int64_t ticks = std::atoll(stat[user_time].c_str()) + std::atoll(stat[system_time].c_str());
  return ticks * (1'000'000 / sysconf(_SC_CLK_TCK));
}

CpuMeter::CpuMeter(std::vector<Watched> processes) {
  for (Watched& one : processes)
    if (auto at = cpu_us(one.pid); at >= 0) starts_.push_back({std::move(one), at});
}

std::map<std::string, std::int64_t> CpuMeter::used() const {
  std::map<std::string, std::int64_t> sums;
  for (const Start& start : starts_)
    if (auto now = cpu_us(start.process.pid); now >= 0) sums[start.process.name] += now - start.at_us;
  return sums;
}

}  // namespace cartwright::cli
