#pragma once
// What an operator may set, as typed values; where a value comes from; what is wrong with it. One table says what every
// option is, and reading, checking, help, `config print` and the documented files are made from it. Pure: the
// environment and the files are handed in. Used by every command; knows no server and opens nothing.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "actors/settings.hpp"
#include "actors/topics.hpp"

namespace cartwright::options {

/// The text of a value as it was given, and by whom: "default", "cartwright.conf:3", ".env:2", "KAFKA_BROKER" or
/// "--kafka.broker".
struct Given {
  std::string text, source;
};

/// A gateway or carrier of the outside.
struct Outside {
  std::string url, key;  // "": the simulated one; without a / at its end. key "": none
  std::chrono::milliseconds timeout{};
  std::size_t connections = 16;
  std::vector<std::string> callback_secrets;  // empty: takes no callbacks
};

/// How notices leave the program.
struct Notices {
  std::string smtp_url, from, user, password;        // smtp_url "": e-mail is simulated
  std::string sms_url, push_url;                     // "": simulated
  std::string webhook_key, webhook_secret;           // bearer token, and secret of the signature; "": none
  std::string templates;                             // a directory; "": what is built in
  std::int64_t email_rate = 0, sms_rate = 0, push_rate = 0;  // a second; 0: without a limit
  std::chrono::milliseconds timeout{};
  std::size_t connections = 8;                       // of each channel
};

/// Everything that can be set, checked and in its final type.
struct Options {
  std::string kafka_broker;        // host:port,...
  std::string kafka_group_prefix;  // groups are <prefix>.<role>
  std::chrono::milliseconds kafka_session_timeout{}, kafka_linger{};
  int kafka_partitions = 4;                                           // wanted for topics that are missing
  std::vector<std::pair<std::string, std::string>> kafka_properties;  // kafka.properties.*, without the prefix
  std::string redis_url, database_url;
  std::chrono::milliseconds stock_compare_interval{};  // between comparisons of ledger, Redis and orders
  std::string http_listen;  // host:port; port 0 takes a free one
  std::string http_host;    // of http_listen, without brackets
  std::uint16_t http_port = 0;
  std::size_t http_max_connections = 2000;
  std::string http_tokens_file;  // "": everybody may call
  RoleSet roles = all_roles;     // to be run here: never one of settings.foreign
  std::chrono::milliseconds drain_timeout{};
  unsigned threads = 2;               // of the scheduler; "as many as cores" is resolved
  std::int64_t order_backlog_max = 100'000;
  std::string log_level, log_format;  // trace..error, off; text or json
  bool log_records = false;
  Outside gateway, carrier;           // payment.*, shipping.*
  std::string outside_ca_file;        // PEM: whom TLS with the outside trusts; "": whom the system trusts
  Notices notices;
  Settings settings;  // of the rules; partitions is what is wanted
  TopicNames topics;

  std::map<std::string, Given> given;  // by option, defaults too; secrets are in it
};

/// What kind of value an option takes.
/// secret: a text that is never shown; `NAME-file` may name a file that holds it.
enum class Kind : std::uint8_t { text, number, duration, truth, choice, roles, secret };

/// One option, for people and for the documented files.
struct Option {
  std::string name;                      // a.b-c; the environment variable CARTWRIGHT_A_B_C is implied
  std::vector<std::string> environment;  // further variables, the first wins
  Kind kind = Kind::text;
  std::string fallback;              // the default, as it would be written
  std::int64_t least = 0, most = 0;  // of numbers and durations (milliseconds), inclusive
  std::vector<std::string> choices{};
  std::string help{};   // one sentence
  bool secret = false;  // may hold a password: masked wherever it is shown
  std::function<std::string(Options&, const std::string& text)> set{};  // the fault, or ""
};

/// The table: every option but kafka.properties.*, which is open. Changes take effect when the program starts again.
[[nodiscard]] std::span<const Option> table();

/// A value of an option as it may be shown: secrets, and passwords in URLs, as ***.
[[nodiscard]] std::string masked(const Option& row, const std::string& text);

/// CARTWRIGHT_A_B_C for a.b-c.
[[nodiscard]] std::string variable_of(std::string_view option);

/// Where values come from. `flags` holds "--a.b-c=value" or "--a.b-c", "value", and "--config FILE".
struct Sources {
  std::vector<std::string> flags{};
  std::map<std::string, std::string> environment{};
  std::function<std::optional<std::string>(const std::string& path)> read_file{};  // nothing: cannot be read
};

/// Options, or every fault that was found; warnings never keep a program from starting.
struct Result {
  std::optional<Options> options;
  std::vector<std::string> errors, warnings;
};

/// Reads defaults < file < .env < environment < flags, and checks. An empty variable counts as not set.
[[nodiscard]] Result load(const Sources& sources);

/// The sources of this process: its environment and the files of its working directory.
[[nodiscard]] Sources sources_of_process(std::vector<std::string> flags);

/// Takes what belongs to `load` out of a command line: --a.b-c, --foreign-roles and --config with their values.
[[nodiscard]] std::vector<std::string> take_flags(std::vector<std::string>& arguments);

enum class Format : std::uint8_t { conf, json };

/// The values in force and where each comes from; secrets as ***. `conf` can be used as a file.
[[nodiscard]] std::string print(const Options& options, Format format);

/// config/cartwright.conf and .env.example: every option with its default, commented out.
[[nodiscard]] std::string documented_conf();
[[nodiscard]] std::string documented_env();

/// The same for a terminal: name, default and sentence.
[[nodiscard]] std::string documented_help();

}  // namespace cartwright::options
