#pragma once
// Money is an integer of minor units beside its currency; sums that would leave 0..2^53-1 have no value.

#include <cstdint>
#include <optional>

#include "actors/limits.hpp"

namespace cartwright {

/// `price_minor * quantity`, or nothing when it leaves 0..limits::amount_max.
[[nodiscard]] inline std::optional<std::int64_t> times(std::int64_t price_minor, std::int64_t quantity) {
  std::int64_t product = 0;
  if (price_minor < 0 || quantity < 0 || __builtin_mul_overflow(price_minor, quantity, &product)) return {};
  if (product > limits::amount_max) return {};
  return product;
}

/// `a + b`, or nothing when it leaves 0..limits::amount_max.
[[nodiscard]] inline std::optional<std::int64_t> plus(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum) || sum > limits::amount_max) return {};
  return sum;
}

}  // namespace cartwright
