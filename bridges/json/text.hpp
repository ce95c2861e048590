#pragma once
// Bytes and texts as this folder needs them: UTF-8, base64, RFC 3339, W3C trace context, and slices of JSON text.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/ids.hpp"

namespace cartwright::json {

/// How many bytes the well-formed UTF-8 sequence at `at` has (RFC 3629: no overlong forms, no surrogates); 0: none.
[[nodiscard]] std::size_t utf8_sequence(std::string_view text, std::size_t at);
/// Where `text` stops being UTF-8; npos: nowhere.
[[nodiscard]] std::size_t not_utf8_at(std::string_view text);
[[nodiscard]] inline bool is_utf8(std::string_view text) { return not_utf8_at(text) == std::string_view::npos; }

[[nodiscard]] std::string to_base64(std::string_view bytes);
/// Nothing when `text` is not base64 with padding.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

/// Milliseconds of an RFC 3339 moment with any offset; 0 when it is malformed or before 1970.
[[nodiscard]] Millis moment(std::string_view text);

/// A traceparent that W3C Trace Context lets a receiver use.
[[nodiscard]] bool is_traceparent(std::string_view text);

/// `text` fit for a cause: visible ASCII, at most 64 bytes.
[[nodiscard]] std::string shown(std::string_view text);

// ---- slices of JSON text --------------------------------------------------------------------------------------------

/// A member of an object as it stands in the text: the name without its quotes, escapes untouched; the value's bytes.
struct RawMember {
  std::string_view name, value;
};

/// The members of the outermost object in `text`, which has been found to be JSON.
[[nodiscard]] std::vector<RawMember> raw_members(std::string_view text);

/// Appends a JSON value without the blanks between its tokens. Numbers and texts stay as they are spelled.
void append_compact(std::string& out, std::string_view value);

/// The same JSON text, byte for byte as long, where numbers that no double can hold (1e400, a thousand digits) are
/// others of the same kind: nlohmann's parser refuses such numbers even in members nobody looks at.
[[nodiscard]] std::string with_tame_numbers(std::string_view text);

}  // namespace cartwright::json
