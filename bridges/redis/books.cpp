#include "bridges/redis/books.hpp"

#include <utility>

#include "bridges/redis/rebuild.hpp"

namespace cartwright::redis {

namespace {

// KEYS: meta, products, orders, hands. ARGV: generation, how many are products. One instant, and no writes.
constexpr std::string_view read_script = R"lua(
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 'STRANGER' end
local out = {}
for i = 2, #KEYS do
  if i <= 1 + tonumber(ARGV[2]) then
    out[i - 1] = redis.call('HMGET', KEYS[i], 'available', 'reserved', 'sold', 'stocked', 'price', 'currency')
  else
    out[i - 1] = redis.call('GET', KEYS[i])
  end
end
return out
)lua";

inventory::HeldStock held_in(std::string_view text) {
  inventory::HeldStock out;
  if (text.empty()) return out;
  auto said = answer_of(text);
  switch (said.kind) {
    case ScriptAnswer::Kind::reserved: out.held = inventory::Held::reserved; break;
    case ScriptAnswer::Kind::failed: out.held = inventory::Held::failed; break;
    case ScriptAnswer::Kind::sold: out.held = inventory::Held::sold; break;
    case ScriptAnswer::Kind::released: out.held = inventory::Held::released; break;
    default: break;
  }
  for (PricedLine& priced : said.priced) out.lines.push_back(std::move(priced.line));
  return out;
}

}  // namespace

bool Books::is(const StockIdentity& verified, std::string& why) {
  if (!connection_ || !connection_->alive()) {
    auto opened = Connection::open(address_, {});
    if (const auto* failure = std::get_if<Failure>(&opened)) return why = failure->what, false;
    connection_.emplace(std::move(std::get<Connection>(opened)));
  }
  Instance instance;
  if (!inspect(*connection_, keys_, instance, why)) {
    connection_.reset();
    return false;
  }
  run_id_ = instance.run_id;
  generation_ = verified.generation;
  if (!verified.run_id.empty() && run_id_ == verified.run_id && instance.generation == std::to_string(verified.generation))
    return true;
  why = "stock: this Redis is not the verified one";
  return false;
}

std::optional<StockBooks> Books::read(const std::vector<std::string>& products, const std::vector<std::string>& orders,
                                      const std::vector<std::string>& hands) {
  if (!connection_) return std::nullopt;
  Words names;
  for (const auto& product : products) names.add(keys_.stock(product));
  for (const auto& order : orders) names.add(keys_.order(order));
  for (const auto& hand : hands) names.add(keys_.hand(hand));
  const auto meta = keys_.meta(), count = std::to_string(1 + names.size()), generation = std::to_string(generation_),
             product_count = std::to_string(products.size());
  std::vector<std::string_view> words{"EVAL", read_script, count, meta};
  for (std::size_t i = 0; i < names.size(); ++i) words.push_back(names[i]);
  words.push_back(generation);
  words.push_back(product_count);
  connection_->append(words);
  const auto reply = connection_->next();
  if (!reply.ok() || !reply.value().list()) return std::nullopt;
  StockBooks out;
  const auto all = reply.value();
  std::size_t at = 0;
  for (const auto& product : products) {
    const auto numbers = all[at++];
    const auto available = numbers[0].number(), reserved = numbers[1].number(), sold = numbers[2].number(), stocked = numbers[3].number();
    auto& into = out.products[product];
    // A count that is missing or no number reads as 0, and so differs.
    if (!numbers[0].nil() || !numbers[3].nil())
      into = inventory::StockNumbers{available.value_or(0), reserved.value_or(0), sold.value_or(0), stocked.value_or(0),
                                     numbers[4].number().value_or(0), std::string(numbers[5].text())};
  }
  for (const auto& order : orders) out.orders[order] = held_in(all[at++].text());
  for (const auto& hand : hands) out.hands[hand] = all[at++].text() == "done";
  return out;
}

bool Books::disown() {
  if (!connection_) return false;
  const auto meta = keys_.meta(), generation = std::to_string(generation_);
  return connection_
      ->run({"EVAL", "if redis.call('HGET', KEYS[1], 'generation') == ARGV[1] then redis.call('HDEL', KEYS[1], 'generation') end", "1",
             meta, generation})
      .ok();
}

std::optional<KeysPage> Books::scan(std::uint64_t cursor) {
  if (!connection_) return std::nullopt;
  const auto from = std::to_string(cursor);
  const auto page = connection_->run({"SCAN", from, "MATCH", keys_.pattern(), "COUNT", "500"});
  if (!page.ok() || page.value().size() != 2) return std::nullopt;
  KeysPage out;
  out.cursor = std::stoull(std::string(page.value()[0].text()));
  const auto found = page.value()[1];
  const auto stocks = keys_.stock(""), orders = keys_.order("");
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto key = found[i].text();
    if (key.starts_with(stocks)) out.products.emplace_back(key.substr(stocks.size()));
    if (key.starts_with(orders)) out.orders.emplace_back(key.substr(orders.size()));
  }
  return out;
}

}  // namespace cartwright::redis
