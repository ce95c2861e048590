#pragma once
// Writes JSON text by appending, without a document in between: events, stored rows, HTTP answers.

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace cartwright::json {

/// Appends one JSON value; commas come by themselves. Nesting is the caller's business: every begin has its end, and
/// inside an object every value has its key before it.
///
///     Writer out;
///     out.begin_object().key("order_id").string(id).key("quantity").integer(2).end_object();
///     return out.take();
class Writer {
 public:
  /// `bytes` is what the text will probably need; it grows beyond.
  explicit Writer(std::size_t bytes = 256) { text_.reserve(bytes); }

  Writer& begin_object() { return open('{'); }
  Writer& end_object() { return close('}'); }
  Writer& begin_array() { return open('['); }
  Writer& end_array() { return close(']'); }

  /// The name of the object's next member.
  Writer& key(std::string_view name) {
    separate();
    quote(name);
    text_ += ':';
    comma_ = false;
    return *this;
  }

  /// A text, escaped by RFC 8259. Bytes that are not UTF-8 become U+FFFD, so that the result always is.
  Writer& string(std::string_view text) {
    separate();
    quote(text);
    return *this;
  }

  Writer& integer(std::int64_t number) {
    char digits[24];
    return raw({digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, number).ptr - digits)});
  }

  Writer& boolean(bool value) { return raw(value ? "true" : "false"); }
  Writer& null() { return raw("null"); }

  /// A value that is JSON already.
  Writer& raw(std::string_view json) {
    separate();
    text_ += json;
    return *this;
  }

  /// Members of the open object that are JSON already, without braces: `"a":1,"b":{}`. Nothing for "".
  Writer& members(std::string_view json) { return json.empty() ? *this : raw(json); }

  /// What has been written so far.
  [[nodiscard]] const std::string& text() const { return text_; }
  /// The text; the writer is empty afterwards.
  [[nodiscard]] std::string take() {
    comma_ = false;
    return std::exchange(text_, {});
  }

 private:
  // One flag is enough: a comma is due before whatever follows a finished value or member, at any depth.
  void separate() {
    if (comma_) text_ += ',';
    comma_ = true;
  }
  Writer& open(char bracket) {
    separate();
    text_ += bracket;
    comma_ = false;
    return *this;
  }
  Writer& close(char bracket) {
    text_ += bracket;
    comma_ = true;
    return *this;
  }
  void quote(std::string_view text);

  std::string text_;
  bool comma_ = false;
};

}  // namespace cartwright::json
