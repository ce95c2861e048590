#include "app/api/desk.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/harden.hpp"
#include "app/api/requests.hpp"
#include "app/api/views.hpp"
#include "bridges/http/problem.hpp"

namespace cartwright::api {

/// To itself: time passes.
struct DeskTick {};

}  // namespace cartwright::api

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::DeskTick)

namespace cartwright::api {
namespace {

using DeskSelf = DeskActor::extend<caf::reacts_to<DeskTick>>;

constexpr std::string_view not_verified = "the stock in Redis is not verified just now; try again";
constexpr std::string_view ledger_away = "the ledger of stock cannot be read just now; try again";
constexpr std::string_view ledger_unwritable =
    "the ledger of stock cannot be written just now; nothing was changed; try again";
constexpr std::string_view recorded =
    "the change is recorded and will be applied as soon as the stock in Redis can be written; do not send it again";
constexpr std::string_view undecided =
    "the change is recorded, but whether there is enough available is not decided yet; look at the product's stock "
    "again soon";

/// A change that is under way.
struct Job {
  Hand hand;
  std::optional<http::Responder> responder;  // of the client; nobody waits for what the sweep found
  std::optional<StoredAnswer> answer;        // to be stored: key and hash
  caf::actor_clock::time_point until, next;
  bool asking = false;
  StockIdentity identity;  // of the instance that applied it
};
using JobPtr = std::shared_ptr<Job>;

/// A change that the ledger could not open yet: it was away, or another change of the product was being settled.
struct PutOff {
  StockChange change;
  http::Responder responder;
  caf::actor_clock::time_point until;
  bool unknown = false;  // it may have been written
};

redis::StockCounts ledger_counts(const Product& product) {
  return {product.id, product.stocked - product.reserved - product.sold, product.reserved, product.sold,
          product.stocked};
}

struct DeskState {
  inline static const char* name = "stock-desk";

  void start(DeskSelf::stateful_pointer<DeskState> own, DeskDeps given) {
    self_ = own;
    deps_ = std::move(given);
    next_sweep_ = self_->clock().now() + bounds::hand_sweep;
    self_->delayed_send(self_, bounds::desk_tick, DeskTick{});
  }

  // -- changes ----

  void change(ChangeByHand& asked) {
    const http::Responder& responder = asked.responder;
    if (jobs_.size() >= bounds::hands_max || opening_ + put_off_.size() >= bounds::hands_max)
      return responder.send(http::problem(503, {}, "too many changes of stock are under way; try again"));
    const auto until = self_->clock().now() + deps_.patience.hand;
    if (asked.change.absolute) return open({std::move(asked.change), responder, until, false});
    // An adjustment is of something that is there; only PUT makes a product.
    find(FindProduct{asked.change.product}, responder,
         [this, responder, until, change = asked.change](const std::vector<Product>& known) {
           if (known.empty()) return no_such_product(change.product, responder);
           open({change, responder, until, false});
         });
  }

  void tick() {
    self_->delayed_send(self_, bounds::desk_tick, DeskTick{});
    const auto now = self_->clock().now();
    std::vector<JobPtr> due;
    for (const auto& [id, job] : jobs_)
      if (!job->asking && job->next <= now) due.push_back(job);
    for (const JobPtr& job : due) tell(job);
    open_again([](const PutOff&) { return true; });
    if (now < next_sweep_) return;
    next_sweep_ = now + bounds::hand_sweep;
    sweep();
  }

  // -- questions ----

  void show(const ShowStock& asked) {
    if (!asked.product.empty()) return show_one(asked);
    const int size = asked.page_size;
    auto responder = asked.responder;
    find(ListProducts{asked.after, size + 1}, responder, [this, responder, size](std::vector<Product> products) {
      std::string next;
      if (products.size() > static_cast<std::size_t>(size)) {
        products.resize(static_cast<std::size_t>(size));
        next = page_token('s', products.back().id.value);
      }
      read_counts(
          std::move(products), responder, [responder, next](const std::vector<Product>& all, const auto& counts) {
            json::Writer out(64 + 192 * all.size());
            out.begin_object().key("items").begin_array();
            for (std::size_t i = 0; i < all.size(); ++i) write_stock(out, all[i], counts[i]);
            out.end_array().key("next_page_token");
            if (next.empty())
              out.null();
            else
              out.string(next);
            out.end_object();
            responder.send({.status = 200, .content_type = "application/json", .headers = {}, .body = out.take()});
          });
    });
  }

 private:
  // -- a change's way: opened in the ledger, told to Redis, settled in the ledger ----

  void open(PutOff asked) {
    ++opening_;
    self_->request(deps_.store, bounds::hand_timeout, ChangeStock{asked.change})
        .then(
            [this, asked](const Hand& hand) mutable {
              --opening_;
              // The same change may be handed in again: it is absorbed when it is there after all.
              asked.unknown |= hand.unknown;
              if (hand.state == HandState::unavailable && self_->clock().now() < asked.until)
                return put_off_.push_back(asked);
              if (hand.state == HandState::unavailable && asked.unknown) return outcome_unknown(asked.responder);
              opened(hand, asked.responder, asked.change.answer);
            },
            [this, responder = asked.responder](const caf::error&) {
              --opening_;
              outcome_unknown(responder);
            });
  }

  static void outcome_unknown(const http::Responder& responder) {
    responder.send(http::problem(504, "Outcome unknown",
                                 "the ledger has not answered in time: the change may be made or not; repeat it "
                                 "with its Idempotency-Key, or look at the product's stock"));
  }

  template <class Which>
  void open_again(Which which) {
    auto put_off = std::exchange(put_off_, {});
    for (PutOff& each : put_off)
      if (which(each))
        open(std::move(each));
      else
        put_off_.push_back(std::move(each));
  }

  void opened(const Hand& hand, const http::Responder& responder, const std::optional<StoredAnswer>& answer) {
    switch (hand.state) {
      case HandState::unavailable: return responder.send(http::problem(503, {}, ledger_unwritable));
      case HandState::refused: return responder.send(http::problem(409, {}, hand.why));
      case HandState::known: return known(hand, responder, answer);
      case HandState::given:
      case HandState::asked:
      case HandState::done: break;
    }
    const auto now = self_->clock().now();
    auto job = std::make_shared<Job>(Job{hand, responder, answer, now + deps_.patience.hand, now, false, {}});
    // Redis must not be told again what it knew before a rebuild: that is in its totals, under no id any more.
    if (is_settled(hand)) return applied(job);
    // A repeated request whose first try was lost with its node may meet the sweep: the client is told by this job
    // then.
    jobs_[hand.id] = job;
    tell(job);
  }

  static void known(const Hand& hand, const http::Responder& responder, const std::optional<StoredAnswer>& answer) {
    if (!hand.stored || !answer) return responder.send(http::problem(503, {}, ledger_unwritable));
    if (hand.stored->request_hash != answer->request_hash)
      return responder.send(http::problem(422, {}, "the Idempotency-Key was used for another request"));
    if (hand.stored->status == 0)
      return responder.send(http::problem(409, {}, "a request with this Idempotency-Key is still running"));
    http::Response response{
        .status = hand.stored->status, .content_type = "application/json", .headers = {}, .body = hand.stored->body};
    if (!hand.stored->location.empty()) response.headers.push_back({"Location", hand.stored->location});
    response.headers.push_back({"Idempotency-Replayed", "true"});
    responder.send(std::move(response));
  }

  /// Given is never settled any further, it is told.
  [[nodiscard]] static bool is_settled(const Hand& hand) {
    return hand.state == HandState::done || (hand.state == HandState::given && hand.told);
  }

  [[nodiscard]] bool current(const JobPtr& job) const {
    const auto found = jobs_.find(job->hand.id);
    return found != jobs_.end() && found->second == job;
  }

  void tell(const JobPtr& job) {
    job->asking = true;
    const Hand& hand = job->hand;
    self_
        ->request(deps_.stock, bounds::stock_timeout,
                  redis::ChangeHand{hand.id, hand.product.id, hand.delta, hand.product.price_minor,
                                    hand.product.currency, hand.product.version})
        .then([this, job](const redis::HandSaid& said) { heard(job, said); },
              [this, job](const caf::error&) { rest(job); });
  }

  void heard(const JobPtr& job, const redis::HandSaid& said) {
    if (!current(job)) return;
    job->identity = said.identity;
    if (said.answer == redis::HandAnswer::applied) return applied(job);
    // What the ledger has given already cannot be refused: then Redis and ledger differ, and a rebuild will tell.
    if (said.answer == redis::HandAnswer::refused && job->hand.state == HandState::asked) return settle(job, false, {});
    rest(job);
  }

  /// The numbers for the answer are read before the change is settled, for the answer is stored with it.
  void applied(const JobPtr& job) {
    job->asking = true;
    auto with = [this, job](const redis::StockCounts& counts) {
      http::Response response{.status = job->hand.created ? 201 : 200,
                              .content_type = "application/json",
                              .headers = {},
                              .body = stock_json(job->hand.product, counts)};
      const std::string location = "/v1/stock/" + job->hand.product.id.value;
      if (job->hand.created) response.headers.push_back({"Location", location});
      if (is_settled(job->hand)) return finish(job, std::move(response));
      settle(job, true, std::move(response));
    };
    self_->request(deps_.stock, bounds::stock_timeout, redis::ReadStock{{job->hand.product.id}})
        .then(
            [job, with](const redis::StockPage& page) {
              with(page.ok && !page.counts.empty() ? page.counts.front() : after(job->hand));
            },
            [job, with](const caf::error&) { with(after(job->hand)); });
  }

  /// What the ledger says it is now, where Redis has just gone away: an asked change is not in the ledger's totals yet.
  static redis::StockCounts after(const Hand& hand) {
    Product product = hand.product;
    if (hand.state == HandState::asked) product.stocked += hand.delta;
    return ledger_counts(product);
  }

  void settle(const JobPtr& job, bool applied, http::Response response) {
    SettleHand settlement{job->hand.id, applied, job->identity, {}};
    if (applied && job->answer) {
      settlement.answer = job->answer;
      settlement.answer->status = response.status;
      settlement.answer->location = job->hand.created ? "/v1/stock/" + job->hand.product.id.value : std::string();
      settlement.answer->body = response.body;
      settlement.answer->at = deps_.clock();
    }
    self_->request(deps_.store, bounds::hand_timeout, std::move(settlement))
        .then(
            [this, job, applied, response](const Hand& hand) {
              if (!current(job)) return;
              if (hand.state == HandState::refused) return finish(job, http::problem(409, {}, hand.why));
              if (applied && is_settled(hand)) return finish(job, response);
              rest(job);
            },
            [this, job](const caf::error&) { rest(job); });
  }

  /// Tried again soon, as long as somebody waits for it; then the sweep's.
  void rest(const JobPtr& job) {
    if (!current(job)) return;
    job->asking = false;
    const auto now = self_->clock().now();
    job->next = now + bounds::hand_pause;
    if (now < job->until) return;
    finish(job, http::problem(503, {}, job->hand.state == HandState::asked ? undecided : recorded));
  }

  void finish(const JobPtr& job, http::Response response) {
    if (job->responder) job->responder->send(std::move(response));
    if (current(job)) jobs_.erase(job->hand.id);
    open_again([&](const PutOff& each) { return each.change.product == job->hand.product.id; });
  }

  void sweep() {
    if (sweeping_) return;
    sweeping_ = true;
    self_->request(deps_.store, bounds::hand_timeout, OpenHands{deps_.clock() - bounds::hand_sweep.count()})
        .then(
            [this](const Hands& hands) {
              sweeping_ = false;
              for (const Hand& hand : hands.hands) resume(hand);
            },
            [this](const caf::error&) { sweeping_ = false; });
  }

  void resume(const Hand& hand) {
    if (jobs_.size() >= bounds::hands_max || jobs_.contains(hand.id)) return;
    const auto now = self_->clock().now();
    auto job = std::make_shared<Job>(Job{hand, {}, hand.stored, now + deps_.patience.hand, now, false, {}});
    jobs_[hand.id] = job;
    tell(job);
  }

  // -- questions ----

  static void no_such_product(const ProductId& id, const http::Responder& responder) {
    responder.send(http::problem(404, {}, "there is no product " + id.value));
  }

  template <class Question, class Then>
  void find(Question question, const http::Responder& responder, Then then) {
    self_->request(deps_.reader, bounds::read_timeout, std::move(question))
        .then(
            [responder, then](const Products& found) {
              if (!found.ok) return responder.send(http::problem(503, {}, ledger_away));
              then(found.products);
            },
            [responder](const caf::error&) { responder.send(http::problem(503, {}, ledger_away)); });
  }

  void show_one(const ShowStock& asked) {
    auto responder = asked.responder;
    auto id = asked.product;
    find(FindProduct{id}, responder, [this, responder, id](std::vector<Product> products) {
      if (products.empty()) return no_such_product(id, responder);
      read_counts(std::move(products), responder, [responder](const std::vector<Product>& all, const auto& counts) {
        responder.send({.status = 200,
                        .content_type = "application/json",
                        .headers = {},
                        .body = stock_json(all.front(), counts.front())});
      });
    });
  }

  /// `then` gets the products and, at the same places, their counts; all 0 for what Redis has not been told of yet.
  template <class Then>
  void read_counts(std::vector<Product> products, const http::Responder& responder, Then then) {
    redis::ReadStock question;
    for (const Product& product : products) question.products.push_back(product.id);
    self_->request(deps_.stock, bounds::stock_timeout, std::move(question))
        .then(
            [responder, then, products = std::move(products)](const redis::StockPage& page) {
              if (!page.ok) return responder.send(http::problem(503, {}, not_verified));
              std::unordered_map<std::string, const redis::StockCounts*> by_product;
              for (const auto& counts : page.counts) by_product[counts.product.value] = &counts;
              std::vector<redis::StockCounts> counts;
              for (const Product& product : products) {
                const auto found = by_product.find(product.id.value);
                counts.push_back(found == by_product.end() ? redis::StockCounts{product.id, 0, 0, 0, 0}
                                                           : *found->second);
              }
              then(products, counts);
            },
            [responder](const caf::error&) { responder.send(http::problem(503, {}, not_verified)); });
  }

  DeskSelf::stateful_pointer<DeskState> self_ = nullptr;
  DeskDeps deps_;
  std::map<std::string, JobPtr> jobs_;  // by the change's id
  std::size_t opening_ = 0;
  std::vector<PutOff> put_off_;
  caf::actor_clock::time_point next_sweep_;
  bool sweeping_ = false;
};

DeskSelf::behavior_type desk(DeskSelf::stateful_pointer<DeskState> self, DeskDeps deps) {
  harden(self);
  self->state.start(self, std::move(deps));
  return {
      [self](ChangeByHand& asked) { self->state.change(asked); },
      [self](const ShowStock& asked) { self->state.show(asked); },
      [self](DeskTick) { self->state.tick(); },
  };
}

}  // namespace

DeskActor spawn_desk(caf::actor_system& system, DeskDeps deps) { return system.spawn(desk, std::move(deps)); }

}  // namespace cartwright::api
