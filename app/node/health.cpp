#include "app/node/health.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <sstream>

#include "actors/harden.hpp"

namespace cartwright::node {

using namespace std::chrono_literals;

void Board::set(const std::string& check, std::string why) {
  std::lock_guard lock(mutex_);
  checks_[check] = std::move(why);
}

std::vector<std::pair<std::string, std::string>> Board::checks() const {
  std::lock_guard lock(mutex_);
  return {checks_.begin(), checks_.end()};
}

void Board::set(std::vector<ShardView> shards) {
  std::lock_guard lock(mutex_);
  shards_ = std::move(shards);
}

std::vector<ShardView> Board::shards() const {
  std::lock_guard lock(mutex_);
  return shards_;
}

namespace {

class Monitor : public MonitorActor::base {
 public:
  Monitor(caf::actor_config& config, MonitorDeps deps) : MonitorActor::base(config), d_(std::move(deps)) {}
  const char* name() const override { return "monitor"; }

 protected:
  behavior_type make_behavior() override {
    harden(this);
    return {[this](const Look&) { look(); }};
  }

 private:
  void look() {
    for (auto& [name, store] : d_.stores)
      request(store, 3s, StoreHealth{})
          .then([this, check = name](const Done& state) { d_.board->set(check, state.ok ? "" : state.why); },
                [this, check = name](const caf::error&) { d_.board->set(check, "does not answer"); });
    if (d_.stock)
      request(d_.stock, 3s, redis::StockHealth{})
          .then([this](const Done& state) { d_.board->set("redis", state.ok ? "" : state.why); },
                [this](const caf::error&) { d_.board->set("redis", "does not answer"); });
    d_.board->set_backlog(d_.backlog());
    for (auto& [name, check] : d_.others) d_.board->set(name, check());
    auto views = std::make_shared<std::vector<ShardView>>();
    auto shards = d_.directory->all();
    auto left = std::make_shared<std::size_t>(shards.size());
    if (shards.empty()) d_.board->set(std::vector<ShardView>{});
    for (auto& [id, shard] : shards) {
      auto one_less = [this, views, left] {
        if (--*left == 0) d_.board->set(std::move(*views));
      };
      request(shard, 3s, Describe{})
          .then(
              [views, one_less](ShardView& view) {
                views->push_back(std::move(view));
                one_less();
              },
              [one_less](const caf::error&) { one_less(); });
    }
    delayed_send(this, 1s, Look{});
  }

  MonitorDeps d_;
};

}  // namespace

MonitorActor spawn_monitor(caf::actor_system& system, MonitorDeps deps) {
  auto monitor = system.spawn<Monitor>(std::move(deps));
  caf::anon_send(monitor, Look{});
  return monitor;
}

bool somebody_listens(const std::string& brokers) {
  std::stringstream list(brokers);
  std::string broker;
  while (std::getline(list, broker, ',')) {
    auto colon = broker.rfind(':');
    if (colon == std::string::npos) continue;
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(broker.substr(0, colon).c_str(), broker.substr(colon + 1).c_str(), &hints, &found) != 0) continue;
    bool open = false;
    for (addrinfo* at = found; at && !open; at = at->ai_next) {
      int fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (fd < 0) continue;
      connect(fd, at->ai_addr, at->ai_addrlen);
      pollfd waits{fd, POLLOUT, 0};
      int error = 1;
      socklen_t size = sizeof error;
      open = poll(&waits, 1, 1'000) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
      close(fd);
    }
    freeaddrinfo(found);
    if (open) return true;
  }
  return false;
}

}  // namespace cartwright::node
