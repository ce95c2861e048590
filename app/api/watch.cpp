#include "app/api/watch.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "actors/codec.hpp"
#include "actors/harden.hpp"
#include "app/api/bounds.hpp"
#include "app/api/views.hpp"
#include "bridges/http/problem.hpp"

namespace cartwright::api {

/// To itself: look after the streams.
struct Sweep {};

}  // namespace cartwright::api

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::Sweep)

namespace cartwright::api {
namespace {

using WatchSelf = WatchActor::extend<caf::reacts_to<Sweep>>;

constexpr std::string_view store_away = "the store cannot be read just now; try again";

std::string block(const order::Order& order) {
  return "event: order\nid: " + std::to_string(order.version) + "\ndata: " + order_json(order) + "\n\n";
}

/// A client, and what it has been told.
struct Follower {
  http::Stream stream;
  std::int64_t row_version = 0, version = 0;
};

/// An order that somebody follows.
struct Followed {
  std::vector<Follower> followers;
  bool asking = false;
};

struct WatchState {
  inline static const char* name = "watch";

  void start(WatchSelf::stateful_pointer<WatchState> own, ReaderActor orders, std::shared_ptr<const Codec> codec) {
    self_ = own;
    orders_ = std::move(orders);
    codec_ = std::move(codec);
  }

  void follow(const Follow& asked) {
    if (streams_ >= bounds::watches_max)
      return asked.responder.send(http::problem(503, {}, "too many streams are open; ask for the order itself"));
    self_->request(orders_, bounds::read_timeout, FindRow{asked.order.value})
        .then([this, asked](const FoundRow& found) { begin(asked, found); },
              [asked](const caf::error&) { asked.responder.send(http::problem(503, {}, store_away)); });
  }

  void sweep() {
    sweep_sent_ = false;
    streams_ = 0;
    for (auto it = followed_.begin(); it != followed_.end();) {
      std::erase_if(it->second.followers, [](const Follower& follower) { return !follower.stream.open(); });
      streams_ += it->second.followers.size();
      it = it->second.followers.empty() ? followed_.erase(it) : std::next(it);
    }
    for (auto& [key, followed] : followed_)
      if (!followed.asking) ask(key, followed);
    watch();
  }

 private:
  void begin(const Follow& asked, const FoundRow& found) {
    if (!found.ok) return asked.responder.send(http::problem(503, {}, store_away));
    const auto order = found.row ? decode(*found.row) : std::nullopt;
    if (!order || order->state == order::State::unknown)
      return asked.responder.send(http::problem(404, {}, "there is no order " + asked.order.value));
    const bool over = order::is_final(*order);
    // 204 tells an EventSource that comes back after the last event to stop.
    if (over && asked.last_event_id == std::to_string(order->version)) return asked.responder.send({.status = 204});
    http::Stream stream = asked.responder.start_stream();
    if (!stream.write(block(*order))) return;
    if (over) return stream.close();
    followed_[asked.order.value].followers.push_back({std::move(stream), found.row->version, order->version});
    ++streams_;
    watch();
  }

  void watch() {
    if (sweep_sent_ || followed_.empty()) return;
    sweep_sent_ = true;
    self_->delayed_send(self_, bounds::watch_interval, Sweep{});
  }

  void ask(const std::string& key, Followed& followed) {
    followed.asking = true;
    self_->request(orders_, bounds::read_timeout, FindRow{key})
        .then([this, key](const FoundRow& found) { look(key, found); }, [this, key](const caf::error&) { asked(key); });
  }

  Followed* asked(const std::string& key) {
    const auto found = followed_.find(key);
    if (found == followed_.end()) return nullptr;
    found->second.asking = false;
    return &found->second;
  }

  void look(const std::string& key, const FoundRow& found) {
    Followed* followed = asked(key);
    if (followed == nullptr || !found.ok || !found.row) return;
    const std::int64_t row_version = found.row->version;
    auto is_behind = [row_version](const Follower& follower) { return follower.row_version < row_version; };
    if (std::none_of(followed->followers.begin(), followed->followers.end(), is_behind)) return;
    const auto order = decode(*found.row);
    if (!order) return;
    auto missed_some = [&order](const Follower& follower) { return follower.version + 1 < order->version; };
    if (std::none_of(followed->followers.begin(), followed->followers.end(), missed_some))
      return tell(*followed, row_version, *order, {});
    followed->asking = true;
    self_->request(orders_, bounds::read_timeout, FindHistory{order->id})
        .then(
            [this, key, order, row_version](const History& history) {
              if (Followed* still = asked(key)) tell(*still, row_version, *order, history.transitions);
            },
            [this, key](const caf::error&) { asked(key); });
  }

  /// Tells all who follow an order what they have missed, then how it is now.
  static void tell(Followed& followed, std::int64_t row_version, const order::Order& order,
                   const std::vector<Transition>& history) {
    const bool over = order::is_final(order);
    const std::string now = block(order);
    for (Follower& follower : followed.followers) {
      if (follower.row_version >= row_version) continue;
      std::string text;
      for (const Transition& step : history)
        if (step.version > follower.version && step.version < order.version) text += block(as_of(order, step));
      follower.stream.write(text + now);
      follower.row_version = row_version;
      follower.version = order.version;
      if (over) follower.stream.close();
    }
  }

  [[nodiscard]] std::optional<order::Order> decode(const Row& row) const {
    try {
      return codec_->read_order(row);
    } catch (const std::exception&) {
      return {};
    }
  }

  WatchSelf::stateful_pointer<WatchState> self_ = nullptr;
  ReaderActor orders_;
  std::shared_ptr<const Codec> codec_;
  std::map<std::string, Followed> followed_;  // by order id
  std::size_t streams_ = 0;
  bool sweep_sent_ = false;
};

WatchSelf::behavior_type watch(WatchSelf::stateful_pointer<WatchState> self, ReaderActor orders,
                               std::shared_ptr<const Codec> codec) {
  harden(self);
  self->state.start(self, std::move(orders), std::move(codec));
  return {
      [self](const Follow& asked) { self->state.follow(asked); },
      [self](Sweep) { self->state.sweep(); },
  };
}

}  // namespace

WatchActor spawn_watch(caf::actor_system& system, ReaderActor orders, std::shared_ptr<const Codec> codec) {
  return system.spawn(watch, std::move(orders), std::move(codec));
}

}  // namespace cartwright::api
