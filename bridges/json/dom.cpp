#include "bridges/json/dom.hpp"

namespace cartwright::json {

Json parse(std::string_view text) { return Json::parse(text, nullptr, false); }

std::string dump(const Json& value, int indent) { return value.dump(indent, ' ', false, Json::error_handler_t::replace); }

std::string text_of(const Json& object, std::string_view name) {
  const auto at = object.find(name);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::string shown_of(const Json& object, std::string_view name, std::string_view absent) {
  const auto at = object.find(name);
  if (at == object.end() || at->is_null()) return std::string(absent);
  return at->is_string() ? at->get<std::string>() : dump(*at);
}

std::int64_t number_of(const Json& object, std::string_view name, std::int64_t absent) {
  const auto at = object.find(name);
  return at != object.end() && at->is_number_integer() ? at->get<std::int64_t>() : absent;
}

}  // namespace cartwright::json
