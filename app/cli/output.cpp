#include "app/cli/output.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ostream>

namespace cartwright::cli {

void print_table(std::ostream& out, const std::vector<std::string>& header,
                 const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(header.size());
  auto widen = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  };
  widen(header);
  for (const auto& row : rows) widen(row);
  auto line = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      out << row[i];
      if (i + 1 < row.size()) out << std::string(widths[i] - width_of(row[i]) + 2, ' ');
    }
    out << '\n';
  };
  std::vector<std::string> titles;
  for (const auto& title : header) titles.push_back(coloured(title, Colour::grey));
  line(titles);
  for (const auto& row : rows) line(row);
}

std::string coloured(std::string_view text, Colour colour, int descriptor) {
  constexpr std::array<std::string_view, 5> codes{"", "\033[32m", "\033[33m", "\033[31m", "\033[90m"};
  const char* off = std::getenv("NO_COLOR");
  if (colour == Colour::none || !is_terminal(descriptor) || (off != nullptr && *off != '\0')) return std::string(text);
  return std::string(codes[static_cast<std::size_t>(colour)]) + std::string(text) + "\033[0m";
}

bool is_terminal(int descriptor) { return isatty(descriptor) == 1; }

std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033') {
      i = std::min(text.find('m', i), text.size() - 1);
      continue;
    }
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) ++width;
  }
  return width;
}

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  auto first = digits.starts_with('-') ? 1 : 0;
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > first; at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

}  // namespace cartwright::cli
