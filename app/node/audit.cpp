#include "app/node/audit.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace cartwright::node {
namespace {

using namespace std::chrono_literals;
using inventory::Difference;
using inventory::HeldStock;
using inventory::Reservation;

constexpr int portion = 500;                // rows or keys at once: a script of Redis is short, and so is a transaction
constexpr int readings_max = 8;             // of one page of products
constexpr std::chrono::milliseconds first_pause = 10ms, confirm_pause = 300ms;
constexpr std::chrono::milliseconds rebuild_patience = 60s, rebuild_pause = 100ms;
constexpr int share = 20;                   // it compares at most a twentieth of the time

/// The comparison cannot go on just now; what() is for a person.
struct Unfinished : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string key_of(const Difference& one) {
  std::string key(to_string(one.kind));
  return key + '\n' + one.product + '\n' + one.order;
}

/// One comparison.
class Pass {
 public:
  Pass(const AuditDeps& deps, sql::Books& ledger, sql::Books* orders, redis::Books& stock,
       std::function<bool(std::chrono::milliseconds)> pause)
      : deps_(deps), ledger_(ledger), orders_(orders), stock_(stock), pause_(std::move(pause)) {}

  api::StockReport run(bool whole) {
    report_.began = deps_.clock();
    report_.whole = whole;
    report_.orders_here = orders_ != nullptr;
    try {
      products();
      reservations();
      if (orders_ != nullptr) orders(whole);
      confirm();
    } catch (const std::exception& error) {
      report_.why = error.what();
    }
    report_.ended = deps_.clock();
    return std::move(report_);
  }

 private:
  // -- products: all of one moment -------------------------------------------------------------------------------------

  /// A page of the ledger with what it says of open reservations, by product.
  struct Page {
    sql::LedgerPage ledger;
    std::map<std::string, std::vector<Reservation>> unsettled;
    std::map<std::string, std::vector<std::string>> versions;  // of what is unsettled: moves when anything does
  };

  Page read_page(const std::string& after, bool with_sold) {
    Page page{ledger_.page(after, portion, with_sold), {}, {}};
    for (const Row& row : page.ledger.unsettled) {
      Reservation reservation = deps_.codec->read_reservation(row);
      std::set<std::string> of;
      for (const Line& line : reservation.lines) of.insert(line.product.value);
      for (const std::string& product : of) {
        page.unsettled[product].push_back(reservation);
        page.versions[product].push_back(row.key + ':' + std::to_string(row.version));
      }
    }
    for (auto& [product, all] : page.versions) std::sort(all.begin(), all.end());
    return page;
  }

  static std::vector<std::string> hands_of(const Page& page, const std::string& product) {
    std::vector<std::string> out;
    for (const Hand& hand : page.ledger.hands)
      if (hand.product.id.value == product) out.push_back(hand.id + (hand.state == HandState::given ? "+" : "?"));
    std::sort(out.begin(), out.end());
    return out;
  }

  static bool unchanged(Page& before, Page& then, const Product& product) {
    const std::string& id = product.id.value;
    const auto same = std::find_if(then.ledger.products.begin(), then.ledger.products.end(), [&](const Product& other) {
      return other.id == product.id && other.stocked == product.stocked && other.reserved == product.reserved &&
             other.sold == product.sold && other.version == product.version;
    });
    return same != then.ledger.products.end() && before.ledger.held[id] == then.ledger.held[id] &&
           before.ledger.by_hand[id] == then.ledger.by_hand[id] && before.versions[id] == then.versions[id] &&
           hands_of(before, id) == hands_of(then, id);
  }

  static inventory::ProductBooks books_of(Page& page, const redis::StockBooks& said, const Product& product, bool with_sold) {
    const std::string& id = product.id.value;
    inventory::ProductBooks books{product, page.ledger.held[id], page.ledger.by_hand[id], std::nullopt, {}, {}, std::nullopt};
    if (with_sold) books.sold_by_rows = page.ledger.sold[id];
    for (const Reservation& reservation : page.unsettled[id])
      books.unsettled.push_back({reservation, said.orders.at(reservation.order.value)});
    for (const Hand& hand : page.ledger.hands)
      if (hand.product.id.value == id)
        books.hands.push_back({hand.delta, hand.state == HandState::given, said.hands.at(hand.id)});
    if (const auto found = said.products.find(id); found != said.products.end()) books.redis = found->second;
    return books;
  }

  void verify(const StockIdentity& identity) {
    if (identity.run_id.empty()) throw Unfinished("the stock in Redis is not verified just now");
    if (std::string why; !stock_.is(identity, why)) throw Unfinished(why);
  }

  redis::StockBooks redis(const std::vector<std::string>& products, const std::vector<std::string>& keys,
                          const std::vector<std::string>& hands) {
    auto said = stock_.read(products, keys, hands);
    if (!said) throw Unfinished("Redis does not answer, or is being rebuilt");
    return std::move(*said);
  }

  void products() {
    for (std::string after;;) {
      const std::size_t found = page_of_products(after);
      if (found < static_cast<std::size_t>(portion)) return;
    }
  }

  std::size_t page_of_products(std::string& after) {
    std::map<std::string, std::vector<Difference>> seen;
    std::set<std::string> settled;
    std::vector<Product> all;
    bool with_sold = false;
    for (int reading = 0; reading < readings_max; ++reading) {
      if (reading > 0) rest(first_pause * (1 << std::min(reading, 5)));
      Page before = read_page(after, with_sold);
      verify(before.ledger.verified);
      all = before.ledger.products;
      if (before.ledger.more_unsettled) continue;
      std::vector<std::string> ids, keys, hands;
      for (const Product& product : all) ids.push_back(product.id.value);
      for (const Row& row : before.ledger.unsettled) keys.push_back(row.key);
      for (const Hand& hand : before.ledger.hands) hands.push_back(hand.id);
      const redis::StockBooks said = redis(ids, keys, hands);
      Page then = read_page(after, false);
      if (then.ledger.more_unsettled || then.ledger.verified != before.ledger.verified) continue;
      for (const Product& product : all) {
        const std::string& id = product.id.value;
        if (settled.contains(id) || !unchanged(before, then, product)) continue;
        auto differences = compare(books_of(before, said, product, with_sold));
        auto& last = seen[id];
        const bool again = !last.empty() && std::equal(last.begin(), last.end(), differences.begin(), differences.end(), inventory::same);
        if (again)
          for (Difference& one : differences) tell(std::move(one));
        if (again || differences.empty()) settled.insert(id);
        last = std::move(differences);
      }
      if (settled.size() >= all.size()) break;
      with_sold = std::any_of(seen.begin(), seen.end(), [&](const auto& one) { return !one.second.empty() && !settled.contains(one.first); });
    }
    for (const Product& product : all) {
      known_.insert(product.id.value);
      if (!settled.contains(product.id.value)) report_.busy.push_back(product.id.value);
    }
    report_.products += static_cast<std::int64_t>(all.size());
    if (!all.empty()) after = all.back().id.value;
    return all.size();
  }

  // -- reservations: what differs is looked at once more at the end ------------------------------------------------------

  void reservations() {
    for (std::string after;;) {
      const auto rows = ledger_.held(after, portion);
      std::vector<std::string> keys;
      for (const Row& row : rows) keys.push_back(row.key);
      suspect_reservations(keys);
      report_.reservations += static_cast<std::int64_t>(rows.size());
      if (rows.size() < static_cast<std::size_t>(portion)) break;
      after = rows.back().key;
      rest(0ms);
    }
    for (std::uint64_t cursor = 0;;) {
      const auto page = stock_.scan(cursor);
      if (!page) throw Unfinished("Redis does not answer");
      for (const std::string& product : page->products)
        if (!known_.contains(product)) suspect_products_.insert(product);
      suspect_reservations(page->orders);
      cursor = page->cursor;
      if (cursor == 0) break;
      rest(0ms);
    }
  }

  /// Redis first: what it holds was in the ledger before (rule 2).
  std::vector<Difference> compare_reservations(const std::vector<std::string>& keys) {
    std::vector<Difference> out;
    if (keys.empty()) return out;
    const auto said = redis({}, keys, {});
    std::map<std::string, Reservation> rows;
    for (const Row& row : ledger_.rows(keys)) rows.emplace(row.key, deps_.codec->read_reservation(row));
    for (const auto& [order, held] : said.orders) {
      const auto row = rows.find(order);
      if (auto one = inventory::compare(order, row == rows.end() ? nullptr : &row->second, held)) out.push_back(std::move(*one));
    }
    return out;
  }

  void suspect_reservations(const std::vector<std::string>& keys) {
    for (Difference& one : compare_reservations(keys)) suspect(std::move(one));
  }

  // -- orders ----------------------------------------------------------------------------------------------------------

  void orders(bool whole) {
    for (std::string after;;) {
      const auto rows = ledger_.held(after, portion);
      std::vector<std::string> keys;
      for (const Row& row : rows) keys.push_back(row.key);
      for (Difference& one : compare_orders(keys)) suspect(std::move(one));
      if (rows.size() < static_cast<std::size_t>(portion)) break;
      after = rows.back().key;
      rest(0ms);
    }
    constexpr std::array<const char*, 7> states{"inventory_reserved", "paid", "shipped", "delivered", "cancelled", "payment_failed", "refunded"};
    for (std::size_t i = 0; i < (whole ? states.size() : 2); ++i) orders_in(states[i]);
  }

  void orders_in(const char* state) {
    for (std::string before;;) {
      const auto rows = orders_->in_state(state, before, portion);
      std::vector<std::string> keys;
      for (const Row& row : rows) keys.push_back(row.key);
      for (Difference& one : compare_orders(keys)) suspect(std::move(one));
      report_.orders += static_cast<std::int64_t>(rows.size());
      if (rows.size() < static_cast<std::size_t>(portion)) return;
      before = rows.back().key;
      rest(0ms);
    }
  }

  std::vector<Difference> compare_orders(const std::vector<std::string>& keys) {
    std::vector<Difference> out;
    if (keys.empty()) return out;
    std::map<std::string, inventory::OrderSays> orders;
    for (const Row& row : orders_->rows(keys)) orders.emplace(row.key, inventory::OrderSays{row.state, row.open, row.updated_at, row.due});
    std::map<std::string, Reservation> reservations;
    for (const Row& row : ledger_.rows(keys)) reservations.emplace(row.key, deps_.codec->read_reservation(row));
    const Millis now = deps_.clock();
    for (const std::string& key : keys) {
      const auto order = orders.find(key);
      const auto reservation = reservations.find(key);
      if (order != orders.end() && !order->second.open && now - order->second.updated_at > deps_.retention / 2) continue;
      auto one = inventory::compare(key, order == orders.end() ? nullptr : &order->second,
                                    reservation == reservations.end() ? nullptr : &reservation->second, now);
      if (one) out.push_back(std::move(*one));
    }
    return out;
  }

  // -- what was found ----------------------------------------------------------------------------------------------------

  void suspect(Difference one) {
    if (suspects_.size() < 10 * api::differences_max) suspects_.insert_or_assign(key_of(one), std::move(one));
    else ++report_.more;
  }

  /// What differs in the same way a moment later is told.
  void confirm() {
    if (suspects_.empty() && suspect_products_.empty()) return;
    rest(confirm_pause);
    verify(ledger_.verified());
    std::vector<std::string> held, asked;
    for (const auto& [key, one] : suspects_) (one.kind == inventory::DifferenceKind::order ? asked : held).push_back(one.order);
    for (const auto& [keys, compare_again] : {std::pair(&held, &Pass::compare_reservations), std::pair(&asked, &Pass::compare_orders)})
      for (std::size_t at = 0; at < keys->size(); at += portion) {
        const auto end = keys->begin() + static_cast<std::ptrdiff_t>(std::min(keys->size(), at + portion));
        for (Difference& one : (this->*compare_again)({keys->begin() + static_cast<std::ptrdiff_t>(at), end}))
          if (const auto first = suspects_.find(key_of(one)); first != suspects_.end() && same(first->second, one)) tell(std::move(one));
        rest(0ms);
      }
    // A product that was made meanwhile is in the ledger by now.
    for (const std::string& product : suspect_products_)
      if (!ledger_.knows(product)) tell(inventory::unknown_product(product));
  }

  void tell(Difference one) {
    if (report_.differences.size() < api::differences_max) report_.differences.push_back(std::move(one));
    else ++report_.more;
  }

  void rest(std::chrono::milliseconds time) {
    if (!pause_(time)) throw Unfinished("the node ends");
  }

  const AuditDeps& deps_;
  sql::Books& ledger_;
  sql::Books* orders_;
  redis::Books& stock_;
  std::function<bool(std::chrono::milliseconds)> pause_;  // false: no more
  api::StockReport report_;
  std::set<std::string> known_, suspect_products_;
  std::map<std::string, Difference> suspects_;
};

/// Empty, or why Redis was not rebuilt.
std::string rebuild_redis(sql::Books& ledger, redis::Books& stock, const std::function<bool(std::chrono::milliseconds)>& pause) {
  try {
    const StockIdentity before = ledger.verified();
    std::string why;
    // No instance, or another one: it is being rebuilt anyway.
    if (!before.run_id.empty() && stock.is(before, why) && !stock.disown()) return "Redis does not answer";
    for (auto waited = 0ms; waited < rebuild_patience; waited += rebuild_pause) {
      const StockIdentity now = ledger.verified();
      if (!now.run_id.empty() && now.generation > before.generation) return {};
      if (!pause(rebuild_pause)) return "the node ends";
    }
    return "Redis was not rebuilt within a minute; see cartwright doctor";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

Audit::Audit(AuditDeps deps) : deps_(std::move(deps)), thread_([this] { loop(); }) {}

Audit::~Audit() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

api::StockCheck Audit::last() const {
  std::lock_guard lock(mutex_);
  return {running_ || whole_asked_ || rebuild_asked_, last_};
}

void Audit::check() {
  {
    std::lock_guard lock(mutex_);
    whole_asked_ = true;
  }
  wake_.notify_all();
}

void Audit::rebuild() {
  {
    std::lock_guard lock(mutex_);
    rebuild_asked_ = whole_asked_ = true;
  }
  wake_.notify_all();
}

void Audit::loop() {
  const auto address = redis::address_of(deps_.redis_url);
  if (!address) return;  // the stock actor has refused it before
  const auto read = [this](const Row& row) { return deps_.codec->read_reservation(row); };
  sql::Books ledger(deps_.ledger, read);
  std::optional<sql::Books> orders;
  if (deps_.orders) orders.emplace(*deps_.orders, read);
  redis::Books stock(*address, deps_.group_prefix);
  const auto pause = [this](std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, time, [this] { return stopping_; });
  };
  auto idle = std::min(deps_.interval, std::chrono::milliseconds(10'000));  // the first one, when the node has settled
  for (;;) {
    bool whole = false, rebuild = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, idle, [this] { return stopping_ || whole_asked_ || rebuild_asked_; });
      if (stopping_) return;
      running_ = true;
      whole = std::exchange(whole_asked_, false);
      rebuild = std::exchange(rebuild_asked_, false);
    }
    api::StockReport report;
    std::string why;
    if (rebuild) why = rebuild_redis(ledger, stock, pause);
    report = Pass(deps_, ledger, orders ? &*orders : nullptr, stock, pause).run(whole);
    if (!why.empty()) report.why = why;
    idle = std::max(deps_.interval, std::chrono::milliseconds(share * (report.ended - report.began)));
    std::lock_guard lock(mutex_);
    running_ = false;
    last_ = std::move(report);
  }
}

}  // namespace cartwright::node
