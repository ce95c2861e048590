#include "actors/event.hpp"

#include <algorithm>
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

}  // namespace

std::string pack(const std::vector<Outgoing>& records) {
  std::string out;
  for (const Outgoing& record : records) {
    put(out, std::string_view(record.topic));
    put(out, std::string_view(record.order));
    put(out, record.key);
    put(out, record.value);
    put(out, std::string_view(std::to_string(record.headers.size())));
    for (const auto& [name, value] : record.headers) {
      put(out, std::string_view(name));
      put(out, std::string_view(value));
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
    record.value = reader.next();
    std::size_t headers = std::stoul(reader.next().value_or("0"));
    check(headers < 64, "a record has a few headers");
    for (std::size_t i = 0; i < headers; ++i) {
      std::string name = reader.next().value_or("");
      record.headers.emplace_back(std::move(name), reader.next().value_or(""));
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace cartwright
