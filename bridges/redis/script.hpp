#pragma once
// config/stock.lua from C++: puts operations into calls, runs calls in one pipelined write, reads the answers. Used by
// the stock actor and by the test of the script.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "actors/messages.hpp"
#include "bridges/redis/connection.hpp"

namespace cartwright::redis {

/// The text of config/stock.lua.
extern const std::string_view stock_script;

inline constexpr std::size_t call_operations_max = 64;  // of one call: Redis serves nobody else for about 0.6 ms
inline constexpr std::size_t call_lines_max = 512;      // the same bound for orders of many lines
inline constexpr std::size_t pipeline_calls_max = 32;   // written at once: bounds the replies that wait in Redis

/// The names of our keys. `{group}:` is a hash tag: all of them in one slot, as a script requires in a cluster.
class Keys {
 public:
  explicit Keys(std::string_view group) : prefix_("{" + std::string(group) + "}:") {}
  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  [[nodiscard]] std::string meta() const { return prefix_ + "meta"; }
  [[nodiscard]] std::string stock(std::string_view product) const { return key("stock:", product); }
  [[nodiscard]] std::string order(std::string_view name) const { return key("order:", name); }
  [[nodiscard]] std::string hand(std::string_view id) const { return key("hand:", id); }
  /// A SCAN pattern that matches exactly our keys.
  [[nodiscard]] std::string pattern() const;

 private:
  [[nodiscard]] std::string key(std::string_view kind, std::string_view name) const {
    return std::string(prefix_).append(kind).append(name);
  }
  std::string prefix_;
};

/// One call of the script: operations that are carried out one after the other, atomically, under one generation.
/// Every operation on an order is preceded by the epoch of its shard; `epoch` is an operation itself.
class ScriptCall {
 public:
  ScriptCall(const Keys& keys, std::int64_t generation);
  void epoch(int partition, Epoch epoch);
  /// `step` is reserve, release, sell or forget.
  void order(Step step, const std::string& key, const std::vector<Line>& lines);
  void hand(const std::string& id, const Product& product, std::int64_t delta);
  [[nodiscard]] std::size_t operations() const { return operations_; }
  [[nodiscard]] bool full() const { return operations_ >= call_operations_max || lines_ >= call_lines_max; }
  /// The command; `how` is EVALSHA with the script's hash or EVAL with its text. Valid until the call changes.
  [[nodiscard]] std::vector<std::string_view> command(std::string_view how, std::string_view script) const;

 private:
  [[nodiscard]] std::int64_t index_of(std::string key);
  void declare(const ProductId& product);

  const Keys* keys_;
  Words head_, arguments_;
  std::vector<std::string> names_, stocks_;
  std::unordered_map<std::string, std::int64_t> indexes_;
  std::size_t operations_ = 0, lines_ = 0;
  mutable std::string key_count_, name_count_;
};

/// Runs calls in pipelined writes, in their order; one reply for each. A script that Redis has forgotten is sent again
/// with the same arguments: repeats are absorbed, also where another call came between.
[[nodiscard]] std::vector<Reply> run(Connection& connection, const std::string& sha, std::span<const ScriptCall> calls);

/// Whether the call came to an instance of another generation, and nothing was done.
[[nodiscard]] bool is_stranger(const Reply& reply);

/// What the script said to one operation.
struct ScriptAnswer {
  enum class Kind : std::uint8_t { ok, fenced, broken, invalid, none, reserved, failed, released, sold, done, refused };
  Kind kind = Kind::broken;
  std::string reason;              // failed
  std::string currency;            // reserved
  std::vector<PricedLine> priced;  // reserved
};
[[nodiscard]] ScriptAnswer answer_of(std::string_view text);

/// The value of an order key that holds these lines, as the script writes it.
[[nodiscard]] std::string reserved_text(const std::string& currency, const std::vector<PricedLine>& lines);

}  // namespace cartwright::redis
