#include "bridges/signing/signature.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

namespace cartwright::signing {
namespace {

std::string hex_of(const unsigned char* bytes, std::size_t size) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < size; ++i) {
    out += digits[bytes[i] >> 4];
    out += digits[bytes[i] & 15];
  }
  return out;
}

std::string mac(std::string_view secret, std::string_view t, std::string_view body) {
  std::string text(t);
  text += '.';
  text += body;
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes.data(), &size) == nullptr)
    throw std::runtime_error("OpenSSL has no HMAC-SHA256");
  return hex_of(bytes.data(), size);
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

std::string sign(std::string_view secret, std::string_view body, std::int64_t seconds) {
  const std::string t = std::to_string(seconds);
  return "t=" + t + ",v1=" + mac(secret, t, body);
}

std::string fault_of(std::string_view header, std::string_view body, const std::vector<std::string>& secrets,
                     std::int64_t now_seconds) {
  std::string_view t;
  std::vector<std::string_view> macs;
  for (std::string_view rest = header; !rest.empty();) {
    std::string_view part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    if (part.starts_with("t=")) t = part.substr(2);
    if (part.starts_with("v1=")) macs.push_back(part.substr(3));
  }
  if (t.empty() || macs.empty()) return "has no signature of the form t=SECONDS,v1=HEX";
  std::int64_t seconds = 0;
  const auto read = std::from_chars(t.data(), t.data() + t.size(), seconds);
  if (read.ec != std::errc() || read.ptr != t.data() + t.size() || seconds < 0) return "has a time that is no number of seconds";
  bool right = false;
  for (const std::string& secret : secrets) {
    const std::string wanted = mac(secret, t, body);
    for (std::string_view given : macs) right |= same(given, wanted);
  }
  if (!right) return "is not signed with our secret";
  if (seconds < now_seconds - tolerance_s) return "was signed too long ago";
  return seconds > now_seconds + tolerance_s ? "was signed in the future" : "";
}

std::string digest(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), bytes.data(), &size, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("OpenSSL has no SHA-256");
  return hex_of(bytes.data(), size);
}

}  // namespace cartwright::signing
