#include "bridges/redis/script.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "actors/check.hpp"

namespace cartwright::redis {

namespace {

/// Cuts the next word off `text`.
std::string_view take_word(std::string_view& text) {
  const auto end = std::min(text.find(' '), text.size());
  const auto word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

std::int64_t number_of(std::string_view word) {
  std::int64_t number = 0;
  std::from_chars(word.data(), word.data() + word.size(), number);
  return number;
}

std::string_view verb(Step step) {
  switch (step) {
    case Step::reserve: return "reserve";
    case Step::release: return "release";
    case Step::sell: return "sell";
    case Step::forget: return "forget";
    default: break;
  }
  check(false, "stock is asked for reserve, release, sell and forget only");
  return {};
}

}  // namespace

std::string Keys::pattern() const {
  std::string pattern;
  for (const char c : prefix_) {
    if (std::string_view("*?[]\\^").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern + "*";
}

ScriptCall::ScriptCall(const Keys& keys, std::int64_t generation) : keys_(&keys) {
  head_.add(keys.meta()).add(generation);
}

void ScriptCall::epoch(int partition, Epoch epoch) {
  arguments_.add("epoch").add(std::int64_t{partition}).add(epoch);
  ++operations_;
}

void ScriptCall::order(Step step, const std::string& key, const std::vector<Line>& lines) {
  arguments_.add(verb(step)).add(index_of(keys_->order(key)));
  if (step == Step::reserve) {
    arguments_.add(static_cast<std::int64_t>(lines.size()));
    for (const auto& line : lines) arguments_.add(line.product.value).add(line.quantity);
  }
  for (const auto& line : lines) declare(line.product);
  lines_ += lines.size();
  ++operations_;
}

void ScriptCall::hand(const std::string& id, const Product& product, std::int64_t delta) {
  arguments_.add("hand").add(index_of(keys_->hand(id))).add(product.id.value).add(delta);
  arguments_.add(product.price_minor).add(product.currency).add(product.version);
  declare(product.id);
  ++operations_;
}

std::int64_t ScriptCall::index_of(std::string key) {
  const auto [at, fresh] = indexes_.try_emplace(std::move(key), static_cast<std::int64_t>(names_.size()) + 1);
  if (fresh) names_.push_back(at->first);
  return at->second;
}

void ScriptCall::declare(const ProductId& product) {
  auto key = keys_->stock(product.value);
  if (indexes_.try_emplace(key, 0).second) stocks_.push_back(std::move(key));
}

std::vector<std::string_view> ScriptCall::command(std::string_view how, std::string_view script) const {
  key_count_ = std::to_string(1 + names_.size() + stocks_.size());
  name_count_ = std::to_string(names_.size());
  std::vector<std::string_view> words{how, script, key_count_, head_[0]};
  words.reserve(words.size() + names_.size() + stocks_.size() + 2 + arguments_.size());
  words.insert(words.end(), names_.begin(), names_.end());
  words.insert(words.end(), stocks_.begin(), stocks_.end());
  words.push_back(head_[1]);
  words.push_back(name_count_);
  for (std::size_t i = 0; i < arguments_.size(); ++i) words.push_back(arguments_[i]);
  return words;
}

std::vector<Reply> run(Connection& connection, const std::string& sha, std::span<const ScriptCall> calls) {
  std::vector<Reply> replies;
  replies.reserve(calls.size());
  for (std::size_t begin = 0; begin < calls.size(); begin += pipeline_calls_max) {
    const auto end = std::min(begin + pipeline_calls_max, calls.size());
    for (auto i = begin; i < end; ++i) connection.append(calls[i].command("EVALSHA", sha));
    for (auto i = begin; i < end; ++i) replies.push_back(connection.next());
    for (auto i = begin; i < end; ++i)
      if (replies[i].refused_as("NOSCRIPT")) connection.append(calls[i].command("EVAL", stock_script));
    for (auto i = begin; i < end; ++i)
      if (replies[i].refused_as("NOSCRIPT")) replies[i] = connection.next();
  }
  return replies;
}

bool is_stranger(const Reply& reply) { return reply.value().text() == "STRANGER"; }

ScriptAnswer answer_of(std::string_view text) {
  using Kind = ScriptAnswer::Kind;
  static constexpr std::array<std::pair<std::string_view, Kind>, 10> kinds{
      {{"reserved", Kind::reserved}, {"failed", Kind::failed}, {"released", Kind::released}, {"sold", Kind::sold},
       {"none", Kind::none}, {"FENCED", Kind::fenced}, {"OK", Kind::ok}, {"done", Kind::done},
       {"refused", Kind::refused}, {"invalid", Kind::invalid}}};
  ScriptAnswer answer;
  const auto word = take_word(text);
  for (const auto& [name, kind] : kinds)
    if (name == word) answer.kind = kind;
  if (answer.kind == Kind::failed) answer.reason = text;
  if (answer.kind == Kind::reserved) {
    if (const auto currency = take_word(text); currency != "-") answer.currency = currency;
    while (!text.empty()) {
      PricedLine line;
      line.line.product.value = take_word(text);
      line.line.quantity = number_of(take_word(text));
      line.price_minor = number_of(take_word(text));
      answer.priced.push_back(std::move(line));
    }
  }
  return answer;
}

std::string reserved_text(const std::string& currency, const std::vector<PricedLine>& lines) {
  auto text = "reserved " + (currency.empty() ? "-" : currency);
  for (const auto& [line, price] : lines)
    text.append(" ").append(line.product.value).append(" ").append(std::to_string(line.quantity)).append(" ").append(
        std::to_string(price));
  return text;
}

}  // namespace cartwright::redis
