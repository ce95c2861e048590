#include "bridges/sql/statements.hpp"

namespace cartwright::sql {

std::string_view rows_table(RoleId role) {
  constexpr std::array<std::string_view, roles.size()> names{"orders", "reservations", "charges", "shipments",
                                                             "notices"};
  return names[static_cast<std::size_t>(role)];
}

Texts common_texts(RoleId role) {
  const std::string rows(rows_table(role));
  const std::string columns(row_columns), kinds(row_kinds);
  const std::string answer = "SELECT key, hash, status, location, body, at FROM answers WHERE ";
  const std::string product =
      "SELECT product_id, name, currency, price_minor, stocked, reserved, sold, version FROM products ";
  const std::string hand = "SELECT id, product_id, delta, state, told, created, why, answer_key FROM hands WHERE ";
  const std::string list = "SELECT " + columns + " FROM " + rows + " WHERE ";
  Texts t;

  t[Sql::schema_version] = {"SELECT COALESCE(MAX(version), 0) FROM schema_version", "", "i"};
  t[Sql::add_schema_version] = {"INSERT INTO schema_version (version, at) VALUES (:a, :b)", "ii", ""};
  t[Sql::read_partitions] = {"SELECT partitions FROM role_state", "", "i"};
  t[Sql::set_partitions] = {"UPDATE role_state SET partitions = :a WHERE partitions = 0", "i", ""};
  t[Sql::probe] = {"UPDATE probe SET at = :a", "i", ""};

  t[Sql::raise_epoch] = {
      "INSERT INTO shards (partition, epoch, turn, turn_digest, sequence, published, losses_seen, starts) "
      "VALUES (:a, 1, 0, 0, 0, 0, (SELECT losses FROM role_state), :b) "
      "ON CONFLICT (partition) DO UPDATE SET epoch = shards.epoch + 1, turn = 0, turn_digest = 0, starts = shards.starts + excluded.starts",
      "ii", ""};
  t[Sql::read_shard] = {"SELECT epoch, sequence, published, losses_seen, starts FROM shards WHERE partition = :a", "i", "iiiii"};
  t[Sql::lock_shard] = {
      "SELECT turn, turn_digest, (SELECT losses FROM role_state) FROM shards WHERE partition = :a AND epoch = :b", "ii",
      "iii"};
  t[Sql::update_shard] = {
      "UPDATE shards SET turn = :a, turn_digest = :b, sequence = :c, published = :d, losses_seen = :e, starts = starts * :f "
      "WHERE partition = :g",
      "iiiiiii", ""};
  t[Sql::published_before] = {"SELECT COALESCE(MAX(sequence), 0) FROM outbox WHERE partition = :a AND at < :b", "ii",
                              "i"};
  t[Sql::read_losses] = {"SELECT losses FROM role_state", "", "i"};
  t[Sql::add_loss] = {"UPDATE role_state SET losses = losses + 1", "", ""};
  t[Sql::lock_identity] = {"SELECT verified_run_id, verified_generation FROM role_state", "", "ti"};
  t[Sql::read_positions] = {"SELECT topic, next, timestamp, hash, tries FROM positions WHERE partition = :a", "i", "tiiii"};
  t[Sql::read_open] = {"SELECT key, due, state FROM " + rows + " WHERE partition = :a AND open = 1", "i", "tit"};
  t[Sql::read_placed] = {
      "SELECT key, due, state FROM " + rows + " WHERE partition = :a AND open = 1 AND version = 1 AND created_at < :b", "ii",
      "tit"};
  t[Sql::read_quarantines] = {"SELECT key, reason, restarts, since, until FROM quarantine WHERE partition = :a", "i",
                              "ttiii"};
  t[Sql::read_outbox] = {
      "SELECT sequence, records FROM outbox WHERE partition = :a AND sequence > :b ORDER BY sequence", "ii", "ib"};
  t[Sql::read_outbox_page] = {
      "SELECT sequence, records FROM outbox WHERE partition = :a AND sequence > :b AND at >= :c ORDER BY sequence "
      "LIMIT :d",
      "iiii", "ib"};
  t[Sql::insert_outbox] = {"INSERT INTO outbox (partition, sequence, at, records) VALUES (:a, :b, :c, :d)", "iiib", ""};
  t[Sql::put_quarantine] = {
      "INSERT INTO quarantine (key, partition, reason, restarts, since, until) VALUES (:a, :b, :c, :d, :e, :f) "
      "ON CONFLICT (key) DO UPDATE SET partition = excluded.partition, reason = excluded.reason, "
      "restarts = excluded.restarts, since = excluded.since, until = excluded.until",
      "titiii", ""};
  t[Sql::delete_quarantine] = {"DELETE FROM quarantine WHERE key = :a", "t", ""};
  t[Sql::read_transition_keys] = {"SELECT order_id FROM transitions WHERE order_id = :a AND version = :b", "ti", "t"};
  t[Sql::read_parked] = {
      "SELECT topic, at_partition, at_offset, at_timestamp, record_key, value, poison, event_topic, stored, ce_id, "
      "ce_time, "
      "traceparent FROM parked WHERE key = :a ORDER BY position",
      "t", "tiiibbttitit"};
  t[Sql::read_partitions_taken] = {"SELECT partition, published FROM shards ORDER BY partition", "", "ii"};
  t[Sql::delete_outbox] = {
      "DELETE FROM outbox WHERE partition = :a AND sequence IN (SELECT sequence FROM outbox WHERE partition = :b AND "
      "sequence <= :c AND at < :d ORDER BY sequence LIMIT :e)",
      "iiiii", ""};
  t[Sql::walk_rows] = {"SELECT key, state, open, updated_at FROM " + rows + " WHERE key > :a ORDER BY key LIMIT :b", "ti", "ttii"};
  t[Sql::delete_row] = {"DELETE FROM " + rows +
                            " WHERE key = :a AND open = 0 AND updated_at < :b AND NOT EXISTS "
                            "(SELECT 1 FROM quarantine WHERE quarantine.key = " + rows + ".key)",
                        "ti", ""};
  t[Sql::delete_transitions] = {"DELETE FROM transitions WHERE order_id = :a", "t", ""};
  t[Sql::add_retired] = {
      "INSERT INTO retired (state, rows_deleted) VALUES (:a, :b) "
      "ON CONFLICT (state) DO UPDATE SET rows_deleted = retired.rows_deleted + excluded.rows_deleted",
      "ti", ""};
  t[Sql::delete_answers] = {
      "DELETE FROM answers WHERE key IN (SELECT key FROM answers WHERE at < :a ORDER BY at LIMIT :b)", "ii", ""};
  t[Sql::finish_answer] = {
      "INSERT INTO answers (key, hash, status, location, body, at) VALUES (:a, :b, :c, :d, :e, :f) "
      "ON CONFLICT (key) DO UPDATE SET hash = excluded.hash, status = excluded.status, location = excluded.location, "
      "body = excluded.body, at = excluded.at WHERE answers.status = 0",
      "ttitti", ""};
  t[Sql::delete_answer] = {"DELETE FROM answers WHERE key = :a AND status = 0", "t", ""};

  t[Sql::lock_product] = {product + "WHERE product_id = :a", "t", "tttiiiii"};
  t[Sql::put_product] = {
      "INSERT INTO products (product_id, name, currency, price_minor, stocked, reserved, sold, version) "
      "VALUES (:a, :b, :c, :d, :e, 0, 0, :f) ON CONFLICT (product_id) DO UPDATE SET name = excluded.name, "
      "currency = excluded.currency, price_minor = excluded.price_minor, stocked = products.stocked + "
      "excluded.stocked, "
      "version = excluded.version",
      "tttiii", ""};
  t[Sql::lock_hand] = {hand + "id = :a", "t", "ttitiitt"};
  t[Sql::read_hand_by_answer] = {hand + "answer_key = :a AND answer_key <> ''", "t", "ttitiitt"};
  t[Sql::count_asked] = {"SELECT COUNT(*) FROM hands WHERE told = 0 AND state = 'asked' AND product_id = :a", "t", "i"};
  t[Sql::insert_hand] = {
      "INSERT INTO hands (id, product_id, delta, state, told, created, reason, why, answer_key, at) "
      "VALUES (:a, :b, :c, :d, :e, :f, :g, :h, :i, :j)",
      "ttitiittti", ""};
  t[Sql::settle_hand] = {"UPDATE hands SET state = :a, told = 1, why = :b WHERE id = :c AND state = 'asked'", "ttt",
                         ""};
  t[Sql::tell_hand] = {"UPDATE hands SET told = 1 WHERE id = :a AND state IN ('given', 'done')", "t", ""};
  t[Sql::read_open_hands] = {hand + "told = 0 AND at < :a ORDER BY at", "i", "ttitiitt"};
  t[Sql::read_counted_hands] = {"SELECT id FROM hands WHERE told = 0 AND state IN ('given', 'done')", "", "t"};
  t[Sql::read_held] = {"SELECT key, doc FROM " + rows + " WHERE state = 'reserved'", "", "tt"};
  t[Sql::read_epochs] = {"SELECT partition, epoch FROM shards ORDER BY partition", "", "ii"};
  t[Sql::read_identity] = {"SELECT verified_run_id, verified_generation FROM role_state", "", "ti"};
  t[Sql::close_gate] = {
      "UPDATE role_state SET generation = generation + 1, verified_run_id = '', verified_generation = 0", "", ""};
  t[Sql::open_gate] = {"UPDATE role_state SET verified_run_id = :a, verified_generation = :b WHERE generation = :c",
                       "tii", ""};
  t[Sql::read_products] = {product + "ORDER BY product_id", "", "tttiiiii"};
  t[Sql::read_generation] = {"SELECT generation FROM role_state", "", "i"};

  t[Sql::list_held] = {list + "state = 'reserved' AND key > :a ORDER BY key LIMIT :b", "ti", kinds};
  t[Sql::read_sold] = {"SELECT key, doc FROM " + rows + " WHERE state = 'sold' AND key > :a ORDER BY key LIMIT :b", "ti", "tt"};
  t[Sql::read_unsettled] = {list + "open = 1 AND state <> 'reserved' LIMIT :a", "i", kinds};
  t[Sql::read_hand_sums] = {"SELECT product_id, CAST(SUM(delta) AS BIGINT) FROM hands WHERE state IN ('given', 'done') GROUP BY product_id", "", "ti"};
  t[Sql::read_untold_hands] = {"SELECT id, product_id, delta, state FROM hands WHERE told = 0 AND state IN ('given', 'asked')", "", "ttit"};

  t[Sql::read_row] = {list + "key = :a", "t", kinds};
  t[Sql::read_history] = {"SELECT version, status, event, at FROM transitions WHERE order_id = :a ORDER BY version",
                          "t", "itti"};
  t[Sql::list_all] = {list + "key < :a ORDER BY key DESC LIMIT :b", "ti", kinds};
  t[Sql::list_state] = {list + "key < :a AND state = :b ORDER BY key DESC LIMIT :c", "tti", kinds};
  t[Sql::list_open_state] = {list + "open = 1 AND key < :a AND state = :b ORDER BY key DESC LIMIT :c", "tti", kinds};
  t[Sql::list_ended_state] = {
      list +
          "key < :a AND state = :b AND state <> 'pending' AND state <> 'inventory_reserved' AND state <> 'paid' "
          "AND state <> 'shipped' AND state <> 'unknown' ORDER BY key DESC LIMIT :c",
      "tti", kinds};
  t[Sql::list_owner] = {list + "key < :a AND owner = :b ORDER BY key DESC LIMIT :c", "tti", kinds};
  t[Sql::list_both] = {list + "key < :a AND state = :b AND owner = :c ORDER BY key DESC LIMIT :d", "ttti", kinds};
  t[Sql::list_set_aside] = {
      "SELECT key, reason, restarts, since, until, (SELECT COUNT(*) FROM parked WHERE parked.key = quarantine.key) "
      "FROM quarantine WHERE key > :a ORDER BY key LIMIT :b",
      "ti", "ttiiii"};
  t[Sql::rows_under] = {list + "key >= :a AND key < :b ORDER BY key LIMIT :c", "tti", kinds};
  t[Sql::read_product] = {product + "WHERE product_id = :a", "t", "tttiiiii"};
  t[Sql::list_products] = {product + "WHERE product_id > :a ORDER BY product_id LIMIT :b", "ti", "tttiiiii"};
  t[Sql::read_answer] = {answer + "key = :a", "t", "ttitti"};
  return t;
}

}  // namespace cartwright::sql
