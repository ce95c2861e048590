#include "app/api/clerk.hpp"

#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "actors/codec.hpp"
#include "actors/harden.hpp"
#include "app/api/requests.hpp"
#include "app/api/views.hpp"
#include "bridges/http/problem.hpp"

namespace cartwright::api {

/// To itself: look what became of a cancellation that went into the log.
struct LookAgain {
  std::uint64_t number = 0;
};

}  // namespace cartwright::api

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::LookAgain)

namespace cartwright::api {
namespace {

using ClerkSelf = ClerkActor::extend<caf::reacts_to<LookAgain>>;
using order::State;

constexpr std::string_view store_away = "the store cannot be read just now; try again";
constexpr std::string_view charges_away = "the gateway's ledger cannot be read just now; try again";
constexpr std::string_view request_stands =
    "the order's owner has not answered in time; the request stands and will be decided";

void send_json(const http::Responder& responder, std::string body) {
  responder.send({.status = 200, .content_type = "application/json", .headers = {}, .body = std::move(body)});
}

void send_unavailable(const http::Responder& responder, std::string_view detail) {
  responder.send(http::problem(503, {}, detail));
}

/// A page of orders in the making: rows of events without their order are left out, so it may take several questions.
struct Page {
  ListRows next;  // what to ask for next; its limit is the page's size
  http::Responder responder;
  std::vector<order::Order> orders;
  int rounds = 0;
};

/// A cancellation that went into the log.
struct Outcome {
  OrderId order;
  http::Responder responder;
  caf::actor_clock::time_point until;
};

/// The shards that have described themselves.
struct Gathering {
  http::Responder responder;
  std::vector<ShardView> views;
  std::size_t missing = 0;
};

struct ClerkState {
  inline static const char* name = "clerk";

  void start(ClerkSelf::stateful_pointer<ClerkState> own, ClerkDeps given) {
    self_ = own;
    deps_ = std::move(given);
  }

  void on(const Ask& ask) {
    switch (ask.what) {
      case Ask::What::order: return order(ask);
      case Ask::What::history: return history(ask);
      case Ask::What::notifications: return notifications(ask);
      case Ask::What::charges: return charges(ask);
      case Ask::What::list: return list(std::make_shared<Page>(Page{ask.list, ask.responder, {}, 0}));
      case Ask::What::parked: return parked(ask);
      case Ask::What::cancel: return command(ask, CommandKind::cancel);
      case Ask::What::retry: return command(ask, CommandKind::retry);
      case Ask::What::actors: return actors(ask.responder);
      case Ask::What::report: return report(ask);
    }
  }

  void look_again(std::uint64_t number) {
    const auto found = outcomes_.find(number);
    if (found == outcomes_.end()) return;
    const Outcome outcome = found->second;
    if (self_->clock().now() >= outcome.until) return unanswered(number);
    auto again = [this, number] { self_->delayed_send(self_, bounds::outcome_poll, LookAgain{number}); };
    self_->request(deps_.orders, bounds::read_timeout, FindRow{outcome.order.value})
        .then(
            [this, number, outcome, again](const FoundRow& found_row) {
              const auto known = found_row.ok && found_row.row ? decode(*found_row.row) : std::nullopt;
              if (!known || !tell_decided(*known, outcome.responder)) return again();
              outcomes_.erase(number);
            },
            [again](const caf::error&) { again(); });
  }

 private:
  // -- questions ----

  void order(const Ask& ask) {
    with_order(ask.order, ask.responder,
               [responder = ask.responder, seen = ask.if_none_match](const Row& row, const order::Order& known) {
                 http::Response response{.status = 200, .content_type = "application/json", .headers = {}, .body = {}};
                 response.headers.push_back({"ETag", etag_of(row)});
                 response.headers.push_back({"Cache-Control", "no-cache"});
                 if (matches(seen, response.headers.front().value)) {
                   response.status = 304;
                   response.content_type.clear();
                 } else {
                   response.body = order_json(known);
                 }
                 responder.send(std::move(response));
               });
  }

  void history(const Ask& ask) {
    self_->request(deps_.orders, bounds::read_timeout, FindHistory{ask.order})
        .then(
            [this, ask](const History& found) {
              if (!found.ok) return send_unavailable(ask.responder, store_away);
              if (found.transitions.empty()) return no_such_order(ask.order, ask.responder);
              send_json(ask.responder, history_json(found.transitions));
            },
            [ask](const caf::error&) { send_unavailable(ask.responder, store_away); });
  }

  void notifications(const Ask& ask) {
    self_->request(deps_.notices, bounds::read_timeout, RowsUnder{ask.order.value + "/", 0})
        .then(
            [this, ask](const Loaded& found) {
              if (!found.ok) return send_unavailable(ask.responder, store_away);
              std::vector<notification::Notice> notices;
              try {
                for (const Row& row : found.rows) notices.push_back(deps_.codec->read_notice(row));
              } catch (const std::exception& error) {
                return ask.responder.send(http::problem(500, {}, error.what()));
              }
              send_found(ask, notices_json(notices), notices.empty());
            },
            [ask](const caf::error&) { send_unavailable(ask.responder, store_away); });
  }

  void charges(const Ask& ask) {
    if (!deps_.charges)
      return ask.responder.send(http::problem(404, "No ledger here", "the charges are in the payment gateway's own books"));
    self_->request(deps_.charges, bounds::read_timeout, FindCharges{ask.order})
        .then(
            [this, ask](const ChargesFound& found) {
              if (!found.ok) return send_unavailable(ask.responder, charges_away);
              send_found(ask, charges_json(found.charges), found.charges.empty());
            },
            [ask](const caf::error&) { send_unavailable(ask.responder, charges_away); });
  }

  /// Other roles may know of an order that the order role does not (a foreign one's); an empty list is 404 for an
  /// unknown order, where that can be said.
  void send_found(const Ask& ask, std::string body, bool empty) {
    if (!empty || !contains(deps_.roles, RoleId::order)) return send_json(ask.responder, std::move(body));
    with_order(ask.order, ask.responder,
               [responder = ask.responder, body](const Row&, const order::Order&) { send_json(responder, body); });
  }

  void list(const std::shared_ptr<Page>& page) {
    constexpr int rounds_max = 10;  // then a page may be shorter than asked for; its token goes on
    ListRows question = page->next;
    ++question.limit;
    self_->request(deps_.orders, bounds::read_timeout, std::move(question))
        .then(
            [this, page](const Loaded& found) {
              if (!found.ok) return send_unavailable(page->responder, store_away);
              const auto size = static_cast<std::size_t>(page->next.limit);
              bool more = found.rows.size() > size;
              for (std::size_t i = 0; i < std::min(size, found.rows.size()); ++i) {
                if (page->orders.size() == size) {
                  more = true;
                  break;
                }
                const Row& row = found.rows[i];
                page->next.before = row.key;
                if (auto known = decode(row); known && known->state != State::unknown)
                  page->orders.push_back(std::move(*known));
              }
              if (more && page->orders.size() < size && ++page->rounds < rounds_max) return list(page);
              send_page(*page, more);
            },
            [page](const caf::error&) { send_unavailable(page->responder, store_away); });
  }

  static void send_page(const Page& page, bool more) {
    json::Writer out(64 + 512 * page.orders.size());
    out.begin_object().key("items").begin_array();
    for (const order::Order& known : page.orders) write_order(out, known);
    out.end_array().key("next_page_token");
    if (more)
      out.string(page_token('o', page.next.before));
    else
      out.null();
    out.end_object();
    send_json(page.responder, out.take());
  }

  /// Orders that are set aside: why, since when, and what waits behind them.
  void parked(const Ask& ask) {
    const auto size = static_cast<std::size_t>(ask.list.limit);
    self_->request(deps_.orders, bounds::read_timeout, ListSetAside{ask.list.before, ask.list.limit + 1})
        .then(
            [responder = ask.responder, size](const SetAsideRows& found) {
              if (!found.ok) return send_unavailable(responder, store_away);
              json::Writer out(64 + 256 * found.rows.size());
              out.begin_object().key("items").begin_array();
              for (std::size_t i = 0; i < std::min(size, found.rows.size()); ++i) write_set_aside(out, found.rows[i]);
              out.end_array().key("next_page_token");
              if (found.rows.size() > size)
                out.string(page_token('p', found.rows[size - 1].quarantine.key));
              else
                out.null();
              send_json(responder, out.end_object().take());
            },
            [responder = ask.responder](const caf::error&) { send_unavailable(responder, store_away); });
  }

  // -- commands ----

  void command(const Ask& ask, CommandKind kind) {
    ShardActor shard;
    if (deps_.owner) shard = deps_.owner(RoleId::order, partition_of(ask.order.value, deps_.settings.partitions));
    if (!shard) return kind == CommandKind::cancel ? cancel_elsewhere(ask) : retry_elsewhere(ask);
    self_->request(shard, deps_.patience.command, ask.order.value, Command{kind, ++commands_})
        .then([this, ask](const CommandReply& reply) { replied(ask, reply); },
              [this, ask, kind](const caf::error& error) { command_failed(ask, kind, error); });
  }

  void replied(const Ask& ask, const CommandReply& reply) {
    if (reply.status == 404) return no_such_order(ask.order, ask.responder);
    if (reply.status >= 400) return ask.responder.send(http::problem(reply.status, {}, reply.detail));
    // What was set aside before it was placed has no row that could be shown.
    if (reply.detail == retry_lifted) return send_lifted(ask);
    send_accepted(ask);
  }

  /// 202 with the order as the decision has left it.
  void send_accepted(const Ask& ask) {
    with_order(ask.order, ask.responder,
               [responder = ask.responder](const Row&, const order::Order& known) { send_order(responder, known); });
  }

  void send_lifted(const Ask& ask) {
    self_->request(deps_.orders, bounds::read_timeout, FindRow{ask.order.value})
        .then(
            [this, ask](const FoundRow& found) {
              const auto known = found.ok && found.row ? decode(*found.row) : std::nullopt;
              if (known && known->state != State::unknown) return send_order(ask.responder, *known);
              json::Writer out(64);
              out.begin_object().key("order_id").string(ask.order.value).key("status").null().end_object();
              ask.responder.send({.status = 202, .content_type = "application/json", .headers = {}, .body = out.take()});
            },
            [ask](const caf::error&) { send_unavailable(ask.responder, store_away); });
  }

  static void send_order(const http::Responder& responder, const order::Order& known) {
    responder.send({.status = 202,
                    .content_type = "application/json",
                    .headers = {{"Location", "/v1/orders/" + known.id.value}},
                    .body = order_json(known)});
  }

  void command_failed(const Ask& ask, CommandKind kind, const caf::error& error) {
    if (kind == CommandKind::retry) return ask.responder.send(http::problem(504, {}, request_stands));
    // The shard has gone meanwhile: whoever takes it finds the request in the log.
    if (error != caf::sec::request_timeout) return cancel_elsewhere(ask);
    publish_cancel(ask.order);
    ask.responder.send(http::problem(504, {}, request_stands));
  }

  /// Told again by the outside unless it hears a 2xx; and what it says is absorbed, however often it comes.
  void report(const Ask& ask) {
    ShardActor shard;
    if (deps_.owner) shard = deps_.owner(ask.role, partition_of(ask.order.value, deps_.settings.partitions));
    if (!shard) return retry_elsewhere(ask);
    self_->request(shard, deps_.patience.command, ask.order.value, Command{CommandKind::report, ++commands_, ask.outcome})
        .then(
            [ask](const CommandReply& reply) {
              if (reply.status >= 400) return ask.responder.send(http::problem(reply.status, {}, reply.detail));
              ask.responder.send({.status = 204, .content_type = {}, .headers = {}, .body = {}});
            },
            [ask](const caf::error&) {
              ask.responder.send(http::problem(503, {}, "it is not known yet whether this was recorded; tell it again"));
            });
  }

  static void retry_elsewhere(const Ask& ask) {
    ask.responder.send(http::problem(503, "Owner not here",
                                     "the order's shard is not on this node just now; ask the node that has it"));
  }

  void cancel_elsewhere(const Ask& ask) {
    with_order(ask.order, ask.responder, [this, ask](const Row&, const order::Order& known) {
      if (tell_decided(known, ask.responder)) return;
      publish_cancel(ask.order);
      const std::uint64_t number = ++commands_;
      outcomes_.emplace(number, Outcome{ask.order, ask.responder, self_->clock().now() + deps_.patience.command});
      self_->delayed_send(self_, bounds::outcome_poll, LookAgain{number});
    });
  }

  void publish_cancel(const OrderId& id) {
    Event event;
    event.topic = Topic::order_cancel_requested;
    event.order = id;
    event.ce_id = id.value + "/" + std::string(to_string(event.topic));
    event.ce_time = deps_.clock();
    auto outgoing = std::make_shared<std::vector<Outgoing>>();
    outgoing->push_back(deps_.codec->write(event));
    self_->send(deps_.producer, Publish{{}, 0, 0, std::move(outgoing)});
  }

  /// Answers when the order's state says what a cancellation comes to: no state of these can be left for another
  /// answer.
  static bool tell_decided(const order::Order& known, const http::Responder& responder) {
    if (known.state == State::pending || known.state == State::inventory_reserved || known.state == State::unknown)
      return false;
    if (known.state == State::cancelled || known.state == State::refunded)
      send_order(responder, known);
    else
      responder.send(http::problem(
          409, {}, "the order is " + std::string(to_string(known.state)) + " and cannot be cancelled any more"));
    return true;
  }

  void unanswered(std::uint64_t number) {
    const auto found = outcomes_.find(number);
    found->second.responder.send(http::problem(504, {}, request_stands));
    outcomes_.erase(found);
  }

  // -- shards ----

  void actors(const http::Responder& responder) {
    auto gathering = std::make_shared<Gathering>(Gathering{responder, {}, 0});
    std::vector<ShardActor> shards;
    for (RoleId role : roles)
      for (int partition = 0; deps_.owner && contains(deps_.roles, role) && partition < deps_.settings.partitions;
           ++partition)
        if (auto shard = deps_.owner(role, partition)) shards.push_back(std::move(shard));
    gathering->missing = shards.size();
    if (shards.empty()) return send_actors(*gathering);
    auto one_less = [gathering] {
      if (--gathering->missing == 0) send_actors(*gathering);
    };
    for (const ShardActor& shard : shards)
      self_->request(shard, bounds::describe_timeout, Describe{})
          .then(
              [gathering, one_less](const ShardView& view) {
                gathering->views.push_back(view);
                one_less();
              },
              [one_less](const caf::error&) { one_less(); });
  }

  static void send_actors(Gathering& gathering) {
    std::sort(gathering.views.begin(), gathering.views.end(),
              [](const auto& a, const auto& b) { return a.shard < b.shard; });
    json::Writer out(64 + 256 * gathering.views.size());
    auto count = [&out](std::string_view member, auto value) {
      out.key(member).integer(static_cast<std::int64_t>(value));
    };
    out.begin_object().key("items").begin_array();
    for (const ShardView& view : gathering.views) {
      out.begin_object().key("role").string(to_string(view.shard.role));
      count("partition", view.shard.partition);
      count("epoch", view.epoch);
      out.key("phase").string(view.phase);
      count("turns", view.turns);
      count("records", view.records);
      count("restarts", view.restarts);
      count("dead_letters", view.dead_letters);
      count("rows", view.rows);
      count("actors", view.actors);
      count("waiting", view.waiting);
      count("unpublished", view.unpublished);
      count("quarantined", view.quarantined);
      count("sequence", view.sequence);
      count("published", view.published);
      out.end_object();
    }
    send_json(gathering.responder, out.end_array().end_object().take());
  }

  // -- rows ----

  /// The order of a row; nothing when it was not written by this program.
  [[nodiscard]] std::optional<order::Order> decode(const Row& row) const {
    try {
      return deps_.codec->read_order(row);
    } catch (const std::exception&) {
      return {};
    }
  }

  static void no_such_order(const OrderId& id, const http::Responder& responder) {
    responder.send(http::problem(404, {}, "there is no order " + id.value));
  }

  /// `then` gets the row and the order of an id; else the client is told why there is none.
  template <class Then>
  void with_order(const OrderId& id, const http::Responder& responder, Then then) {
    self_->request(deps_.orders, bounds::read_timeout, FindRow{id.value})
        .then(
            [this, id, responder, then](const FoundRow& found) {
              if (!found.ok) return send_unavailable(responder, store_away);
              if (!found.row) return no_such_order(id, responder);
              const auto known = decode(*found.row);
              if (!known) return responder.send(http::problem(500, {}, "the stored order cannot be read"));
              if (known->state == State::unknown) return no_such_order(id, responder);
              then(*found.row, *known);
            },
            [responder](const caf::error&) { send_unavailable(responder, store_away); });
  }

  ClerkSelf::stateful_pointer<ClerkState> self_ = nullptr;
  ClerkDeps deps_;
  std::map<std::uint64_t, Outcome> outcomes_;
  std::uint64_t commands_ = 0;
};

ClerkSelf::behavior_type clerk(ClerkSelf::stateful_pointer<ClerkState> self, ClerkDeps deps) {
  harden(self);
  self->state.start(self, std::move(deps));
  return {
      [self](const Ask& ask) { self->state.on(ask); },
      [self](LookAgain again) { self->state.look_again(again.number); },
  };
}

}  // namespace

ClerkActor spawn_clerk(caf::actor_system& system, ClerkDeps deps) { return system.spawn(clerk, std::move(deps)); }

}  // namespace cartwright::api
