// Questions that change nothing.

#include "bridges/sql/database.hpp"

namespace cartwright::sql {

namespace {

constexpr int page_max = 1'000;               // where a question has no limit
constexpr std::string_view highest = "\x7f";  // above every key: keys are printable ASCII

/// Orders that are under way are found among the open rows, those with a rare end in an index of their own. Shipped
/// ones are the many: the newest of them are met soon. Other roles' rows are walked until the page is full.
Sql by_state(RoleId role, const std::string& state) {
  if (role != RoleId::order || state == "shipped" || state == "unknown") return Sql::list_state;
  return state == "pending" || state == "inventory_reserved" || state == "paid" ? Sql::list_open_state
                                                                                : Sql::list_ended_state;
}

int bounded(int limit) { return limit > 0 ? limit : page_max; }

}  // namespace

Product product_in(Statement& from) {
  return {{from.text(0)},  from.text(1),    from.text(2),    from.integer(3),
          from.integer(4), from.integer(5), from.integer(6), from.integer(7)};
}

Row Database::read_row(Statement& from) const {
  Row out;
  out.key = std::move(from.text(0));
  out.version = from.integer(2);
  out.state = from.text(3);
  out.owner = from.text(4);
  out.open = from.integer(5) != 0;
  out.due = from.integer(6);
  out.created_at = from.integer(7);
  out.updated_at = from.integer(8);
  out.doc = std::move(from.text(9));
  return out;
}

std::optional<Row> Database::find(const std::string& key) {
  Statement& found = statement(Sql::read_row);
  if (!found.one(key)) return {};
  return read_row(found);
}

std::vector<Transition> Database::history(const OrderId& order) {
  std::vector<Transition> out;
  Statement& steps = statement(Sql::read_history);
  steps.rows(
      [&] {
        out.push_back({order, steps.integer(0), steps.text(1), steps.text(2), steps.integer(3)});
      },
      order.value);
  return out;
}

std::vector<Row> Database::list(const ListRows& question) {
  std::vector<Row> out;
  const std::string before = question.before.empty() ? std::string(highest) : question.before;
  const int limit = bounded(question.limit);
  const auto read = [&](Sql name, const auto&... filters) {
    Statement& page = statement(name);
    page.rows([&] { out.push_back(read_row(page)); }, before, filters..., limit);
  };
  if (question.state.empty() && question.owner.empty())
    read(Sql::list_all);
  else if (question.owner.empty())
    read(by_state(options_.role, question.state), question.state);
  else if (question.state.empty())
    read(Sql::list_owner, question.owner);
  else
    read(Sql::list_both, question.state, question.owner);
  return out;
}

std::vector<Row> Database::under(const RowsUnder& question) {
  std::vector<Row> out;
  Statement& page = statement(Sql::rows_under);
  page.rows([&] { out.push_back(read_row(page)); }, question.prefix, question.prefix + std::string(highest),
            bounded(question.limit));
  return out;
}

std::vector<SetAside> Database::set_aside(const ListSetAside& question) {
  std::vector<SetAside> out;
  Statement& page = statement(Sql::list_set_aside);
  page.rows(
      [&] {
        SetAside row;
        row.quarantine.key = page.text(0);
        row.quarantine.reason = page.text(1);
        row.quarantine.restarts = static_cast<int>(page.integer(2));
        row.quarantine.since = page.integer(3);
        row.quarantine.until = page.integer(4);
        row.records = page.integer(5);
        out.push_back(std::move(row));
      },
      question.after, bounded(question.limit));
  return out;
}

std::vector<Product> Database::product(const ProductId& id) {
  Statement& found = statement(Sql::read_product);
  if (!found.one(id.value)) return {};
  return {product_in(found)};
}

std::vector<Product> Database::products(const ListProducts& question) {
  std::vector<Product> out;
  Statement& page = statement(Sql::list_products);
  page.rows([&] { out.push_back(product_in(page)); }, question.after, bounded(question.limit));
  return out;
}

}  // namespace cartwright::sql
