// PostgreSQL: a schema per role, written by several nodes; epochs and row locks keep them apart.

#include <algorithm>
#include <array>
#include <string_view>

#include <soci/postgresql/soci-postgresql.h>

#include "actors/ids.hpp"
#include "bridges/sql/dialect.hpp"

namespace cartwright::sql {

namespace {

/// What is set on every connection. A frozen owner may hold its locks for idle_in_transaction_session_timeout, so that
/// lock_timeout is longer: the next owner gets its turn. Plans are small and used often: compiling them never pays.
constexpr std::array<std::string_view, 7> settings{"SET idle_in_transaction_session_timeout = '5s'",
                                                   "SET lock_timeout = '10s'",
                                                   "SET statement_timeout = '30s'",
                                                   "SET client_encoding = 'UTF8'",
                                                   "SET jit = off",
                                                   "SET standard_conforming_strings = on",
                                                   "SET client_min_messages = warning"};

std::string in_quotes(const std::string& name, char quote) {
  std::string out(1, quote);
  for (char c : name) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}

/// The first line of libpq's text: it names server, port, user and database, never the password.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

class PostgresqlDialect : public Dialect {
 public:
  explicit PostgresqlDialect(const StoreOptions& options)
      : role_(options.role),
        url_(options.url),
        schema_(options.group_prefix + "_" + std::string(to_string(options.role))) {}

  std::string name() const override { return "postgresql"; }
  std::string where() const override { return "PostgreSQL schema " + schema_; }
  Carriage carriage() const override { return {.loops = false, .hex = true}; }
  Texts texts() const override { return postgresql_texts(role_); }
  const char* begin_write() const override { return "BEGIN"; }
  const char* begin_read() const override { return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"; }

  std::unique_ptr<soci::session> connect(Access access) override {
    auto session = open(access);
    for (std::string_view setting : settings) *session << std::string(setting);
    *session << "SET search_path TO " + in_quotes(schema_, '"');
    *session << "SET application_name = " + in_quotes("cartwright " + schema_, '\'');
    std::string durable;
    *session << "SHOW synchronous_commit", soci::into(durable);
    // The server may ask for more (remote_apply); less would lose what was acknowledged.
    if (durable == "off" || durable == "local") *session << "SET synchronous_commit = on";
    if (access == Access::read) *session << "SET default_transaction_read_only = on";
    std::string path;
    *session << "SHOW search_path", soci::into(path);
    if (path.find(schema_) == std::string::npos)
      throw StoreError(
          StoreError::Kind::misconfigured,
          "store: " + where() + ": the connection does not keep its settings; use a pooler in session mode, or none");
    return session;
  }

  bool has_schema(soci::session& session) override {
    int count = 0;
    session << "SELECT COUNT(*) FROM pg_catalog.pg_tables WHERE schemaname = :a AND tablename = 'schema_version'",
        soci::use(schema_), soci::into(count);
    return count > 0;
  }

  void create_schema(soci::session& session) override {
    // Several nodes may start at once: one makes the schema, the others wait for the end of its transaction.
    long long lock = static_cast<long long>(fingerprint("cartwright " + schema_) >> 1);
    std::string nothing;
    session << "SELECT pg_advisory_xact_lock(:a)::text", soci::use(lock), soci::into(nothing);
    int count = 0;
    session << "SELECT COUNT(*) FROM pg_catalog.pg_namespace WHERE nspname = :a", soci::use(schema_), soci::into(count);
    if (count == 0) session << "CREATE SCHEMA " + in_quotes(schema_, '"');
  }

  Fault fault(const std::exception& error) const override {
    if (const auto* known = dynamic_cast<const soci::postgresql_soci_error*>(&error)) {
      const std::string state = known->sqlstate().substr(0, 5);
      // Messages of the server may quote values; its code says enough.
      const bool lost = state.empty() || state[0] == ' ' || state.starts_with("08") || state.starts_with("57P") ||
                        state.starts_with("XX") || state.starts_with("25");
      const bool lasting = state == "42501" || state.starts_with("28") || state == "3D000";
      return {"SQLSTATE " + state + meaning(state), lost, lasting};
    }
    if (const auto* ours = dynamic_cast<const StoreError*>(&error)) return {ours->what(), true};
    if (dynamic_cast<const soci::soci_error*>(&error) != nullptr)
      return {"the connection to the server was lost", true};
    return {error.what(), false};
  }

 private:
  std::unique_ptr<soci::session> open(Access access) const {
    std::string url = url_;
    const auto add = [&](std::string_view option, std::string_view value) {
      if (url.find(std::string(option) + "=") != std::string::npos) return;
      url += url.find('?') == std::string::npos ? '?' : '&';
      url += std::string(option) + "=" + std::string(value);
    };
    // SOCI spoils a URL without any option (it appends '='); ours always has some.
    add("connect_timeout", "5");
    add("tcp_user_timeout", "10000");
    if (access == Access::write) add("target_session_attrs", "read-write");  // not a standby
    try {
      return std::make_unique<soci::session>(soci::postgresql, url);
    } catch (const soci::soci_error& error) {
      std::string text = error.get_error_message();
      const std::size_t begin = text.find("connection to server");
      if (begin != std::string::npos) text = text.substr(begin);
      text = first_line(text);
      const std::array<std::string_view, 6> ours{"authentication failed", "does not exist", "no password supplied",
                                                 "no pg_hba.conf entry",  "invalid",        "certificate"};
      const bool misconfigured = std::any_of(
          ours.begin(), ours.end(), [&](std::string_view sign) { return text.find(sign) != std::string::npos; });
      throw StoreError(misconfigured ? StoreError::Kind::misconfigured : StoreError::Kind::unavailable,
                       "store: " + where() + ": " + text);
    }
  }

  static std::string meaning(const std::string& state) {
    if (state.starts_with("08") || state.starts_with("57P")) return " (the connection to the server was lost)";
    if (state.starts_with("53")) return " (the server is out of memory, disk space or connections)";
    if (state == "55P03" || state == "57014") return " (waited too long for a lock)";
    if (state == "40P01") return " (two nodes waited for each other)";
    if (state == "42501") return " (the user lacks a privilege)";
    if (state.starts_with("23")) return " (a constraint was violated)";
    return "";
  }

  RoleId role_;
  std::string url_, schema_;
};

}  // namespace

std::unique_ptr<Dialect> make_postgresql(const StoreOptions& options) {
  return std::make_unique<PostgresqlDialect>(options);
}

}  // namespace cartwright::sql
