// After a lost log (rule 10): the outbox is published again, every open question asked again, and orders of doors looked for.

#include <algorithm>

#include "actors/shard/loop.hpp"

namespace cartwright::shards {

void Shard::replay(std::int64_t losses) {
  losses_seen_ = losses;  // not durable before it was acted upon: until then a new owner does it again
  Millis now = d_.clock();
  if (last_replay_ == 0 || now - last_replay_ >= limits::replay_pause.count())
    start_replay(now);
  else if (replay_due_ == 0)
    replay_due_ = last_replay_ + limits::replay_pause.count();
}

void Shard::start_replay(Millis now) {
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

void Shard::look_for_placed(Millis before) {
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

void Shard::read_outbox() {
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

}  // namespace cartwright::shards
