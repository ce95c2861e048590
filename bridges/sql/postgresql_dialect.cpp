#include "bridges/sql/dialect.hpp"
namespace cartwright::sql {
std::unique_ptr<Dialect> make_postgresql(const StoreOptions&) { throw StoreError(StoreError::Kind::misconfigured, "not yet"); }
}
