#define BOOST_TEST_MODULE stock
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "bridges/redis/script.hpp"
#include "tests/stock/redis_server.hpp"

// The script against a real Redis and against a model that is easier to believe: tens of thousands of operations that
// come twice, in the wrong order, under epochs that have passed and from generations that are gone.

namespace cartwright::redis::test {
namespace {

/// The Redis of the environment, or one of our own.
struct Server {
  Server() {
    if (const char* port = std::getenv("CARTWRIGHT_TEST_REDIS")) url = "redis://127.0.0.1:" + std::string(port);
    else own = std::make_unique<RedisServer>(), url = own->url();
  }
  std::unique_ptr<RedisServer> own;
  std::string url;
};

struct Numbers {
  std::int64_t available = 0, reserved = 0, sold = 0, stocked = 0, price = 0;
  std::string currency;
  std::int64_t version = 0;
  friend bool operator==(const Numbers&, const Numbers&) = default;
};

/// What the script shall do, one operation at a time, with nothing but maps.
struct Model {
  struct Entry {
    std::string text;
    int life = 0;  // 0: stays; 1: an hour; 2: a day
    std::vector<Line> held;
  };
  std::map<std::string, Numbers> stock;
  std::map<std::string, Entry> orders;
  std::map<std::string, std::string> hands;
  std::map<int, Epoch> epochs;

  std::string reserve(const std::string& key, const std::vector<Line>& lines) {
    if (const auto known = orders.find(key); known != orders.end()) return known->second.text;
    std::map<std::string, std::int64_t> need;
    std::set<std::string> currencies;
    bool enough = true;
    for (const auto& line : lines) need[line.product.value] += line.quantity;
    for (const auto& [product, quantity] : need) {
      enough = enough && stock.contains(product) && stock[product].available >= quantity;
      if (stock.contains(product) && (!stock[product].currency.empty() || stock[product].price != 0))
        currencies.insert(stock[product].currency);
    }
    if (!enough) return (orders[key] = {"failed out_of_stock", 0, {}}).text;
    if (currencies.size() > 1) return (orders[key] = {"failed mixed_currency", 0, {}}).text;
    std::vector<PricedLine> priced;
    for (const auto& line : lines) priced.push_back({line, stock[line.product.value].price});
    for (const auto& [product, quantity] : need) {
      stock[product].available -= quantity;
      stock[product].reserved += quantity;
    }
    return (orders[key] = {reserved_text(currencies.empty() ? "" : *currencies.begin(), priced), 0, lines}).text;
  }
  std::string settle(const std::string& key, std::int64_t Numbers::*to, const std::string& state) {
    for (const auto& line : orders[key].held) {
      stock[line.product.value].reserved -= line.quantity;
      stock[line.product.value].*to += line.quantity;
    }
    return (orders[key] = {state, 1, {}}).text;
  }
  std::string sell(const std::string& key) {
    if (!orders.contains(key)) return "none";
    return orders[key].text.starts_with("reserved") ? settle(key, &Numbers::sold, "sold") : orders[key].text;
  }
  std::string release(const std::string& key) {
    if (orders.contains(key) && orders[key].text.starts_with("reserved"))
      return settle(key, &Numbers::available, "released");
    if (orders.contains(key) && !orders[key].text.starts_with("failed")) return orders[key].text;
    return (orders[key] = {"released", 2, {}}).text;
  }
  std::string forget(const std::string& key) {
    if (!orders.contains(key)) return "none";
    if (orders[key].text.starts_with("failed")) orders[key].life = 1;
    return orders[key].text;
  }
  std::string hand(const std::string& id, const Product& product, std::int64_t delta) {
    if (const auto known = hands.find(id); known != hands.end()) return known->second;
    const auto at = stock.find(product.id.value);
    if ((at == stock.end() ? 0 : at->second.available) + delta < 0) return hands[id] = "refused";
    auto& numbers = stock[product.id.value];
    numbers.available += delta;
    numbers.stocked += delta;
    if (product.version > numbers.version) {
      numbers.price = product.price_minor;
      numbers.currency = product.currency;
      numbers.version = product.version;
    }
    return hands[id] = "done";
  }
};

class Run {
 public:
  Run(const std::string& url, std::uint64_t seed)
      : connection_(connect(url)),
        keys_("test-" + std::to_string(seed) + "-" + std::to_string(getpid())),
        random_(seed) {
    BOOST_TEST_MESSAGE("seed " << seed);
    static_cast<void>(connection_.run({"HSET", keys_.meta(), "generation", "7"}));
    sha_ = connection_.run({"SCRIPT", "LOAD", stock_script}).value().text();
  }
  ~Run() {
    std::string cursor = "0";
    do {
      const auto page = connection_.run({"SCAN", cursor, "MATCH", keys_.pattern(), "COUNT", "1000"});
      cursor = page.value()[0].text();
      std::vector<std::string_view> words{"UNLINK", keys_.meta()};
      for (std::size_t i = 0; i < page.value()[1].size(); ++i) words.push_back(page.value()[1][i].text());
      connection_.append(words);
      static_cast<void>(connection_.next());
    } while (connection_.alive() && cursor != "0");
  }

  /// One call of up to 64 operations, compared with the model answer by answer, then number by number.
  void call() {
    if (chance(100)) static_cast<void>(connection_.run({"SCRIPT", "FLUSH"}));  // any Redis may forget it at any time
    if (chance(50)) return stranger();
    std::vector<ScriptCall> calls;
    calls.emplace_back(keys_, 7);
    std::vector<std::string> expected, described;
    const auto operations = 1 + pick(63);
    bool fenced = put_epoch(calls[0], expected);
    described.push_back("epoch");
    for (std::uint64_t i = 0; i < operations; ++i) {
      if (chance(12)) {
        fenced = put_epoch(calls[0], expected);
        described.push_back("epoch");
      }
      if (chance(10)) put_hand(calls[0], expected, described);
      else put_order(calls[0], expected, described, fenced);
    }
    const auto replies = run(connection_, sha_, calls);
    BOOST_REQUIRE_MESSAGE(replies[0].ok(), replies[0].failure().what);
    BOOST_REQUIRE_EQUAL(replies[0].value().size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      BOOST_REQUIRE_MESSAGE(replies[0].value()[i].text() == expected[i],
                            described[i] << ": " << replies[0].value()[i].text() << " instead of " << expected[i]);
    operations_ += expected.size();
    first_order_ += pick(6);
    compare_numbers();
    compare_lives();
  }
  [[nodiscard]] std::size_t operations() const { return operations_; }
  [[nodiscard]] const std::map<std::string, std::size_t>& answers() const { return answers_; }

 private:
  std::uint64_t pick(std::uint64_t below) {
    return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random_);
  }
  bool chance(std::uint64_t one_in) { return pick(one_in) == 0; }
  std::string order() { return "o-" + std::to_string(first_order_ + pick(60)); }
  ProductId product() { return {"p-" + std::to_string(pick(7))}; }

  bool put_epoch(ScriptCall& call, std::vector<std::string>& expected) {
    const auto partition = static_cast<int>(pick(3));
    auto& known = model_.epochs[partition];
    const auto epoch = chance(4) && known > 0 ? known - 1 : chance(6) ? known + 1 : known;
    known = std::max(known, epoch);
    call.epoch(partition, epoch);
    expected.push_back(epoch < known ? "FENCED" : "OK");
    return epoch < known;
  }
  void put_hand(ScriptCall& call, std::vector<std::string>& expected, std::vector<std::string>& described) {
    const auto id = "h-" + std::to_string(chance(3) ? pick(hands_ + 1) : ++hands_);
    Product product{.id = this->product(), .name = {}, .currency = {}, .price_minor = 0, .stocked = 0, .reserved = 0,
                    .sold = 0, .version = static_cast<std::int64_t>(pick(40))};
    product.price_minor = static_cast<std::int64_t>(pick(3) * 1'000'000'000'000 / 3);
    product.currency = chance(12) ? "USD" : chance(12) ? "" : "EUR";
    const auto delta = static_cast<std::int64_t>(pick(100)) - 78;
    call.hand(id, product, delta);
    expected.push_back(model_.hand(id, product, delta));
    described.push_back("hand " + id);
    ++answers_["hand " + expected.back()];
  }
  void put_order(ScriptCall& call, std::vector<std::string>& expected, std::vector<std::string>& described,
                 bool fenced) {
    constexpr Step steps[] = {Step::reserve, Step::reserve, Step::reserve, Step::sell, Step::release, Step::forget};
    const auto step = steps[pick(std::size(steps))];
    const auto key = order();
    std::vector<Line> lines(step == Step::reserve ? 1 + pick(4) : 0);
    for (auto& line : lines) line = {product(), static_cast<std::int64_t>(1 + pick(9))};
    call.order(step, key, lines);
    described.push_back(std::string(to_string(step)) + " " + key);
    if (fenced) return expected.push_back("FENCED");
    expected.push_back(step == Step::reserve ? model_.reserve(key, lines) : step == Step::sell ? model_.sell(key)
                       : step == Step::release ? model_.release(key) : model_.forget(key));
    const auto& text = expected.back();
    ++answers_[std::string(to_string(step)) + " " + (text.starts_with("reserved") ? "reserved" : text)];
  }
  /// A call of another generation: nothing happens, which compare_numbers sees.
  void stranger() {
    std::vector<ScriptCall> calls;
    calls.emplace_back(keys_, 6);
    calls[0].epoch(0, 1'000'000);
    calls[0].order(Step::release, order(), {});
    calls[0].hand("stranger", {.id = product(), .name = {}, .currency = {}}, 1000);
    BOOST_REQUIRE(is_stranger(run(connection_, sha_, calls)[0]));
    ++answers_["STRANGER"];
    compare_numbers();
  }
  void compare_numbers() {
    for (int i = 0; i < 7; ++i) {
      const auto name = "p-" + std::to_string(i);
      const auto reply = connection_.run({"HMGET", keys_.stock(name), "available", "reserved", "sold", "stocked",
                                          "price", "currency", "version"});
      const auto value = reply.value();
      BOOST_REQUIRE_EQUAL(value[0].nil(), !model_.stock.contains(name));
      if (value[0].nil()) continue;
      const Numbers found{*value[0].number(), *value[1].number(), *value[2].number(), *value[3].number(),
                          *value[4].number(), std::string(value[5].text()), *value[6].number()};
      BOOST_REQUIRE(found == model_.stock[name]);
      BOOST_REQUIRE_EQUAL(found.available + found.reserved + found.sold, found.stocked);
      BOOST_REQUIRE(found.available >= 0 && found.reserved >= 0 && found.sold >= 0);
    }
  }
  void compare_lives() {
    for (int i = 0; i < 3; ++i) {
      const auto key = order();
      const auto ttl = connection_.run({"TTL", keys_.order(key)}).value().number();
      const auto known = model_.orders.find(key);
      const auto life = known == model_.orders.end() ? -2 : known->second.life == 0 ? -1 : known->second.life;
      BOOST_REQUIRE_EQUAL(life, *ttl < 0 ? *ttl : *ttl <= 3600 ? 1 : 2);
    }
  }

  Connection connection_;
  Keys keys_;
  std::mt19937_64 random_;
  std::string sha_;
  Model model_;
  std::uint64_t first_order_ = 0, hands_ = 0;
  std::size_t operations_ = 0;
  std::map<std::string, std::size_t> answers_;
};

std::vector<std::uint64_t> seeds() {
  if (const char* seed = std::getenv("CARTWRIGHT_TEST_SEED")) return {std::strtoull(seed, nullptr, 10)};
  return {1, 2, 3};
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_script_answers_as_the_model_whatever_comes_twice_or_late) {
  Server server;
  for (const auto seed : seeds()) {
    BOOST_TEST_INFO_SCOPE("seed " << seed << "; again with CARTWRIGHT_TEST_SEED=" << seed);
    Run one(server.url, seed);
    while (one.operations() < 50'000) one.call();
    for (const auto& [answer, count] : one.answers()) BOOST_TEST_MESSAGE(count << " x " << answer);
    for (const auto* answer : {"reserve reserved", "reserve failed out_of_stock", "reserve failed mixed_currency",
                               "reserve released", "reserve sold", "sell none", "sell sold", "sell released",
                               "release released", "release sold", "forget none", "hand done", "hand refused",
                               "STRANGER"})
      BOOST_TEST(one.answers().contains(answer), "nothing answered " << answer);
  }
}

BOOST_AUTO_TEST_CASE(an_answer_reads_back_as_it_was_written) {
  const std::vector<PricedLine> lines{{{{"a:b~c"}, 3}, 1'000'000'000'000}, {{{"x"}, 1'000'000}, 0}};
  const auto answer = answer_of(reserved_text("", lines));
  BOOST_TEST((answer.kind == ScriptAnswer::Kind::reserved));
  BOOST_TEST(answer.currency.empty());
  BOOST_TEST((answer.priced == lines));
  BOOST_TEST(answer_of("failed mixed_currency").reason == "mixed_currency");
  BOOST_TEST((answer_of("").kind == ScriptAnswer::Kind::broken));
}

BOOST_AUTO_TEST_CASE(an_operation_that_makes_no_sense_changes_nothing) {
  Server server;
  auto connection = connect(server.url);
  const Keys keys("nonsense-" + std::to_string(getpid()));
  static_cast<void>(connection.run({"HSET", keys.meta(), "generation", "1"}));
  std::vector<ScriptCall> calls;
  calls.emplace_back(keys, 1);
  calls[0].epoch(0, 1);
  calls[0].order(Step::reserve, "o", {});
  calls[0].order(Step::reserve, "o", {{{"p"}, 0}});
  calls[0].order(Step::reserve, "o", {{{"p"}, -1}});
  const auto replies = run(connection, "0000000000000000000000000000000000000000", calls);
  for (std::size_t i = 1; i < 4; ++i) BOOST_TEST(replies[0].value()[i].text() == "invalid");
  BOOST_TEST(connection.run({"EXISTS", keys.order("o"), keys.stock("p")}).value().number().value() == 0);
  static_cast<void>(connection.run({"UNLINK", keys.meta()}));
}

BOOST_AUTO_TEST_CASE(urls_are_read) {
  const auto full = address_of("redis://me:p%40ss@[::1]:7000/3");
  BOOST_REQUIRE(full);
  BOOST_TEST(full->host == "::1");
  BOOST_TEST(full->port == 7000);
  BOOST_TEST(full->user == "me");
  BOOST_TEST(full->password == "p@ss");
  BOOST_TEST(full->database == 3);
  BOOST_TEST(full->shown() == "redis://[::1]:7000/3");
  BOOST_TEST(address_of("redis://:secret@localhost")->port == 6379);
  BOOST_TEST(address_of("unix:///run/redis.sock")->path == "/run/redis.sock");
  for (const auto* wrong : {"", "redis://", "http://x", "redis://x:0", "redis://x:70000", "redis://x/a", "redis://x@y",
                            "unix://", "redis://[::1"})
    BOOST_TEST(!address_of(wrong), wrong);
}

BOOST_AUTO_TEST_CASE(a_connection_that_breaks_leaves_the_outcome_unknown) {
  RedisServer server;
  auto connection = connect(server.url());
  server.stop(SIGKILL);
  const auto lost = connection.run({"PING"});
  BOOST_TEST(lost.lost());
  BOOST_TEST(lost.failure().outcome_unknown);
  BOOST_TEST(!connection.alive());
  BOOST_TEST(connection.run({"PING"}).failure().outcome_unknown);
  const auto refused = server.open();
  BOOST_REQUIRE(std::holds_alternative<Failure>(refused));
  BOOST_TEST(!std::get<Failure>(refused).outcome_unknown);
}

}  // namespace cartwright::redis::test
