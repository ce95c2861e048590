#pragma once
// The shard's actor: its state, and what it does, each part in a file of its own beside this one. Only those include it; the others
// know actors/shard.hpp.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include "actors/check.hpp"
#include "actors/harden.hpp"
#include "actors/limits.hpp"
#include "actors/order/actor.hpp"
#include "actors/retention.hpp"
#include "actors/shard.hpp"
#include "actors/slots.hpp"

namespace cartwright::shards {

using RecordPtr = std::shared_ptr<const Record>;

enum class Phase { taking, idle, loading, deciding, committing, leaving, stopped };

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

/// A partition of a role: the one turn that is under way, the rows it works on, and what is on its way into the log. Mailbox alone.
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
  // -- taking --------------------------------------------------------------------------------------------------------

  void take();
  void take_later(const std::string& why);
  void forget_everything();
  void taken_over(Taken& taken);

  // -- inputs --------------------------------------------------------------------------------------------------------

  void on(Batch& batch);
  void on(Outcomes& outcomes);
  caf::typed_response_promise<CommandReply> on_command(const std::string& key, const Command& command);
  void on(const Ends& ends);
  /// Whether all that was in the topics when the broker was asked has been digested. Known once for each answer.
  bool caught_up();
  void on(const LogLost& lost);
  void on_tick();

  // -- a turn: collect -----------------------------------------------------------------------------------------------

  [[nodiscard]] bool something_to_do(Millis now) const;
  void start_turn();
  Work& work_of(const std::string& key);
  void input(const std::string& key, Input what) { work_of(key).inputs.push_back(std::move(what)); }
  /// An act is repeated on the store's word alone. A foreign program may have brought its records of one order to two shards
  /// (rule 9); what the other one recorded, this one has not seen, and what it remembers may be long over.
  void ask_the_store(Slot& slot);
  void collect_next();
  /// What was read of a lost log has been taken in: the next records are of the log that came after it (rule 10).
  void reset_positions();
  /// Moves the position past a record and finds out whose it is.
  void collect(const RecordPtr& read);
  /// Whether the order of a record may have been deleted, when nothing is known of it (retention.orders).
  [[nodiscard]] bool too_old(const Record& record) const { return older_than(record, now_ - d_.settings.retention); }
  /// A record about something that is no longer remembered would begin it anew.
  void bury_too_old(Work& work);
  void bury(DeadLetter letter);

  // -- one record at a time (rule 11) --------------------------------------------------------------------------------

  /// After starts that came to nothing, or when a record is marked already, the process may have died of a record.
  void begin_one_by_one(int starts);
  /// Whether this turn tries one record, alone. The turn before it has marked that record; other inputs go with the mark.
  bool try_one_record();

  // -- a turn: load and decide ---------------------------------------------------------------------------------------

  void load_sleepers();
  void load_later();
  void wake(Slot& slot, Row&& row);
  void wake_unknown(Slot& slot);
  void deliver();
  void decide_here(Work& work);
  void hand_over(Slot& slot, const std::vector<Input>& inputs);
  void on(Decided& decided);

  // -- a turn: one transaction ---------------------------------------------------------------------------------------

  void assemble();
  void add(Work& work);
  void commit();
  void on(std::uint64_t number, const Committed& committed);
  /// Somebody else changed a row we decided on: forget what was speculated, and decide again on what is there (rule 14).
  void redo(const std::vector<std::string>& conflicts);
  /// Lets go of a slot's entity or actor; its deadlines stay.
  void release(Slot& slot);

  // -- a turn: publish and act ---------------------------------------------------------------------------------------

  void finish_turn();
  void answer(CommandReply reply);
  void send_acts(std::vector<Act> acts) { caf::anon_send(d_.port, Acts{this, d_.id, epoch_, now_, std::move(acts)}); }
  void publish(Sequence sequence, std::shared_ptr<const std::vector<Outgoing>> outgoing);
  void send_publish(Sequence sequence, std::shared_ptr<const std::vector<Outgoing>> outgoing);
  void on(const Published& published);

  // -- after a loss (rule 10) ----------------------------------------------------------------------------------------

  /// Publishes the outbox of the last outbox.replay again, and asks every open question again. A broker that lost its
  /// logs is found out by every shard and topic, one after the other: what is seen soon after a replay began waits and
  /// is one more replay, whatever was seen.
  void replay(std::int64_t losses);
  void start_replay(Millis now);
  /// A door's order whose record nobody has read: the record was lost, or never written. A 202 is a promise, so the owner
  /// looks for such orders after a loss, and by time (rule 3: until it was read back it is published again).
  void look_for_placed(Millis before);
  void read_outbox();

  // -- supervision ---------------------------------------------------------------------------------------------------

  /// One for one: the death of an order's actor is its answer in the running turn (rule 14).
  void on_down(const caf::down_msg& down);
  /// Sets an order aside: its records wait in the store; the rest of the shard goes on (rule 11).
  void set_aside(Work& work, const std::string& why, bool died);
  /// How often a row's actor has died within the window, just now counted: one that dies again after every restart is given
  /// up, also when it digested something in between.
  int deaths_of(Slot& slot) const;
  void quarantine(Work& work, const std::string& why, int restarts, Millis until);
  /// A record as the store gives it back: its bytes and what its headers said. What they mean is read again.
  [[nodiscard]] RecordPtr read_again(const Record& parked) const;
  /// Reads what waits behind an order and hands it to the next turn. One at a time for each order, until its turn is
  /// done: a second one would take away, undigested, what was parked in between.
  void redrive(Slot& slot);
  /// Idle orders sleep in the store; a message wakes them.
  void passivate(Millis now);

  // -- leaving -------------------------------------------------------------------------------------------------------

  caf::typed_response_promise<Revoked> on_revoke();
  void stop();
  /// The last transaction: how far the outbox is in the log, so that the next owner does not publish it again, and that
  /// this start ended well (rule 11). Waits a moment for what is on its way; what the store says to it changes nothing.
  void say_goodbye(Millis now);
  void end();
  ShardView view() const;
  void complain(const std::string& what);
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
  Millis next_check_ = 0;                           // when the store is asked who the owner is, if nothing is committed before
  Millis next_ends_ = 0, next_passivation_ = 0, next_look_ = 0, look_delay_ = 0, leave_by_ = 0;
  std::map<std::uint64_t, caf::typed_response_promise<CommandReply>> promises_;
  std::vector<caf::typed_response_promise<Revoked>> leaving_;
  std::uint64_t turns_total_ = 0, records_total_ = 0, restarts_total_ = 0, dead_letters_total_ = 0;
};

}  // namespace cartwright::shards
