// How a shard is taken, what comes in, what a tick looks after, and how it is left.

#include <algorithm>
#include <array>

#include "actors/shard/loop.hpp"

namespace cartwright::shards {
namespace {

std::string_view to_string(Phase phase) {
  constexpr std::array<std::string_view, 7> names{"taking", "idle", "loading", "deciding", "committing", "leaving", "stopped"};
  return names[static_cast<std::size_t>(phase)];
}

}  // namespace

// -- taking ----------------------------------------------------------------------------------------------------------

void Shard::take() {
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

void Shard::take_later(const std::string& why) {
  if (stopping_) return stop();
  complain("cannot take the shard yet: " + why);
  delayed_send(this, limits::take_backoff, Begin{});
}

void Shard::forget_everything() {
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
  replaying_ = reading_outbox_ = looking_ = asking_ends_ = false;
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

void Shard::taken_over(Taken& taken) {
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
  next_check_ = d_.clock() + limits::owner_check.count();
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

// -- inputs ----------------------------------------------------------------------------------------------------------

void Shard::on(Batch& batch) {
  if (batch.epoch != epoch_ || phase_ == Phase::taking || stopping_) return;  // of a start before this one
  for (RecordPtr& record : batch.records) records_.push_back(std::move(record));
  start_turn();
}

void Shard::on(Outcomes& outcomes) {
  if (outcomes.epoch != epoch_) return;
  for (Outcome& outcome : outcomes.outcomes) outcomes_.push_back(std::move(outcome));
  start_turn();
}

caf::typed_response_promise<CommandReply> Shard::on_command(const std::string& key, const Command& command) {
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

void Shard::on(const Ends& ends) {
  if (ends.ok && ends.epoch != epoch_) return;  // asked by a start before this one
  asking_ends_ = false;
  if (!ends.ok || phase_ == Phase::taking) return;
  ends_ = ends.ends;
  start_turn();
}

bool Shard::caught_up() {
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

void Shard::on(const LogLost& lost) {
  if (lost.epoch != epoch_ || phase_ == Phase::taking) return;  // of a start before this one: the next one finds it out
  // What was read of the log before is digested first; the running turn will set its positions when it is done.
  losses_.push_back({records_.size(), {lost.topics.begin(), lost.topics.end()}});
  complain("a log was lost; the outbox is published again and every open question is asked again");
  start_turn();
}

void Shard::on_tick() {
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

// -- leaving ---------------------------------------------------------------------------------------------------------

caf::typed_response_promise<Revoked> Shard::on_revoke() {
  auto promise = make_response_promise<Revoked>();
  stopping_ = true;
  leaving_.push_back(promise);
  if (phase_ == Phase::idle || phase_ == Phase::taking || phase_ == Phase::stopped) stop();
  return promise;
}

void Shard::stop() {
  if (phase_ == Phase::stopped || phase_ == Phase::leaving) return;
  if (phase_ != Phase::idle) return end();
  phase_ = Phase::leaving;
  leave_by_ = d_.clock() + limits::goodbye_wait.count();
  say_goodbye(d_.clock());
}

void Shard::say_goodbye(Millis now) {
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

void Shard::end() {
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

ShardView Shard::view() const {
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

void Shard::complain(const std::string& what) {
  if (d_.complain) d_.complain(to_string(d_.id) + ": " + what);
}

}  // namespace cartwright::shards

namespace cartwright {

ShardActor spawn_shard(caf::actor_system& system, ShardDeps deps) { return system.spawn<shards::Shard>(std::move(deps)); }

}  // namespace cartwright
