// Shards and their turns: taking, committing, what the outbox holds.

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "actors/check.hpp"
#include "bridges/sql/database.hpp"

namespace cartwright::sql {

namespace {

constexpr int cleaned_turns_max = 500;  // a portion: some milliseconds of the writer
constexpr int cleaned_answers_max = 2'000;
constexpr int walked_rows_max = 1'000;
constexpr Millis answer_life = 24 * 3'600'000;

std::int64_t signed_hash(std::uint64_t hash) { return std::bit_cast<std::int64_t>(hash); }

/// What tells a turn from another with the same number: its rows, its positions, what it publishes.
std::int64_t digest(const Turn& turn) {
  std::string text = std::to_string(turn.sequence) + ' ' + std::to_string(turn.at);
  for (const Row& row : turn.rows) {
    text += ' ';
    text += row.key;
    text += ' ';
    text += std::to_string(row.version);
  }
  for (const auto& [topic, position] : turn.next) {
    text += ' ';
    text += to_string(topic);
    text += std::to_string(position.next);
    if (position.tries > 0) text += '!' + std::to_string(position.tries);
  }
  return signed_hash(fingerprint(text));
}

std::shared_ptr<const std::vector<Outgoing>> unpacked(const std::string& records) {
  return std::make_shared<const std::vector<Outgoing>>(unpack(records));
}

Topic topic_in(const std::string& name) {
  const auto topic = topic_named(name);
  check(topic.has_value(), "a topic in the store is one of ours");
  return *topic;
}

}  // namespace

void Database::raise_epoch(const Take& take) {
  Statement& role = statement(Sql::read_partitions);
  check(role.one(), "the role has its row");
  if (take.partitions != 0 && role.integer(0) != take.partitions)
    throw std::runtime_error("the database was made for " + std::to_string(role.integer(0)) +
                             " partitions, the shard's role has " + std::to_string(take.partitions));
  statement(Sql::raise_epoch).run(take.shard.partition, take.again ? 0 : 1);
}

void Database::read_shard(ShardId shard, Taken& taken) {
  snapshot([&] {
    Statement& own = statement(Sql::read_shard);
    check(own.one(shard.partition), "a taken shard has a row");
    taken.epoch = own.integer(0);
    taken.sequence = own.integer(1);
    taken.published = own.integer(2);
    taken.losses_seen = own.integer(3);
    taken.starts = static_cast<int>(own.integer(4));
    taken.losses = losses();
    Statement& positions = statement(Sql::read_positions);
    positions.rows(
        [&] {
          taken.next[topic_in(positions.text(0))] = {positions.integer(1), positions.integer(2),
                                                     std::bit_cast<std::uint64_t>(positions.integer(3)),
                                                     static_cast<int>(positions.integer(4))};
        },
        shard.partition);
    Statement& open = statement(Sql::read_open);
    open.rows([&] { taken.open.push_back({open.text(0), open.integer(1), open.text(2)}); }, shard.partition);
    Statement& set_aside = statement(Sql::read_quarantines);
    set_aside.rows(
        [&] {
          Quarantine quarantine;
          quarantine.key = set_aside.text(0);
          quarantine.reason = set_aside.text(1);
          quarantine.restarts = static_cast<int>(set_aside.integer(2));
          quarantine.since = set_aside.integer(3);
          quarantine.until = set_aside.integer(4);
          taken.quarantines.push_back(std::move(quarantine));
        },
        shard.partition);
    Statement& waiting = statement(Sql::read_outbox);
    waiting.rows(
        [&] {
          taken.unpublished.push_back({waiting.integer(0), unpacked(waiting.text(1))});
        },
        shard.partition, taken.published);
  });
  taken.ok = true;
}

Committed Database::commit_turn(const Turn& turn, bool& wrote) {
  Committed out;
  Statement& shard = statement(Sql::lock_shard);
  const std::int64_t number = std::bit_cast<std::int64_t>(turn.number), own = digest(turn);
  if (!shard.one(turn.shard.partition, turn.epoch)) {
    out.result = CommitResult::fenced;
    return out;
  }
  out.losses = shard.integer(2);
  if (shard.integer(0) >= number) {
    // Already committed, and its answer was lost. Another content under this number is no turn of this epoch's owner.
    out.result = shard.integer(0) == number && shard.integer(1) == own ? CommitResult::ok : CommitResult::fenced;
    return out;
  }
  if (!turn.identities.empty()) {
    Statement& verified = statement(Sql::lock_identity);
    check(verified.one(), "the role has its row");
    const StockIdentity pair{verified.text(0), verified.integer(1)};
    const bool all =
        std::all_of(turn.identities.begin(), turn.identities.end(), [&](const auto& used) { return used == pair; });
    if (pair.run_id.empty() || !all) {
      out.result = CommitResult::conflict;
      return out;
    }
  }
  wrote = true;
  if (!write_rows(turn)) {
    out.result = CommitResult::conflict;
    return out;
  }
  write_rest(turn);
  Sequence published = turn.published;
  if (turn.lost) {
    statement(Sql::add_loss).run();
    out.losses = losses();
    Statement& before = statement(Sql::published_before);
    check(before.one(turn.shard.partition, turn.at - options_.outbox_replay), "an aggregate has a row");
    published = std::min(published, before.integer(0));
  }
  statement(Sql::update_shard).run(number, own, turn.sequence, published, turn.losses_seen, turn.progress ? 0 : 1,
                                   turn.shard.partition);
  out.result = CommitResult::ok;
  return out;
}

/// Where updates are a loop: leaves alone the indexes that do not change.
bool Database::update_cheaply(const Row& row) {
  if (!dialect_->carriage().loops) return false;
  const std::int64_t before = row.version - 1;
  if (row.open &&
      statement(Sql::update_open_rows)
              .run(row.version, row.state, row.due, row.updated_at, row.doc, row.key, before, row.owner) == 1)
    return true;
  return statement(Sql::update_owned_rows)
             .run(row.version, row.state, row.open ? 1 : 0, row.due, row.updated_at, row.doc, row.key, before,
                  row.owner) == 1;
}

bool Database::write_rows(const Turn& turn) {
  Batch& inserts = batch(Sql::insert_rows);
  Batch& updates = batch(Sql::update_rows);
  long long inserted = 0, updated = 0;
  for (const Row& row : turn.rows) {
    if (row.version == 1) {
      inserts.add(row.key, turn.shard.partition, row.version, row.state, row.owner, row.open ? 1 : 0, row.due,
                  row.created_at, row.updated_at, row.doc);
      ++inserted;
    } else if (!update_cheaply(row)) {
      updates.add(row.version, row.state, row.owner, row.open ? 1 : 0, row.due, row.updated_at, row.doc, row.key,
                  row.version - 1);
      ++updated;
    }
  }
  if (inserts.finish() != inserted || updates.finish() != updated) return false;
  if (turn.transitions.empty()) return true;
  Batch& transitions = batch(Sql::insert_transitions);
  for (const Transition& step : turn.transitions)
    transitions.add(step.order.value, step.version, step.status, step.event, step.at);
  return transitions.finish() == static_cast<long long>(turn.transitions.size());
}

void Database::write_rest(const Turn& turn) {
  const int partition = turn.shard.partition;
  if (!turn.next.empty()) {
    Batch& positions = batch(Sql::put_positions);
    for (const auto& [topic, position] : turn.next)
      positions.add(partition, to_string(topic), position.next, position.timestamp, signed_hash(position.hash),
                    position.tries);
    positions.finish();
  }
  if (turn.outgoing && !turn.outgoing->empty())
    statement(Sql::insert_outbox).run(partition, turn.sequence, turn.at, pack(*turn.outgoing));
  if (!turn.dead.empty()) {
    Batch& dead = batch(Sql::insert_dead);
    for (const DeadLetter& letter : turn.dead) {
      const Record& record = *letter.record;
      dead.add(partition, to_string(record.topic), record.partition, record.offset, letter.cause, record.key,
               record.value, turn.at);
    }
    dead.finish();
  }
  if (!turn.unparked.empty()) {
    Batch& gone = batch(Sql::delete_parked);
    for (const std::string& key : turn.unparked) gone.add(key);
    gone.finish();
  }
  if (!turn.parked.empty()) {
    Batch& parked = batch(Sql::insert_parked);
    for (const ParkedRecord& waiting : turn.parked) {
      const Record& record = *waiting.record;
      parked.add(waiting.key, to_string(record.topic), record.partition, record.offset, record.timestamp, record.key,
                 record.value, record.poison, to_string(record.event.topic), record.event.stored ? 1 : 0,
                 record.event.ce_id, record.event.ce_time, record.event.traceparent);
    }
    parked.finish();
  }
  for (const Quarantine& each : turn.quarantines) {
    if (each.lifted)
      statement(Sql::delete_quarantine).run(each.key);
    else
      statement(Sql::put_quarantine).run(each.key, partition, each.reason, each.restarts, each.since, each.until);
  }
  add_totals(turn.totals);
}

std::vector<std::string> Database::conflicts(const Turn& turn) {
  std::vector<std::string> keys, found;
  for (const Row& row : turn.rows) keys.push_back(row.key);
  std::map<std::string, std::int64_t> versions;
  lookup(Sql::read_versions, keys, [&](Statement& each) { versions[each.text(0)] = each.integer(1); });
  for (const Row& row : turn.rows) {
    const auto at = versions.find(row.key);
    if ((at == versions.end() ? 0 : at->second) != row.version - 1) found.push_back(row.key);
  }
  for (const Transition& step : turn.transitions)
    if (statement(Sql::read_transition_keys).one(step.order.value, step.version)) found.push_back(step.order.value);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  // None: whatever was in the way is gone. Every order of the turn is loaded again then.
  return found.empty() ? keys : found;
}

std::vector<Row> Database::rows(const std::vector<std::string>& keys) {
  std::vector<Row> out;
  out.reserve(keys.size());
  lookup(Sql::read_rows, keys, [&](Statement& each) { out.push_back(read_row(each)); });
  return out;
}

std::vector<std::shared_ptr<const Record>> Database::parked(const std::string& key) {
  std::vector<std::shared_ptr<const Record>> out;
  Statement& waiting = statement(Sql::read_parked);
  waiting.rows(
      [&] {
        auto record = std::make_shared<Record>();
        record->topic = topic_in(waiting.text(0));
        record->partition = static_cast<int>(waiting.integer(1));
        record->offset = waiting.integer(2);
        record->timestamp = waiting.integer(3);
        record->key = waiting.optional(4);
        record->value = waiting.optional(5);
        record->poison = waiting.text(6);
        record->event.topic = topic_in(waiting.text(7));
        record->event.stored = waiting.integer(8) != 0;
        record->event.ce_id = waiting.text(9);
        record->event.ce_time = waiting.integer(10);
        record->event.traceparent = waiting.text(11);
        out.push_back(std::move(record));
      },
      key);
  return out;
}

std::vector<Wake> Database::placed(const FindPlaced& question) {
  std::vector<Wake> out;
  Statement& open = statement(Sql::read_placed);
  open.rows([&] { out.push_back({open.text(0), open.integer(1), open.text(2)}); }, question.shard.partition,
            question.before);
  return out;
}

std::vector<OutboxRow> Database::outbox(const ReadOutbox& question) {
  std::vector<OutboxRow> out;
  Statement& page = statement(Sql::read_outbox_page);
  const int limit = question.limit > 0 ? question.limit : 1'000;
  page.rows(
      [&] {
        out.push_back({page.integer(0), unpacked(page.text(1))});
      },
      question.shard.partition, question.after, question.since, limit);
  return out;
}

bool Database::clean() {
  const Millis now = options_.clock();
  std::vector<std::pair<std::int64_t, Sequence>> shards;
  Statement& taken = statement(Sql::read_partitions_taken);
  taken.rows([&] { shards.emplace_back(taken.integer(0), taken.integer(1)); });
  bool more = false;
  begin();
  for (const auto& [partition, published] : shards)
    if (statement(Sql::delete_outbox)
            .run(partition, partition, published, now - options_.outbox_replay, cleaned_turns_max) == cleaned_turns_max)
      more = true;
  if (statement(Sql::delete_answers).run(now - answer_life, cleaned_answers_max) == cleaned_answers_max) more = true;
  commit();
  return more;
}

bool Database::retire() {
  const Millis oldest = options_.clock() - options_.retention;
  std::vector<std::pair<std::string, std::string>> over;  // key, state
  std::string last;
  int seen = 0;
  Statement& page = statement(Sql::walk_rows);
  page.rows(
      [&] {
        ++seen;
        last = page.text(0);
        if (page.integer(2) == 0 && page.integer(3) < oldest) over.emplace_back(last, page.text(1));
      },
      walked_, walked_rows_max);
  if (!over.empty()) {
    std::map<std::string, std::int64_t> retired;
    begin();
    for (const auto& [key, state] : over) {
      if (statement(Sql::delete_row).run(key, oldest) == 0) continue;  // changed meanwhile, or set aside
      if (options_.role == RoleId::order) statement(Sql::delete_transitions).run(key);
      ++retired[state];
    }
    for (const auto& [state, rows] : retired) statement(Sql::add_retired).run(state, rows);
    commit();
  }
  const bool more = seen == walked_rows_max;
  walked_ = more ? last : std::string();
  return more;
}

std::int64_t Database::losses() {
  Statement& role = statement(Sql::read_losses);
  check(role.one(), "the role has its row");
  return role.integer(0);
}

void Database::probe() { statement(Sql::probe).run(options_.clock()); }

}  // namespace cartwright::sql
