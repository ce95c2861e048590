#pragma once
// Signed messages between programs: HMAC-SHA256 over `t.body`, as webhooks of payment providers have it. The header is
//
//     Cartwright-Signature: t=1790000000,v1=5257a869e7...
//
// with t in seconds since 1970 and v1 the MAC in lower-case hex. There may be several v1 (a secret is being replaced);
// one that is right is enough. Unknown parts are passed over. Pure; any thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cartwright::signing {

inline constexpr std::string_view header_name = "Cartwright-Signature";
inline constexpr std::int64_t tolerance_s = 300;  // between the clocks of the two sides, and the age of a replay

/// The header's value for `body`, sent at `seconds`.
[[nodiscard]] std::string sign(std::string_view secret, std::string_view body, std::int64_t seconds);

/// What is wrong with a signature; "" when it is by one of `secrets` and at most tolerance_s old or ahead. The MACs are
/// compared in a time that does not tell how much of them was right.
[[nodiscard]] std::string fault_of(std::string_view header, std::string_view body, const std::vector<std::string>& secrets,
                                   std::int64_t now_seconds);

/// SHA-256 of `text` in lower-case hex: stable names for what must not be spelled out.
[[nodiscard]] std::string digest(std::string_view text);

}  // namespace cartwright::signing
