#include "bridges/sql/books.hpp"

#include <stdexcept>
#include <utility>

#include "bridges/sql/database.hpp"

namespace cartwright::sql {

namespace {

constexpr int portion = 1'000;  // rows in memory at once, however many a snapshot walks over

}  // namespace

std::vector<Row> Database::held(const std::string& after, int limit) {
  std::vector<Row> out;
  Statement& page = statement(Sql::list_held);
  page.rows([&] { out.push_back(read_row(page)); }, after, limit);
  return out;
}

void Database::each_held(const std::function<void(const std::string& key, const std::string& doc)>& each) {
  std::string after;
  for (std::size_t found = portion; found == portion;) {
    const auto rows = held(after, portion);
    for (const Row& row : rows) each(row.key, row.doc);
    found = rows.size();
    if (found > 0) after = rows.back().key;
  }
}

void Database::each_sold(const std::function<void(const std::string& key, const std::string& doc)>& each) {
  std::string after;
  for (std::size_t found = portion; found == portion;) {
    found = 0;
    Statement& page = statement(Sql::read_sold);
    page.rows(
        [&] {
          after = page.text(0);
          each(after, page.text(1));
          ++found;
        },
        std::string(after), portion);
  }
}

std::vector<Row> Database::unsettled(int limit) {
  std::vector<Row> out;
  Statement& open = statement(Sql::read_unsettled);
  open.rows([&] { out.push_back(read_row(open)); }, limit);
  return out;
}

std::map<std::string, std::int64_t> Database::hand_sums() {
  std::map<std::string, std::int64_t> out;
  Statement& sums = statement(Sql::read_hand_sums);
  sums.rows([&] { out[sums.text(0)] = sums.integer(1); });
  return out;
}

std::vector<Hand> Database::untold_hands() {
  std::vector<Hand> out;
  Statement& hands = statement(Sql::read_untold_hands);
  hands.rows([&] {
    Hand hand;
    hand.id = hands.text(0);
    hand.product.id.value = hands.text(1);
    hand.delta = hands.integer(2);
    hand.state = hands.text(3) == "asked" ? HandState::asked : HandState::given;
    out.push_back(std::move(hand));
  });
  return out;
}

Books::Books(StoreOptions options, std::function<inventory::Reservation(const Row&)> read)
    : database_(std::make_unique<Database>(std::move(options), Access::read)), read_(std::move(read)) {}

Books::~Books() = default;

template <class Question>
auto Books::ask(const Question& question) {
  if (std::string why; !database_->connected(why)) throw std::runtime_error(why);
  try {
    return question(*database_);
  } catch (const std::exception&) {
    database_->disconnect();
    throw;
  }
}

StockIdentity Books::verified() {
  return ask([](Database& database) { return database.identity(); });
}

LedgerPage Books::page(const std::string& after, int limit, bool with_sold) {
  return ask([&](Database& database) {
    LedgerPage out;
    database.snapshot([&] {
      out.verified = database.identity();
      out.products = database.products({after, limit});
      const auto sums = database.hand_sums();
      for (const Product& product : out.products) {
        out.held[product.id.value] = 0;
        const auto sum = sums.find(product.id.value);
        out.by_hand[product.id.value] = sum == sums.end() ? 0 : sum->second;
        if (with_sold) out.sold[product.id.value] = 0;
      }
      const auto add = [&](std::map<std::string, std::int64_t>& to, inventory::State state) {
        return [&, state](const std::string& key, const std::string& doc) {
          Row row;
          row.key = key;
          row.state = to_string(state);
          row.doc = doc;
          for (const Line& line : read_(row).lines)
            if (const auto at = to.find(line.product.value); at != to.end()) at->second += line.quantity;
        };
      };
      database.each_held(add(out.held, inventory::State::reserved));
      if (with_sold) database.each_sold(add(out.sold, inventory::State::sold));
      out.unsettled = database.unsettled(unsettled_max + 1);
      out.more_unsettled = out.unsettled.size() > static_cast<std::size_t>(unsettled_max);
      out.hands = database.untold_hands();
    });
    return out;
  });
}

bool Books::knows(const std::string& product) {
  return ask([&](Database& database) { return !database.product({product}).empty(); });
}

std::vector<Row> Books::held(const std::string& after, int limit) {
  return ask([&](Database& database) { return database.held(after, limit); });
}

std::vector<Row> Books::rows(const std::vector<std::string>& keys) {
  return ask([&](Database& database) { return database.rows(keys); });
}

std::vector<Row> Books::in_state(const std::string& state, const std::string& before, int limit) {
  return ask([&](Database& database) { return database.list({state, {}, before, limit}); });
}

}  // namespace cartwright::sql
