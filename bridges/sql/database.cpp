#include "bridges/sql/database.hpp"

#include <utility>

namespace cartwright::sql {

namespace {

constexpr std::chrono::milliseconds reconnect_pause{500};
constexpr std::size_t statements_max = static_cast<std::size_t>(Sql::count);

}  // namespace

std::unique_ptr<Dialect> make_dialect(const StoreOptions& options) {
  if (options.url.starts_with("sqlite:")) return make_sqlite(options);
  if (options.url.starts_with("postgresql://") || options.url.starts_with("postgres://"))
    return make_postgresql(options);
  throw StoreError(StoreError::Kind::misconfigured, "store: DATABASE_URL is neither sqlite:DIR nor postgresql://...");
}

Database::Database(StoreOptions options, Access access)
    : options_(std::move(options)),
      access_(access),
      dialect_(make_dialect(options_)),
      texts_(dialect_->texts()),
      statements_(statements_max),
      batches_(statements_max) {}

Database::~Database() { disconnect(); }

void Database::connect() { session_ = dialect_->connect(access_); }

bool Database::connected(std::string& why) {
  if (session_) return true;
  const auto now = std::chrono::steady_clock::now();
  if (!retry_at_ || now >= *retry_at_) {
    try {
      connect();
      retry_at_.reset();
      return true;
    } catch (const StoreError& error) {
      last_failure_ = error.what();
      retry_at_ = std::chrono::steady_clock::now() + reconnect_pause;
    } catch (const std::exception& error) {
      last_failure_ = explain("connecting", fault(error).text);
      retry_at_ = std::chrono::steady_clock::now() + reconnect_pause;
    }
  }
  why = last_failure_;
  return false;
}

void Database::disconnect() {
  totals_.clear();
  try {
    for (auto& each : statements_) each.reset();
    for (auto& each : batches_) each.reset();
    session_.reset();
  } catch (const std::exception&) {
    session_.release();  // SOCI throws when it cannot close a lost connection: leave it
  }
}

std::string Database::explain(const std::string& doing, const std::string& fault) const {
  return "store: " + std::string(to_string(options_.role)) + " at " + dialect_->where() + ": " + doing + ": " + fault;
}

Statement& Database::statement(Sql name) {
  auto& slot = statements_[static_cast<std::size_t>(name)];
  if (!slot) slot = std::make_unique<Statement>(*session_, texts_[name], Carriage{true, dialect_->carriage().hex});
  return *slot;
}

Batch& Database::batch(Sql name) {
  auto& slot = batches_[static_cast<std::size_t>(name)];
  if (!slot) slot = std::make_unique<Batch>(*session_, texts_[name], dialect_->carriage());
  return *slot;
}

void Database::lookup(Sql name, const std::vector<std::string>& keys, const std::function<void(Statement&)>& each) {
  Statement& found = statement(name);
  if (dialect_->carriage().loops) {
    for (const std::string& key : keys) found.rows([&] { each(found); }, key);
    return;
  }
  std::string array = "{";
  for (const std::string& key : keys) append_element(array, key);
  array += '}';
  found.rows([&] { each(found); }, array);
}

// ---- transactions
// ----------------------------------------------------------------------------------------------------

void Database::execute(const char* sql) { *session_ << sql; }

void Database::begin() {
  totals_.clear();
  execute(dialect_->begin_write());
}

void Database::commit() {
  write_totals();
  execute("COMMIT");
}

void Database::rollback() noexcept {
  if (!session_) return;
  totals_.clear();
  try {
    for (auto& each : batches_)
      if (each) each->clear();
    execute("ROLLBACK");
  } catch (const std::exception&) {
    disconnect();  // SQLite has rolled back by itself (a full disk), or the connection is gone: begin anew
  }
}

void Database::savepoint() {
  totals_at_savepoint_ = totals_;
  execute("SAVEPOINT part");
}

void Database::release_savepoint() { execute("RELEASE SAVEPOINT part"); }

void Database::rollback_to_savepoint() {
  totals_ = totals_at_savepoint_;
  for (auto& each : batches_)
    if (each) each->clear();
  execute("ROLLBACK TO SAVEPOINT part");
}

void Database::snapshot(const std::function<void()>& questions) {
  execute(dialect_->begin_read());
  questions();
  execute("COMMIT");
}

}  // namespace cartwright::sql
