#include "app/api/door.hpp"

#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

#include "actors/codec.hpp"
#include "actors/harden.hpp"
#include "actors/order/rules.hpp"
#include "app/api/views.hpp"
#include "bridges/http/problem.hpp"

namespace cartwright::api {

/// To itself: what came before this is one transaction.
struct Flush {};
/// To itself: some clients may have waited long enough.
struct Overdue {};
/// To itself: hand the bunch in again.
struct PlaceAgain {
  std::uint64_t first = 0;
};

}  // namespace cartwright::api

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::Flush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::Overdue)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::api::PlaceAgain)

namespace cartwright::api {
namespace {

using DoorSelf = DoorActor::extend<caf::reacts_to<Flush>, caf::reacts_to<Overdue>, caf::reacts_to<PlaceAgain>>;

// -- making orders ----

/// Makes placements of events; one for each actor, because ids of one source rise.
class Builder {
 public:
  explicit Builder(const DoorDeps& deps)
      : settings_(deps.settings),
        codec_(deps.codec),
        clock_(deps.clock),
        ids_(deps.clock, [random = std::mt19937_64(deps.seed)]() mutable { return random(); }) {}

  /// `key`: of the answer to be stored, "" for none. `line`: of a batch, which is answered by its order's id alone.
  Draft build(Event&& event, std::string key, std::string hash, bool line) {
    event.topic = Topic::order_placed;
    event.order.value = ids_.next();
    const Millis now = clock_();
    const order::Order order = order::place(event, settings_, now);
    Event placed = order::placed_event(order);
    placed.stored = true;
    Draft draft;
    draft.placed = codec_->write(placed);
    draft.placement = std::make_shared<Placement>();
    Placement& placement = *draft.placement;
    placement.partition = partition_of(order.id.value, settings_.partitions);
    placement.row = {.key = order.id.value,
                     .version = 1,
                     .state = std::string(to_string(order.state)),
                     .owner = order.user.value,
                     .open = true,
                     .due = order.wait(order::Wait::inventory).next,
                     .created_at = now,
                     .updated_at = now,
                     .doc = codec_->write(order)};
    placement.transition = {order.id, 1, placement.row.state, std::string(to_string(Topic::order_placed)), now};
    std::string body = line ? order.id.value : order_json(order);
    if (key.empty())
      draft.body = std::move(body);
    else
      placement.answer =
          StoredAnswer{std::move(key), std::move(hash), 202, "/v1/orders/" + order.id.value, std::move(body), now};
    return draft;
  }

 private:
  Settings settings_;
  std::shared_ptr<const Codec> codec_;
  WallClock clock_;
  UuidSource ids_;
};

// -- clients that wait ----

/// One line of a batch's answer.
struct LineResult {
  int status = 0;             // 0: not known yet
  std::string order, detail;  // order: "" where none was made
};

/// A client that waits for its order, or for all the lines of its batch.
struct Ticket {
  http::Responder responder;
  caf::actor_clock::time_point until;
  bool batch = false, answered = false;
  std::string order;  // its id; of a batch in its lines
  std::vector<LineResult> lines;
  std::size_t missing = 1;  // lines without a result
};

struct Waiting {
  Draft draft;
  std::shared_ptr<Ticket> ticket;
  std::size_t line = 0;
  bool in_doubt = false;  // it may be in the store: it is handed in until the store says, and never refused
};

/// What is handed to the store at once. The ids of its placements count up from `first`.
struct Bunch {
  std::uint64_t first = 0;
  std::vector<Waiting> waiting;
  int refusals = 0, repeats = 0;
  bool apart = false;  // in doubt: it does not count as in flight any more, or others would wait for it
};

http::Response stored_response(const StoredAnswer& stored) {
  http::Response response{
      .status = stored.status, .content_type = "application/json", .headers = {}, .body = stored.body};
  if (!stored.location.empty()) response.headers.push_back({"Location", stored.location});
  response.headers.push_back({"Idempotency-Replayed", "true"});
  return response;
}

std::string batch_body(const std::vector<LineResult>& lines) {
  json::Writer out(1 << 12);
  std::string text;
  text.reserve(96 * lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const LineResult& line = lines[i];
    out.begin_object().key("line").integer(static_cast<std::int64_t>(i + 1)).key("status").integer(line.status);
    if (!line.order.empty()) out.key("order_id").string(line.order);
    if (line.status != 202) out.key("title").string(http::reason_phrase(line.status)).key("detail").string(line.detail);
    out.end_object();
    text += out.take();
    text += '\n';
  }
  return text;
}

constexpr std::string_view unknown_outcome =
    "the store has not answered in time: the order may be placed or not; ask for it by its order_id, or repeat the "
    "request "
    "with its Idempotency-Key";
constexpr std::string_view store_away = "the store cannot be written just now; try again";
constexpr std::string_view full = "too many orders are waiting for the store; try again";
constexpr std::string_view other_body = "the Idempotency-Key was used for another request";
constexpr std::string_view still_running = "a request with this Idempotency-Key is still running";

// -- the door ----

struct DoorState {
  inline static const char* name = "door";

  void start(DoorSelf::stateful_pointer<DoorState> own, DoorDeps given) {
    self_ = own;
    deps_ = std::move(given);
    builder_.emplace(deps_);
  }

  void submit(Submit& submitted) {
    if (waiting_.size() >= bounds::placements_waiting_max)
      return submitted.responder.send(http::problem(503, {}, full));
    if (const int status = begin(submitted.key, submitted.hash); status != 0)
      return submitted.responder.send(http::problem(status, {}, status == 409 ? still_running : other_body));
    auto ticket = admit(std::move(submitted.responder));
    Draft draft =
        builder_->build(std::move(submitted.event), std::move(submitted.key), std::move(submitted.hash), false);
    ticket->order = draft.placement->row.key;
    waiting_.push_back({std::move(draft), std::move(ticket), 0});
    wake();
  }

  void submit(SubmitDrafts& submitted) {
    if (waiting_.size() >= bounds::placements_waiting_max)
      return submitted.responder.send(http::problem(503, {}, full));
    auto ticket = admit(std::move(submitted.responder));
    ticket->batch = true;
    ticket->missing = submitted.drafts.size();
    ticket->lines.resize(submitted.drafts.size());
    for (std::size_t i = 0; i < submitted.drafts.size(); ++i) {
      Draft& draft = submitted.drafts[i];
      LineResult& line = ticket->lines[i];
      if (!draft.placement) {
        line = {draft.refusal.status, {}, std::move(draft.refusal.detail)};
      } else if (const auto& answer = draft.placement->answer) {
        if (const int status = begin(answer->key, answer->request_hash); status != 0)
          line = {status, {}, std::string(status == 409 ? still_running : other_body)};
      }
      if (line.status != 0) {
        --ticket->missing;
        continue;
      }
      line.order = draft.placement->row.key;
      waiting_.push_back({std::move(draft), ticket, i});
    }
    finish_batch(*ticket);
    wake();
  }

  void flush() {
    flush_sent_ = false;
    if (waiting_.empty() || in_flight_ >= bounds::places_in_flight_max) return;
    auto bunch = std::make_shared<Bunch>();
    bunch->waiting = std::exchange(waiting_, {});
    bunch->first = next_id_;
    for (Waiting& each : bunch->waiting) each.draft.placement->id = next_id_++;
    ++in_flight_;
    place(bunch);
  }

  void place_again(std::uint64_t first) {
    auto found = resting_.find(first);
    if (found == resting_.end()) return;
    auto bunch = std::move(found->second);
    resting_.erase(found);
    place(bunch);
  }

  /// Whoever has waited too long is told so. What has not been handed in yet is taken back, which makes it a definite
  /// no.
  void overdue() {
    overdue_sent_ = false;
    const auto now = self_->clock().now();
    auto is_late = [now](const Waiting& each) { return each.ticket->until <= now; };
    for (Waiting& each : waiting_) {
      if (!is_late(each)) continue;
      end(each);
      say(each, 503, store_away);
    }
    std::erase_if(waiting_, is_late);
    for (; !tickets_.empty() && (tickets_.front()->answered || tickets_.front()->until <= now); tickets_.pop_front())
      give_up(*tickets_.front());
    watch_tickets();
  }

 private:
  std::shared_ptr<Ticket> admit(http::Responder responder) {
    auto ticket = std::make_shared<Ticket>(
        Ticket{std::move(responder), self_->clock().now() + deps_.patience.place, false, false, {}, {}, 1});
    tickets_.push_back(ticket);
    watch_tickets();
    return ticket;
  }

  // What is in the mailbox already comes before the Flush: under load the bunches grow by themselves.
  void wake() {
    if (flush_sent_ || waiting_.empty() || in_flight_ >= bounds::places_in_flight_max) return;
    flush_sent_ = true;
    self_->send(self_, Flush{});
  }

  void watch_tickets() {
    constexpr std::chrono::milliseconds interval{500};
    if (overdue_sent_ || tickets_.empty()) return;
    overdue_sent_ = true;
    self_->delayed_send(self_, interval, Overdue{});
  }

  /// Notes that a key is running; else the status to be answered.
  int begin(const std::string& key, const std::string& hash) {
    if (key.empty()) return 0;
    const auto [found, fresh] = running_.try_emplace(key, hash);
    if (fresh) return 0;
    return found->second == hash ? 409 : 422;
  }

  void end(const Waiting& each) {
    if (const auto& answer = each.draft.placement->answer) running_.erase(answer->key);
  }

  void place(const std::shared_ptr<Bunch>& bunch) {
    Place place;
    place.placements.reserve(bunch->waiting.size());
    for (const Waiting& each : bunch->waiting) place.placements.push_back(each.draft.placement);
    self_->request(deps_.store, bounds::place_timeout, std::move(place))
        .then([this, bunch](const Placed& placed) { on_placed(bunch, placed); },
              [this, bunch](const caf::error&) { on_silence(bunch); });
  }

  void on_placed(const std::shared_ptr<Bunch>& bunch, const Placed& placed) {
    std::vector<const PlacedOne*> results(bunch->waiting.size());
    auto outgoing = std::make_shared<std::vector<Outgoing>>();
    outgoing->reserve(results.size());
    for (const PlacedOne& one : placed.results) {
      const std::uint64_t at = one.id - bunch->first;
      if (at >= results.size()) continue;
      results[at] = &one;
      if (one.result == PlaceResult::placed) outgoing->push_back(std::move(bunch->waiting[at].draft.placed));
    }
    if (!outgoing->empty()) self_->send(deps_.producer, Publish{{}, 0, 0, std::move(outgoing)});
    std::vector<Waiting> again;
    for (std::size_t i = 0; i < results.size(); ++i) {
      Waiting& each = bunch->waiting[i];
      const PlaceResult result = results[i] ? results[i]->result : PlaceResult::unavailable;
      each.in_doubt |= result == PlaceResult::unknown;
      const bool refused = result == PlaceResult::unavailable || result == PlaceResult::unknown;
      if (refused && (each.in_doubt || bunch->refusals + 1 < bounds::place_refusals_max)) {
        again.push_back(std::move(each));
        continue;
      }
      end(each);
      if (result == PlaceResult::placed)
        say_placed(each);
      else if (result == PlaceResult::known)
        say_known(each, results[i]->stored);
      else
        say(each, 503, store_away);
    }
    if (again.empty()) return done(*bunch);
    bunch->waiting = std::move(again);
    bunch->first = next_id_;
    // The store may still hold the placements: they are copied, not changed.
    for (Waiting& each : bunch->waiting) {
      each.draft.placement = std::make_shared<Placement>(*each.draft.placement);
      each.draft.placement->id = next_id_++;
    }
    ++bunch->refusals;
    rest(bunch, bounds::place_pause);
    if (bunch->waiting.front().in_doubt && !std::exchange(bunch->apart, true)) leave();
  }

  /// Nobody knows whether it is placed. The store absorbs a repetition, so it is asked until it says.
  void on_silence(const std::shared_ptr<Bunch>& bunch) {
    for (Waiting& each : bunch->waiting) each.in_doubt = true;
    if (++bunch->repeats <= bounds::place_repeats_max) return rest(bunch, bounds::place_pause);
    for (Waiting& each : bunch->waiting) end(each);
    done(*bunch);
  }

  void rest(const std::shared_ptr<Bunch>& bunch, std::chrono::milliseconds pause) {
    resting_[bunch->first] = bunch;
    self_->delayed_send(self_, pause, PlaceAgain{bunch->first});
  }

  void done(const Bunch& bunch) {
    if (!bunch.apart) leave();
  }

  void leave() {
    --in_flight_;
    wake();
    while (!tickets_.empty() && tickets_.front()->answered) tickets_.pop_front();
  }

  void say_placed(Waiting& each) {
    Placement& placement = *each.draft.placement;
    Ticket& ticket = *each.ticket;
    if (ticket.answered) return;
    if (ticket.batch) return say_line(each, {202, placement.row.key, {}});
    ticket.answered = true;
    ticket.responder.send({.status = 202,
                           .content_type = "application/json",
                           .headers = {{"Location", "/v1/orders/" + placement.row.key}},
                           .body = placement.answer ? placement.answer->body : std::move(each.draft.body)});
  }

  void say_known(Waiting& each, const std::optional<StoredAnswer>& stored) {
    if (!stored) return say(each, 503, store_away);
    if (stored->request_hash != each.draft.placement->answer->request_hash) return say(each, 422, other_body);
    if (stored->status == 0) return say(each, 409, still_running);
    if (each.ticket->answered) return;
    if (each.ticket->batch) return say_line(each, {stored->status, stored->body, {}});
    each.ticket->answered = true;
    each.ticket->responder.send(stored_response(*stored));
  }

  void say(Waiting& each, int status, std::string_view detail) {
    if (each.ticket->answered) return;
    if (each.ticket->batch) return say_line(each, {status, {}, std::string(detail)});
    each.ticket->answered = true;
    each.ticket->responder.send(http::problem(status, {}, detail));
  }

  void say_line(const Waiting& each, LineResult result) {
    LineResult& line = each.ticket->lines[each.line];
    if (line.status != 0) return;
    line = std::move(result);
    --each.ticket->missing;
    finish_batch(*each.ticket);
  }

  void finish_batch(Ticket& ticket) {
    if (ticket.answered || ticket.missing != 0) return;
    ticket.answered = true;
    ticket.responder.send(
        {.status = 200, .content_type = "application/x-ndjson", .headers = {}, .body = batch_body(ticket.lines)});
    ticket.lines = {};
  }

  /// A client whose order is with the store, which does not answer.
  void give_up(Ticket& ticket) {
    if (ticket.answered) return;
    if (!ticket.batch) {
      ticket.answered = true;
      return ticket.responder.send(
          http::problem(504, "Outcome unknown", unknown_outcome, {{"order_id", ticket.order}}));
    }
    for (LineResult& line : ticket.lines)
      if (line.status == 0) line = {504, std::move(line.order), std::string(unknown_outcome)};
    ticket.missing = 0;
    finish_batch(ticket);
  }

  DoorSelf::stateful_pointer<DoorState> self_ = nullptr;
  DoorDeps deps_;
  std::optional<Builder> builder_;
  std::vector<Waiting> waiting_;
  std::deque<std::shared_ptr<Ticket>> tickets_;                        // by `until`
  std::unordered_map<std::string, std::string> running_;               // Idempotency-Key -> hash
  std::unordered_map<std::uint64_t, std::shared_ptr<Bunch>> resting_;  // to be handed in again
  std::uint64_t next_id_ = 1;
  int in_flight_ = 0;  // bunches, resting ones too
  bool flush_sent_ = false, overdue_sent_ = false;
};

DoorSelf::behavior_type door(DoorSelf::stateful_pointer<DoorState> self, DoorDeps deps) {
  harden(self);
  self->state.start(self, std::move(deps));
  return {
      [self](Submit& submitted) { self->state.submit(submitted); },
      [self](SubmitDrafts& submitted) { self->state.submit(submitted); },
      [self](Flush) { self->state.flush(); },
      [self](Overdue) { self->state.overdue(); },
      [self](PlaceAgain again) { self->state.place_again(again.first); },
  };
}

// -- the batch reader ----

struct BatchState {
  inline static const char* name = "batch-reader";
  std::optional<Builder> builder;

  /// The draft of line `number`. Keys of clients have no blanks, so a line's key is nobody else's.
  Draft read(std::string_view text, std::size_t number, const ReadBatch& batch) {
    Draft draft;
    if (text.empty()) {
      draft.refusal = {400, "the line is empty", {}};
    } else if (text.size() > bounds::line_bytes_max) {
      draft.refusal = {413, "a line may have " + std::to_string(bounds::line_bytes_max) + " bytes", {}};
    } else {
      auto event = read_order(text);
      if (auto* refusal = std::get_if<Refusal>(&event)) {
        draft.refusal = std::move(*refusal);
        return draft;
      }
      auto& order = std::get<Event>(event);
      order.traceparent = batch.traceparent;
      std::string key, hash;
      if (!batch.key.empty()) {
        key = batch.key + ' ' + std::to_string(number);
        hash = request_hash("POST", "/v1/orders:batch", text);
      }
      return builder->build(std::move(order), std::move(key), std::move(hash), true);
    }
    return draft;
  }
};

BatchActor::behavior_type batch_reader(BatchActor::stateful_pointer<BatchState> self, DoorDeps deps, DoorActor door) {
  harden(self);
  self->state.builder.emplace(deps);
  return {
      [self, door](const ReadBatch& batch) {
        const auto lines = lines_of(batch.body);
        if (lines.size() > bounds::batch_lines_max)
          return batch.responder.send(
              http::problem(413, {}, "a batch may have " + std::to_string(bounds::batch_lines_max) + " lines"));
        SubmitDrafts drafts{{}, batch.responder};
        drafts.drafts.reserve(lines.size());
        for (std::size_t i = 0; i < lines.size(); ++i)
          drafts.drafts.push_back(self->state.read(lines[i], i + 1, batch));
        self->send(door, std::move(drafts));
      },
  };
}

}  // namespace

DoorActor spawn_door(caf::actor_system& system, DoorDeps deps) { return system.spawn(door, std::move(deps)); }

BatchActor spawn_batch_reader(caf::actor_system& system, DoorDeps deps, DoorActor door_actor) {
  return system.spawn(batch_reader, std::move(deps), std::move(door_actor));
}

}  // namespace cartwright::api
