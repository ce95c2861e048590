#pragma once
// How long what is over is remembered (retention.orders), and what that means for a record about something older.

#include <cstdint>
#include <optional>
#include <string_view>

#include "actors/event.hpp"

namespace cartwright {

/// The moment in a UUIDv7 (RFC 9562 section 5.7: its first 48 bits are milliseconds since 1970); nothing for any other text.
[[nodiscard]] constexpr std::optional<Millis> moment_in(std::string_view id) {
  if (id.size() != 36 || id[8] != '-' || id[13] != '-' || id[14] != '7' || id[18] != '-' || id[23] != '-') return {};
  Millis moment = 0;
  for (std::size_t i = 0; i < 13; ++i) {
    if (i == 8) continue;
    const char c = id[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return {};
    moment = moment * 16 + digit;
  }
  return moment;
}

/// Whether an order that nothing is known of may have been deleted: the record, or the order's id, is older than what is
/// remembered. A record without a time (0 or less) says nothing.
[[nodiscard]] constexpr bool older_than(const Record& record, Millis oldest) {
  if (record.timestamp > 0 && record.timestamp < oldest) return true;
  const auto placed = moment_in(record.event.order.value);
  return placed && *placed < oldest;
}

}  // namespace cartwright
