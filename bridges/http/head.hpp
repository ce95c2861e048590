#pragma once

// From the bytes of a request's header to a Request, or to the reason for refusing it. Internal to the folder; no
// sockets, so it can be tested and fuzzed alone. The only place that knows Beast: its parser reads the lines, while the
// checks that it leaves to its user (folding, Host, Transfer-Encoding, lengths, the target) are made here.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "bridges/http/server.hpp"

namespace cartwright::http {

/// A request without its body, and what the connection must know to go on.
struct Head {
  Request request;
  std::uint64_t content_length = 0;
  bool keep_alive = true;
  bool expects_continue = false;
};

/// Why a request is refused at the protocol level. The connection closes after the answer.
struct Refusal {
  int status = 400;
  std::string detail;
};

/// Finds the end of a header in bytes that come in pieces, and refuses what no header may hold as soon as it shows:
/// bare CR or LF, control characters, folded lines. Empty lines before the request line are skipped.
class HeadScanner {
 public:
  enum class Found { More, End, Malformed };

  /// Looks at `bytes` from where the last call stopped; the earlier bytes must still be at its front.
  [[nodiscard]] Found scan(std::string_view bytes);
  /// After End: where the request line begins.
  [[nodiscard]] std::size_t begin() const { return begin_; }
  /// After End: just past the empty line.
  [[nodiscard]] std::size_t end() const { return next_; }

 private:
  std::size_t begin_ = 0;
  std::size_t next_ = 0;
  bool after_cr_ = false;
  bool line_is_empty_ = true;
  bool started_ = false;
};

/// Reads a complete header, `bytes` being exactly what HeadScanner found.
[[nodiscard]] std::variant<Head, Refusal> parse_head(std::string_view bytes);

}  // namespace cartwright::http
