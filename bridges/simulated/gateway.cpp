#include "bridges/simulated/gateway.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "actors/harden.hpp"

namespace cartwright::simulated {

/// To itself: everything that was in the mailbox before it joins one transaction.
struct FlushLedger {};

}  // namespace cartwright::simulated

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cartwright::simulated::FlushLedger)

namespace cartwright::simulated {
namespace {

using Flush = FlushLedger;
using Self = GatewayActor::extend<caf::reacts_to<Flush>>;

constexpr int never = 1'000'000'000;

/// How a token behaves: from which asking on it takes the money, and from which on it answers.
struct Manner {
  bool declines = false;
  int takes_from = 1, answers_from = 1;
};

Manner manner_of(const Act& act) {
  if (act.step == Step::refund) return {};
  if (act.token == "tok_declined") return {true, never, 1};
  if (act.token == "tok_timeout") return {false, 1, 2};
  if (act.token == "tok_error") return {false, 3, 3};
  if (act.token == "tok_never") return {false, never, never};
  return {};
}

/// One key is one transaction id for ever: it is computed from the key.
std::string txn_of(const std::string& key) {
  char text[48];
  std::string reversed(key.rbegin(), key.rend());
  std::snprintf(text, sizeof text, "txn_%016llx%016llx", static_cast<unsigned long long>(fingerprint(key)),
                static_cast<unsigned long long>(fingerprint(reversed)));
  return text;
}

class Book {
 public:
  explicit Book(GatewayOptions options) : options_(std::move(options)) {}

  /// Does `work` in one transaction. False: nothing of it is known to have happened.
  template <class Work>
  bool transaction(Work work) {
    try {
      open();
      *session_ << (sqlite_ ? "BEGIN IMMEDIATE" : "BEGIN");
      work();
      *session_ << "COMMIT";
      tell("");
      return true;
    } catch (const std::exception& error) {
      tell(std::string("the simulated gateway's ledger: ") + error.what());
      close();  // with it goes the transaction; whoever asked will ask again
      return false;
    }
  }

  /// Books one asking; the outcome, or nothing when the token wants silence.
  std::optional<Outcome> ask(const Act& act) {
    Manner manner = manner_of(act);
    key_ = act.key + "/" + std::string(to_string(act.step)) + "/" + std::to_string(act.attempt);
    order_ = act.order.value;
    kind_ = act.step == Step::refund ? "refund" : "charge";
    txn_ = txn_of(key_);
    amount_ = act.amount;
    takes_from_ = manner.takes_from;
    answers_from_ = manner.answers_from;
    booked_->execute(true);
    long long asked = asked_;
    while (booked_->fetch()) {}  // SQLite cannot commit before the statement has been stepped to its end
    if (asked < manner.answers_from) return {};
    Outcome outcome;
    outcome.key = act.key;
    outcome.step = act.step;
    outcome.attempt = act.attempt;
    outcome.answer = manner.declines ? Answer::refused : Answer::done;
    outcome.detail = manner.declines ? "declined" : "";
    outcome.reference = act.step == Step::refund ? act.txn.value : txn_;
    return outcome;
  }

  std::vector<LedgerLine> lines(const OrderId& order) {
    std::vector<LedgerLine> out;
    soci::rowset<soci::row> rows = (session_->prepare << "SELECT effect, txn_id, amount, kind, asked, answered FROM " + table_ +
                                                             " WHERE order_id = :o ORDER BY effect", soci::use(order.value));
    for (const soci::row& row : rows)
      out.push_back({row.get<std::string>(0), row.get<std::string>(1), row.get<long long>(2), row.get<std::string>(3),
                     row.get<long long>(4), row.get<long long>(5)});
    return out;
  }

 private:
  void open() {
    if (session_) return;
    sqlite_ = options_.url.starts_with("sqlite:");
    auto session = std::make_unique<soci::session>();
    if (sqlite_) {
      std::filesystem::path dir = options_.url.substr(7);
      std::filesystem::create_directories(dir);
      // Made here, because SQLite would make it readable to all; its log takes over the mode.
      if (const int file = ::open((dir / "gateway.db").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); file >= 0) ::close(file);
      session->open(soci::sqlite3, "db=" + (dir / "gateway.db").string() + " timeout=5");
      *session << "PRAGMA journal_mode=WAL";
      *session << "PRAGMA synchronous=NORMAL";
      table_ = "ledger";
    } else {
      // SOCI spoils a URL without any option (it appends '=').
      session->open(soci::postgresql, options_.url + (options_.url.find('?') == std::string::npos ? "?" : "&") + "connect_timeout=5");
      std::string schema = "\"" + options_.group_prefix + "_gateway\"";
      *session << "CREATE SCHEMA IF NOT EXISTS " + schema;
      table_ = schema + ".ledger";
    }
    *session << "CREATE TABLE IF NOT EXISTS " + table_ +
                    " (effect TEXT PRIMARY KEY, order_id TEXT NOT NULL, kind TEXT NOT NULL, amount BIGINT NOT NULL,"
                    " txn_id TEXT NOT NULL, asked BIGINT NOT NULL, answered BIGINT NOT NULL)" + (sqlite_ ? " WITHOUT ROWID" : "");
    // The key begins with the order's id, so a range of keys finds an order; the index is for people.
    std::string t = sqlite_ ? table_ : "l";
    booked_ = std::make_unique<soci::statement>(
        (session->prepare << "INSERT INTO " + table_ + (sqlite_ ? "" : " AS l") +
                                 " (effect, order_id, kind, amount, txn_id, asked, answered) VALUES (:k, :o, :kind, :amount,"
                                 " CASE WHEN 1 >= :takes THEN :txn ELSE '' END, 1, CASE WHEN 1 >= :answers THEN 1 ELSE 0 END)"
                                 " ON CONFLICT (effect) DO UPDATE SET asked = " + t + ".asked + 1,"
                                 " txn_id = CASE WHEN " + t + ".asked + 1 >= :takes2 THEN :txn2 ELSE " + t + ".txn_id END,"
                                 " answered = " + t + ".answered + CASE WHEN " + t + ".asked + 1 >= :answers2 THEN 1 ELSE 0 END"
                                 " RETURNING asked",
         soci::use(key_), soci::use(order_), soci::use(kind_), soci::use(amount_), soci::use(takes_from_), soci::use(txn_),
         soci::use(answers_from_), soci::use(takes_from_), soci::use(txn_), soci::use(answers_from_), soci::into(asked_)));
    session_ = std::move(session);
  }

  void tell(const std::string& state) {
    if (state != told_ && options_.state) options_.state(state);
    told_ = state;
  }

  void close() {
    booked_.reset();
    session_.reset();
  }

  GatewayOptions options_;
  bool sqlite_ = true;
  std::string table_, told_;
  std::unique_ptr<soci::session> session_;
  std::unique_ptr<soci::statement> booked_;
  std::string key_, order_, kind_, txn_;
  long long amount_ = 0, asked_ = 0;
  int takes_from_ = 1, answers_from_ = 1;
};

Self::behavior_type gateway(Self::pointer self, GatewayOptions options) {
  harden(self);
  auto book = std::make_shared<Book>(std::move(options));
  auto waiting = std::make_shared<std::vector<Acts>>();
  return {
      [=](Acts& acts) {
        // What has come before the Flush joins its transaction.
        if (waiting->empty()) self->send(self, Flush{});
        waiting->push_back(std::move(acts));
      },
      [=](const FindLedger& find) {
        Ledger ledger;
        ledger.ok = book->transaction([&] { ledger.lines = book->lines(find.order); });
        return ledger;
      },
      [=](const Flush&) {
        std::vector<std::pair<ShardActor, Outcomes>> answers;
        bool booked = book->transaction([&] {
          for (const Acts& acts : *waiting) {
            Outcomes outcomes{acts.epoch, {}};
            for (const Act& act : acts.acts)
              if (auto outcome = book->ask(act)) outcomes.outcomes.push_back(std::move(*outcome));
            if (!outcomes.outcomes.empty()) answers.emplace_back(acts.reply_to, std::move(outcomes));
          }
        });
        waiting->clear();
        if (!booked) return;
        for (auto& [shard, outcomes] : answers) caf::anon_send(shard, std::move(outcomes));
      }};
}

}  // namespace

GatewayActor spawn_gateway(caf::actor_system& system, GatewayOptions options) {
  return caf::actor_cast<GatewayActor>(system.spawn<caf::detached>(gateway, std::move(options)));
}

}  // namespace cartwright::simulated
