#include "tests/chaos/crash/points.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "actors/harden.hpp"
#include "actors/limits.hpp"

namespace cartwright::crash {
namespace {

/// Counts how often the process has come by the point of the plan, once there is one. Any thread.
class Counter {
 public:
  explicit Counter(std::string plan_file) : plan_file_(std::move(plan_file)) {}

  void pass(std::string_view point) {
    if (!planned_ && access(plan_file_.c_str(), F_OK) != 0) return;
    std::lock_guard lock(mutex_);
    if (!planned_) {
      std::ifstream file(plan_file_);
      if (!(file >> point_ >> left_)) return;
      planned_ = true;
    }
    if (point != point_ || --left_ != 0) return;
    std::fprintf(stderr, "crash point %s\n", point_.c_str());
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
  void pass(RoleId role, std::string_view step) { pass(std::string(to_string(role)) + "." + std::string(step)); }

 private:
  std::string plan_file_;
  std::atomic<bool> planned_{false};
  std::mutex mutex_;
  std::string point_;
  int left_ = 0;
};

using CounterPtr = std::shared_ptr<Counter>;

/// Asks the real store, and goes by the point when its answer has come and `counts`.
template <class Answer, class Question, class Counts>
caf::typed_response_promise<Answer> ask(StoreActor::pointer self, const StoreActor& real, Question&& question, Counts counts) {
  auto promise = self->make_response_promise<Answer>();
  self->request(real, limits::store_timeout, std::forward<Question>(question))
      .then(
          [promise, counts](Answer& answer) mutable {
            counts(answer);
            promise.deliver(std::move(answer));
          },
          [promise](caf::error& error) mutable { promise.deliver(std::move(error)); });
  return promise;
}

StoreActor::behavior_type store(StoreActor::pointer self, StoreActor real, RoleId role, CounterPtr counter) {
  harden(self);
  return {
      [=](Take& m) { return self->delegate(real, std::move(m)); },
      [=](Commit& m) {
        counter->pass(role, "after-decide");
        return ask<Committed>(self, real, std::move(m), [=](const Committed& committed) {
          if (committed.result == CommitResult::ok) counter->pass(role, "after-commit");
        });
      },
      [=](Load& m) { return self->delegate(real, std::move(m)); },
      [=](LoadParked& m) { return self->delegate(real, std::move(m)); },
      [=](ReadOutbox& m) { return self->delegate(real, std::move(m)); },
      [=](FindPlaced& m) { return self->delegate(real, std::move(m)); },
      [=](Place& m) {
        return ask<Placed>(self, real, std::move(m), [=](const Placed& placed) {
          if (std::any_of(placed.results.begin(), placed.results.end(), [](const PlacedOne& one) { return one.result == PlaceResult::placed; }))
            counter->pass(role, "after-placing");
        });
      },
      [=](ChangeStock& m) { return self->delegate(real, std::move(m)); },
      [=](SettleHand& m) { return self->delegate(real, std::move(m)); },
      [=](OpenHands& m) { return self->delegate(real, std::move(m)); },
      [=](ReadIdentity& m) { return self->delegate(real, std::move(m)); },
      [=](BeginRebuild& m) {
        return ask<LedgerSnapshot>(self, real, std::move(m), [=](const LedgerSnapshot&) { counter->pass(role, "rebuild-begun"); });
      },
      [=](FinishRebuild& m) {
        counter->pass(role, "rebuild-filled");
        return self->delegate(real, std::move(m));
      },
      [=](StoreHealth& m) { return self->delegate(real, std::move(m)); },
  };
}

/// Stands for a shard towards those who answer it. Untyped: it knows two of a shard's messages and gets no other.
caf::behavior answers(caf::event_based_actor* self, ShardActor shard, std::function<void()> pass) {
  self->set_down_handler([self](caf::down_msg& down) { self->quit(down.reason); });
  self->monitor(shard);
  return {
      [=](Outcomes& outcomes) {
        pass();
        self->send(shard, std::move(outcomes));
      },
      [=](const Published& published) {
        if (published.ok) pass();
        self->send(shard, published);
      },
  };
}

/// The answerers of shards, each made once.
class Answerers {
 public:
  Answerers(caf::actor_system& system, std::function<void()> pass) : system_(system), pass_(std::move(pass)) {}

  ShardActor of(const ShardActor& shard) {
    if (!shard) return shard;
    auto [it, fresh] = made_.try_emplace(shard->id());
    if (fresh) it->second = caf::actor_cast<ShardActor>(system_.spawn(answers, shard, pass_));
    return it->second;
  }

 private:
  caf::actor_system& system_;
  std::function<void()> pass_;
  std::map<caf::actor_id, ShardActor> made_;
};

PortActor::behavior_type port(PortActor::pointer self, PortActor real, RoleId role, CounterPtr counter) {
  harden(self);
  auto answerers = std::make_shared<Answerers>(self->system(), [=] { counter->pass(role, "after-act"); });
  return {[=](Acts& acts) {
    counter->pass(role, "before-act");
    acts.reply_to = answerers->of(acts.reply_to);
    self->send(real, std::move(acts));
  }};
}

ProducerActor::behavior_type producer(ProducerActor::pointer self, ProducerActor real, CounterPtr counter) {
  harden(self);
  auto answerers = std::make_shared<Answerers>(self->system(), [=] { counter->pass("after-publish"); });
  return {[=](Publish& publish) {
    publish.reply_to = answerers->of(publish.reply_to);
    self->send(real, std::move(publish));
  }};
}

}  // namespace

node::Wiring wiring_of(const std::string& plan_file) {
  auto counter = std::make_shared<Counter>(plan_file);
  node::Wiring wiring;
  wiring.store = [counter](caf::actor_system& system, RoleId role, StoreActor real) { return system.spawn(store, std::move(real), role, counter); };
  wiring.port = [counter](caf::actor_system& system, RoleId role, PortActor real) { return system.spawn(port, std::move(real), role, counter); };
  wiring.producer = [counter](caf::actor_system& system, ProducerActor real) { return system.spawn(producer, std::move(real), counter); };
  return wiring;
}

}  // namespace cartwright::crash
