#pragma once
// The plain structs that shards, stores, ports and bridges exchange. Free of CAF; handles.hpp says who takes which.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "actors/event.hpp"
#include "actors/ids.hpp"
#include "actors/topics.hpp"

namespace cartwright {

/// One partition of one role.
struct ShardId {
  RoleId role = RoleId::order;
  int partition = 0;
  friend auto operator<=>(const ShardId&, const ShardId&) = default;
};
[[nodiscard]] std::string to_string(ShardId shard);

using Epoch = std::int64_t;     // of a shard's ownership; rises with every take (rule 9)
using Sequence = std::int64_t;  // of a shard's turns that publish; the watermark is one of them

/// How far a shard has read one topic: the next offset, and the fingerprint of the record before it (rule 10).
struct Position {
  std::int64_t next = 0;
  Millis timestamp = 0;
  std::uint64_t hash = 0;
  int tries = 0;                     // how often the record at `next` was marked as about to be tried (rule 11)
  friend bool operator==(const Position&, const Position&) = default;
};
using Positions = std::map<Topic, Position>;

/// A Redis instance: the run_id of the connection and the generation inside (rule 8).
struct StockIdentity {
  std::string run_id;
  std::int64_t generation = 0;
  friend auto operator<=>(const StockIdentity&, const StockIdentity&) = default;
};

// ---- acts and outcomes: what goes out to a port, what comes back ----------------------------------------------------

enum class Step : std::uint8_t { reserve, release, sell, forget, charge, refund, book, notify, deliver };  // deliver: an outcome only
[[nodiscard]] std::string_view to_string(Step step);

/// What a port shall do. (key, step, attempt) is the effect's key: the same for every repetition (rule 4).
struct Act {
  std::string key;
  Step step = Step::reserve;
  int attempt = 1;
  OrderId order;
  UserId user;
  std::vector<Line> lines;     // reserve, release, sell
  std::int64_t amount = 0;     // charge, refund: minor units
  std::string currency, token; // charge
  TxnId txn;                   // refund
  bool query = false;          // charge, refund: too old to be asked for again; only ask what became of the key (rule 4)
  std::string channel, occasion, text;  // notify
  std::string extras;          // book, notify: ship_to, contact, metadata as they came
  std::string traceparent;     // W3C trace context of the order; may be empty
};

/// done: it is so. refused: a definite no. unknown: nobody can say; ask again with the same key (rule 5).
enum class Answer : std::uint8_t { done, refused, unknown };

/// A line with what it cost when it was reserved.
struct PricedLine {
  Line line;
  std::int64_t price_minor = 0;
  friend bool operator==(const PricedLine&, const PricedLine&) = default;
};

/// What a port answers to an act.
struct Outcome {
  std::string key;
  Step step = Step::reserve;
  int attempt = 1;
  Answer answer = Answer::unknown;
  std::string detail;              // refused: why (`out_of_stock`, `mixed_currency`, a decline code); unknown: see `forgotten`
  std::string reference;           // txn_id, tracking_id, or the channel of a notice
  std::optional<std::int64_t> amount{};  // charge, refund: what the outside says it was, where it does
  std::string currency;            // reserve
  std::vector<PricedLine> priced;  // reserve
  StockIdentity identity;          // stock: the instance that answered
};

/// Outcome::detail of an unknown answer to a query: the outside has no memory of the key, so nobody but a person can say.
inline constexpr std::string_view forgotten = "forgotten";

// ---- what happens to one row -----------------------------------------------------------------------------------------

/// A deadline. caught_up: everything in the log has been read (rule 12); again: how often the row's act was repeated since
/// the row changed last.
struct Due { bool caught_up = false; int again = 0; };
struct Resume { bool lost = false; };    // the shard was taken: act again; a log was lost: ask again, too (rule 10)
/// report: the outside says by itself what became of an act (a callback); answered when that is durable.
enum class CommandKind : std::uint8_t { cancel, retry, report };
struct Command {
  CommandKind kind = CommandKind::cancel;
  std::uint64_t id = 0;
  std::shared_ptr<const Outcome> outcome{};  // report
};

/// All that can happen to one row of a role.
using Input = std::variant<std::shared_ptr<const Record>, Outcome, Due, Resume, Command>;

/// What a CommandReply says of a retry that lets an order that was set aside be tried again.
inline constexpr std::string_view retry_lifted = "lifted";

/// What the caller of a command is told, once the turn is durable.
struct CommandReply {
  std::uint64_t id = 0;
  int status = 200;                // as HTTP says it
  std::string detail;
};

/// A row of a role's table as the store knows it. `version` is the compare-and-swap: 1 inserts, n replaces n-1.
struct Row {
  std::string key;
  std::int64_t version = 0;
  std::string state, owner;        // owner: user_id where the role knows one
  bool open = true;                // something is still to come; loaded when the shard is taken
  Millis due = 0, created_at = 0, updated_at = 0;
  std::string doc;                 // everything, as JSON
};

/// One step of an order's history.
struct Transition {
  OrderId order;
  std::int64_t version = 0;
  std::string status, event;
  Millis at = 0;
};

/// A record that goes to the dead letters: a row in the store, then a record in the topic's .dlq (rule 11).
struct DeadLetter {
  std::shared_ptr<const Record> record;
  std::string cause;
};

/// How a product's totals in the ledger change.
struct StockDelta {
  ProductId product;
  std::int64_t stocked = 0, reserved = 0, sold = 0;
};

/// What one row's inputs of a turn come to.
struct Change {
  std::optional<Row> row;          // nothing: nothing to write
  std::vector<Transition> transitions;
  std::vector<Event> publish;
  std::vector<Act> acts;
  std::vector<DeadLetter> dead;
  std::vector<StockDelta> totals;
  std::vector<StockIdentity> identities;  // of the outcomes that were used
  std::vector<CommandReply> replies;
  std::string park;                // not empty: the order is set aside for a person, with this reason
  std::vector<std::shared_ptr<const Record>> parked;  // records that wait until then
  Millis due = 0, due_caught_up = 0;      // next deadline of each kind; 0: none
  bool open = true;
  bool changed = false;            // state differs from the stored row
};

// ---- a turn and its transaction -------------------------------------------------------------------------------------

/// An order that was set aside: after its actor died (until is the next attempt) or for a person (until 0).
struct Quarantine {
  std::string key, reason;
  int restarts = 0;
  Millis since = 0, until = 0;
  bool lifted = false;             // true in a turn: the row is deleted
};

/// A record that waits in the store behind its parked order.
struct ParkedRecord {
  std::string key;
  std::shared_ptr<const Record> record;
};

/// One transaction of one shard. Handed in again unchanged when its result is lost: (epoch, number) tells the store.
struct Turn {
  ShardId shard;
  Epoch epoch = 0;
  std::uint64_t number = 0;
  std::vector<Row> rows;
  std::vector<Transition> transitions;
  std::vector<StockDelta> totals;
  std::vector<StockIdentity> identities;
  std::vector<DeadLetter> dead;
  std::vector<ParkedRecord> parked;
  std::vector<std::string> unparked;  // keys whose waiting records have been digested
  std::vector<Quarantine> quarantines;
  Positions next;
  Sequence sequence = 0;              // of `outgoing`; the last used one when outgoing is empty
  std::shared_ptr<const std::vector<Outgoing>> outgoing;  // one outbox row for the whole turn
  Sequence published = 0;             // watermark: everything up to here is in the log
  bool lost = false;                  // a log was lost: the role's loss counter rises
  std::int64_t losses_seen = 0;       // the counter's value this shard has acted upon
  bool progress = false;              // records were digested, or the owner says goodbye: its starts are counted anew (rule 11)
  Millis at = 0;
};

enum class CommitResult : std::uint8_t { ok, fenced, conflict, unavailable };

/// The store's answer to a Commit.
struct Committed {
  CommitResult result = CommitResult::unavailable;
  std::int64_t losses = 0;            // the role's loss counter
  std::vector<std::string> conflicts; // keys whose row was not at the expected version
  std::string why;                    // unavailable: what was tried, on what
};

/// again: by an owner that is alive and lost the shard to another for a while; no start that came to nothing (rule 11).
struct Take { ShardId shard; int partitions = 0; bool again = false; };
struct Wake { std::string key; Millis due = 0; std::string state; };
struct OutboxRow { Sequence sequence = 0; std::shared_ptr<const std::vector<Outgoing>> outgoing; };

/// What a new owner has to know of its shard.
struct Taken {
  bool ok = false;
  std::string why;                    // not ok: what was tried, on what
  Epoch epoch = 0;
  Positions next;
  Sequence sequence = 0, published = 0;
  std::int64_t losses = 0, losses_seen = 0;
  int starts = 0;                     // takes since the last progress, this one counts
  std::vector<Wake> open;             // open rows with their deadlines
  std::vector<Quarantine> quarantines;
  std::vector<OutboxRow> unpublished; // beyond the watermark
};

struct Commit { std::shared_ptr<const Turn> turn; };
/// Open rows of a shard that nobody has changed since they were inserted before a moment: a door may have placed them.
struct FindPlaced { ShardId shard; Millis before = 0; };
struct PlacedRows { bool ok = false; std::vector<Wake> open; };
struct Load { ShardId shard; std::vector<std::string> keys; };
struct Loaded { bool ok = false; std::vector<Row> rows; };
struct LoadParked { ShardId shard; std::string key; };
struct ParkedRecords { bool ok = false; std::vector<std::shared_ptr<const Record>> records; };
struct ReadOutbox { ShardId shard; Sequence after = 0; Millis since = 0; int limit = 0; };
struct OutboxPage { bool ok = false; std::vector<OutboxRow> rows; };

/// A stored answer of a request that carried an Idempotency-Key.
struct StoredAnswer {
  std::string key, request_hash;
  int status = 0;
  std::string location, body;
  Millis at = 0;
};

/// The one transition that any node may write (rule 3): version 1 of an order, with the row and the answer to its client.
struct Placement {
  std::uint64_t id = 0;               // of the caller's
  int partition = 0;
  Row row;
  Transition transition;
  std::optional<StoredAnswer> answer;
};
struct Place { std::vector<std::shared_ptr<const Placement>> placements; };

/// placed: durable. known: the same Idempotency-Key was there; `stored` is its answer. unavailable: not stored, may be repeated.
/// unknown: the commit was under way when the store was lost; the same placement handed in again is absorbed, and settles it.
enum class PlaceResult : std::uint8_t { placed, known, unavailable, unknown };
struct PlacedOne { std::uint64_t id = 0; PlaceResult result = PlaceResult::unavailable; std::optional<StoredAnswer> stored; };
struct Placed { std::vector<PlacedOne> results; };

// ---- the stock ledger (inventory's store) ---------------------------------------------------------------------------

struct Product {
  ProductId id;
  std::string name, currency;
  std::int64_t price_minor = 0;
  std::int64_t stocked = 0, reserved = 0, sold = 0;  // the ledger's totals
  std::int64_t version = 0;           // rises with every change of name, price or currency
};

/// A change of stock by hand. `absolute` sets what is on hand (stocked - sold); else `delta` is added to it.
struct StockChange {
  std::string id;                     // absorbs repetitions, in the ledger and in Redis
  ProductId product;
  bool absolute = false;
  std::int64_t quantity = 0, delta = 0;
  std::optional<std::int64_t> price_minor;
  std::optional<std::string> currency, name;
  std::string reason;
  std::optional<StoredAnswer> answer; // of an Idempotency-Key: status and body are filled in when the change is settled
  Millis at = 0;
};

/// given: committed in the ledger, tell Redis. asked: an intent, ask Redis first. done/refused: settled. known: see stored.
enum class HandState : std::uint8_t { given, asked, done, refused, known, unavailable };

/// A change by hand as the ledger knows it.
struct Hand {
  std::string id;
  Product product;                    // with the ledger's totals after it
  std::int64_t delta = 0;
  HandState state = HandState::unavailable;
  bool created = false;               // the product was new
  bool told = false;                  // Redis knows
  bool unknown = false;               // unavailable: the commit was under way when the store was lost; it may be there
  std::optional<StoredAnswer> stored;
  std::string why;
};
struct ChangeStock { StockChange change; };                    // opens a change
/// What Redis said to a change; `answer`: what its request is answered, to be stored under its Idempotency-Key.
struct SettleHand { std::string id; bool applied = false; StockIdentity identity; std::optional<StoredAnswer> answer; };
struct OpenHands { Millis before = 0; };                       // changes that are not told or not answered yet
struct Hands { bool ok = false; std::vector<Hand> hands; };

/// The ledger as Redis shall have it: totals, open reservations, changes that are counted in the totals.
struct LedgerSnapshot {
  bool ok = false;
  std::string why;
  std::int64_t generation = 0;        // the new one
  StockIdentity verified;             // BeginVerify: the pair in force
  std::vector<Product> products;
  struct Held { std::string key; std::string doc; };
  std::vector<Held> held;             // rows in state `reserved`
  std::vector<std::string> hands;     // ids of changes that are in the totals and were not told
  std::vector<std::pair<int, Epoch>> epochs;  // by partition
};
struct ReadIdentity {};                                        // the verified pair
struct Identity { bool ok = false; StockIdentity pair; };
struct BeginRebuild {};                                        // closes the gate in the ledger, numbers a new generation
struct FinishRebuild { StockIdentity pair; std::vector<std::string> hands; };  // opens it; these changes are told
struct Done { bool ok = false; std::string why; };

// ---- questions that change nothing: what the HTTP API and the console read ------------------------------------------

struct FindRow { std::string key; };
struct FoundRow { bool ok = false; std::optional<Row> row; };
struct FindHistory { OrderId order; };
struct History { bool ok = false; std::vector<Transition> transitions; };
/// Rows by state and owner ("" for any), newest key first, strictly below `before` ("" from the newest).
struct ListRows { std::string state, owner, before; int limit = 0; };
/// Rows whose key begins with `prefix`, in the order of keys.
struct RowsUnder { std::string prefix; int limit = 0; };
/// Rows that are set aside (rule 11), in the order of their keys, strictly above `after`.
struct ListSetAside { std::string after; int limit = 0; };
struct SetAside { Quarantine quarantine; std::int64_t records = 0; };  // records: how many wait behind it
struct SetAsideRows { bool ok = false; std::vector<SetAside> rows; };
struct FindProduct { ProductId product; };
/// Products in the order of their ids, strictly above `after`.
struct ListProducts { std::string after; int limit = 0; };
struct Products { bool ok = false; std::vector<Product> products; };
struct FindAnswer { std::string key; };
struct FoundAnswer { bool ok = false; std::optional<StoredAnswer> answer; };
struct StoreHealth {};                                         // Done: can the store be written?

// ---- bridges ---------------------------------------------------------------------------------------------------------

/// Records of one shard, in the order of their offsets within each topic.
struct Batch { Epoch epoch = 0; std::vector<std::shared_ptr<const Record>> records; };  // epoch: as Intake::start was given

/// How far each topic of a shard reaches, as the broker says; nothing when it did not answer. `epoch`: as Batch's.
struct Ends { bool ok = false; std::map<Topic, std::int64_t> ends; Epoch epoch = 0; };

/// Topics of a shard whose log ends before what the shard has read. `epoch`: as Batch's.
struct LogLost { Epoch epoch = 0; std::vector<Topic> topics; };

}  // namespace cartwright
