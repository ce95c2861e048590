#pragma once
// Prepared statements on SOCI with slots of their own: bound once, executed often. A Batch does the same to many rows,
// as a prepared loop (SQLite) or as one statement with arrays (PostgreSQL); the caller need not know which.

#include <soci/soci.h>

#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cartwright::sql {

/// A statement's text and the kinds of what goes in and comes out, a letter each: i integer, t text (null where an
/// empty optional is bound), b bytes that need not be text. Parameters are :a, :b, ... in this order, each used once.
struct Text {
  std::string sql;
  std::string in;
  std::string out;
};

/// How a dialect carries bytes and many rows.
struct Carriage {
  bool loops = true;  // a batch is a loop of executions; else one execution with array literals
  bool hex = false;   // bytes travel as \x..., and text has to be UTF-8 without NUL
};

/// A prepared statement. Lives as long as its session; one thread. Throws soci::soci_error.
class Statement {
 public:
  Statement(soci::session& session, const Text& text, Carriage carriage);
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  /// Executes, with one argument per parameter; returns the affected rows.
  template <class... Args>
  long long run(const Args&... args) {
    bind(args...);
    return execute();
  }

  /// Executes and reads the only row, if there is one. The columns stay readable.
  template <class... Args>
  bool one(const Args&... args) {
    bind(args...);
    return execute_one();
  }

  /// Executes and calls `each()` for every row.
  template <class Each, class... Args>
  void rows(const Each& each, const Args&... args) {
    bind(args...);
    for (bool more = statement_.execute(true); more; more = statement_.fetch()) {
      receive();
      each();
    }
  }

  [[nodiscard]] std::int64_t integer(std::size_t column) const { return out_[column].integer; }
  [[nodiscard]] std::string& text(std::size_t column) { return out_[column].text; }
  [[nodiscard]] std::optional<std::string> optional(std::size_t column) const;

 private:
  friend class Batch;
  struct Slot {
    long long integer = 0;
    std::string text;
    soci::indicator indicator = soci::i_ok;
  };

  template <class... Args>
  void bind(const Args&... args) {
    std::size_t at = 0;
    (set(at++, args), ...);
  }
  template <std::integral Integer>
  void set(std::size_t at, Integer value) {
    in_[at].integer = static_cast<long long>(value);
  }
  void set(std::size_t at, std::string_view value);
  void set(std::size_t at, const std::same_as<std::optional<std::string>> auto& value) {
    if (value)
      set(at, std::string_view(*value));
    else
      in_[at].indicator = soci::i_null;
  }
  long long execute();
  bool execute_one();
  void receive();

  std::string in_kinds_, out_kinds_;
  Carriage carriage_;
  std::vector<Slot> in_, out_;  // never resized: SOCI holds their addresses
  soci::statement statement_;
};

/// The same statement for many rows. `add` each, then `finish`.
class Batch {
 public:
  Batch(soci::session& session, const Text& text, Carriage carriage);

  template <class... Args>
  void add(const Args&... args) {
    if (loops_) {
      affected_ += statement_.run(args...);
      return;
    }
    std::size_t at = 0;
    (append(at++, args), ...);
    ++waiting_;
  }

  /// Executes what is left; returns the rows that were affected since the last time.
  long long finish();
  /// Forgets what was added and not finished, after an error.
  void clear();

 private:
  template <std::integral Integer>
  void append(std::size_t at, Integer value) {
    append_plain(at, std::to_string(value));
  }
  void append(std::size_t at, std::string_view value);
  void append(std::size_t at, const std::same_as<std::optional<std::string>> auto& value) {
    if (value)
      append(at, std::string_view(*value));
    else
      append_plain(at, "NULL");
  }
  void append_plain(std::size_t at, std::string_view value);

  bool loops_;
  std::string kinds_;
  Statement statement_;
  std::vector<std::string> arrays_;
  std::size_t waiting_ = 0;
  long long affected_ = 0;
};

/// Appends one element to a PostgreSQL array literal that begins with `{`.
void append_element(std::string& array, std::string_view value);

}  // namespace cartwright::sql
