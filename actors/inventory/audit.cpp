#include "actors/inventory/audit.hpp"

#include <algorithm>

namespace cartwright::inventory {
namespace {

std::int64_t quantity_of(const std::vector<Line>& lines, const ProductId& product) {
  std::int64_t sum = 0;
  for (const Line& line : lines)
    if (line.product == product) sum += line.quantity;
  return sum;
}

std::string text(const StockNumbers& numbers) {
  return std::to_string(numbers.available) + " available, " + std::to_string(numbers.reserved) + " reserved, " +
         std::to_string(numbers.sold) + " sold, " + std::to_string(numbers.stocked) + " stocked";
}

std::string price_of(const StockNumbers& numbers) {
  return "price " + std::to_string(numbers.price_minor) + (numbers.currency.empty() ? "" : " " + numbers.currency);
}

std::string text(const std::vector<Line>& lines) {
  std::string out;
  for (const Line& line : merged(lines))
    out += (out.empty() ? "" : " ") + line.product.value + ":" + std::to_string(line.quantity);
  return out;
}

std::string text(const HeldStock& held) {
  switch (held.held) {
    case Held::none: return "nothing";
    case Held::reserved: return "reserved " + text(held.lines);
    case Held::failed: return "failed";
    case Held::sold: return "sold";
    case Held::released: return "released";
  }
  return {};
}

std::string text(const Reservation* ledger) {
  if (ledger == nullptr) return "no such order";
  std::string out(to_string(ledger->state));
  if (ledger->state == State::reserved) out += " " + text(ledger->lines);
  return out;
}

constexpr std::string_view rebuild_how = "cartwright stock reconcile --mend writes Redis anew from the ledger";

}  // namespace

bool same(const Difference& a, const Difference& b) {
  return a.kind == b.kind && a.product == b.product && a.order == b.order && a.says == b.says;
}

StockNumbers expected(const ProductBooks& books) {
  const Product& ledger = books.ledger;
  StockNumbers out{0, ledger.reserved, ledger.sold, ledger.stocked, ledger.price_minor, ledger.currency};
  for (const Unsettled& each : books.unsettled) {
    if (each.redis.held != Held::reserved) continue;  // asked and not answered yet, or told already
    // Redis holds it still, or already: it is not in the ledger's reserved.
    const std::int64_t quantity = quantity_of(each.redis.lines, ledger.id);
    out.reserved += quantity;
    if (each.ledger.state == State::sold) out.sold -= quantity;
  }
  for (const UnsettledHand& hand : books.hands) {
    if (hand.counted && !hand.applied) out.stocked -= hand.delta;
    if (!hand.counted && hand.applied) out.stocked += hand.delta;
  }
  out.available = out.stocked - out.reserved - out.sold;
  return out;
}

std::vector<Difference> compare(const ProductBooks& books) {
  std::vector<Difference> out;
  const Product& ledger = books.ledger;
  auto add = [&](DifferenceKind kind, std::vector<Said> says, Mend mend, std::string how) {
    out.push_back({kind, ledger.id.value, {}, std::move(says), mend, std::move(how), 0, 0});
  };
  auto in_ledger = [&](const char* what, std::int64_t total, std::int64_t rows) {
    if (total == rows) return;
    add(DifferenceKind::ledger,
        {{"ledger", std::to_string(total) + " " + what + " in the totals, " + std::to_string(rows) + " by its rows"}}, Mend::person,
        "the store was changed by another program or restored in part: restore inventory's store from one backup, or, if "
        "the rows are right, stop the nodes and UPDATE products SET " + std::string(what) + " = " + std::to_string(rows) +
        " WHERE product_id = '" + ledger.id.value + "' in it; then reconcile again");
  };
  in_ledger("reserved", ledger.reserved, books.held);
  in_ledger("stocked", ledger.stocked, books.by_hand);
  const StockNumbers should = expected(books);
  const StockNumbers is = books.redis.value_or(StockNumbers{});
  // Only where Redis contradicts is it known what all sold rows have together, and retention may have folded some.
  if (books.sold_by_rows && ledger.sold != *books.sold_by_rows && is.sold - should.sold == *books.sold_by_rows - ledger.sold)
    in_ledger("sold", ledger.sold, *books.sold_by_rows);
  StockNumbers counts = is;
  counts.price_minor = should.price_minor;
  counts.currency = should.currency;
  const bool known = books.redis.has_value();
  if (counts != should) {
    const bool ledger_is_right = out.empty();
    add(DifferenceKind::counters, {{"ledger", text(should)}, {"redis", known ? text(is) : "no such product"}},
        ledger_is_right ? Mend::rebuild : Mend::person,
        ledger_is_right ? std::string(rebuild_how) : "mend the ledger first: it contradicts itself");
  } else if (known && books.hands.empty() && (is.price_minor != should.price_minor || is.currency != should.currency)) {
    add(DifferenceKind::counters, {{"ledger", price_of(should)}, {"redis", price_of(is)}}, Mend::rebuild, std::string(rebuild_how));
  }
  return out;
}

Difference unknown_product(const std::string& product) {
  return {DifferenceKind::counters, product, {}, {{"ledger", "no such product"}, {"redis", "has it"}}, Mend::rebuild,
          std::string(rebuild_how), 0, 0};
}

std::optional<Difference> compare(const std::string& order, const Reservation* ledger, const HeldStock& redis) {
  bool right = true;
  if (ledger == nullptr) {
    right = redis.held != Held::reserved;
  } else if (ledger->state == State::reserved) {
    right = redis.held == Held::reserved && merged(ledger->lines) == merged(redis.lines);
  } else if (ledger->state != State::reserving && ledger->told) {
    // The key may be gone: it had its time. What is there has to say the same.
    const Held wanted = ledger->state == State::sold ? Held::sold : ledger->state == State::released ? Held::released : Held::failed;
    right = redis.held == Held::none || redis.held == wanted ||
            (ledger->state == State::failed && redis.held == Held::released);
  }
  if (right) return std::nullopt;
  return Difference{DifferenceKind::reservation, {}, order, {{"ledger", text(ledger)}, {"redis", text(redis)}}, Mend::rebuild,
                    std::string(rebuild_how), ledger != nullptr ? ledger->updated_at : 0, 0};
}

std::optional<Difference> compare(const std::string& id, const OrderSays* order, const Reservation* ledger, Millis now) {
  const Millis changed = std::max(order != nullptr ? order->updated_at : 0, ledger != nullptr ? ledger->updated_at : 0);
  if (now - changed < under_way) return std::nullopt;
  auto differ = [&](Mend mend, std::string how, Millis again) {
    return Difference{DifferenceKind::order, {}, id, {{"order", order != nullptr ? order->status : "no such order"}, {"ledger", text(ledger)}},
                      mend, std::move(how), changed, again};
  };
  const bool holds = ledger != nullptr && (ledger->state == State::reserved || ledger->state == State::reserving);
  const Millis asks = ledger == nullptr ? 0 : ledger->state == State::reserving ? ledger->act_due : ledger->status_due;
  if (order == nullptr || order->status == "unknown") {
    if (!holds) return std::nullopt;
    return differ(Mend::itself, "the order role has not read its order.placed; inventory asks what became of it", asks);
  }
  const std::string& status = order->status;
  if (status == "pending") return std::nullopt;  // has not read the answer yet, and asks again by itself
  const bool over = status == "cancelled" || status == "payment_failed" || status == "refunded";
  if (over) {
    if (holds)
      return differ(Mend::itself,
                    order->open ? "the order asks for its release again" : "inventory asks what became of the order",
                    order->open && order->again != 0 ? order->again : asks);
    if (ledger != nullptr && ledger->state == State::sold)
      return differ(Mend::person, "the goods have left, or not: if not, cartwright stock adjust PRODUCT +QUANTITY --reason ...", 0);
    return std::nullopt;
  }
  if (ledger != nullptr && (ledger->state == State::sold || (ledger->state == State::reserved && status != "shipped" && status != "delivered")))
    return std::nullopt;
  if (holds) {
    if (status == "inventory_reserved" || status == "paid")
      return differ(Mend::itself, "inventory asks Redis again", asks);
    return differ(Mend::itself, "inventory has not read order.shipped; it asks what became of the order", asks);
  }
  if (status == "inventory_reserved")
    return differ(Mend::person, "nothing is held for this order: cartwright order cancel " + id, 0);
  return differ(Mend::person,
                "promised without stock: look at cartwright order get " + id +
                    " --trace; if it ships, cartwright stock adjust PRODUCT -QUANTITY --reason ...", 0);
}

void hear(TopicsSay& said, Topic topic, const std::string& where, Millis at) {
  switch (topic) {
    case Topic::order_placed: said.placed = true; break;
    case Topic::inventory_reserved: said.reserved = true; break;
    case Topic::inventory_failed: said.failed = true; break;
    case Topic::order_shipped: said.shipped = true; break;
    case Topic::payment_failed:
    case Topic::order_cancelled:
    case Topic::inventory_release_requested: said.given_back = true; break;
    default: return;
  }
  if (at >= said.last_at) {
    said.last = where;
    said.last_at = at;
  }
}

std::optional<Difference> compare(const std::string& id, const TopicsSay& topics, const std::string* status, Millis now) {
  if (now - topics.last_at < under_way) return std::nullopt;
  auto differ = [&](std::string kafka, Mend mend, std::string how) {
    return Difference{DifferenceKind::topics, {}, id,
                      {{"order", status != nullptr ? *status : "no such order"}, {"kafka", std::move(kafka) + ", last word " + topics.last}},
                      mend, std::move(how), topics.last_at, 0};
  };
  const std::string trace = "look at cartwright order get " + id + " --trace";
  if (status == nullptr) {
    // Without stock it is none of ours: the lag of the order role and the dead letters tell of it.
    if ((topics.reserved && !topics.given_back) || topics.shipped)
      return differ(topics.shipped ? "was shipped" : "stock was reserved", Mend::itself,
                    "kept until its order.placed comes, at most order.orphan-ttl; then undone");
    return std::nullopt;
  }
  const bool lost = *status == "cancelled" || *status == "payment_failed" || *status == "refunded" || *status == "pending";
  if (topics.shipped && lost)
    return differ("was shipped", Mend::person, trace + ": the store is older than the topics, or another program wrote order.shipped");
  if (*status == "pending" && (topics.reserved || topics.failed))
    return differ(topics.reserved ? "stock was reserved" : "out of stock", Mend::itself,
                  "the order role has not read the answer; it asks again, or cartwright order retry " + id);
  const bool alive = *status == "inventory_reserved" || *status == "paid" || *status == "shipped" || *status == "delivered";
  if (alive && topics.failed && !topics.reserved)
    return differ("out of stock", Mend::person, trace);
  return std::nullopt;
}

}  // namespace cartwright::inventory
