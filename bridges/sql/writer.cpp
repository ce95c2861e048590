// The writer of one role: merges what waits in its mailbox into one transaction. All of it is answered after the
// commit.

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "actors/harden.hpp"
#include "bridges/sql/database.hpp"
#include "bridges/sql/group.hpp"

namespace cartwright::sql {

struct Flush { std::uint64_t group = 0; };  // to itself: commit what waits, if it is still that group
struct Clean {};       // to itself, while there is something to delete
struct Retire {};      // to itself, while a walk over the rows is under way

}  // namespace cartwright::sql

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::sql::Flush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::sql::Clean)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::sql::Retire)

namespace cartwright::sql {

namespace {

constexpr std::size_t rows_waiting_max = 200'000;  // of one transaction; then callers are told to come back
// A commit waits for the turns of the role's other shards for half as long as the one before took, and not at all when
// that was short. Rows of one moment lie on the same pages whichever shard they are of, and a page is the unit of what a
// commit writes: four shards together write little more than one alone.
constexpr std::chrono::milliseconds wait_worth_it{2}, wait_max{25};
constexpr Millis clean_interval = 60'000;
// A walk over all rows in small steps costs the writer some 2 % of its time, where an index by age would cost each order more.
constexpr Millis retire_interval = 3'600'000;
constexpr std::chrono::milliseconds retire_pause{100};

using WriterActor = StoreActor::extend<caf::reacts_to<Flush>, caf::reacts_to<Clean>, caf::reacts_to<Retire>>;

class Writer {
 public:
  Writer(WriterActor::pointer self, StoreOptions options) : self_(self), database_(std::move(options), Access::write) {}

  /// Puts a request into the next transaction. `fill` says what the job does to reply; the promise is kept on every
  /// path.
  template <class Reply, class Fill>
  caf::typed_response_promise<Reply> later(std::size_t rows, const Fill& fill) {
    auto promise = self_->template make_response_promise<Reply>();
    auto reply = std::make_shared<Reply>();
    Job job;
    fill(job, reply);
    job.deliver = [promise, reply]() mutable { promise.deliver(std::move(*reply)); };
    job.refuse = [promise, reply](const std::string& why, [[maybe_unused]] Outlook outlook) mutable {
      *reply = Reply{};
      if constexpr (requires { reply->unknown; }) reply->unknown = outlook == Outlook::perhaps;
      if constexpr (requires { reply->why; }) reply->why = why;
      promise.deliver(std::move(*reply));
    };
    if (!job.write)
      answer(database_, job);  // what is committed can be read at once
    else if (has_room(rows))
      jobs_.push_back(std::move(job));
    else
      job.refuse(overloaded(), Outlook::nothing);
    return promise;
  }

  /// A shard whose turns this writer commits: a full round of them is committed without waiting any longer.
  void expect(int partition) { shards_.insert(partition); }
  void turn_came() {
    if (++turns_ >= shards_.size() && waiting_) flush_behind_mailbox();
  }

  /// Orders that wait to be placed are one batch, whichever door they came from.
  caf::typed_response_promise<Placed> place(const Place& message) {
    Door door{self_->make_response_promise<Placed>(), placements_.size(), message.placements.size()};
    auto promise = door.promise;
    if (has_room(2 * door.count)) {
      placements_.insert(placements_.end(), message.placements.begin(), message.placements.end());
      doors_.push_back(std::move(door));
    } else {
      Placed refused;
      for (const auto& each : message.placements) refused.results.push_back({each->id, PlaceResult::unavailable, {}});
      promise.deliver(std::move(refused));
    }
    return promise;
  }

  void flush(const Flush& flush);
  void flush();
  void clean();
  void retire();

 private:
  struct Door {
    caf::typed_response_promise<Placed> promise;
    std::size_t first = 0, count = 0;
  };

  /// Counts a request in, and sees to it that a flush follows.
  bool has_room(std::size_t rows) {
    if (rows_ > 0 && rows_ + rows > rows_waiting_max) return false;
    rows_ += rows;
    if (std::exchange(scheduled_, true)) return true;
    const auto wait = std::min(last_commit_ / 2, std::chrono::microseconds(wait_max));
    waiting_ = wait >= wait_worth_it;
    if (waiting_)
      self_->delayed_send(self_, wait, Flush{group_});
    else
      self_->send(self_, Flush{group_});
    return true;
  }
  void flush_behind_mailbox() {
    waiting_ = false;
    self_->send(self_, Flush{group_});
  }
  [[nodiscard]] std::string overloaded() const {
    return database_.explain("queueing", "overloaded, " + std::to_string(rows_) + " rows wait; come back");
  }
  Job placing();

  WriterActor::pointer self_;
  Database database_;
  std::vector<Job> jobs_;
  std::vector<std::shared_ptr<const Placement>> placements_;
  std::vector<Door> doors_;
  std::size_t rows_ = 0, turns_ = 0;  // of the group that is being collected
  std::uint64_t group_ = 0;
  bool scheduled_ = false, waiting_ = false;
  std::set<int> shards_;
  std::chrono::microseconds last_commit_{0};
  Millis cleaned_at_ = 0, retired_at_ = 0;
};

Job Writer::placing() {
  auto doors = std::make_shared<std::vector<Door>>(std::exchange(doors_, {}));
  auto placements = std::make_shared<std::vector<std::shared_ptr<const Placement>>>(std::exchange(placements_, {}));
  auto results = std::make_shared<std::vector<PlacedOne>>();
  const auto answer = [doors, results] {
    for (Door& door : *doors) {
      Placed reply;
      for (std::size_t i = door.first; i < door.first + door.count; ++i)
        reply.results.push_back(std::move((*results)[i]));
      door.promise.deliver(std::move(reply));
    }
  };
  Job job;
  job.write = [placements, results](Database& database) {
    *results = database.place(*placements);
    return Verdict::keep;
  };
  job.deliver = answer;
  job.refuse = [placements, results, answer](const std::string&, Outlook outlook) {
    const auto result = outlook == Outlook::perhaps ? PlaceResult::unknown : PlaceResult::unavailable;
    results->clear();
    for (const auto& each : *placements) results->push_back({each->id, result, {}});
    answer();
  };
  return job;
}

void Writer::flush(const Flush& flush) {
  if (flush.group == group_) this->flush();
}

void Writer::flush() {
  ++group_;
  scheduled_ = waiting_ = false;
  rows_ = turns_ = 0;
  auto jobs = std::exchange(jobs_, {});
  if (!doors_.empty()) jobs.push_back(placing());
  const auto began = std::chrono::steady_clock::now();
  const bool written = run_group(database_, jobs);
  last_commit_ = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
  if (!written) return;
  std::string why;
  if (database_.connected(why)) database_.dialect().after_commit(database_.session());
  const Millis now = database_.options().clock();
  if (now - cleaned_at_ >= clean_interval) {
    cleaned_at_ = now;
    self_->send(self_, Clean{});
  }
  if (now - retired_at_ >= retire_interval) {
    retired_at_ = now;
    self_->send(self_, Retire{});
  }
}

void Writer::retire() {
  std::string why;
  if (!database_.connected(why)) return;
  try {
    if (!database_.retire()) return;
    retired_at_ = database_.options().clock();  // the next walk begins an hour after this one
    self_->delayed_send(self_, retire_pause, Retire{});
  } catch (const std::exception&) {
    database_.rollback();
    database_.disconnect();
  }
}

void Writer::clean() {
  std::string why;
  if (!database_.connected(why)) return;
  try {
    if (database_.clean()) self_->send(self_, Clean{});
  } catch (const std::exception&) {
    // Nobody waits for it; it is tried again in a minute.
    database_.rollback();
    database_.disconnect();
  }
}

struct WriterState {
  std::string name = "store";
  std::unique_ptr<Writer> writer;
};

WriterActor::behavior_type writer_actor(WriterActor::stateful_pointer<WriterState> self, StoreOptions options) {
  harden(self);
  self->state.name += "-" + std::string(to_string(options.role));
  self->state.writer = std::make_unique<Writer>(self, std::move(options));
  Writer* writer = self->state.writer.get();
  // Whoever waits is answered before the writer ends.
  self->set_exit_handler([self, writer](caf::exit_msg& message) {
    writer->flush();
    self->quit(message.reason);
  });
  return {
      [writer](const Take& message) {
        writer->expect(message.shard.partition);
        return writer->later<Taken>(1, [&](Job& job, const std::shared_ptr<Taken>& taken) {
          job.write = [message](Database& database) {
            database.raise_epoch(message);
            return Verdict::keep;
          };
          job.read = [shard = message.shard, taken](Database& database) {
            *taken = {};
            database.read_shard(shard, *taken);
          };
        });
      },
      [writer](const Commit& message) {
        const std::size_t rows = message.turn->rows.size() + message.turn->transitions.size() + 1;
        auto promise = writer->later<Committed>(rows, [&](Job& job, const std::shared_ptr<Committed>& committed) {
          job.write = [turn = message.turn, committed](Database& database) {
            bool wrote = false;
            *committed = database.commit_turn(*turn, wrote);
            return wrote && committed->result != CommitResult::ok ? Verdict::undo : Verdict::keep;
          };
          job.undone = [turn = message.turn, committed](Database& database) {
            committed->conflicts = database.conflicts(*turn);
          };
        });
        writer->turn_came();
        return promise;
      },
      [writer](const Load& message) {
        return writer->later<Loaded>(0, [&](Job& job, const std::shared_ptr<Loaded>& loaded) {
          job.read = [keys = message.keys, loaded](Database& database) { *loaded = {true, database.rows(keys)}; };
        });
      },
      [writer](const FindPlaced& message) {
        return writer->later<PlacedRows>(0, [&](Job& job, const std::shared_ptr<PlacedRows>& placed) {
          job.read = [message, placed](Database& database) { *placed = {true, database.placed(message)}; };
        });
      },
      [writer](const LoadParked& message) {
        return writer->later<ParkedRecords>(0, [&](Job& job, const std::shared_ptr<ParkedRecords>& parked) {
          job.read = [key = message.key, parked](Database& database) { *parked = {true, database.parked(key)}; };
        });
      },
      [writer](const ReadOutbox& message) {
        return writer->later<OutboxPage>(0, [&](Job& job, const std::shared_ptr<OutboxPage>& page) {
          job.read = [message, page](Database& database) { *page = {true, database.outbox(message)}; };
        });
      },
      [writer](const Place& message) { return writer->place(message); },
      [writer](const ChangeStock& message) {
        return writer->later<Hand>(3, [&](Job& job, const std::shared_ptr<Hand>& hand) {
          job.write = [change = message.change, hand](Database& database) {
            *hand = database.change_stock(change);
            return Verdict::keep;
          };
        });
      },
      [writer](const SettleHand& message) {
        return writer->later<Hand>(3, [&](Job& job, const std::shared_ptr<Hand>& hand) {
          job.write = [message, hand](Database& database) {
            *hand = database.settle(message);
            return Verdict::keep;
          };
        });
      },
      [writer](const OpenHands& message) {
        return writer->later<Hands>(0, [&](Job& job, const std::shared_ptr<Hands>& hands) {
          job.read = [before = message.before, hands](Database& database) {
            *hands = {true, database.open_hands(before)};
          };
        });
      },
      [writer](const ReadIdentity&) {
        return writer->later<Identity>(0, [&](Job& job, const std::shared_ptr<Identity>& identity) {
          job.read = [identity](Database& database) { *identity = {true, database.identity()}; };
        });
      },
      [writer](const BeginRebuild&) {
        return writer->later<LedgerSnapshot>(1, [&](Job& job, const std::shared_ptr<LedgerSnapshot>& ledger) {
          job.write = [](Database& database) {
            database.close_gate();
            return Verdict::keep;
          };
          job.read = [ledger](Database& database) { *ledger = database.ledger(); };
        });
      },
      [writer](const FinishRebuild& message) {
        return writer->later<Done>(1, [&](Job& job, const std::shared_ptr<Done>& done) {
          job.write = [message, done](Database& database) {
            *done = database.open_gate(message);
            return Verdict::keep;
          };
        });
      },
      [writer](const StoreHealth&) {
        return writer->later<Done>(1, [&](Job& job, const std::shared_ptr<Done>& done) {
          job.write = [done](Database& database) {
            database.probe();
            *done = {true, {}};
            return Verdict::keep;
          };
        });
      },
      [writer](const Flush& flush) { writer->flush(flush); },
      [writer](const Clean&) { writer->clean(); },
      [writer](const Retire&) { writer->retire(); },
  };
}

}  // namespace

StoreActor spawn_store(caf::actor_system& system, StoreOptions options) {
  return system.spawn<caf::detached>(writer_actor, std::move(options));
}

}  // namespace cartwright::sql
