// Statements whose SQLite text is its own: a batch is a prepared loop, and nothing needs a row lock, because a write
// transaction is alone in its file.

#include "bridges/sql/statements.hpp"

namespace cartwright::sql {

Texts sqlite_texts(RoleId role) {
  const std::string rows(rows_table(role)), columns(row_columns), kinds(row_kinds);
  Texts t = common_texts(role);
  t[Sql::insert_rows] = {"INSERT INTO " + rows + " (" + columns +
                             ") VALUES (:a, :b, :c, :d, :e, :f, :g, :h, :i, :j) ON CONFLICT DO NOTHING",
                         kinds, ""};
  t[Sql::update_rows] = {
      "UPDATE " + rows +
          " SET version = :a, state = :b, owner = :c, open = :d, due = :e, updated_at = :f, doc = :g "
          "WHERE key = :h AND version = :i",
      "ittiiitti", ""};
  // An index is written when one of its columns is in the SET list, changed or not. Most updates leave a row open and
  // with its owner; most of the others keep the owner.
  t[Sql::update_open_rows] = {"UPDATE " + rows +
                                  " SET version = :a, state = :b, due = :c, updated_at = :d, doc = :e "
                                  "WHERE key = :f AND version = :g AND open = 1 AND owner = :h",
                              "itiittit", ""};
  // SQLite would rather walk all rows in the order of their keys.
  t[Sql::list_open_state].sql.replace(t[Sql::list_open_state].sql.find(" WHERE "), 7,
                                      " INDEXED BY " + rows + "_open WHERE ");
  t[Sql::read_unsettled].sql.replace(t[Sql::read_unsettled].sql.find(" WHERE "), 7, " INDEXED BY " + rows + "_open WHERE ");
  t[Sql::update_owned_rows] = {"UPDATE " + rows +
                                   " SET version = :a, state = :b, open = :c, due = :d, updated_at = :e, doc = :f "
                                   "WHERE key = :g AND version = :h AND owner = :i",
                               "itiiittit", ""};
  t[Sql::insert_transitions] = {
      "INSERT INTO transitions (order_id, version, status, event, at) VALUES (:a, :b, :c, :d, :e) ON CONFLICT DO "
      "NOTHING",
      "titti", ""};
  t[Sql::put_positions] = {
      "INSERT INTO positions (partition, topic, next, timestamp, hash, tries) VALUES (:a, :b, :c, :d, :e, :f) "
      "ON CONFLICT (partition, topic) DO UPDATE SET next = excluded.next, timestamp = excluded.timestamp, hash = "
      "excluded.hash, tries = excluded.tries",
      "itiiii", ""};
  t[Sql::insert_dead] = {
      "INSERT INTO dead_letters (partition, topic, at_partition, at_offset, cause, key, value, at) "
      "VALUES (:a, :b, :c, :d, :e, :f, :g, :h)",
      "itiitbbi", ""};
  t[Sql::insert_parked] = {
      "INSERT INTO parked (key, topic, at_partition, at_offset, at_timestamp, record_key, value, poison, event_topic, "
      "stored, "
      "ce_id, ce_time, traceparent) VALUES (:a, :b, :c, :d, :e, :f, :g, :h, :i, :j, :k, :l, :m)",
      "ttiiibbttitit", ""};
  t[Sql::delete_parked] = {"DELETE FROM parked WHERE key = :a", "t", ""};
  t[Sql::add_totals] = {
      "INSERT INTO products (product_id, name, currency, price_minor, stocked, reserved, sold, version) "
      "VALUES (:a, '', '', 0, :b, :c, :d, 0) ON CONFLICT (product_id) DO UPDATE SET stocked = products.stocked + "
      "excluded.stocked, "
      "reserved = products.reserved + excluded.reserved, sold = products.sold + excluded.sold",
      "tiii", ""};
  t[Sql::read_versions] = {"SELECT key, version FROM " + rows + " WHERE key = :a", "t", "ti"};
  t[Sql::read_rows] = {"SELECT " + columns + " FROM " + rows + " WHERE key = :a", "t", kinds};
  t[Sql::read_answers] = {"SELECT key, hash, status, location, body, at FROM answers WHERE key = :a", "t", "ttitti"};
  t[Sql::put_answers] = {
      "INSERT INTO answers (key, hash, status, location, body, at) VALUES (:a, :b, :c, :d, :e, :f) "
      "ON CONFLICT (key) DO UPDATE SET hash = excluded.hash, status = excluded.status, location = excluded.location, "
      "body = excluded.body, at = excluded.at "
      "WHERE answers.at <= excluded.at - CASE WHEN answers.status = 0 THEN 60000 ELSE 86400000 END",
      "ttitti", ""};
  return t;
}

}  // namespace cartwright::sql
