#include "bridges/redis/stock.hpp"

#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>

#include "actors/harden.hpp"
#include "actors/limits.hpp"
#include "bridges/redis/script.hpp"

namespace cartwright::redis {

/// To itself: the acts that came before this are one batch.
struct Flush {};
/// To itself: look at the instance. Only the last one that was sent counts.
struct Look {
  std::uint64_t number = 0;
};

}  // namespace cartwright::redis

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::redis::Flush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::redis::Look)

namespace cartwright::redis {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t waiting_acts_max = 20'000;             // kept while the gate is closed; their shards ask again
constexpr std::chrono::milliseconds backoff_first = 100ms, backoff_last = 2s;
constexpr std::chrono::milliseconds other_builder_wait = 500ms;
constexpr int other_builder_looks = 6;                       // without progress: the other one is dead, build ourselves
constexpr std::chrono::milliseconds identity_timeout = 5s;   // one row
constexpr std::chrono::milliseconds rebuild_timeout = 60s;   // the whole ledger is read, or settled

using StockSelf = StockActor::extend<caf::reacts_to<Flush>, caf::reacts_to<Look>>;

struct StockState;
using SelfPointer = StockSelf::stateful_pointer<StockState>;

/// Where the gate is. Everything but `open` is shut; asking: the ledger's answer decides what comes next.
enum class Gate : std::uint8_t { closed, asking, open };

/// The actor's state: connection, gate, and the acts that wait.
struct StockState {
  inline static const char* name = "stock";

  void start(SelfPointer own, StockOptions&& given, Address&& where);
  void take(Acts& acts);
  void flush();
  void announce(const Announce& announced);
  void look(const Look& now);
  [[nodiscard]] StockPage read(const ReadStock& asked);
  [[nodiscard]] HandSaid change(const ChangeHand& change);
  [[nodiscard]] Done health() const;

 private:
  void schedule(std::chrono::milliseconds delay);
  void try_again(std::string why);
  void close(std::string why);
  [[nodiscard]] bool usable(const Reply& reply);
  void verify();
  void compare(const Identity& identity);
  void fill(const LedgerSnapshot& snapshot);
  void settled(const Done& done);
  void open(std::int64_t generation);
  void check_instance();
  void check_ledger();
  [[nodiscard]] bool tell_epochs();
  void answer(Acts& acts, std::vector<Outcome>&& outcomes) const;

  /// Asks the ledger; `then` and `try_again` run only while the question still matters.
  template <class Answer, class Question, class Then>
  void ask(std::chrono::milliseconds timeout, Question question, Then then);

  SelfPointer self_ = nullptr;
  StockOptions options_;
  Address address_;
  std::optional<Keys> keys_;
  std::optional<Connection> connection_;
  Gate gate_ = Gate::closed;
  Instance instance_;                     // as seen when the connection was verified last
  StockIdentity verified_;                // the pair in force; only while the gate is open
  Millis verified_at_ = 0;                // since when this pair was seen to be in force
  StockIdentity settling_;                // the pair that the ledger was asked to open
  std::string why_ = "stock: not connected yet", refusal_;  // why closed; why Redis refused the last call
  std::uint64_t looks_ = 0, attempt_ = 0;
  std::chrono::milliseconds backoff_{};   // 0 once an open gate has been looked at and found right
  Instance other_;                        // who was building when we looked last
  int other_unchanged_ = 0;
  std::deque<Acts> waiting_;
  std::size_t waiting_acts_ = 0;
  bool flush_sent_ = false;
  std::map<int, Epoch> epochs_;           // what this node has announced
};

// -- acts -------------------------------------------------------------------------------------------------------------

std::optional<Outcome> outcome_of(const Act& act, const ScriptAnswer& said, const StockIdentity& identity) {
  using Kind = ScriptAnswer::Kind;
  if (said.kind == Kind::fenced || said.kind == Kind::broken) return std::nullopt;
  Outcome outcome{.key = act.key, .step = act.step, .attempt = act.attempt, .answer = Answer::done, .detail = {},
                  .reference = {}, .currency = {}, .priced = {}, .identity = identity};
  if (act.step != Step::reserve) return outcome;
  if (said.kind == Kind::reserved) {
    outcome.currency = said.currency;
    outcome.priced = said.priced;
    return outcome;
  }
  outcome.answer = Answer::refused;
  outcome.detail = said.kind == Kind::failed     ? said.reason
                   : said.kind == Kind::released ? "released"
                   : said.kind == Kind::sold     ? "sold"
                                                 : "invalid";
  return outcome;
}

void StockState::take(Acts& acts) {
  waiting_acts_ += acts.acts.size();
  waiting_.push_back(std::move(acts));
  while (waiting_acts_ > waiting_acts_max && waiting_.size() > 1 && gate_ != Gate::open) {
    waiting_acts_ -= waiting_.front().acts.size();
    waiting_.pop_front();
  }
  if (gate_ != Gate::open || std::exchange(flush_sent_, true)) return;
  self_->send(self_, Flush{});
}

void StockState::flush() {
  flush_sent_ = false;
  if (gate_ != Gate::open || waiting_.empty()) return;
  struct Place { std::size_t acts = 0, act = 0; };  // whose answer stands where; epochs belong to nobody
  constexpr auto nobody = static_cast<std::size_t>(-1);
  std::vector<Acts> batch(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(waiting_.end()));
  waiting_.clear();
  waiting_acts_ = 0;
  const Millis oldest = std::max(verified_at_, options_.clock() - limits::act_age_max.count());
  std::vector<ScriptCall> calls;
  std::vector<std::vector<Place>> places;
  std::optional<std::pair<int, Epoch>> told;       // the epoch that stands in the last call
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const std::pair epoch(batch[i].shard.partition, batch[i].epoch);
    // What was decided on rows of long ago, or from before the counters were built, may be over, and its key in Redis gone:
    // a reservation would be made anew, for nobody. Its shard reads the row again and asks again.
    if (batch[i].at <= oldest) continue;
    for (std::size_t j = 0; j < batch[i].acts.size(); ++j) {
      if (calls.empty() || calls.back().full()) {
        calls.emplace_back(*keys_, verified_.generation);
        places.emplace_back();
        told.reset();
      }
      if (told != epoch) {
        calls.back().epoch(epoch.first, epoch.second);
        places.back().push_back({nobody, 0});
        told = epoch;
      }
      const auto& act = batch[i].acts[j];
      calls.back().order(act.step, act.key, act.lines);
      places.back().push_back({i, j});
    }
  }
  const auto replies = run(*connection_, instance_.script_sha, calls);
  std::vector<std::vector<Outcome>> outcomes(batch.size());
  for (std::size_t i = 0; i < replies.size(); ++i) {
    if (!usable(replies[i])) continue;  // no outcome: whoever waits for it asks again, and the answer is absorbed
    const auto answers = replies[i].value();
    for (std::size_t j = 0; j < places[i].size(); ++j) {
      const auto [of, number] = places[i][j];
      if (of == nobody) continue;
      const auto said = answer_of(answers[j].text());
      if (said.kind == ScriptAnswer::Kind::broken)
        refusal_ = "stock: the counts in Redis contradict the reservation of " + batch[of].acts[number].key;
      // The pair of this call, also when a later call has closed the gate meanwhile.
      const StockIdentity pair{instance_.run_id, verified_.generation};
      if (auto outcome = outcome_of(batch[of].acts[number], said, pair)) outcomes[of].push_back(std::move(*outcome));
    }
  }
  for (std::size_t i = 0; i < batch.size(); ++i) answer(batch[i], std::move(outcomes[i]));
}

void StockState::answer(Acts& acts, std::vector<Outcome>&& outcomes) const {
  if (!outcomes.empty() && acts.reply_to) caf::anon_send(acts.reply_to, Outcomes{acts.epoch, std::move(outcomes)});
}

/// Whether a reply of the script holds answers. Closes the gate on everything that casts doubt on the instance.
bool StockState::usable(const Reply& reply) {
  if (reply.lost()) {
    close(reply.failure().what);
    return false;
  }
  if (!reply.ok()) {  // out of memory, disk full, still loading: the same instance, nothing done
    refusal_ = reply.failure().what;
    return false;
  }
  if (is_stranger(reply)) {
    close("stock: Redis does not hold generation " + std::to_string(verified_.generation));
    return false;
  }
  refusal_.clear();
  return true;
}

// -- questions and changes by hand ------------------------------------------------------------------------------------

StockPage StockState::read(const ReadStock& asked) {
  StockPage page;
  if (gate_ != Gate::open) return page;
  for (const auto& product : asked.products)
    connection_->append({"HMGET", keys_->stock(product.value), "available", "reserved", "sold", "stocked"});
  // Asked last: numbers of a stranger cannot be followed by our generation, which is written once and only by us.
  connection_->append({"HGET", keys_->meta(), "generation"});
  for (const auto& product : asked.products) {
    const auto reply = connection_->next();
    const auto numbers = reply.value();
    const auto available = numbers[0].number(), reserved = numbers[1].number(), sold = numbers[2].number(),
               stocked = numbers[3].number();
    if (available && reserved && sold && stocked)
      page.counts.push_back({product, *available, *reserved, *sold, *stocked});
  }
  const auto generation = connection_->next();
  page.ok = generation.ok() && generation.value().number() == verified_.generation;
  if (!page.ok) {
    page.counts.clear();
    close(generation.ok() ? "stock: Redis does not hold the verified generation" : generation.failure().what);
  }
  return page;
}

HandSaid StockState::change(const ChangeHand& change) {
  HandSaid said{change.id, HandAnswer::unknown, {}};
  if (gate_ != Gate::open) return said;
  const Product product{.id = change.product, .name = {}, .currency = change.currency,
                        .price_minor = change.price_minor, .stocked = 0, .reserved = 0, .sold = 0,
                        .version = change.version};
  std::vector<ScriptCall> calls;
  calls.emplace_back(*keys_, verified_.generation).hand(change.id, product, change.delta);
  const auto replies = run(*connection_, instance_.script_sha, calls);
  if (!usable(replies.front())) return said;
  const auto answer = answer_of(replies.front().value()[0].text()).kind;
  if (answer == ScriptAnswer::Kind::done) said.answer = HandAnswer::applied;
  if (answer == ScriptAnswer::Kind::refused) said.answer = HandAnswer::refused;
  said.identity = verified_;
  return said;
}

void StockState::announce(const Announce& announced) {
  auto& epoch = epochs_[announced.partition];
  epoch = std::max(epoch, announced.epoch);
  if (gate_ == Gate::open) static_cast<void>(tell_epochs());
}

bool StockState::tell_epochs() {
  std::vector<ScriptCall> calls;
  for (const auto& [partition, epoch] : epochs_) {
    if (calls.empty() || calls.back().full()) calls.emplace_back(*keys_, verified_.generation);
    calls.back().epoch(partition, epoch);
  }
  for (const auto& reply : run(*connection_, instance_.script_sha, calls))
    if (!usable(reply)) return false;
  return true;
}

Done StockState::health() const {
  if (gate_ != Gate::open) return {false, why_};
  return {refusal_.empty(), refusal_};
}

// -- the gate ---------------------------------------------------------------------------------------------------------

void StockState::start(SelfPointer own, StockOptions&& given, Address&& where) {
  self_ = own;
  options_ = std::move(given);
  address_ = std::move(where);
  keys_.emplace(options_.prefix);
  schedule(0ms);
}

void StockState::schedule(std::chrono::milliseconds delay) {
  const Look next{++looks_};
  if (delay == 0ms) self_->send(self_, next);
  else self_->delayed_send(self_, delay, next);
}

void StockState::try_again(std::string why) {
  gate_ = Gate::closed;
  why_ = std::move(why);
  schedule(std::max(backoff_, backoff_first));
  backoff_ = std::clamp(backoff_ * 2, backoff_first, backoff_last);
}

void StockState::close(std::string why) {
  if (gate_ != Gate::open) return;  // several replies of one write may say the same
  gate_ = Gate::closed;
  why_ = std::move(why);
  schedule(backoff_);  // at once, unless it was opened in vain a moment ago
  backoff_ = std::clamp(backoff_ * 2, backoff_first, backoff_last);
}

void StockState::look(const Look& now) {
  if (now.number != looks_) return;
  if (gate_ == Gate::open) check_instance();
  else if (gate_ == Gate::closed) verify();
}

/// While open: FLUSHALL and a rebuild by somebody else are found here when no act finds them first.
void StockState::check_instance() {
  const auto generation = connection_->run({"HGET", keys_->meta(), "generation"});
  if (!generation.ok()) return close(generation.failure().what);
  if (generation.value().number() != verified_.generation)
    return close("stock: Redis does not hold the verified generation");
  // Redis refused a write: without acts nobody else would notice that it takes writes again.
  if (!refusal_.empty()) {
    const auto probe = connection_->run({"SET", keys_->prefix() + "probe", "1", "EX", "60"});
    if (probe.ok()) refusal_.clear();
  }
  check_ledger();
  backoff_ = 0ms;
  schedule(options_.look_interval);
}

/// Whether the ledger still knows this instance. A node that began to build because of what it saw a moment too late, and died,
/// leaves it without one, and no outcome of ours would be recorded any more.
void StockState::check_ledger() {
  self_->request(options_.ledger, identity_timeout, ReadIdentity{})
      .then([this, pair = verified_](const Identity& identity) {
              if (gate_ == Gate::open && verified_ == pair && identity.ok && identity.pair != pair)
                close("stock: the ledger knows another instance; somebody began to build");
            },
            [](const caf::error&) {});  // asked again by the next look
}

template <class Answer, class Question, class Then>
void StockState::ask(std::chrono::milliseconds timeout, Question question, Then then) {
  gate_ = Gate::asking;
  const auto attempt = ++attempt_;
  self_->request(options_.ledger, timeout, std::move(question))
      .then([this, attempt, then](const Answer& answer) { if (attempt == attempt_) (this->*then)(answer); },
            [this, attempt](const caf::error& error) {
              if (attempt == attempt_) try_again("stock: the ledger does not answer: " + to_string(error));
            });
}

void StockState::verify() {
  if (!connection_ || !connection_->alive()) {
    auto opened = Connection::open(address_, options_.timeouts);
    if (const auto* failure = std::get_if<Failure>(&opened)) return try_again(failure->what);
    connection_.emplace(std::move(std::get<Connection>(opened)));
  }
  std::string why;
  if (!inspect(*connection_, *keys_, instance_, why)) {
    connection_.reset();
    return try_again(std::move(why));
  }
  ask<Identity>(identity_timeout, ReadIdentity{}, &StockState::compare);
}

void StockState::compare(const Identity& identity) {
  if (!identity.ok) return try_again("stock: the ledger cannot be read");
  if (identity.pair.run_id == instance_.run_id && !instance_.generation.empty() &&
      std::to_string(identity.pair.generation) == instance_.generation)
    return open(identity.pair.generation);
  // Somebody builds. Were we to begin as well, we would overtake each other for ever; so as long as they get on, wait.
  if (!instance_.builder.empty()) {
    other_unchanged_ = instance_ == other_ ? other_unchanged_ + 1 : 0;
    other_ = instance_;
    if (other_unchanged_ < other_builder_looks) {
      gate_ = Gate::closed;
      why_ = "stock: another node rebuilds generation " + instance_.builder;
      return schedule(other_builder_wait);
    }
  }
  why_ = "stock: is being rebuilt from the ledger";
  ask<LedgerSnapshot>(rebuild_timeout, BeginRebuild{}, &StockState::fill);
}

void StockState::fill(const LedgerSnapshot& snapshot) {
  if (!snapshot.ok) return try_again("stock: the ledger cannot be read: " + snapshot.why);
  const auto rebuilt = rebuild(*connection_, *keys_, instance_, snapshot, options_.held_of);
  if (rebuilt.end != Rebuilt::End::ok) return try_again(rebuilt.why);
  const StockIdentity pair{instance_.run_id, snapshot.generation};
  settling_ = pair;  // without an answer, the next look compares the pairs and finds out
  ask<Done>(rebuild_timeout, FinishRebuild{pair, snapshot.hands}, &StockState::settled);
}

void StockState::settled(const Done& done) {
  if (!done.ok) return try_again("stock: the ledger does not open the gate: " + done.why);
  open(settling_.generation);
}

void StockState::open(std::int64_t generation) {
  const StockIdentity pair{instance_.run_id, generation};
  if (pair != verified_) verified_at_ = options_.clock();
  verified_ = pair;
  gate_ = Gate::open;
  finish_claim(*connection_, *keys_, generation);
  if (!tell_epochs() && gate_ != Gate::open) return;
  other_ = {};
  other_unchanged_ = 0;
  schedule(options_.look_interval);
  flush();
  if (gate_ == Gate::open && options_.on_open) options_.on_open();
}

}  // namespace

/// The behaviour of the stock actor; detached, because every call to Redis blocks.
static StockSelf::behavior_type stock(SelfPointer self, StockOptions options, Address address) {
  harden(self);
  self->state.start(self, std::move(options), std::move(address));
  return {
      [self](Acts& acts) { self->state.take(acts); },
      [self](const ReadStock& asked) { return self->state.read(asked); },
      [self](const ChangeHand& change) { return self->state.change(change); },
      [self](const Announce& announced) { self->state.announce(announced); },
      [self](StockHealth) { return self->state.health(); },
      [self](Flush) { self->state.flush(); },
      [self](const Look& now) { self->state.look(now); },
  };
}

StockActor spawn_stock(caf::actor_system& system, StockOptions options) {
  auto address = address_of(options.url);
  if (!address) throw std::invalid_argument("not the URL of a Redis: " + options.url);
  return system.spawn<caf::detached>(stock, std::move(options), std::move(*address));
}

}  // namespace cartwright::redis
