#pragma once
// What a shard remembers of the rows it works on, and when each of them wants to be looked at.

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/handles.hpp"
#include "actors/role.hpp"

namespace cartwright {

/// One row as its shard knows it. Either an entity or an actor decides for it; neither: it sleeps in the store.
struct Slot {
  std::string key;
  std::int64_t version = 0;          // of the stored row; 0: there is none
  bool loaded = false;               // entity or actor is up to date with `version`
  bool open = true;
  Millis due = 0, due_caught_up = 0; // deadlines; the second kind waits until the log has been read (rule 12)
  Millis used = 0;                   // when it last had an input
  std::list<Slot*>::iterator place;  // among the used ones, the longest unused first
  bool listed = false;               // it has a place
  std::unique_ptr<Entity> entity;
  OrderActor actor;
  std::optional<Row> row;            // loaded, for the actor that is to be spawned
  std::optional<Quarantine> quarantine;
  int work = -1;                     // its place in the running turn
  int again = 0;                     // how often its act was repeated since the row changed
  std::vector<Millis> deaths;        // when its actor died, within limits::restart_window

  /// Forgets what was decided beyond the store (rule 14).
  void drop() {
    entity.reset();
    actor = nullptr;
    row.reset();
    loaded = false;
  }
};

/// The slots of a shard, findable by key and by deadline.
class Slots {
 public:
  [[nodiscard]] Slot* find(const std::string& key) {
    auto it = slots_.find(key);
    return it == slots_.end() ? nullptr : &it->second;
  }

  Slot& at(const std::string& key) {
    auto [it, fresh] = slots_.try_emplace(key);
    if (fresh) it->second.key = key;
    return it->second;
  }

  void erase(Slot& slot) {
    set_due(slot, 0, 0);
    lift(slot);
    unlist(slot);
    std::string key = slot.key;  // the slot's own key dies with it
    slots_.erase(key);
  }

  void clear() {
    plain_.clear();
    caught_up_.clear();
    aside_.clear();
    used_.clear();
    slots_.clear();
    set_aside_ = 0;
  }

  /// Sets a slot aside, or changes why and until when; it has no other deadlines then.
  void set_aside(Slot& slot, Quarantine quarantine) {
    lift(slot);
    set_due(slot, 0, 0);
    if (quarantine.until != 0) aside_.insert({quarantine.until, &slot});
    slot.quarantine = std::move(quarantine);
    ++set_aside_;
  }
  void lift(Slot& slot) {
    if (slot.quarantine && slot.quarantine->until != 0) aside_.erase({slot.quarantine->until, &slot});
    if (slot.quarantine) --set_aside_;
    slot.quarantine.reset();
  }
  /// How many are set aside.
  [[nodiscard]] std::size_t aside() const { return set_aside_; }
  /// The slot that was set aside and is to be tried again first; null: none before `now`.
  [[nodiscard]] Slot* to_try_again(Millis now) const {
    return aside_.empty() || aside_.begin()->first > now ? nullptr : aside_.begin()->second;
  }

  /// A slot has an input: it is the last to be passivated.
  void use(Slot& slot, Millis now) {
    slot.used = now;
    if (slot.listed) return used_.splice(used_.end(), used_, slot.place);
    slot.place = used_.insert(used_.end(), &slot);
    slot.listed = true;
  }
  void unlist(Slot& slot) {
    if (slot.listed) used_.erase(slot.place);
    slot.listed = false;
  }
  /// How many were used since they were last passivated, and the one that was not used for longest.
  [[nodiscard]] std::size_t awake() const { return used_.size(); }
  [[nodiscard]] Slot& longest_unused() const { return *used_.front(); }

  void set_due(Slot& slot, Millis due, Millis due_caught_up) {
    move(plain_, slot, slot.due, due);
    move(caught_up_, slot, slot.due_caught_up, due_caught_up);
  }

  /// Slots whose plain deadline has come, at most `limit`, soonest first.
  [[nodiscard]] std::vector<Slot*> due(Millis now, std::size_t limit) const { return until(plain_, now, limit); }
  /// Slots whose deadline of the second kind has come.
  [[nodiscard]] std::vector<Slot*> due_caught_up(Millis now, std::size_t limit) const { return until(caught_up_, now, limit); }

  [[nodiscard]] std::size_t size() const { return slots_.size(); }
  [[nodiscard]] auto begin() { return slots_.begin(); }
  [[nodiscard]] auto end() { return slots_.end(); }

 private:
  // By key within a moment, not by address: the order must be the same in every run of a simulation.
  struct Sooner {
    bool operator()(const std::pair<Millis, Slot*>& a, const std::pair<Millis, Slot*>& b) const {
      return a.first != b.first ? a.first < b.first : a.second->key < b.second->key;
    }
  };
  using Deadlines = std::set<std::pair<Millis, Slot*>, Sooner>;

  static void move(Deadlines& deadlines, Slot& slot, Millis& held, Millis wanted) {
    if (held == wanted) return;
    if (held != 0) deadlines.erase({held, &slot});
    if (wanted != 0) deadlines.insert({wanted, &slot});
    held = wanted;
  }

  static std::vector<Slot*> until(const Deadlines& deadlines, Millis now, std::size_t limit) {
    std::vector<Slot*> out;
    for (auto it = deadlines.begin(); it != deadlines.end() && it->first <= now && out.size() < limit; ++it)
      out.push_back(it->second);
    return out;
  }

  std::unordered_map<std::string, Slot> slots_;
  Deadlines plain_, caught_up_, aside_;
  std::list<Slot*> used_;
  std::size_t set_aside_ = 0;
};

}  // namespace cartwright
