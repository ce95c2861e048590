#pragma once
// Texts as options use them: durations, near misses, masked secrets. Standard library only.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cartwright::options {

/// A read value, or in `fault` why there is none.
struct Read {
  std::int64_t value = 0;
  std::string fault;
};

/// Milliseconds of `500ms`, `6s`, `15min`, `24h`.
[[nodiscard]] Read duration(std::string_view text);
/// The shortest spelling of so many milliseconds: 900000 is "15min".
[[nodiscard]] std::string spell_duration(std::int64_t milliseconds);
/// A whole number in decimal digits.
[[nodiscard]] Read number(std::string_view text);

[[nodiscard]] std::string_view trimmed(std::string_view text);
/// The parts between separators, trimmed; empty ones are left out.
[[nodiscard]] std::vector<std::string> split(std::string_view text, char separator);
[[nodiscard]] std::string lower(std::string_view text);
[[nodiscard]] std::string upper(std::string_view text);

/// How many letters have to be changed, added, removed or swapped with their neighbour.
[[nodiscard]] std::size_t edit_distance(std::string_view left, std::string_view right);
/// The name that was probably meant; "" when none is near.
[[nodiscard]] std::string nearest(std::string_view wrong, const std::vector<std::string>& names);

/// A URL without its password, whether before the @ or in the query.
[[nodiscard]] std::string masked_url(std::string_view url);
/// Whether librdkafka's setting of this name holds a secret.
[[nodiscard]] bool is_secret_property(std::string_view name);

/// host:port with a port in 0..65535, also [::1]:port.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
[[nodiscard]] std::optional<HostPort> host_port(std::string_view text);

/// A JSON text with its quotes.
[[nodiscard]] std::string json_text(std::string_view text);

}  // namespace cartwright::options
