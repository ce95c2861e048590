#include "app/options/text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>

namespace cartwright::options {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};
constexpr std::array<Unit, 4> units{{{"ms", 1}, {"s", 1000}, {"min", 60'000}, {"h", 3'600'000}}};

constexpr std::size_t name_bytes_max = 200;  // of a wrong name that is compared: the comparison is quadratic

}  // namespace

Read number(std::string_view text) {
  std::int64_t value = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault == std::errc::result_out_of_range) return {0, "is too large"};
  if (fault != std::errc() || end != text.data() + text.size()) return {0, "is not a whole number"};
  return {value, ""};
}

Read duration(std::string_view text) {
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  std::string amount(text.substr(0, digits));
  if (digits == 0) return {0, "is not a duration: write 500ms, 6s, 15min or 24h"};
  std::string_view unit = trimmed(text.substr(digits));
  if (unit.empty())
    return {0, "has no unit: write " + amount + "ms, " + amount + "s, " + amount + "min or " + amount + "h"};
  Read read = number(amount);
  if (!read.fault.empty()) return read;
  for (const Unit& one : units) {
    if (unit != one.name) continue;
    if (read.value > INT64_MAX / one.milliseconds) return {0, "is too large"};
    return {read.value * one.milliseconds, ""};
  }
  if (unit == "m")
    return {0, "has the unit m: write " + amount + "min for minutes or " + amount + "ms for milliseconds"};
  return {0, "has the unknown unit " + std::string(unit) + ": write ms, s, min or h after a whole number"};
}

std::string spell_duration(std::int64_t milliseconds) {
  for (auto one = units.rbegin(); one != units.rend(); ++one)
    if (milliseconds != 0 && milliseconds % one->milliseconds == 0)
      return std::to_string(milliseconds / one->milliseconds) + std::string(one->name);
  return std::to_string(milliseconds) + (milliseconds == 0 ? "s" : "ms");
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    std::size_t at = text.find(separator);
    if (auto part = trimmed(text.substr(0, at)); !part.empty()) parts.emplace_back(part);
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

std::size_t edit_distance(std::string_view left, std::string_view right) {
  // Three rows of the usual table: the one before the last is needed for swaps.
  std::vector<std::size_t> before(right.size() + 1), last(right.size() + 1), row(right.size() + 1);
  for (std::size_t j = 0; j <= right.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= left.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      std::size_t changed = last[j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);
      row[j] = std::min({changed, last[j] + 1, row[j - 1] + 1});
      bool swapped = i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[right.size()];
}

std::string nearest(std::string_view wrong, const std::vector<std::string>& names) {
  wrong = wrong.substr(0, name_bytes_max);
  std::string spelled = lower(wrong);
  std::replace(spelled.begin(), spelled.end(), '_', '-');
  std::string best;
  std::size_t distance = std::max<std::size_t>(2, wrong.size() / 3) + 1;
  for (const std::string& name : names) {
    std::string plain = lower(name);
    std::replace(plain.begin(), plain.end(), '_', '-');
    // A dash for a dot, or the section left out, is as good as no mistake.
    std::size_t here = edit_distance(spelled, plain);
    if (auto dot = plain.find('.'); dot != std::string::npos && spelled.size() > 3)
      here = std::min(here, edit_distance(spelled, plain.substr(dot + 1)) + 1);
    if (here < distance) {
      distance = here;
      best = name;
    }
  }
  return best;
}

std::string masked_url(std::string_view url) {
  std::string out(url);
  auto scheme = out.find("://");
  if (scheme != std::string::npos) {
    auto begin = scheme + 3;
    auto end = out.find_first_of("/?#", begin);
    // The last @ of the authority: a password that was not encoded may have one itself, and even a slash.
    auto at = out.rfind('@', end);
    if (at == std::string::npos || at < begin) at = out.rfind('@');
    auto colon = out.find(':', begin);
    if (at != std::string::npos && at >= begin && colon != std::string::npos && colon < at)
      out.replace(colon + 1, at - colon - 1, "***");
  }
  for (std::string_view name : {"password=", "passwd=", "sslpassword=", "secret="}) {
    for (std::size_t from = 0;;) {
      auto found = lower(out).find(name, from);
      if (found == std::string::npos) break;
      auto begin = found + name.size();
      auto end = out.find_first_of("& ", begin);
      out.replace(begin, (end == std::string::npos ? out.size() : end) - begin, "***");
      from = begin;
    }
  }
  return out;
}

bool is_secret_property(std::string_view name) {
  for (std::string_view part : {"password", "secret", "key.pem", "oauthbearer.config", "jaas"})
    if (name.find(part) != std::string_view::npos) return true;
  return false;
}

std::optional<HostPort> host_port(std::string_view text) {
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return {};
  std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  Read read = number(port);
  if (!read.fault.empty() || port[0] == '-' || read.value > 65535) return {};
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return {};
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return {};  // an IPv6 address without brackets
  }
  if (host.find_first_of(" \t/@,") != std::string_view::npos) return {};
  return HostPort{std::string(host), static_cast<std::uint16_t>(read.value)};
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", byte);
      out += escaped.data();
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace cartwright::options
