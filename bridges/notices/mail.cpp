#include "bridges/notices/mail.hpp"

#include <algorithm>
#include <ctime>

#include "bridges/json/text.hpp"
#include "bridges/signing/signature.hpp"

namespace cartwright::notices {
namespace {

constexpr std::size_t encoded_word_bytes = 45;  // =?UTF-8?B?...?= has at most 75 letters

/// RFC 5322 section 3.3. No locale is set in this program, so the names are English.
std::string date_of(Millis now) {
  const std::time_t seconds = now / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S +0000", &parts)};
}

/// CRLF, as MIME has it: a bare LF would be encoded like any other strange byte.
std::string with_line_ends(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) out += '\r';
    out += text[i];
  }
  return out;
}

}  // namespace

std::string header_text(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; })) return std::string(text);
  std::string out;
  while (!text.empty()) {
    std::size_t size = std::min(encoded_word_bytes, text.size());
    while (size > 1 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
    out += (out.empty() ? "=?UTF-8?B?" : " =?UTF-8?B?") + json::to_base64(text.substr(0, size)) + "?=";
    text.remove_prefix(size);
  }
  return out;
}

bool must_encrypt(const MailOptions& options) {
  if (!options.url.starts_with("smtp://")) return false;
  std::string_view host = std::string_view(options.url).substr(7);
  host = host.substr(0, host.find('/'));
  const auto at = host.rfind('@');
  const bool login = !options.password.empty() || at != std::string_view::npos;
  if (at != std::string_view::npos) host.remove_prefix(at + 1);
  const bool here = host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
  return login && !here;
}

curl::Request mail_request(const MailOptions& options, const Message& message, Millis now) {
  curl::Request request;
  request.url = options.url;
  request.timeout = options.timeout;
  curl::Mail& mail = request.mail.emplace();
  mail.from = options.from;
  mail.to = message.to;
  mail.user = options.user;
  mail.password = options.password;
  mail.must_encrypt = must_encrypt(options);
  mail.text = with_line_ends(message.text);
  mail.headers = {"From: <" + options.from + ">",
                  "To: <" + message.to + ">",
                  "Subject: " + header_text(message.subject),
                  "Date: " + date_of(now),
                  "Message-ID: <" + signing::digest(message.key).substr(0, 40) + options.from.substr(options.from.find('@')) + ">",
                  "Auto-Submitted: auto-generated"};  // RFC 3834: no out-of-office answers, please
  return request;
}

Channel mail_channel(std::shared_ptr<curl::Lane> lane, MailOptions options, std::function<Millis()> clock) {
  return {std::move(lane),
          [options = std::move(options), clock = std::move(clock)](const Message& message) {
            return mail_request(options, message, clock());
          },
          curl::answer_of_smtp};
}

}  // namespace cartwright::notices
