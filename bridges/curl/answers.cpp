#include "bridges/curl/answers.hpp"

#include <array>
#include <charconv>

namespace cartwright::curl {
namespace {

constexpr std::string_view hex = "0123456789ABCDEF";

template <class Plain>
std::string encoded(std::string_view text, Plain plain) {
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (plain(c)) {
      out += c;
    } else {
      out += '%';
      out += hex[byte >> 4];
      out += hex[byte & 15];
    }
  }
  return out;
}

bool about_our_login(int status) { return status == 530 || status == 534 || status == 535 || status == 538; }

}  // namespace

Answer answer_of_http(const Response& response) {
  if (!response.complete) return Answer::unknown;
  switch (response.status) {
    case 401:
    case 403:
    case 407:
    case 408:
    case 409:
    case 425:
    case 429: return Answer::unknown;
    default: break;
  }
  if (response.status >= 200 && response.status < 300) return Answer::done;
  return response.status >= 400 && response.status < 500 ? Answer::refused : Answer::unknown;
}

Answer answer_of_smtp(const Response& response) {
  if (response.complete) return Answer::done;
  return response.status >= 500 && response.status < 600 && !about_our_login(response.status) ? Answer::refused
                                                                                               : Answer::unknown;
}

std::string trouble_of_http(const Response& response) {
  if (!response.complete) return response.fault;
  if (response.status == 401 || response.status == 403 || response.status == 407)
    return "refuses our key (HTTP " + std::to_string(response.status) + ")";
  if (response.status == 429) return "is asked too often (HTTP 429)";
  if (response.status >= 500 || response.status < 200 || (response.status >= 300 && response.status < 400))
    return "answers HTTP " + std::to_string(response.status);
  return {};
}

std::string trouble_of_smtp(const Response& response) {
  if (response.complete || answer_of_smtp(response) == Answer::refused) return {};
  if (about_our_login(response.status)) return "refuses our login (SMTP " + std::to_string(response.status) + ")";
  return response.fault;
}

std::string effect_key(const Act& act) {
  const std::string last = act.step == Step::notify ? act.channel : std::to_string(act.attempt);
  const std::string middle = act.step == Step::notify ? "" : std::string(to_string(act.step)) + "/";
  return encoded(act.key + "/" + middle + last, [](char c) { return c > 0x20 && c < 0x7f && c != '%'; });
}

std::optional<Effect> read_effect_key(std::string_view key) {
  const auto last = key.rfind('/');
  if (last == std::string_view::npos || last == 0) return {};
  const auto middle = key.rfind('/', last - 1);
  if (middle == std::string_view::npos) return {};
  Effect effect;
  effect.order = key.substr(0, middle);
  const std::string_view step = key.substr(middle + 1, last - middle - 1), attempt = key.substr(last + 1);
  bool known = false;
  for (Step one : {Step::charge, Step::refund, Step::book})
    if (step == to_string(one)) {
      effect.step = one;
      known = true;
    }
  const auto read = std::from_chars(attempt.data(), attempt.data() + attempt.size(), effect.attempt);
  if (!known || !valid_id(effect.order) || read.ec != std::errc() || read.ptr != attempt.data() + attempt.size() ||
      effect.attempt < 1)
    return {};
  return effect;
}

std::string segment(std::string_view text) {
  return encoded(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~").find(c) != std::string_view::npos;
  });
}

std::string one_line(std::string_view text, std::size_t bytes) {
  if (text.size() > bytes) {
    while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
    text = text.substr(0, bytes);
  }
  std::string out;
  for (char c : text) out += (c >= 0 && c < 0x20) || c == 0x7f ? ' ' : c;
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace cartwright::curl
