#pragma once
// Notices by e-mail: a letter with a Message-ID that is the same for every repetition, so that a mail program shows a
// notice that was sent twice once. Pure.

#include <chrono>
#include <functional>

#include "actors/ids.hpp"
#include "bridges/notices/message.hpp"

namespace cartwright::notices {

struct MailOptions {
  std::string url, from, user, password;
  std::chrono::milliseconds timeout{15'000};
};

/// The exchange that hands a message to the mail server; `now` becomes its Date.
[[nodiscard]] curl::Request mail_request(const MailOptions& options, const Message& message, Millis now);

/// `text` as a header's value: as it is in ASCII, else as RFC 2047 has it.
[[nodiscard]] std::string header_text(std::string_view text);

/// Whether a login may go to `url` (smtp://) only after STARTTLS: everywhere but on this machine.
[[nodiscard]] bool must_encrypt(const MailOptions& options);

[[nodiscard]] Channel mail_channel(std::shared_ptr<curl::Lane> lane, MailOptions options, std::function<Millis()> clock);

}  // namespace cartwright::notices
