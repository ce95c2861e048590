#pragma once
// Small JSON documents as values: answers of servers, what a command prints. Records are read by the codec, which makes no
// values; stored rows by documents.cpp, which takes nothing for granted but that we wrote them. Whoever calls the parser or
// the printer of nlohmann itself pays a second and a half of compiler for it.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace cartwright::json {

using Json = nlohmann::json;

/// The JSON text as a value, `is_discarded()` when it is none.
[[nodiscard]] Json parse(std::string_view text);

/// A value as text: in one line, or with a line for each member, indented by `indent` blanks. Bytes that are no UTF-8
/// become U+FFFD.
[[nodiscard]] std::string dump(const Json& value, int indent = -1);

/// A member that is a text; "" when it is not there or something else.
[[nodiscard]] std::string text_of(const Json& object, std::string_view name);

/// Any member as a person reads it: a text without its quotes; `absent` for null and for what is not there.
[[nodiscard]] std::string shown_of(const Json& object, std::string_view name, std::string_view absent = "-");

/// A member that is an integer; `absent` when it is not there or something else.
[[nodiscard]] std::int64_t number_of(const Json& object, std::string_view name, std::int64_t absent = 0);

}  // namespace cartwright::json
