// Placing orders: version 1, its row, and the answer to an Idempotency-Key, in one transaction.

#include <algorithm>
#include <unordered_map>

#include "bridges/sql/database.hpp"

namespace cartwright::sql {

namespace {

constexpr Millis answer_life = 24 * 3'600'000;  // contract: an Idempotency-Key counts for 24 h
constexpr Millis running_life = 60'000;         // a request that has not ended by then was lost with its node

StoredAnswer read_answer(Statement& from) {
  StoredAnswer out;
  out.key = from.text(0);
  out.request_hash = from.text(1);
  out.status = static_cast<int>(from.integer(2));
  out.location = from.text(3);
  out.body = from.text(4);
  out.at = from.integer(5);
  return out;
}

bool same(const StoredAnswer& a, const StoredAnswer& b) {
  return a.request_hash == b.request_hash && a.status == b.status && a.location == b.location && a.body == b.body &&
         a.at == b.at;
}

}  // namespace

bool Database::counts(const StoredAnswer& answer) const {
  return answer.at > options_.clock() - (answer.status == 0 ? running_life : answer_life);
}

std::optional<StoredAnswer> Database::any_answer(const std::string& key) {
  Statement& found = statement(Sql::read_answer);
  if (!found.one(key)) return {};
  return read_answer(found);
}

std::optional<StoredAnswer> Database::answer(const std::string& key) {
  auto out = any_answer(key);
  if (out && !counts(*out)) out.reset();
  return out;
}

std::vector<PlacedOne> Database::place(const std::vector<std::shared_ptr<const Placement>>& placements) {
  std::vector<PlacedOne> out(placements.size());
  std::vector<std::string> keys;
  for (const auto& placement : placements)
    if (placement->answer) keys.push_back(placement->answer->key);
  std::unordered_map<std::string, StoredAnswer> known;
  const auto look_up = [&] {
    lookup(Sql::read_answers, keys, [&](Statement& each) {
      StoredAnswer stored = read_answer(each);
      if (counts(stored)) known.insert_or_assign(stored.key, std::move(stored));
    });
  };
  look_up();
  // Of two requests with one key in this transaction the first is placed, the second is told the first's answer.
  std::vector<const StoredAnswer*> fresh;
  for (const auto& placement : placements)
    if (const auto& mine = placement->answer; mine && known.emplace(mine->key, *mine).second) fresh.push_back(&*mine);
  // In one order on every node, or two nodes with the same keys wait for each other.
  std::sort(fresh.begin(), fresh.end(), [](const auto* a, const auto* b) { return a->key < b->key; });
  Batch& answers = batch(Sql::put_answers);
  for (const StoredAnswer* mine : fresh)
    answers.add(mine->key, mine->request_hash, mine->status, mine->location, mine->body, mine->at);
  // Fewer: another node stored one of the keys since we looked; its answer is the one that counts.
  if (answers.finish() != static_cast<long long>(fresh.size())) look_up();
  Batch& rows = batch(Sql::insert_rows);
  Batch& transitions = batch(Sql::insert_transitions);
  for (std::size_t i = 0; i < placements.size(); ++i) {
    const Placement& placement = *placements[i];
    out[i].id = placement.id;
    if (placement.answer) {
      const StoredAnswer& stored = known.at(placement.answer->key);
      if (!same(stored, *placement.answer)) {
        out[i].result = PlaceResult::known;
        out[i].stored = stored;
        continue;
      }
    }
    out[i].result = PlaceResult::placed;
    const Row& row = placement.row;
    const Transition& step = placement.transition;
    rows.add(row.key, placement.partition, row.version, row.state, row.owner, row.open ? 1 : 0, row.due, row.created_at,
             row.updated_at, row.doc);
    transitions.add(step.order.value, step.version, step.status, step.event, step.at);
  }
  // A row that is there already is this very placement, handed in again after an answer was lost.
  rows.finish();
  transitions.finish();
  return out;
}

}  // namespace cartwright::sql
