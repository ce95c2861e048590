// The ledger of stock: changes by hand, the verified Redis instance, what a rebuilt Redis shall hold (rules 7 and 8).

#include <algorithm>

#include "actors/check.hpp"
#include "actors/limits.hpp"
#include "bridges/sql/database.hpp"

namespace cartwright::sql {

namespace {

constexpr std::array<std::string_view, 4> hand_states{"given", "asked", "done", "refused"};

std::string_view name_of(HandState state) { return hand_states[static_cast<std::size_t>(state)]; }

HandState state_of(const std::string& name) {
  const auto found = std::find(hand_states.begin(), hand_states.end(), name);
  check(found != hand_states.end(), "a change's state in the store is one of ours");
  return static_cast<HandState>(found - hand_states.begin());
}

/// Why a change cannot be, by the ledger alone; empty: it can.
std::string refusal(const Product& product, std::int64_t delta) {
  const std::int64_t available = product.stocked - product.reserved - product.sold;
  const std::int64_t on_hand = product.stocked - product.sold;
  if (delta < 0 && available + delta < 0)
    return "available would fall below 0: " + std::to_string(available) + " available, change by " +
           std::to_string(delta);
  if (delta > 0 && delta > limits::stock_max - on_hand)
    return "on hand would exceed " + std::to_string(limits::stock_max) + ": " + std::to_string(on_hand) +
           " on hand, change by " + std::to_string(delta);
  return {};
}

}  // namespace

std::optional<Product> Database::lock_product(const ProductId& id) {
  Statement& found = statement(Sql::lock_product);
  if (!found.one(id.value)) return {};
  return product_in(found);
}

std::optional<Hand> Database::hand(Sql name, const std::string& key) {
  Statement& found = statement(name);
  if (!found.one(key)) return {};
  Hand out;
  out.id = found.text(0);
  out.product.id.value = found.text(1);
  out.delta = found.integer(2);
  out.state = state_of(found.text(3));
  out.told = found.integer(4) != 0;
  out.created = found.integer(5) != 0;
  out.why = found.text(6);
  const std::string answer_key = found.text(7);
  if (const auto product = lock_product(out.product.id)) out.product = *product;
  if (!answer_key.empty()) out.stored = any_answer(answer_key);
  return out;
}

Hand Database::change_stock(const StockChange& change) {
  write_totals();  // turns of the same transaction count
  if (auto known = hand(Sql::lock_hand, change.id)) return *known;
  if (change.answer) {
    Hand known;
    known.id = change.id;
    known.product.id = change.product;
    if (auto stored = answer(change.answer->key)) {
      known.state = HandState::known;
      known.stored = std::move(stored);
      return known;
    }
    // Its request was lost with its node: the change itself was not, and is not made twice.
    if (auto lost = hand(Sql::read_hand_by_answer, change.answer->key)) return *lost;
  }
  Hand out;
  out.id = change.id;
  const auto before = lock_product(change.product);
  if (change.absolute) {
    // What is on hand is not known before Redis has answered: two differences from one number would both be taken.
    Statement& asked = statement(Sql::count_asked);
    check(asked.one(change.product.value), "an aggregate has a row");
    if (asked.integer(0) > 0) {
      out.product = before.value_or(Product{});
      out.product.id = change.product;
      out.why = "another change of this product is being settled; come back";
      return out;
    }
  }
  out.created = !before.has_value();
  out.product = before.value_or(Product{});
  out.product.id = change.product;
  Product& product = out.product;
  out.delta = change.absolute ? change.quantity - (product.stocked - product.sold) : change.delta;
  out.why = refusal(product, out.delta);
  if (!out.why.empty()) {
    out.state = HandState::refused;
    out.told = true;
    out.created = false;
  } else {
    const Product was = product;
    if (change.name) product.name = *change.name;
    if (change.currency) product.currency = *change.currency;
    if (change.price_minor) product.price_minor = *change.price_minor;
    if (out.created || product.name != was.name || product.currency != was.currency ||
        product.price_minor != was.price_minor)
      ++product.version;
    out.state = out.delta < 0 ? HandState::asked : HandState::given;
    const std::int64_t given = std::max<std::int64_t>(out.delta, 0);
    product.stocked += given;
    statement(Sql::put_product)
        .run(product.id.value, product.name, product.currency, product.price_minor, given, product.version);
  }
  const bool running = change.answer && out.state != HandState::refused;  // only what succeeds is stored
  if (running) {
    Batch& answers = batch(Sql::put_answers);
    answers.add(change.answer->key, change.answer->request_hash, 0, std::string_view(), std::string_view(), change.at);
    answers.finish();
  }
  statement(Sql::insert_hand)
      .run(out.id, product.id.value, out.delta, name_of(out.state), out.told ? 1 : 0, out.created ? 1 : 0,
           change.reason, out.why, running ? change.answer->key : std::string(), change.at);
  return out;
}

Hand Database::settle(const SettleHand& settlement) {
  write_totals();
  auto known = hand(Sql::lock_hand, settlement.id);
  if (!known) {
    Hand out;
    out.id = settlement.id;
    out.state = HandState::refused;
    out.why = "no change of stock has this id";
    return out;
  }
  Hand& out = *known;
  if (!out.told && (out.state == HandState::asked || out.state == HandState::given)) {
    // A restock, too: the snapshot of a rebuild that is under way may be older than it, and then the instance that is
    // built has to be told of it.
    Statement& verified = statement(Sql::lock_identity);
    check(verified.one(), "the role has its row");
    const StockIdentity pair{verified.text(0), verified.integer(1)};
    if (pair.run_id.empty() || settlement.identity != pair) {
      if (out.state == HandState::asked) out.state = HandState::unavailable;
      out.why = "the answer is of an instance of Redis that is not verified; ask the verified one with the same id";
      return out;
    }
  }
  if (out.state == HandState::asked) {
    out.state = settlement.applied ? HandState::done : HandState::refused;
    out.told = true;
    if (!settlement.applied) out.why = "available would fall below 0";
    statement(Sql::settle_hand).run(name_of(out.state), out.why, out.id);
    if (settlement.applied) {
      out.product.stocked += out.delta;
      add_totals({{out.product.id, out.delta, 0, 0}});
    }
  } else if (settlement.applied && !out.told) {
    statement(Sql::tell_hand).run(out.id);
    out.told = true;
  }
  if (settlement.answer && settlement.answer->status != 0) {
    const StoredAnswer& mine = *settlement.answer;
    statement(Sql::finish_answer).run(mine.key, mine.request_hash, mine.status, mine.location, mine.body, mine.at);
    out.stored = answer(mine.key);
  } else if (out.state == HandState::refused && out.stored) {
    statement(Sql::delete_answer).run(out.stored->key);
    out.stored.reset();
  }
  return out;
}

std::vector<Hand> Database::open_hands(Millis before) {
  std::vector<std::string> ids;
  Statement& open = statement(Sql::read_open_hands);
  open.rows([&] { ids.push_back(open.text(0)); }, before);
  std::vector<Hand> out;
  for (const std::string& id : ids)
    if (auto each = hand(Sql::lock_hand, id)) out.push_back(std::move(*each));
  return out;
}

void Database::add_totals(const std::vector<StockDelta>& totals) {
  for (const StockDelta& delta : totals) {
    StockDelta& sum = totals_[delta.product.value];
    sum.stocked += delta.stocked;
    sum.reserved += delta.reserved;
    sum.sold += delta.sold;
  }
}

void Database::write_totals() {
  if (totals_.empty()) return;
  Batch& products = batch(Sql::add_totals);
  for (const auto& [product, sum] : totals_) products.add(product, sum.stocked, sum.reserved, sum.sold);
  totals_.clear();
  products.finish();
}

StockIdentity Database::identity() {
  Statement& verified = statement(Sql::read_identity);
  check(verified.one(), "the role has its row");
  return {verified.text(0), verified.integer(1)};
}

void Database::close_gate() { statement(Sql::close_gate).run(); }

LedgerSnapshot Database::ledger() {
  LedgerSnapshot out;
  snapshot([&] {
    Statement& role = statement(Sql::read_generation);
    check(role.one(), "the role has its row");
    out.generation = role.integer(0);
    out.verified = identity();
    Statement& products = statement(Sql::read_products);
    products.rows([&] { out.products.push_back(product_in(products)); });
    Statement& held = statement(Sql::read_held);
    held.rows([&] { out.held.push_back({held.text(0), held.text(1)}); });
    Statement& counted = statement(Sql::read_counted_hands);
    counted.rows([&] { out.hands.push_back(counted.text(0)); });
    Statement& shards = statement(Sql::read_epochs);
    shards.rows([&] { out.epochs.emplace_back(static_cast<int>(shards.integer(0)), shards.integer(1)); });
  });
  out.ok = true;
  return out;
}

Done Database::open_gate(const FinishRebuild& rebuilt) {
  if (statement(Sql::open_gate).run(rebuilt.pair.run_id, rebuilt.pair.generation, rebuilt.pair.generation) != 1)
    return {false, "a newer rebuild has begun; begin again"};
  for (const std::string& id : rebuilt.hands) statement(Sql::tell_hand).run(id);
  return {true, {}};
}

}  // namespace cartwright::sql
