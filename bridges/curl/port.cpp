#include "bridges/curl/port.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <map>

#include "actors/harden.hpp"

namespace cartwright::curl {

/// To the port: an exchange has ended. Shared, for the messages of CAF are copied.
struct Heard {
  std::string key;
  std::shared_ptr<const Response> response;
};

}  // namespace cartwright::curl

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::curl::Heard)

namespace cartwright::curl {
namespace {

using Self = PortActor::extend<caf::reacts_to<Heard>>;

/// An exchange under way, and who wants to know.
struct Asked {
  Act act;
  ShardActor reply_to;
  Epoch epoch = 0;
};

class Port : public Self::base {
 public:
  Port(caf::actor_config& config, std::shared_ptr<Lane> lane, Dialect dialect)
      : Self::base(config), lane_(std::move(lane)), dialect_(std::move(dialect)) {}
  const char* name() const override { return "port"; }

 protected:
  behavior_type make_behavior() override {
    harden(this);
    return {[this](Acts& acts) { on(acts); }, [this](const Heard& heard) { on(heard); }};
  }

 private:
  void on(Acts& acts) {
    for (Act& act : acts.acts) {
      const std::string key = effect_key(act) + (act.query ? "?" : "");
      if (auto under_way = asked_.find(key); under_way != asked_.end()) {
        under_way->second.reply_to = acts.reply_to;
        under_way->second.epoch = acts.epoch;
        continue;
      }
      auto question = dialect_.ask(act);
      if (auto* outcome = std::get_if<Outcome>(&question)) answer(acts.reply_to, acts.epoch, std::move(*outcome));
      auto* request = std::get_if<Request>(&question);
      if (request == nullptr) continue;
      // A strong handle: whoever waits for an answer keeps the port alive.
      bool taken = lane_->submit(std::move(*request), [key, port = Self(this)](Response response) {
        caf::anon_send(port, Heard{key, std::make_shared<const Response>(std::move(response))});
      });
      if (taken) asked_.emplace(key, Asked{std::move(act), acts.reply_to, acts.epoch});
    }
  }

  void on(const Heard& heard) {
    auto found = asked_.find(heard.key);
    if (found == asked_.end()) return;
    Asked asked = std::move(found->second);
    asked_.erase(found);
    if (auto outcome = dialect_.hear(asked.act, *heard.response)) answer(asked.reply_to, asked.epoch, std::move(*outcome));
  }

  static void answer(const ShardActor& to, Epoch epoch, Outcome outcome) {
    Outcomes outcomes{epoch, {}};
    outcomes.outcomes.push_back(std::move(outcome));
    caf::anon_send(to, std::move(outcomes));
  }

  std::shared_ptr<Lane> lane_;
  Dialect dialect_;
  std::map<std::string, Asked> asked_;  // by effect key; bounded by the lane
};

}  // namespace

Outcome outcome_of(const Act& act, Answer answer) {
  Outcome outcome;
  outcome.key = act.key;
  outcome.step = act.step;
  outcome.attempt = act.attempt;
  outcome.answer = answer;
  return outcome;
}

PortActor spawn_port(caf::actor_system& system, std::shared_ptr<Lane> lane, Dialect dialect) {
  return caf::actor_cast<PortActor>(system.spawn<Port>(std::move(lane), std::move(dialect)));
}

}  // namespace cartwright::curl
