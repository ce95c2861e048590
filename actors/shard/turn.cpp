// A turn goes on: rows are loaded, decided, written in one transaction; then what it says is published and done.

#include <algorithm>

#include "actors/shard/loop.hpp"

namespace cartwright::shards {

// -- a turn: load and decide -----------------------------------------------------------------------------------------

void Shard::load_sleepers() {
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

void Shard::load_later() {
  complain("rows cannot be loaded; trying again");
  retry_at_ = d_.clock() + limits::take_backoff.count();
}

void Shard::wake(Slot& slot, Row&& row) {
  slot.version = row.version;
  slot.open = row.open;
  slot.loaded = true;
  if (d_.role->supervised)
    slot.row = std::move(row);
  else
    slot.entity = d_.role->load(slot.key, &row);
}

void Shard::wake_unknown(Slot& slot) {
  slot.version = 0;
  slot.loaded = true;
}

void Shard::deliver() {
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

void Shard::decide_here(Work& work) {
  Slot& slot = *work.slot;
  if (!slot.entity) slot.entity = d_.role->load(slot.key, nullptr);
  for (const Input& what : work.inputs) {
    if (d_.probe) d_.probe(slot.key, what);
    slot.entity->digest(what, now_, work.change);
  }
  if (work.change.changed) slot.entity->describe(work.change.row.emplace());
  work.decided = true;
}

void Shard::hand_over(Slot& slot, const std::vector<Input>& inputs) {
  if (!slot.actor) {
    order::OrderDeps deps{slot.key, std::move(slot.row), d_.role, d_.probe};
    slot.row.reset();
    slot.actor = order::spawn_order(system(), this, std::move(deps));
    monitor(slot.actor);
    children_[slot.actor->id()] = slot.key;
  }
  caf::anon_send(slot.actor, Deliver{number_, now_, inputs});
}

void Shard::on(Decided& decided) {
  if (decided.turn != number_ || phase_ != Phase::deciding) return;
  Slot* slot = slots_.find(decided.key);
  if (!slot || slot->work < 0) return;
  Work& work = works_[static_cast<std::size_t>(slot->work)];
  if (work.decided) return;
  work.decided = true;
  work.change = std::move(decided.change);
  if (--undecided_ == 0) assemble();
}

// -- a turn: one transaction -----------------------------------------------------------------------------------------

void Shard::assemble() {
  acts_.clear();
  replies_.clear();
  for (Work& work : works_) work.died ? set_aside(work, work.why, true) : add(work);
  bool moved = turn_->next != positions_;
  bool writes = moved || turn_->lost || !turn_->rows.empty() || !turn_->dead.empty() || !turn_->parked.empty() ||
                !turn_->unparked.empty() || !turn_->quarantines.empty() || !outgoing_->empty();
  // Acts that are done again were decided by an earlier turn. The store is asked all the same whether this is still the
  // owner: its acts would be refused for ever, and a shard without records would not find out why.
  writes = writes || !acts_.empty() || now_ >= next_check_;
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

void Shard::add(Work& work) {
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

void Shard::commit() {
  phase_ = Phase::committing;
  auto number = number_;
  request(d_.store, limits::store_timeout, Commit{turn_})
      .then([this, number](const Committed& committed) { on(number, committed); },
            [this, number](const caf::error&) { on(number, Committed{CommitResult::unavailable, 0, {}, "no answer in time"}); });
}

void Shard::on(std::uint64_t number, const Committed& committed) {
  if (number != number_ || phase_ != Phase::committing) return;
  switch (committed.result) {
    case CommitResult::ok: {
      bool refilled = !refilled_.empty();
      next_check_ = d_.clock() + limits::owner_check.count();
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

void Shard::redo(const std::vector<std::string>& conflicts) {
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

void Shard::release(Slot& slot) {
  if (slot.actor) children_.erase(slot.actor->id());
  slot.drop();
}

// -- a turn: publish and act -----------------------------------------------------------------------------------------

void Shard::finish_turn() {
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

void Shard::answer(CommandReply reply) {
  auto it = promises_.find(reply.id);
  if (it == promises_.end()) return;
  it->second.deliver(std::move(reply));
  promises_.erase(it);
}

void Shard::publish(Sequence sequence, std::shared_ptr<const std::vector<Outgoing>> outgoing) {
  if (unpublished_.emplace(sequence, outgoing).second) unpublished_records_ += outgoing->size();
  send_publish(sequence, std::move(outgoing));
}

void Shard::send_publish(Sequence sequence, std::shared_ptr<const std::vector<Outgoing>> outgoing) {
  caf::anon_send(d_.producer, Publish{this, epoch_, sequence, std::move(outgoing)});
}

void Shard::on(const Published& published) {
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

}  // namespace cartwright::shards
