#include "actors/ids.hpp"

#include <cstdio>
#include <ctime>

#include "actors/limits.hpp"

namespace cartwright {

bool valid_id(std::string_view text) {
  if (text.empty() || text.size() > limits::id_bytes_max) return false;
  for (char c : text) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '.' && c != '_' && c != ':' && c != '~' && c != '-') return false;
  }
  return true;
}

std::uint32_t murmur2(std::string_view bytes) {
  constexpr std::uint32_t m = 0x5bd1e995;
  constexpr int r = 24;
  auto at = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])); };
  std::uint32_t h = 0x9747b28c ^ static_cast<std::uint32_t>(bytes.size());
  std::size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    std::uint32_t k = at(i) | at(i + 1) << 8 | at(i + 2) << 16 | at(i + 3) << 24;
    k *= m;
    k ^= k >> r;
    k *= m;
    h *= m;
    h ^= k;
  }
  switch (bytes.size() - i) {
    case 3: h ^= at(i + 2) << 16; [[fallthrough]];
    case 2: h ^= at(i + 1) << 8; [[fallthrough]];
    case 1: h ^= at(i); h *= m; break;
    default: break;
  }
  h ^= h >> 13;
  h *= m;
  h ^= h >> 15;
  return h;
}

int partition_of(std::string_view key, int partitions) {
  return static_cast<int>((murmur2(key) & 0x7fffffff) % static_cast<std::uint32_t>(partitions));
}

std::uint64_t fingerprint(std::string_view bytes) {
  std::uint64_t hash = 14695981039346656037ull;
  for (char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

std::string UuidSource::next() {
  Millis now = clock_();
  if (now > last_) {
    last_ = now;
    counter_ = static_cast<std::uint32_t>(random_()) & 0x1ff;  // room to count up within the millisecond
  } else if (++counter_ > 0xfff) {
    ++last_;  // borrow from the next millisecond: still rising
    counter_ = 0;
  }
  std::uint64_t tail = random_();
  char text[37];
  std::snprintf(text, sizeof text, "%08x-%04x-7%03x-%04x-%012llx", static_cast<unsigned>(last_ >> 16),
                static_cast<unsigned>(last_ & 0xffff), counter_ & 0xfff,
                static_cast<unsigned>(0x8000 | ((tail >> 48) & 0x3fff)),
                static_cast<unsigned long long>(tail & 0xffffffffffffull));
  return text;
}

std::string rfc3339(Millis at) {
  if (at == 0) return {};
  std::time_t seconds = static_cast<std::time_t>(at / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (parts.tm_year + 1900) % 10000, parts.tm_mon + 1,
                parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, static_cast<int>(at % 1000));
  return text;
}

}  // namespace cartwright
