// One for one: an order whose handler dies is set aside, tried again later, or waits for a person; idle ones sleep.

#include <algorithm>

#include "actors/shard/loop.hpp"

namespace cartwright::shards {

void Shard::on_down(const caf::down_msg& down) {
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

void Shard::set_aside(Work& work, const std::string& why, bool died) {
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

int Shard::deaths_of(Slot& slot) const {
  std::erase_if(slot.deaths, [&](Millis at) { return at <= now_ - limits::restart_window.count(); });
  slot.deaths.push_back(now_);
  return static_cast<int>(slot.deaths.size());
}

void Shard::quarantine(Work& work, const std::string& why, int restarts, Millis until) {
  Quarantine row;
  row.key = work.slot->key;
  row.reason = why;
  row.restarts = restarts;
  row.since = work.slot->quarantine ? work.slot->quarantine->since : now_;
  row.until = until;
  turn_->quarantines.push_back(std::move(row));
}

RecordPtr Shard::read_again(const Record& parked) const {
  auto record = std::make_shared<Record>(parked);
  if (record->poison.empty()) d_.codec->read(*record, d_.codec->reroute(parked).headers);
  return record;
}

void Shard::redrive(Slot& slot) {
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

void Shard::passivate(Millis now) {
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

}  // namespace cartwright::shards
