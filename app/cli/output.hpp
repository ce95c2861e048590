#pragma once
// Tables and colours for a terminal; plain text when the output is no terminal or NO_COLOR is set.

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace cartwright::cli {

/// Prints rows under a header in columns as wide as they need; the last column is not padded.
void print_table(std::ostream& out, const std::vector<std::string>& header,
                 const std::vector<std::vector<std::string>>& rows);

enum class Colour : std::uint8_t { none, green, yellow, red, grey };
/// `text` in a colour when `descriptor` is a terminal that wants colours.
[[nodiscard]] std::string coloured(std::string_view text, Colour colour, int descriptor = 1);
/// Whether stdout (1) or stderr (2) is a terminal.
[[nodiscard]] bool is_terminal(int descriptor);
/// The letters that a person sees: bytes of UTF-8 without the continuations and without colours.
[[nodiscard]] std::size_t width_of(std::string_view text);
/// 1234567 as "1,234,567".
[[nodiscard]] std::string grouped(std::int64_t number);

}  // namespace cartwright::cli
