#include "bridges/sql/migrations.hpp"

#include <sstream>

#include "actors/check.hpp"

namespace cartwright::sql {

namespace {

/// Statements end with a semicolon at the end of a line; comment lines are left out (SOCI would look for parameters).
void split(const std::string& sql, std::vector<std::string>& out) {
  std::istringstream lines(sql);
  std::string line, statement;
  while (std::getline(lines, line)) {
    if (line.empty() || line.starts_with("--")) continue;
    statement += line;
    if (line.ends_with(';')) {
      statement.pop_back();
      out.push_back(std::move(statement));
      statement.clear();
    } else {
      statement += '\n';
    }
  }
  check(statement.empty(), "the last statement of a migration ends with a semicolon");
}

}  // namespace

std::vector<Migration> migrations(const std::string& dialect, RoleId role) {
  std::vector<Migration> out;
  for (const MigrationFile& file : migration_files()) {
    if (file.dialect != dialect) continue;
    const std::string stem = file.name.substr(0, file.name.rfind('.'));
    const std::size_t dot = stem.find('.');
    if (dot != std::string::npos && stem.substr(dot + 1) != to_string(role)) continue;
    const int version = std::stoi(file.name);
    if (out.empty() || out.back().version != version) out.push_back({version, {}});
    check(version == static_cast<int>(out.size()), "versions of the schema have no gap");
    split(file.sql, out.back().statements);
  }
  check(!out.empty(), "the migrations are built in");
  return out;
}

}  // namespace cartwright::sql
