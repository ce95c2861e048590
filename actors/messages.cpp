#include "actors/messages.hpp"

namespace cartwright {

std::string to_string(ShardId shard) { return std::string(to_string(shard.role)) + "/" + std::to_string(shard.partition); }

std::string_view to_string(Step step) {
  constexpr std::array<std::string_view, 9> names{"reserve", "release", "sell",   "forget", "charge",
                                                  "refund",  "book",    "notify", "deliver"};
  return names[static_cast<std::size_t>(step)];
}

}  // namespace cartwright
