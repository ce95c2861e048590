#pragma once

// Small text functions that the HTTP bridge needs in several places: UTF-8 checks, percent-decoding and comparing
// header names. Internal to the folder. Pure and locale-free.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace cartwright::http {

/// Bytes of the well-formed UTF-8 sequence that `text` begins with; 0 if there is none.
[[nodiscard]] std::size_t utf8_sequence(std::string_view text);

/// Whether all of `text` is well-formed UTF-8.
[[nodiscard]] bool is_utf8(std::string_view text);

/// `text` with %XX decoded, and '+' as a space if asked. Nothing for a bad escape, a NUL, or a result that is not
/// UTF-8.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

/// Equality of ASCII texts without regard to case.
[[nodiscard]] bool same_ignoring_case(std::string_view left, std::string_view right);

}  // namespace cartwright::http
