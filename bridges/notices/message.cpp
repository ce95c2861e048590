#include "bridges/notices/message.hpp"

#include <algorithm>

#include "bridges/json/dom.hpp"

namespace cartwright::notices {
namespace {

bool all_of(std::string_view text, std::string_view more) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || more.find(c) != std::string_view::npos;
  });
}

bool is_email(std::string_view text) {
  const auto at = text.find('@');
  if (at == std::string_view::npos || at == 0 || text.size() > 254 || text.front() == '-') return false;
  return all_of(text.substr(0, at), "!#$%&'*+-/=?^_`{|}~.") && at + 1 < text.size() && all_of(text.substr(at + 1), ".-:[]");
}

bool is_phone(std::string_view text) {
  return text.size() >= 3 && text.size() <= 32 && text.find_first_of("0123456789") != std::string_view::npos &&
         text.find_first_not_of("0123456789+-()./ ") == std::string_view::npos;
}

bool is_token(std::string_view text) {
  return text.size() <= 1024 && std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

const std::string& Contact::address(std::string_view channel) const {
  static const std::string none;
  return channel == "email" ? email : channel == "sms" ? phone : channel == "push" ? push_token : none;
}

Contact read_contact(std::string_view extras) {
  const json::Json object = json::parse("{" + std::string(extras) + "}");
  Contact contact;
  if (!object.is_object() || !object.contains("contact") || !object["contact"].is_object()) return contact;
  const auto& members = object["contact"];
  auto text = [&members](const char* name, bool (*usable)(std::string_view)) {
    std::string value = json::text_of(members, name);
    return usable(value) ? value : std::string();
  };
  contact.email = text("email", is_email);
  contact.phone = text("phone", is_phone);
  contact.push_token = text("push_token", is_token);
  contact.name = curl::one_line(text("name", [](std::string_view) { return true; }));
  return contact;
}

}  // namespace cartwright::notices
