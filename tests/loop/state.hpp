#pragma once
// What survives every crash: databases, Redis, the books of the gateway, the carrier and foreign programs.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "actors/messages.hpp"

namespace cartwright::loop {

/// A change of stock by hand, as the ledger has it.
struct HandRow {
  ProductId product;
  std::int64_t delta = 0;
  HandState state = HandState::asked;
  bool told = false;
};

/// One role's database.
struct StoreState {
  struct Shard {
    Epoch epoch = 0, turn_epoch = 0;
    std::uint64_t turn = 0;
    Positions positions;
    Sequence sequence = 0, published = 0;
    std::int64_t losses_seen = 0;
    std::map<Sequence, std::pair<Millis, std::shared_ptr<const std::vector<Outgoing>>>> outbox;
    int starts = 0;
  };
  struct Stored {
    Row row;
    int partition = 0;
  };
  std::map<int, Shard> shards;
  std::size_t largest_turn = 0;  // rows that one transaction wrote, at most
  std::map<std::string, Stored> rows;
  std::map<std::string, std::vector<Transition>> history;
  std::map<std::string, std::pair<int, Quarantine>> quarantines;  // with their partition
  std::map<std::string, std::vector<std::shared_ptr<const Record>>> parked;
  std::vector<DeadLetter> dead;
  std::set<std::uint64_t> committed;           // identities of all that was ever decided to be published
  std::int64_t losses = 0;
  // inventory's ledger
  std::map<std::string, StockDelta> products;
  std::map<std::string, HandRow> hands;
  std::int64_t generation = 0;
  StockIdentity verified;
};

/// The stock script's data (design.md rule 7), and who the instance is.
struct RedisState {
  struct Product {
    std::int64_t available = 0, reserved = 0, sold = 0, stocked = 0;
  };
  struct Order {
    std::string state;
    std::vector<Line> held;
    Millis ends = 0;  // 0: no time to live
  };
  int run = 1;
  std::int64_t generation = 0;  // 0: none
  std::map<int, Epoch> epochs;
  std::map<std::string, Product> products;
  std::map<std::string, Order> orders;
  std::map<std::string, std::string> hands;
};

/// A book of money: the gateway's, or a foreign payment's.
struct Book {
  struct Key {
    Answer answer = Answer::unknown;
    std::string txn;
    int asked = 0;
    std::int64_t amount = 0;
  };
  std::map<std::string, Key> keys;
  std::map<std::string, std::int64_t> net;  // by order
  std::map<std::string, int> charges, refunds;
};

}  // namespace cartwright::loop
