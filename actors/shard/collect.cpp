// A turn begins: what has waited becomes its inputs, and the positions move past its records.

#include <algorithm>

#include "actors/shard/loop.hpp"

namespace cartwright::shards {
namespace {

/// What rule 10 compares beside the timestamp.
std::uint64_t fingerprint_of(const Record& record) {
  return fingerprint(record.key.value_or("")) * 31 + fingerprint(record.value.value_or(""));
}

}  // namespace

// -- a turn: collect -------------------------------------------------------------------------------------------------

bool Shard::something_to_do(Millis now) const {
  return !records_.empty() || !outcomes_.empty() || !commands_.empty() || !wakes_.empty() || !ready_.empty() ||
         !losses_.empty() || caught_up_ || !slots_.due(now, 1).empty() || now >= next_check_;
}

void Shard::start_turn() {
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

Work& Shard::work_of(const std::string& key) {
  Slot& slot = slots_.at(key);
  if (slot.work < 0) {
    slot.work = static_cast<int>(works_.size());
    works_.emplace_back().slot = &slot;
  }
  slots_.use(slot, now_);
  return works_[static_cast<std::size_t>(slot.work)];
}

void Shard::ask_the_store(Slot& slot) {
  if (slot.entity) slot.drop();
}

void Shard::collect_next() {
  turn_records_.push_back(std::move(records_.front()));
  records_.pop_front();
  for (Loss& loss : losses_) --loss.after;
  collect(turn_records_.back());
}

void Shard::reset_positions() {
  while (!losses_.empty() && losses_.front().after == 0) {
    for (Topic topic : losses_.front().topics) turn_->next[topic] = {};
    turn_->lost = true;
    turn_resets_.push_back({turn_records_.size(), std::move(losses_.front().topics)});
    losses_.pop_front();
  }
}

// -- one record at a time (rule 11) ----------------------------------------------------------------------------------

void Shard::begin_one_by_one(int starts) {
  bool marked = std::any_of(positions_.begin(), positions_.end(), [](const auto& at) { return at.second.tries > 0; });
  one_by_one_ = marked || starts >= limits::poison_starts_max ? limits::one_by_one_records : 0;
  if (one_by_one_ > 0)
    complain("start " + std::to_string(starts) + " since records were digested last: one record at a time for a while");
}

bool Shard::try_one_record() {
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

void Shard::collect(const RecordPtr& read) {
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

void Shard::bury_too_old(Work& work) {
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

void Shard::bury(DeadLetter letter) {
  outgoing_->push_back(d_.codec->dead_letter(letter, d_.role->id));
  turn_->dead.push_back(std::move(letter));
}

}  // namespace cartwright::shards
