#pragma once
// Every typed handle of the system: who may be told what. One sentence a handler; this header is the architecture.

#include <caf/typed_actor.hpp>
#include <caf/fwd.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/messages.hpp"

namespace cartwright {

struct Deliver;
struct Decided;
struct Acts;
struct Outcomes;
struct Publish;
struct Published;
struct Tick;
struct Begin;
struct Revoke;
struct Revoked;
struct Describe;
struct ShardView;

/// The one loop: a partition of a role (design.md section 2). Its supervisor holds the only strong handle.
using ShardActor = caf::typed_actor<
    // Records of the shard's topics, from the intake.
    caf::reacts_to<Batch>,
    // What an entity's actor decided in the running turn.
    caf::reacts_to<Decided>,
    // What the shard's port answered to acts.
    caf::reacts_to<Outcomes>,
    // Everything of a sequence is in the log, or could not be put there.
    caf::reacts_to<Published>,
    // Time passes; sent by the shard to itself.
    caf::reacts_to<Tick>,
    // Takes the shard: raises its epoch, loads what is open; again, after backoff, when the store says no.
    caf::reacts_to<Begin>,
    // How far the shard's topics reach, asked for when something expires.
    caf::reacts_to<Ends>,
    // A topic's log ends before what was read of it.
    caf::reacts_to<LogLost>,
    // A person's decision about one order; answered when the turn that digested it is durable.
    caf::replies_to<std::string, Command>::with<CommandReply>,
    // Stops taking, finishes the running turn, answers, ends.
    caf::replies_to<Revoke>::with<Revoked>,
    // Shows what the shard is doing.
    caf::replies_to<Describe>::with<ShardView>>;

/// One order. Decides, and remembers nothing that the store does not know or will not know with the running turn.
using OrderActor = caf::typed_actor<
    // The inputs of one turn; answered by one Decided to the shard.
    caf::reacts_to<Deliver>>;

/// One role's store. Every transaction of the role goes through it; the turns of several shards are merged into one commit.
using StoreActor = caf::typed_actor<
    // Raises a shard's epoch and tells its new owner all that is open.
    caf::replies_to<Take>::with<Taken>,
    // One turn: all of it or nothing. The same turn handed in again is answered as the first time.
    caf::replies_to<Commit>::with<Committed>,
    // Rows by key; keys without a row are left out.
    caf::replies_to<Load>::with<Loaded>,
    // Open rows of version 1: among them those that a door placed and whose record nobody has read.
    caf::replies_to<FindPlaced>::with<PlacedRows>,
    // The records that wait behind a parked order, in the order they came.
    caf::replies_to<LoadParked>::with<ParkedRecords>,
    // A shard's outbox from a sequence or a moment on.
    caf::replies_to<ReadOutbox>::with<OutboxPage>,
    // Version 1 of orders, from a door of any node.
    caf::replies_to<Place>::with<Placed>,
    // Opens a change of stock by hand.
    caf::replies_to<ChangeStock>::with<Hand>,
    // Records what Redis said to a change of stock.
    caf::replies_to<SettleHand>::with<Hand>,
    // Changes of stock that are not settled.
    caf::replies_to<OpenHands>::with<Hands>,
    // The Redis instance whose outcomes may be recorded.
    caf::replies_to<ReadIdentity>::with<Identity>,
    // Closes the gate and tells what Redis shall hold.
    caf::replies_to<BeginRebuild>::with<LedgerSnapshot>,
    // Opens the gate for a rebuilt instance.
    caf::replies_to<FinishRebuild>::with<Done>,
    // Whether the store can be written just now.
    caf::replies_to<StoreHealth>::with<Done>>;

/// Reads one role's store beside its writer; never waits for a commit.
using ReaderActor = caf::typed_actor<
    // One row by its key.
    caf::replies_to<FindRow>::with<FoundRow>,
    // An order's transitions, versions rising.
    caf::replies_to<FindHistory>::with<History>,
    // A page of rows, newest key first.
    caf::replies_to<ListRows>::with<Loaded>,
    // The rows whose key begins with a prefix.
    caf::replies_to<RowsUnder>::with<Loaded>,
    // A page of the rows that are set aside, and why.
    caf::replies_to<ListSetAside>::with<SetAsideRows>,
    // One product of the catalogue; an empty list when it is unknown.
    caf::replies_to<FindProduct>::with<Products>,
    // A page of the catalogue.
    caf::replies_to<ListProducts>::with<Products>,
    // The stored answer of an Idempotency-Key, at most 24 h old.
    caf::replies_to<FindAnswer>::with<FoundAnswer>>;

/// The outside of a role: stock, gateway, carrier, notifier.
using PortActor = caf::typed_actor<
    // Does each act, once per key whatever is sent again, and answers the shard with outcomes; or does not answer.
    caf::reacts_to<Acts>>;

/// Puts records into the log.
using ProducerActor = caf::typed_actor<
    // Publishes all records of a sequence; answers the shard when all of them are in the log.
    caf::reacts_to<Publish>>;

/// The inputs of one row in one turn.
struct Deliver {
  std::uint64_t turn = 0;
  Millis now = 0;
  std::vector<Input> inputs;
};

/// What they came to.
struct Decided {
  std::uint64_t turn = 0;
  std::string key;
  Change change;
};

struct Acts {
  ShardActor reply_to;
  ShardId shard;
  Epoch epoch = 0;
  Millis at = 0;  // the rows that decided them are at least as new as this
  std::vector<Act> acts;
};

struct Outcomes {
  Epoch epoch = 0;
  std::vector<Outcome> outcomes;
};

struct Publish {
  ShardActor reply_to;   // null: nobody waits for it (a door)
  Epoch epoch = 0;
  Sequence sequence = 0;
  std::shared_ptr<const std::vector<Outgoing>> outgoing;
};

struct Published {
  Epoch epoch = 0;
  Sequence sequence = 0;
  bool ok = false;       // false: at least one record is not known to be in the log; publish the sequence again
};

struct Tick {};
struct Begin {};
struct Revoke {};
struct Revoked {};
struct Describe {};

/// A shard as metrics and the console show it.
struct ShardView {
  ShardId shard;
  Epoch epoch = 0;
  std::string phase;            // taking, idle, loading, deciding, committing, stopped
  std::uint64_t turns = 0, records = 0, restarts = 0, dead_letters = 0;  // since the shard was taken
  std::size_t rows = 0, actors = 0, waiting = 0, unpublished = 0, quarantined = 0;
  Sequence sequence = 0, published = 0;
};

/// How a shard governs its flow of records. Implemented by the Kafka consumer; any thread may call it.
class Intake {
 public:
  virtual ~Intake() = default;
  /// Begin to deliver the shard's records from these positions (topics without one: from the earliest record). Where a
  /// position has a fingerprint, the record before it is delivered first, so that the shard can compare.
  virtual void start(ShardId shard, Epoch epoch, const Positions& from, ShardActor to) = 0;
  /// So many delivered records have been taken in by turns; bounds what waits in mailboxes.
  virtual void consumed(ShardId shard, std::size_t records) = 0;
  /// The store has these positions; the broker's own commit is a copy, made by time.
  virtual void committed(ShardId shard, const Positions& next) = 0;
  /// Ask the broker how far the shard's topics reach; answered by an Ends message.
  virtual void ask_ends(ShardId shard, ShardActor to) = 0;
};

}  // namespace cartwright

// These messages never leave the process; CAF need not be able to serialise them.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Deliver)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Decided)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Outcomes)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Acts)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Publish)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Published)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Begin)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Ends)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::LogLost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Command)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::CommandReply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Revoke)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Revoked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Describe)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::ShardView)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Take)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Taken)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Commit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Committed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Load)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Loaded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::FindPlaced)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::PlacedRows)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::LoadParked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::ParkedRecords)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::ReadOutbox)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::OutboxPage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Place)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Placed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::ChangeStock)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::SettleHand)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::OpenHands)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Hand)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Hands)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::ReadIdentity)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Identity)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::BeginRebuild)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::LedgerSnapshot)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::FinishRebuild)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::FindRow)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::FoundRow)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::FindHistory)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::History)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::ListRows)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::RowsUnder)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::ListSetAside)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::SetAsideRows)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::FindProduct)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::ListProducts)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::Products)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::FindAnswer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::FoundAnswer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::StoreHealth)
