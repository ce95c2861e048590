// A shard is taken and fenced, turns are committed once, what is parked, quarantined, retired or published is kept.
#include "tests/store/fixture.hpp"

#include <algorithm>
#include <thread>

using namespace store_test;

BOOST_DATA_TEST_CASE(taking_a_shard_fences_its_former_owner, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken first = f.take();
  BOOST_TEST(first.ok);
  BOOST_TEST(first.epoch == 1);
  Turn turn = f.turn(first);
  turn.rows = {row("o1")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  const Taken second = f.take();
  BOOST_TEST(second.epoch == 2);
  Turn late = f.turn(first);
  late.rows = {row("o2")};
  BOOST_TEST(f.commit(late).result == CommitResult::fenced);
  BOOST_TEST(!f.find("o2").has_value());
  Turn next = f.turn(second);
  next.rows = {row("o1", 2)};
  BOOST_TEST(f.commit(next).result == CommitResult::ok);
  BOOST_TEST(f.find("o1")->version == 2);
  BOOST_TEST(f.take(1).epoch == 1);
}

BOOST_DATA_TEST_CASE(a_new_owner_is_told_what_is_open, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  Row closed = row("o2");
  closed.open = false;
  turn.rows = {row("o1"), closed};
  turn.next[Topic::order_placed] = {42, 43, 0xffff'ffff'ffff'fff0};
  turn.quarantines = {{"o9", "it \xff died", 2, 5, 6, false}};
  turn.sequence = 7;
  turn.published = 3;
  turn.outgoing = outgoing("o1");
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  const Taken again = f.take();
  BOOST_REQUIRE(again.open.size() == 1);
  BOOST_TEST(again.open[0].key == "o1");
  BOOST_TEST(again.open[0].due == start + 1'000);
  BOOST_TEST((again.next == turn.next));
  BOOST_TEST(again.sequence == 7);
  BOOST_TEST(again.published == 3);
  BOOST_REQUIRE(again.quarantines.size() == 1);
  BOOST_TEST(again.quarantines[0].key == "o9");
  BOOST_TEST(again.quarantines[0].restarts == 2);
  BOOST_REQUIRE(again.unpublished.size() == 1);
  BOOST_TEST(again.unpublished[0].sequence == 7);
  BOOST_TEST((*again.unpublished[0].outgoing == *turn.outgoing));
  BOOST_TEST(f.take(1).open.empty());
}

BOOST_DATA_TEST_CASE(rule_11_starts_without_progress_and_marked_records_are_counted, data::make(databases()), kind) {
  Fixture f(kind);
  BOOST_TEST(f.take().starts == 1);
  BOOST_TEST(f.take().starts == 2);
  BOOST_TEST(f.ask<Taken>(f.store, Take{{f.role, 0}, 4, true}).starts == 2);  // its owner is alive
  const Taken third = f.take();
  BOOST_TEST(third.starts == 3);
  Turn mark = f.turn(third);
  mark.next[Topic::order_placed] = {7, start, 42, 1};
  BOOST_TEST(f.commit(mark).result == CommitResult::ok);
  const Taken fourth = f.take();
  BOOST_TEST(fourth.starts == 4);
  BOOST_TEST(fourth.next.at(Topic::order_placed).tries == 1);
  Turn digested = f.turn(fourth);
  digested.next[Topic::order_placed] = {8, start, 43, 0};
  digested.progress = true;
  BOOST_TEST(f.commit(digested).result == CommitResult::ok);
  const Taken fifth = f.take();
  BOOST_TEST(fifth.starts == 1);
  BOOST_TEST(fifth.next.at(Topic::order_placed).tries == 0);
}

BOOST_DATA_TEST_CASE(a_doors_order_that_nobody_has_read_is_found, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Placement placement;
  placement.id = 1;
  placement.row = row("unread");
  placement.transition = step("unread");
  f.ask<Placed>(f.store, Place{{std::make_shared<const Placement>(placement)}});
  Turn turn = f.turn(taken);
  Row closed = row("closed");
  closed.open = false;
  turn.rows = {closed, row("known")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  Turn next = f.turn(taken);
  next.rows = {row("known", 2)};
  BOOST_TEST(f.commit(next).result == CommitResult::ok);
  const auto found = [&](Millis before, int partition = 0) {
    const auto placed = f.ask<PlacedRows>(f.store, FindPlaced{{f.role, partition}, before});
    BOOST_TEST(placed.ok);
    return placed.open;
  };
  BOOST_TEST(found(start).empty());  // placed just then
  BOOST_TEST(found(start + 1, 1).empty());
  const auto open = found(start + 1);
  BOOST_TEST_REQUIRE(open.size() == 1);
  BOOST_TEST(open[0].key == "unread");
  BOOST_TEST(open[0].due == start + 1'000);
}

BOOST_DATA_TEST_CASE(the_same_turn_twice_is_one, data::make(databases()), kind) {
  Fixture f(kind);
  Turn turn = f.turn(f.take());
  turn.rows = {row("o1")};
  turn.transitions = {step("o1")};
  turn.dead = {{record("k", 1), "poison"}};
  turn.sequence = 1;
  turn.outgoing = outgoing("o1");
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  BOOST_TEST(f.history("o1").size() == 1U);
  BOOST_TEST(f.sql("SELECT COUNT(*) FROM dead_letters") == "1");
  Turn other = turn;
  other.rows = {row("o2")};
  BOOST_TEST(f.commit(other).result == CommitResult::fenced,
             "another content under a committed number is nobody's turn");
}

BOOST_DATA_TEST_CASE(a_commit_whose_result_was_lost_is_found, data::make(databases()), kind) {
  Fixture f(kind);
  Turn turn = f.turn(f.take());
  turn.rows = {row("o1")};
  turn.transitions = {step("o1")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  f.stop();
  f.spawn();
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  BOOST_TEST(f.history("o1").size() == 1U);
}

BOOST_DATA_TEST_CASE(rows_change_by_compare_and_swap, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  turn.rows = {row("o1"), row("o2"), row("o3")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  turn = f.turn(taken);
  turn.rows = {row("o1"), row("o2", 2), row("o3", 3), row("o4"), row("o5", 2)};
  turn.next[Topic::order_placed] = {1, 1, 1};
  const Committed committed = f.commit(turn);
  BOOST_TEST(committed.result == CommitResult::conflict);
  BOOST_TEST(committed.conflicts == (Keys{"o1", "o3", "o5"}), boost::test_tools::per_element());
  BOOST_TEST(f.find("o2")->version == 1);
  BOOST_TEST(!f.find("o4").has_value());
  BOOST_TEST(f.take().next.empty());
}

BOOST_DATA_TEST_CASE(an_update_changes_everything_that_may_change, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  turn.rows = {row("o1"), row("o2"), row("o3")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  turn = f.turn(taken);
  turn.rows = {row("o1", 2, "paid"), row("o2", 2, "shipped"), row("o3", 2, "paid")};
  turn.rows[1].open = false;
  turn.rows[2].owner = "bob";
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  for (const Row& wanted : turn.rows) {
    const Row found = *f.find(wanted.key);
    BOOST_TEST(found.state == wanted.state);
    BOOST_TEST(found.open == wanted.open);
    BOOST_TEST(found.owner == wanted.owner);
    BOOST_TEST(found.doc == wanted.doc);
    BOOST_TEST(found.due == wanted.due);
    BOOST_TEST(found.created_at == start);
    BOOST_TEST(found.updated_at == start + 2);
  }
  BOOST_TEST(f.take().open.size() == 2U);
}

BOOST_DATA_TEST_CASE(a_second_version_n_is_refused, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  turn.transitions = {step("o1"), step("o2")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  turn = f.turn(taken);
  turn.rows = {row("o3")};
  turn.transitions = {step("o3"), step("o2"), step("o1", 2)};
  const Committed committed = f.commit(turn);
  BOOST_TEST(committed.result == CommitResult::conflict);
  BOOST_TEST(committed.conflicts == (Keys{"o2"}), boost::test_tools::per_element());
  BOOST_TEST(f.history("o1").size() == 1U);
  BOOST_TEST(!f.find("o3").has_value());
}

BOOST_DATA_TEST_CASE(a_conflict_takes_back_its_own_turn_only, data::make(databases()), kind) {
  Fixture f(kind);
  Turn first = f.turn(f.take());
  first.rows = {row("taken")};
  BOOST_TEST(f.commit(first).result == CommitResult::ok);
  // A burst from many shards: whatever of it the writer merges, every turn has its own fate.
  constexpr int shards = 40;
  std::vector<Turn> turns;
  for (int i = 1; i <= shards; ++i) {
    Turn turn = f.turn(f.take(i), i);
    turn.rows = {row("o" + std::to_string(i)), row(i % 5 == 0 ? "taken" : "p" + std::to_string(i))};
    turn.transitions = {step("o" + std::to_string(i))};
    if (i % 7 == 0) turn.epoch -= 1;
    turns.push_back(turn);
  }
  std::vector<CommitResult> results(turns.size() + 1);
  using Handle = decltype(f.self->request(f.store, 20s, Commit{}));
  std::vector<Handle> pending;
  for (const Turn& turn : turns)
    pending.push_back(f.self->request(f.store, 20s, Commit{std::make_shared<const Turn>(turn)}));
  for (std::size_t i = 0; i < pending.size(); ++i)
    pending[i].receive([&](Committed& committed) { results[i + 1] = committed.result; },
                       [&](caf::error& error) { BOOST_FAIL(to_string(error)); });
  for (int i = 1; i <= shards; ++i) {
    const CommitResult wanted = i % 7 == 0   ? CommitResult::fenced
                                : i % 5 == 0 ? CommitResult::conflict
                                             : CommitResult::ok;
    BOOST_TEST(results[static_cast<std::size_t>(i)] == wanted, "shard " << i);
    BOOST_TEST(f.find("o" + std::to_string(i)).has_value() == (wanted == CommitResult::ok), "order of shard " << i);
    BOOST_TEST(f.history("o" + std::to_string(i)).empty() == (wanted != CommitResult::ok), "history of shard " << i);
  }
}

BOOST_DATA_TEST_CASE(the_outbox_is_read_from_a_sequence_and_a_moment_on, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  for (int i = 1; i <= 5; ++i) {
    Turn turn = f.turn(taken);
    turn.sequence = i;
    turn.at = start + i;
    if (i != 3) turn.outgoing = outgoing("o" + std::to_string(i));
    BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  }
  const auto sequences = [&](Sequence after, Millis since, int limit) {
    std::vector<Sequence> out;
    for (const OutboxRow& each : f.ask<OutboxPage>(f.store, ReadOutbox{{f.role, 0}, after, since, limit}).rows)
      out.push_back(each.sequence);
    return out;
  };
  BOOST_TEST(sequences(0, 0, 10) == (std::vector<Sequence>{1, 2, 4, 5}), boost::test_tools::per_element());
  BOOST_TEST(sequences(1, 0, 2) == (std::vector<Sequence>{2, 4}), boost::test_tools::per_element());
  BOOST_TEST(sequences(0, start + 4, 10) == (std::vector<Sequence>{4, 5}), boost::test_tools::per_element());
}

BOOST_DATA_TEST_CASE(a_lost_log_puts_the_watermark_back_by_a_day, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  for (int i = 1; i <= 3; ++i) {
    Turn turn = f.turn(taken);
    turn.sequence = turn.published = i;
    turn.at = start + i;
    turn.outgoing = outgoing("o" + std::to_string(i));
    BOOST_TEST(f.commit(turn).losses == 0);
  }
  Turn turn = f.turn(taken);
  turn.sequence = turn.published = 3;
  turn.at = start + 2 + day;
  turn.lost = true;
  turn.losses_seen = 1;
  BOOST_TEST(f.commit(turn).losses == 1);
  BOOST_TEST(f.commit(turn).losses == 1, "handed in twice, lost once");
  const Taken again = f.take();
  BOOST_TEST(again.losses == 1);
  BOOST_TEST(again.losses_seen == 1);
  BOOST_TEST(again.published == 1);
  BOOST_TEST(again.unpublished.size() == 2U);
  // Another shard learns of it with its next turn.
  BOOST_TEST(f.commit(f.turn(f.take(1), 1)).losses == 1);
}

BOOST_DATA_TEST_CASE(what_was_published_a_day_ago_is_deleted, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  for (int i = 1; i <= 3; ++i) {
    Turn turn = f.turn(taken);
    turn.sequence = i;
    turn.published = 2;
    turn.outgoing = outgoing("o");
    BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  }
  f.now += day + 60'001;
  // The writer cleans behind a commit, before it looks at the next request but one.
  for (int i = 0; i < 2; ++i) BOOST_TEST(f.ask<Done>(f.store, StoreHealth{}).ok);
  for (int i = 0; i < 1'000 && f.sql("SELECT COUNT(*) FROM outbox") != "1"; ++i)
    BOOST_TEST(f.ask<Done>(f.store, StoreHealth{}).ok);
  BOOST_TEST(f.sql("SELECT MIN(sequence) FROM outbox") == "3", "what is not published stays");
}

BOOST_DATA_TEST_CASE(what_has_been_over_for_longer_than_the_retention_is_deleted_and_counted, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  const auto write = [&](int first, int last, const std::string& state, bool open) {
    Turn turn = f.turn(taken);
    for (int i = first; i <= last; ++i) {
      Row row;
      row.key = "o" + std::to_string(10'000 + i);
      row.version = 1;
      row.state = state;
      row.open = open;
      row.created_at = row.updated_at = f.now;
      row.doc = "{}";
      turn.rows.push_back(row);
      turn.transitions.push_back({{row.key}, 1, state, "order.placed", f.now});
    }
    BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  };
  write(1, 1'500, "shipped", false);  // more than is looked at in one step
  write(1'501, 1'510, "cancelled", false);
  write(1'511, 1'512, "paid", true);
  Turn aside = f.turn(taken);
  aside.quarantines = {{"o11500", "for a person", 0, f.now, 0, false}};
  BOOST_TEST(f.commit(aside).result == CommitResult::ok);
  f.now += 90 * day - 2 * 3'600'000;
  write(2'000, 2'009, "shipped", false);
  BOOST_TEST(f.sql("SELECT COUNT(*) FROM orders") == "1522", "nothing is old enough yet");
  f.now += 3 * 3'600'000;
  for (int i = 0; i < 1'000 && f.sql("SELECT COUNT(*) FROM orders") != "13"; ++i) {
    BOOST_TEST(f.ask<Done>(f.store, StoreHealth{}).ok);  // the walk begins behind a commit
    std::this_thread::sleep_for(10ms);
  }
  BOOST_TEST(f.sql("SELECT COUNT(*) FROM orders") == "13", "what is open, young or set aside stays");
  BOOST_TEST(f.sql("SELECT COUNT(*) FROM transitions") == "13");
  BOOST_TEST(f.find("o11500").has_value());
  BOOST_TEST(f.find("o11511").has_value());
  BOOST_TEST(f.find("o12000").has_value());
  BOOST_TEST(f.sql("SELECT rows_deleted FROM retired WHERE state = 'shipped'") == "1499");
  BOOST_TEST(f.sql("SELECT rows_deleted FROM retired WHERE state = 'cancelled'") == "10");
}

BOOST_DATA_TEST_CASE(parked_records_wait_in_order, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  turn.parked = {{"o1", record("k", 5)}, {"o2", record("k", 6)}, {"o1", record("k", 4)}};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  const auto parked = [&](const std::string& key) {
    return f.ask<ParkedRecords>(f.store, LoadParked{{f.role, 0}, key});
  };
  const ParkedRecords found = parked("o1");
  BOOST_TEST(found.ok);
  BOOST_REQUIRE(found.records.size() == 2U);
  BOOST_TEST(found.records[0]->offset == 5);
  BOOST_TEST(found.records[1]->offset == 4);
  const auto sent = record("k", 5);
  const Record &in = *sent, &out = *found.records[0];
  BOOST_TEST((in.topic == out.topic && in.partition == out.partition && in.timestamp == out.timestamp));
  BOOST_TEST((in.key == out.key));
  BOOST_TEST((in.value == out.value));
  BOOST_TEST(out.event.ce_id == "ce-5");
  BOOST_TEST(out.event.ce_time == start + 5);
  BOOST_TEST(out.event.traceparent == "00-1-2-01");
  turn = f.turn(taken);
  turn.unparked = {"o1"};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  BOOST_TEST(parked("o1").records.empty());
  BOOST_TEST(parked("o2").records.size() == 1U);
}

BOOST_DATA_TEST_CASE(a_quarantine_is_kept_until_it_is_lifted, data::make(databases()), kind) {
  Fixture f(kind);
  const Taken taken = f.take();
  Turn turn = f.turn(taken);
  turn.quarantines = {{"o1", "died", 1, start, start + 1, false}, {"o2", "for a person", 0, start, 0, false}};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  turn = f.turn(taken);
  const auto aside = f.ask<SetAsideRows>(f.reader, ListSetAside{"", 10});
  BOOST_REQUIRE(aside.rows.size() == 2U);
  BOOST_TEST(aside.rows[0].quarantine.key == "o1");
  BOOST_TEST(aside.rows[0].quarantine.until == start + 1);
  BOOST_TEST(aside.rows[1].quarantine.reason == "for a person");
  BOOST_TEST(aside.rows[1].records == 0);
  BOOST_TEST(f.ask<SetAsideRows>(f.reader, ListSetAside{"o1", 10}).rows.size() == 1U);
  BOOST_TEST(f.ask<SetAsideRows>(f.reader, ListSetAside{"", 1}).rows.size() == 1U);
  turn.quarantines = {{"o1", "died again", 2, start, start + 9, false}, {"o2", "", 0, 0, 0, true}};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  const Taken again = f.take();
  BOOST_REQUIRE(again.quarantines.size() == 1U);
  BOOST_TEST(again.quarantines[0].reason == "died again");
  BOOST_TEST(again.quarantines[0].until == start + 9);
}

BOOST_DATA_TEST_CASE(rows_are_loaded_by_key, data::make(databases()), kind) {
  Fixture f(kind);
  Turn turn = f.turn(f.take());
  turn.rows = {row("o1"), row("o2"), row("quote\"back\\slash,{}")};
  BOOST_TEST(f.commit(turn).result == CommitResult::ok);
  Loaded loaded = f.ask<Loaded>(f.store, Load{{f.role, 0}, {"o2", "missing", "quote\"back\\slash,{}"}});
  BOOST_TEST(loaded.ok);
  Keys keys = keys_of(loaded.rows);
  std::sort(keys.begin(), keys.end());
  BOOST_TEST(keys == (Keys{"o2", "quote\"back\\slash,{}"}), boost::test_tools::per_element());
}
