#pragma once
// Every statement of a store, by name. The two dialects share most texts; sqlite_statements.cpp and
// postgresql_statements.cpp hold those that differ: batches, locks, lookups of many keys.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "actors/topics.hpp"
#include "bridges/sql/statement.hpp"

namespace cartwright::sql {

enum class Sql : std::uint8_t {
  schema_version,
  add_schema_version,
  read_partitions,
  set_partitions,
  probe,
  // shards and turns
  raise_epoch,
  read_shard,
  lock_shard,
  update_shard,
  published_before,
  read_losses,
  add_loss,
  lock_identity,
  read_positions,
  read_open,
  read_placed,
  read_quarantines,
  read_outbox,
  read_outbox_page,
  insert_rows,
  update_rows,
  update_open_rows,
  update_owned_rows,
  insert_transitions,
  put_positions,
  insert_outbox,
  insert_dead,
  insert_parked,
  delete_parked,
  put_quarantine,
  delete_quarantine,
  add_totals,
  read_versions,
  read_transition_keys,
  read_rows,
  read_parked,
  read_partitions_taken,
  delete_outbox,
  delete_answers,
  walk_rows,
  delete_row,
  delete_transitions,
  add_retired,
  // placing
  read_answers,
  put_answers,
  finish_answer,
  delete_answer,
  // stock
  lock_product,
  put_product,
  lock_hand,
  read_hand_by_answer,
  count_asked,
  insert_hand,
  settle_hand,
  tell_hand,
  read_open_hands,
  read_counted_hands,
  read_held,
  read_epochs,
  read_identity,
  close_gate,
  open_gate,
  read_generation,
  read_products,
  // stock, compared (books.hpp)
  list_held,
  read_sold,
  read_unsettled,
  read_hand_sums,
  read_untold_hands,
  // questions
  read_row,
  read_history,
  list_all,
  list_state,
  list_open_state,
  list_ended_state,
  list_owner,
  list_both,
  rows_under,
  list_set_aside,
  read_product,
  list_products,
  read_answer,
  count
};

/// A dialect's texts for one role.
class Texts {
 public:
  Text& operator[](Sql name) { return texts_[static_cast<std::size_t>(name)]; }
  const Text& operator[](Sql name) const { return texts_[static_cast<std::size_t>(name)]; }

 private:
  std::array<Text, static_cast<std::size_t>(Sql::count)> texts_;
};

/// The table that holds a role's rows.
[[nodiscard]] std::string_view rows_table(RoleId role);

/// What both dialects say alike.
[[nodiscard]] Texts common_texts(RoleId role);
[[nodiscard]] Texts sqlite_texts(RoleId role);
[[nodiscard]] Texts postgresql_texts(RoleId role);

/// The columns of a row in the order in which insert_rows takes and read_rows gives them.
inline constexpr std::string_view row_columns =
    "key, partition, version, state, owner, open, due, created_at, updated_at, doc";
inline constexpr std::string_view row_kinds = "tiittiiiit";

}  // namespace cartwright::sql
