#include "bridges/sql/statement.hpp"

#include <algorithm>

namespace cartwright::sql {

namespace {

std::string hex(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "\\x";
  out.reserve(2 + 2 * bytes.size());
  for (char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out += digits[value >> 4];
    out += digits[value & 15];
  }
  return out;
}

std::string unhex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string out;
  if (text.size() < 2) return out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 2; i + 1 < text.size(); i += 2)
    out += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
  return out;
}

/// The length of the UTF-8 sequence at the beginning of `text`; 0 if it is none, or a NUL. PostgreSQL accepts no other
/// text.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return lead == 0 ? 0 : 1;
  if (lead >= 0xC2 && lead < 0xE0) return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead < 0xF0) {
    if (!tail(1) || !tail(2) || (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) >= 0xA0)) return 0;
    return 3;
  }
  if (lead >= 0xF0 && lead < 0xF5) {
    if (!tail(1) || !tail(2) || !tail(3) || (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) >= 0x90))
      return 0;
    return 4;
  }
  return 0;
}

/// `text` itself where it is plain ASCII; else a copy in `buffer` in which what is no UTF-8 has become '?'. Reasons and
/// names may hold anything; one bad byte must not stop a shard's turns.
std::string_view clean(std::string_view text, std::string& buffer) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c > 0; });
  if (plain) return text;
  buffer.clear();
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0)
      buffer += '?';
    else
      buffer += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return buffer;
}

}  // namespace

Statement::Statement(soci::session& session, const Text& text, Carriage carriage)
    : in_kinds_(text.in),
      out_kinds_(text.out),
      carriage_(carriage),
      in_(text.in.size()),
      out_(text.out.size()),
      statement_(session) {
  for (std::size_t i = 0; i < in_.size(); ++i) {
    if (in_kinds_[i] == 'i')
      statement_.exchange(soci::use(in_[i].integer));
    else
      statement_.exchange(soci::use(in_[i].text, in_[i].indicator));
  }
  for (std::size_t i = 0; i < out_.size(); ++i) {
    if (out_kinds_[i] == 'i')
      statement_.exchange(soci::into(out_[i].integer, out_[i].indicator));
    else
      statement_.exchange(soci::into(out_[i].text, out_[i].indicator));
  }
  statement_.alloc();
  statement_.prepare(text.sql);
  statement_.define_and_bind();
}

std::optional<std::string> Statement::optional(std::size_t column) const {
  if (out_[column].indicator == soci::i_null) return {};
  return out_[column].text;
}

void Statement::set(std::size_t at, std::string_view value) {
  Slot& slot = in_[at];
  slot.indicator = soci::i_ok;
  if (!carriage_.hex) {
    slot.text.assign(value);
  } else if (in_kinds_[at] == 'b') {
    slot.text = hex(value);
  } else {
    std::string buffer;
    slot.text.assign(clean(value, buffer));
  }
}

long long Statement::execute() {
  statement_.execute(true);
  return statement_.get_affected_rows();
}

bool Statement::execute_one() {
  if (!statement_.execute(true)) return false;
  receive();
  // An unfinished SELECT would keep its read transaction open; the slots are not touched when nothing follows.
  statement_.fetch();
  return true;
}

void Statement::receive() {
  for (std::size_t i = 0; i < out_.size(); ++i) {
    Slot& slot = out_[i];
    if (slot.indicator == soci::i_null) {
      slot.integer = 0;
      slot.text.clear();
    } else if (carriage_.hex && out_kinds_[i] == 'b') {
      slot.text = unhex(slot.text);
    }
  }
}

Batch::Batch(soci::session& session, const Text& text, Carriage carriage)
    : loops_(carriage.loops),
      kinds_(text.in),
      // Array literals are text whatever their elements; they are made clean here, element by element.
      statement_(session, loops_ ? text : Text{text.sql, std::string(text.in.size(), 't'), text.out},
                 loops_ ? carriage : Carriage{}),
      arrays_(text.in.size(), "{") {}

long long Batch::finish() {
  if (!loops_ && waiting_ > 0) {
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      arrays_[i] += '}';
      statement_.in_[i].text.swap(arrays_[i]);
      arrays_[i].assign("{");
    }
    waiting_ = 0;
    affected_ += statement_.execute();
  }
  return std::exchange(affected_, 0);
}

void Batch::clear() {
  for (std::string& array : arrays_) array.assign("{");
  waiting_ = 0;
  affected_ = 0;
}

void Batch::append(std::size_t at, std::string_view value) {
  std::string buffer;
  append_element(arrays_[at], kinds_[at] == 'b' ? std::string_view(buffer = hex(value)) : clean(value, buffer));
}

void Batch::append_plain(std::size_t at, std::string_view value) {
  std::string& array = arrays_[at];
  if (array.size() > 1) array += ',';
  array += value;
}

void append_element(std::string& array, std::string_view value) {
  if (array.size() > 1) array += ',';
  array += '"';
  for (char c : value) {
    if (c == '"' || c == '\\') array += '\\';
    array += c;
  }
  array += '"';
}

}  // namespace cartwright::sql
