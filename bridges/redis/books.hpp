#pragma once
// Redis' side of the comparison with the ledger (app/node/audit.hpp): reads over a connection of its own, so that no
// reservation waits for it. Blocking; one thread.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/inventory/audit.hpp"
#include "bridges/redis/connection.hpp"
#include "bridges/redis/script.hpp"

namespace cartwright::redis {

/// What Redis said, all of it at one instant.
struct StockBooks {
  std::map<std::string, std::optional<inventory::StockNumbers>> products;
  std::map<std::string, inventory::HeldStock> orders;
  std::map<std::string, bool> hands;  // whether the change was applied
};

/// A portion of all keys.
struct KeysPage {
  std::uint64_t cursor = 0;           // 0: that was the last
  std::vector<std::string> products, orders;
};

class Books {
 public:
  Books(Address address, std::string group) : address_(std::move(address)), keys_(group) {}

  /// Whether the instance is this one; connects if need be. `why`, when it is not or does not answer.
  [[nodiscard]] bool is(const StockIdentity& verified, std::string& why);
  /// Reads under the generation that `is` has seen. Nothing when Redis does not answer, or holds another one by now.
  [[nodiscard]] std::optional<StockBooks> read(const std::vector<std::string>& products, const std::vector<std::string>& orders,
                                               const std::vector<std::string>& hands);
  /// Takes the generation that `is` has seen away from the instance, as FLUSHALL would: whoever reserves finds a stranger, and has
  /// it rebuilt from the ledger. False when Redis does not answer.
  [[nodiscard]] bool disown();
  /// Walks over all keys; one may come twice.
  [[nodiscard]] std::optional<KeysPage> scan(std::uint64_t cursor);

 private:
  Address address_;
  Keys keys_;
  std::optional<Connection> connection_;
  std::string run_id_;
  std::int64_t generation_ = 0;
};

}  // namespace cartwright::redis
