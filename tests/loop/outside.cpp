// Stand-ins for what is outside of a role: gateway, carrier, notifier; and the way into the log.

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/harden.hpp"
#include "tests/loop/stock.hpp"
#include "tests/loop/world.hpp"

namespace cartwright::loop {
namespace {

std::optional<Outcome> ask_gateway(World& world, const Act& act) {
  std::string name = act.key + ":" + std::string(to_string(act.step)) + ":" + std::to_string(act.attempt);
  Book& book = world.gateway;
  bool refund = act.step == Step::refund;
  if (world.with(Switch::random_charge_key) && !refund) name += ":" + std::to_string(world.pick(1'000'000));
  if (world.with(Switch::attempt_grows_on_unknown) && !refund) name += ":" + std::to_string(++book.keys[name + "#"].asked);
  if (world.with(Switch::refund_not_absorbed) && refund) name += ":" + std::to_string(world.pick(1'000'000));
  auto& key = book.keys[name];
  int n = ++key.asked;
  if (n > 1) world.hit("rule 4: the same key again");
  if (!refund) {
    if (act.token == "tok_never" || (act.token == "tok_error" && n < 3)) return {};
    if (key.answer == Answer::unknown) {
      key.answer = act.token == "tok_declined" ? Answer::refused : Answer::done;
      key.txn = "txn-" + name;
      if (key.answer == Answer::done) {
        if (++book.charges[act.order.value] > 1) world.broke("charged twice: " + act.order.value);
        book.net[act.order.value] += act.amount;
      }
    }
    if (act.token == "tok_timeout" && n == 1) return {};
  } else if (key.answer == Answer::unknown) {
    key.answer = Answer::done;
    ++book.refunds[act.order.value];
    book.net[act.order.value] -= act.amount;
    if (book.net[act.order.value] < 0) world.broke("refunded twice: " + act.order.value);
  }
  Outcome outcome;
  outcome.answer = key.answer;
  outcome.reference = refund ? act.txn.value : key.txn;
  return outcome;
}

}  // namespace

std::optional<Outcome> World::execute(RoleId role, int node, const Act& act, ShardId shard, Epoch epoch) {
  std::optional<Outcome> outcome;
  check_durable(role, act);
  switch (role) {
    case RoleId::inventory: outcome = stock_port(node).ask(act, shard, epoch); break;
    case RoleId::payment:
      outcome = ask_gateway(*this, act);
      if (!outcome) hit("rule 5: unknown");
      if (!outcome && with(Switch::compensate_on_unknown) && act.step == Step::charge) {
        outcome.emplace();
        outcome->answer = Answer::refused;
      }
      break;
    case RoleId::shipping: {
      outcome.emplace();
      outcome->answer = Answer::done;
      auto [it, fresh] = tracking.try_emplace(act.key, "track-" + std::to_string(tracking.size()));
      outcome->reference = it->second;
      break;
    }
    default:
      outcome.emplace();
      outcome->answer = Answer::done;
      outcome->reference = act.channel;
  }
  if (!outcome) return {};
  outcome->key = act.key;
  outcome->step = act.step;
  outcome->attempt = act.attempt;
  return outcome;
}

PortActor spawn_port(caf::actor_system& system, World& world, RoleId role) {
  return system.spawn([&world, role](PortActor::pointer self) -> PortActor::behavior_type {
    harden(self);
    return {[&world, role](const Acts& acts) {
      auto answer = [reply_to = acts.reply_to, epoch = acts.epoch](std::optional<Outcome> outcome) {
        if (outcome) caf::anon_send(reply_to, Outcomes{epoch, {std::move(*outcome)}});
      };
      for (const Act& act : acts.acts) {
        if (world.chance(world.faults.act_lost)) { world.fault("act lost"); continue; }
        auto once = [&world, role, act, shard = acts.shard, epoch = acts.epoch] { return world.execute(role, 0, act, shard, epoch); };
        if (world.chance(world.faults.act_late)) {
          world.fault("act late");
          world.later([once, answer] { answer(once()); });
          continue;
        }
        auto outcome = once();
        if (world.chance(world.faults.act_twice)) { world.fault("act twice"); outcome = once(); }
        if (world.chance(world.faults.answer_lost)) { world.fault("act done, answer lost"); continue; }
        answer(std::move(outcome));
      }
    }};
  });
}

ProducerActor spawn_log_producer(caf::actor_system& system, World& world) {
  return system.spawn([&world](ProducerActor::pointer self) -> ProducerActor::behavior_type {
    harden(self);
    return {[&world](const Publish& publish) {
      bool half = world.chance(world.faults.publish_half), none = world.chance(world.faults.publish_fails);
      if (half || none) world.fault(none ? "publish fails" : "publish done in part");
      std::size_t count = publish.outgoing->size();
      if (half) count = (count + 1) / 2;
      for (std::size_t i = 0; i < count && !none; ++i) {
        world.publish((*publish.outgoing)[i]);
        if (world.chance(.05)) { world.fault("record twice"); world.publish((*publish.outgoing)[i]); }
      }
      if (publish.reply_to) caf::anon_send(publish.reply_to, Published{publish.epoch, publish.sequence, !half && !none});
    }};
  });
}

}  // namespace cartwright::loop
