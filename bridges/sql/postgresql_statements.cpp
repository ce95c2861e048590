#include "bridges/sql/statements.hpp"
namespace cartwright::sql {
Texts postgresql_texts(RoleId role) { return sqlite_texts(role); }
}
