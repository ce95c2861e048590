#include "bridges/redis/rebuild.hpp"

#include <array>
#include <exception>
#include <map>
#include <optional>
#include <random>
#include <string_view>
#include <utility>

namespace cartwright::redis {

namespace {

// One step of a rebuild. KEYS: meta, then the keys of the step. ARGV: generation, claimant, step, values of the step.
// `claim` wins against a lower generation, and against whatever stood there when the snapshot was numbered: an instance
// that comes from elsewhere may carry any number, and nobody shall wait until the ledger has counted up to it.
constexpr std::string_view step_script = R"lua(
local meta, mine, claimant, step = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
if step == 'claim' then
  local now = redis.call('HMGET', meta, 'generation', 'rebuild')
  local as_seen = (now[1] or '') == ARGV[4] and (now[2] or '') == ARGV[5]
  local present = math.max(tonumber(now[1] or '') or 0, tonumber(now[2] or '') or 0)
  if not as_seen and present >= tonumber(mine) then return 'OVERTAKEN' end
  redis.call('DEL', meta)
  redis.call('HSET', meta, 'rebuild', mine, 'claimant', claimant, 'progress', 0)
  return 'OK'
end
local now = redis.call('HMGET', meta, 'rebuild', 'claimant')
if now[1] ~= mine then return 'OVERTAKEN' end
if step == 'finish' then
  redis.call('HDEL', meta, 'rebuild', 'claimant', 'progress')
  return 'OK'
end
if now[2] ~= claimant then return 'OVERTAKEN' end
redis.call('HINCRBY', meta, 'progress', 1)
if step == 'delete' then
  redis.call('UNLINK', unpack(KEYS, 2))
elseif step == 'products' then
  for i = 2, #KEYS do
    local at = 4 + (i - 2) * 7
    redis.call('HSET', KEYS[i], 'available', ARGV[at], 'reserved', ARGV[at + 1], 'sold', ARGV[at + 2],
               'stocked', ARGV[at + 3], 'price', ARGV[at + 4], 'currency', ARGV[at + 5], 'version', ARGV[at + 6])
  end
elseif step == 'texts' then
  for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 2]) end
elseif step == 'open' then
  for i = 4, #ARGV, 2 do redis.call('HSET', meta, 'epoch:' .. ARGV[i], ARGV[i + 1]) end
  redis.call('HSET', meta, 'generation', mine)
end
return 'OK'
)lua";

constexpr std::size_t chunk_keys = 256;  // of one step: Redis serves nobody else meanwhile
constexpr std::string_view scan_count = "1000";

/// The keys and values of one step.
class StepCall {
 public:
  StepCall(const Keys& keys, std::int64_t generation, std::string_view claimant, std::string_view step) {
    keys_.add(keys.meta());
    values_.add(generation).add(claimant).add(step);
  }
  Words& key(std::string_view name) { return keys_.add(name), values_; }
  Words& values() { return values_; }
  [[nodiscard]] bool full() const { return keys_.size() > chunk_keys; }
  [[nodiscard]] Rebuilt run(Connection& connection) const {
    const auto count = std::to_string(keys_.size());
    std::vector<std::string_view> words{"EVAL", step_script, count};
    for (std::size_t i = 0; i < keys_.size(); ++i) words.push_back(keys_[i]);
    for (std::size_t i = 0; i < values_.size(); ++i) words.push_back(values_[i]);
    connection.append(words);
    const auto reply = connection.next();
    if (!reply.ok()) return {Rebuilt::End::failed, "rebuild: " + reply.failure().what};
    if (reply.value().text() == "OK") return {Rebuilt::End::ok, ""};
    return {Rebuilt::End::overtaken, "rebuild: another node builds a newer generation"};
  }

 private:
  Words keys_, values_;
};

/// Collects keys into steps of bounded size and runs them; stays at the first end that is not ok.
class Steps {
 public:
  Steps(Connection& connection, const Keys& keys, std::int64_t generation, std::string claimant)
      : connection_(connection), keys_(keys), generation_(generation), claimant_(std::move(claimant)) {}
  [[nodiscard]] StepCall call(std::string_view step) const { return {keys_, generation_, claimant_, step}; }
  /// The values of one more key; run with others of the same step.
  Words& add(std::string_view step, std::string_view key) {
    if (call_ && (step_ != step || call_->full())) flush();
    if (!call_) call_.emplace(call(step));
    step_ = step;
    return call_->key(key);
  }
  void flush() {
    if (call_ && end_.end == Rebuilt::End::ok) end_ = call_->run(connection_);
    call_.reset();
  }
  void run(const StepCall& call) {
    flush();
    if (ok()) end_ = call.run(connection_);
  }
  void fail(std::string why) { end_ = {Rebuilt::End::failed, "rebuild: " + std::move(why)}; }
  [[nodiscard]] bool ok() const { return end_.end == Rebuilt::End::ok; }
  [[nodiscard]] const Rebuilt& end() const { return end_; }

 private:
  Connection& connection_;
  const Keys& keys_;
  std::int64_t generation_;
  std::string claimant_;
  std::string_view step_;
  std::optional<StepCall> call_;
  Rebuilt end_{Rebuilt::End::ok, ""};
};

/// "" when no number is negative and what the open reservations hold is what the products have reserved: on anything
/// else a later release could not be carried out.
std::string contradiction(const LedgerSnapshot& snapshot, const std::map<std::string, std::int64_t>& held) {
  std::map<std::string, std::int64_t> rest = held;
  for (const auto& product : snapshot.products) {
    const auto open = rest.extract(product.id.value);
    if (product.reserved != (open ? open.mapped() : 0))
      return "ledger: reserved of " + product.id.value + " is not what its open reservations hold";
    if (product.reserved < 0 || product.sold < 0 || product.stocked < product.reserved + product.sold)
      return "ledger: " + product.id.value + " is oversold";
  }
  return rest.empty() ? "" : "ledger: an open reservation holds the unknown product " + rest.begin()->first;
}

void delete_old(Connection& connection, const Keys& keys, Steps& steps) {
  std::string cursor = "0";
  do {
    const auto page = connection.run({"SCAN", cursor, "MATCH", keys.pattern(), "COUNT", scan_count});
    if (!page.ok() || page.value().size() != 2) return steps.fail(page.ok() ? "SCAN" : page.failure().what);
    cursor = page.value()[0].text();
    const auto found = page.value()[1];
    for (std::size_t i = 0; i < found.size(); ++i)
      if (found[i].text() != keys.meta()) steps.add("delete", found[i].text());
    steps.flush();
  } while (cursor != "0" && steps.ok());
}

/// Two nodes that begin at the same moment may get snapshots of the same number; the claim tells them apart.
std::string unique_name() {
  std::random_device random;
  return std::to_string(random()) + "-" + std::to_string(random());
}

std::optional<std::string> run_id_of(std::string_view info) {
  constexpr std::string_view name = "run_id:";
  const auto at = info.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  info.remove_prefix(at + name.size());
  return std::string(info.substr(0, info.find_first_of("\r\n")));
}

}  // namespace

bool inspect(Connection& connection, const Keys& keys, Instance& instance, std::string& why) {
  connection.append({"INFO", "server"});
  connection.append({"HMGET", keys.meta(), "generation", "rebuild", "progress"});
  connection.append({"SCRIPT", "LOAD", stock_script});
  const std::array<Reply, 3> replies{connection.next(), connection.next(), connection.next()};
  for (const auto& reply : replies)
    if (!reply.ok()) return why = reply.failure().what, false;
  const auto run_id = run_id_of(replies[0].value().text());
  if (!run_id) return why = "redis: INFO server names no run_id", false;
  const auto meta = replies[1].value();
  instance = {*run_id, std::string(meta[0].text()), std::string(meta[1].text()), std::string(meta[2].text()),
              std::string(replies[2].value().text())};
  return true;
}

Rebuilt rebuild(Connection& connection, const Keys& keys, const Instance& seen, const LedgerSnapshot& snapshot,
                const std::function<HeldLines(const std::string& doc)>& held_of) {
  std::map<std::string, std::int64_t> held;
  std::vector<std::string> texts;
  try {
    for (const auto& row : snapshot.held) {
      const auto lines = held_of(row.doc);
      for (const auto& [line, price] : lines.lines) held[line.product.value] += line.quantity;
      texts.push_back(reserved_text(lines.currency, lines.lines));
    }
  } catch (const std::exception& error) {
    return {Rebuilt::End::failed, std::string("ledger: a reservation cannot be read: ") + error.what()};
  }
  if (auto why = contradiction(snapshot, held); !why.empty()) return {Rebuilt::End::failed, std::move(why)};

  Steps steps(connection, keys, snapshot.generation, unique_name());
  auto claim = steps.call("claim");
  claim.values().add(seen.generation).add(seen.builder);
  steps.run(claim);
  if (steps.ok()) delete_old(connection, keys, steps);
  for (const auto& product : snapshot.products) {
    auto& values = steps.add("products", keys.stock(product.id.value));
    values.add(product.stocked - product.reserved - product.sold).add(product.reserved).add(product.sold);
    values.add(product.stocked).add(product.price_minor).add(product.currency).add(product.version);
  }
  for (std::size_t i = 0; i < texts.size(); ++i) steps.add("texts", keys.order(snapshot.held[i].key)).add(texts[i]);
  for (const auto& id : snapshot.hands) steps.add("texts", keys.hand(id)).add("done");
  steps.flush();

  // The generation goes to the process that got the data, and to no other.
  Instance now;
  std::string why;
  if (steps.ok() && !inspect(connection, keys, now, why)) steps.fail(why);
  if (steps.ok() && now.run_id != seen.run_id) steps.fail("another instance took the place of the one that was filled");
  auto open = steps.call("open");
  for (const auto& [partition, epoch] : snapshot.epochs) open.values().add(std::int64_t{partition}).add(epoch);
  steps.run(open);
  return steps.end();
}

void finish_claim(Connection& connection, const Keys& keys, std::int64_t generation) {
  static_cast<void>(StepCall(keys, generation, "", "finish").run(connection));
}

}  // namespace cartwright::redis
