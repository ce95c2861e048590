#pragma once
// What came back from outside, and what it means for whoever asked. Pure, but for the text of a fault.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "actors/messages.hpp"

namespace cartwright::curl {

/// The end of one exchange by HTTP or SMTP.
struct Response {
  int status = 0;         // HTTP status, or the last SMTP reply; 0: nothing was answered
  bool complete = false;  // the exchange came to its end as its protocol says
  std::string body;       // HTTP: at most Client::body_bytes_max
  std::string fault;      // not complete: why, for people; holds no secret
  std::chrono::milliseconds retry_after{0};  // HTTP: the header Retry-After in seconds; 0: none
};

/// What an HTTP answer says about the question (rule 5). 2xx: it is done. 4xx: a definite no, with nothing taken or sent,
/// but for those that say "not now" (408, 409, 425, 429) and those that are about us and not about the question (401,
/// 403, 407: our key is wrong; no customer's payment is declined for that). Everything else, and no whole answer: unknown.
[[nodiscard]] Answer answer_of_http(const Response& response);

/// The same for SMTP (RFC 5321 section 4.2.1): 2yz done, 5yz a definite no, but for 530, 534, 535 and 538 (RFC 4954),
/// which are about our login. 4yz and no whole answer: unknown.
[[nodiscard]] Answer answer_of_smtp(const Response& response);

/// Why a server is of no use just now, for operators; "" when it does its work, whatever it says about one question.
[[nodiscard]] std::string trouble_of_http(const Response& response);
[[nodiscard]] std::string trouble_of_smtp(const Response& response);

/// An effect's key as it goes out: `ORDER/charge/1`, of a notice `ORDER/OCCASION/CHANNEL`. Visible ASCII; other bytes, and
/// %, are percent-encoded, so that it fits a header field. The same for every repetition.
[[nodiscard]] std::string effect_key(const Act& act);

/// Order, step and attempt of an effect's key; nothing when it is none of ours.
struct Effect {
  std::string order;
  Step step = Step::charge;
  int attempt = 1;
};
[[nodiscard]] std::optional<Effect> read_effect_key(std::string_view key);

/// `text` percent-encoded for a path segment (RFC 3986 unreserved characters stay).
[[nodiscard]] std::string segment(std::string_view text);

/// A text from outside as it may be stored and logged: one line, at most `bytes` long, whole UTF-8 characters.
[[nodiscard]] std::string one_line(std::string_view text, std::size_t bytes = 200);

}  // namespace cartwright::curl
