// Statements whose PostgreSQL text is its own. A batch is one statement with an array per column: a round trip costs as
// much as ten rows. What a transaction compares before it writes is locked, because other nodes write too.

#include "bridges/sql/statements.hpp"

namespace cartwright::sql {

namespace {

/// unnest(:a::text[], :b::bigint[], ...) for the kinds of a batch's columns.
std::string arrays(const std::string& kinds) {
  std::string out = "unnest(";
  char name = 'a';
  for (char kind : kinds) {
    if (name != 'a') out += ", ";
    out += ':';
    out += name++;
    out += kind == 'i' ? "::bigint[]" : kind == 'b' ? "::bytea[]" : "::text[]";
  }
  return out + ")";
}

Text insert(const std::string& table, const std::string& columns, const std::string& kinds,
            const std::string& conflict) {
  return {"INSERT INTO " + table + " (" + columns + ") SELECT * FROM " + arrays(kinds) + conflict, kinds, ""};
}

}  // namespace

Texts postgresql_texts(RoleId role) {
  const std::string rows(rows_table(role)), columns(row_columns), kinds(row_kinds);
  Texts t = common_texts(role);
  t[Sql::lock_shard].sql += " FOR UPDATE";
  t[Sql::lock_identity].sql += " FOR SHARE";
  t[Sql::lock_product].sql += " FOR UPDATE";
  t[Sql::lock_hand].sql += " FOR UPDATE";

  t[Sql::insert_rows] = insert(rows, columns, kinds, " ON CONFLICT DO NOTHING");
  t[Sql::update_rows] = {
      "UPDATE " + rows +
          " AS r SET version = n.version, state = n.state, owner = n.owner, open = n.open, due = n.due, "
          "updated_at = n.updated_at, doc = n.doc FROM " +
          arrays("ittiiitti") +
          " AS n(version, state, owner, open, due, updated_at, doc, key, before) WHERE r.key = n.key AND r.version = "
          "n.before",
      "ittiiitti", ""};
  t[Sql::insert_transitions] =
      insert("transitions", "order_id, version, status, event, at", "titti", " ON CONFLICT DO NOTHING");
  t[Sql::put_positions] = insert("positions", "partition, topic, next, timestamp, hash, tries", "itiiii",
                                 " ON CONFLICT (partition, topic) DO UPDATE SET next = excluded.next, timestamp = "
                                 "excluded.timestamp, hash = excluded.hash, tries = excluded.tries");
  t[Sql::insert_dead] =
      insert("dead_letters", "partition, topic, at_partition, at_offset, cause, key, value, at", "itiitbbi", "");
  t[Sql::insert_parked] =
      insert("parked",
             "key, topic, at_partition, at_offset, at_timestamp, record_key, value, poison, event_topic, "
             "stored, ce_id, ce_time, traceparent",
             "ttiiibbttitit", "");
  t[Sql::delete_parked] = {"DELETE FROM parked WHERE key = ANY(:a::text[])", "t", ""};
  t[Sql::add_totals] = {
      "INSERT INTO products (product_id, name, currency, price_minor, stocked, reserved, sold, version) "
      "SELECT product_id, '', '', 0, stocked, reserved, sold, 0 FROM " +
          arrays("tiii") +
          " AS n(product_id, stocked, reserved, sold) ON CONFLICT (product_id) DO UPDATE SET "
          "stocked = products.stocked + excluded.stocked, reserved = products.reserved + excluded.reserved, "
          "sold = products.sold + excluded.sold",
      "tiii", ""};
  t[Sql::read_versions] = {"SELECT key, version FROM " + rows + " WHERE key = ANY(:a::text[])", "t", "ti"};
  t[Sql::read_rows] = {"SELECT " + columns + " FROM " + rows + " WHERE key = ANY(:a::text[])", "t", kinds};
  t[Sql::read_answers] = {"SELECT key, hash, status, location, body, at FROM answers WHERE key = ANY(:a::text[])", "t",
                          "ttitti"};
  t[Sql::put_answers] =
      insert("answers", "key, hash, status, location, body, at", "ttitti",
             " ON CONFLICT (key) DO UPDATE SET hash = excluded.hash, status = excluded.status, "
             "location = excluded.location, body = excluded.body, at = excluded.at "
             "WHERE answers.at <= excluded.at - CASE WHEN answers.status = 0 THEN 60000 ELSE 86400000 END");
  return t;
}

}  // namespace cartwright::sql
