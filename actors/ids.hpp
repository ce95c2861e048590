#pragma once
// Names of things, as types that cannot be swapped; how an order finds its shard; how ours are made.

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace cartwright {

/// A text that names one kind of thing. Two kinds do not convert into each other.
template <class Kind>
struct Name {
  std::string value;
  [[nodiscard]] bool empty() const { return value.empty(); }
  friend auto operator<=>(const Name&, const Name&) = default;
};

using OrderId = Name<struct OrderKind>;
using ProductId = Name<struct ProductKind>;
using UserId = Name<struct UserKind>;
using TxnId = Name<struct TxnKind>;
using TrackingId = Name<struct TrackingKind>;

/// Milliseconds since 1970-01-01T00:00:00Z. 0 means "none" wherever a moment is optional.
using Millis = std::int64_t;

/// The wall clock handed to everything that needs the time; virtual in simulations. Any thread.
using WallClock = std::function<Millis()>;

/// 1..128 bytes of [A-Za-z0-9._:~-] (contract section 1).
[[nodiscard]] bool valid_id(std::string_view text);

/// Murmur2 as the Java Kafka client hashes record keys (org.apache.kafka.common.utils.Utils#murmur2, seed 0x9747b28c).
[[nodiscard]] std::uint32_t murmur2(std::string_view bytes);

/// The partition of a key as the Java client's default partitioner chooses it: toPositive(murmur2(key)) mod partitions.
[[nodiscard]] int partition_of(std::string_view key, int partitions);

/// 64-bit FNV-1a; a fingerprint of a record's bytes (rule 10), not a defence against forgery.
[[nodiscard]] std::uint64_t fingerprint(std::string_view bytes);

/// Makes UUIDv7 texts (RFC 9562 section 5.7): 48 bits of milliseconds, 12 bits of counter, 62 random bits. Ids of one
/// source rise strictly, also within a millisecond and when the clock steps back. One thread at a time.
class UuidSource {
 public:
  UuidSource(WallClock clock, std::function<std::uint64_t()> random) : clock_(std::move(clock)), random_(std::move(random)) {}
  [[nodiscard]] std::string next();

 private:
  WallClock clock_;
  std::function<std::uint64_t()> random_;
  Millis last_ = 0;
  std::uint32_t counter_ = 0;
};

/// RFC 3339 in UTC with milliseconds, "2026-11-22T10:00:00.000Z"; "" for 0.
[[nodiscard]] std::string rfc3339(Millis at);

}  // namespace cartwright

template <class Kind>
struct std::hash<cartwright::Name<Kind>> {
  std::size_t operator()(const cartwright::Name<Kind>& name) const noexcept { return std::hash<std::string>{}(name.value); }
};
