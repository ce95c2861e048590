#pragma once
// What every command is given, and the ways it may fail.

#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>

#include "app/cli/client.hpp"
#include "app/options/options.hpp"

namespace cartwright::kafka {
struct ClientOptions;
struct Error;
}  // namespace cartwright::kafka

namespace cartwright::cli {

inline constexpr int exit_ok = 0, exit_failure = 1, exit_usage = 2;

enum class Format : std::uint8_t { table, json };

/// Ends a command: a sentence that names what, where and what to do, and the exit code.
class CommandError : public std::runtime_error {
 public:
  explicit CommandError(const std::string& what, int code = exit_failure) : std::runtime_error(what), code_(code) {}
  [[nodiscard]] int code() const { return code_; }

 private:
  int code_;
};

/// What the flags before any command's own say.
struct Context {
  options::Options options;
  std::string url;    // --url or CARTWRIGHT_URL; "": http.listen
  std::string token;  // --token or CARTWRIGHT_TOKEN
  Format format = Format::table;

  /// Where the API is asked. Throws CommandError when the configuration does not say.
  [[nodiscard]] Endpoint endpoint() const;
  /// A client for it; nothing is opened yet.
  [[nodiscard]] HttpClient http() const;
  /// How this process reaches Kafka. `what_for` becomes part of client.id.
  [[nodiscard]] kafka::ClientOptions kafka(const std::string& what_for) const;
};

/// The body of an answer that is a 2xx. Else throws a CommandError that says what was tried, where, and what to do.
const HttpAnswer& expect_ok(const HttpAnswer& answer, const std::string& tried, const HttpClient& client);

/// The body as JSON. Throws a CommandError when it is none.
[[nodiscard]] nlohmann::json read_json(const HttpAnswer& answer, const std::string& tried, const HttpClient& client);

/// What a problem document says, in one line, or the beginning of whatever came instead.
[[nodiscard]] std::string problem_of(const HttpAnswer& answer);

/// Throws CommandError; exit code 2 when only another configuration helps.
[[noreturn]] void fail(const kafka::Error& error);

/// Makes SIGINT and SIGTERM only end loops that ask `interrupted`.
void catch_interrupts();
[[nodiscard]] bool interrupted();

}  // namespace cartwright::cli
