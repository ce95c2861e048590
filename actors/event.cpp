#include "actors/event.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "actors/check.hpp"

namespace cartwright {

std::vector<Line> merged(const std::vector<Line>& lines) {
  std::vector<Line> sorted = lines;
  std::sort(sorted.begin(), sorted.end());
  std::vector<Line> out;
  for (Line& line : sorted) {
    if (!out.empty() && out.back().product == line.product)
      out.back().quantity += line.quantity;
    else
      out.push_back(std::move(line));
  }
  return out;
}

std::shared_ptr<const Record> as_it_lay(const std::shared_ptr<const Record>& record) {
  if (!record->from) return record;
  auto before = std::make_shared<Record>(*record);
  before->topic = record->event.topic;
  before->partition = record->from->partition;
  before->offset = record->from->offset;
  before->key = record->from->key;
  before->from.reset();
  return before;
}

bool is_stock_reason(std::string_view reason) {
  constexpr std::array<std::string_view, 4> reasons{"out_of_stock", "mixed_currency", "amount_too_large", "released"};
  return std::find(reasons.begin(), reasons.end(), reason) != reasons.end();
}

namespace {

void put(std::string& out, std::string_view text) {
  out += std::to_string(text.size());
  out += ':';
  out += text;
}

void put(std::string& out, const std::optional<std::string>& text) {
  if (text)
    put(out, std::string_view(*text));
  else
    out += '-';
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  [[nodiscard]] bool done() const { return text_.empty(); }

  std::optional<std::string> next() {
    if (!text_.empty() && text_.front() == '-') {
      text_.remove_prefix(1);
      return {};
    }
    std::size_t size = 0, at = 0;
    while (at < text_.size() && text_[at] >= '0' && text_[at] <= '9' && at < 12)
      size = size * 10 + static_cast<std::size_t>(text_[at++] - '0');
    check(at > 0 && at < text_.size() && text_[at] == ':' && text_.size() - at - 1 >= size, "an outbox text is what pack wrote");
    std::string out(text_.substr(at + 1, size));
    text_.remove_prefix(at + 1 + size);
    return out;
  }

 private:
  std::string_view text_;
};

// Most of a record's headers follow from its topic and its order. The outbox is written with every turn, so what follows
// is written as a sign: one character for a name, `=` and one for a value (a value that begins with `=` gets another one).
constexpr std::array<std::pair<std::string_view, char>, 7> names{{{"ce_specversion", 'v'},
                                                                  {"ce_id", 'i'},
                                                                  {"ce_source", 's'},
                                                                  {"ce_type", 't'},
                                                                  {"ce_time", 'm'},
                                                                  {"content-type", 'c'},
                                                                  {"traceparent", 'p'}}};
constexpr std::array<std::pair<std::string_view, char>, 3> constants{
    {{"1.0", '1'}, {"application/json", 'j'}, {"/cartwright/order", 'o'}}};

std::string short_name(const std::string& name) {
  for (const auto& [known, sign] : names)
    if (known == name) return {sign};
  return name;
}

std::string long_name(std::string name) {
  if (name.size() != 1) return name;
  for (const auto& [known, sign] : names)
    if (sign == name[0]) return std::string(known);
  return name;
}

std::string short_value(const std::string& value, const Outgoing& record) {
  for (const auto& [known, sign] : constants)
    if (known == value) return {'=', sign};
  if (value == record.topic) return "=t";
  if (value.size() == record.order.size() + 1 + record.topic.size() && value.starts_with(record.order) &&
      value.ends_with(record.topic) && value[record.order.size()] == '/')
    return "=i";
  return value.starts_with('=') ? "=" + value : value;
}

std::string long_value(std::string value, const Outgoing& record) {
  if (!value.starts_with('=') || value.size() < 2) return value;
  for (const auto& [known, sign] : constants)
    if (sign == value[1] && value.size() == 2) return std::string(known);
  if (value == "=t") return record.topic;
  if (value == "=i") return record.order + "/" + record.topic;
  return value.substr(1);
}

}  // namespace

std::string pack(const std::vector<Outgoing>& records) {
  std::string out;
  out.reserve(records.size() * 256);
  for (const Outgoing& record : records) {
    put(out, std::string_view(record.topic));
    put(out, std::string_view(record.order));
    if (record.key && *record.key == record.order && !record.order.empty())
      put(out, std::string_view("=o"));
    else
      put(out, record.key && record.key->starts_with('=') ? std::optional("=" + *record.key) : record.key);
    put(out, record.value);
    put(out, std::string_view(std::to_string(record.headers.size())));
    for (const auto& [name, value] : record.headers) {
      put(out, std::string_view(short_name(name)));
      put(out, std::string_view(short_value(value, record)));
    }
  }
  return out;
}

std::vector<Outgoing> unpack(const std::string& text) {
  std::vector<Outgoing> records;
  Reader reader(text);
  while (!reader.done()) {
    Outgoing record;
    record.topic = reader.next().value_or("");
    record.order = reader.next().value_or("");
    record.key = reader.next();
    if (record.key && *record.key == "=o")
      record.key = record.order;
    else if (record.key && record.key->starts_with('='))
      record.key = record.key->substr(1);
    record.value = reader.next();
    std::size_t headers = std::stoul(reader.next().value_or("0"));
    check(headers < 64, "a record has a few headers");
    for (std::size_t i = 0; i < headers; ++i) {
      std::string name = long_name(reader.next().value_or(""));
      std::string value = long_value(reader.next().value_or(""), record);
      record.headers.emplace_back(std::move(name), std::move(value));
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace cartwright
