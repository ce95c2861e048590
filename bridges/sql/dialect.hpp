#pragma once
// What differs between SQLite and PostgreSQL beside the texts of statements.

#include <memory>
#include <string>

#include <soci/soci.h>

#include "bridges/sql/statements.hpp"
#include "bridges/sql/store.hpp"

namespace cartwright::sql {

/// What went wrong, fit for a log: no bound values. `broken`: the connection is of no use any more, or the transaction
/// is gone; else only the statement failed. `lasting`: it will be so again; a person has to act.
struct Fault {
  std::string text;
  bool broken = true;
  bool lasting = false;
};

enum class Access : std::uint8_t { write, read };

/// A kind of database. Stateless but for its settings; one per connection.
class Dialect {
 public:
  virtual ~Dialect() = default;
  [[nodiscard]] virtual std::string name() const = 0;   // of the folder under config/sql
  [[nodiscard]] virtual std::string where() const = 0;  // for texts: the file or the server, without credentials
  [[nodiscard]] virtual Carriage carriage() const = 0;
  [[nodiscard]] virtual Texts texts() const = 0;
  /// Connects and configures; reads the settings back. Throws StoreError or what SOCI throws.
  virtual std::unique_ptr<soci::session> connect(Access access) = 0;
  [[nodiscard]] virtual bool has_schema(soci::session& session) = 0;
  virtual void create_schema(soci::session& session) = 0;
  [[nodiscard]] virtual const char* begin_write() const = 0;
  [[nodiscard]] virtual const char* begin_read() const = 0;
  /// Says what a library's exception means.
  [[nodiscard]] virtual Fault fault(const std::exception& error) const = 0;
  /// Called by the writer when a commit has been answered, on its thread: moves what is committed to its place when it
  /// is time.
  virtual void after_commit(soci::session&) {}
};

[[nodiscard]] std::unique_ptr<Dialect> make_sqlite(const StoreOptions& options);
[[nodiscard]] std::unique_ptr<Dialect> make_postgresql(const StoreOptions& options);

/// The dialect of options.url. Throws StoreError misconfigured.
[[nodiscard]] std::unique_ptr<Dialect> make_dialect(const StoreOptions& options);

/// Takes DIR/<role>.lock for this process and makes DIR and the file, private to the user. Throws StoreError.
[[nodiscard]] std::unique_ptr<PreparedStore> lock_sqlite(const StoreOptions& options);

}  // namespace cartwright::sql
