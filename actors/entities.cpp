#include "actors/role.hpp"

namespace cartwright {
namespace {

/// Binds one role's state, rules and codec to the Entity interface.
template <class State, class Rules, class Columns>
class RuleEntity final : public Entity {
 public:
  RuleEntity(State state, const Settings& settings, const Codec& codec, Rules rules, Columns columns)
      : state_(std::move(state)), settings_(settings), codec_(codec), rules_(rules), columns_(columns) {}

  void digest(const Input& input, Millis now, Change& change) override { rules_(state_, input, settings_, now, change); }

  void describe(Row& row) const override {
    row.state = to_string(state_.state);
    row.created_at = state_.created_at;
    row.updated_at = state_.updated_at;
    columns_(state_, row);
    row.doc = codec_.write(state_);
  }

 private:
  State state_;
  const Settings& settings_;
  const Codec& codec_;
  Rules rules_;
  Columns columns_;
};

template <class State, class Rules, class Read, class Columns>
auto loader(std::shared_ptr<const Settings> settings, std::shared_ptr<const Codec> codec, Rules rules, Read read,
            Columns columns) {
  return [=](const std::string&, const Row* stored) -> std::unique_ptr<Entity> {
    State state = stored ? read(*codec, *stored) : State{};
    return std::make_unique<RuleEntity<State, Rules, Columns>>(std::move(state), *settings, *codec, rules, columns);
  };
}

std::string order_key(const Event& event) { return event.order.value; }

template <Topic first>
bool begins_with(const Event& event) {
  return event.topic == first && !event.stored;
}

}  // namespace

std::shared_ptr<const Role> make_role(RoleId id, const Settings& given, std::shared_ptr<const Codec> codec) {
  auto settings = std::make_shared<const Settings>(given);
  Role role;
  role.id = id;
  role.key_of = order_key;
  auto no_owner = [](const auto&, Row&) {};
  switch (id) {
    case RoleId::order:
      role.supervised = true;
      role.placed_by_doors = true;
      role.begins = begins_with<Topic::order_placed>;
      role.resumes = [](const std::string& state) { return state == order::to_string(order::State::pending); };
      role.load = loader<order::Order>(
          settings, codec, order::digest, [](const Codec& c, const Row& row) { return c.read_order(row); },
          [](const order::Order& o, Row& row) { row.owner = o.user.value; });
      break;
    case RoleId::inventory:
      // order.placed of one of our doors is the first that inventory hears of an order, too.
      role.begins = [](const Event& e) { return e.topic == Topic::order_placed; };
      role.load = loader<inventory::Reservation>(
          settings, codec, inventory::digest, [](const Codec& c, const Row& row) { return c.read_reservation(row); },
          no_owner);
      break;
    case RoleId::payment:
      role.begins = begins_with<Topic::payment_initiated>;
      role.load = loader<payment::Charge>(
          settings, codec, payment::digest, [](const Codec& c, const Row& row) { return c.read_charge(row); },
          [](const payment::Charge& c, Row& row) { row.owner = c.user.value; });
      break;
    case RoleId::shipping:
      role.begins = begins_with<Topic::order_shipped>;
      role.load = loader<shipping::Shipment>(
          settings, codec, shipping::digest, [](const Codec& c, const Row& row) { return c.read_shipment(row); },
          [](const shipping::Shipment& s, Row& row) { row.owner = s.user.value; });
      break;
    case RoleId::notification:
      role.key_of = notification::key_of;
      role.begins = [](const Event&) { return true; };
      role.load = loader<notification::Notice>(
          settings, codec, notification::digest, [](const Codec& c, const Row& row) { return c.read_notice(row); },
          no_owner);
      break;
  }
  return std::make_shared<const Role>(std::move(role));
}

}  // namespace cartwright
