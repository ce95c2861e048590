#pragma once
// One connection to a Redis: hiredis' synchronous calls in RAII, with pipelining. Blocks its caller, so it belongs to
// an actor with a thread of its own. Nothing here knows what stock is. No exceptions; every failure says what is known.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct redisContext;
struct redisReply;

namespace cartwright::redis {

/// Where a Redis is, and as whom to speak to it. `path` is set for a unix socket.
struct Address {
  std::string host, path;
  int port = 6379;
  std::string user, password;
  int database = 0;
  /// For messages to people: without the password.
  [[nodiscard]] std::string shown() const;
};

/// Reads `redis://[[user]:password@]host[:port][/db]` or `unix:///path`; nothing when `url` is neither. User and
/// password may be percent-encoded.
[[nodiscard]] std::optional<Address> address_of(std::string_view url);

/// How long to wait for a connection, and for each reply.
struct Timeouts {
  std::chrono::milliseconds connect{1000}, command{5000};
};

/// A call to Redis without an answer. `outcome_unknown`: it may have been carried out all the same (rule 5).
struct Failure {
  std::string what;
  bool outcome_unknown = false;
};

/// A part of a reply; valid as long as the Reply. A part that is not there reads as nil.
class View {
 public:
  explicit View(const redisReply* reply) : reply_(reply) {}
  [[nodiscard]] bool nil() const;
  /// The text of a string or status; "" for anything else.
  [[nodiscard]] std::string_view text() const;
  /// The number of an integer, or of a text that is one; nothing otherwise.
  [[nodiscard]] std::optional<std::int64_t> number() const;
  /// Whether it is a list, and how long.
  [[nodiscard]] bool list() const;
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] View operator[](std::size_t index) const;

 private:
  const redisReply* reply_;
};

/// What came back for one command: a value, an error of the server, or nothing because the connection was lost.
class Reply {
 public:
  explicit Reply(redisReply* reply);
  explicit Reply(Failure failure);
  Reply(Reply&&) noexcept;
  Reply& operator=(Reply&&) noexcept;
  ~Reply();
  /// A value came.
  [[nodiscard]] bool ok() const;
  /// Nothing came; the connection is gone.
  [[nodiscard]] bool lost() const { return !reply_; }
  /// The server refused with an error of this kind, `NOSCRIPT` say.
  [[nodiscard]] bool refused_as(std::string_view kind) const;
  /// Not ok: what is known. An error of the server leaves nothing unknown: the command was not carried out.
  [[nodiscard]] Failure failure() const;
  /// The value; nil when not ok.
  [[nodiscard]] View value() const;

 private:
  struct Free { void operator()(redisReply* reply) const; };
  std::unique_ptr<redisReply, Free> reply_;
  Failure failure_;
};

/// The words of commands, in one buffer: a batch has thousands of short ones.
class Words {
 public:
  Words& add(std::string_view word);
  Words& add(std::int64_t number);
  /// Joins two parts to one word.
  Words& add(std::string_view first, std::string_view second);
  [[nodiscard]] std::size_t size() const { return ends_.size(); }
  [[nodiscard]] std::string_view operator[](std::size_t index) const;

 private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

/// A connection. One thread at a time. After the first lost reply it is dead and answers everything as lost.
class Connection {
 public:
  /// Connects, authenticates, selects the database; each waits up to `timeouts.connect`. Blocks SIGPIPE in the calling
  /// thread: hiredis 0.14 writes without MSG_NOSIGNAL, and a broken pipe shall be a lost reply, not the end of the
  /// process.
  [[nodiscard]] static std::variant<Connection, Failure> open(const Address& address, Timeouts timeouts);

  /// Queues a command; it is written with the first `next`.
  void append(std::span<const std::string_view> words);
  void append(std::initializer_list<std::string_view> words) { append(std::span(words.begin(), words.size())); }
  /// The reply to the oldest queued command that has not been read. Blocks up to the command timeout.
  [[nodiscard]] Reply next();
  /// `append` and `next`; nothing may be queued.
  [[nodiscard]] Reply run(std::initializer_list<std::string_view> words) { return append(words), next(); }
  [[nodiscard]] bool alive() const { return context_ != nullptr; }

 private:
  struct Free { void operator()(redisContext* context) const; };
  Connection(redisContext* context, std::string shown);
  [[nodiscard]] Reply lose(const char* why);

  std::unique_ptr<redisContext, Free> context_;
  std::string shown_, lost_why_;
  std::vector<const char*> pointers_;   // scratch of append
  std::vector<std::size_t> lengths_;
};

}  // namespace cartwright::redis
