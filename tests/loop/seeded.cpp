#include "tests/loop/seeded.hpp"

#include <algorithm>

namespace cartwright::loop {
namespace {

/// An entity whose decisions are looked at, and tampered with, between deciding and committing.
class Tampered final : public Entity {
 public:
  Tampered(World& world, ShardId shard, int node, std::unique_ptr<Entity> inner, const std::string& key, const Row* stored)
      : world_(world), shard_(shard), node_(node), inner_(std::move(inner)), key_(key), state_(stored ? stored->state : ""), stored_(stored) {
    if (state_.empty()) state_ = "unknown";
  }

  void digest(const Input& input, Millis now, Change& change) override {
    const auto* record = std::get_if<std::shared_ptr<const Record>>(&input);
    std::size_t published = change.publish.size(), acts = change.acts.size(), steps = change.transitions.size();
    if (without(input, record)) return;
    if (shard_.role == RoleId::order) count(input, record);
    if (world_.with(Switch::no_asking_after_loss) && std::holds_alternative<Resume>(input))
      inner_->digest(Resume{false}, now, change);
    else
      inner_->digest(input, now, change);
    tamper(record, change, published, acts, now);
    if (shard_.role == RoleId::order)
      for (; steps < change.transitions.size(); ++steps) {
        if (change.transitions[steps].event == "expire") world_.count_pair(state_, "expire");
        state_ = change.transitions[steps].status;
      }
  }

  void describe(Row& row) const override { inner_->describe(row); }

 private:
  void count(const Input& input, const std::shared_ptr<const Record>* record) {
    if (record) {
      world_.count_pair(state_, order::to_string(order::happening_of((*record)->event.topic)));
      world_.hit("rule 6: an event finds its answer");
    } else if (const auto* command = std::get_if<Command>(&input)) {
      world_.hit(command->kind == CommandKind::cancel ? "command cancel" : "command retry");
    } else if (std::holds_alternative<Due>(input)) {
      world_.hit("rule 12: a deadline");
    }
  }

  /// Inputs that a bug makes disappear. True: nothing is to be done.
  bool without(const Input& input, const std::shared_ptr<const Record>* record) {
    if (world_.with(Switch::no_tombstone) && shard_.role == RoleId::inventory && !stored_ && !known_) {
      if (record && (*record)->event.topic != Topic::order_placed) {
        if ((*record)->event.topic == Topic::inventory_release_requested) forgot_release_ = true;
        return true;
      }
      known_ = true;
    }
    if (world_.with(Switch::passivated_order_forgets_deadline) && shard_.role == RoleId::order && stored_ && std::holds_alternative<Due>(input))
      return true;  // it was woken from the store, and does not remember that it waits
    return false;
  }

  void tamper(const std::shared_ptr<const Record>* record, Change& change, std::size_t published, std::size_t acts, Millis now) {
    if (world_.with(Switch::act_before_durable) && world_.toss(.3))
      for (; acts < change.acts.size(); ++acts) act(change.acts[acts]);
    if (world_.with(Switch::release_before_recorded))
      for (const Act& one : change.acts)
        if (one.step == Step::release) act(one);
    if (world_.with(Switch::publish_before_commit) && world_.toss(.3))
      for (std::size_t i = published; i < change.publish.size(); ++i) world_.publish(world_.codec().write(change.publish[i]));
    if (world_.with(Switch::asked_again_on_repeated_answer) && record && shard_.role == RoleId::order && state_ == "inventory_reserved" &&
        (*record)->event.topic == Topic::inventory_reserved) {
      Event again;
      again.topic = Topic::payment_initiated;
      again.order = (*record)->event.order;
      again.user = UserId{"user"};
      again.amount = (*record)->event.amount;
      again.ce_time = now;
      again.ce_id = again.order.value + "/again/" + std::to_string(now);
      change.publish.push_back(std::move(again));
    }
    if (world_.with(Switch::released_answers_reserved) && record && shard_.role == RoleId::inventory &&
        (*record)->event.topic == Topic::order_placed)
      for (std::size_t i = published; i < change.publish.size(); ++i)
        if (change.publish[i].topic == Topic::inventory_failed && !change.publish[i].reason.empty()) {
          change.publish[i].topic = Topic::inventory_reserved;
          change.publish[i].amount = 0;
        }
  }

  void act(const Act& one) {
    static_cast<void>(world_.execute(shard_.role, node_, one, shard_, world_.stores[shard_.role].shards[shard_.partition].epoch));
  }

  World& world_;
  ShardId shard_;
  int node_;
  std::unique_ptr<Entity> inner_;
  std::string key_, state_;
  bool stored_, known_ = false, forgot_release_ = false;
};

}  // namespace

std::shared_ptr<const Role> seeded(World& world, ShardId shard, int node, std::shared_ptr<const Role> role) {
  Role with = *role;
  with.load = [&world, shard, node, role](const std::string& key, const Row* stored) -> std::unique_ptr<Entity> {
    return std::make_unique<Tampered>(world, shard, node, role->load(key, stored), key, stored);
  };
  return std::make_shared<const Role>(std::move(with));
}

}  // namespace cartwright::loop
