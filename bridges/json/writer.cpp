#include "bridges/json/writer.hpp"

#include "bridges/json/text.hpp"

namespace cartwright::json {
namespace {

bool plain(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

void escape(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  constexpr char hex[] = "0123456789abcdef";
  out += "\\u00";
  out += hex[static_cast<unsigned char>(c) >> 4];
  out += hex[static_cast<unsigned char>(c) & 15];
}

}  // namespace

void Writer::quote(std::string_view text) {
  text_ += '"';
  // Runs that need no care are appended at once; nearly every text is one such run.
  std::size_t run = 0, at = 0;
  while (at < text.size()) {
    if (plain(text[at])) {
      ++at;
      continue;
    }
    std::size_t bytes = utf8_sequence(text, at);
    if (bytes > 1) {
      at += bytes;
      continue;
    }
    text_ += text.substr(run, at - run);
    if (bytes == 1)
      escape(text_, text[at]);
    else
      text_ += "\xef\xbf\xbd";
    run = ++at;
  }
  text_ += text.substr(run);
  text_ += '"';
}

}  // namespace cartwright::json
