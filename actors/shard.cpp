#include "actors/shard.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <unordered_map>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include "actors/check.hpp"
#include "actors/harden.hpp"
#include "actors/limits.hpp"
#include "actors/order/actor.hpp"
#include "actors/retention.hpp"
#include "actors/slots.hpp"

namespace cartwright {
namespace {

using RecordPtr = std::shared_ptr<const Record>;

/// What rule 10 compares beside the timestamp.
std::uint64_t fingerprint_of(const Record& record) {
  return fingerprint(record.key.value_or("")) * 31 + fingerprint(record.value.value_or(""));
}

enum class Phase { taking, idle, loading, deciding, committing, leaving, stopped };

std::string_view to_string(Phase phase) {
  constexpr std::array<std::string_view, 7> names{"taking", "idle", "loading", "deciding", "committing", "leaving", "stopped"};
  return names[static_cast<std::size_t>(phase)];
}

/// One row's part in the running turn.
struct Work {
  Slot* slot = nullptr;
  std::vector<Input> inputs;
  bool decided = false;
  bool redrive = false;        // the inputs begin with what was parked ...
  std::size_t stored = 0;      // ... so many of them
  bool died = false;
  std::string why;             // died
  Change change;
};

/// A redrive whose parked records have been read from the store.
struct Redrive {
  std::string key;
  std::vector<RecordPtr> records;
};

/// Logs found lost: what was read of them before, so many records, is taken in first.
struct Loss {
  std::size_t after = 0;
  std::set<Topic> topics;
};

/// A command with the promise of its caller.
struct Asked {
  std::string key;
  Command command;
};

class Shard : public ShardActor::base {
 public:
  Shard(caf::actor_config& config, ShardDeps deps) : ShardActor::base(config), d_(std::move(deps)) {}
  const char* name() const override { return "shard"; }

 protected:
  behavior_type make_behavior() override {
    harden(this);
    set_down_handler([this](caf::down_msg& down) { on_down(down); });
    return {
        [this](Batch& batch) { on(batch); },
        [this](Decided& decided) { on(decided); },
        [this](Outcomes& outcomes) { on(outcomes); },
        [this](const Published& published) { on(published); },
        [this](const Tick&) { on_tick(); },
        [this](const Begin&) { take(); },
        [this](const Ends& ends) { on(ends); },
        [this](const LogLost& lost) { on(lost); },
        [this](const std::string& key, const Command& command) { return on_command(key, command); },
        [this](const Revoke&) { return on_revoke(); },
        [this](const Describe&) { return view(); },
    };
  }

 private:
  // -- taking ---------------------------------------------------------------------------------------------------------

  void take() {
    if (stopping_ || phase_ == Phase::stopped) return;
    forget_everything();
    phase_ = Phase::taking;
    request(d_.store, limits::store_timeout, Take{d_.id, d_.settings.partitions, epoch_ != 0})
        .then([this](Taken& taken) { taken.ok ? taken_over(taken) : take_later(taken.why); },
              [this](const caf::error&) { take_later("the store did not answer in time"); });
    if (!ticking_) {
      ticking_ = true;
      delayed_send(this, limits::sweep_interval, Tick{});
    }
  }

  void take_later(const std::string& why) {
    if (stopping_) return stop();
    complain("cannot take the shard yet: " + why);
    delayed_send(this, limits::take_backoff, Begin{});
  }

  void forget_everything() {
    // The slots may be what a Decided in a mailbox is about; the turn number tells it is of no use any more.
    slots_.clear();
    children_.clear();
    works_.clear();
    turn_records_.clear();
    records_.clear();
    outcomes_.clear();
    wakes_.clear();
    unpublished_.clear();
    redrives_.clear();
    stale_redrives_.clear();
    losses_.clear();
    replaying_ = reading_outbox_ = looking_ = false;
    replay_due_ = 0;
    replays_asking_ = false;
    marked_.reset();
    marking_.reset();
    ends_.reset();
    unpublished_records_ = 0;
    failed_publishes_.clear();
    ready_.clear();
    retry_at_ = 0;
    for (const Asked& asked : commands_) answer({asked.command.id, 503, "the shard of this order is changing its owner"});
    commands_.clear();
    for (auto& [id, promise] : promises_) promise.deliver(CommandReply{id, 503, "the shard of this order is changing its owner"});
    promises_.clear();
    turn_.reset();
    ++number_;
  }

  void taken_over(Taken& taken) {
    if (stopping_) return stop();
    bool again = epoch_ != 0;
    epoch_ = taken.epoch;
    positions_ = taken.next;
    if (again)  // alive, and fenced while a record was marked: that mark says nothing about the record
      for (auto& [topic, position] : positions_) position.tries = 0;
    sequence_ = taken.sequence;
    published_ = taken.published;
    losses_seen_ = losses_done_ = taken.losses_seen;
    last_replay_ = 0;
    next_look_ = d_.clock() + d_.settings.ask_first;
    look_delay_ = d_.settings.ask_first;
    begin_one_by_one(taken.starts);
    for (Wake& wake : taken.open) {
      Slot& slot = slots_.at(wake.key);
      slots_.set_due(slot, wake.due, 0);
      // Acts may not have been done, and a door's order.placed not been written, before the owner before us ended: do
      // it now, in portions.
      if (d_.port || d_.role->resumes(wake.state)) wakes_.push_back({wake.key, Resume{}});
    }
    for (Quarantine& quarantine : taken.quarantines) {
      Slot& slot = slots_.at(quarantine.key);  // before it is moved from
      slots_.set_aside(slot, std::move(quarantine));
    }
    phase_ = Phase::idle;
    if (d_.taken) d_.taken(epoch_);
    for (OutboxRow& row : taken.unpublished) publish(row.sequence, row.outgoing);
    d_.intake->start(d_.id, epoch_, positions_, this);
    if (taken.losses > losses_seen_) replay(taken.losses);
    start_turn();
  }

  // -- inputs ---------------------------------------------------------------------------------------------------------

  void on(Batch& batch) {
    if (batch.epoch != epoch_ || phase_ == Phase::taking || stopping_) return;  // of a start before this one
    for (RecordPtr& record : batch.records) records_.push_back(std::move(record));
    start_turn();
  }

  void on(Outcomes& outcomes) {
    if (outcomes.epoch != epoch_) return;
    for (Outcome& outcome : outcomes.outcomes) outcomes_.push_back(std::move(outcome));
    start_turn();
  }

  caf::typed_response_promise<CommandReply> on_command(const std::string& key, const Command& command) {
    auto promise = make_response_promise<CommandReply>();
    Command mine{command.kind, ++command_id_, command.outcome};
    if (phase_ == Phase::taking || stopping_ || commands_.size() >= 1'000) {
      promise.deliver(CommandReply{mine.id, 503, "the shard of this order is not ready"});
      return promise;
    }
    Slot* slot = slots_.find(key);
    if (slot && slot->quarantine && command.kind == CommandKind::cancel) {
      promise.deliver(CommandReply{mine.id, 409, "the order is set aside (" + slot->quarantine->reason + "); retry it first"});
      return promise;
    }
    if (slot && slot->quarantine && command.kind == CommandKind::retry) {
      Quarantine lifted = *slot->quarantine;
      lifted.restarts = 0;
      lifted.until = d_.clock();  // the next tick
      slots_.set_aside(*slot, std::move(lifted));
      promise.deliver(CommandReply{mine.id, 202, std::string(retry_lifted)});
      return promise;
    }
    promises_[mine.id] = promise;
    commands_.push_back({key, mine});
    start_turn();
    return promise;
  }

  void on(const Ends& ends) {
    asking_ends_ = false;
    if (!ends.ok) return;
    ends_ = ends.ends;
    start_turn();
  }

  /// Whether all that was in the topics when the broker was asked has been digested. Known once for each answer.
  bool caught_up() {
    if (!ends_) return false;
    auto next = [](const Positions& positions, Topic topic) {
      auto it = positions.find(topic);
      return it == positions.end() ? 0 : it->second.next;
    };
    for (const auto& [topic, end] : *ends_) {
      if (end < next(asked_at_, topic)) return ends_.reset(), false;  // another log than the one that was read
      if (next(positions_, topic) < end) return false;
    }
    ends_.reset();
    return true;
  }

  void on(const LogLost& lost) {
    // What was read of the log before is digested first; the running turn will set its positions when it is done.
    losses_.push_back({records_.size(), {lost.topics.begin(), lost.topics.end()}});
    complain("a log was lost; the outbox is published again and every open question is asked again");
    start_turn();
  }

  void on_tick() {
    delayed_send(this, limits::sweep_interval, Tick{});
    if (phase_ == Phase::taking || phase_ == Phase::stopped) return;
    Millis now = d_.clock();
    if (phase_ == Phase::leaving) return say_goodbye(now);
    if (retry_at_ != 0 && retry_at_ <= now) {
      retry_at_ = 0;
      if (phase_ == Phase::committing) commit();
      if (phase_ == Phase::loading) load_sleepers();
    }
    if (replay_due_ != 0 && replay_due_ <= now && !replaying_) start_replay(now);
    if (replaying_ && unpublished_.empty()) read_outbox();
    if (d_.role->placed_by_doors && next_look_ <= now) look_for_placed(now - d_.settings.ask_first);
    if (!failed_publishes_.empty()) {
      auto again = std::move(failed_publishes_);
      failed_publishes_.clear();
      for (Sequence sequence : again)
        if (auto it = unpublished_.find(sequence); it != unpublished_.end()) send_publish(sequence, it->second);
    }
    if (phase_ == Phase::idle)  // a running turn may be parking something
      if (Slot* slot = slots_.to_try_again(now)) redrive(*slot);  // one at a time: they may fail again
    if (now >= next_ends_ && !asking_ends_ && !slots_.due_caught_up(now, 1).empty()) {
      asking_ends_ = true;
      next_ends_ = now + limits::ends_interval.count();
      asked_at_ = positions_;
      d_.intake->ask_ends(d_.id, this);
    } else if (asking_ends_ && now >= next_ends_ + limits::ends_timeout.count()) {
      asking_ends_ = false;  // the answer was lost with a consumer that was closed
    }
    passivate(now);
    start_turn();
  }

  // -- a turn: collect ------------------------------------------------------------------------------------------------

  [[nodiscard]] bool something_to_do(Millis now) const {
    return !records_.empty() || !outcomes_.empty() || !commands_.empty() || !wakes_.empty() || !ready_.empty() ||
           !losses_.empty() || caught_up_ || !slots_.due(now, 1).empty();
  }

  void start_turn() {
    if (phase_ != Phase::idle) return;
    if (stopping_) return stop();
    Millis now = d_.clock();
    if (unpublished_records_ > limits::shard_unpublished_max) return;
    caught_up_ = caught_up();
    if (!something_to_do(now)) return;
    now_ = now;
    ++number_;
    turn_ = std::make_shared<Turn>();
    turn_->shard = d_.id;
    turn_->epoch = epoch_;
    turn_->number = number_;
    turn_->at = now;
    turn_->next = positions_;
    outgoing_ = std::make_shared<std::vector<Outgoing>>();
    turn_resets_.clear();
    refilled_.clear();
    marking_.reset();
    turn_outcomes_.clear();
    turn_commands_.clear();

    if (one_by_one_ > 0 && try_one_record()) return load_sleepers();
    for (Redrive& redrive : std::exchange(ready_, {})) {
      if (stale_redrives_.erase(redrive.key) > 0) {  // more was parked since it was read
        redrives_.erase(redrive.key);
        this->redrive(slots_.at(redrive.key));
        continue;
      }
      Work& work = work_of(redrive.key);
      work.redrive = true;
      for (RecordPtr& record : redrive.records) work.inputs.emplace_back(std::move(record));
      work.stored = work.inputs.size();
      work.inputs.emplace_back(Due{false});  // also when nothing waits: finds the order's deadlines again
    }
    for (auto& outcome : outcomes_) {
      turn_outcomes_.push_back(outcome);
      input(outcome.key, outcome);
    }
    outcomes_.clear();
    for (std::size_t n = 0; n < limits::turn_wakes_max && !wakes_.empty(); ++n) {
      Slot* slot = slots_.find(wakes_.front().first);
      if (slot) ask_the_store(*slot);
      if (!slot || !slot->quarantine) input(wakes_.front().first, wakes_.front().second);
      wakes_.pop_front();
    }
    for (Asked& asked : commands_) {
      turn_commands_.push_back(asked);
      input(asked.key, asked.command);
    }
    commands_.clear();
    std::size_t count = one_by_one_ > 0 ? 0 : std::min(records_.size(), limits::turn_records_max);
    for (std::size_t i = 0; i < count; ++i) {
      reset_positions();
      collect_next();
    }
    reset_positions();
    for (Slot* slot : slots_.due(now, limits::turn_dues_max))
      if (!slot->quarantine) {
        ask_the_store(*slot);
        input(slot->key, Due{false, slot->again++});
      }
    if (caught_up_)
      for (Slot* slot : slots_.due_caught_up(now, limits::turn_dues_max))
        if (!slot->quarantine) input(slot->key, Due{true});
    load_sleepers();
  }

  Work& work_of(const std::string& key) {
    Slot& slot = slots_.at(key);
    if (slot.work < 0) {
      slot.work = static_cast<int>(works_.size());
      works_.emplace_back().slot = &slot;
    }
    slots_.use(slot, now_);
    return works_[static_cast<std::size_t>(slot.work)];
  }

  void input(const std::string& key, Input what) { work_of(key).inputs.push_back(std::move(what)); }

  /// An act is repeated on the store's word alone. A foreign program may have brought its records of one order to two shards
  /// (rule 9); what the other one recorded, this one has not seen, and what it remembers may be long over.
  void ask_the_store(Slot& slot) {
    if (slot.entity) slot.drop();
  }

  void collect_next() {
    turn_records_.push_back(std::move(records_.front()));
    records_.pop_front();
    for (Loss& loss : losses_) --loss.after;
    collect(turn_records_.back());
  }

  /// What was read of a lost log has been taken in: the next records are of the log that came after it (rule 10).
  void reset_positions() {
    while (!losses_.empty() && losses_.front().after == 0) {
      for (Topic topic : losses_.front().topics) turn_->next[topic] = {};
      turn_->lost = true;
      turn_resets_.push_back({turn_records_.size(), std::move(losses_.front().topics)});
      losses_.pop_front();
    }
  }

  // -- one record at a time (rule 11) -------------------------------------------------------------------------------------

  /// After starts that came to nothing, or when a record is marked already, the process may have died of a record.
  void begin_one_by_one(int starts) {
    bool marked = std::any_of(positions_.begin(), positions_.end(), [](const auto& at) { return at.second.tries > 0; });
    one_by_one_ = marked || starts >= limits::poison_starts_max ? limits::one_by_one_records : 0;
    if (one_by_one_ > 0)
      complain("start " + std::to_string(starts) + " since records were digested last: one record at a time for a while");
  }

  /// Whether this turn tries one record, alone. The turn before it has marked that record; other inputs go with the mark.
  bool try_one_record() {
    reset_positions();
    if (records_.empty()) return false;
    const Record& next = *records_.front();
    Position& position = turn_->next[next.topic];
    bool known = next.offset < position.next;
    if (known || position.tries >= limits::poison_tries_max || marked_ == std::pair(next.topic, next.offset)) {
      collect_next();
      return true;
    }
    ++position.tries;
    marking_ = {next.topic, next.offset};
    return false;
  }

  /// Moves the position past a record and finds out whose it is.
  void collect(const RecordPtr& read) {
    if (refilled_.contains(read->topic)) return;  // will be read from its beginning
    Position& position = turn_->next[read->topic];
    RecordPtr record = read;
    std::uint64_t hash = fingerprint_of(*record);
    if (record->offset < position.next) {
      bool same = record->offset == position.next - 1 && record->timestamp == position.timestamp && hash == position.hash;
      if (same) return;  // the record before the first: the log is the one we know
      turn_->lost = true;
      complain(std::string(to_string(record->topic)) + ": another record lies at offset " + std::to_string(record->offset) +
               ": the log was lost");
      // What came into the new log up to here has not been delivered: the shard is taken again and reads it all.
      refilled_.insert(record->topic);
      position = {};
      return;
    }
    int tries = position.tries;
    position = {record->offset + 1, record->timestamp, hash, 0};
    ++records_total_;
    if (tries >= limits::poison_tries_max && marked_ != std::pair(record->topic, record->offset))
      return bury({record, "crash: the process ended " + std::to_string(tries) + " times while it was digested"});
    if (!record->poison.empty()) return bury({record, record->poison});
    if (d_.role->id == RoleId::order && partition_of(record->event.order.value, d_.settings.partitions) != d_.id.partition) {
      if (record->topic == Topic::order_rerouted) return bury({record, "misplaced: not of this partition"});
      outgoing_->push_back(d_.codec->reroute(*record));
      return;
    }
    record = as_it_lay(record);
    std::string key = d_.role->key_of(record->event);
    if (key.empty()) return;
    Slot* known = slots_.find(key);
    if (known && known->quarantine && !(known->work >= 0 && works_[static_cast<std::size_t>(known->work)].redrive)) {
      turn_->parked.push_back({key, record});
      if (redrives_.contains(key)) stale_redrives_.insert(key);
      return;
    }
    if (!known && careful_ == 0 && !too_old(*record) && d_.role->begins(record->event)) slots_.at(key).loaded = true;  // the insert finds out
    input(key, record);
  }

  /// Whether the order of a record may have been deleted, when nothing is known of it (retention.orders).
  [[nodiscard]] bool too_old(const Record& record) const { return older_than(record, now_ - d_.settings.retention); }

  /// A record about something that is no longer remembered would begin it anew.
  void bury_too_old(Work& work) {
    if (work.slot->version != 0) return;
    std::vector<Input> young;
    std::size_t stored = 0;
    for (std::size_t i = 0; i < work.inputs.size(); ++i) {
      const auto* record = std::get_if<RecordPtr>(&work.inputs[i]);
      if (record && too_old(**record)) {
        bury({*record, "too-old"});
        continue;
      }
      if (i < work.stored) ++stored;
      young.push_back(std::move(work.inputs[i]));
    }
    work.inputs = std::move(young);
    work.stored = stored;
  }

  void bury(DeadLetter letter) {
    outgoing_->push_back(d_.codec->dead_letter(letter, d_.role->id));
    turn_->dead.push_back(std::move(letter));
  }

  // -- a turn: load and decide ------------------------------------------------------------------------------------------

  void load_sleepers() {
    std::vector<std::string> keys;
    for (Work& work : works_)
      if (!work.slot->loaded) keys.push_back(work.slot->key);
    if (keys.empty()) return deliver();
    phase_ = Phase::loading;
    auto number = number_;
    request(d_.store, limits::store_timeout, Load{d_.id, std::move(keys)})
        .then(
            [this, number](Loaded& loaded) {
              if (number != number_ || phase_ != Phase::loading) return;
              if (!loaded.ok) return load_later();
              for (Row& row : loaded.rows)
                if (Slot* slot = slots_.find(row.key)) wake(*slot, std::move(row));
              for (Work& work : works_)
                if (!work.slot->loaded) wake_unknown(*work.slot);
              deliver();
            },
            [this, number](const caf::error&) {
              if (number == number_ && phase_ == Phase::loading) load_later();
            });
  }

  void load_later() {
    complain("rows cannot be loaded; trying again");
    retry_at_ = d_.clock() + limits::take_backoff.count();
  }

  void wake(Slot& slot, Row&& row) {
    slot.version = row.version;
    slot.open = row.open;
    slot.loaded = true;
    if (d_.role->supervised)
      slot.row = std::move(row);
    else
      slot.entity = d_.role->load(slot.key, &row);
  }

  void wake_unknown(Slot& slot) {
    slot.version = 0;
    slot.loaded = true;
  }

  void deliver() {
    phase_ = Phase::deciding;
    undecided_ = works_.size();
    if (works_.empty()) return assemble();
    for (Work& work : works_) bury_too_old(work);
    // By index: an inline decision never adds works, but the last one assembles the turn and clears them.
    for (std::size_t i = 0, n = works_.size(); i < n; ++i) {
      Work& work = works_[i];
      if (work.inputs.empty()) {  // all of it was too old
        work.decided = true;
        work.change.open = false;
        --undecided_;
      } else if (d_.role->supervised) {
        hand_over(*work.slot, work.inputs);
      } else {
        decide_here(work);
      }
    }
    if (!d_.role->supervised || undecided_ == 0) assemble();
  }

  void decide_here(Work& work) {
    Slot& slot = *work.slot;
    if (!slot.entity) slot.entity = d_.role->load(slot.key, nullptr);
    for (const Input& what : work.inputs) {
      if (d_.probe) d_.probe(slot.key, what);
      slot.entity->digest(what, now_, work.change);
    }
    if (work.change.changed) slot.entity->describe(work.change.row.emplace());
    work.decided = true;
  }

  void hand_over(Slot& slot, const std::vector<Input>& inputs) {
    if (!slot.actor) {
      order::OrderDeps deps{slot.key, std::move(slot.row), d_.role, d_.probe};
      slot.row.reset();
      slot.actor = order::spawn_order(system(), this, std::move(deps));
      monitor(slot.actor);
      children_[slot.actor->id()] = slot.key;
    }
    caf::anon_send(slot.actor, Deliver{number_, now_, inputs});
  }

  void on(Decided& decided) {
    if (decided.turn != number_ || phase_ != Phase::deciding) return;
    Slot* slot = slots_.find(decided.key);
    if (!slot || slot->work < 0) return;
    Work& work = works_[static_cast<std::size_t>(slot->work)];
    if (work.decided) return;
    work.decided = true;
    work.change = std::move(decided.change);
    if (--undecided_ == 0) assemble();
  }

  /// One for one: the death of an order's actor is its answer in the running turn (rule 14).
  void on_down(const caf::down_msg& down) {
    auto it = children_.find(down.source.id());
    if (it == children_.end()) return;
    std::string key = it->second;
    children_.erase(it);
    Slot* slot = slots_.find(key);
    if (!slot || !slot->actor || slot->actor->id() != down.source.id()) return;
    slot->drop();
    if (phase_ != Phase::deciding || slot->work < 0) return;
    Work& work = works_[static_cast<std::size_t>(slot->work)];
    if (work.decided) return;
    work.decided = work.died = true;
    work.why = caf::to_string(down.reason);
    ++restarts_total_;
    if (--undecided_ == 0) assemble();
  }

  // -- a turn: one transaction --------------------------------------------------------------------------------------------

  void assemble() {
    acts_.clear();
    replies_.clear();
    for (Work& work : works_) work.died ? set_aside(work, work.why, true) : add(work);
    bool moved = turn_->next != positions_;
    bool writes = moved || turn_->lost || !turn_->rows.empty() || !turn_->dead.empty() || !turn_->parked.empty() ||
                  !turn_->unparked.empty() || !turn_->quarantines.empty() || !outgoing_->empty();
    // Acts that are done again were decided by an earlier turn. The store is asked all the same whether this is still the
    // owner: its acts would be refused for ever, and a shard without records would not find out why.
    writes = writes || !acts_.empty();
    if (!outgoing_->empty()) {
      turn_->sequence = sequence_ + 1;
      turn_->outgoing = outgoing_;
    } else {
      turn_->sequence = sequence_;
    }
    turn_->published = published_;
    turn_->progress = !turn_records_.empty();
    // A loss counts as acted upon when everything was published again and every question of it is in the outbox.
    bool acted = !replaying_ && replay_due_ == 0 && (!replays_asking_ || wakes_.empty());
    turn_->losses_seen = acted ? losses_seen_ : losses_done_;
    if (!writes) return finish_turn();
    commit();
  }

  void add(Work& work) {
    Change& change = work.change;
    Slot& slot = *work.slot;
    if (change.row) {
      change.row->key = slot.key;
      change.row->version = slot.version + 1;
      change.row->open = change.open;
      change.row->due = change.due == 0 ? change.due_caught_up
                        : change.due_caught_up == 0 ? change.due
                                                    : std::min(change.due, change.due_caught_up);
      turn_->rows.push_back(std::move(*change.row));
    }
    auto append = [](auto& to, auto& from) {
      to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
    };
    append(turn_->transitions, change.transitions);
    append(turn_->totals, change.totals);
    append(turn_->identities, change.identities);
    for (const Event& event : change.publish) outgoing_->push_back(d_.codec->write(event));
    for (DeadLetter& letter : change.dead) bury(std::move(letter));
    append(acts_, change.acts);
    append(replies_, change.replies);
    if (work.redrive) {
      turn_->unparked.push_back(slot.key);
      if (change.park.empty() && slot.quarantine) {
        Quarantine lifted = *slot.quarantine;
        lifted.lifted = true;
        turn_->quarantines.push_back(std::move(lifted));
      }
    }
    if (!change.park.empty()) {
      for (RecordPtr& record : change.parked) turn_->parked.push_back({slot.key, std::move(record)});
      quarantine(work, change.park, 0, 0);
    }
  }

  /// Sets an order aside: its records wait in the store; the rest of the shard goes on (rule 11).
  void set_aside(Work& work, const std::string& why, bool died) {
    Slot& slot = *work.slot;
    int restarts = slot.quarantine ? slot.quarantine->restarts : 0;
    if (died) restarts = std::max(restarts + 1, deaths_of(slot));
    for (std::size_t i = work.stored; i < work.inputs.size(); ++i)  // a redrive's records are in the store already
      if (const auto* record = std::get_if<RecordPtr>(&work.inputs[i])) turn_->parked.push_back({slot.key, *record});
    for (const Input& what : work.inputs)
      if (const auto* command = std::get_if<Command>(&what))
        replies_.push_back({command->id, 503, "the order's actor failed: " + why});
    Millis wait = limits::take_backoff.count() << std::min(restarts, 6);
    quarantine(work, why, restarts, restarts > limits::restarts_max ? 0 : now_ + wait);
    complain("order " + slot.key + " failed and is set aside (" + std::to_string(restarts) + "): " + why);
  }

  /// How often a row's actor has died within the window, just now counted: one that dies again after every restart is given
  /// up, also when it digested something in between.
  int deaths_of(Slot& slot) const {
    std::erase_if(slot.deaths, [&](Millis at) { return at <= now_ - limits::restart_window.count(); });
    slot.deaths.push_back(now_);
    return static_cast<int>(slot.deaths.size());
  }

  void quarantine(Work& work, const std::string& why, int restarts, Millis until) {
    Quarantine row;
    row.key = work.slot->key;
    row.reason = why;
    row.restarts = restarts;
    row.since = work.slot->quarantine ? work.slot->quarantine->since : now_;
    row.until = until;
    turn_->quarantines.push_back(std::move(row));
  }

  void commit() {
    phase_ = Phase::committing;
    auto number = number_;
    request(d_.store, limits::store_timeout, Commit{turn_})
        .then([this, number](const Committed& committed) { on(number, committed); },
              [this, number](const caf::error&) { on(number, Committed{CommitResult::unavailable, 0, {}, "no answer in time"}); });
  }

  void on(std::uint64_t number, const Committed& committed) {
    if (number != number_ || phase_ != Phase::committing) return;
    switch (committed.result) {
      case CommitResult::ok: {
        bool refilled = !refilled_.empty();
        finish_turn();
        if (refilled) return take();
        if (committed.losses > losses_seen_) replay(committed.losses);
        return start_turn();
      }
      case CommitResult::unavailable:  // perhaps it is in the store all the same: the same turn is handed in again
        complain("the store cannot commit: " + committed.why);
        retry_at_ = d_.clock() + limits::take_backoff.count();
        return;
      case CommitResult::conflict: return redo(committed.conflicts);
      case CommitResult::fenced:
        complain("fenced: another owner has the shard");
        if (stopping_) return stop();
        phase_ = Phase::taking;
        delayed_send(this, limits::take_backoff, Begin{});
        return;
    }
  }

  /// Somebody else changed a row we decided on: forget what was speculated, and decide again on what is there (rule 14).
  void redo(const std::vector<std::string>& conflicts) {
    if (redone_ > 10) {
      std::string keys;
      for (const std::string& key : conflicts) keys += " " + key;
      complain("in conflict again and again over" + keys);
    }
    check(++redone_ < 100, "a turn is not in conflict for ever");
    careful_ = 50;
    for (Work& work : works_) {
      work.slot->work = -1;
      release(*work.slot);
    }
    // Without a key it was an instance of Redis that is not verified: its outcomes must not be used. They are asked again.
    if (!conflicts.empty())
      for (Outcome& outcome : turn_outcomes_) outcomes_.push_back(std::move(outcome));
    for (Asked& asked : turn_commands_) commands_.push_back(std::move(asked));
    records_.insert(records_.begin(), std::make_move_iterator(turn_records_.begin()), std::make_move_iterator(turn_records_.end()));
    for (Work& work : works_)
      if (work.redrive) {
        redrives_.erase(work.slot->key);
        redrive(*work.slot);
      }
    // Each loss stands where it stood among the records: a log may have been lost again while the turn was under way.
    for (Loss& loss : losses_) loss.after += turn_records_.size();
    losses_.insert(losses_.begin(), std::make_move_iterator(turn_resets_.begin()), std::make_move_iterator(turn_resets_.end()));
    turn_resets_.clear();
    works_.clear();
    turn_records_.clear();
    turn_.reset();
    phase_ = Phase::idle;
    start_turn();
  }

  /// Lets go of a slot's entity or actor; its deadlines stay.
  void release(Slot& slot) {
    if (slot.actor) children_.erase(slot.actor->id());
    slot.drop();
  }

  // -- a turn: publish and act ----------------------------------------------------------------------------------------------

  void finish_turn() {
    positions_ = turn_->next;
    losses_done_ = std::max(losses_done_, turn_->losses_seen);
    if (marking_) marked_ = std::exchange(marking_, {});
    if (one_by_one_ > 0 && !turn_records_.empty()) --one_by_one_;
    redone_ = 0;
    for (Work& work : works_) {
      Slot& slot = *work.slot;
      slot.work = -1;
      if (work.redrive) redrives_.erase(slot.key);
      if (work.died) continue;
      if (work.change.changed) {
        ++slot.version;
        slot.again = 0;
      }
      slot.open = work.change.open;
      slots_.set_due(slot, work.change.due, work.change.due_caught_up);
    }
    for (const Quarantine& row : turn_->quarantines) {
      Slot& slot = slots_.at(row.key);
      if (row.lifted) {
        slots_.lift(slot);
      } else {
        slots_.set_aside(slot, row);
        release(slot);
      }
    }
    for (Work& work : works_) {
      Slot& slot = *work.slot;
      if (!slot.open && !slot.quarantine && !work.died) {  // over: the store remembers it
        release(slot);
        slots_.erase(slot);
      }
    }
    if (careful_ > 0) --careful_;
    dead_letters_total_ += turn_->dead.size();
    if (turn_->outgoing) {
      sequence_ = turn_->sequence;
      publish(sequence_, turn_->outgoing);
    }
    if (!acts_.empty()) send_acts(std::move(acts_));
    acts_.clear();
    for (CommandReply& reply : replies_) answer(std::move(reply));
    replies_.clear();
    if (!turn_records_.empty()) {
      d_.intake->consumed(d_.id, turn_records_.size());
      d_.intake->committed(d_.id, positions_);
    }
    works_.clear();
    turn_records_.clear();
    turn_.reset();
    ++turns_total_;
    phase_ = Phase::idle;
    if (stopping_) stop();
  }

  void answer(CommandReply reply) {
    auto it = promises_.find(reply.id);
    if (it == promises_.end()) return;
    it->second.deliver(std::move(reply));
    promises_.erase(it);
  }

  void send_acts(std::vector<Act> acts) { caf::anon_send(d_.port, Acts{this, d_.id, epoch_, now_, std::move(acts)}); }

  void publish(Sequence sequence, std::shared_ptr<const std::vector<Outgoing>> outgoing) {
    if (unpublished_.emplace(sequence, outgoing).second) unpublished_records_ += outgoing->size();
    send_publish(sequence, std::move(outgoing));
  }
  void send_publish(Sequence sequence, std::shared_ptr<const std::vector<Outgoing>> outgoing) {
    caf::anon_send(d_.producer, Publish{this, epoch_, sequence, std::move(outgoing)});
  }

  void on(const Published& published) {
    if (published.epoch != epoch_) return;
    auto it = unpublished_.find(published.sequence);
    if (it == unpublished_.end()) return;
    if (!published.ok) {
      failed_publishes_.push_back(published.sequence);  // published again by the next tick
      return;
    }
    unpublished_records_ -= std::min(unpublished_records_, it->second->size());
    unpublished_.erase(it);
    if (!replaying_) published_ = unpublished_.empty() ? sequence_ : unpublished_.begin()->first - 1;
    if (replaying_ && unpublished_.empty()) read_outbox();
    if (phase_ == Phase::leaving) return say_goodbye(d_.clock());
    if (stopping_) return stop();
    start_turn();
  }

  // -- after a loss (rule 10) -----------------------------------------------------------------------------------------------

  /// Publishes the outbox of the last outbox.replay again, and asks every open question again. A broker that lost its
  /// logs is found out by every shard and topic, one after the other: what is seen soon after a replay began waits and
  /// is one more replay, whatever was seen.
  void replay(std::int64_t losses) {
    losses_seen_ = losses;  // not durable before it was acted upon: until then a new owner does it again
    Millis now = d_.clock();
    if (last_replay_ == 0 || now - last_replay_ >= limits::replay_pause.count())
      start_replay(now);
    else if (replay_due_ == 0)
      replay_due_ = last_replay_ + limits::replay_pause.count();
  }

  void start_replay(Millis now) {
    last_replay_ = now;
    replay_due_ = 0;
    wakes_.clear();  // all that is open is woken, and asked more than they would have been
    for (auto& [key, slot] : slots_)
      if (!slot.quarantine && slot.open) wakes_.push_back({key, Resume{true}});
    std::sort(wakes_.begin(), wakes_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    replays_asking_ = true;
    replaying_ = true;
    replay_until_ = sequence_;
    replayed_ = -1;
    replay_since_ = now - d_.settings.outbox_replay;
    read_outbox();
    if (d_.role->placed_by_doors) look_for_placed(now);
  }

  /// A door's order whose record nobody has read: the record was lost, or never written. A 202 is a promise, so the owner
  /// looks for such orders after a loss, and by time (rule 3: until it was read back it is published again).
  void look_for_placed(Millis before) {
    if (looking_) return;
    looking_ = true;
    next_look_ = d_.clock() + std::max<Millis>(look_delay_, static_cast<Millis>(slots_.size()) / limits::looked_rows_per_ms);
    look_delay_ = std::min(2 * look_delay_, d_.settings.ask_last);
    auto epoch = epoch_;
    request(d_.store, limits::store_timeout, FindPlaced{d_.id, before})
        .then(
            [this, epoch](PlacedRows& placed) {
              if (epoch != epoch_) return;
              looking_ = false;
              if (!placed.ok) next_look_ = d_.clock() + d_.settings.ask_first;
              for (Wake& wake : placed.open) {
                if (slots_.find(wake.key)) continue;
                slots_.set_due(slots_.at(wake.key), wake.due, 0);
                wakes_.push_back({wake.key, Resume{}});
                look_delay_ = d_.settings.ask_first;
              }
              start_turn();
            },
            [this, epoch](const caf::error&) {
              if (epoch == epoch_) looking_ = false;
            });
  }

  void read_outbox() {
    if (reading_outbox_) return;
    reading_outbox_ = true;
    auto epoch = epoch_;
    request(d_.store, limits::store_timeout, ReadOutbox{d_.id, replayed_, replay_since_, limits::outbox_page_turns})
        .then(
            [this, epoch](OutboxPage& page) {
              if (epoch != epoch_) return;
              reading_outbox_ = false;
              if (!page.ok || !replaying_) return;  // a tick comes back to it
              bool more = false;
              for (OutboxRow& row : page.rows) {
                if (row.sequence > replay_until_) break;
                if (published_ >= row.sequence) published_ = row.sequence - 1;
                replayed_ = row.sequence;
                more = true;
                publish(row.sequence, std::move(row.outgoing));
              }
              if (!more) {
                replaying_ = false;
                published_ = unpublished_.empty() ? sequence_ : unpublished_.begin()->first - 1;
              }
            },
            [this, epoch](const caf::error&) {
              if (epoch == epoch_) reading_outbox_ = false;
            });
  }

  // -- supervision ----------------------------------------------------------------------------------------------------------

  /// A record as the store gives it back: its bytes and what its headers said. What they mean is read again.
  [[nodiscard]] RecordPtr read_again(const Record& parked) const {
    auto record = std::make_shared<Record>(parked);
    if (record->poison.empty()) d_.codec->read(*record, d_.codec->reroute(parked).headers);
    return record;
  }

  /// Reads what waits behind an order and hands it to the next turn. One at a time for each order, until its turn is
  /// done: a second one would take away, undigested, what was parked in between.
  void redrive(Slot& slot) {
    if (!redrives_.insert(slot.key).second) return;
    auto epoch = epoch_;
    std::string key = slot.key;
    request(d_.store, limits::store_timeout, LoadParked{d_.id, key})
        .then(
            [this, epoch, key](ParkedRecords& parked) {
              if (epoch != epoch_) return;
              if (!parked.ok) {
                redrives_.erase(key);
                return;
              }
              for (RecordPtr& record : parked.records) record = read_again(*record);
              ready_.push_back({key, std::move(parked.records)});
              start_turn();
            },
            [this, epoch, key](const caf::error&) {
              if (epoch == epoch_) redrives_.erase(key);
            });
  }

  /// Idle orders sleep in the store; a message wakes them.
  void passivate(Millis now) {
    if (phase_ != Phase::idle || now < next_passivation_) return;
    next_passivation_ = now + 1'000;
    while (slots_.awake() > 0) {
      Slot& slot = slots_.longest_unused();
      bool idle = now - slot.used >= limits::idle_order_age.count();
      if (!idle && slots_.awake() <= limits::live_orders_max) return;
      release(slot);
      slots_.unlist(slot);
    }
  }

  // -- leaving --------------------------------------------------------------------------------------------------------------

  caf::typed_response_promise<Revoked> on_revoke() {
    auto promise = make_response_promise<Revoked>();
    stopping_ = true;
    leaving_.push_back(promise);
    if (phase_ == Phase::idle || phase_ == Phase::taking || phase_ == Phase::stopped) stop();
    return promise;
  }

  void stop() {
    if (phase_ == Phase::stopped || phase_ == Phase::leaving) return;
    if (phase_ != Phase::idle) return end();
    phase_ = Phase::leaving;
    leave_by_ = d_.clock() + limits::goodbye_wait.count();
    say_goodbye(d_.clock());
  }

  /// The last transaction: how far the outbox is in the log, so that the next owner does not publish it again, and that
  /// this start ended well (rule 11). Waits a moment for what is on its way; what the store says to it changes nothing.
  void say_goodbye(Millis now) {
    if (said_goodbye_ || (!unpublished_.empty() && now < leave_by_)) return;
    said_goodbye_ = true;
    auto last = std::make_shared<Turn>();
    last->shard = d_.id;
    last->epoch = epoch_;
    last->number = ++number_;
    last->at = now;
    last->next = positions_;
    last->sequence = sequence_;
    last->published = published_;
    last->losses_seen = losses_done_;
    last->progress = true;
    request(d_.store, limits::goodbye_wait, Commit{std::move(last)})
        .then([this](const Committed&) { end(); }, [this](const caf::error&) { end(); });
  }

  void end() {
    if (phase_ == Phase::stopped) return;
    phase_ = Phase::stopped;
    for (auto& [id, promise] : promises_) promise.deliver(CommandReply{id, 503, "the shard of this order is changing its owner"});
    promises_.clear();
    for (auto& promise : leaving_) promise.deliver(Revoked{});
    leaving_.clear();
    slots_.clear();
    children_.clear();
    quit();
  }

  ShardView view() const {
    ShardView v;
    v.shard = d_.id;
    v.epoch = epoch_;
    v.phase = to_string(phase_);
    v.turns = turns_total_;
    v.records = records_total_;
    v.restarts = restarts_total_;
    v.dead_letters = dead_letters_total_;
    v.rows = slots_.size();
    v.actors = children_.size();
    v.waiting = records_.size() + outcomes_.size() + wakes_.size();
    v.unpublished = unpublished_records_;
    v.quarantined = slots_.aside();
    v.sequence = sequence_;
    v.published = published_;
    return v;
  }

  void complain(const std::string& what) {
    if (d_.complain) d_.complain(to_string(d_.id) + ": " + what);
  }

  ShardDeps d_;
  Phase phase_ = Phase::taking;
  bool stopping_ = false, ticking_ = false, said_goodbye_ = false;
  int careful_ = 0;  // turns for which no row is assumed to be new: there was a conflict just now
  Epoch epoch_ = 0;
  std::uint64_t number_ = 0, command_id_ = 0;
  Positions positions_;
  Slots slots_;
  std::unordered_map<caf::actor_id, std::string> children_;

  std::deque<RecordPtr> records_;
  std::deque<Loss> losses_;      // not taken in yet, the first one first
  int one_by_one_ = 0;           // records that are still to be digested one at a time
  std::optional<std::pair<Topic, std::int64_t>> marked_, marking_;  // the record that may be tried; that this turn marks
  std::vector<Outcome> outcomes_;
  std::deque<std::pair<std::string, Resume>> wakes_;
  std::vector<Asked> commands_;
  std::vector<Redrive> ready_;
  std::set<std::string> redrives_, stale_redrives_;

  // the running turn
  Millis now_ = 0;
  std::shared_ptr<Turn> turn_;
  std::shared_ptr<std::vector<Outgoing>> outgoing_;
  std::vector<Work> works_;
  std::size_t undecided_ = 0;
  std::vector<RecordPtr> turn_records_;
  std::vector<Outcome> turn_outcomes_;
  std::vector<Asked> turn_commands_;
  std::vector<Act> acts_;
  std::vector<CommandReply> replies_;
  std::set<Topic> refilled_;     // logs that begin anew and reach beyond what was read of the one before
  std::vector<Loss> turn_resets_;  // losses that this turn takes in: after so many of turn_records_
  int redone_ = 0;
  Millis retry_at_ = 0;  // the store was away: when the turn is handed in, or its rows are asked for, again

  // what is on its way into the log
  Sequence sequence_ = 0, published_ = 0;
  std::map<Sequence, std::shared_ptr<const std::vector<Outgoing>>> unpublished_;
  std::size_t unpublished_records_ = 0;
  std::vector<Sequence> failed_publishes_;

  std::int64_t losses_seen_ = 0, losses_done_ = 0;  // the counter's value as seen; as acted upon
  bool replaying_ = false, reading_outbox_ = false, looking_ = false, replays_asking_ = false;
  Millis last_replay_ = 0, replay_due_ = 0;         // 0: none
  Sequence replay_until_ = 0, replayed_ = 0;
  Millis replay_since_ = 0;

  bool asking_ends_ = false, caught_up_ = false;
  Positions asked_at_;                              // what had been read when the broker was asked how far the topics reach
  std::optional<std::map<Topic, std::int64_t>> ends_;  // ... and what it said
  Millis next_ends_ = 0, next_passivation_ = 0, next_look_ = 0, look_delay_ = 0, leave_by_ = 0;
  std::map<std::uint64_t, caf::typed_response_promise<CommandReply>> promises_;
  std::vector<caf::typed_response_promise<Revoked>> leaving_;
  std::uint64_t turns_total_ = 0, records_total_ = 0, restarts_total_ = 0, dead_letters_total_ = 0;
};

}  // namespace

ShardActor spawn_shard(caf::actor_system& system, ShardDeps deps) { return system.spawn<Shard>(std::move(deps)); }

}  // namespace cartwright
