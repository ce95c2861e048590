#include "bridges/json/text.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

#include "actors/limits.hpp"

namespace cartwright::json {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The two decimal digits at `at`, or -1.
int two_digits(std::string_view text, std::size_t at) {
  if (at + 2 > text.size() || !is_digit(text[at]) || !is_digit(text[at + 1])) return -1;
  return (text[at] - '0') * 10 + (text[at + 1] - '0');
}

// Just behind the JSON string that begins at `at`; the text's end when it does not end.
std::size_t behind_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\')
      ++at;
    else if (text[at] == '"')
      return at + 1;
  }
  return text.size();
}

std::size_t behind_blanks(std::string_view text, std::size_t at) {
  while (at < text.size() && is_blank(text[at])) ++at;
  return at;
}

// Just behind the JSON value that begins at `at`.
std::size_t behind_value(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  while (at < text.size()) {
    char c = text[at];
    if (c == '"') {
      at = behind_string(text, at);
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at;
      continue;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;
      --depth;
      ++at;
    } else if (depth == 0) {
      return std::min(text.find_first_of(",]} \t\n\r", at), text.size());
    } else {
      ++at;
      continue;
    }
    if (depth == 0) return at;
  }
  return text.size();
}

// RFC 8259 section 6.
bool is_number(std::string_view text) {
  std::size_t at = 0;
  auto digits = [&] {
    std::size_t from = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at > from;
  };
  if (at < text.size() && text[at] == '-') ++at;
  if (at < text.size() && text[at] == '0')
    ++at;
  else if (!digits())
    return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (!digits()) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (!digits()) return false;
  }
  return at == text.size();
}

}  // namespace

std::size_t utf8_sequence(std::string_view text, std::size_t at) {
  auto byte = [&](std::size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0u; };
  auto tail = [&](std::size_t k) { return (byte(k) & 0xc0) == 0x80; };
  unsigned first = byte(at), second = byte(at + 1);
  if (at >= text.size()) return 0;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4 || !tail(at + 1)) return 0;
  if (first < 0xe0) return 2;
  if (!tail(at + 2)) return 0;
  if (first < 0xf0) return (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ? 0 : 3;
  if (!tail(at + 3)) return 0;
  return (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f) ? 0 : 4;
}

std::size_t not_utf8_at(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    std::size_t bytes = utf8_sequence(text, at);
    if (bytes == 0) return at;
    at += bytes;
  }
  return std::string_view::npos;
}

namespace {
constexpr std::string_view base64_letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

std::string to_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    auto byte = [&](std::size_t k) { return k < bytes.size() ? static_cast<unsigned char>(bytes[k]) : 0u; };
    std::uint32_t three = byte(at) << 16 | byte(at + 1) << 8 | byte(at + 2);
    for (std::size_t k = 0; k < 4; ++k)
      out += k > bytes.size() - at ? '=' : base64_letters[(three >> (18 - 6 * k)) & 63];
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return {};
  std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    std::uint32_t three = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      bool pad = at + k >= text.size() - padding;
      std::size_t value = pad ? 0 : base64_letters.find(text[at + k]);
      if (value == std::string_view::npos) return {};
      three = three << 6 | static_cast<std::uint32_t>(value);
    }
    for (int shift = 16; shift >= 0; shift -= 8) out += static_cast<char>((three >> shift) & 0xff);
  }
  out.resize(out.size() - padding);
  return out;
}

Millis moment(std::string_view text) {
  using namespace std::chrono;
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' ||
      text[16] != ':')
    return 0;
  int century = two_digits(text, 0), of_century = two_digits(text, 2), month_number = two_digits(text, 5),
      day_number = two_digits(text, 8), hour = two_digits(text, 11), minute = two_digits(text, 14),
      second = two_digits(text, 17);
  if (century < 0 || of_century < 0 || month_number < 0 || day_number < 0 || hour < 0 || hour > 23 || minute < 0 ||
      minute > 59 || second < 0 || second > 60)
    return 0;
  year_month_day date{year{century * 100 + of_century}, month{static_cast<unsigned>(month_number)},
                      day{static_cast<unsigned>(day_number)}};
  if (!date.ok()) return 0;
  std::size_t at = 19;
  Millis fraction = 0;
  if (text[at] == '.') {
    Millis weight = 100;
    std::size_t from = ++at;
    for (; at < text.size() && is_digit(text[at]); ++at, weight /= 10) fraction += weight * (text[at] - '0');
    if (at == from) return 0;
  }
  if (at >= text.size()) return 0;
  Millis offset = 0;
  if (text[at] == '+' || text[at] == '-') {
    int hours = two_digits(text, at + 1), minutes = two_digits(text, at + 4);
    if (text.size() != at + 6 || text[at + 3] != ':' || hours < 0 || hours > 23 || minutes <
        0 || minutes > 59) return 0;
    offset = (hours * 60 + minutes) * (text[at] == '+' ? 60'000 : -60'000);
  } else if (text.size() != at + 1 || (text[at] != 'Z' && text[at] != 'z')) {
    return 0;
  }
  Millis days = sys_days{date}.time_since_epoch().count();
  Millis at_ms = ((days * 24 + hour) * 60 + minute) * 60'000 + second * 1000 + fraction - offset;
  return std::max<Millis>(at_ms, 0);
}

bool is_traceparent(std::string_view text) {
  constexpr std::size_t known_size = 55;
  if (text.size() < known_size || text.size() > limits::text_bytes_max) return false;
  for (std::size_t at = 0; at < known_size; ++at) {
    char c = text[at];
    bool dash = at == 2 || at == 35 || at == 52;
    if (dash ? c != '-' : !(is_digit(c) || (c >= 'a' && c <= 'f'))) return false;
  }
  if (text.starts_with("ff")) return false;
  if (text.size() > known_size) {
    // A later version may say more behind a dash; version 00 may not.
    if (text.starts_with("00") || text[known_size] != '-') return false;
    for (char c : text)
      if (c < 0x21 || c > 0x7e) return false;
  }
  auto zeros = [](std::string_view part) { return part.find_first_not_of('0') == std::string_view::npos; };
  return !zeros(text.substr(3, 32)) && !zeros(text.substr(36, 16));
}

std::string shown(std::string_view text) {
  constexpr std::size_t bytes_max = 64;
  std::string out(text.substr(0, bytes_max));
  for (char& c : out)
    if (c < 0x20 || c > 0x7e) c = '?';
  return out;
}

// ---- slices of JSON text --------------------------------------------------------------------------------------------

std::vector<RawMember> raw_members(std::string_view text) {
  std::vector<RawMember> members;
  // A byte order mark may stand before the brace; nlohmann accepts it.
  std::size_t at = text.find('{');
  if (at == std::string_view::npos) return members;
  at = behind_blanks(text, at + 1);
  while (at < text.size() && text[at] == '"') {
    std::size_t name_end = behind_string(text, at);
    std::string_view name = text.substr(at + 1, name_end - at - 2);
    std::size_t from = behind_blanks(text, behind_blanks(text, name_end) + 1);
    std::size_t to = behind_value(text, from);
    members.push_back({name, text.substr(std::min(from, to), to - std::min(from, to))});
    at = behind_blanks(text, to);
    if (at >= text.size() || text[at] != ',') break;
    at = behind_blanks(text, at + 1);
  }
  return members;
}

void append_compact(std::string& out, std::string_view value) {
  for (std::size_t at = 0; at < value.size();) {
    if (value[at] == '"') {
      std::size_t end = behind_string(value, at);
      out += value.substr(at, end - at);
      at = end;
      continue;
    }
    if (!is_blank(value[at])) out += value[at];
    ++at;
  }
}

std::string with_tame_numbers(std::string_view text) {
  constexpr std::size_t harmless_digits = 300;  // a double holds up to 308
  constexpr std::size_t kept_digits = 25;       // still beyond 64 bits
  std::string out(text);
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = behind_string(text, at);
      continue;
    }
    if (text[at] != '-' && !is_digit(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = std::min(text.find_first_not_of("+-.0123456789eE", at), text.size());
    std::string_view number = text.substr(at, end - at);
    bool integer = number.find_first_of(".eE") == std::string_view::npos;
    bool suspect = number.size() > harmless_digits || number.find_first_of("eE") != std::string_view::npos;
    if (suspect && is_number(number)) {
      std::size_t first = at + (number.front() == '-' ? 1 : 0);
      std::size_t from = integer ? first + kept_digits : first;
      std::fill(out.begin() + static_cast<std::ptrdiff_t>(from), out.begin() + static_cast<std::ptrdiff_t>(end), ' ');
      if (!integer) out.replace(first, 3, "0e0");
    }
    at = end;
  }
  return out;
}

}  // namespace cartwright::json
