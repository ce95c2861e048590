#include "bridges/notices/office.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>

#include "actors/harden.hpp"
#include "bridges/curl/port.hpp"

namespace cartwright::notices {

/// To the office: a message's exchange has ended.
struct Handed {
  std::string key;
  std::shared_ptr<const curl::Response> response;
};

}  // namespace cartwright::notices

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::notices::Handed)

namespace cartwright::notices {
namespace {

using namespace std::chrono_literals;
using Self = PortActor::extend<caf::reacts_to<Handed>>;

constexpr auto read_timeout = 5s;           // of the store's reader; then the act is asked again
constexpr std::size_t under_way_max = 10'000;  // addresses looked for and messages in lanes; more are asked again

/// An act under way, and who wants to know.
struct Asked {
  Act act;
  ShardActor reply_to;
  Epoch epoch = 0;
};

class Office : public Self::base {
 public:
  Office(caf::actor_config& config, OfficeDeps deps) : Self::base(config), d_(std::move(deps)) {}
  const char* name() const override { return "notices"; }

 protected:
  behavior_type make_behavior() override {
    harden(this);
    return {[this](Acts& acts) { on(acts); }, [this](const Handed& handed) { on(handed); }};
  }

 private:
  void on(Acts& acts) {
    for (Act& act : acts.acts) {
      if (act.step != Step::notify) continue;
      const std::string key = curl::effect_key(act);
      if (auto under_way = asked_.find(key); under_way != asked_.end()) {
        under_way->second.reply_to = acts.reply_to;
        under_way->second.epoch = acts.epoch;
        continue;
      }
      if (asked_.size() >= under_way_max) continue;
      const Asked& asked = asked_.emplace(key, Asked{std::move(act), acts.reply_to, acts.epoch}).first->second;
      if (!d_.channels.contains(asked.act.channel)) {
        answer(key, Answer::refused, "the channel has no server any more");
      } else if (!asked.act.extras.empty() || asked.act.occasion == to_string(Topic::order_placed)) {
        hand_over(key, asked.act.extras);
      } else {
        look_up(key);
      }
    }
  }

  /// Most events do not carry the contact; the notice of order.placed has kept it.
  void look_up(const std::string& key) {
    const std::string placed = asked_.at(key).act.order.value + "/" + std::string(to_string(Topic::order_placed));
    request(d_.reader, read_timeout, FindRow{placed})
        .then(
            [this, key](const FoundRow& found) {
              if (!found.ok || !found.row) return give_up(key);  // not read yet, perhaps: it is asked again
              try {
                hand_over(key, d_.codec->read_notice(*found.row).extras);
              } catch (const std::exception&) {
                give_up(key);
              }
            },
            [this, key](const caf::error&) { give_up(key); });
  }

  void hand_over(const std::string& key, const std::string& extras) {
    const Act& act = asked_.at(key).act;
    const Contact contact = read_contact(extras);
    const std::string& to = contact.address(act.channel);
    if (to.empty()) return answer(key, Answer::refused, std::string(notification::no_recipient));
    Letter letter = d_.templates.render(act.occasion, act.channel,
                                        {{"name", contact.name}, {"order_id", act.order.value}, {"occasion", act.occasion},
                                         {"channel", act.channel}, {"text", act.text}});
    const Channel& channel = d_.channels.at(act.channel);
    Message message{key, act.channel, to, act.order.value, act.occasion, std::move(letter.subject), std::move(letter.text)};
    const bool taken = channel.lane->submit(channel.ask(message), [key, office = Self(this)](curl::Response response) {
      caf::anon_send(office, Handed{key, std::make_shared<const curl::Response>(std::move(response))});
    });
    if (!taken) give_up(key);
  }

  void on(const Handed& handed) {
    auto found = asked_.find(handed.key);
    if (found == asked_.end()) return;
    const Answer said = d_.channels.at(found->second.act.channel).hear(*handed.response);
    if (said == Answer::unknown) return give_up(handed.key);
    const curl::Response& response = *handed.response;
    answer(handed.key, said, said == Answer::done ? "" : response.fault.empty() ? "http_" + std::to_string(response.status) : response.fault);
  }

  void give_up(const std::string& key) { asked_.erase(key); }

  void answer(const std::string& key, Answer said, std::string detail) {
    auto found = asked_.find(key);
    Outcomes outcomes{found->second.epoch, {}};
    Outcome outcome = curl::outcome_of(found->second.act, said);
    outcome.reference = found->second.act.channel;
    outcome.detail = std::move(detail);
    outcomes.outcomes.push_back(std::move(outcome));
    caf::anon_send(found->second.reply_to, std::move(outcomes));
    asked_.erase(found);
  }

  OfficeDeps d_;
  std::map<std::string, Asked> asked_;  // by effect key
};

}  // namespace

PortActor spawn_office(caf::actor_system& system, OfficeDeps deps) {
  return caf::actor_cast<PortActor>(system.spawn<Office>(std::move(deps)));
}

}  // namespace cartwright::notices
